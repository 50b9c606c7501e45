"""Settings that go with the pairs that need no file: their texts are short and hardly ever hold a word twice."""

from collections.abc import Mapping
from typing import Any

_SIGNS: dict[str, Any] = {
    "attention": {"score": "additive"},
    "score": {"criterion": "exact"},
    "decode": {"beam": 1},
}

SUITED: Mapping[str, Mapping[str, Any]] = {
    "builtin:dates": {
        **_SIGNS,
        "split": {"valid": 0.025},
        "text": {"level": "char"},
        "model": {"cell": "gru", "hidden": 96, "embedding": 32, "dropout": 0.0},
        "train": {"batch": 64, "epochs": 2},
        "optimizer": {"name": "adam", "lr": 0.004, "schedule": "cosine"},
    },
    "builtin:addition": {
        **_SIGNS,
        "split": {"valid": 0.02},
        "text": {"level": "char", "reverse": True},
        "model": {"cell": "lstm", "hidden": 128, "embedding": 16, "dropout": 0.0},
        "train": {"batch": 128, "epochs": 12},
        "optimizer": {"name": "adam", "lr": 0.004, "schedule": "cosine"},
    },
}
"""By the name of the data: those of the recipes of these names."""
