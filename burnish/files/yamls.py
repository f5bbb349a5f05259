"""Reading YAML files: safe, with numbers such as 1e-3, and errors that name the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from burnish.errors import ConfigurationError


class _Loader(yaml.SafeLoader):
    """SafeLoader that also reads 1e-3 as a number, as RecBole's own does, and refuses a key that stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            first: dict[tuple[str, str], Any] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                    continue
                before = first.setdefault((key.tag, key.value), key)
                if before is not key:
                    raise yaml.constructor.ConstructorError(
                        f"the key {key.value!r} stands there twice, in line {before.start_mark.line + 1} and again; "
                        f"only the last would count, so remove one of them",
                        key.start_mark,
                    )
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def parse_yaml(text: str) -> Any:
    """What a piece of YAML says.  Raises `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (ValueError, OverflowError, RecursionError) as error:  # of a number, a date, a nesting without end
        raise yaml.YAMLError(f"{error}") from error


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file; empty for an empty file.

    Raises `ConfigurationError` when the file is missing, unreadable, not YAML, or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"config file {str(path)!r} cannot be read: {error}") from error
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"config file {str(path)!r} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"config file {str(path)!r} holds a {type(content).__name__}; write `option: value` lines"
        )
    check_names(content, f"config file {str(path)!r}")
    return content


def check_names(content: Mapping[Any, Any], origin: str) -> None:
    """Raise `ConfigurationError` where a name is no text, or a value contains itself.

    origin: what the message calls the source.
    """
    for name, value in content.items():
        if not isinstance(name, str):
            raise ConfigurationError(
                f"{origin}: the name {name!r} of an option is a {type(name).__name__}, not a text; write "
                f"`option: value` (in quotes where YAML takes the word for something else, as it does on and no)"
            )
        if contains_itself(value):
            raise ConfigurationError(
                f"{origin}: option {name!r} contains itself, by an alias within what it stands for; write it out"
            )


def contains_itself(value: Any) -> bool:
    """Whether a value of mappings and lists holds itself somewhere inside; each part is looked at once."""
    path: set[int] = set()
    done: set[int] = set()
    stack: list[tuple[Any, bool]] = [(value, False)]
    while stack:
        part, left = stack.pop()
        if not isinstance(part, Mapping | list | tuple | set):
            continue
        if left:
            path.discard(id(part))
            done.add(id(part))
        elif id(part) in path:
            return True
        elif id(part) not in done:
            path.add(id(part))
            stack.append((part, True))
            stack.extend((inner, False) for inner in (part.values() if isinstance(part, Mapping) else part))
    return False
