"""What installed packages announce by entry points, looked through again only where what is installed may be another.

Looking through all packages takes milliseconds, and names are looked up at every step of making a model.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib import metadata
from importlib.metadata import EntryPoint


def entry_points(*, group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, as `importlib.metadata` gives them."""
    return _found(group, tuple((place, _changed(place)) for place in sys.path))


@lru_cache(maxsize=64)
def _found(group: str, places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """places: where packages are, each with when one was last put there or taken away."""
    return tuple(metadata.entry_points(group=group))


def _changed(place: str) -> int:
    try:
        return os.stat(place or ".").st_mtime_ns
    except OSError:
        return 0
