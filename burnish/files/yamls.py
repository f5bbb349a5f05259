"""Reading YAML files: safe, with numbers such as 1e-3, and errors that name the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from burnish.errors import ConfigurationError

from .jsons import DEEPEST

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
    """One that also reads 1e-3 as a number, as RecBole's own loader does."""


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
            raise yaml.YAMLError(f"{what} holds itself (an alias within its own anchor)")
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
    return content
