"""From an exception to one clear message and an exit code."""

from __future__ import annotations

import functools
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import TextIO, TypeVar

import typer

#: Exit codes of every verb.
RUN_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

_LIBRARIES = re.compile(r"[\\/]site-packages[\\/](recbole|torch|numpy|pandas|scipy|sklearn|thop|ray)[\\/]")

ResultT = TypeVar("ResultT")


def debugging() -> bool:
    """Whether BURNISH_DEBUG asks for tracebacks (anything but empty or 0)."""
    return os.environ.get("BURNISH_DEBUG", "0") not in ("", "0")


def exit_code(error: BaseException) -> int:
    """2 where the user can mend the input, 130 for Ctrl-C, 1 for everything else.

    A loss that turned NaN is a `BurnishError`, but of a run that had begun: 1.
    """
    from burnish.errors import BurnishError, NonFiniteError
    from burnish.files.refusals import sentence

    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, NonFiniteError):
        return RUN_FAILED
    return BAD_INPUT if isinstance(error, BurnishError) or sentence(error, None) is not None else RUN_FAILED


def message(error: BaseException) -> str:
    """The line printed for an error: its own words when they are ours, else its type as well."""
    from burnish.errors import BurnishError
    from burnish.files.refusals import sentence

    if isinstance(error, KeyboardInterrupt):
        return "stopped; what was finished is kept"
    if isinstance(error, BurnishError):
        return f"error: {error}"
    refused = sentence(error, None)
    if refused is not None:
        return f"error: {refused}"
    hint = "" if debugging() else "\n(BURNISH_DEBUG=1 shows where it happened)"
    return f"error: {type(error).__name__}: {error}{hint}"


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


def guarded(verb: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Decorator of every verb: no traceback unless BURNISH_DEBUG=1, and the exit codes of this module."""

    @functools.wraps(verb)
    def run(*args: object, **options: object) -> ResultT:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = show_warning
                return verb(*args, **options)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # typer's own way out, and `burnish ... | head`
        except (Exception, KeyboardInterrupt) as error:
            if debugging():
                traceback.print_exc()
            print(message(error), file=sys.stderr)
            raise typer.Exit(exit_code(error)) from error

    return run
