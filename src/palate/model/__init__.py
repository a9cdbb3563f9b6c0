"""Body, pooling, head: from a batch of tokens to one float32 reward a sequence."""
