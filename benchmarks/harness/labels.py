"""Labels, which name folders, and seeds: how a plan may give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: The arm that is always there: the backbone without any enhancer.
PLAIN = "plain"
FIRST_SEED = 2020
#: Seeds that a number may stand for; a larger one is a seed itself, or a date, that was to stand in a list.
MOST_SEEDS = 1000
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def checked_label(value: str) -> str:
    """A label that can name a folder; `ValueError` for others."""
    if not _LABEL.fullmatch(value):
        raise ValueError("a label becomes a folder: use letters, digits and . _ + - (at most 64 characters)")
    return value


def fitting_label(value: str) -> str | None:
    """The label nearest to a text that cannot be one; None where there is none."""
    fit = re.sub(r"[^A-Za-z0-9._+-]+", "-", value).strip("-._+")[:64]
    return fit if _LABEL.fullmatch(fit) else None


def listed_seeds(value: Any) -> Any:
    """A number of seeds counts from 2020; a list stands for itself."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("at least one seed is needed")
        if value > MOST_SEEDS:
            raise ValueError(
                f"a number says how many, and {value:,} are more than {MOST_SEEDS:,}; for this seed alone write "
                f"[{value}]"
            )
        return list(range(FIRST_SEED, FIRST_SEED + value))
    if isinstance(value, str | float | Mapping):
        meant = str(value).strip().lower()
        number = meant if meant.isdecimal() else str(_NUMBERS.index(meant) + 1) if meant in _NUMBERS else ""
        hint = f" Did you mean {number}?" if number else ""
        raise ValueError(f"give how many, as in 3, or a list of them, as in [1, 2, 3].{hint}")
    return value


def distinct_seeds(value: list[int] | None) -> list[int] | None:
    """The seeds as they are; `ValueError` for none at all, one twice, or one that no generator takes."""
    if value is not None and (not value or len(set(value)) < len(value)):
        raise ValueError("give at least one seed, and each seed once")
    for seed in value or ():
        checked_seed(seed)
    return value


def checked_seed(value: int) -> int:
    """The seed as it is; `ValueError` for one that no generator takes."""
    if not 0 <= value < 2**32:
        raise ValueError(f"{value} is no seed: give whole numbers from 0 to 4294967295")
    return value
