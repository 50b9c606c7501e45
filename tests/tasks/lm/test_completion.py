import math
from pathlib import Path

import pytest
import torch

from recurra.data import DataError
from recurra.decoding import BeamSettings, Constraints
from recurra.tasks.config import TrainConfig
from recurra.tasks.lm.config import LanguageModellingConfig, ModelConfig, TextConfig
from recurra.tasks.lm.task import LanguageModelling

LEAST_ONE = Constraints(minimum=1)


def opened(path: Path, text: str, level: str = "char") -> LanguageModelling:
    path.write_text(text)
    return LanguageModelling.open(
        LanguageModellingConfig(
            data=str(path), model=ModelConfig(hidden=8, embedding=6), train=TrainConfig(batch=2, bptt=5),
            text=TextConfig(level=level),
        )
    )  # fmt: skip


def search(maximum: int, size: int = 5, **options) -> BeamSettings:
    return BeamSettings(end=None, maximum=maximum, size=size, **options)


@pytest.fixture(params=["char", "word"])
def task(request, tmp_path) -> LanguageModelling:
    return opened(tmp_path / "text.txt", "the cat sat on the mat\nand the dog sat\n" * 20, request.param)


def model_of(task: LanguageModelling):
    torch.manual_seed(0)
    return task.model()


def test_a_completion_has_the_probability_of_the_line_it_makes(task):
    model = model_of(task)
    found = task.complete(model, "", search(6, nbest=5, constraints=LEAST_ONE))
    assert len({one.text for one in found}) == 5 and model.training
    for one, line in zip(found, task.score(model, [one.text for one in found]), strict=True):
        assert line.text.strip("\n") and "\n" not in line.text
        assert one.log_probability == one.score == pytest.approx(line.log_probability, rel=1e-5)
    assert [one.score for one in found] == sorted([one.score for one in found], reverse=True)


def test_a_prompt_is_read_and_not_searched(task):
    model = model_of(task)
    (one,) = task.complete(model, "the cat", search(6))
    (whole,) = task.score(model, [f"the cat{one.text}"])
    ids = task.vocabulary.encode("\nthe cat")
    with torch.no_grad():
        read = model.eval()(torch.from_numpy(ids)[None, :-1])[0][0].log_softmax(-1)
    start = read[range(len(ids) - 1), ids[1:]].sum().item()
    assert one.log_probability == pytest.approx(whole.log_probability - start, rel=1e-4)


def test_the_likeliest_line_of_all_is_found(tmp_path):
    task = opened(tmp_path / "text.txt", "ab\nba\n" * 30)
    model = model_of(task)
    every = [a + b + c for a in "ab" for b in ["", *"ab"] for c in (["", *"ab"] if b else [""])]
    lines = sorted(task.score(model, every), key=lambda line: -line.log_probability)
    found = task.complete(model, "", search(3, size=40, nbest=14, constraints=LEAST_ONE))
    assert [one.text for one in found] == [line.text for line in lines]
    penalised = task.complete(model, "", search(3, size=40, nbest=14, constraints=LEAST_ONE, length_penalty=2.0))
    scores = {line.text: line.log_probability / ((5 + len(line.text) + 1) / 6) ** 2 for line in lines}
    assert [one.text for one in penalised] == sorted(scores, key=lambda text: -scores[text])


def test_a_text_without_line_ends_is_searched_to_the_full_length(tmp_path):
    task = opened(tmp_path / "text.txt", "ab" * 60)
    found = task.complete(model_of(task), "ba", search(4, size=16, nbest=16))
    assert {len(one.text) for one in found} == {4} and len(found) == 16
    assert sum(math.exp(one.log_probability) for one in found) == pytest.approx(1, rel=1e-5)


def test_words_are_set_apart(tmp_path):
    task = opened(tmp_path / "text.txt", "the cat sat on the mat\n" * 20, "word")
    for prompt in ("", "the", "the cat "):
        (one,) = task.complete(model_of(task), prompt, search(5, constraints=LEAST_ONE))
        assert one.text.startswith(" ") == (prompt == "the") and "  " not in prompt + one.text


def test_a_prompt_with_an_unknown_symbol_is_refused(task):
    with pytest.raises(DataError, match="in the prompt, line 1"):
        task.complete(model_of(task), "the émeu", search(5))
