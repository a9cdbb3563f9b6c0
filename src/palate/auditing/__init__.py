"""Is a reward model sound? Evidence, or the fault by its name."""
