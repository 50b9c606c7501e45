"""How wide letters are."""

from unicodedata import category, east_asian_width


def width_of(text: str) -> int:
    """The columns that a text takes in a fixed-width font: two of a wide letter, none of one that joins another."""
    return sum(
        0 if category(letter) in ("Mn", "Me", "Cf") else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )
