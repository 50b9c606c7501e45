import pytest
from omegaconf import OmegaConf

from recurra.tasks.config import ConfigError
from recurra.tasks.lm.config import LanguageModellingConfig, ModelConfig, TextConfig


def from_keys(*keys: str) -> LanguageModellingConfig:
    config = OmegaConf.merge(OmegaConf.structured(LanguageModellingConfig), OmegaConf.from_dotlist(list(keys)))
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, LanguageModellingConfig)
    return settings


def test_validation_is_a_fraction_or_a_path():
    assert TextConfig().valid_fraction == 0.1
    assert from_keys("text.valid=0.05").text.valid_fraction == 0.05
    assert from_keys("text.valid=valid.txt").text.valid_fraction is None


def test_settings_come_from_keys():
    config = from_keys("model.cell=gru", "model.init=0.1", "model.tied=true", "text.level=word", "data=a.txt", "seed=3")
    assert config.model == ModelConfig(cell="gru", init=0.1, tied=True)
    assert (config.text.level, config.data, config.seed, config.run) == ("word", "a.txt", 3, None)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("text.level=chra", r"text\.level='chra' .*did you mean 'char'"),
        ("text.valid=1", r"text\.valid=1 .*fraction"),
        ("text.valid=-0.1", r"text\.valid=-0\.1"),
        ("text.valid_tokens=1", r"text\.valid_tokens"),
        ("text.minimum_count=0", r"text\.minimum_count"),
        ("text.maximum_size=1", r"text\.maximum_size"),
        ("model.hidden=0", r"model\.hidden"),
        ("model.widths.P=0", r"model\.widths\.P=0"),
        ("model.dropout=1.5", r"model\.dropout"),
        ("model.init=0", r"model\.init=0 .*above 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(key, message):
    with pytest.raises(ConfigError, match=message):
        from_keys(key)
