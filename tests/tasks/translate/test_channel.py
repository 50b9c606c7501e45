"""What the weights of the noisy channel choose, with models whose probabilities are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from recurra.tasks.lm.task import LanguageModelling
from recurra.tasks.translate.channel import Channel
from recurra.tasks.translate.config import DecodeConfig
from recurra.tasks.translate.search import Translation
from recurra.tasks.translate.task import Translation as TranslationTask

# Of each translation: log p(f|e), log p(e), log p(e|f) and its symbols.
FEATURES = {
    "faithful": (-1.0, -9.0, -4.0, 3),
    "fluent": (-9.0, -2.0, -3.0, 2),
    "likely": (-8.0, -7.0, -1.0, 4),
    "long": (-7.0, -8.0, -5.0, 9),
}


class Back(TranslationTask):
    def __init__(self) -> None:
        pass

    def log_probabilities(self, model: nn.Module, sources: Any, targets: Any) -> np.ndarray:
        assert targets == ["f"] * len(sources)
        return np.array([FEATURES[text][0] for text in sources])


class Fluency(LanguageModelling):
    def __init__(self) -> None:
        self.vocabulary: Any = SimpleNamespace(level="char")

    def score(self, model: Any, source: Any) -> Any:
        return [SimpleNamespace(log_probability=FEATURES[text][1]) for text in source]


@pytest.fixture
def channel() -> Channel:
    channel = Channel()
    channel.take("decode.reverse", Back(), nn.Module())
    channel.take("decode.language", Fluency(), nn.Module())
    return channel


@pytest.mark.parametrize(
    ("weights", "first"),
    [
        ({}, "faithful"),
        ({"weight_reverse": 0.0}, "fluent"),
        ({"weight_language": 0.0}, "faithful"),
        ({"weight_language": 2.0}, "fluent"),
        ({"weight_direct": 9.0}, "likely"),
        ({"weight_length": 3.0}, "long"),
    ],
)
def test_the_weights_say_what_comes_first(channel: Channel, weights: dict[str, float], first: str):
    found = [Translation(["f"], ["x"] * FEATURES[text][3], text, FEATURES[text][2], 0.0, None) for text in FEATURES]
    decode = DecodeConfig(**weights)
    ordered = channel.order("f", found, decode)
    assert ordered[0].text == first

    def score(one: Translation) -> float:
        back, fluent, direct, length = FEATURES[one.text]
        return (
            decode.weight_reverse * back
            + decode.weight_language * fluent
            + decode.weight_direct * direct
            + decode.weight_length * length
        )

    assert ordered == sorted(found, key=score, reverse=True)
