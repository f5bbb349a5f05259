"""Contexts around a RecBole call that keep its habits in place: text as options, logs, threads, checkpoints."""

from __future__ import annotations

import ast
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from burnish.checks import whole_number
from burnish.errors import ConfigurationError
from burnish.files.processes import passing_folder

from .threads import threads_by_default

_ANSI = re.compile(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")


_ours = threading.RLock()
#: The thread that has the lock, while it has it.
_holder: int | None = None


def _unlocked() -> None:
    """In a forked process nothing is under way, whichever thread of its parent held the lock."""
    global _ours, _holder
    _ours, _holder = threading.RLock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlocked)


@contextmanager
def alone() -> Iterator[None]:
    """While this is open, no other thread of this process trains or reads a run: it is refused, not kept waiting.

    RecBole keeps random streams, its log and its options for the whole process, and so two at a time disturb each
    other: metrics change from call to call, and nothing says so.  The same thread may open it again (a base that is
    trained within a run).  Raises `ConfigurationError`.
    """
    lock = _ours
    if not lock.acquire(blocking=False):
        raise ConfigurationError(
            "another thread of this process is training or reading a run, and RecBole keeps random numbers, logs and "
            "options for the whole process: wait for it, or use a process for each run"
        )
    global _holder
    before, _holder = _holder, threading.get_ident()
    try:
        yield
    finally:
        _holder = before
        lock.release()


def under_way() -> bool:
    """Whether this thread is within a run of burnish's (`alone`)."""
    return _holder == threading.get_ident()


def literal(text: str) -> Any:
    """The value of an option written as text: a Python literal, true/false in any case, else the text itself.

    RecBole passes such text to `eval`; this gives the same values for numbers, lists, dictionaries and None,
    and never runs code.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {"true": True, "false": False}.get(text.lower(), text)


@contextmanager
def literal_options() -> Iterator[None]:
    """While this is open, RecBole's Config reads option values with `literal` instead of `eval`."""
    from recbole.config import Config

    def convert(_: Any, options: dict[str, Any]) -> dict[str, Any]:
        return {key: literal(value) if isinstance(value, str) else value for key, value in options.items()}

    before = Config._convert_config_dict
    Config._convert_config_dict = convert
    try:
        yield
    finally:
        Config._convert_config_dict = before


class _LogFile(logging.FileHandler):
    """A log that cannot be written stops the run with the system's error, and without a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        raise

    def close(self) -> None:
        with suppress(OSError):  # what is left in the buffer of a full disk
            super().close()


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _ANSI.sub("", super().format(record))


@contextmanager
def log_file(path: Path | None, kept: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Write RecBole's log (the root logger, from INFO) to `path`, without colours; None changes nothing.

    Other handlers of the root logger see only warnings and worse meanwhile, so that a console stays readable.
    kept: asked where an error comes out; where it is False, the file is as it was before, or not there.
    """
    if path is None:
        yield
        return
    before = path.stat().st_size if path.is_file() else None
    root = logging.getLogger()
    handler = _LogFile(path, encoding="utf-8", delay=False)
    handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    others = [(other, other.level) for other in root.handlers]
    level = root.level
    for other, _ in others:
        other.setLevel(max(other.level, logging.WARNING))
    root.addHandler(handler)
    # Without handlers of their own, warnings would have gone to stderr: they still do.
    console = logging.lastResort if not others else None
    if console is not None:
        root.addHandler(console)
    root.setLevel(logging.INFO)
    whole = False
    try:
        yield
        whole = True
    finally:
        root.removeHandler(handler)
        if console is not None:
            root.removeHandler(console)
        root.setLevel(level)
        for other, old in others:
            other.setLevel(old)
        handler.close()
        if not whole and not kept():
            _put_back(path, before)


def _put_back(path: Path, size: int | None) -> None:
    """A file as it was when it had so many bytes; None: not there."""
    with suppress(OSError):
        if size is None:
            path.unlink()
        else:
            os.truncate(path, size)


def check_threads(number: Any) -> None:
    """Raise `ConfigurationError` for anything but a whole number of threads; None passes."""
    if number is not None:
        whole_number("threads", number, what="a whole number of torch threads")


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Use `number` torch threads inside; None only lowers a number for which there are no cores.

    `threads_by_default` has the rule.  Raises `ConfigurationError` below 1.
    """
    import torch

    if number is None:
        number = threads_by_default(torch.get_num_threads())
    if number is None:
        yield
        return
    check_threads(number)
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def checkpoint_folder(folder: Path | None, keep: bool) -> Iterator[Path | None]:
    """Where checkpoints go: `folder`, a temporary one when none is kept, or None for RecBole's choice."""
    if keep and folder is None:
        yield None
    elif keep:
        yield folder
    else:
        with passing_folder("checkpoint", folder) as passing:
            yield passing
