"""Lines as records (dictionaries): strict JSON, or the Python dictionaries of the oldest Amazon files."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from burnish.errors import DataError, warn

from .lines import Progress, lines

Record = dict[str, Any]

_DECODER = json.JSONDecoder()


class BrokenLineError(Exception):
    """A line that holds no usable record; the message says what is wrong with it, not where it is."""


def parse(line: bytes) -> Record:
    """One line as a dictionary: JSON, else a Python literal.  No code in it is ever executed.

    Raises `BrokenLineError` for everything else.
    """
    try:
        text = str(line, "utf-8")
    except UnicodeDecodeError as error:
        raise BrokenLineError(f"byte {error.start + 1} is not UTF-8 text") from error
    text = text.lstrip("\ufeff")
    try:
        record = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        record = _literal(text, error)
    if not isinstance(record, dict):
        raise BrokenLineError(f"it is not an object {{...}} but {_shown(text)}")
    return record


def _literal(text: str, error: Exception) -> object:
    if not text.startswith("{"):
        raise BrokenLineError(f"it is not JSON: {_shown(text)}") from error
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        where = (
            f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        )
        raise BrokenLineError(f"it is not JSON ({where}): {_shown(text)}") from error


def _shown(text: str, longest: int = 60) -> str:
    return repr(text if len(text) <= longest else text[:longest] + "...")


class Broken:
    """What to do about broken lines of one file: stop at the first, or skip and count them."""

    def __init__(self, path: Path, skip: bool) -> None:
        self.path, self.skip = path, skip
        #: How many were skipped, and what was wrong with the first of them.
        self.count, self.first = 0, ""
        #: Where and how a gzip file ends too early; empty for one that is whole.
        self.cut = ""

    @property
    def at_cut(self) -> Callable[[int, str], None] | None:
        """What `lines` does where a gzip file ends too early: an error, or `cut` is set."""
        return self._note_cut if self.skip else None

    def _note_cut(self, number: int, wrong: str) -> None:
        if not self.cut:
            warn(f"{self.path} is {wrong}; the {number:,} whole lines before that place are converted")
        self.cut = wrong

    def met(self, number: int, error: BrokenLineError) -> None:
        """Count a broken line.  Raises `DataError` with file and line unless they are to be skipped."""
        message = f"{self.path}, line {number}: {error}"
        if not self.skip:
            raise DataError(
                f"{message}. Mend the line, or leave such lines out with --skip-broken"
            ) from error
        self.count += 1
        self.first = self.first or message


def records(path: Path, broken: Broken, progress: Progress | None = None) -> Iterator[tuple[int, Record]]:
    """(line number, record) of every line with a record on it; blank lines are passed over."""
    for number, line in lines(path, progress, broken.at_cut):
        if not line.strip():
            continue
        try:
            record = parse(line)
        except BrokenLineError as error:
            broken.met(number, error)
            continue
        yield number, record
