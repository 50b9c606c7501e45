"""The commands, and everything that is shown to somebody at a terminal."""
