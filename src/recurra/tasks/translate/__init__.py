"""A text to another of any length (N→M)."""
