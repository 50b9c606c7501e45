"""The rooms of the library, and what each may know of the others."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "recurra"
# What each room may import, of the other rooms. `decoding` sees only a step function, `data` sees no model.
MAY_IMPORT = {
    "equations": set(),
    "cells": {"equations"},
    "engines": {"equations", "cells"},
    "layers": {"equations", "cells", "engines"},
    "data": set(),
    "decoding": set(),
    "models": {"equations", "cells", "engines", "layers", "decoding"},
    "tasks": {"equations", "cells", "engines", "layers", "models", "data", "decoding"},
}
for _room in ("training", "inspect", "deploy"):
    MAY_IMPORT[_room] = MAY_IMPORT["tasks"] | {"tasks"}
MAY_IMPORT["cli"] = MAY_IMPORT["tasks"] | {"tasks", "training", "inspect", "deploy"}

FILES = sorted(SOURCE.rglob("*.py"))
ROOM_FILES = [path for path in FILES if path.parent != SOURCE]


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imports(path: Path) -> set[str]:
    """The dotted names of everything a file imports, relative imports resolved; `from recurra import x` counts as x."""
    package = ["recurra", *path.relative_to(SOURCE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_is_known():
    rooms = {path.relative_to(SOURCE).parts[0] for path in ROOM_FILES}
    assert rooms <= set(MAY_IMPORT), "a new room states here what it may import"


@pytest.mark.parametrize("path", ROOM_FILES, ids=name)
def test_imports_run_one_way(path: Path):
    room = path.relative_to(SOURCE).parts[0]
    others = {found.split(".")[1] for found in imports(path) if found.startswith("recurra.")} - {room}
    assert others & set(MAY_IMPORT) <= MAY_IMPORT[room]


@pytest.mark.parametrize(
    "path", [p for p in ROOM_FILES if p.relative_to(SOURCE).parts[0] in ("equations", "cells")], ids=name
)
def test_equations_and_cells_need_neither_torch_nor_numpy(path: Path):
    assert not {found.split(".")[0] for found in imports(path)} & {"torch", "numpy", "scipy", "jax"}


@pytest.mark.parametrize("path", [p for p in ROOM_FILES if p.relative_to(SOURCE).parts[0] != "cli"], ids=name)
def test_only_the_command_line_prints(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not [call.lineno for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    assert not {found for found in imports(path) if found.split(".")[0] in ("rich", "cyclopts")}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_assert_guards_a_user(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_stay_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_cell_is_named_in_the_engines():
    """An engine that knows a cell by name would run it by other rules than the user's own."""
    cells = importable_cells()
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, cells)) + r")\b", re.IGNORECASE)
    native = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in (".h", ".c", ".cpp", ".inc")]
    named = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*(SOURCE / "engines").rglob("*.py"), *native]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    }
    assert not named


def importable_cells() -> list[str]:
    from recurra.cells import names

    found = names()
    assert "lstm" in found
    return found


def test_relative_imports_are_resolved(monkeypatch: pytest.MonkeyPatch):
    """The test above can fail: a forbidden import is seen in each of its three spellings."""
    file = SOURCE / "equations" / "cell.py"
    for text in ("import recurra.layers.recurrent", "from recurra import layers", "from ..layers import Recurrent"):
        monkeypatch.setattr(Path, "read_text", lambda self, encoding="utf-8", text=text: text)
        assert any(found.startswith("recurra.layers") for found in imports(file))
