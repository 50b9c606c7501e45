import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recurra.tasks.config import ConfigError, OptimizerConfig, TrainConfig
from recurra.training.config import build_config, read_recipe, settings, split_word, write_config


@dataclass
class Config:
    data: str = field(default="", metadata={"help": "file or folder to learn from"})
    run: str | None = None
    tied: bool = False
    sizes: dict[str, int] = field(default_factory=dict, metadata={"help": "of parts, by name"})
    train: TrainConfig = field(default_factory=TrainConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


def test_words_overrule_the_recipe_and_the_recipe_the_defaults():
    recipe = {"data": "a.txt", "train": {"batch": 7, "steps": 100}}
    config = build_config(Config, recipe, ["train.steps=200", "optimizer.lr=1e-3", "run=null", "tied=true"])
    assert (config.data, config.train.batch, config.train.steps, config.train.bptt) == ("a.txt", 7, 200, 64)
    assert (config.optimizer.lr, config.run, config.tied) == (1e-3, None, True)


def test_names_that_are_free_to_choose():
    config = build_config(Config, {"sizes": {"left": 3}}, ["sizes.right=4"])
    assert config.sizes == {"left": 3, "right": 4}
    assert build_config(Config, dict(OmegaConf.create(write_config(config)))).sizes == config.sizes
    assert {setting.key: setting.kind for setting in settings(Config)}["sizes.NAME"] == "a whole number"
    with pytest.raises(ConfigError, match=r"sizes.left=wide: expected a whole number \(of parts, by name\)"):
        build_config(Config, None, ["sizes.left=wide"])
    with pytest.raises(ConfigError, match=r"there is no setting 'size.left'; did you mean 'sizes.NAME'"):
        build_config(Config, None, ["size.left=3"])


def test_text_stays_as_it_is_typed():
    config = build_config(Config, None, ["data=2024_01", "run=a=b: [c]"])
    assert (config.data, config.run) == ("2024_01", "a=b: [c]")


def test_the_environment_can_be_referred_to(monkeypatch):
    monkeypatch.setenv("TEXTS", "/texts")
    assert build_config(Config, {"data": "${oc.env:TEXTS}/a.txt"}).data == "/texts/a.txt"
    monkeypatch.delenv("TEXTS")
    assert build_config(Config, {"data": "${oc.env:TEXTS,../texts}/a.txt"}).data == "../texts/a.txt"
    with pytest.raises(ConfigError, match="TEXTS"):
        build_config(Config, {"data": "${oc.env:TEXTS}/a.txt"})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.stesp=3", "did you mean 'train.steps'"),
        ("optimiser.lr=3", "did you mean 'optimizer.lr'"),
        ("lr=3", "did you mean 'optimizer.lr'"),
        ("qqqq=3", "no setting 'qqqq'"),
        ("train=3", "no setting 'train'"),
        ("train.steps=abc", "train.steps=abc: expected a whole number or null"),
        ("train.steps=1.5", "expected a whole number"),
        ("optimizer.lr=fast", "expected a number"),
        ("optimizer.lr=[1]", "expected a number"),
        ("optimizer.lr=[1", "expected a number"),
        ("tied=perhaps", "expected true or false"),
        ("train.batch=null", "expected a whole number"),
        ("train.batch=0", "train.batch=0 is out of range: it must be at least 1"),
        ("optimizer.momentum=2", "between 0 and 1"),
        ("optimizer.schedule=cosinus", "did you mean 'cosine'"),
        ("train.steps", "given as key=value"),
        ("=3", "given as key=value"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(word: str, said: str):
    with pytest.raises(ConfigError) as caught:
        build_config(Config, None, [word])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_checked_like_words():
    with pytest.raises(ConfigError, match=r"did you mean 'train\.steps'"):
        build_config(Config, {"train": {"stesp": 3}})
    with pytest.raises(ConfigError, match="no setting 'train'"):
        build_config(Config, {"train": 3})


def test_a_written_configuration_is_read_back(tmp_path: Path):
    config = build_config(Config, None, ["data=x.txt", "train.steps=5", "optimizer.name=sgd"])
    (tmp_path / "config.yaml").write_text(write_config(config))
    assert build_config(Config, read_recipe(tmp_path / "config.yaml")) == config


def test_a_limit_in_the_words_replaces_those_of_the_recipe():
    recipe = {"train": {"steps": 100, "seconds": 5, "batch": 3}}
    train = build_config(Config, recipe, ["train.epochs=20"]).train
    assert (train.steps, train.epochs, train.seconds, train.batch) == (None, 20, None, 3)
    train = build_config(Config, recipe, ["train.batch=4"]).train
    assert (train.steps, train.epochs, train.seconds, train.batch) == (100, None, 5, 4)


@pytest.mark.parametrize("content", [b"a: [1", b"- a\n- b\n", b"\xff\xfe\x00"])
def test_a_recipe_that_is_none(tmp_path: Path, content: bytes):
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        read_recipe(tmp_path / "recipe.yaml")


def test_every_setting_says_what_it_means():
    listed = {setting.key: setting for setting in settings(Config)}
    assert listed["train.steps"].kind == "a whole number or null"
    for group in (TrainConfig, OptimizerConfig):
        for one in dataclasses.fields(group):
            assert one.metadata["help"], one.name


def test_words_are_split_at_the_first_sign():
    assert split_word("data=a=b") == ("data", "a=b")


def test_ten_epochs_where_nothing_else_ends_the_run():
    assert TrainConfig().epoch_limit == 10
    assert TrainConfig(steps=5).epoch_limit is None
    assert TrainConfig(steps=5, epochs=2).epoch_limit == 2
