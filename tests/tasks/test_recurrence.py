"""What every task's settings say of the recurrence itself reaches its model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recurra import tasks
from recurra.layers import Decoder, Recurrent
from recurra.tasks.config import ConfigError
from recurra.training.config import build_config

SMALL = ("model.hidden=8", "train.batch=4")


def text(folder: Path) -> Path:
    (folder / "text.txt").write_text("the cat sat\n" * 60)
    return folder / "text.txt"


def table(folder: Path) -> Path:
    (folder / "labels.tsv").write_text("up\trise more\ndown\tfall still\n" * 12 + "up\tup we go\ndown\tdown they go\n")
    return folder / "labels.tsv"


def columns(folder: Path) -> Path:
    (folder / "tags.conll").write_text("the\tD\ncat\tN\n\na\tD\ndog\tN\n\none\tD\nbird\tN\n\n" * 5)
    return folder / "tags.conll"


def pairs(folder: Path) -> Path:
    (folder / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in ("ab", "cad", "ba", "dd", "bca")))
    return folder / "pairs.tsv"


def series(folder: Path) -> Path:
    (folder / "series.csv").write_text("load\n" + "\n".join(str(k % 7 + k / 9) for k in range(200)) + "\n")
    return folder / "series.csv"


Words = tuple[str, ...]
TASKS: dict[str, tuple[Callable[[Path], Path], Words]] = {
    "lm": (text, ("train.bptt=5",)),
    "classify": (table, ("split.valid=0.25",)),
    "tag": (columns, ("split.valid=0.25", "model.characters=0")),
    "translate": (pairs, ("model.cell=lstm", "split.valid=0.25", "attention.score=none")),
    "forecast": (series, ("series.targets=load", "forecast.window=8", "forecast.horizon=3")),
}


@pytest.fixture(params=TASKS)
def opened(request, tmp_path) -> Callable[..., Any]:
    write, usual = TASKS[request.param]
    schema = tasks.get(request.param).Config
    path = write(tmp_path)
    return lambda *words: tasks.get(request.param).open(
        build_config(schema, {"data": str(path)}, [*SMALL, *usual, *words])
    )


def recurrent_layers(model: torch.nn.Module) -> list[Recurrent]:
    return [module for module in model.modules() if isinstance(module, Recurrent)]


def test_noise_inside_the_recurrence_is_drawn_in_training_only(opened):
    task = opened("recurrent.dropout=0.3", "recurrent.zoneout=0.2", "recurrent.weight_drop=0.1", "model.dropout=0")
    torch.manual_seed(0)
    model = task.model()
    noise = recurrent_layers(model)[-1].design.regularisation
    assert noise is not None
    assert (noise.recurrent_dropout, noise.zoneout, noise.weight_drop) == (0.3, 0.2, 0.1)
    batch = task.training_stream().next()
    first, second = (task.loss(model, batch, None)[0].item() for _ in range(2))
    assert first != second
    assert task.validate(model) == task.validate(model)
    quiet = opened().model()
    assert recurrent_layers(quiet)[-1].design.regularisation is None


def test_widths_that_a_cell_has_beside_its_units(opened):
    with pytest.raises(ConfigError, match=r"set model\.widths\.P=64"):
        opened("model.cell=projected_lstm").model()
    with pytest.raises(ConfigError, match=r"model\.widths\.Q: the cell lstm has no such width"):
        opened("model.widths.Q=4").model()
    task = opened("model.cell=projected_lstm", "model.widths.P=5")
    model = task.model()
    layers = recurrent_layers(model)[-1]
    assert layers.output_size == 5 * layers.directions
    loss, _ = task.loss(model, task.training_stream().next(), None)
    assert torch.isfinite(loss)


@pytest.mark.parametrize(("name", "kind"), [("classify", "bag"), ("tag", "tdnn"), ("forecast", "ar")])
def test_what_a_model_without_recurrence_cannot_heed_is_refused(tmp_path, name, kind):
    write, usual = TASKS[name]
    for word, said in (("recurrent.zoneout=0.1", r"recurrent\.zoneout"), ("model.widths.P=3", r"model\.widths\.P")):
        words = [*SMALL, *usual, f"model.kind={kind}", word]
        task = tasks.get(name).open(build_config(tasks.get(name).Config, {"data": str(write(tmp_path))}, words))
        with pytest.raises(ConfigError, match=f"{said}: a model of the kind {kind} has no recurrent layers"):
            task.model()


def test_both_networks_of_an_encoder_decoder_have_it(tmp_path):
    write, usual = TASKS["forecast"]
    words = ["model.kind=encoder_decoder", "forecast.mode=rollout", "recurrent.zoneout=0.2"]
    config = build_config(tasks.get("forecast").Config, {"data": str(write(tmp_path))}, [*SMALL, *usual, *words])
    task = tasks.get("forecast").open(config)
    model = task.model()
    assert any(isinstance(module, Decoder) for module in model.modules())
    losses = {task.loss(model, task.training_stream().next(), None)[0].item() for _ in range(3)}
    assert len(losses) > 1


def test_a_chance_out_of_range_is_refused():
    for name in tasks.names():
        if hasattr(tasks.get(name).Config(), "recurrent"):
            with pytest.raises(ConfigError, match=r"recurrent\.dropout=1\.5 is out of range"):
                build_config(tasks.get(name).Config, {}, ["recurrent.dropout=1.5"])


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_products_of_the_input_are_normalised(opened, kind):
    words = ("model.cell=ligru", f"recurrent.normalisation={kind}")
    task = opened(*words)
    if task.name == "translate":
        with pytest.raises(ConfigError, match=rf"recurrent\.normalisation={kind}: a decoder has none outside its cell"):
            task.model()
        return
    torch.manual_seed(0)
    model = task.model()
    norm = recurrent_layers(model)[-1].design.normalisation
    assert norm is not None
    assert (norm.kind, norm.place, norm.over_time) == (kind, "projection", False)
    loss, _ = task.loss(model, task.training_stream().next(), None)
    gains = [p for name, p in model.named_parameters() if ".norms.W." in name and name.endswith("weight")]
    assert gains
    assert all(gain.any() for gain in torch.autograd.grad(loss, gains))
    assert task.validate(model) == task.validate(model)


def test_normalisation_that_cannot_be_meant(opened):
    with pytest.raises(ConfigError, match=r"recurrent\.normalisation='bach' is not one of none, layer, batch"):
        opened("recurrent.normalisation=bach")
    with pytest.raises(ConfigError, match=r"recurrent\.over_time is for batch normalisation"):
        opened("recurrent.over_time=true")


def test_statistics_that_know_what_is_to_be_predicted_are_refused(tmp_path):
    for name, looks_ahead in (("lm", True), ("forecast", True), ("classify", False), ("tag", False)):
        write, usual = TASKS[name]
        words = [*SMALL, *usual, "recurrent.normalisation=batch", "recurrent.over_time=true"]
        task = tasks.get(name).open(build_config(tasks.get(name).Config, {"data": str(write(tmp_path))}, words))
        if looks_ahead:
            with pytest.raises(ValueError, match="batch statistics over time read them all"):
                task.model()
        else:
            loss, _ = task.loss(task.model(), task.training_stream().next(), None)
            assert torch.isfinite(loss)
