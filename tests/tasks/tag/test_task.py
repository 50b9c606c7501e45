import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import NO_TARGET, DataError, Line
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Matrix, Table
from recurra.tasks.tag.answers import answer
from recurra.tasks.tag.config import TagConfig
from recurra.tasks.tag.task import Tagging
from recurra.training.config import build_config

NAMES = ("Anna", "Ben", "Cem", "Dora", "Eva", "Finn", "Gita", "Hugo")


def settings(data: Path | str, *words: str) -> TagConfig:
    small = ("model.hidden=8", "model.embedding=6", "model.dropout=0", "train.batch=4", "split.valid=0.25")
    return build_config(TagConfig, {"data": str(data)}, [*small, *words])


@pytest.fixture
def people(tmp_path) -> Path:
    """Names of one word or of two."""
    text = "".join(
        f"then\tO\n{first}\tB-per\n{f'{second}{chr(9)}I-per{chr(10)}' if k % 2 else ''}ran\tO\n.\tO\n\n"
        for k, first in enumerate(NAMES)
        for second in NAMES
    )
    path = tmp_path / "people.conll"
    path.write_text(text)
    return path


@pytest.fixture
def words(tmp_path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{a} {b} c\n" for a in ("ab", "xyz", "q") for b in ("de", "f", "ghij")))
    return path


@pytest.fixture
def frames(tmp_path) -> Path:
    random = np.random.default_rng(0)
    lengths = random.integers(2, 6, size=30)
    x = random.normal(size=(lengths.sum(), 3))
    np.savez(tmp_path / "frames.npz", x=4 + 2 * x, lengths=lengths, y=np.where(x[:, 0] > 1, -1, x[:, 0] > 0))
    return tmp_path / "frames.npz"


def opened(data: Path | str, *words: str) -> tuple[Tagging, torch.nn.Module]:
    task = Tagging.open(settings(data, *words))
    torch.manual_seed(0)
    return task, task.model()


def trained(data: Path | str, steps: int, *words: str) -> tuple[Tagging, torch.nn.Module]:
    task, model = opened(data, *words)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    stream = task.training_stream()
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model, stream.next() or stream.next(), None)[0].backward()
        optimizer.step()
    return task, model


def lines(*texts: str) -> list[list[Line]]:
    return [[Line(text, Path("in"), k) for k, text in enumerate(texts, 1)]]


# -- data ------------------------------------------------------------------------------------------------------------


def test_sentences_are_parted_and_their_tags_understood(people):
    task, _ = opened(people, "split.test=0.25")
    data = task._opened
    sizes = [len(part) for part in (data.training, data.validation, data.test)]
    assert sum(sizes) == 64 and min(sizes) >= 12
    shown = [{one.tokens for one in part.raw} for part in (data.training, data.validation, data.test)]
    assert not (shown[0] & shown[1] or shown[0] & shown[2] or shown[1] & shown[2])
    assert task.alphabet.tags == ["B-per", "I-per", "O"] and task.alphabet.scheme.name == "bio"
    assert (task.criterion, task.alphabet.cut, task.alphabet.kinds) == ("valid_f1", "words", {"per"})
    facts = task.describe()
    assert (facts["scheme"], facts["tags"], facts["training_sequences"], facts["longest"]) == ("bio", 3, sizes[0], 5)


def test_what_a_batch_holds(people):
    task, _ = opened(people, "model.pairs=4", "tokens.lowercase=true", "tokens.minimum_pairs=1")
    training = task._opened.training
    numbers = np.array([0, 3])
    batch = training.batch(numbers)
    read, sentences = batch.read, [training.raw[k] for k in numbers]
    assert read.lengths.tolist() == [len(one.tokens) for one in sentences]
    assert batch.tokens == sum(len(one.tokens) for one in sentences)
    alphabet = task.alphabet
    for row, sentence in enumerate(sentences):
        length = len(sentence.tokens)
        assert [alphabet.tokens.names[k] for k in read.inputs[row, :length]] == [t.lower() for t in sentence.tokens]
        assert [alphabet.tags[k] for k in batch.targets[row, :length]] == list(sentence.tags)
        assert (batch.targets[row, length:] == NO_TARGET).all()
        before, behind = ([alphabet.pairs.names[k] for k in read.pairs[row, :length, j]] for j in (0, 1))
        assert before[1:] == behind[:-1] and before[0].endswith(" then") and behind[-1].startswith(". ")
        spelt = [read.forms[k, : read.form_lengths[k]] for k in read.form_of[row, :length]]
        assert ["".join(alphabet.characters.names[c] for c in form) for form in spelt] == list(sentence.tokens)


def test_of_a_very_long_token_the_ends_are_spelt(people):
    task, _ = opened(people)
    long = "A" * 20 + "n" * 1000 + "a" * 20
    read = task.alphabet.read([[long, "Anna"]])
    spelt = [
        "".join(task.alphabet.characters.names[k] for k in form[:n])
        for form, n in zip(read.forms, read.form_lengths, strict=True)
    ]
    assert spelt == ["A" * 16 + "a" * 16, "Anna"]


def test_full_width_signs_and_digits_are_read_as_plain_ones(words):
    task, _ = opened(words, "tokens.digits=true")
    assert task.alphabet.normal("１９Ａ：a7") == ["0", "0", "A", ":", "a", "0"]


def test_segmented_text_is_read_by_characters_in_pairs(words):
    task, model = opened(words)
    assert (task.alphabet.cut, task.alphabet.characters, task.alphabet.kinds) == ("characters", None, set())
    assert task.alphabet.pairs is not None and model.field is not None
    assert not model.field.first[task.alphabet.tags.index("M")]


def test_tokens_met_once_are_hidden_now_and_then(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"rare{k}\tX\nand\tY\n\n" for k in range(40)))
    task, model = opened(path, "tokens.unknown=1", "model.characters=0", "split.valid=0.1")
    stream = task.training_stream()
    seen = []
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0].inputs))
    task.loss(model, stream.next(), None)
    names = {task.alphabet.tokens.names[k] for k in seen[0].flatten()}
    assert names == {"<unk>", "and"}


def test_tokens_start_from_word_vectors(people, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("Anna 1 2 3\nran 4 5 6\nelsewhere 7 8 9\n")
    task, model = opened(people, f"model.symbols={path}", "model.symbols_fixed=true")
    weight = model.inputs.symbol.embedding.weight
    assert weight.shape[1] == 3 and not weight.requires_grad
    numbers = task.alphabet.tokens.encode(["Anna", "ran", "Ben"])
    assert weight[numbers[:2]].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert 0 < weight[numbers[2]].abs().max() < 2  # of its own
    assert opened(people, f"model.symbols={path}")[1].inputs.symbol.embedding.weight.requires_grad
    # A run without its data, and without the file, has their width.
    task.save(tmp_path)
    path.unlink()
    again = Tagging.load(settings("gone", f"model.symbols={path}"), tmp_path).model()
    again.load_state_dict(model.state_dict())
    with pytest.raises(DataError, match="no file"):
        opened(people, f"model.symbols={path}")


def test_a_saved_task_needs_no_data(people, words, frames, tmp_path):
    for data in (people, words, frames):
        task, model = opened(data)
        task.save(tmp_path)
        loaded = Tagging.load(settings("gone"), tmp_path)
        assert {k: v.shape for k, v in loaded.model().state_dict().items()} == {
            k: v.shape for k, v in model.state_dict().items()
        }
        assert (loaded.alphabet.tags, loaded.criterion) == (task.alphabet.tags, task.criterion)
        assert loaded.commonest.tolist() == task.commonest.tolist()
        with pytest.raises(DataError, match="loaded from a run folder without its data"):
            loaded.training_stream()
    (tmp_path / "alphabet.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        Tagging.load(settings("gone"), tmp_path)


# -- loss and measures -----------------------------------------------------------------------------------------------


def test_a_new_model_knows_nothing_and_the_loss_is_a_mean_over_tags(people, frames):
    for data, classes in ((people, 3), (frames, 2)):
        task, model = opened(data, "model.output=softmax")
        loss, state = task.loss(model, task.training_stream().next(), None)
        assert loss.item() == pytest.approx(math.log(classes), abs=0.25) and state is None


def test_measures_of_a_tagger_that_is_never_right_or_always(people):
    task, model = opened(people, "model.output=softmax")
    task.commonest[:] = task.alphabet.tags.index("O")
    for parameter in model.parameters():
        parameter.data.zero_()
    model.output.bias.data[task.alphabet.tags.index("O")] = 9.0
    found = task.evaluate(model, None)
    assert (found["precision"], found["recall"], found["f1"], found["exact_records"]) == (0, 0, 0, 0)
    assert 0.5 < found["accuracy"] == found["baseline_accuracy"] < 0.9
    table = found["by_kind"]
    assert isinstance(table, Table) and table.rows[0][:4] == ["per", 0, 0, 0]
    assert isinstance(found["confusion"], Matrix)
    assert "[" in found["mistakes"].rows[0][0]

    task, model = trained(people, 150)
    found = task.evaluate(model, people)
    assert found["f1"] == found["exact_records"] == found["accuracy"] == 1.0
    assert found["sequences"] == 64 and "mistakes" not in found


def test_the_report_shows_sentences_and_what_they_say(people, words, frames):
    task, model = trained(people, 150)
    first, *others = task.findings(model)
    assert first.columns == ["sentence", "record"] and 5 <= len(first.rows) <= 10
    assert all(json.loads(record)["per"] in sentence for sentence, record in first.rows)
    assert {type(one) for one in others} == {Matrix, Table}
    task, model = opened(words)
    assert task.findings(model)[0].columns == ["sentence"]
    task, model = opened(frames)
    assert task.findings(model)[0].title == "Confusion matrix"


def test_frames_without_a_tag_are_left_out(frames):
    task, model = trained(frames, 150, "model.output=softmax")
    found = task.evaluate(model, frames)
    y = np.load(frames)["y"]
    assert found["tags"] == (y >= 0).sum() and found["accuracy"] > 0.9
    with pytest.raises(DataError, match="a random field needs them all"):
        opened(frames, "model.output=crf")


# -- prediction ------------------------------------------------------------------------------------------------------


def test_lines_are_tagged_and_made_records(people, tmp_path):
    task, model = trained(people, 150)
    answers = list(task.predict(model, lines("then Anna Ben ran.", "", "Cem ran .")))
    assert answers == ["then/O Anna/B-per Ben/I-per ran/O ./O", "", "Cem/B-per ran/O ./O"]
    records = task.predict(model, lines("then Anna  Ben ran.", "", "then Eva ran. then Hugo ran."), ["records"])
    assert [json.loads(one) if one else None for one in records] == [
        {"per": "Anna  Ben"},  # as it stands in the text
        None,
        {"per": ["Eva", "Hugo"]},
    ]


def test_columns_are_answered_in_columns_across_blocks(people, tmp_path):
    task, model = trained(people, 150)
    expected = ["then\tO", "Anna\tB-per", "ran\tO", "", "Ben\tB-per", "ran\tO", ""]
    blocks = [[Line(text, Path("in"), 1)] for text in ("then", "Anna", "ran", "", "Ben", "ran")]
    assert list(task.predict(model, blocks, ["columns"])) == expected
    (tmp_path / "new.conll").write_text("then\tO\nAnna\tO\nran\tO\n\nBen\tO\nran\tO\n")
    assert list(task.predict(model, tmp_path / "new.conll")) == expected
    assert [json.loads(one) for one in task.predict(model, tmp_path / "new.conll", ["records"])] == [
        {"per": "Anna"}, {"per": "Ben"},
    ]  # fmt: skip


def test_text_without_blanks_is_segmented(words):
    task, model = trained(words, 200)
    assert list(task.predict(model, lines("abdec", "", "xyzfc", "qghijc"))) == ["ab de c", "", "xyz f c", "q ghij c"]
    assert list(task.predict(model, lines("ab d ec"))) == ["ab d e c"]  # a blank parts words, whatever else
    with pytest.raises(DataError, match="--records groups spans by their kind"):
        list(task.predict(model, lines("abdec"), ["records"]))


def test_frames_are_tagged(frames):
    task, model = opened(frames)
    answers = list(task.predict(model, frames))
    assert [len(answer.split()) for answer in answers] == np.load(frames)["lengths"].tolist()
    with pytest.raises(DataError, match=r"give an \.npz file"):
        list(task.predict(model, lines("text")))


def test_a_file_is_answered_a_block_at_a_time(people, tmp_path, monkeypatch):
    task, model = opened(people)
    (tmp_path / "new.txt").write_text("Anna ran .\n" * 10)
    asked = []

    def noted(model, alphabet, sentences):
        asked.append(len(sentences))
        return answer(model, alphabet, sentences)

    monkeypatch.setattr("recurra.tasks.tag.task.answer", noted)
    monkeypatch.setattr("recurra.data.text.BLOCK", 4)
    answers = task.predict(model, tmp_path / "new.txt")
    assert next(answers).startswith("Anna/") and asked == [4]
    assert len(list(answers)) == 9 and asked == [4, 4, 2]


# -- what is wrong ---------------------------------------------------------------------------------------------------


def test_what_is_wrong_with_data_is_said(people, frames, tmp_path):
    bad = tmp_path / "bad.conll"
    for text, words, said in (
        ("a\tX\nb\tX\n", (), "one tag only, 'X'"),
        ("a\tB-x\nb\tO\n\nc\tO\nd\tI-x\n", ("split.valid=0.5",), "line 4, token 2 ('d'): I-x follows O, which"),
        ("a\tB-x\nb\tE-x\n\nc\tB-x\nd\tE-x\n", ("tokens.scheme=bio", "split.valid=0.5"), "'E-x' is no tag of"),
        (
            "a\tB-x\nb\tO\n\nc\tB-x\nd\tE-x\n",
            ("split.valid=0.5",),
            "O follows B-x, which the scheme bmes of these tags (told by E-x)",
        ),
        ("a\tB-x\nb\tI-x\n\nc\tO\nd\tB_x\n", ("split.valid=0.5",), "line 4, token 2: the tag 'B_x' is of another form"),
        ("a\tX\nb\tY\n", ("split.valid=0.1",), "leaves nothing"),
    ):
        bad.write_text(text)
        with pytest.raises(DataError) as error:
            opened(bad, *words)
        assert said in str(error.value)
    task, model = opened(people)
    bad.write_text("then\tO\nAnna\tB-place\n")
    with pytest.raises(DataError, match=r"bad.conll, line 1, token 2 \('Anna'\): the tag 'B-place' was never seen"):
        task.evaluate(model, bad)
    with pytest.raises(DataError, match="holds vectors, but the model was trained on sentences"):
        task.evaluate(model, frames)
    with pytest.raises(DataError, match="no data to learn from"):
        opened("")


def test_settings_that_exclude_each_other_are_refused():
    for word, said in (
        ("model.kind=feed", "is not one of"),
        ("model.feedback=true", "has a memory"),
        ("tokens.unknown=2", "out of range"),
        ("tokens.cut=tokens", "is not one of"),
    ):
        with pytest.raises(ConfigError, match=said):
            settings("x", word)
