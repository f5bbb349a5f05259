"""Options of a RecBole config that several models have, checked."""

from __future__ import annotations

from typing import Any

from burnish import checks
from burnish.errors import ConfigurationError


def whole_number(config: Any, name: str, least: int = 1) -> int:
    """The option as an int; `ConfigurationError` unless it is a whole number and not below `least`."""
    return checks.whole_number(name, config[name], least)


def number(config: Any, name: str) -> float:
    """The option as a float; `ConfigurationError` unless it is a finite number."""
    return checks.finite_number(name, config[name])


def not_negative(config: Any, name: str) -> float:
    """The option as a float; `ConfigurationError` unless it is a finite number and not negative."""
    return checks.finite_number(name, config[name], 0)


def share(config: Any, name: str) -> float:
    """The option as a float; `ConfigurationError` unless it is a share between 0 and 1."""
    return checked_share(name, config[name])


def checked_share(name: str, value: Any) -> float:
    """The value as a float; `ConfigurationError` unless it is a share between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigurationError(f"{name} = {value!r}: give a share between 0 and 1")
    return float(value)
