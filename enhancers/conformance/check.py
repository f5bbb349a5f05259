"""What a check is, and what comes out of one."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

from burnish.enhancers.registry import registered
from burnish.errors import UnsupportedError, unknown_name

Status = Literal["passed", "failed", "refused", "not applicable", "expected failure", "unexpected pass"]


class NotApplicableError(Exception):
    """The backbone itself does not offer what the check is about.

    A check raises it with the reason as its message.
    """


def require(held: bool, broken: str) -> None:
    """Raise `AssertionError(broken)` unless the promise held; an `assert` would be gone under `python -O`."""
    if not held:
        raise AssertionError(broken)


@dataclass(frozen=True)
class Outcome:
    """What came out of one check.

    Parameters
    ----------
    backbone
        The name of the backbone's class.
    enhancers
        Names of what was attached, separated by commas, each with the options that are not the defaults.
    check
        The name of the check.
    status
        "passed", "failed", "refused", "not applicable", "expected failure" or "unexpected pass".
    detail
        Why it failed, was refused or does not apply; empty for a pass.
    seconds
        How long it took.
    """

    backbone: str
    enhancers: str
    check: str
    status: Status
    detail: str
    seconds: float

    @property
    def good(self) -> bool:
        """False for an unexpected failure, and for a pass where a failure was announced."""
        return self.status not in ("failed", "unexpected pass")


@dataclass(frozen=True)
class Definition:
    """A check by name: `run(subject)` raises AssertionError when the promise is broken."""

    name: str
    promise: str
    run: Callable[[Any], None]


_definitions: dict[str, Definition] = {}


def conformance_check(name: str, promise: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Declare a check: a decorator of its function.

    Parameters
    ----------
    name
        A short name.
    promise
        What holds, in one sentence.

    Returns
    -------
    Callable
        Decorates `run(subject)`, which raises `AssertionError` when the promise is broken, `NotApplicableError` where
        the backbone does not offer what it is about, and `UnsupportedError` for a refusal; the function stays as it is.
    """

    def declare(run: Callable[[Any], None]) -> Callable[[Any], None]:
        _definitions[name] = Definition(name, promise, run)
        return run

    return declare


def definitions() -> dict[str, Definition]:
    """Every check by name.

    Returns
    -------
    dict of str to Definition
        Name, promise and function of each check that is declared, in the order in which they run.
    """
    return dict(_definitions)


class Check:
    """One check on one subject.

    Call it in a test, or ask for its `outcome()`.

    Parameters
    ----------
    definition
        What is checked.
    subject
        The backbone and what is attached to it.
    expected
        Why it is known to fail; None where it has to pass.
    """

    def __init__(self, definition: Definition, subject: Any, expected: str | None = None) -> None:
        self.definition = definition
        self.subject = subject
        self.expected = expected

    @property
    def name(self) -> str:
        """The name of the check."""
        return self.definition.name

    def __repr__(self) -> str:
        return f"{self.subject.label}-{self.name}"

    def outcome(self) -> Outcome:
        """Run the check.  Never raises, unless interrupted."""
        start = time.perf_counter()
        status: Status = "passed"
        detail = ""
        try:
            with _quiet(), registered(type(enhancer) for enhancer in self.subject.enhancers):
                self.definition.run(self.subject)
        except NotApplicableError as reason:
            status, detail = "not applicable", str(reason)
        except UnsupportedError as reason:
            status, detail = "refused", str(reason)
        except Exception as error:
            status, detail = "failed", f"{type(error).__name__}: {error}"
        if self.expected is not None:
            if status == "failed":
                status, detail = "expected failure", self.expected
            elif status == "passed":
                status, detail = "unexpected pass", f"announced as failing: {self.expected}"
        seconds = time.perf_counter() - start
        subject = self.subject
        return Outcome(subject.backbone.__name__, subject.attached_names, self.name, status, detail, seconds)

    def __call__(self) -> Outcome:
        """Run the check; AssertionError when it failed, or passed where a failure was announced."""
        outcome = self.outcome()
        if not outcome.good:
            raise AssertionError(
                f"{self!r} {outcome.status}: {outcome.detail}\npromise: {self.definition.promise}"
            )
        return outcome


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep RecBole's log and what models print out of the report."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def make_checks(
    subject: Any, expected_failed: Mapping[str, str], only: tuple[str, ...] | None
) -> Iterator[Check]:
    """The checks of one subject.  Raises `UnknownNameError` for a check that does not exist."""
    for name in (*expected_failed, *(only or ())):
        if name not in _definitions:
            raise unknown_name("conformance check", name, _definitions)
    for name, definition in _definitions.items():
        if only is None or name in only:
            yield Check(definition, subject, expected_failed.get(name))
