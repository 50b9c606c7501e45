"""The one error a cell's author meets."""


class CellError(ValueError):
    """A cell that breaks the rules of the language: says what happened, where, and how to mend it."""

    def __init__(self, happened: str, mend: str = "") -> None:
        super().__init__(f"{happened}. {mend}" if mend else happened)
        self.happened = happened
        self.mend = mend
