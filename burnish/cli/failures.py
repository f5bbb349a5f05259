"""From an exception to one clear message and an exit code."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import typer

from burnish.errors import read_in_a_shell
from burnish.notices import Once, debugging

#: Exit codes of every verb.
RUN_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

ResultT = TypeVar("ResultT")


def exit_code(error: BaseException) -> int:
    """2 where the user can mend the input or the environment, 130 for Ctrl-C, 1 for everything else.

    A loss that turned NaN is a `BurnishError`, but of a run that had begun: 1.
    """
    from burnish.errors import BurnishError, NonFiniteError
    from burnish.files.refusals import sentence
    from burnish.installation import broken_library

    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, NonFiniteError):
        return RUN_FAILED
    theirs_to_mend = isinstance(error, BurnishError) or sentence(error, None) or broken_library(error)
    return BAD_INPUT if theirs_to_mend else RUN_FAILED


def message(error: BaseException) -> str:
    """The line printed for an error: its own words when they are ours, else its type as well."""
    from burnish.errors import BurnishError
    from burnish.files.refusals import sentence
    from burnish.installation import broken_library

    if isinstance(error, KeyboardInterrupt):
        return "stopped; what was finished is kept"
    if isinstance(error, BurnishError):
        return f"error: {error}"
    refused = sentence(error, None)
    if refused is not None:
        return f"error: {refused}"
    library = broken_library(error)
    if library is not None:
        absent = isinstance(error, ModuleNotFoundError) and error.name == library
        what = "is not installed" if absent else f"does not import ({type(error).__name__}: {error})"
        return f"error: {library} {what}. `burnish doctor` says how to cure it"
    hint = "" if debugging() else "\n(BURNISH_DEBUG=1 shows where it happened)"
    return f"error: {type(error).__name__}: {error}{hint}"


#: Whether Ctrl-C was pressed while a verb works.
_pressed: list[bool] = []


@contextmanager
def _listening() -> Iterator[None]:
    """While this is open, Ctrl-C is noted besides what it does.

    Python raises KeyboardInterrupt wherever the main thread is, and where that is a finaliser nobody hears of it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def note(number: int, frame: FrameType | None) -> Any:
        _pressed.append(True)
        return before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _pressed.clear()


def stop_if_asked(*_: Any) -> None:
    """Raise `KeyboardInterrupt` where Ctrl-C was pressed and its own was lost; to be called between epochs."""
    if _pressed:
        raise KeyboardInterrupt


def guarded(verb: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Decorator of every verb: no traceback unless BURNISH_DEBUG=1, and the exit codes of this module."""

    @functools.wraps(verb)
    def run(*args: object, **options: object) -> ResultT:
        try:
            with warnings.catch_warnings(), _listening(), read_in_a_shell():
                # What is read for a teacher, a base and the run is warned of once.
                warnings.showwarning = Once().show
                return verb(*args, **options)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # typer's own way out, and `burnish ... | head`
        except (Exception, KeyboardInterrupt) as error:
            if debugging():
                traceback.print_exc()
            print(message(error), file=sys.stderr)
            raise typer.Exit(exit_code(error)) from error

    return run
