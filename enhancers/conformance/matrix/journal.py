"""Outcomes on disk, a line each, written as they come: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TextIO

from burnish.errors import DataError
from burnish.files.whole import write_text

from ..check import Outcome


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes in a file of JSON lines; a last line that was cut off is left out.  None for a missing file.

    Raises `DataError` for any other line that is not an outcome.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    outcomes = []
    for number, line in enumerate(lines, 1):
        try:
            outcomes.append(_outcome(line))
        except (ValueError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise DataError(
                f"{path}: line {number} is not an outcome of a check ({error}); leave out --resume to begin anew"
            ) from error
    return outcomes


def _outcome(line: str) -> Outcome:
    read = json.loads(line)
    if not isinstance(read, dict) or set(read) != {field.name for field in fields(Outcome)}:
        raise ValueError("other fields than an outcome's")
    return Outcome(**read)


def begin(path: Path, outcomes: Iterable[Outcome]) -> TextIO:
    """A file that holds these outcomes, open for more."""
    write_text(path, "".join(_line(outcome) for outcome in outcomes))
    return path.open("a", encoding="utf-8")


def add(file: TextIO, outcome: Outcome) -> None:
    """Append one outcome; it is on disk when this returns."""
    file.write(_line(outcome))
    file.flush()


def _line(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome)) + "\n"
