"""A tag for each step of a sequence (N→N in step)."""
