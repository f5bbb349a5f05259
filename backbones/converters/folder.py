"""A data set's folder that is there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import ConfigurationError, DataError, option

#: The explanation in a converted folder, and the ending of its machine-readable twin.
README, CARD = "README.txt", ".card.json"
#: Letters of a data set's name: file systems take 255, of which endings need some.
_LONGEST = 200


def check_target(out: Path, force: bool) -> None:
    """Check that the folder of a data set can be made, before hours are spent on it.

    Raises `ConfigurationError` for a name that RecBole cannot use, and for a folder that is there already: without
    `force`, or where it holds what no converter wrote.
    """
    name, asked = out.name, option("out", str(out))
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
        raise ConfigurationError(
            f"{asked}: {name!r} is not a name of a data set; use letters, digits, - and _"
        )
    if len(name) > _LONGEST:
        raise ConfigurationError(f"{asked}: a name of {len(name)} letters; use {_LONGEST} at most")
    if name == "ml-100k":
        raise ConfigurationError(
            f"{asked}: RecBole always reads its own data set ml-100k by this name; take another"
        )
    if not out.exists() and not out.is_symlink():
        _check_parent(out)
        return
    if not out.is_dir() or out.is_symlink():
        raise ConfigurationError(f"{asked} is there and is not a folder; give a name that is free")
    if not force:
        raise ConfigurationError(
            f"{asked} is there already; give another name, or {option('force', True)} to replace it"
        )
    foreign = sorted(entry.name for entry in out.iterdir() if not _ours(entry, name))
    if foreign:
        raise ConfigurationError(
            f"{option('force', True)} would remove {', '.join(foreign[:5])} from {out}, which no converter wrote; move "
            f"it away, or give another name"
        )
    _check_parent(out)


def _ours(entry: Path, name: str) -> bool:
    written = [
        README,
        *(f"{name}{ending}" for ending in (".inter", ".item", ".user", ".net", ".kg", ".link", CARD)),
    ]
    written += [f"{name}.reviews.parquet", f"{name}.reviews.tsv.gz"]
    return entry.name in written and entry.is_file()


def _check_parent(out: Path) -> None:
    """Raise where no folder can be made beside `out`, which only trying tells (of read-only disks, of /proc)."""
    asked = option("out", str(out))
    try:
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise ConfigurationError(f"{asked}: {parent} is a file, not a folder")
        tried = parent / f".{out.name}.{os.getpid()}.tried"
        tried.mkdir()
        tried.rmdir()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"no space left for {out}; make room, or give a folder on another disk"
            ) from error
        raise ConfigurationError(
            f"{asked}: nothing may be written there ({error.strerror or error}); give another folder"
        ) from error


@contextmanager
def written_whole_folder(out: Path, force: bool) -> Iterator[Path]:
    """A new folder beside `out`; what was written there takes the place of `out` unless an exception comes first.

    Raises `DataError` where the disk is full or cannot be written; a folder that was there stays as it was then.
    """
    beside = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    old = out.with_name(f".{out.name}.{os.getpid()}.replaced")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        yield beside
        check_target(out, force)  # it may have come in the meantime
        if out.exists():
            os.replace(out, old)
        os.replace(beside, out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"no space left for {out}; make room, or give a folder on another disk. Nothing was kept"
            ) from error
        raise DataError(f"{out} cannot be written: {error.strerror or error}. Nothing was kept") from error
    finally:
        if old.exists() and not out.exists():
            os.replace(old, out)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
