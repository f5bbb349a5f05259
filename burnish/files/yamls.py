"""Reading YAML files: safe, with numbers such as 1e-3, and errors that name the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from burnish.errors import ConfigurationError


class _Loader(yaml.SafeLoader):
    """SafeLoader that also reads 1e-3 as a number, as RecBole's own loader does."""


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
    return content
