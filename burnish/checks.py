"""Checks of single values that many options share; each names the option, its value and the cure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .errors import ConfigurationError


def whole_number(
    name: str, value: Any, least: int = 1, *, what: str = "a whole number", more: str = ""
) -> int:
    """The value, where it is a whole number and not below `least`; else `ConfigurationError`.

    what: how the message calls such a number.  more: what else it may be, at the end of the message.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} = {value!r}: give {what}, {least} or more{more}")
    return value


def finite_number(name: str, value: Any, least: float = -math.inf) -> float:
    """The value as a float, where it is a finite number and not below `least`; else `ConfigurationError`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (math.isfinite(value) and value >= least)
    ):
        bound = "" if least == -math.inf else f", {least:g} or more"
        raise ConfigurationError(f"{name} = {value!r}: give a number{bound}")
    return float(value)


def is_file(path: Path) -> bool:
    """Whether a file is there; False, too, for a name that the system cannot take, such as one that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def short(value: Any, most: int = 60) -> str:
    """A value from a file as messages show it: its representation, cut where it is long."""
    text = repr(value[: most + 1] if isinstance(value, str) else value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
