"""The noisy channel: of several translations e of a text f, the one with the largest p(f|e) · p(e), or with weights."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from recurra.tasks.base import Task
from recurra.tasks.config import ConfigError
from recurra.tasks.lm.task import LanguageModelling
from recurra.tasks.translate.config import DecodeConfig

if TYPE_CHECKING:
    from recurra.tasks.translate.search import Translation

_REVERSE, _LANGUAGE = "decode.reverse", "decode.language"


class Channel:
    """The two models of a noisy channel: a translator of the other direction, and a language model of the target."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[Any, nn.Module]] = {}

    @property
    def whole(self) -> bool:
        """Whether both are there."""
        return len(self._models) == 2

    def take(self, key: str, task: Task, model: nn.Module, own: Task) -> None:
        """Take one of them, beside a translator of the task `own`.

        Raises:
            ConfigError: it is of another task, or learnt to translate in the same direction.
        """
        wanted = LanguageModelling if key == _LANGUAGE else type(task) if hasattr(task, "log_probabilities") else None
        if wanted is None or not isinstance(task, wanted):
            kind = "lm" if key == _LANGUAGE else "translate"
            raise ConfigError(f"{key} names a model of the task {task.name}: expected one of the task {kind}")
        if key == _REVERSE and _reads_the_same(task, own):
            raise ConfigError(
                f"{key} names a model of this one's own direction (data={own.config.data}): expected one that was "
                "trained with the sides exchanged"
            )
        self._models[key] = task, model.eval()

    def require_whole(self) -> None:
        """Raise ConfigError where one is missing."""
        for key in (_REVERSE, _LANGUAGE):
            if key not in self._models:
                kind = "a model of the other direction" if key == _REVERSE else "a language model of the target"
                raise ConfigError(f"--rerank needs {kind}: name its run folder with {key}=…")

    def order(self, source: str, found: Sequence["Translation"], decode: DecodeConfig) -> list["Translation"]:
        """Translations of a text, the one with the largest p(f|e) · p(e) first; that, as a logarithm, is their score.

        The weights of `decode` make a log-linear model of it (Och & Ney 2002; Yee et al. 2019, for networks), with
        p(e|f) and the number of symbols as further features.

        Raises:
            DataError: a translation has a symbol that the language model does not know, and it has no `<unk>`.
        """
        reverse, reverse_model = self._models[_REVERSE]
        language, language_model = self._models[_LANGUAGE]
        texts = [one.text for one in found]
        written = [" ".join(one.symbols) for one in found] if language.vocabulary.level == "word" else texts
        back = reverse.log_probabilities(reverse_model, texts, [source] * len(found))
        fluent = np.array([line.log_probability for line in language.score(language_model, written)])
        direct = np.array([one.log_probability for one in found])
        lengths = np.array([len(one.symbols) for one in found])
        scores = decode.weight_reverse * back + decode.weight_language * fluent
        scores += decode.weight_direct * direct + decode.weight_length * lengths
        return [replace(found[k], score=float(scores[k])) for k in np.argsort(-scores, kind="stable")]


def _reads_the_same(task: Any, own: Any) -> bool:
    """Whether two translators have the same sides. Those with one set of symbols for both are told by their data."""
    data, other = ((t.config.data, t.config.text.source_column, t.config.text.target_column) for t in (own, task))
    return task.sides.fingerprint() == own.sides.fingerprint() and (not own.sides.joint or data == other)
