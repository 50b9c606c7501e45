"""The recipes: their keys exist, their values are in range, and their comments give the commands that run them."""

from pathlib import Path

import pytest

from recurra import tasks
from recurra.tasks.lm.config import LanguageModellingConfig
from recurra.training.config import build_config, read_recipe

RECIPES = sorted((Path(__file__).resolve().parent.parent / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_configuration(path: Path):
    recipe = read_recipe(path)
    config = build_config(tasks.get(recipe["task"]).Config, recipe)
    assert config.task == recipe["task"]
    assert config.data.startswith(("data/", "builtin:"))
    text = path.read_text(encoding="utf-8")
    assert f"recurra train recipes/{path.name}" in text


@pytest.mark.parametrize("name", ["dates", "addition"])
def test_a_builtin_task_is_trained_as_in_its_recipe(name: str):
    recipe = read_recipe(RECIPES[0].parent / f"{name}.yaml")
    for key in ("task", "data", "seed"):
        del recipe[key]
    assert tasks.get("translate").suited[f"builtin:{name}"] == recipe


def test_the_small_model_is_zarembas():
    config = build_config(LanguageModellingConfig, read_recipe(RECIPES[0].parent / "ptb-small.yaml"))
    model, train, optimizer = config.model, config.train, config.optimizer
    assert (model.cell, model.layers, model.hidden, model.embedding, model.dropout) == ("lstm", 2, 200, 200, 0.0)
    assert (model.init, train.batch, train.bptt, train.epochs) == (0.1, 20, 20, 13)
    # Rate 1 and clipping at 5 on a loss that is the sum over the window; ours is the mean over it.
    assert (optimizer.name, optimizer.lr / train.bptt, optimizer.clip * train.bptt) == ("sgd", 1.0, 5.0)
    assert optimizer.clip_by == "norm"
    assert (optimizer.schedule, optimizer.hold, optimizer.decay) == ("zaremba", 4, 0.5)


def test_the_two_small_recipes_differ_in_dropout_alone():
    folder = RECIPES[0].parent
    plain, dropped = (read_recipe(folder / f"ptb-small{suffix}.yaml") for suffix in ("", "-dropout"))
    assert dropped["model"].pop("dropout") > plain["model"].pop("dropout") == 0.0
    assert plain == dropped
