"""Writes the tables of settings into docs/language_models.md, from the settings themselves: `python docs/settings.py`.

A test holds the page against what this script would write, so a setting cannot change without its line on the page.
"""

import re
from pathlib import Path

from recurra.tasks.lm_config import LanguageModellingConfig
from recurra.training.config import Setting, settings

PAGE = Path(__file__).resolve().parent / "language_models.md"
_MARKS = re.compile(r"<!-- settings: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def table(group: str, known: list[Setting]) -> str:
    """The settings of one group (`model`, `train`, …; `run` for those without a group) as a Markdown table."""
    rows = [
        setting
        for setting in known
        if setting.key.partition(".")[0] == group or (group == "run" and "." not in setting.key)
    ]
    if not rows:
        raise ValueError(f"there is no group of settings {group!r}")
    lines = [f"| `{row.key}` | {row.kind} | {_value(row.default)} | {_escape(row.help)} |" for row in rows]
    return "\n".join(["| setting | value | default | meaning |", "|---|---|---|---|", *lines])


def filled(page: str) -> str:
    """The text of the page with every table written anew."""
    known = settings(LanguageModellingConfig)
    return _MARKS.sub(lambda mark: f"<!-- settings: {mark[1]} -->\n\n{table(mark[1], known)}\n\n<!-- end -->", page)


def _value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if value != "" else "none"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
