import json
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import DataError, frame_of
from recurra.decoding import Sampler
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Heatmap, Table
from recurra.tasks.music.config import MusicConfig
from recurra.tasks.music.task import Music
from recurra.training.config import build_config

# The first notes of a scale that goes up, and of one that goes down.
UP, DOWN = [60, 62, 64, 65, 67, 69, 71, 72], [84, 83, 81, 79, 77, 76, 74, 72]


def write_pieces(path: Path, scale: list[int], count: int = 10) -> Path:
    """Pieces that begin somewhere in a scale and go round it, each note with the one an octave lower beneath."""
    notes = [[scale[(start + t) % 8] for t in range(12 + start)] for start in range(count)]
    path.write_text(json.dumps([[[note, note - 12] for note in piece] for piece in notes]))
    return path


def settings(data: Path | str, *words: str) -> MusicConfig:
    small = ("model.hidden=16", "model.cell=gru", "train.batch=4", "split.valid=0.2", "split.test=0.2")
    return build_config(MusicConfig, {"data": str(data)}, [*small, *words])


@pytest.fixture
def scale(tmp_path: Path) -> Path:
    return write_pieces(tmp_path / "up.json", UP)


def opened(data: Path | str, *words: str) -> tuple[Music, torch.nn.Module]:
    task = Music.open(settings(data, *words))
    torch.manual_seed(0)
    return task, task.model()


def trained(data: Path | str, steps: int, *words: str) -> tuple[Music, torch.nn.Module]:
    task, model = opened(data, *words)
    optimizer, stream = torch.optim.Adam(model.parameters(), lr=0.03), task.training_stream()
    for _ in range(steps):
        batch = stream.next() or stream.next()
        loss, _ = task.loss(model, batch, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return task, model.eval()


def lines(pieces) -> list[str]:
    return "".join(pieces).splitlines()


def test_a_scale_is_learnt_and_gone_on_with(scale: Path, tmp_path: Path):
    task, model = trained(scale, 150)
    figures = task.evaluate(model, None)
    assert figures["nats_after_first"] < 0.5 < 5 < figures["baseline_nats"]
    assert figures["accuracy"] > 0.85 and figures["pieces"] == 2
    (tmp_path / "start.json").write_text("[[[60, 48], [62, 50]], [[67, 55], [69, 57], [71, 59]]]")
    for number, expected in ((0, ["C3 C4", "D3 D4", "E3 E4", "F3 F4"]), (1, ["G3 G4", "A3 A4", "B3 B4", "C4 C5"])):
        prompt = f"{tmp_path / 'start.json'}:{number}"
        wishes = {"frames": "2"}
        pieces = task.generate(model, prompt, length=2, sampler=Sampler(0), wishes=wishes)
        assert lines(pieces) == expected
    assert set(next(task.predict(model, tmp_path / "start.json")).split()[::2][:2]) == {"E3", "E4"}


def test_measures_are_what_they_say(scale: Path):
    task, model = opened(scale)
    figures, test = task.evaluate(model, None), task._opened.test
    nats, notes = [], np.zeros(3)
    for roll in test.rolls:
        frames = torch.from_numpy(roll.frames).float()[None]
        with torch.no_grad():
            logits = model(frames, torch.tensor([len(roll.frames)]))
        chances = logits[0].double().sigmoid()
        nats.append(-torch.where(frames[0] > 0, chances, 1 - chances).log().sum(1).numpy())
        likely, true = (chances > 0.5).numpy(), roll.frames > 0
        notes += [(likely & true).sum(), (likely & ~true).sum(), (~likely & true).sum()]
    every = np.concatenate(nats)
    assert figures["nats"] == pytest.approx(every.mean(), rel=1e-5)
    assert figures["nats_after_first"] == pytest.approx(np.concatenate([one[1:] for one in nats]).mean(), rel=1e-5)
    assert figures["nats_by_piece"] == pytest.approx(np.mean([one.mean() for one in nats]), rel=1e-5)
    assert figures["accuracy"] == pytest.approx(notes[0] / notes.sum()) and figures["frames"] == len(every)


def test_the_guess_without_a_model_is_that_of_the_frequencies(tmp_path: Path):
    pieces = [[[60], []], [[60], [60]]]
    (tmp_path / "a.json").write_text(json.dumps({"train": pieces, "valid": pieces, "test": [[[], [60]]]}))
    task, model = opened(tmp_path / "a.json")
    expected = -(np.log(0.25) + np.log(0.75)) / 2
    assert task.evaluate(model, None)["baseline_nats"] == pytest.approx(expected, abs=2e-3)


def test_the_loss_is_the_mean_over_the_frames_of_all_pieces(scale: Path):
    task, model = opened(scale)
    batch = task.training_stream().next()
    loss, state = task.loss(model, batch, None)
    logits = model(batch.frames, batch.lengths)
    by_hand = model.nats(logits, batch.frames, batch.lengths)
    assert state is None and batch.tokens == int(batch.lengths.sum())
    assert loss.item() == pytest.approx(sum(row[:n].sum().item() for row, n in zip(by_hand, batch.lengths, strict=True))
                                        / batch.tokens, rel=1e-5)  # fmt: skip


def test_two_styles_are_kept_apart(scale: Path, tmp_path: Path):
    task, model = trained(f"{scale}, {write_pieces(tmp_path / 'down.json', DOWN)}", 200, "notes.hide_style=0.1")
    written = {style: lines(task.generate(model, wishes={"style": style}, length=30, seed=2)) for style in task.styles}
    lowest = {style: [int(np.flatnonzero(frame_of(line))[0]) for line in frames if line != "-"]
              for style, frames in written.items()}  # fmt: skip
    assert np.mean(lowest["up"]) + 8 < np.mean(lowest["down"])
    assert len(lines(task.generate(model, length=5, seed=0))) == 5, "free of any style"
    found = task.evaluate(model, None)
    assert [row[0] for row in found["by_style"].rows] == ["up", "down"]
    with pytest.raises(ConfigError, match="did you mean 'down'"):
        task.generate(model, wishes={"style": "dwon"})


def test_what_is_not_known_is_that_a_style_is_hidden(scale: Path, tmp_path: Path):
    data = f"{scale},{write_pieces(tmp_path / 'down.json', DOWN)}"
    losses = {}
    for hidden in (0.0, 1.0):
        task, model = opened(data, f"notes.hide_style={hidden}")
        batch = task.training_stream().next()
        plain = [task.loss(model, batch, None)[0].item() for _ in range(2)]
        assert plain[0] == plain[1]
        losses[hidden] = plain[0]
    assert losses[0.0] != losses[1.0]


def test_a_seed_gives_a_piece_and_a_temperature_its_boldness(scale: Path):
    task, model = opened(scale)
    first, again, other = (lines(task.generate(model, length=20, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    calm, wild = (len("".join(task.generate(model, length=20, sampler=Sampler(t))).split()) for t in (0.3, 3.0))
    assert calm < wild
    for sampler in (Sampler(top_k=3), Sampler(top_p=0.5)):
        with pytest.raises(ConfigError, match="each key is drawn by itself"):
            task.generate(model, sampler=sampler)


def test_what_generate_cannot_begin_with(scale: Path):
    task, model = opened(scale)
    for words, said in (
        ({"prompt": "absent.mid"}, "absent.mid"),
        ({"prompt": f"{scale}:10"}, "10 pieces to go on from, numbers 0 to 9, no 10"),
        ({"wishes": {"frames": "few"}}, "--frames few"),
        ({"length": -1}, "length=-1"),
    ):
        with pytest.raises(ValueError, match=said):
            task.generate(model, **words)


def test_a_piece_is_written_in_several_forms(scale: Path, tmp_path: Path):
    task, _ = opened(scale)
    pieces = ["C4 E4\n", "-\nC4\n"]
    assert task.content(pieces, tmp_path / "a.txt") == b"C4 E4\n-\nC4\n"
    assert task.content(pieces, tmp_path / "a.mid")[:4] == b"MThd"
    (tmp_path / "a.npy").write_bytes(task.content(pieces, tmp_path / "a.npy"))
    assert np.argwhere(np.load(tmp_path / "a.npy")).tolist() == [[0, 39], [0, 43], [2, 39]]
    with pytest.raises(ConfigError, match=r"'a\.wav'.*\.mid"):
        task.content(pieces, tmp_path / "a.wav")


def test_a_run_folder_keeps_what_is_needed(scale: Path, tmp_path: Path):
    task, _ = opened(scale)
    task.save(tmp_path)
    loaded = Music.load(task.config, tmp_path)
    assert loaded.styles == ["up"] and loaded.frequencies.tolist() == task.frequencies.tolist()
    with pytest.raises(DataError, match="without its data"):
        loaded.training_stream()
    (tmp_path / "music.json").write_text("{}")
    with pytest.raises(DataError, match=r"music\.json cannot be read"):
        Music.load(task.config, tmp_path)


def test_the_report_has_rolls(scale: Path):
    task, model = opened(scale)
    found = task.findings(model)
    assert [type(one) for one in found] == [Heatmap, Heatmap, Table, Heatmap]
    truth, chances = found[0], found[1]
    assert truth.rows == chances.rows and len(truth.values) == len(truth.rows) and truth.rows[0] > truth.rows[-1]
    assert np.array(truth.values).sum(0).tolist() == [2.0] * len(truth.columns), "two keys sound in each frame"
    assert np.array(chances.values).shape == np.array(truth.values).shape


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data=",), "no music to learn from"),
        (("data={0},{0}",), "two collections are called 'up'"),
        (("split.valid=0.01",), "none in its part valid"),
        (("model.cell=projected_lstm",), "model.widths.P"),
        (("notes.tempo=0",), "notes.tempo"),
    ],
)
def test_settings_that_cannot_be(scale: Path, words: tuple[str, ...], said: str):
    with pytest.raises(ValueError, match=said):
        opened(scale, *(word.format(scale) for word in words))
