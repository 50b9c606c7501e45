"""The next values of a series, at a horizon or in step."""
