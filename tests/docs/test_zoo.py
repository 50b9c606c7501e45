"""The page of the zoo shows every cell as the code prints it."""

import importlib.util
import re
from pathlib import Path

import pytest

from recurra import cells
from recurra.equations import unicode
from recurra.layers import Initialisation, Recurrent

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "zoo.md").read_text(encoding="utf-8")
STARTS = re.findall(r"^\| .* \| (`.*?`|any) \| .* \| `(Initialisation\(.*?\))` \|$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("docs_zoo", DOCS / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_cells_print(script):
    assert script.filled(TEXT) == TEXT, "a cell has changed: run `python docs/zoo.py`"
    assert script.filled(TEXT.replace("tanh(cₜ)", "cₜ")) == TEXT


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_is_on_it(name: str):
    assert f"```text\n{unicode(cells.get(name))}\n```" in TEXT
    assert TEXT.count(f"[`{name}`](#{name})") == 1 and TEXT.count(f"### {name}\n") == 1


@pytest.mark.parametrize(("names", "start"), STARTS)
def test_the_starts_of_the_table_exist(names: str, start: str):
    initialisation = eval(start, {"Initialisation": Initialisation})
    for name in re.findall(r"`(\w+)`", names) or ["gru"]:
        Recurrent(name, 5, 8, widths={"P": 4}, initialisation=initialisation)


def test_there_is_a_table_of_starts():
    assert len(STARTS) >= 10


@pytest.mark.parametrize("name", cells.names())
def test_the_papers_of_a_cell_are_listed(name: str):
    for author, year in re.findall(r"([A-Z]\w+)(?:, \w+)*(?: & \w+| et al\.)? ((?:19|20)\d\d)", cells.get(name).doc):
        assert re.search(rf"^\| {author}\b.* {year} \| \S.* \| \S.* \|$", TEXT, re.MULTILINE), (author, year)
