"""The one error a cell's author meets."""


class CellError(ValueError):
    """A cell that breaks the rules of the language: says what happened, where, and how to mend it."""

    def __init__(self, happened: str, mend: str = "") -> None:
        stop = " " if happened.endswith("?") else ". "
        super().__init__(f"{happened}{stop}{mend}" if mend else happened)
        self.happened = happened
        self.mend = mend
