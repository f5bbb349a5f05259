"""Reading YAML files: safe, with numbers such as 1e-3, and errors that name the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from burnish.errors import ConfigurationError

from .jsons import DEEPEST
from .near import did_you_mean

#: Values that the aliases of a file may stand for.
_MOST = 100_000


class BoundedLoader(yaml.SafeLoader):
    """SafeLoader whose merges (`<<: *a`) do not grow without end."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put merged keys into a mapping."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST:
            raise yaml.YAMLError(f"its merges (<<) stand for more than {_MOST:,} values")


class _Loader(BoundedLoader):
    """One that also reads 1e-3 as a number, as RecBole's own does, and refuses a key that stands twice."""

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


def parse_yaml(text: str, loader: type[BoundedLoader] = _Loader) -> Any:
    """What a piece of YAML says.

    Raises `yaml.YAMLError`, also for values that are nested without end, or that aliases (`*a`) multiply without end.
    """
    try:
        content = yaml.load(text, Loader=loader)
    except (ValueError, OverflowError) as error:  # of a number, a date
        raise yaml.YAMLError(f"{error}") from error
    except RecursionError as error:
        raise yaml.YAMLError("its brackets are nested without end") from error
    extent = _Extent()
    if isinstance(content, dict):
        for key, value in content.items():
            extent.check(f"option {key!r}", value)
    extent.check("it", content)
    return content


class _Extent:
    """How large and how deep values are, aliases written out; what stands for them is one object each."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, int]] = {}
        self.open: set[int] = set()
        self.written = 0

    def check(self, what: str, value: Any) -> None:
        """Raise `yaml.YAMLError` where a value cannot be worked with."""
        size, height = self._of(what, value, 0)
        if height > DEEPEST:
            raise yaml.YAMLError(f"{what} is nested more than {DEEPEST} deep")
        if size > _MOST and size > 10 * self.written:
            raise yaml.YAMLError(f"{what} stands for {size:.3g} values through its aliases (*); write fewer")

    def _of(self, what: str, value: Any, depth: int) -> tuple[int, int]:
        if not isinstance(value, dict | list | tuple | set):
            return 1, 0
        if id(value) in self.open:
            raise yaml.YAMLError(f"{what} contains itself (an alias within its own anchor)")
        if depth > DEEPEST:
            raise yaml.YAMLError(f"{what} is nested more than {DEEPEST} deep")
        if id(value) not in self.known:
            self.open.add(id(value))
            parts = [self._of(what, part, depth + 1) for part in _parts(value)]
            self.open.remove(id(value))
            self.written += len(parts)
            self.known[id(value)] = (
                1 + sum(size for size, _ in parts),
                1 + max((height for _, height in parts), default=0),
            )
        return self.known[id(value)]


def _parts(value: Any) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file; empty for an empty file.

    Raises `ConfigurationError` when the file is missing (with the nearest name beside it), unreadable, not YAML, or not
    a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"config file {str(path)!r} does not exist.{did_you_mean(path, is_yaml)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"config file {str(path)!r} cannot be read: {error}") from error
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"config file {str(path)!r} is not valid YAML: {error}{_comment(text)}"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"config file {str(path)!r} holds a {type(content).__name__}; write `option: value` lines"
        )
    check_names(content, f"config file {str(path)!r}")
    return content


def _comment(text: str) -> str:
    """The hint for a text that is YAML where no `#` behind words begins a comment, as with `[Kunde #, sku]`."""
    try:
        parse_yaml(re.sub(r"(?<=\S)([ \t]+)#", r"\1_", text))
    except yaml.YAMLError:
        return ""
    return (
        "\nA # after a blank begins a comment: write names that have one in quotes, as in ['Kunde #', sku]."
    )


def is_yaml(path: Path) -> bool:
    """Whether a name says that YAML is in the file."""
    return path.suffix.lower() in (".yaml", ".yml")


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
