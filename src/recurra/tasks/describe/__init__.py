"""One thing to a sequence (1→N)."""
