"""Folders that are there whole or not at all: written beside their place, and renamed when complete."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .lock import lock_of, locked, release_dead
from .processes import MARK, is_dead, mark
from .refusals import told_why
from .whole import remove_leftovers

#: `.partial-<folder>@<mark of the process>`
_PARTIAL = re.compile(rf"^\.partial-.+@{MARK}$")


@contextmanager
def folder_written_whole(folder: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder of this process beside `folder`, which takes its place on success and is removed otherwise.

    is_whole: whether a folder is complete.  One that is complete already stands: another process was quicker.
    """
    partial = folder.with_name(f".partial-{folder.name}@{mark()}")
    with told_why(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    try:
        yield partial
        with told_why(folder):
            _flush(partial)
            with locked(lock_of(folder)):
                if not is_whole(folder):
                    if folder.exists():
                        shutil.rmtree(folder)
                    os.replace(partial, folder)
                    _flush_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers_below(folder: Path) -> list[Path]:
    """Remove what killed processes of this machine left at any depth: unfinished folders and files, and their locks.

    Gives the folders removed.
    """
    removed = []
    for place, names, files in os.walk(folder):  # unlike `rglob`, content with folders that go meanwhile
        here = Path(place)
        for name in sorted(names):
            match = _PARTIAL.match(name)
            if match is not None and is_dead(match):
                shutil.rmtree(here / name, ignore_errors=True)
                removed.append(here / name)
        hidden = any(name.startswith(".") for name in (*files, *names))
        names[:] = [name for name in names if not name.startswith(".")]
        if hidden:
            remove_leftovers(here)
            for name in files:
                if name.startswith(".") and name.endswith(".lock"):
                    release_dead(here / name)
    return sorted(removed)


def _flush(folder: Path) -> None:
    """Bring the files to the disk before the rename says that they are there."""
    for file in folder.iterdir():
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
