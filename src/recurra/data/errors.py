"""What is raised when data cannot be used."""


class DataError(ValueError):
    """Data that cannot be read or used: the text says what was found, what was expected and how to mend it."""
