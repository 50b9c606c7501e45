from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import DataError, Line
from recurra.tasks.answer.config import AnswerConfig
from recurra.tasks.answer.task import Answering
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Curves, Marks, Table
from recurra.training.config import build_config

PEOPLE, COLOURS = ("Ann", "Ben", "Cleo", "Dan"), ("red", "blue", "green")


def settings(data: Path | str, *words: str) -> AnswerConfig:
    small = ("model.hidden=8", "model.embedding=6", "train.batch=4")
    return build_config(AnswerConfig, {"data": str(data)}, [*small, *words])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        f"{a} wears {one}. {b} wears {other}.\tWhat does {a} wear?\t{one}"
        for a in PEOPLE
        for b in PEOPLE
        if a != b
        for one in COLOURS
        for other in COLOURS
    ]
    path = tmp_path / "wear.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_questions_become_batches(table):
    task = Answering.open(settings(table, "split.test=0.2"))
    facts = task.describe()
    assert facts["known_answers"] == 3 and facts["known_words"] == 1 + 4 + 3 + 6  # what they wear, and `.` and `?`
    assert facts["training_questions"] + facts["validation_questions"] + facts["test_questions"] == 108
    batch = task.training_stream().next()
    assert batch.questions.passages.shape == (4, 8) and batch.tokens == 4
    assert batch.questions.question_lengths.tolist() == [5] * 4 and batch.questions.forms is None
    torch.manual_seed(0)
    loss, state = task.loss(task.model(), batch, None)
    assert loss.item() == pytest.approx(np.log(3), abs=0.6) and state is None


def test_an_answer_is_pointed_at_where_it_stands_first(table):
    task = Answering.open(settings(table, "model.answer=pointed"))
    batch = task.training_stream().next()
    for read, forms, target in zip(batch.questions.passages, batch.questions.forms, batch.targets, strict=True):
        answer = task.lexicon.words.names[read[target]]
        assert answer in COLOURS and forms[target] == target
        assert all(task.lexicon.words.names[read[k]] != answer for k in range(int(target)))
    task.loss(task.model(), batch, None)[0].backward()


def test_guesses_know_nothing_of_the_passage(tmp_path, table):
    more = "".join(f"{person} wears a hat.\tWhat is it?\that\n" for person in PEOPLE * 30)
    table.write_text(table.read_text() + more)
    task = Answering.open(settings(table, "split.valid=0.2"))
    test = tmp_path / "test.tsv"
    test.write_text(
        "Zoe wears a hat.\tWhat is it?\that\n"  # the commonest answer, to the question, and in the passage
        "Zoe wears red.\tWhat is this?\tred\n"  # the last answer of the passage
        "Zoe wears yellow.\tWhat is it?\tyellow\n"  # never met in training: a mistake of all
    )
    figures = task.evaluate(task.model(), test)
    assert figures["examples"] == 3 and figures["accuracy"] <= 2 / 3
    assert figures["commonest_accuracy"] == figures["question_only_accuracy"] == pytest.approx(1 / 3)
    assert figures["last_mentioned_accuracy"] == pytest.approx(2 / 3)
    assert np.isfinite(figures["nats"])


def test_a_report_shows_what_was_looked_at(table):
    task = Answering.open(settings(table, "model.looks=3"))
    marks, best, mistakes = task.findings(task.model())  # all passages are of one length: nothing to tell by it
    assert isinstance(marks, Marks) and isinstance(best, Table) and isinstance(mistakes, Table)
    assert best.rows[0][-1] >= best.rows[-1][-1] and all(row[2] != row[3] for row in mistakes.rows)
    assert len(marks.texts) % 3 == 0 and "look 1" in marks.texts[0].caption
    for text in marks.texts:
        assert len(text.symbols) == len(text.weights) == 8
        assert sum(text.weights) == pytest.approx(1, abs=1e-3)


def test_accuracy_by_the_length_of_the_passage(tmp_path):
    path = tmp_path / "long.tsv"
    stories = []
    for k in range(300):
        who, colour = ("Ben", "blue") if k % 5 else ("Ann", "red")
        stories.append("Ann wears red. " * (1 + k % 6) + f"Ben wears blue {k}.\tWhat does {who} wear?\t{colour}")
    path.write_text("\n".join(stories) + "\n")
    task = Answering.open(settings(path, "split.valid=0.4"))
    found = {type(one): one for one in task.findings(task.model()) if "by length" in one.title}
    assert found[Table].title == found[Curves].title == "Accuracy by length of the passage"
    assert sum(row[1] for row in found[Table].rows) == task.describe()["validation_questions"]
    assert [row[2] for row in found[Table].rows] == [y for _, y in found[Curves].curves[0].points]


@pytest.mark.parametrize("score", ["dot", "scaled"])
def test_what_compares_states_of_like_width_needs_them(table, score):
    with pytest.raises(ConfigError, match=rf"model\.attention={score} .* set model\.bidirectional=false"):
        settings(table, f"model.attention={score}")
    task = Answering.open(settings(table, f"model.attention={score}", "model.bidirectional=false"))
    assert 0 <= task.validate(task.model())["valid_accuracy"] <= 1


def test_saved_and_loaded_it_answers_alike(tmp_path, table):
    task = Answering.open(settings(table))
    model = task.model().eval()
    task.save(tmp_path)
    again = Answering.load(task.config, tmp_path)
    assert again.lexicon == task.lexicon
    lines = [Line("Ann wears red. Ben wears blue.\tWhat does Ann wear?", Path("x"), 1), Line("", Path("x"), 2)]
    first, second = (list(one.predict(model, [lines], ["attention"])) for one in (task, again))
    assert first == second and first[1] == ""
    answer, probability, question, *looks = first[0].split("\t")
    assert answer in COLOURS and 0 < float(probability) <= 1 and question == "What does Ann wear?" and len(looks) == 2
    torch.testing.assert_close(
        sum(float(word.rpartition(":")[2]) for word in looks[0].split()), 1.0, rtol=0, atol=0.06 * 8
    )
    with pytest.raises(DataError, match="without its data"):
        again.training_stream()
    (tmp_path / "lexicon.json").write_text("{}")
    with pytest.raises(DataError, match=r"lexicon.json is damaged"):
        Answering.load(task.config, tmp_path)


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        ("Ann runs.\tWho?\tAnn\n" * 9, (), "has one answer only, 'Ann'"),
        (
            "Ann runs.\tWho?\tBen\n" * 9,
            ("model.answer=pointed",),
            "line [1-9]: the answer 'Ben' is no word of its pass",
        ),
        (
            "Ann runs.\tWho?\tAnn\n" * 9,
            ("text.longest=2",),
            "line [1-9]: the passage has 3 words, but text.longest is 2",
        ),
        ("".join(f"Ann has {k}.\tWhat?\t{k}\n" for k in range(99)), (), "with model.answer=pointed"),
    ],
)
def test_what_cannot_be_learnt_is_named(tmp_path, rows, words, said):
    path = tmp_path / "bad.tsv"
    lines = rows.splitlines()
    path.write_text("\n".join(line.replace("runs", f"runs {k}", 1) if k else line for k, line in enumerate(lines)))
    with pytest.raises(DataError, match=said):
        Answering.open(settings(path, *words))


def test_settings_out_of_range_are_named(table):
    for word, said in (
        ("model.answer=guessed", "is not one of known, pointed"),
        ("model.looks=0", "model.looks=0 is out of range"),
        ("text.cut=sentences", "is not one of auto, words, characters"),
    ):
        with pytest.raises(ConfigError, match=said):
            settings(table, word)
    with pytest.raises(DataError, match="there is no builtin:storeis of asked data; did you mean builtin:stories"):
        Answering.open(settings("builtin:storeis"))


def test_texts_without_blanks_are_cut_into_characters(tmp_path):
    path = tmp_path / "zh.tsv"
    path.write_text("".join(f"{a}在{b}里。\t{a}在哪里?\t{b}\n" for a in "甲乙丙丁戊" for b in "家店山"))
    task = Answering.open(settings(path, "model.answer=pointed"))
    assert task.lexicon.cut == "characters" and task.lexicon.parted("甲 在家") == ["甲", "在", "家"]
