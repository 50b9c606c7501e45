"""One class for a sequence (N→1)."""
