"""Folders that a refusal leaves as it found them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def without_traces(folder: Path | None) -> Iterator[None]:
    """While this is open, a folder may be made; where an error comes out, it goes again, unless something is in it.

    So do those above it that were made with it.  None: nothing to look after.
    """
    new = [] if folder is None else [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        for place in new:  # the innermost first
            with suppress(OSError, ValueError):  # a name that cannot be is no folder
                place.rmdir()
        raise
