"""An import hook: change a module just after it is loaded, without importing it ourselves.

`import burnish` must not pull RecBole in, and RecBole must be mended whichever of the two is imported first.
So a mend is registered for the module that it changes and runs when that module is imported, or at once when
it is loaded already.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType

from burnish.installation import missing_recbole

Callback = Callable[[ModuleType], None]
Guard = Callable[[], AbstractContextManager[None]]

_callbacks: dict[str, list[Callback]] = {}
_guards: dict[str, list[Guard]] = {}


class _Finder:
    """Lets the other finders find a module, then runs what was registered for it around its execution."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _callbacks and fullname not in _guards and fullname != "recbole":
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                _wrap_loader(spec)
                return spec
        if fullname == "recbole" and _somebody_imports():
            raise missing_recbole()
        return None


def _somebody_imports() -> bool:
    """Whether a finder is asked by an `import`, not by `importlib.util.find_spec`, which answers None for no module."""
    # 0: here, 1: find_spec, 2: importlib's _find_spec, 3: who wants to know
    return sys._getframe(3).f_code.co_name == "_find_and_load_unlocked"


def _wrap_loader(spec: importlib.machinery.ModuleSpec) -> None:
    """Replace `exec_module` on this one loader object; its type and its other methods stay as they are."""
    loader = spec.loader
    if loader is None:  # a namespace package executes nothing
        return
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        with ExitStack() as stack:
            for guard in _guards.get(spec.name, ()):
                stack.enter_context(guard())
            execute(module)
        for callback in list(_callbacks.get(spec.name, ())):
            callback(module)

    loader.exec_module = exec_module  # type: ignore[method-assign]


def install() -> None:
    """Put the hook in front of Python's own finders, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def after_import(module_name: str, callback: Callback) -> None:
    """Call `callback(module)` after every import of `module_name`; at once when it is loaded already.

    Nothing is imported here.  Callbacks of one module run in the order of registration.  The same callback is
    registered only once.  An error in a callback is an error of the import: nothing is swallowed.
    """
    install()
    registered = _callbacks.setdefault(module_name, [])
    if callback in registered:
        return
    registered.append(callback)
    module = sys.modules.get(module_name)
    if module is not None:
        callback(module)


def during_import(module_name: str, guard: Guard) -> None:
    """Execute `module_name` inside the context manager `guard()` whenever it is imported from now on."""
    install()
    registered = _guards.setdefault(module_name, [])
    if guard not in registered:
        registered.append(guard)


@contextmanager
def stand_ins(modules: dict[str, ModuleType]) -> Iterator[None]:
    """Show other modules under the names in `modules` while the block runs, then what was there before."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def import_works(name: str) -> str | None:
    """Import the module `name`: None when that works, else why not, in one line.

    A package that fails half way leaves parts in `sys.modules`; they are removed, so that a later import by
    somebody else fails with the real reason again.
    """
    top = name.partition(".")[0]
    before = set(sys.modules)
    try:
        if importlib.util.find_spec(top) is None:
            return "not installed"
        importlib.import_module(name)
    except Exception as error:  # a broken package may raise anything while it is imported
        for loaded in set(sys.modules) - before:
            if loaded == top or loaded.startswith(top + "."):
                del sys.modules[loaded]
        return f"{type(error).__name__}: {error}"
    return None


def replace_everywhere(module: ModuleType, name: str, new: object) -> None:
    """Set `module.name`, also in the loaded RecBole modules that took the old object by `from ... import`."""
    old = getattr(module, name)
    for other_name, other in list(sys.modules.items()):
        if other_name.partition(".")[0] == "recbole" and getattr(other, name, None) is old:
            setattr(other, name, new)
    setattr(module, name, new)
