"""What a machine offers, and running a model away from its training."""
