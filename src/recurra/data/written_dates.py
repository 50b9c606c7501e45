"""Dates as people write them, in many languages, and as ISO 8601 has them.

The words and the order are those of the Unicode Common Locale Data Repository, as the package Babel carries them.
"""

import zlib
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.pairs import Pair

CODES = (
    "af", "ar", "az", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "en_GB", "es", "et", "eu", "fa", "fi",
    "fil", "fr", "gl", "he", "hi", "hu", "hy", "id", "is", "it", "ja", "ka", "ko", "lt", "lv", "nb", "nl", "pl", "pt",
    "ro", "ru", "sk", "sl", "sv", "sw", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
_FORMATS = ("full", "long", "medium")
_FIRST, _DAYS = date(1900, 1, 1), 73_049  # up to 2099-12-31
_DATES, _TESTS = 40_000, 4_000
# One day in so many is kept for testing, in all languages at once.
_TEST_SHARE = 5


def dates(test: bool) -> list[Pair]:
    """40,000 dates of 1900 to 2099 to learn from, or 4,000 other days to test on.

    Left out is what nobody could read for certain: years of two digits, and a month in digits between strokes, which
    comes before the day in some countries and after it in others.

    Raises:
        DataError: Babel is not installed.
    """
    try:
        from babel.dates import format_date, get_date_format
    except ImportError:
        raise DataError(
            "builtin:dates takes its words from the package babel, which is not here: pip install babel"
        ) from None
    patterns = [(code, str(get_date_format(form, code).pattern)) for code in CODES for form in _FORMATS]
    patterns = [(code, pattern) for code, pattern in patterns if _is_certain(pattern)]
    random = np.random.default_rng(7 if test else 8)
    pairs: list[Pair] = []
    place, wanted = Path("builtin:dates"), _TESTS if test else _DATES
    while len(pairs) < wanted:
        day = _FIRST + timedelta(days=int(random.integers(_DAYS)))
        code, pattern = patterns[random.integers(len(patterns))]
        if (zlib.crc32(day.isoformat().encode()) % _TEST_SHARE == 0) == test:
            pairs.append(Pair(format_date(day, pattern, code), day.isoformat(), place, len(pairs) + 1))
    return pairs


def _is_certain(pattern: str) -> bool:
    by_name = "MMM" in pattern
    return "yy" not in pattern and (by_name or pattern.startswith("y") or ("/" not in pattern and "-" not in pattern))
