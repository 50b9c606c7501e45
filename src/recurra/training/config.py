"""Settings from a task's defaults, a YAML recipe and `key=value` words, each overruling the one before."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from recurra.equations import nearest
from recurra.tasks.config import ConfigError

C = TypeVar("C")

# What may change when a run goes on: when it ends, what it shows, and what mends a loss that left the finite numbers.
RESUMABLE = (
    "data",
    "train.steps",
    "train.epochs",
    "train.seconds",
    "train.log_every",
    "train.validate_every",
    "train.checkpoint_every",
    "train.sample_every",
    "train.patience",
    "train.device",
    "optimizer.lr",
    "optimizer.clip",
    "optimizer.clip_by",
)

# What ends a run.
LIMITS = ("train.steps", "train.epochs", "train.seconds")

# Stands for the names that a group of settings leaves to whoever sets them: `model.widths.NAME`.
_ANY = "NAME"

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class Setting(NamedTuple):
    """One leaf of a task's configuration."""

    key: str  # dotted: `train.steps`
    kind: str  # `a whole number`, …
    default: Any
    help: str


def settings(schema: type) -> list[Setting]:
    """Every setting of the dataclass `schema`, those of its groups with dotted keys, in the order of the fields."""
    return list(_settings(schema(), ""))


def build_config(schema: type[C], recipe: Mapping[str, Any] | None = None, words: Iterable[str] = ()) -> C:
    """An instance of the dataclass `schema` with the values of `recipe` (nested) and of `words` (`key=value`) put in.

    Where `words` say when to stop (steps, epochs or seconds), what the recipe says of it no longer counts. A value may
    refer to the environment or to another setting, as in `data: ${oc.env:HOME}/texts`. Raises ConfigError for a key
    that does not exist, naming the nearest, and for a value of the wrong type or out of its range.
    """
    known = {setting.key: setting for setting in settings(schema)}
    values = dict(_flatten(recipe or {}))
    given = dict(split_word(word) for word in words)
    if not given.keys().isdisjoint(LIMITS):
        # Who asks for 20 epochs does not want the recipe's 1000 steps to end them.
        values = {key: value for key, value in values.items() if key not in LIMITS}
    values.update(given)
    config = OmegaConf.structured(schema)
    for key, value in values.items():
        setting = known.get(key) or known.get(f"{key.rpartition('.')[0]}.{_ANY}")
        if setting is None:
            mend = _nearest_key(key, known) or "; `recurra train --settings` lists them all"
            raise ConfigError(f"there is no setting {key!r}{mend}")
        try:
            OmegaConf.update(config, key, _parse(value, setting))
        except (OmegaConfBaseException, YAMLError) as error:
            raise ConfigError(f"{key}={value}: expected {setting.kind} ({setting.help})") from error
    try:
        return OmegaConf.to_object(config)  # type: ignore[return-value] - the structured type is `schema`
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from error


def read_recipe(path: Path) -> dict[str, Any]:
    """The nested values of a YAML file, references not yet resolved. Raises ConfigError, OSError."""
    try:
        content = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")))
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable as YAML: {_first_line(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold settings as `key: value`, as config.yaml of a run folder does")
    return {str(key): value for key, value in content.items()}


def write_config(config: Any) -> str:
    """The YAML text of a configuration; `read_recipe` reads it back."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def split_word(word: str) -> tuple[str, str]:
    """`key=value` as a pair. Raises ConfigError."""
    key, sign, value = word.partition("=")
    if not sign or not key:
        raise ConfigError(f"{word!r} is not understood: settings are given as key=value, such as train.steps=1000")
    return key, value


def _settings(group: Any, prefix: str) -> Iterator[Setting]:
    kinds = get_type_hints(type(group))
    for field in dataclasses.fields(group):
        default = getattr(group, field.name)
        help = field.metadata.get("help", "")
        if dataclasses.is_dataclass(default):
            yield from _settings(default, f"{prefix}{field.name}.")
        elif isinstance(default, dict):
            _, kind = get_args(kinds[field.name])
            yield Setting(f"{prefix}{field.name}.{_ANY}", _kind(kind), "", help)
        else:
            yield Setting(f"{prefix}{field.name}", _kind(kinds[field.name]), default, help)


def _kind(kind: Any) -> str:
    options = [option for option in get_args(kind) or (kind,) if option is not type(None)]
    words = [_KINDS.get(option, str(option)) for option in options]
    return " or ".join([*words, "null"] if type(None) in get_args(kind) else words)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse(value: Any, setting: Setting) -> Any:
    """A word of the command line as what YAML would make of it; text stays as it is typed."""
    if not isinstance(value, str) or (setting.kind.startswith(_KINDS[str]) and value != "null"):
        return value
    if value.startswith("${"):
        return value
    return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))["value"]  # type: ignore[index,call-overload]


def _nearest_key(key: str, known: Iterable[str]) -> str:
    known = list(known)
    # A group forgotten, lr for optimizer.lr, is nearer than any likeness of letters.
    same = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"; did you mean {same[0]!r}?" if same else nearest(key, known)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
