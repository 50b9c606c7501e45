import gzip
import json
import math
from pathlib import Path

import pytest
import torch

from recurra.data import DataError, Vocabulary
from recurra.decoding import Sampler
from recurra.models import LanguageModel
from recurra.tasks.base import Trained
from recurra.tasks.config import ConfigError, TrainConfig
from recurra.tasks.lm.config import LanguageModellingConfig, ModelConfig, TextConfig
from recurra.tasks.lm.task import LanguageModelling

SENTENCE = "the cat sat on the mat and the dog sat on the cat\n"


def settings(data: Path | str, batch: int = 2, bptt: int = 5, **text) -> LanguageModellingConfig:
    model = ModelConfig(hidden=8, embedding=6, dropout=0.5)
    train = TrainConfig(batch=batch, bptt=bptt)
    return LanguageModellingConfig(data=str(data), model=model, train=train, text=TextConfig(**text))


@pytest.fixture
def corpus(tmp_path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(SENTENCE * 20)
    return path


@pytest.fixture(params=["char", "word"])
def task(request, corpus) -> LanguageModelling:
    return LanguageModelling.open(settings(corpus, level=request.param))


def new_model(task: LanguageModelling) -> LanguageModel:
    torch.manual_seed(0)
    return task.model()


# -- data ------------------------------------------------------------------------------------------------------------


def test_the_end_of_the_text_is_kept_for_validation(corpus):
    task = LanguageModelling.open(settings(corpus))
    facts = task.describe()
    assert facts["characters"] == 1000
    assert (facts["training_tokens"], facts["validation_tokens"]) == (900, 100)
    stream = task.training_stream()
    assert sum(batch.tokens for batch in iter(stream.next, None)) == 899
    assert LanguageModelling.open(settings(corpus, valid_tokens=30)).describe()["validation_tokens"] == 30


def test_validation_text_of_its_own(corpus, tmp_path):
    (tmp_path / "valid.txt").write_text("the mat sat\n")
    task = LanguageModelling.open(settings(corpus, level="word", valid=str(tmp_path / "valid.txt")))
    facts = task.describe()
    assert (facts["training_tokens"], facts["validation_tokens"]) == (280, 4)
    (tmp_path / "valid.txt").write_text("the mat\nthe bird\n")
    with pytest.raises(DataError, match=r"'bird' in .*valid\.txt, line 2"):
        LanguageModelling.open(settings(corpus, level="word", valid=str(tmp_path / "valid.txt")))


def test_the_standard_split(data_folder):
    facts = LanguageModelling.open(settings(data_folder / "tinyshakespeare" / "input.txt.gz")).describe()
    assert (facts["training_tokens"], facts["validation_tokens"]) == (1_003_854, 111_540)


def test_texts_that_cannot_be_used_are_refused(tmp_path):
    def refused(content: bytes, message: str, **options) -> None:
        (tmp_path / "a.txt").write_bytes(content)
        with pytest.raises(DataError, match=message):
            LanguageModelling.open(settings(tmp_path / "a.txt", **options)).training_stream()

    refused(b"", r"a\.txt is empty: expected text to learn from")
    refused(b"abc\0", r"a\.txt is binary data")
    refused(b"abc\xff", r"a\.txt is not UTF-8 text")
    refused(b"abcdefghij", r"validation text \(text\.valid=0\.1\) has 1 tokens")
    refused(
        b"abc\n" * 10,
        r"too short: 36 tokens, but one window needs 81 .*train\.batch=4 × train\.bptt=20",
        batch=4,
        bptt=20,
    )
    with pytest.raises(DataError, match="there is no file or folder"):
        LanguageModelling.open(settings(tmp_path / "absent.txt"))
    with pytest.raises(DataError, match="set data"):
        LanguageModelling.open(settings(""))


def test_a_saved_task_needs_no_data(task, tmp_path):
    task.save(tmp_path)
    loaded = LanguageModelling.load(settings("gone.txt"), tmp_path)
    assert loaded.vocabulary == task.vocabulary
    model = new_model(task)
    assert loaded.sample(model, 3) == task.sample(model, 3)
    with pytest.raises(DataError, match="without its text"):
        loaded.training_stream()
    with pytest.raises(DataError, match="without its text"):
        loaded.validate(model)


def test_the_facts_can_be_written_as_json(task):
    assert json.loads(json.dumps(task.describe()))["level"] == task.vocabulary.level


# -- loss and measures -----------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_the_targets(task):
    model = new_model(task).eval()
    stream = task.training_stream()
    batches = list(iter(stream.next, None))
    # The last batch lacks a target in some row; the mean is over those that are there.
    for batch in (batches[0], batches[-1]):
        loss, state = task.loss(model, batch, None)
        log_probabilities = model(batch.inputs)[0].log_softmax(-1)
        real = batch.targets >= 0
        assert int(real.sum()) == batch.tokens
        picked = log_probabilities[real].gather(1, batch.targets[real][:, None])
        torch.testing.assert_close(loss, -picked.mean())
        assert loss.requires_grad and state[0].shape == (1, 2, 8)


@pytest.mark.parametrize(("cell", "name"), [("projected_lstm", "P"), ("jordan", "O"), ("back_projection", "O")])
def test_widths_that_a_cell_has_beside_its_units(corpus, cell, name):
    config = settings(corpus)
    config.model.cell = cell
    task = LanguageModelling.open(config)
    with pytest.raises(
        ConfigError, match=rf"the cell {cell} has a width {name} beside its units: set model.widths.{name}"
    ):
        task.model()
    config.model.widths = {name: 5}
    assert task.model().recurrent.output_size == 5
    config.model.widths["Q"] = 3
    with pytest.raises(ConfigError, match=rf"model.widths.Q: the cell {cell} has no such width.*it has {name}"):
        task.model()


def test_validation_leaves_the_model_and_the_random_numbers_alone(task):
    model = new_model(task)
    before = torch.random.get_rng_state()
    measures = task.validate(model)
    assert task.validate(model) == measures
    assert model.training and torch.equal(torch.random.get_rng_state(), before)
    # An untrained model knows little more than that there are V symbols.
    assert measures["valid_nats"] == pytest.approx(math.log(len(task.vocabulary)), abs=0.5)
    other = {"char": "valid_bits", "word": "valid_perplexity"}[task.vocabulary.level]
    assert set(measures) == {"valid_nats", other}


def test_evaluation_counts_tokens_characters_and_words(task, tmp_path):
    path = tmp_path / "test.txt.gz"
    path.write_bytes(gzip.compress(b"the cat sat\non the mat\n"))
    measures = task.evaluate(new_model(task), path)
    by_characters = task.vocabulary.level == "char"
    assert measures["tokens"] == (22 if by_characters else 7)
    assert measures["characters"] == (22 if by_characters else 23)
    # By characters the first word is scored but for its first letter; by words it is not scored.
    assert measures["words"] == (8 if by_characters else 7)
    total = measures["nats_per_token"] * measures["tokens"]
    assert measures["nats_per_character"] * measures["characters"] == pytest.approx(total)
    assert measures["bits_per_character"] == pytest.approx(measures["nats_per_character"] / math.log(2))
    assert measures["perplexity_per_word"] == pytest.approx(math.exp(total / measures["words"]))
    assert measures["unknown_tokens"] == 0 and measures["tokens_per_second"] > 0


def test_what_was_never_seen_is_reported_or_counted(corpus, tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("the cat\nthe émeu\n")
    task = LanguageModelling.open(settings(corpus))
    with pytest.raises(DataError, match=r"'é' \(U\+00E9\) in .*test\.txt, line 2"):
        task.evaluate(new_model(task), path)
    task = LanguageModelling.open(settings(corpus, level="word", minimum_count=2))
    assert task.evaluate(new_model(task), path)["unknown_tokens"] == 1
    path.write_text("t")
    with pytest.raises(DataError, match="too short"):
        LanguageModelling.open(settings(corpus)).evaluate(new_model(LanguageModelling.open(settings(corpus))), path)


def test_a_perplexity_beyond_all_numbers_is_infinite(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("abcdefgh" * 400)  # one word of 3,200 letters
    task = LanguageModelling.open(settings(path))
    assert task.evaluate(new_model(task), path)["perplexity_per_word"] == math.inf


def test_scores_are_log_probabilities_of_whole_lines(task, tmp_path):
    model = new_model(task).eval()
    lines = ["the cat sat", "", "mat the on"]
    scores = list(task.score(model, lines))
    assert [(s.number, s.text) for s in scores] == list(enumerate(lines, 1))
    for score in scores:
        ids = task.vocabulary.encode(f"\n{score.text}\n")
        with torch.no_grad():
            logits = model(torch.from_numpy(ids)[None, :-1])[0][0].log_softmax(-1)
        expected = logits[range(len(ids) - 1), ids[1:]].sum().item()
        assert score.log_probability == pytest.approx(expected, rel=1e-5)
        assert score.tokens == len(ids) - 1
    path = tmp_path / "lines.txt"
    path.write_text("the cat sat\n\nmat the on")
    assert list(task.score(model, path)) == scores
    assert list(task.score(model, str(path))) == scores


def test_all_ways_of_going_on_share_the_probability_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ab" * 50)  # no line end: the first symbol is context
    task = LanguageModelling.open(settings(path))
    scores = task.score(new_model(task), ["aa", "ab", "ba", "bb", "a"])
    values = [math.exp(score.log_probability) for score in scores]
    assert values[0] + values[1] == pytest.approx(1, rel=1e-5)
    assert values[2] + values[3] == pytest.approx(1, rel=1e-5)
    assert values[4] == 1


def test_a_line_with_an_unknown_symbol_is_named(task, tmp_path):
    (tmp_path / "lines.txt").write_text("the cat\nthe émeu\n")
    with pytest.raises(DataError, match=r"lines\.txt, line 2"):
        list(task.score(new_model(task), tmp_path / "lines.txt"))


# -- text ------------------------------------------------------------------------------------------------------------


def test_generated_text_reads_on_from_the_prompt(task):
    model = new_model(task)
    pieces = list(task.generate(model, "the cat", length=40, seed=1))
    assert len(pieces) == 40 and model.training
    text = "the cat" + "".join(pieces)
    # Its ids are those drawn: nothing was lost or run together in the writing.
    before = 1 + len(task.vocabulary.encode("the cat"))
    assert len(task.vocabulary.encode("\n" + text)) == before + 40
    assert list(task.generate(model, "the cat", length=40, seed=1)) == pieces
    assert list(task.generate(model, "the cat", length=40, seed=2)) != pieces


def test_the_likeliest_text_is_that_of_the_logits(task):
    model = new_model(task).eval()
    text = "".join(task.generate(model, length=5, sampler=Sampler(temperature=0)))
    ids = torch.from_numpy(task.vocabulary.encode("\n"))[None]
    for _ in range(5):
        ids = torch.cat([ids, model(ids)[0][:, -1:].argmax(-1)], 1)
    assert text == task.vocabulary.decode(ids[0, 1:].tolist())


def test_words_are_set_apart(corpus):
    task = LanguageModelling.open(settings(corpus, level="word"))
    for prompt in ("", "the cat", "the cat ", "the cat\n"):
        text = prompt + "".join(task.generate(new_model(task), prompt, length=60))
        assert "  " not in text and not any(line.startswith(" ") for line in text.split("\n"))
        assert set(text.split()) <= set(SENTENCE.split())


def test_a_prompt_with_an_unknown_symbol_is_refused_at_once(task):
    with pytest.raises(DataError, match="in the prompt, line 1"):
        task.generate(new_model(task), "the émeu")
    with pytest.raises(ValueError, match="length=-1"):
        task.generate(new_model(task), length=-1)


def test_text_without_line_ends_can_be_learnt_and_written(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ab" * 50)
    task = LanguageModelling.open(settings(path))
    assert len("".join(task.generate(new_model(task), length=10))) == 10
    assert set(task.sample(new_model(task), 0)) == {"a", "b"}


def test_unknown_words_are_written_as_such(corpus):
    task = LanguageModelling.open(settings(corpus, level="word", minimum_count=30))
    assert task.vocabulary.symbols == ("<unk>", "the", "cat", "on", "sat")
    assert "<unk>" in task.sample(new_model(task), 0)


def test_the_vocabulary_file_is_json(task, tmp_path):
    task.save(tmp_path)
    assert Vocabulary.load(tmp_path / "vocabulary.json") == task.vocabulary
    (tmp_path / "vocabulary.json").write_text("{}")
    with pytest.raises(DataError, match="is no vocabulary"):
        LanguageModelling.load(settings("x"), tmp_path)


def test_the_command_to_write_names_the_fields_that_are_conditions():
    conditions = {"condition": {"category": "form", "encoded": "title", "prefix": ""}}
    first, *_ = LanguageModelling.uses(Trained("RUN", samples=["the sea the"], config=conditions))
    assert first.command.startswith("recurra generate RUN --form FORM --title TITLE --prompt the ")
    assert LanguageModelling.uses(Trained("RUN"))[0].command.startswith("recurra generate RUN --length ")
