"""Digests of the source of classes of one's own, by which a changed one is told from what it was."""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from burnish.errors import warn

#: Packages whose sources are no person's own here.
_KNOWN = frozenset({"burnish", "recbole", "torch", "builtins"})
_INSTALLED = tuple(
    os.path.join(os.path.realpath(path), "")
    for path in dict.fromkeys(sysconfig.get_paths().get(key, "") for key in ("stdlib", "purelib", "platlib"))
    if path
)
#: The folders of burnish's own sources: none of it is a person's own.
BURNISH = str(Path(__file__).parents[1])
#: What stands for a file where a class is a script's own.
_SCRIPT = f"__main__ (Python {sys.version_info.major}.{sys.version_info.minor})"
#: What files were when they were first looked at: the process goes on with that.
_noted: dict[str, bytes] = {}


def same_file(one: Any, other: str) -> bool:
    """Whether two paths are one file."""
    return isinstance(one, str) and os.path.realpath(one) == os.path.realpath(other)


def is_installed(module_name: str) -> bool:
    """Whether a module is of the standard library or lies in an environment's packages."""
    top = module_name.partition(".")[0]
    if top in sys.builtin_module_names or top in sys.stdlib_module_names or top in _KNOWN:
        return True
    file = getattr(sys.modules.get(module_name), "__file__", None)
    return isinstance(file, str) and is_installed_file(file)


def is_installed_file(file: str) -> bool:
    """Whether a file is of the standard library or lies in an environment's packages."""
    packages = {"site-packages", "dist-packages"} & {*Path(file).parts}
    return bool(packages) or os.path.realpath(file).startswith(_INSTALLED)


def noted(file: str) -> bytes:
    """A digest of a file as it was when this was first asked; warns where it was changed since."""
    try:
        now = hashlib.blake2b(Path(file).read_bytes(), digest_size=16).digest()
    except OSError:
        now = b""
    before = _noted.setdefault(file, now)
    if before != now:
        warn(
            f"{file} was changed after this program imported it, and what was imported goes on being used; begin anew "
            f"(in a notebook: restart the kernel) for the new one"
        )
    return before


def note_sources(module: ModuleType) -> None:
    """Note what the files of a module's source are, now that they are imported."""
    for file in _files(module):
        noted(file)


def source_digest(cls: type) -> str:
    """Sixteen digits of the source of a class, other where it has changed.

    Of the files of its module and of those that it derives from, of what lies beside these and is imported there, and
    of its `options_files`.
    A class of a script or notebook is known by its compiled code, and by what it uses of that script.
    """
    hashed = hashlib.blake2b(digest_size=8)
    files: dict[str, None] = {}
    for base in cls.__mro__:
        name = base.__module__
        if name == "__main__":
            for part in _class_code(base, set()):
                hashed.update(part)
        elif name in sys.modules and (base is cls or not is_installed(name)):
            files |= dict.fromkeys(_files(sys.modules[name]))
    for file in files:
        hashed.update(noted(file))
    for file in getattr(cls, "options_files", ()):  # defaults, which are read anew for every run
        if not str(file).startswith(BURNISH) and os.path.isfile(file):
            hashed.update(Path(file).read_bytes())
    return hashed.hexdigest()


def source_files(cls: type) -> dict[str, str]:
    """Digests of the files that `source_digest` goes over, by their full paths, and of a script's code by `__main__`.

    Without `options_files`, whose values are options of a run.
    """
    found: dict[str, str] = {}
    script = hashlib.blake2b(digest_size=8)
    for base in cls.__mro__:
        name = base.__module__
        if name == "__main__":
            for part in _class_code(base, set()):
                script.update(part)
            # Compiled code is another one in another Python.
            found[_SCRIPT] = script.hexdigest()
        elif name in sys.modules and (base is cls or not is_installed(name)):
            for file in _files(sys.modules[name]):
                found[file] = noted(file)[:8].hex()
    return found


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files whose content is another one now, by what `source_files` gave; empty where that is not known.

    Files that only lie elsewhere, or have another name, are as they were.  Where nothing but what is imported is less
    than it was, the files that are left out.
    """
    scripts = [{name for name in files if name.startswith("__main__")} for files in (before, now)]
    if not before or scripts[0] != scripts[1]:
        return []
    if before.keys() == now.keys():
        return [file for file, digest in now.items() if digest != before[file]]
    new = [file for file, digest in now.items() if digest not in before.values()]
    return new or [file for file, digest in before.items() if digest not in now.values()]


def _files(module: ModuleType) -> tuple[str, ...]:
    """The file of a module, and those that it imports from the same folder tree; of an installed one its own alone."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return ()
    file = os.path.abspath(file)
    if is_installed(module.__name__):
        return (file,)
    parts = module.__name__.split(".")
    root = Path(file).parents[len(parts) - (0 if hasattr(module, "__path__") else 1)]
    return _reached(file, str(root))


@lru_cache
def _reached(file: str, root: str) -> tuple[str, ...]:
    """A file and what it imports of its own folder and of `root`, directly or not, in the order of the imports.

    As the files say it, whatever is imported so far: what is imported in a function counts too.
    """
    found: dict[str, None] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting += reversed(list(_imported_files(one, root)))
    return tuple(found)


def _imported_files(file: str, root: str) -> Iterator[str]:
    beside = Path(file).parent
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            level, names = 0, [alias.name for alias in node.names]
        else:
            level = node.level
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
        # One dot is the folder of the file, each further one a folder above.
        folders = [Path(file).parents[level - 1]] if level else [Path(root), beside]
        for name in names:
            parts = name.split(".")
            if not level and (parts[0] in _KNOWN or parts[0] in sys.stdlib_module_names):
                continue
            for folder in folders:
                yield from _of_name(folder, parts)


def _of_name(folder: Path, parts: list[str]) -> Iterator[str]:
    """The files below a folder that importing a dotted name reads: those of the packages on the way, and its own."""
    for length in range(1, len(parts) + 1):
        stem = folder.joinpath(*parts[:length])
        for file in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if file.is_file():
                yield str(file)


def imported_names(file: str) -> list[str]:
    """The first names of what a file imports that is not relative: `torch` of `from torch.nn import Linear`."""
    names: dict[str, None] = {}
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
        elif node.module and not node.level:
            names[node.module.partition(".")[0]] = None
    return list(names)


def _nodes(file: str) -> Iterator[ast.Import | ast.ImportFrom]:
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):  # whoever imports it is told
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


# ---------------------------------------------------------------------- of a script or notebook


def _class_code(cls: type, seen: set[int]) -> Iterator[bytes]:
    """What a class of `__main__` does, as far as its compiled code and plain values say."""
    if id(cls) in seen:
        return
    seen.add(id(cls))
    yield f"{cls.__qualname__} {[base.__qualname__ for base in cls.__bases__]}".encode()
    for name, value in sorted(vars(cls).items()):
        inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        if isinstance(inner, FunctionType):
            yield name.encode()
            yield from _function_code(inner, seen)
        elif not name.startswith("__"):
            yield f"{name}={_plain(value)}".encode()


def _function_code(function: FunctionType, seen: set[int]) -> Iterator[bytes]:
    if id(function) in seen:
        return
    seen.add(id(function))
    yield _plain((function.__defaults__, function.__kwdefaults__)).encode()
    for code in _codes(function.__code__):
        constants = [_plain(value) for value in code.co_consts if not isinstance(value, CodeType)]
        yield code.co_code
        yield repr((code.co_names, code.co_varnames, constants)).encode()
        for name in code.co_names:
            used = function.__globals__.get(name)
            if getattr(used, "__module__", None) == "__main__" and isinstance(used, type):
                yield from _class_code(used, seen)
            elif getattr(used, "__module__", None) == "__main__" and isinstance(used, FunctionType):
                yield from _function_code(used, seen)
            elif used is not None:
                yield _plain(used).encode()


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)


def _plain(value: Any) -> str:
    """Plain values as text; of others the kind alone, as their texts may hold addresses."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}{[_plain(one) for one in value]}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(_plain(one) for one in value)}"
    if isinstance(value, dict):
        return f"dict{sorted((_plain(key), _plain(one)) for key, one in value.items())}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return f"{type(value).__qualname__} {getattr(value, 'name', '')}"  # members of enums have names
