"""Writes the tables of settings into the pages of the tasks, from the settings themselves: `python docs/settings.py`.

A test holds the page against what this script would write, so a setting cannot change without its line on the page.
"""

import re
from pathlib import Path

from recurra.tasks.answer.config import AnswerConfig
from recurra.tasks.classify.config import ClassifyConfig
from recurra.tasks.describe.config import DescribeConfig
from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.lm.config import LanguageModellingConfig
from recurra.tasks.music.config import MusicConfig
from recurra.tasks.tag.config import TagConfig
from recurra.tasks.translate.config import TranslateConfig
from recurra.training.config import Setting, settings

_DOCS = Path(__file__).resolve().parent
PAGES = {
    _DOCS / "language_models.md": LanguageModellingConfig,
    _DOCS / "classify.md": ClassifyConfig,
    _DOCS / "tag.md": TagConfig,
    _DOCS / "forecast.md": ForecastConfig,
    _DOCS / "translate.md": TranslateConfig,
    _DOCS / "answer.md": AnswerConfig,
    _DOCS / "describe.md": DescribeConfig,
    _DOCS / "music.md": MusicConfig,
}
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


def filled(page: str, schema: type) -> str:
    """The text of a page with every table written anew, from the settings of `schema`."""
    known = settings(schema)
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
    for path, schema in PAGES.items():
        path.write_text(filled(path.read_text(encoding="utf-8"), schema), encoding="utf-8")
