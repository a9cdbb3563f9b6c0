"""Configurations from plain values, such as those of a YAML file, and back.

YAML reads `1e-5` as text, `no` as a truth value and a lone word as a word where a list is meant, so each value is
fitted to the type that its field declares. What does not fit is an error here, where the setting can be named, and
not a surprise in the middle of a run.
"""

from dataclasses import MISSING, asdict, fields
from os import PathLike
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from palate.atomic import write_text
from palate.config.audit import AuditConfig
from palate.config.commands import DemoConfig, EvalConfig, ScoreConfig, SimulateConfig
from palate.config.compare import CompareConfig
from palate.config.data import AggregateConfig, BalanceConfig, CheckConfig, ConvertConfig, SplitConfig
from palate.config.training import TrainConfig
from palate.errors import ConfigError

Config = TypeVar(
    "Config",
    TrainConfig,
    EvalConfig,
    ScoreConfig,
    SimulateConfig,
    DemoConfig,
    CheckConfig,
    SplitConfig,
    AggregateConfig,
    BalanceConfig,
    ConvertConfig,
    AuditConfig,
    CompareConfig,
)


def build(kind: type[Config], values: dict[str, Any], *, absent: Any = None) -> Config:
    """A configuration from plain values; dashes in names are read as underscores.

    Args:
        kind: of configuration.
        values: by name; what is left out has its default.
        absent: stands in for required settings that are left out, in a draft whose ranges and combinations are not
            checked; None makes them an error.

    Raises:
        ConfigError: a setting is unknown, missing, of the wrong type, or out of range.

    >>> build(TrainConfig, {"model": "m", "data": "d", "out": "o", "lr": "1e-5"}).lr
    1e-05
    """
    hints = get_type_hints(kind)
    fitted = {name: _fit(name, hints[name], value) for name, value in _known(kind, values).items()}
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in fitted]
    if missing and absent is None:
        raise ConfigError(f"{', '.join(map(_flag, missing))} must be given")
    if absent is None:
        return kind(**fitted)
    draft = object.__new__(kind)  # unchecked: what these come to is known when whoever fills the gaps has made his own
    for f in fields(kind):
        object.__setattr__(draft, f.name, fitted.get(f.name, absent if f.name in missing else f.default))
    return draft


def resolve(kind: type[Config], config: Config | None, settings: dict[str, Any]) -> Config:
    """What a function was given: a whole configuration, settings by name, or both, of which the names win.

    Raises:
        ConfigError: see `build`.
    """
    return build(kind, {**(asdict(config) if config is not None else {}), **settings})


def _known(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    names = {str(name).replace("-", "_"): value for name, value in values.items()}
    known = [f.name for f in fields(kind)]
    if unknown := sorted(names.keys() - set(known)):
        raise ConfigError(f"unknown setting {', '.join(map(_flag, unknown))}; there are {', '.join(map(_flag, known))}")
    return names


def _fit(name: str, hint: Any, value: Any) -> Any:
    """The value as the type that `hint` names, which is one of those that configurations use."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ConfigError(f"{_flag(name)} is {value!r}; it must be one of {', '.join(get_args(hint))}")
        return value
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_fit(name, get_args(hint)[0], item) for item in items)
    return _plain(name, hint, value)


def _plain(name: str, hint: Any, value: Any) -> Any:
    if hint is str and isinstance(value, PathLike):
        return str(value)
    if type(value) is hint:
        return value
    number = isinstance(value, str | int) and not isinstance(value, bool)
    if number and hint in (int, float):
        try:
            return hint(value)
        except ValueError:
            pass
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]
    raise ConfigError(f"{_flag(name)} is {value!r}; it must be {wanted}")


def _flag(name: str) -> str:
    return name.replace("_", "-")


def read_yaml(path: Path) -> dict[str, Any]:
    """Settings from a YAML file; an empty one has none.

    Raises:
        ConfigError: it cannot be read, or is not a mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold settings as `name: value` lines")
    return values


def write_yaml(config: Any, path: Path) -> None:
    """Save a resolved configuration, atomically, so that `--config` reads it back."""
    import yaml

    values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    write_text(path, yaml.safe_dump(values, sort_keys=False))
