"""What a mend is: one symptom of RecBole 1.2.1 on a newer library, when it shows, and the cure."""

from __future__ import annotations

import enum
import importlib.metadata
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import ModuleType

from . import hook


class State(enum.Enum):
    """Where a mend stands in this process."""

    NOT_NEEDED = "not needed"  # the installed library does not show the symptom
    WAITING = "waiting"  # needed, but RecBole's module is not imported yet
    ACTIVE = "active"


@dataclass
class Mend:
    """One mend.  `cure` changes a loaded RecBole module, or is a context manager around its import."""

    name: str
    library: str
    versions: str
    symptom: str
    modules: tuple[str, ...]
    applies: Callable[[], bool]
    applied_to: set[str] = field(default_factory=set)

    @property
    def state(self) -> State:
        if self.applied_to:
            return State.ACTIVE
        return State.WAITING if self.applies() else State.NOT_NEEDED


_mends: dict[str, Mend] = {}
_installers: list[Callable[[], None]] = []


def all_mends() -> tuple[Mend, ...]:
    """Every known mend, in the order of definition."""
    return tuple(_mends.values())


def install_all() -> None:
    """Register every mend with the import hook; modules that are loaded already are changed at once."""
    for install in _installers:
        install()


def release(library: str) -> tuple[int, ...]:
    """The release of an installed library, `(3, 1)` for 3.1.1, without importing it; `()` if absent."""
    try:
        text = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def at_least(library: str, *version: int) -> Callable[[], bool]:
    """A version gate: whether `library` is installed in `version` (major, minor) or later."""
    return lambda: release(library) >= version


def ignore(message: str, category: type[Warning]) -> None:
    """Silence a warning that lines of RecBole give, which nobody who reads it can change.

    message: how its text begins.
    """
    pattern = re.escape(message)
    warnings.filterwarnings("ignore", pattern, category, r"recbole\.")


Cure = Callable[[ModuleType], None]
Guard = Callable[[], Iterator[None]]


def mend(
    name: str,
    *,
    library: str,
    versions: str,
    symptom: str,
    modules: tuple[str, ...],
    applies: Callable[[], bool],
) -> Callable[[Cure], Cure]:
    """Declare a function that mends one symptom in a loaded RecBole module.

    name: short and unique.  versions: for people, such as "pandas >= 3".  modules: the RecBole modules to
    change.  applies: whether the installed library shows the symptom; asked when a module is imported.
    """

    def declare(cure: Cure) -> Cure:
        this = _declare(Mend(name, library, versions, symptom, modules, applies))

        def run(module: ModuleType) -> None:
            if this.applies():
                cure(module)
                this.applied_to.add(module.__name__)

        def install() -> None:
            for module in modules:
                hook.after_import(module, run)

        _installers.append(install)
        return cure

    return declare


def import_mend(
    name: str,
    *,
    library: str,
    versions: str,
    symptom: str,
    modules: tuple[str, ...],
    applies: Callable[[], bool],
) -> Callable[[Guard], Guard]:
    """Declare a generator to run around the import of RecBole's `modules`: it mends, yields once, tidies up.

    The arguments are those of `mend`.
    """

    def declare(cure: Guard) -> Guard:
        this = _declare(Mend(name, library, versions, symptom, modules, applies))

        @contextmanager
        def guard() -> Iterator[None]:
            needed = this.applies()
            with contextmanager(cure)() if needed else nullcontext():
                yield
            if needed:
                this.applied_to.update(modules)

        def install() -> None:
            for module in modules:
                hook.during_import(module, guard)

        _installers.append(install)
        return cure

    return declare


def _declare(new: Mend) -> Mend:
    if new.name in _mends:
        raise ValueError(f"mend {new.name!r} is declared twice")
    _mends[new.name] = new
    return new
