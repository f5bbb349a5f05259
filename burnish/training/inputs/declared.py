"""What kind of value RecBole's and burnish's property files say that an option has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from burnish.errors import ConfigurationError, unknown_name
from burnish.files.yamls import read_yaml

#: `hidden_size: 64      # (int) The number of features in the hidden state.`
_LINE = re.compile(r"^(\w+)\s*:[^#]*#\s*\((\w+)( of \w+)?\)", re.MULTILINE)
_KINDS = {
    "int": "whole number",
    "float": "number",
    "bool": "truth value",
    "str": "text",
    "string": "text",
    "list of int": "list of whole numbers",
    "list of float": "list of numbers",
    "list of str": "list of texts",
    "list": "list",
    "dict": "mapping",
}
_OF_DEFAULT = {
    bool: "truth value",
    int: "number",
    float: "number",
    str: "text",
    dict: "mapping",
    list: "list",
}


#: RecBole's trainers and loaders read these, whatever the model.
_COMMON = frozenset(
    {"train_batch_size", "eval_batch_size", "learning_rate", "weight_decay", "stopping_step", "shuffle"}
)


@dataclass(frozen=True)
class Declared:
    """One option: its kind, such as "whole number", and its default."""

    kind: str
    default: Any


def option_schemas(model: type) -> Mapping[str, type[BaseModel]]:
    """The schemas of a model's options that are mappings, by name, as its class declares them."""
    schemas: Mapping[str, type[BaseModel]] = getattr(model, "option_schemas", {})
    return schemas


def declared_options(model: type) -> dict[str, Declared]:
    """The options that RecBole's property files describe for a model, by name.

    Models with `options_files` of their own check what these hold themselves, in words that say more.
    """
    spec = find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    properties = Path(spec.origin).parent / "properties"
    files = [
        properties / "overall.yaml",
        properties / "dataset" / "sample.yaml",
        properties / "model" / f"{model.__name__}.yaml",
    ]
    own = {name for file in getattr(model, "options_files", ()) for name in read_yaml(file)} - _COMMON
    return {
        name: option
        for file in files
        if file.is_file()
        for name, option in _described(file).items()
        if name not in own
    }


@lru_cache(maxsize=256)
def _described(file: Path) -> dict[str, Declared]:
    defaults = read_yaml(file)
    said = {
        name: _KINDS.get(f"{kind}{of}")
        for name, kind, of in _LINE.findall(file.read_text(encoding="utf-8"))
        if "optional" not in kind
    }
    options = {}
    for name, default in defaults.items():
        kind = said.get(name) or _OF_DEFAULT.get(type(default))
        if kind is not None and _fits(default, kind):
            options[name] = Declared(kind, default)
    return options


def _fits(default: Any, kind: str) -> bool:
    """Some descriptions are wrong about their own default, and say nothing then."""
    return default is None or is_a(default, kind)


def is_a(value: Any, kind: str) -> bool:
    """Whether a value is of a kind; nan and infinity are not numbers."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = whole or (isinstance(value, float) and abs(value) < float("inf"))
    match kind:
        case "whole number":
            return whole
        case "number":
            return number
        case "truth value":
            return isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "mapping":
            return isinstance(value, dict)
        case "list":
            return isinstance(value, list | tuple)
        case _:
            inner = kind.removeprefix("list of ").removesuffix("s")
            return isinstance(value, list | tuple) and all(is_a(one, inner) for one in value)


def misspelt(kind: str, name: str, known: Iterable[str], *, cure: str = "") -> ConfigurationError:
    """A `ConfigurationError` for a word in an option that does not exist, with the nearest; see `unknown_name`."""
    return ConfigurationError(str(unknown_name(kind, name, known, cure=cure)))
