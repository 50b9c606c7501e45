"""The tables of settings on the page are those of the code."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("docs_settings", DOCS / "settings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_have_every_setting_as_it_is(script):
    for path, schema in script.PAGES.items():
        page = path.read_text(encoding="utf-8")
        assert page == script.filled(page, schema), "the settings have changed: run `python docs/settings.py`"
        for setting in script.settings(schema):
            assert f"| `{setting.key}` |" in page
            assert setting.help, f"{setting.key} needs a meaning"


def test_the_tables_are_no_empty_promise(script):
    path, schema = next(iter(script.PAGES.items()))
    page = path.read_text(encoding="utf-8")
    assert "`train.bptt`" in page
    assert script.filled(page.replace("| `64` |", "| `65` |"), schema) == page
    with pytest.raises(ValueError, match="no group"):
        script.filled("<!-- settings: nothing -->\n<!-- end -->", schema)


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]), ids=lambda path: path.name)
def test_settings_named_on_a_page_exist(path: Path, script):
    known = {setting.key for schema in script.PAGES.values() for setting in script.settings(schema)}
    groups = "|".join({key.partition(".")[0] for key in known if "." in key})
    keys = re.findall(rf"`((?:{groups})\.[a-z_]+(?:\.[A-Z]+)?)\b(?!\()", path.read_text(encoding="utf-8"))
    named = {re.sub(r"\.[A-Z]+$", ".NAME", key) for key in keys}
    # A file, and the name of a parameter.
    assert named <= known | {"model.safetensors", "recurrent.layers"}
