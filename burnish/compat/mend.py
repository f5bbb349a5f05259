"""What a mend is: one symptom of RecBole 1.2.1 on a newer library, when it shows, and the cure."""

from __future__ import annotations

import enum
import importlib.metadata
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
    """The release number of an installed library, `(3, 1)` for 3.1.1, without importing it; `()` if absent."""
    try:
        text = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def at_least(library: str, *version: int) -> Callable[[], bool]:
    """A version gate: whether `library` is installed in `version` (major, minor) or later."""
    return lambda: release(library) >= version


CureT = Callable[[ModuleType], None]
GuardT = Callable[[], Iterator[None]]


def mend(
    name: str,
    *,
    library: str,
    versions: str,
    symptom: str,
    modules: tuple[str, ...],
    applies: Callable[[], bool],
) -> Callable[[CureT], CureT]:
    """Declare a function that mends one symptom in a loaded RecBole module.

    name: short and unique.  versions: for people, such as "pandas >= 3".  modules: the RecBole modules to
    change.  applies: whether the installed library shows the symptom; asked when a module is imported.
    """

    def declare(cure: CureT) -> CureT:
        this = _declare(Mend(name, library, versions, symptom, modules, applies))

        def run(module: ModuleType) -> None:
            if applies():
                cure(module)
                this.applied_to.add(module.__name__)

        _installers.append(lambda: [hook.after_import(module, run) for module in modules] and None)
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
) -> Callable[[GuardT], Callable[[], AbstractContextManager[None]]]:
    """Declare a context manager around the import of RecBole's `modules`; the arguments are those of `mend`."""

    def declare(cure: GuardT) -> Callable[[], AbstractContextManager[None]]:
        this = _declare(Mend(name, library, versions, symptom, modules, applies))
        manager = contextmanager(cure)

        @contextmanager
        def guard() -> Iterator[None]:
            if not applies():
                yield
                return
            with manager():
                yield
            this.applied_to.update(modules)

        _installers.append(lambda: [hook.during_import(module, guard) for module in modules] and None)
        return manager

    return declare


def _declare(new: Mend) -> Mend:
    if new.name in _mends:
        raise ValueError(f"mend {new.name!r} is declared twice")
    _mends[new.name] = new
    return new
