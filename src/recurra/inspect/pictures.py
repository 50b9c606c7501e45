"""Pictures of what a model says, as files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.inspect import findings, heatmaps, page
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Finding, Heatmap, Maps, as_dict

ENDINGS = (".svg", ".html")


def picture_file(found: Sequence[Finding], path: Path) -> bytes:
    """The file at `path` that shows what was found: a page, `.html`, or heat maps alone, `.svg`.

    Raises:
        ConfigError: the name ends otherwise, or something else than heat maps is to be an `.svg` file.
    """
    if path.suffix == ".html":
        shown = findings.section({}, [as_dict(one) for one in found])
        return page.page(path.stem, [shown]).encode()
    maps = [one for one in found if isinstance(one, Heatmap | Maps)]
    if path.suffix != ".svg":
        raise ConfigError(f"{path}: pictures are not written so: give a name that ends in .html or .svg")
    if len(maps) < len(found):
        raise ConfigError(
            f"{path}: these pictures are not written so, for not all are maps: give a name that ends in .html"
        )
    return heatmaps.document(maps).encode()
