"""Groups in, batches out: the plan, the tree layout, and attention over it."""
