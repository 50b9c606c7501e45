import math
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import DataError, Line
from recurra.tasks.classify.config import ClassifyConfig
from recurra.tasks.classify.task import Classification
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Marks, Matrix, Table
from recurra.training.config import build_config

GOOD, BAD = ("fine", "lovely", "great", "grand"), ("dull", "poor", "bad", "sad")


def settings(data: Path | str, *words: str) -> ClassifyConfig:
    small = ("model.hidden=8", "model.embedding=6", "train.batch=4")
    return build_config(ClassifyConfig, {"data": str(data)}, [*small, *words])


@pytest.fixture
def table(tmp_path) -> Path:
    rows = [f"good\ta {x} and {y} film" for x in GOOD for y in GOOD] + [f"bad\ta {x} film" for x in BAD for _ in "ab"]
    path = tmp_path / "reviews.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def clips(tmp_path) -> Path:
    random = np.random.default_rng(0)
    lengths = random.integers(2, 6, size=40)
    path = tmp_path / "clips.npz"
    np.savez(path, x=5 + 2 * random.normal(size=(lengths.sum(), 3)), lengths=lengths, y=random.integers(2, size=40))
    return path


def opened(data: Path, *words: str) -> tuple[Classification, torch.nn.Module]:
    task = Classification.open(settings(data, *words))
    torch.manual_seed(0)
    return task, task.model()


def lines(*texts: str) -> list[list[Line]]:
    return [[Line(text, Path("in"), k) for k, text in enumerate(texts, 1)]]


# -- data ------------------------------------------------------------------------------------------------------------


def test_examples_are_parted_and_texts_stay_on_one_side(table):
    task, _ = opened(table, "split.valid=0.25", "split.test=0.25")
    data = task._opened
    shown = [set(part.shown) for part in (data.training, data.validation, data.test)]
    assert len(data.training) + len(data.validation) + len(data.test) == 24
    assert not (shown[0] & shown[1] or shown[0] & shown[2] or shown[1] & shown[2])
    assert len(Classification.open(settings(table, "text.distinct=true"))._opened.training) == 18
    facts = task.describe()
    assert (facts["classes"], facts["level"]) == (2, "word")
    assert facts["commonest_class"].startswith("good (")


def test_words_or_characters_by_themselves(tmp_path):
    (tmp_path / "it.txt").write_text("rossi\nbianchi\nverdi\nneri\n")
    (tmp_path / "de.txt").write_text("Weiß\nSchwarz\nRoth\nGrün\n")
    task = Classification.open(settings(tmp_path, "split.valid=0.25", "text.lowercase=true"))
    assert task.vocabulary.level == "char" and task.classes == ["de", "it"]
    assert "S" not in task.vocabulary.symbols and "<unk>" in task.vocabulary.symbols


def test_a_saved_task_needs_no_data(table, clips, tmp_path):
    for data in (table, clips):
        task, model = opened(data)
        task.save(tmp_path)
        loaded = Classification.load(settings("gone"), tmp_path)
        assert (loaded.classes, loaded.width, loaded.vocabulary) == (task.classes, task.width, task.vocabulary)
        assert {k: v.shape for k, v in loaded.model().state_dict().items()} == {
            k: v.shape for k, v in model.state_dict().items()
        }
        with pytest.raises(DataError, match="without its data"):
            loaded.training_stream()
        (tmp_path / "vocabulary.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good\ta\ngood\tb\ngood\tc\n", "one class only, 'good'"),
        ("".join(f"{k}\ttext\n" for k in range(200)), "200 classes in 200 examples.*another column"),
        ("good\tx\nbad\ty\n", "leaves nothing"),
    ],
)
def test_examples_that_cannot_teach_are_refused(tmp_path, text, message):
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        Classification.open(settings(tmp_path / "a.tsv"))


def test_data_of_another_kind_or_with_a_new_label_are_refused(table, clips, tmp_path):
    texts, model = opened(table)
    (tmp_path / "new.tsv").write_text("good\ta film\nugly\ta film\n")
    with pytest.raises(DataError, match=r"new\.tsv, line 2: the label 'ugly' was never seen .*bad, good"):
        texts.evaluate(model, tmp_path / "new.tsv")
    with pytest.raises(DataError, match="holds vectors, but the model was trained on texts"):
        texts.evaluate(model, clips)
    vectors, model = opened(clips)
    with pytest.raises(DataError, match="holds texts, but the model was trained on vectors"):
        vectors.evaluate(model, table)
    np.savez(tmp_path / "wide.npz", x=np.ones((2, 3, 7)), y=np.arange(2))
    with pytest.raises(DataError, match="7 columns, but the model was trained on 3"):
        vectors.evaluate(model, tmp_path / "wide.npz")
    np.savez(tmp_path / "bare.npz", x=np.ones((2, 3, 3)))
    with pytest.raises(DataError, match="has no labels"):
        vectors.evaluate(model, tmp_path / "bare.npz")
    np.savez(tmp_path / "other.npz", x=np.ones((2, 3, 3)), y=np.array([1, 7]))
    with pytest.raises(DataError, match=r"other\.npz, sequence 1: the label '7' was never seen"):
        vectors.evaluate(model, tmp_path / "other.npz")
    with pytest.raises(DataError, match="no line of text holds"):
        next(vectors.predict(model, lines("1 2 3")))
    with pytest.raises(DataError, match=r"reviews\.tsv holds texts, but the model was trained on vectors"):
        next(vectors.predict(model, table))


def recording(path: Path, rate: int, seed: int = 0) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(seed).bytes(rate // 5))


def test_sound_of_another_rate_is_refused(clips, tmp_path):
    for k in range(12):
        recording(tmp_path / "slow" / f"{k % 2}_{k}.wav", 8000, k)
    recording(tmp_path / "fast" / "0_x.wav", 16000)
    task, model = opened(tmp_path / "slow")
    task.save(tmp_path)
    again = Classification.load(settings(tmp_path / "slow"), tmp_path)
    said = r"fast holds sound of 16,000 samples a second, but the model was trained on sound of 8,000"
    for one in (task, again):
        with pytest.raises(DataError, match=said):
            next(one.predict(model, tmp_path / "fast"))
    assert next(again.predict(model, tmp_path / "slow")).endswith("0_0.wav")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.kind=rnn", r"model\.kind='rnn' is not one of"),
        ("model.summary=lst", "did you mean 'last'"),
        ("model.step=0", "steps count from 1"),
        ("split.test=1.5", r"split\.test=1\.5 is out of range"),
        ("loss.weights=equal", "none, balanced"),
        ("text.unknown=1", r"text\.unknown"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(word, message):
    with pytest.raises(ConfigError, match=message):
        settings("x", word)
    with pytest.raises(ConfigError, match="has no direction"):
        settings("x", "model.kind=bag", "model.bidirectional=true")


# -- model and loss --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["recurrent", "bag", "positions", "window", "tdnn"])
@pytest.mark.parametrize("symbols", ["learned", "onehot"])
def test_every_kind_reads_texts_and_vectors(table, clips, kind, symbols):
    for data in (table, clips):
        task, model = opened(data, f"model.kind={kind}", f"model.symbols={symbols}")
        stream = task.training_stream()
        loss, state = task.loss(model, stream.next(), None)
        assert state is None and 0.2 < loss.item() < 2
        loss.backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_the_loss_is_the_mean_and_weights_make_classes_alike(table):
    task, model = opened(table)
    batch = task._opened.training.batch(np.arange(12))
    nats = -model(batch.inputs, batch.lengths).log_softmax(-1)[range(12), batch.targets]
    torch.testing.assert_close(task.loss(model, batch, None)[0], nats.mean())
    weighted = Classification.open(settings(table, "loss.weights=balanced"))
    counts = np.bincount(weighted._opened.training.classes)
    weights = torch.tensor(counts.sum() / 2 / counts, dtype=torch.float32)[batch.targets]
    torch.testing.assert_close(weighted.loss(model, batch, None)[0], (weights * nats).sum() / weights.sum())


def test_some_symbols_are_read_as_unknown_in_training_only(table):
    task, _ = opened(table, "text.unknown=0.5")
    inputs = task._opened.training.batch(np.arange(10)).inputs
    share = (task._disturbed(inputs) == task.vocabulary.unknown).float().mean()
    assert 0.3 < share < 0.7
    noisy, _ = opened(table)
    assert torch.equal(noisy._disturbed(inputs), inputs)


def test_vectors_are_standardised_by_the_training_data_alone(clips):
    task, model = opened(clips)
    values = np.concatenate(task._opened.training.sequences)
    torch.testing.assert_close(model.inputs.mean, torch.from_numpy(values.mean(0)))
    torch.testing.assert_close(model.inputs.deviation, torch.from_numpy(values.std(0)))
    _, plain = opened(clips, "vectors.standardise=false")
    assert plain.inputs.mean.eq(0).all()


def test_word_vectors_are_where_symbols_start_from(table, tmp_path):
    (tmp_path / "v.txt").write_text("fine 1 2 3\nunused 4 5 6\n")
    task, model = opened(table, f"model.symbols={tmp_path / 'v.txt'}", "model.symbols_fixed=true")
    weight = model.inputs.embedding.weight
    assert weight.shape[1] == task.width == 3 and not weight.requires_grad
    assert weight[task.vocabulary.symbols.index("fine")].tolist() == [1, 2, 3]


# -- measures and prediction -----------------------------------------------------------------------------------------


def test_validation_leaves_the_model_and_the_random_numbers_alone(table):
    task, model = opened(table, "model.dropout=0.5")
    before = torch.random.get_rng_state()
    measures = task.validate(model)
    assert task.validate(model) == measures and set(measures) == {"valid_nats", "valid_accuracy", "valid_macro_f1"}
    assert model.training and torch.equal(torch.random.get_rng_state(), before)
    assert measures["valid_nats"] == pytest.approx(math.log(2), abs=0.3)


def test_evaluation_measures_and_shows(table, tmp_path):
    task, model = opened(table, "split.test=0.25")
    found = task.evaluate(model, table)
    assert found["examples"] == 24 and isinstance(found["confusion"], Matrix) and isinstance(found["by_class"], Table)
    counts = np.array(found["confusion"].counts)
    assert found["accuracy"] == np.trace(counts) / 24 and counts.sum(1).tolist() == [8, 16]
    mistakes = found["mistakes"].rows
    assert len(mistakes) == min(20, 24 - np.trace(counts))
    assert task.evaluate(model, None)["examples"] == len(task._opened.test)


def test_answers_keep_the_order_and_blank_lines(table):
    task, model = opened(table)
    texts = ["a fine film", "", "a very dull and sad and poor film", "zebra"]
    answers = list(task.predict(model, lines(*texts)))
    rows = [answer.split("\t") for answer in answers]
    assert [row[-1] for row in rows] == texts and answers[1] == ""
    for row in (rows[0], rows[2], rows[3]):
        assert row[0] in ("good", "bad") and 0.5 <= float(row[1]) <= 1
    # A line's answer does not depend on its neighbours.
    assert list(task.predict(model, lines(texts[2]))) == [answers[2]]


def test_a_file_is_answered_piece_by_piece(table, tmp_path, monkeypatch):
    from recurra.data import text

    task, model = opened(table)
    (tmp_path / "new.txt").write_text("".join(f"a fine film {k}\n" for k in range(50)))
    whole = list(task.predict(model, tmp_path / "new.txt"))
    monkeypatch.setattr(text, "CHUNK", 64)
    assert list(task.predict(model, tmp_path / "new.txt")) == whole and len(whole) == 50
    first = next(task.predict(model, (block for block in [*lines("a film"), None])))
    assert first.endswith("a film")  # answered before the next block was looked at


def test_examples_of_vectors_are_answered_by_number(clips):
    task, model = opened(clips)
    answers = list(task.predict(model, clips, ["explain"]))
    assert [answer.split("\t")[2] for answer in answers] == [str(k) for k in range(40)]
    assert answers[0].split("\t")[3].startswith("1:")


def test_what_moved_a_decision_sums_up_to_the_log_odds_of_a_linear_model(table):
    """Of two classes the log-odds are the difference of the logits; without biases a linear model is its gradient."""
    task, model = opened(table, "model.kind=positions", "model.summary=mean")
    with torch.no_grad():
        model.body.bias.zero_()
        model.head.bias.zero_()
    (answer,) = task.predict(model, lines("a fine film"), ["explain"])
    label, _, _, pairs = answer.split("\t")
    symbols, weights = zip(*(pair.rsplit(":", 1) for pair in pairs.split()), strict=True)
    assert symbols == ("a", "fine", "film")
    ids = torch.from_numpy(task.vocabulary.encode("a fine film"))[None]
    chosen = task.classes.index(label)
    logits = model(ids, torch.tensor([3]))[0]
    assert sum(map(float, weights)) == pytest.approx((logits[chosen] - logits[1 - chosen]).item(), abs=0.02)


def test_the_report_has_its_findings(table, clips):
    task, model = opened(table)
    kinds = [type(one) for one in task.findings(model)]
    assert kinds[:2] == [Matrix, Table] and Marks in kinds
    marks = next(one for one in task.findings(model) if isinstance(one, Marks))
    assert all(len(text.symbols) == len(text.weights) for text in marks.texts)
    task, model = opened(clips)
    assert Matrix in [type(one) for one in task.findings(model)]


def test_options_that_do_not_exist_name_the_nearest(table):
    task, _ = opened(table)
    task.require_options(["explain"])
    with pytest.raises(ConfigError, match="did you mean 'explain'"):
        task.require_options(["explian"])
