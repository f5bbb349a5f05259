"""From command-line words to option values: YAML scalars, read safely.  Nothing is ever evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from burnish.errors import ConfigurationError
from burnish.files.yamls import BoundedLoader, parse_yaml

#: What `--option value` may carry below the top level: `--enhancers.rvrec.weight 0.2`.
NESTED = "enhancers"


class _Loader(BoundedLoader):
    """YAML with numbers, true/false and null only: no dates, no sexagesimal numbers, no yes/no/on/off.

    PyYAML follows YAML 1.1, where `1e-3` is a string and `12:30` is 750; RecBole's users mean neither.
    """


_FLOAT = r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)"
_SCALARS = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "null": r"~|null|Null|NULL|None|",
    "int": r"[-+]?[0-9]+",
    "float": _FLOAT,
}
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), None)


def _make_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))  # YAML 1.1 would read 010 as 8


_Loader.add_constructor("tag:yaml.org,2002:int", _make_int)


def parse_value(text: str) -> Any:
    """The value that `text` stands for.

    `5`, `1e-3`, `true`, `~`, `[5, 10]` and `{mode: full}` get their types; everything else, including text that is
    not YAML, such as the interval `[3,inf)`, a blank separator, `#` or `Kunde #`, stays the string that was typed.
    """
    stripped = text.strip()
    if not stripped:
        return text
    # There are no comments on a command line: the `#` of a column's name is a letter.
    stand_in = next(sign for sign in map(chr, range(0xE000, 0xF8FF)) if sign not in stripped)
    try:
        value = _put_back(parse_yaml(stripped.replace("#", stand_in), _Loader), stand_in)
    except yaml.YAMLError:
        return text
    if isinstance(value, str) and stripped[0] not in "'\"":
        return stripped  # without what YAML would cut off, such as an anchor
    if value is None:
        return None if re.fullmatch(_SCALARS["null"], stripped) else text
    if isinstance(value, (dict, list)) and stripped[0] not in "{[":
        return text  # `a: b` and `- a` are words here
    return value


def _put_back(value: Any, stand_in: str) -> Any:
    """The value with `#` where its stand-in is."""
    if isinstance(value, str):
        return value.replace(stand_in, "#")
    if isinstance(value, list):
        return [_put_back(one, stand_in) for one in value]
    if isinstance(value, dict):
        return {_put_back(key, stand_in): _put_back(one, stand_in) for key, one in value.items()}
    return value


def split_options(words: Sequence[str]) -> list[tuple[str, str]]:
    """(name, text) of `--name=text` and `--name text`, in order.

    Raises `ConfigurationError` for a stray word and for an option without a value.
    """
    pairs = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) == 2:
            raise ConfigurationError(
                f"{word!r} belongs to no option; options are written --name value or --name=value"
            )
        name, equals, text = word[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise ConfigurationError(
                    f"--{name} has no value; write --{name} VALUE, for a switch --{name} true"
                )
            text = rest.pop(0)
        if not name:
            raise ConfigurationError(f"{word!r} has no option name before the equals sign")
        pairs.append((name, text))
    return pairs


def stray_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that belong to no option, and the options with their values; see `split_options`."""
    stray, options = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            stray.append(word)
            continue
        options.append(word)
        if "=" not in word and rest and not rest[0].startswith("--"):
            options.append(rest.pop(0))
    return stray, options


def parse_options(words: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Options of RecBole's, and options of enhancers, from the words that the verb itself does not know.

    words: such as `["--epochs", "5", "--learning_rate=1e-3", "--enhancers.rvrec.weight=0.2"]`.
    Returns `({"epochs": 5, "learning_rate": 0.001}, {"rvrec": {"weight": 0.2}})`; `--learning-rate` is the
    same as `--learning_rate`.  Raises `ConfigurationError` for an option given twice with different values,
    for a stray word, and for a nested name other than `--enhancers.NAME.OPTION`.
    """
    options: dict[str, Any] = {}
    enhancers: dict[str, dict[str, Any]] = {}
    for written, text in split_options(words):
        name, value = written.replace("-", "_"), parse_value(text)
        target, key = options, name
        if "." in name:
            parts = name.split(".")
            if parts[0] != NESTED or len(parts) != 3 or not all(parts):
                raise ConfigurationError(
                    f"--{written}: only --enhancers.NAME.OPTION is nested; "
                    f"give other nested options as one value, for example --eval_args '{{mode: full}}'"
                )
            target, key = enhancers.setdefault(parts[1], {}), parts[2]
        if key in target and target[key] != value:
            raise ConfigurationError(f"--{written} is given twice, with {target[key]!r} and with {value!r}")
        target[key] = value
    return options, enhancers


def own_name(name: str) -> str:
    """The name of an enhancer; of a class of one's own, which is given by its place (`own.py:Gain`), its `name`."""
    from burnish.own.classes import is_place

    if not is_place(name):
        return name
    from burnish.enhancers.registry import find_enhancer

    return find_enhancer(name).name


def merge_enhancers(
    block: Mapping[str, Any] | None, chosen: str | None, options: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The enhancers to attach: name -> options.

    block: the `enhancers:` of the config files.  chosen: `--enhancers a,b`, which says which ones count,
    those in the block keeping their options there; "none" means none; None leaves the block as it is.  A place of a
    class (`own.py:Gain`) stands for the class's name.
    options: `--enhancers.NAME.OPTION`, which win, and attach an enhancer that is not there yet.
    Raises `ConfigurationError` for a name that is given twice.
    """
    merged: dict[str, Any] = dict(block or {})
    if chosen is not None:
        names = [own_name(name.strip()) for name in chosen.split(",") if name.strip()]
        names = [] if names == ["none"] else names
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"--enhancers names {name!r} twice; give it once")
        # `rvrec: false` in a file means "not attached"; naming it here attaches it after all.
        merged = {name: None if merged.get(name) is False else merged.get(name) for name in names}
    for name, more in options.items():
        present = merged.get(name)
        merged[name] = {**(present if isinstance(present, Mapping) else {}), **more}
    return merged
