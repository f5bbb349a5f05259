"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError


@contextmanager
def written_whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A name beside `path`; what was written there takes the place of `path` unless an exception comes first.

    Makes the folder that `path` is in.  A link at `path` is replaced, never written through.

    Parameters
    ----------
    path
        The file that is to be there in the end.
    durable
        Bring the content to the disk before it takes its place, so that it survives a power cut too.

    Raises
    ------
    ConfigurationError
        Where `path` is a folder, or nothing can be written there (no space, no permission).
    """
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder; give the name of a file")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if durable:
            with beside.open("rb") as handle:
                os.fsync(handle.fileno())
        os.replace(beside, path)
    except OSError as error:
        # Of another file than this one, it is the caller's affair.
        if error.filename is not None and Path(error.filename).parent not in (path.parent, *path.parents):
            raise
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror or error}); give a path in a folder that you may write to "
            f"and that has space left"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; errors as of `written_whole`."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; what JSON cannot hold becomes text."""
    write_text(path, json.dumps(content, indent=1, default=str) + "\n")
