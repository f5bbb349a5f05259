"""Warnings for people who watch a command: one line each, without what nobody at the command line can act on."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_LIBRARIES = re.compile(r"[\\/]site-packages[\\/](recbole|torch|numpy|pandas|scipy|sklearn|thop|ray)[\\/]")
_ANSI = re.compile(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")


def debugging() -> bool:
    """Whether BURNISH_DEBUG asks for tracebacks (anything but empty or 0)."""
    return os.environ.get("BURNISH_DEBUG", "0") not in ("", "0")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line for people: `warning: ...`, with the place only under BURNISH_DEBUG.

    What RecBole and the libraries under it say about each other's deprecated calls is left out, as nobody at
    the command line can act on it; warnings about numbers (`RuntimeWarning`) are shown whoever gives them.
    """
    if not debugging() and not issubclass(category, RuntimeWarning) and _LIBRARIES.search(filename):
        return
    kind = "warning" if category is UserWarning else f"warning ({category.__name__})"
    place = f" [{filename}:{lineno}]" if debugging() else ""
    print(f"{kind}: {message}{place}", file=file or sys.stderr)


class Once:
    """Passes each text on once."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """As `show_warning`."""
        if self.first(f"{category.__name__}: {message}"):
            show_warning(message, category, filename, lineno, file, line)

    def filter(self, record: logging.LogRecord) -> bool:
        """Of a log's handler."""
        return self.first(record.getMessage())

    def first(self, text: str) -> bool:
        """Whether a text was not there before."""
        new = text not in self.told
        self.told.add(text)
        return new


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        kind = "warning" if record.levelno <= logging.WARNING else record.levelname.lower()
        return f"{kind}: {_ANSI.sub('', record.getMessage())}"


@contextmanager
def told_once() -> Iterator[None]:
    """Within, where many runs follow one another, warnings and warnings in RecBole's log are lines, each shown once."""
    once, root = Once(), logging.getLogger()
    handler = logging.StreamHandler()  # to sys.stderr as it is now
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Line())
    handler.addFilter(once.filter)
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = once.show
            yield
    finally:
        root.removeHandler(handler)
