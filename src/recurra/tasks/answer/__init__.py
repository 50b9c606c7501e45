"""A passage and a question to an answer."""
