"""The next notes of polyphonic music, many at once."""
