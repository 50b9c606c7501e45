"""What the weights of the noisy channel choose, with models whose probabilities are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from recurra.tasks.config import ConfigError
from recurra.tasks.lm.config import LanguageModellingConfig
from recurra.tasks.lm.task import LanguageModelling
from recurra.tasks.translate.channel import Channel
from recurra.tasks.translate.config import DecodeConfig, TranslateConfig
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
    def __init__(self, data: str = "f,e", symbols: int = 0, *, joint: bool = False) -> None:
        self.config = TranslateConfig(data=data)
        self.sides: Any = SimpleNamespace(fingerprint=lambda: symbols, joint=joint)

    def log_probabilities(self, model: nn.Module, sources: Any, targets: Any) -> np.ndarray:
        assert targets == ["f"] * len(sources)
        return np.array([FEATURES[text][0] for text in sources])


class Fluency(LanguageModelling):
    def __init__(self) -> None:
        self.config = LanguageModellingConfig()
        self.vocabulary: Any = SimpleNamespace(level="char")

    def score(self, model: Any, source: Any) -> Any:
        return [SimpleNamespace(log_probability=FEATURES[text][1]) for text in source]


@pytest.fixture
def channel() -> Channel:
    channel = Channel()
    own = Back("e,f", 1)
    channel.take("decode.reverse", Back(), nn.Module(), own)
    channel.take("decode.language", Fluency(), nn.Module(), own)
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

    assert [one.text for one in ordered] == [one.text for one in sorted(found, key=score, reverse=True)]
    assert [one.score for one in ordered] == pytest.approx([score(one) for one in ordered])


def test_a_model_of_the_same_direction_is_refused():
    for joint in (False, True):
        with pytest.raises(ConfigError, match=r"decode\.reverse names .*own direction \(data=f,e\)"):
            Channel().take("decode.reverse", Back(joint=joint), nn.Module(), Back(joint=joint))
    Channel().take("decode.reverse", Back("f,e", 1), nn.Module(), Back("f,e", 2))  # files of one name in two folders
    turned = Back(joint=True)  # one table, read from the other side
    turned.config.text.source_column, turned.config.text.target_column = "2", "1"
    Channel().take("decode.reverse", Back(joint=True), nn.Module(), turned)
