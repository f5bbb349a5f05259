"""Checks of options that several models have."""

from __future__ import annotations

import math
from typing import Any

from burnish.errors import ConfigurationError

from .reviews import check_share


def whole_number(config: Any, name: str, least: int = 1) -> int:
    """The option as an int; `ConfigurationError` unless it is a whole number and not below `least`."""
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} = {value!r}: give a whole number, {least} or more")
    return value


def not_negative(config: Any, name: str) -> float:
    """The option as a float; `ConfigurationError` unless it is a finite number and not negative."""
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{name} = {value!r}: give a number, 0 or more")
    return float(value)


def number(config: Any, name: str) -> float:
    """The option as a float; `ConfigurationError` unless it is a finite number."""
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigurationError(f"{name} = {value!r}: give a number")
    return float(value)


def share(config: Any, name: str) -> float:
    """The option as a float; `ConfigurationError` unless it is a share between 0 and 1."""
    value = config[name]
    check_share(name, value)
    return float(value)
