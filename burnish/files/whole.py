"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.errors import BurnishError, ConfigurationError, DataError

from .jsons import parse_json
from .processes import MARK, is_dead, mark, start_of
from .refusals import of_place, reason
from .traces import without_traces

if TYPE_CHECKING:
    from torch import Tensor

#: `.NAME.<mark of the process>`, and what burnish wrote before: `.NAME.<pid>`.
_BESIDE = re.compile(rf"^\.(?P<name>.+)\.(?:{MARK}|(?P<bare>\d+))$")
#: Before the name beside a place, for a folder that tensors are written in.
_TENSORS = ".tensors"


@contextmanager
def written_whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A name beside `path`; what was written there takes the place of `path` unless an exception comes first.

    Makes the folder that `path` is in.  A link at `path` is replaced, never written through.  What a killed process
    left of the same file is removed.

    Parameters
    ----------
    path
        The file that is to be there in the end.
    durable
        Bring the content to the disk before it takes its place, so that it survives a power cut too.

    Raises
    ------
    ConfigurationError
        Where `path` is a folder or a device, or nothing can be written there (no space, no permission).
    """
    if os.path.isdir(path):
        raise ConfigurationError(f"{path} is a folder; give the name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigurationError(f"{path} is a device or a pipe; give the name of a file")
    beside = path.with_name(f".{path.name}.{mark()}")
    with without_traces(path.parent):
        try:
            _make_parent(path)
            remove_leftovers(path.parent, path.name)
            yield beside
            if durable:
                with beside.open("rb") as handle:
                    os.fsync(handle.fileno())
            os.replace(beside, path)
        except Exception as error:
            named = error.filename if isinstance(error, OSError) else None
            # Of another file than this one, it is the caller's affair.
            other = named is not None and Path(os.fsdecode(named)) not in (beside, path, *path.parents)
            why = reason(error) or (None if other else of_place(error, beside))
            if why is None or other or isinstance(error, BurnishError):
                raise
            raise ConfigurationError(
                f"{path} cannot be written ({why}); give a path in a folder that you may write to "
                f"and that has space left"
            ) from error
        finally:
            with suppress(OSError):
                beside.unlink()


def _make_parent(path: Path) -> None:
    """Make the folder that a file is in; what places of the system's own say, such as /proc, is told as the others."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if reason(error) is not None:
            raise
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror or error}); give a path in a folder that you may write to"
        ) from error


def save_tensors(beside: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under the name beside its place that `written_whole` gave.

    safetensors itself writes under a passing name and renames, and where it is killed nobody knows whose that was: so
    it does that in a folder with a name of ours.
    """
    from safetensors.torch import save_file

    place = beside.with_name(f"{_TENSORS}{beside.name}")
    try:
        place.mkdir()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(beside)) from error
    try:
        save_file(dict(tensors), place / "tensors", metadata)
        os.replace(place / "tensors", beside)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes of this machine left in a folder of files that were to be whole.

    name: of this file only.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for found in names:
        match = _BESIDE.match(found)
        if match is None or (name is not None and match["name"] not in (name, f"{_TENSORS[1:]}.{name}")):
            continue
        if start_of(int(match["bare"])) == 0 if match["bare"] else is_dead(match):
            left = folder / found
            with suppress(OSError):
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; errors as of `written_whole`."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; what JSON cannot hold becomes text."""
    write_text(path, json.dumps(content, indent=1, default=str) + "\n")


def read_json(path: Path, cure: str) -> Any:
    """What a JSON file holds.

    cure: what to do where it is missing or damaged; `DataError` says it, after the file and what is wrong with it.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {cure}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {cure}") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); {cure}") from error
