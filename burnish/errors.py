"""Errors and warnings that a user can act on: what happened, with which value, and what to do about it."""

from __future__ import annotations

import difflib
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

#: Packages whose lines no reader of a warning can change, and what calls a decorated function of theirs.
_OURS = ("burnish", "recbole", "contextlib")


class BurnishError(Exception):
    """Base of every error that burnish raises on purpose; the command line prints it without a traceback.

    others: what else is wrong in the same place, where several things were seen at once.
    """

    others: tuple[BurnishError, ...] = ()


class UnknownNameError(BurnishError, KeyError):
    """A model, enhancer, option or data set name that does not exist.  The message names the nearest match."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class ConfigurationError(BurnishError, ValueError):
    """An option with a value that cannot be used; the message names the field, the value and the cure."""


class UnsupportedError(BurnishError, TypeError):
    """An enhancer asked for something that this backbone does not have; the message lists what does work."""


class NonFiniteError(BurnishError, ArithmeticError):
    """NaN or infinity in a table or a loss; the message names the enhancer, the table and the step."""


class DataError(BurnishError, ValueError):
    """A data set that is missing, empty or too small for what was asked of it."""


class NotInstalledError(BurnishError, ModuleNotFoundError):
    """RecBole is needed and not installed; the message names the command that installs it."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, ignoring case, or None when nothing is close.

    Where none is all but the same, one that is written shorter counts: `temp` for `temperature`, `lr` for
    `learning_rate`.
    """
    by_lower = {k.lower(): k for k in known}
    asked = name.lower()
    close = difflib.get_close_matches(asked, list(by_lower), n=1, cutoff=0.55)
    if close and difflib.SequenceMatcher(None, close[0], asked).ratio() >= _ALIKE:
        return by_lower[close[0]]
    shorter = [one for one in by_lower if _shortens(asked, one)]
    if len(shorter) == 1:
        return by_lower[shorter[0]]
    return by_lower[close[0]] if close else None


#: So like a known name is a misspelt one, whatever it may be short for.
_ALIKE = 0.75


def _shortens(short: str, name: str) -> bool:
    """Whether a text is the beginning of a name, of three letters at least, or the initials of its words."""
    words = re.findall(r"[a-z0-9]+", name)
    if not short.isalpha() or short == name:
        return False
    initials = len(words) > 1 and short == "".join(word[0] for word in words)
    return initials or (len(short) >= 3 and name.startswith(short))


def plain_id(token: str) -> str:
    """An id without what spreadsheets and scripts lose of it: leading zeros, blanks, case, `.0` behind numbers."""
    token = " ".join(unicodedata.normalize("NFKC", token).casefold().split())
    token = re.sub(r"^([0-9]+)\.0+$", r"\1", token)
    return re.sub(r"^0+(?=[0-9])", "", token)


def nearest_ids(token: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The ids that may have been meant: those that differ in how they are written only, else the most similar one."""
    names = list(known)
    plain = plain_id(token)
    same = [name for name in names if name != token and plain_id(name) == plain]
    if same:
        return same[:most]
    guess = nearest(token, names)
    return [] if guess is None else [guess]


def meant_ids(token: str, known: Iterable[str]) -> str:
    """`" Did you mean '0001'?"` for an id that is not there; empty where none is like it."""
    found = nearest_ids(token, known)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def unknown_id(kind: str, token: str, known: Iterable[str], *, cure: str = "") -> UnknownNameError:
    """As `unknown_name`, for an original id."""
    names = list(known)
    few = (
        f" Known: {', '.join(sorted(names))}."
        if 0 < len(names) <= 24 and sum(map(len, names)) <= 2000
        else ""
    )
    return UnknownNameError(
        f"{kind} {token[:200]!r} is not known.{meant_ids(token, names)}{few}{' ' if cure else ''}{cure}"
    )


def cut_by_yaml(name: str, known: Iterable[str]) -> str:
    """The hint for `Kunde` where `Kunde #` is known: YAML takes what follows a blank and `#` for a comment."""
    whole = next((one for one in known if re.match(rf"{re.escape(name)}\s+#", one)), None)
    return "" if whole is None else f" In YAML a # after a blank begins a comment: write '{whole}' in quotes."


def unknown_name(kind: str, name: str, known: Iterable[str], *, cure: str = "") -> UnknownNameError:
    """An `UnknownNameError` that says what kind of thing is unknown, guesses what was meant and lists the rest.

    kind: what the name stands for, for example "enhancer".  known: every valid name.
    cure: one more sentence on how to see or add valid names.
    """
    names = sorted(known)
    guess = nearest(name, names)
    shown = repr(name) if len(name) <= 200 else f"{name[:200]!r}..."
    parts = [f"{kind} {shown} is not known."]
    if guess:
        parts.append(f"Did you mean {guess!r}?{cut_by_yaml(name, names)}")
    if len(names) <= 24 and sum(map(len, names)) <= 2000:
        parts.append(f"Known: {', '.join(names) or 'none'}.")
    if cure:
        parts.append(cure)
    return UnknownNameError(" ".join(parts))


def placed(place: str, error: BurnishError) -> BurnishError:
    """The error, and what it has beside it, with a place before their words; raise it `from` the first."""
    moved = type(error)(f"{place}: {error}")
    moved.others = tuple(placed(place, other) for other in error.others)
    return moved


_in_a_shell: ContextVar[bool] = ContextVar("in_a_shell", default=False)


@contextmanager
def read_in_a_shell() -> Iterator[None]:
    """While this is open, `option` names options as a shell takes them."""
    token = _in_a_shell.set(True)
    try:
        yield
    finally:
        _in_a_shell.reset(token)


def option(name: str, value: Any = None) -> str:
    """How the reader of a message gives an option: `--min-user 5` in a shell, `min_user=5` in Python.

    value: None for the option without one, True for a switch.
    """
    if not _in_a_shell.get():
        return f"{name}=" if value is None else f"{name}={value!r}"
    flag = f"--{name.replace('_', '-')}"
    return flag if value is None or value is True else f"{flag} {value}"


def no_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError | ImportError:
    """What a package's `__getattr__` raises for a name that it has not: with the nearest one, or with all of them.

    `from PACKAGE import NAME` asks for the attribute first, and would drop what an `AttributeError` says: there it is
    an `ImportError`, unless the name is a module's.
    """
    names = sorted(known)
    guess = nearest(name, names)
    hint = f"did you mean {guess!r}?" if guess else f"it offers {', '.join(names)}"
    asking = sys._getframe(2).f_code.co_name
    if asking == "_handle_fromlist" and find_spec(f"{module}.{name}") is None:
        return ImportError(f"cannot import name {name!r} from {module!r}; {hint}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}; {hint}", name=name)


def warn(message: str) -> None:
    """A `UserWarning` at the line outside burnish and RecBole that led here: the one that its reader can change.

    Where RecBole called burnish, its own line would be named, and the command line hides what libraries say.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
