"""Which process something was left by: a mark for names of files and folders, and whether that process still runs."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What `mark` gives: the number and the start tell a process from a later one with the same number.
MARK = r"(?P<host>[A-Za-z0-9._]+)-(?P<pid>\d+)-(?P<start>\d+)"
#: Names that `passing_folder` gives.
_PASSING = re.compile(rf"^burnish-[a-z]+-{MARK}-\w+$")


def mark() -> str:
    """This process, as a part of a name: `host-pid-start`."""
    return f"{host()}-{os.getpid()}-{_own_start(os.getpid())}"


def host() -> str:
    """The name of this machine, in letters that a file's name may have."""
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "host"


def is_dead(match: re.Match[str]) -> bool:
    """Whether the process of a name that matched `MARK` ran on this machine and runs no more."""
    if match["host"] != host():
        return False
    # A number may belong to another process by now; its start tells them apart (clocks may shift a second).
    return abs(start_of(int(match["pid"])) - int(match["start"])) > 2


def start_of(pid: int) -> int:
    """When a process started, in seconds since 1970; 0 when there is none."""
    import psutil  # type: ignore[import-untyped]

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0


@functools.lru_cache(maxsize=1)
def _own_start(pid: int) -> int:
    return start_of(pid)


@contextmanager
def passing_folder(what: str, within: Path | None = None) -> Iterator[Path]:
    """An empty folder that is gone afterwards; one that a killed process left is removed by the next call.

    what: one word in small letters.  within: where; by default the system's folder for such things.
    """
    place = Path(tempfile.gettempdir()) if within is None else within
    for name in os.listdir(place):
        match = _PASSING.match(name)
        if match is not None and is_dead(match):
            shutil.rmtree(place / name, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"burnish-{what}-{mark()}-", dir=place))
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
