"""Which parts are on, and how a method of RecBole is replaced by one that asks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: The parts that can be switched off one by one.
PARTS = ("reading", "indexing", "loading", "sampling", "evaluation", "histories", "adjacency")
VARIABLE = "BURNISH_SPEED"

_off: set[str] = set()


def enabled(part: str) -> bool:
    """Whether `part` is on in this process."""
    return part not in _off


@contextmanager
def without(*parts: str) -> Iterator[None]:
    """Leave RecBole as it is in the block: in these parts, or in all of them when none is named.

    Raises `UnknownNameError` for a part that does not exist.
    """
    before = set(_off)
    _off.update(_checked(parts) if parts else PARTS)
    try:
        yield
    finally:
        _off.clear()
        _off.update(before)


def read_environment() -> None:
    """Take over `BURNISH_SPEED`: "on" (or nothing), "off", or parts to leave out as in "-sampling,-reading".

    Raises `UnknownNameError` for a part that does not exist.
    """
    words = [word.strip().lower() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()]
    if words == ["off"]:
        _off.update(PARTS)
    elif words not in ([], ["on"]):
        _off.update(_checked(word.removeprefix("-") for word in words))


def _checked(parts: Any) -> list[str]:
    names = list(parts)
    for name in names:
        if name not in PARTS:
            from burnish.errors import unknown_name

            raise unknown_name(
                "part of burnish.speed", name, PARTS, cure=f"{VARIABLE} is on, off or -part,-part."
            )
    return names


def replace_method(part: str, owner: type, name: str, new: Callable[..., Any]) -> None:
    """Let `owner.name` be `new(original, self, ...)` while `part` is on, and RecBole's `original` while it is off."""
    original = vars(owner)[name]
    if hasattr(original, "_burnish_speed"):
        return

    @functools.wraps(original)
    def chosen(self: Any, *args: Any, **kwargs: Any) -> Any:
        if part in _off:
            return original(self, *args, **kwargs)
        return new(original, self, *args, **kwargs)

    chosen._burnish_speed = part  # type: ignore[attr-defined]
    setattr(owner, name, chosen)
