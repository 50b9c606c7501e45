"""The pictures of networks come from their script, and each way of use has its own at the top of its page."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def networks() -> ModuleType:
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("networks")
    finally:
        sys.path.remove(str(DOCS))


def pages() -> list[Path]:
    """The pages of ways of use: those with a picture of a network."""
    return [path for path in sorted(DOCS.glob("*.md")) if "images/network_" in path.read_text(encoding="utf-8")]


def test_every_network_is_as_drawn(networks: ModuleType):
    committed = {path.stem.removeprefix("network_") for path in (DOCS / "images").glob("network_*.svg")}
    assert committed == set(networks.PICTURES)
    for name, draw in networks.PICTURES.items():
        picture = (DOCS / "images" / f"network_{name}.svg").read_text(encoding="utf-8")
        assert picture == draw(), "the drawing has changed: run `python docs/networks.py`"


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_page_begins_with_the_network_then_the_command_then_the_equations(path: Path):
    text = path.read_text(encoding="utf-8")
    picture = text.index("![")
    assert text[:picture].count("\n") == 2 and re.match(r"!\[[^\]]+\]\(images/network_", text[picture:])
    assert picture < text.index("```bash\nrecurra train") < text.index("## The equations\n") < text.index("$$")


def test_everything_lies_inside_the_picture(networks: ModuleType):
    """As far as numbers say: circles and squares with their margins."""
    for name, draw in networks.PICTURES.items():
        text = draw()
        width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', text)[0])
        for x, y, r in re.findall(r'<circle [^>]*cx="([\d.]+)" cy="([\d.]+)" r="(\d+)"', text):
            assert float(r) < float(x) < width - float(r) and float(r) < float(y) < height - float(r), name
