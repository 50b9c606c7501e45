"""A finished or half-finished run, as its folder tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.inspect.history import History

_UNITS = {"char": "character", "word": "word"}


@dataclass(frozen=True)
class Run:
    """What the run folder tells; files that are missing or broken leave their part empty.

    ``history`` is `metrics.jsonl`, ``config`` the settings as nested dicts, ``config_text`` the file as it stands,
    ``facts`` the content of `describe.json`, ``findings`` what the best model made of the validation data, and
    ``evaluation`` what the last `recurra evaluate` wrote.
    """

    folder: Path
    history: History
    config: dict[str, Any]
    config_text: str
    facts: dict[str, Any]
    findings: list[dict[str, Any]]
    evaluation: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Run:
        text = _text(folder / "config.yaml")
        found = _json(folder / "findings.json").get("findings", [])
        return cls(
            folder,
            History.read(folder / "metrics.jsonl"),
            _yaml(text),
            text,
            _json(folder / "describe.json"),
            found if isinstance(found, list) else [],
            _json(folder / "evaluation.json"),
        )

    def setting(self, key: str) -> Any:
        """The value of a dotted key of the configuration, None where it is absent."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    @property
    def unit(self) -> str:
        """What one prediction is made for."""
        unit = str(self.facts.get("unit") or "token")
        return _UNITS.get(str(self.setting("text.level")), unit) if unit == "token" else unit

    @property
    def cell(self) -> str | None:
        """The name of the cell, None where the model has none."""
        name = self.setting("model.cell")
        return name if isinstance(name, str) and self.setting("model.kind") in (None, "recurrent") else None

    @property
    def loss(self) -> str:
        """The unit of the loss."""
        return str(self.facts.get("loss") or "nats")

    @property
    def criterion(self) -> str:
        """The measure that says which parameters are the best."""
        return str(self.facts.get("criterion") or "valid_nats")

    @property
    def task(self) -> str:
        """The name of the task that was trained."""
        return str(self.config.get("task") or self.facts.get("task") or "lm")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    """The object in a file; a broken file says so itself, and the page goes on without it."""
    try:
        value = json.loads(_text(path) or "{}")
    except ValueError:
        return {path.name: "could not be read"}
    return value if isinstance(value, dict) else {}


def _yaml(text: str) -> dict[str, Any]:
    """The configuration as plain containers; a broken file gives none, and the page still shows its text."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        value = OmegaConf.to_container(OmegaConf.create(text or "{}"))
    except (YAMLError, OmegaConfBaseException):
        return {}
    return {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else {}
