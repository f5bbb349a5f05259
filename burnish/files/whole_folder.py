"""Folders that are there whole or not at all: written beside their place, and renamed when complete."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import BurnishError, ConfigurationError

from .lock import lock_of, locked, release_dead
from .processes import MARK, is_dead, mark
from .refusals import reason
from .whole import remove_leftovers

#: `.partial-<folder>@<mark of the process>`
_PARTIAL = re.compile(rf"^\.partial-.+@{MARK}$")


@contextmanager
def folder_written_whole(folder: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder of this process beside `folder`, which takes its place on success and is removed otherwise.

    is_whole: whether a folder is complete.  One that is complete already stands: another process was quicker.
    """
    partial = folder.with_name(f".partial-{folder.name}@{mark()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with _told_of(folder, partial, ours=True):
            partial.mkdir(parents=True)
        with _told_of(folder, partial):
            yield partial
        with _told_of(folder, partial, ours=True):
            _flush(partial)
            with locked(lock_of(folder)):
                if not is_whole(folder):
                    if folder.exists():
                        shutil.rmtree(folder)
                    os.replace(partial, folder)
                    _flush_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _told_of(folder: Path, partial: Path, *, ours: bool = False) -> Iterator[None]:
    """What is refused in the folder beside is told of the folder that was asked for: nobody knows the other's name.

    ours: whatever is refused is, as nothing else is done.
    """
    try:
        yield
    except ConfigurationError as error:
        if partial.name not in str(error):
            raise
        raise ConfigurationError(str(error).replace(str(partial), str(folder))) from error
    except Exception as error:
        why = reason(error) if ours or partial.name in str(error) else None
        if (
            ours and why is None and isinstance(error, OSError)
        ):  # as places of the system's own say it, such as /proc
            why = error.strerror
        if why is None or isinstance(error, BurnishError):
            raise
        raise ConfigurationError(
            f"{folder} cannot be written ({why}); give a folder where you may write and that has space left"
        ) from error


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
