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
    """The backbone itself does not offer what the check is about; the message says why."""


def require(held: bool, broken: str) -> None:
    """Raise `AssertionError(broken)` unless the promise held; an `assert` would be gone under `python -O`."""
    if not held:
        raise AssertionError(broken)


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    detail: why it failed, was refused or does not apply; empty for a pass.
    """

    backbone: str
    enhancers: str
    check: str
    status: Status
    detail: str
    seconds: float

    @property
    def good(self) -> bool:
        """False for a failure nobody expected, and for a pass where a failure was announced."""
        return self.status not in ("failed", "unexpected pass")


@dataclass(frozen=True)
class Definition:
    """A check by name: `run(subject)` raises AssertionError when the promise is broken."""

    name: str
    promise: str
    run: Callable[[Any], None]


_definitions: dict[str, Definition] = {}


def conformance_check(name: str, promise: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Declare a check: a short name and the promise in one sentence."""

    def declare(run: Callable[[Any], None]) -> Callable[[Any], None]:
        _definitions[name] = Definition(name, promise, run)
        return run

    return declare


def definitions() -> dict[str, Definition]:
    """Every check by name, in the order in which they run."""
    return dict(_definitions)


class Check:
    """One check on one subject.  Call it in a test, or ask for its `outcome()`."""

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
