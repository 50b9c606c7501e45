import json
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import DataError, Line, midi_bytes
from recurra.tasks.config import ConfigError
from recurra.tasks.describe import sets
from recurra.tasks.describe.config import DecodeConfig, DescribeConfig
from recurra.tasks.describe.scoring import shuffled
from recurra.tasks.describe.task import Describing
from recurra.tasks.findings import Curves, Heatmap, Maps, Table
from recurra.training.config import build_config

COLOURS = ("red", "green", "blue")


def settings(data: Path | str, *words: str) -> DescribeConfig:
    small = ("model.hidden=24", "model.embedding=8", "model.cell=gru", "train.batch=8", "split.valid=0.2")
    return build_config(DescribeConfig, {"data": str(data)}, [*small, *words])


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Words of two languages: of one only a and b, of the other only c and d."""
    draw = np.random.default_rng(0)
    for name, letters in (("low", "ab"), ("high", "cd")):
        lines = sorted({"".join(draw.choice(list(letters), size=draw.integers(2, 6))) for _ in range(60)})
        (tmp_path / "words").mkdir(exist_ok=True)
        (tmp_path / "words" / f"{name}.txt").write_text("\n".join(lines))
    return tmp_path / "words"


@pytest.fixture
def grids(tmp_path: Path) -> Path:
    """Grids of four cells, one of which has a colour: what is said names colour and cell."""
    draw, things, texts = np.random.default_rng(0), [], []
    for _ in range(60):
        cell, colour = draw.integers(4), draw.integers(3)
        grid = draw.normal(scale=0.05, size=(4, 7))
        grid[:, :4] += np.eye(4)
        grid[cell, 4 + colour] += 1
        things.append(grid)
        texts.append(f"a {COLOURS[colour]} thing at {cell}")
    split = np.array(["train"] * 40 + ["dev"] * 10 + ["test"] * 10)
    np.savez(tmp_path / "grids.npz", x=np.array(things), y=np.array(texts), split=split)
    return tmp_path / "grids.npz"


@pytest.fixture
def ramps(tmp_path: Path) -> Path:
    """A number, and eight values that rise by it."""
    slopes = np.random.default_rng(0).uniform(-0.2, 0.2, size=60)
    np.savez(tmp_path / "ramps.npz", x=slopes[:, None], y=slopes[:, None] * np.arange(8))
    return tmp_path / "ramps.npz"


@pytest.fixture
def scales(tmp_path: Path) -> Path:
    """Two keys that sound together and go up or down from where they begin, for seven to ten frames."""
    draw = np.random.default_rng(0)
    x, y, lengths = [], [], draw.integers(7, 11, size=60)
    for length in lengths:
        way, begin = draw.integers(2), draw.integers(4)
        x.append([*np.eye(2)[way], *np.eye(4)[begin]])
        keys = (3 * begin + (1 - 2 * way) * np.arange(length)) % 12
        y.append(np.eye(12)[keys] + np.eye(12)[(keys + 4) % 12])
    frames, names = np.concatenate(y).astype(np.uint8), np.array(["up", "down", "c", "e", "f", "a"])
    np.savez(tmp_path / "scales.npz", x=np.array(x), y=frames, lengths=lengths, columns=names)
    return tmp_path / "scales.npz"


def opened(data: Path | str, *words: str) -> tuple[Describing, torch.nn.Module]:
    task = Describing.open(settings(data, *words))
    torch.manual_seed(0)
    return task, task.model()


def trained(data: Path | str, steps: int, *words: str) -> tuple[Describing, torch.nn.Module]:
    task, model = opened(data, *words)
    optimizer, stream = torch.optim.Adam(model.parameters(), lr=0.01), task.training_stream()
    for _ in range(steps):
        batch = stream.next() or stream.next()
        loss, _ = task.loss(model, batch, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return task, model.eval()


def line(text: str, number: int = 1) -> Line:
    return Line(text, Path("some.txt"), number)


@pytest.mark.parametrize("fed", ["first", "every", "state"])
def test_words_of_a_class_are_of_its_letters(words: Path, fed: str):
    task, model = trained(words, 120, f"model.fed={fed}")
    found = list(task.predict(model, [[line("low"), line(""), line("high"), line("low")]]))
    assert found[1] == "" and set(found[0] + found[3]) <= set("ab") and set(found[2]) <= set("cd")
    figures = task.evaluate(model, None)
    table = figures["by_class"]
    assert isinstance(table, Table) and [row[0] for row in table.rows] == ["high", "low"] and figures["drawn"] == 200
    known = {text for part in (task._opened.training,) for text in part.data.texts}
    news = [text for row in table.rows for text in str(row[-1]).split(", ") if text]
    assert 0 < figures["new"] < 1 and not known & set(news)


class Judge:
    """A classifier that knows the letters."""

    name, classes = "classify", ("high", "low")

    def predict(self, model, source, options=()):
        for block in source:
            for one in block:
                yield f"{'low' if set(one.text) <= set('ab') else 'high'}\t1.0\t{one.text}"


def test_a_classifier_judges_what_is_drawn(words: Path):
    task, model = trained(words, 120, "decode.classifier=runs/judge", "decode.draws=40")
    assert task.companions() == {"decode.classifier": "runs/judge"}
    judge = Judge()
    task.accompany("decode.classifier", judge, torch.nn.Identity())
    figures = task.evaluate(model, None)
    assert figures["named_back"] > 0.95 and figures["named_back_new"] > 0.9
    judge.classes = ("high",)
    with pytest.raises(ConfigError, match="does not know the class 'low'"):
        task.accompany("decode.classifier", judge, torch.nn.Identity())
    judge.name = "lm"
    with pytest.raises(ConfigError, match="a model of the task lm"):
        task.accompany("decode.classifier", judge, torch.nn.Identity())


@pytest.mark.parametrize("attention", ["additive", "general"])
def test_sentences_name_what_a_grid_shows(grids: Path, attention: str, tmp_path: Path):
    pytest.importorskip("sacrebleu", reason="BLEU is measured with sacreBLEU, an extra")
    task, model = trained(grids, 200, f"model.attention={attention}", "model.fed=state", "model.mapped=16")
    figures = task.evaluate(model, None)
    assert figures["bleu_4"] > 80 > 60 > figures["shuffled_bleu_4"] and figures["things"] == 10
    assert figures["nats"] + 0.3 < figures["shuffled_nats"] and figures["texts_per_second"] > 0
    looks = figures["attention"]
    assert isinstance(looks, Maps) and np.shape(looks.values)[1:] == (2, 2) and looks.captions[0] == "a"
    best, worst = figures["best"], figures.get("worst")
    assert isinstance(best, Table) and best.rows[0][1] == best.rows[0][2]
    assert worst is None or all(written != said for _, written, said in worst.rows)
    arrays = np.load(grids)
    np.savez(tmp_path / "new.npz", x=arrays["x"][50:])
    assert sum(map(str.__eq__, task.predict(model, tmp_path / "new.npz"), arrays["y"][50:].tolist())) >= 7
    with pytest.raises(DataError, match=r"some\.txt, line 3.*no line holds"):
        list(task.predict(model, [[line("1 2 3", 3)]]))


def test_the_best_texts_of_a_thing_are_listed(grids: Path, ramps: Path, words: Path):
    task, model = opened(grids, "model.attention=additive")
    thing = np.load(grids)["x"][:1].astype(np.float32)
    task.config.decode = DecodeConfig(beam=4, nbest=3, coverage_penalty=0.4)
    (lines,) = task._answers(model, thing, 0, ["nbest"])
    ranks, scores, logs, texts = zip(*(one.split("\t") for one in lines), strict=True)
    assert ranks == ("1", "2", "3") and len(set(texts)) == 3
    assert list(map(float, scores)) == sorted(map(float, scores), reverse=True)
    assert all(float(score) <= float(log) <= 0 for score, log in zip(scores, logs, strict=True))
    assert list(task._answers(model, thing, 0, [])) == [[texts[0]]]
    blind, model = opened(grids, "model.attention=none", "decode.coverage_penalty=0.1")
    with pytest.raises(ConfigError, match=r"decode\.coverage_penalty needs attention"):
        list(blind._answers(model, thing, 0, []))
    drawn, model = opened(words)
    with pytest.raises(ConfigError, match=r"decode\.nbest is for texts that are searched for"):
        list(drawn.predict(model, [[line("low")]], ["nbest"]))
    values, model = opened(ramps)
    with pytest.raises(ConfigError, match=r"--nbest lists texts, and this model writes values"):
        list(values.predict(model, [[line("0.5")]], ["nbest"]))
    with pytest.raises(ConfigError, match=r"decode\.nbest=4 is more than decode\.beam=3"):
        DecodeConfig(nbest=4)


def test_the_best_sentences_may_be_those_of_the_highest_bleu(grids: Path, words: Path):
    pytest.importorskip("sacrebleu", reason="BLEU is sacreBLEU's, an extra")
    task, model = trained(grids, 60, "score.criterion=bleu", "score.things=4")
    before = opened(grids, "score.criterion=bleu")[1]
    assert task.criterion == "valid_bleu"
    assert task.validate(model)["valid_bleu"] > 30 > task.validate(before)["valid_bleu"]
    with pytest.raises(ConfigError, match="bleu is for texts about features"):
        Describing.open(settings(words, "score.criterion=bleu"))


def test_all_that_is_said_of_a_thing_goes_to_one_other(grids: Path):
    data = opened(grids)[0]._opened.test.data
    others = shuffled(data, 3)
    assert (others != data.of).all() and sorted(others) == sorted(data.of)


def test_values_follow_from_the_models_own(ramps: Path):
    task, model = trained(ramps, 200, "model.fed=every")
    figures = task.evaluate(model, None)
    assert figures["mse"] < 0.05 * figures["baseline_mse"]
    assert isinstance(figures["worst_curve"], Curves) and len(figures["worst_curve"].curves) == 2
    found = [float(value) for value in next(task.predict(model, [[line("0.1")]])).split()]
    np.testing.assert_allclose(found, 0.1 * np.arange(8), atol=0.15)
    assert set(task.validate(model)) == {"valid_mse_of_a_step", "valid_mse"} and task.criterion == "valid_mse"


def test_sets_of_labels_follow_from_a_thing(scales: Path, tmp_path: Path):
    task, model = trained(scales, 250, "model.frames=labels", "split.test=0.2")
    assert (task.unit, task.loss_name, task.criterion) == ("frame", "nats", "valid_nats")
    frequencies = np.concatenate(task._opened.training.sequences).mean(0)
    assert task.model().output.linear.bias.sigmoid().tolist() == pytest.approx(frequencies.tolist(), abs=1e-3)
    figures = task.evaluate(model, None)
    assert figures["f1"] > 0.9 and figures["written_f1"] > 0.8 and min(figures["precision"], figures["recall"]) > 0.85
    assert figures["nats"] < 0.4 * figures["baseline_nats"] and figures["shuffled_nats"] > 1.5 * figures["nats"]
    assert isinstance(figures["truth"], Heatmap) and figures["truth"].rows[0] == "11"
    assert set(task.validate(model)) == {"valid_nats", "valid_f1"}
    assert task.evaluate(model, scales)["sequences"] == 60

    up, down = task.predict(model, [[line("up e"), line("0 1 0 1 0 0")]])
    assert len(up.split()) == len(down.split()) == 10
    assert (up.split()[0], down.split()[0]) == ("3+7", "3+7") and (up.split()[1], down.split()[1]) == ("4+8", "2+6")
    (picture,) = task.pictures(model, [[line("up e")]])
    assert isinstance(picture, Heatmap) and [row[0] for row in picture.values[::-1]].count(1) == 2
    (tmp_path / "out.npz").write_bytes(task.predicted(model, [[line("up e"), line("down e")]], (), Path("o.npz")))
    found = np.load(tmp_path / "out.npz")["y"]
    assert found.shape == (2, 10, 12) and found.dtype == np.uint8 and np.flatnonzero(found[1, 1]).tolist() == [2, 6]
    task.config.decode.way, task.config.decode.steps = "sample", 5
    drawn = list(task.predict(model, [[line("up e")] * 6]))
    assert {len(one.split()) for one in drawn} == {5} and len(set(drawn)) > 1
    assert drawn == list(task.predict(model, [[line("up e")] * 6]))


def test_music_is_a_file_of_its_own():
    decode = build_config(DescribeConfig).decode
    frames = np.zeros((1, 4, 88))
    frames[0, :2, 39] = 1
    assert sets.file_of(frames, decode, Path("a.txt"), sets=True) == b"C4\nC4\n-\n-\n"
    assert sets.file_of(frames, decode, Path("a.mid"), sets=True) == midi_bytes(frames[0], 0.5, 100.0)
    for given, name, kind, said in (
        (frames, "a.wav", True, "a.wav: frames are written to .npz"),
        (frames, "a.mid", False, "music has model.frames=labels"),
        (frames[:, :, :12], "a.mid", True, "but these frames have 12 columns"),
        (np.repeat(frames, 2, 0), "a.mid", True, "one piece, but 2 things"),
    ):
        with pytest.raises(ConfigError, match=said):
            sets.file_of(given, decode, Path(name), sets=kind)


def test_what_is_no_set_of_labels_is_said(scales: Path, ramps: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"ramps\.npz: `y` holds .* at sequence 0, step 1, column 0 .*expects 0"):
        opened(ramps, "model.frames=labels")
    task, model = opened(scales, "model.frames=labels")
    arrays = dict(np.load(scales))
    for change, said in (
        ({"y": arrays["y"] * 2}, r"holds 2 at sequence 0, step 0"),
        ({"y": arrays["y"][:, :5]}, "values of another kind"),
        ({"lengths": arrays["lengths"][1:]}, "with the sum"),
        ({"x": arrays["x"][1:]}, "60 sequences for 59 things"),
        ({"columns": arrays["columns"][1:]}, "`columns` names 5 features, but `x` has 6"),
    ):
        np.savez(tmp_path / "other.npz", **{**arrays, **change})
        with pytest.raises(DataError, match=said):
            task.evaluate(model, tmp_path / "other.npz")


def test_features_are_read_from_lines():
    task, model = opened("builtin:waves", "split.valid=0.1")
    answers = list(task.predict(model, [[line("2 0.5 sine"), line("2,0.5,1,0,0,0")]]))
    assert answers[0] == answers[1] and len(answers[0].split()) == 60
    for text, said in (
        ("2 0.5 sin", "'sin' is no number, and none of the names frequency.*did you mean 'sine'"),
        ("2 0.5", "of numbers 2 are given, 6 expected: "),
        ("1 2 3 4 square", "of numbers 4 are given, 3 expected before 'square'"),
    ):
        with pytest.raises(ConfigError, match=rf"some\.txt, line 7: .*{said}"):
            list(task.predict(model, [[line(text, 7)]]))


def test_a_search_and_a_draw_are_repeatable(words: Path):
    task, model = opened(words, "decode.maximum=5")
    asked = [[line("low")] * 4]
    assert list(task.predict(model, asked)) == list(task.predict(model, asked))
    searching, _ = opened(words, "decode.way=search", "decode.maximum=5")
    assert len(set(searching.predict(model, asked))) == 1


def test_what_a_text_must_hold_and_must_not(words: Path):
    def written(*settings: str) -> set[str]:
        task, model = opened(words, "decode.maximum=6", *settings)
        return set(task.predict(model, [[line("low")] * 8]))

    for way in ("sample", "search"):
        found = written(f"decode.way={way}", "decode.minimum=4", "decode.forbidden=a,c")
        assert all(len(text) >= 4 and set(text) <= set("bd") for text in found), found
    found = written("decode.way=search", "decode.required=dca,bb")
    assert all("dca" in text and "bb" in text for text in found), found
    for settings, said in (
        (["decode.required=ab"], "decode.required is for texts that are searched for"),
        (["decode.minimum=7"], "decode.minimum=7 is more than the 6 symbols"),
        (["decode.way=search", "decode.required=ax"], r"decode.required: the model writes no 'x' .in 'ax'"),
        (["decode.forbidden=ab"], "'ab' is 2 symbols"),
    ):
        with pytest.raises(ConfigError, match=said):
            written(*settings)


def test_a_run_folder_keeps_what_is_needed(words: Path, tmp_path: Path):
    task, _ = opened(words)
    task.save(tmp_path)
    loaded = Describing.load(task.config, tmp_path)
    assert loaded.alphabet == task.alphabet
    with pytest.raises(DataError, match="without its data"):
        loaded.training_stream()
    (tmp_path / "describe_alphabet.json").write_text(json.dumps({"kind": "class"}))
    with pytest.raises(DataError, match=r"describe_alphabet\.json cannot be read"):
        Describing.load(task.config, tmp_path)


def test_what_does_not_fit_is_said(words: Path, grids: Path, tmp_path: Path):
    task, model = opened(words)
    (tmp_path / "more.tsv").write_text("low\tab\nnew\tcd\n")
    for given, said in ((tmp_path / "more.tsv", "the class 'new' was never met"), (grids, "the kind grid")):
        with pytest.raises(DataError, match=said):
            task.evaluate(model, given)
    with pytest.raises(DataError, match=r"some\.txt, line 2: there is no class 'lwo'.*did you mean 'low'"):
        list(task.predict(model, [[line("low"), line("lwo", 2)]]))
    with pytest.raises(DataError, match="the kind class"):
        list(task.predict(model, grids))


@pytest.mark.parametrize(
    ("words_", "said"),
    [
        (("data=",), "nothing to learn from"),
        (("model.attention=dot",), "nothing to look at in a class"),
        (("split.valid=some.txt",), "split.valid=some.txt: expected a fraction"),
        (("model.cell=projected_lstm",), "model.widths.P"),
        (("model.fed=last",), "model.fed"),
    ],
)
def test_settings_that_cannot_be(words: Path, words_: tuple[str, ...], said: str):
    with pytest.raises(ValueError, match=said):
        opened(words, *words_)
