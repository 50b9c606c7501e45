import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import NO_TARGET, DataError, Line
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Curves, Heatmap, Table
from recurra.tasks.translate.config import TranslateConfig
from recurra.tasks.translate.task import Translation
from recurra.training.config import build_config

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ZAHLEN = ("eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
SMALL = (
    "model.hidden=12", "model.embedding=8", "model.dropout=0", "train.batch=8", "split.valid=0.1", "optimizer.lr=0.02"
)  # fmt: skip


def settings(data: Path | str, *words: str) -> TranslateConfig:
    return build_config(TranslateConfig, {"data": str(data)}, [*SMALL, *words])


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Pairs of numbers in English and, the other way round, in German."""
    path = tmp_path / "numbers.tsv"
    pairs = [(a, b) for a in range(9) for b in range(9)]
    path.write_text("".join(f"{NUMBERS[a]}, {NUMBERS[b]}.\t{ZAHLEN[b]}, {ZAHLEN[a]}.\n" for a, b in pairs))
    return path


def opened(data: Path | str, *words: str) -> tuple[Translation, torch.nn.Module]:
    task = Translation.open(settings(data, *words))
    torch.manual_seed(0)
    return task, task.model()


def trained(data: Path | str, steps: int, *words: str) -> tuple[Translation, torch.nn.Module]:
    task, model = opened(data, *words)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    stream = task.training_stream()
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model, stream.next() or stream.next(), None)[0].backward()
        optimizer.step()
    return task, model.eval()


def lines(*texts: str) -> list[list[Line]]:
    return [[Line(text, Path("in"), k) for k, text in enumerate(texts, 1)]]


# -- data ------------------------------------------------------------------------------------------------------------


def test_no_source_stands_in_two_parts(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("".join(f"{NUMBERS[k % 9]} {k // 18}\tx{k}\n" for k in range(180)))
    data = opened(path, "split.test=0.2", "split.valid=0.2")[0]._opened
    parts = [{pair.source for pair in part.pairs} for part in (data.training, data.validation, data.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert [len(part) for part in (data.training, data.validation, data.test)] == [114, 30, 36]


def test_a_batch_holds_starts_ends_and_gaps(numbers):
    task, _ = opened(numbers)
    side = task.sides.target
    batch = task._opened.training.batch(np.array([0, 1]))
    assert batch.inputs[:, 0].tolist() == [1, 1]
    for row in range(2):
        length = int(batch.lengths[row])
        assert batch.targets[row, length - 1] == 2 and (batch.targets[row, length:] == NO_TARGET).all()
        assert batch.inputs[row, 1:length].tolist() == batch.targets[row, : length - 1].tolist()
        assert side.text(side.names(batch.targets[row].tolist())) == task._opened.training.pairs[row].target
    assert batch.tokens == int(batch.lengths.sum())
    per_sentence, _ = opened(numbers, "loss.per=sentence")
    assert per_sentence._opened.training.batch(np.array([0, 1])).tokens == 2
    assert per_sentence.loss_name == "sentence_nats" and per_sentence.criterion == "valid_sentence_nats"


def test_a_source_is_read_from_its_end_where_that_is_wanted(numbers):
    plain, back = (opened(numbers, f"text.reverse={word}")[0] for word in ("false", "true"))
    for one, other in zip(plain._opened.training.sources, back._opened.training.sources, strict=True):
        assert one[-1] == other[-1] == 2 and one[:-1].tolist() == other[:-1][::-1].tolist()


def test_rare_symbols_are_unknown_and_sides_may_be_joint(numbers):
    task, _ = opened(numbers, "text.maximum_size=6")
    assert len(task.sides.source) == len(task.sides.target) == 6 and not task.sides.joint
    joint, model = opened(numbers, "text.joint=true", "model.shared=true", "model.tied=true")
    assert joint.sides.joint and set(NUMBERS) | set(ZAHLEN) < set(joint.sides.source.symbols.names)
    assert model.encoder is not None
    with pytest.raises(ConfigError, match=r"model.shared=true: .*text.joint=true"):
        opened(numbers, "model.shared=true")


def test_pairs_that_do_not_fit(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("a b\tc\na b c d\te\nf\tg\nh\ti\n")
    with pytest.raises(DataError, match=r"p.tsv, line 2: the source has 4 symbols, but text.longest=3; raise it"):
        opened(path, "text.longest=3", "split.valid=0.3")
    task, _ = opened(path, "text.longest=3", "text.unfit=skip", "split.valid=0.3")
    assert len(task._opened.training) + len(task._opened.validation) == 3
    with pytest.raises(DataError, match="every pair is longer than 1 symbols"):
        path.write_text("a b\tc\nd e\tf g\n")
        opened(path, "text.longest=1", "text.unfit=skip", "split.valid=0.5")
    with pytest.raises(DataError, match="leaves nothing for one of the two parts"):
        opened(path, "split.valid=0.1")


# -- packages that may be missing ------------------------------------------------------------------------------------


def test_without_sacrebleu_it_is_said_and_left_out(numbers, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(DataError, match=r"needs the package sacrebleu.*pip install 'recurra\[translate\]'"):
        opened(numbers, "score.criterion=bleu")
    task, model = opened(numbers)
    figures = task.evaluate(model, None)
    assert "bleu" not in figures and "exact" in figures
    assert "left out" in caplog.text and "recurra[translate]" in caplog.text


def test_pieces_are_kept_in_the_run_folder(numbers, tmp_path):
    pytest.importorskip("tokenizers")
    task, _ = opened(numbers, "text.level=bpe", "text.pieces=60", "text.joint=true")
    task.save(tmp_path)
    again = Translation.load(task.config, tmp_path)
    assert again.sides.joint and again.sides.fingerprint() == task.sides.fingerprint()
    assert again.sides.source.tokenizer.cut("seven, nine.") == task.sides.source.tokenizer.cut("seven, nine.")


def test_damaged_and_foreign_vocabularies_are_refused(numbers, tmp_path):
    task, model = opened(numbers)
    other, _ = opened(numbers, "text.maximum_size=6")
    names = task.sides.target.symbols.names
    task.save(tmp_path)
    content = json.loads((tmp_path / "vocabulary.json").read_text())
    content["target"]["symbols"] = [*names[:3], *names[:2:-1]]  # as many, in another order
    (tmp_path / "vocabulary.json").write_text(json.dumps(content))
    foreign = Translation.load(task.config, tmp_path)
    with pytest.raises(DataError, match=r"vocabulary.json belongs to another run than model"):
        list(foreign.predict(model, lines("one, two.")))
    with pytest.raises(DataError, match="belongs to another run"):
        other.validate(model)
    for damage in ("{", "[]", '{"format": "x"}'):
        (tmp_path / "vocabulary.json").write_text(damage)
        with pytest.raises(DataError, match=r"vocabulary.json is damaged .*restore it"):
            Translation.load(task.config, tmp_path)


# -- translating -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> tuple[Translation, torch.nn.Module]:
    path = tmp_path_factory.mktemp("data") / "numbers.tsv"
    pairs = [(a, b) for a in range(9) for b in range(9)]
    path.write_text("".join(f"{NUMBERS[a]}, {NUMBERS[b]}.\t{ZAHLEN[b]}, {ZAHLEN[a]}.\n" for a, b in pairs))
    return trained(path, 250, "model.hidden=32", "split.test=0.1", "score.baseline=words")


def test_it_learns_to_change_words_and_their_order(learnt):
    task, model = learnt
    figures = task.evaluate(model, None)
    assert figures["exact"] > 0.85 and figures["bleu"] > 85 and figures["sentences_per_second"] > 0
    assert figures["baseline_exact"] < 0.3 and figures["baseline_token_accuracy"] > 0.3  # it cannot change the order
    signatures = figures["how_it_was_measured"]
    assert isinstance(signatures, Table) and "tok:13a" in str(signatures.rows)
    picture = figures["alignment_1"]
    assert isinstance(picture, Heatmap) and len(picture.values) == len(picture.rows) == 4
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in picture.values)
    kinds = {type(one) for one in task.findings(model)}
    assert kinds >= {Heatmap, Table}
    assert set(task.validate(model)) == {
        "valid_nats", "valid_exact", "valid_token_accuracy", "valid_bleu", "valid_chrf"
    }  # fmt: skip
    assert "→" in task.sample(model, 0)


def test_lines_are_answered_one_by_one(learnt):
    task, model = learnt
    assert list(task.predict(model, lines("four, nine.", " ", "one, six."))) == ["neun, vier.", "", "sechs, eins."]

    def typed():
        yield lines("two, eight.")[0]
        raise AssertionError("asked for before the first line was answered")

    assert next(iter(task.predict(model, typed()))) == "acht, zwei."


def test_nbest_attention_and_symbols(learnt):
    task, model = learnt
    rows = [line.split("\t") for line in task.predict(model, lines("four, nine."), ["nbest"])]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"] and rows[0][3] == "neun, vier."
    scores = [float(row[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    table = list(task.predict(model, lines("four, nine."), ["attention"]))
    assert table[0] == "neun, vier." and table[1].startswith("neun │") and table[5].split() == ["f", "￭", "n", "￭", "∎"]
    assert list(task.predict(model, lines("neun, vier."), ["symbols"])) == ["neun ￭, vier ￭."]
    (picture,) = task.pictures(model, lines("four, nine.", " "))
    assert (picture.title, picture.note, list(picture.columns)) == (
        "four, nine.", "neun, vier.", ["four", "￭,", "nine", "￭.", "∎"]
    )  # fmt: skip
    assert picture.values[0][2] == max(picture.values[0])  # neun looks at nine
    without = opened(settings_path(task), "attention.score=none")
    with pytest.raises(ConfigError, match="trained without"):
        list(without[0].predict(without[1], lines("one"), ["attention"]))
    with pytest.raises(ConfigError, match="trained without"):
        without[0].pictures(without[1], lines("one"))


def test_what_a_translation_must_hold_and_must_not(learnt):
    task, model = learnt

    def translated(*words: str, text: str = "four, nine.", options: tuple[str, ...] = ()) -> str:
        task.config.decode = build_config(TranslateConfig, {}, words).decode
        try:
            return next(iter(task.predict(model, lines(text), options)))
        finally:
            task.config.decode = before

    before = task.config.decode
    for beam in (1, 3):
        width = f"decode.beam={beam}"
        assert translated(width) == "neun, vier."
        assert not {"neun", "vier"} & set(translated(width, "decode.forbidden=neun,vier").replace(",", ".").split("."))
        assert len(task.sides.target.tokenizer.cut(translated(width, "decode.minimum=7"))) >= 7
        assert "acht." in translated(width, "decode.required=acht.")
        both = translated(width, "decode.required=drei,acht.")
        assert "drei" in both and "acht." in both
        found = translated(width, text="four, nine.\tacht, eins\tzwei", options=("required",))
        assert "acht, eins" in found and "zwei" in found
    for words, text, said in (
        (["decode.forbidden=nuen"], "one", "decode.forbidden: the model writes no 'nuen'; did you mean 'neun'"),
        (["decode.minimum=40"], "one", "decode.minimum=40 is more than the 22 symbols that decode.maximum allows"),
        ([], "one\tzehn", "in, line 1: the model writes no 'zehn'"),
    ):
        with pytest.raises(ConfigError, match=said):
            translated(*words, text=text, options=("required",))


def settings_path(task: Translation) -> str:
    return task.config.data


def test_unknown_words_are_taken_from_the_source(learnt):
    task, model = learnt
    translator = task._translator(model)
    found = translator.search([["four", "￭,", "nine", "￭."]], task.config.decode)[0][0]
    assert found.attention is not None and found.attention.shape == (4, 5)
    side, decode = task.sides.target, build_config(TranslateConfig, {}, ["decode.replace=true"]).decode
    names = list(side.symbols.names)
    place = names.index("neun")
    side.symbols.names[place] = "<unk>"
    try:
        replaced = translator.search([["four", "￭,", "nine", "￭."]], decode)[0][0]
    finally:
        side.symbols.names[:] = names
    assert replaced.symbols[0] == found.source[found.attention[0, :-1].argmax()]


def test_validation_and_use_put_the_same_in_place_of_the_unknown(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("".join(f"{one} x\t{one} x\n" for one in "abcdefgh"))
    words = ("split.valid=0.3", "text.minimum_count=2", "model.hidden=8")
    task, model = opened(path, *words, "decode.replace=true")
    with torch.no_grad():  # a model that says <unk> and ends
        model.output.bias.fill_(-99)
        model.output.bias[task.sides.target.symbols.names.index("<unk>")] = 0
    assert "<unk>" not in task.sample(model, 0)
    plain, _ = opened(path, *words)
    assert "<unk>" in plain.sample(model, 0)


def test_probabilities_are_those_of_the_search(learnt):
    task, model = learnt
    found = task._translator(model).search([["four", "￭,", "nine", "￭."]], task.config.decode)[0]
    whole = task.log_probabilities(model, ["four, nine."] * len(found), [one.text for one in found])
    assert whole == pytest.approx([one.log_probability for one in found], abs=1e-3)


def test_settings_of_use_that_contradict(learnt):
    task, model = learnt
    translator = task._translator(model)
    with pytest.raises(ConfigError, match=r"decode.nbest=3 is more than decode.beam=2"):
        translator.search([["one"]], build_config(TranslateConfig, {}, ["decode.beam=2", "decode.nbest=3"]).decode)
    without, bare = opened(task.config.data, "attention.score=none")
    with pytest.raises(ConfigError, match=r"decode.replace needs a model with attention: set attention.score"):
        opened(task.config.data, "attention.score=none", "decode.replace=true")
    with pytest.raises(ConfigError, match=r"decode.replace needs a model with attention"):
        decode = build_config(TranslateConfig, {}, ["decode.replace=true"]).decode
        without._translator(bare).search([["one"]], decode)
    with pytest.raises(ConfigError, match=r"--rerank needs a model of the other direction: .*decode.reverse="):
        list(task.predict(model, lines("one"), ["rerank"]))


def test_several_references_of_one_source(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("go\tgeh\ngo\tlos\nrun\tlauf\nstop\thalt\n")
    task, model = opened(path, "score.together=true", "split.valid=0.3")
    (tmp_path / "t.tsv").write_text("go\tgeh\ngo\tlos\nrun\tlauf\n")
    figures = task.evaluate(model, tmp_path / "t.tsv")
    assert figures["sentences"] == 2
    task.config.score.together = False
    assert task.evaluate(model, tmp_path / "t.tsv")["sentences"] == 3


@pytest.mark.parametrize(
    "words",
    [
        ("attention.score=none", "model.bridge=both", "model.context=all"),
        ("attention.score=dot", "attention.place=after", "attention.feeding=true"),
        ("attention.score=general", "attention.place=after", "attention.window=2"),
        ("attention.score=concat", "attention.coverage=true", "model.cell=lstm", "model.layers=2"),
        ("attention.score=scaled", "model.normalise=true", "model.readout=8", "model.tied=true"),
        ("sampling.schedule=linear", "loss.smoothing=0.1", "loss.per=sentence", "text.reverse=true"),
        ("model.bidirectional=false", "model.bridge=input", "model.context=last", "train.tokens=60"),
    ],
)
def test_every_kind_of_model_can_be_trained_and_used(numbers, words):
    task, model = trained(numbers, 3, *words)
    assert np.isfinite(next(iter(task.validate(model).values())))
    assert len(list(task.predict(model, lines("one, two.", "")))) == 2


def test_curves_over_lengths(tmp_path):
    path = tmp_path / "p.tsv"
    rows = ((" ".join(NUMBERS[: 1 + k % 8]), " ".join(ZAHLEN[: 1 + k % 8])) for k in range(400))
    path.write_text("".join(f"{source} {k}\t{target}\n" for k, (source, target) in enumerate(rows)))
    task, model = opened(path, "split.test=0.3", "score.criterion=exact")
    figures = task.evaluate(model, None)
    assert isinstance(figures["length_curve"], Curves) and figures["by_length"].title == "Exact by length of the source"
    assert sum(row[1] for row in figures["by_length"].rows) == figures["sentences"]
