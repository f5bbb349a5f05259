"""From `package.module:Class` or `path/to/file.py:Class` to the class, by importing the module.

What a person types, gives in Python or hands over as a plan or config file is imported as named.  What a run's folder
names is imported with trust only: see `loaded_only`.

The working directory and the folder of a file are put behind everything else that Python imports from, so nothing that
is installed is hidden by a module of one's own; one that bears the name of something installed is an error.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType

from burnish.errors import BurnishError, ConfigurationError, UnknownNameError, nearest, unknown_name, warn

from .sources import BURNISH, imported_names, is_installed, is_installed_file, note_sources, same_file

#: Which file names classes at the moment, such as a plan; None where a person does.
_named_by: ContextVar[str | None] = ContextVar("named_by", default=None)
_loaded_only: ContextVar[bool] = ContextVar("loaded_only", default=False)


def is_place(name: object) -> bool:
    """Whether a name says where a class is, as no name of a backbone or an enhancer does."""
    return isinstance(name, str) and (":" in name or name.endswith(".py"))


def place_of(cls: type) -> str:
    """`module:Class`, by which the class is found again."""
    return f"{cls.__module__}:{cls.__qualname__}"


def file_of(cls: type) -> str | None:
    """The file of a class's module; None for a class of a script or notebook, or of no file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return None if file is None or cls.__module__ == "__main__" else os.path.abspath(file)


@contextmanager
def named_by(file: str | Path | None) -> Iterator[None]:
    """While this is open, a module that is imported is told as one that this file names."""
    token = _named_by.set(None if file is None else str(file))
    try:
        yield
    finally:
        _named_by.reset(token)


@contextmanager
def loaded_only(trust: bool) -> Iterator[None]:
    """While this is open, and without trust, no module is imported: only those that are loaded already have classes.

    For what the files of a run name.
    """
    token = _loaded_only.set(_loaded_only.get() or not trust)
    try:
        yield
    finally:
        _loaded_only.reset(token)


def find_own(name: str, what: str, fits: Callable[[type], bool]) -> type:
    """The class of that place.

    Parameters
    ----------
    name
        `package.module:Class` or `path/to/file.py:Class`; the path is meant from the working directory.
    what, fits
        What kind of class is wanted, in words, and which classes of a module are listed as such.  The class itself may
        be another: that is for the caller to say.

    Raises
    ------
    UnknownNameError
        For a file, module or class that is not there, with the nearest one; for a module that cannot be imported, with
        the line that fails.
    ConfigurationError
        For a name without a class, a module whose name something installed has, and, within `loaded_only`, a module
        that is not loaded.
    """
    place, _, path = name.rpartition(":") if ":" in name else (name, "", "")
    if not path:
        raise _no_class(place or name)
    module = import_place(place, name)
    found: object = module
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    if found is not None:
        raise ConfigurationError(f"{name} is a {type(found).__name__}, not a class; name the class itself")
    known = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and not is_installed(value.__module__) and fits(value)
    ]
    none = "" if known else f"There is no {what} in it."
    raise unknown_name(f"{place}: class", path, known, cure=none)


def import_place(place: str, name: str) -> ModuleType:
    """The module of a place: a file, or a module's name.  name: what messages call it.  Raises as `find_own` does."""
    here = os.getcwd()
    if _is_file(place):
        file = os.path.abspath(os.path.expanduser(place))
        if not os.path.isfile(file):
            raise _no_file(place)
        loaded = _loaded_from(file)
        if loaded is not None:
            return loaded
        module_name = _module_name(file, here, name)
    else:
        module_name = place
        if place == "__main__" and place in sys.modules:
            return sys.modules[place]
        file = _local_file(place, here) or ""
        loaded = sys.modules.get(place)
        if loaded is not None and (not file or _is_from(loaded, file)):
            note_sources(loaded)
            return loaded
    if _loaded_only.get():
        raise ConfigurationError(
            f"{name} is not loaded, and the files of a run name it: import it first, or say trust=True (--trust) to "
            f"let burnish import it"
        )
    put_on_path(here, os.path.dirname(file) if file else here)
    importlib.invalidate_caches()  # the file may have been written a moment ago
    if file:
        _check_free(module_name, file, here, name)
        _check_helpers(file, name)
    _say_named(name)
    module = _imported(module_name, name, file)
    if file and not _is_from(module, file):
        raise _taken(name, module_name, getattr(module, "__file__", None), file)
    note_sources(module)
    return module


def put_on_path(*folders: str) -> None:
    """Let Python import from these folders, too, behind everything else."""
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or os.sep in place


def _is_from(module: ModuleType, file: str) -> bool:
    return same_file(getattr(module, "__file__", None), file)


def _loaded_from(file: str) -> ModuleType | None:
    """The module of that file, under whatever name it was imported: one file is one module."""
    ending = os.path.basename(file)
    for module in list(sys.modules.values()):
        known = getattr(module, "__file__", None)
        if isinstance(known, str) and known.endswith(ending) and same_file(known, file):
            note_sources(module)
            return module
    return None


def _module_name(file: str, here: str, name: str) -> str:
    """How a file is imported: with its path below the working directory, else by its own name."""
    stem, _ = os.path.splitext(file)
    if os.path.basename(stem) == "__init__":
        stem = os.path.dirname(stem)
    below = os.path.relpath(stem, here)
    parts = below.split(os.sep)
    if not below.startswith("..") and not os.path.isabs(below) and not any("." in part for part in parts):
        return ".".join(parts)
    own = os.path.basename(stem)
    if "." in own:
        raise ConfigurationError(
            f"{name}: Python imports no file with a dot in its name; call it {own.replace('.', '_')}.py"
        )
    return own


def _local_file(module_name: str, here: str) -> str | None:
    """The file below the working directory that a module's name stands for; None where there is none."""
    stem = os.path.join(here, *module_name.split("."))
    return next((file for file in (f"{stem}.py", f"{stem}/__init__.py") if os.path.isfile(file)), None)


def _check_free(module_name: str, file: str, here: str, name: str) -> None:
    """Raise where the module's first name is that of something else, which Python would import in its place."""
    top, dot, _ = module_name.partition(".")
    loaded = sys.modules.get(top)
    try:
        spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None and loaded is None:
        return
    origin = getattr(loaded, "__file__", None) or getattr(spec, "origin", None)
    if dot:
        places = list(getattr(spec, "submodule_search_locations", None) or ())
        if not any(same_file(place, os.path.join(here, top)) for place in places):
            raise _taken(name, top, origin or next(iter(places), None), os.path.join(here, top))
    elif not same_file(origin, file):
        raise _taken(name, top, origin, file)


def _taken(name: str, module_name: str, other: str | None, own: str) -> ConfigurationError:
    if other is not None and os.path.isabs(other) and not is_installed_file(other):
        return ConfigurationError(
            f"{name}: {shown(own)} would be the module {module_name}, and so would {shown(other)}, which Python "
            f"finds first. One program has one module of a name: rename one of them, or start in a folder above both"
        )
    where = f" ({other})" if other not in (None, "built-in", "frozen") else ""
    return ConfigurationError(
        f"{name}: {shown(own)} has the name of something that is installed, {module_name}{where}, and would be "
        f"confused with it; rename yours"
    )


def _check_helpers(file: str, name: str) -> None:
    """Raise where a file imports what lies beside it, and something else has the name."""
    folder = os.path.dirname(file)
    for other in imported_names(file):
        beside = os.path.join(folder, f"{other}.py")
        if not os.path.isfile(beside):
            continue
        loaded = sys.modules.get(other)
        try:
            spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(other)
        except (ImportError, ValueError):
            continue
        origin = getattr(loaded, "__file__", None) or getattr(spec, "origin", None)
        if origin is not None and not same_file(origin, beside):
            raise ConfigurationError(
                f"{name}: {shown(file)} imports {other}, and Python has one from elsewhere ({origin}), not "
                f"{shown(beside)}, which lies beside it; rename that file"
            )


def _say_named(name: str) -> None:
    file = _named_by.get()
    if file is not None:
        warn(f"{file} names {name}: its code is run")


def _imported(module_name: str, name: str, file: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except BurnishError as error:
        raise type(error)(f"{name} cannot be imported: {error}{_line_of(error, file)}") from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        text = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}".rstrip(
            ": "
        )
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        if missing and not file:
            raise _no_module(module_name, name, text) from error
        cure = (
            '; it ends the program: what it does when it is started goes under `if __name__ == "__main__":`'
            if isinstance(error, SystemExit)
            else ""
        )
        raise UnknownNameError(f"{name} cannot be imported: {text}{_line_of(error, file)}{cure}") from error


def _line_of(error: BaseException, file: str) -> str:
    """` (mine.py, line 12: 1 / 0)`: the last line of the person's own that was run."""
    if isinstance(error, SyntaxError) and error.filename:
        place, number, text = error.filename, error.lineno, error.text
    else:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame for frame in frames if _is_own_line(frame.filename, file)]
        if not lines:
            return ""
        place, number, text = lines[-1].filename, lines[-1].lineno, lines[-1].line
    linecache.checkcache(place)
    written = (text or "").strip()
    return f" ({shown(place)}, line {number}{f': {written}' if written else ''})"


def _is_own_line(place: str, file: str) -> bool:
    folders = {os.getcwd(), os.path.dirname(file) or os.getcwd()}
    below = any(place.startswith(os.path.join(folder, "")) for folder in folders)
    return below and "site-packages" not in Path(place).parts and not place.startswith(BURNISH)


def _no_class(place: str) -> ConfigurationError:
    """Of a name without a class."""
    if not place.endswith(".py") or not os.path.isfile(place):
        return ConfigurationError(
            f"{place!r}: say where the class is, as FILE.py:Class or package.module:Class"
        )
    classes = _classes_in(place)
    listed = f" (it has {', '.join(classes)})" if classes else ""
    return ConfigurationError(
        f"{place!r}: say which class of the file, as in {place}:{next(iter(classes), 'Class')}{listed}"
    )


def _classes_in(file: str) -> list[str]:
    """The classes of a file, which is read and not run; none where it cannot be."""
    import ast

    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def _no_file(place: str) -> UnknownNameError:
    folder = Path(place).expanduser().parent
    beside = [str(folder / one.name) for one in _python_files(folder)]
    close = nearest(str(Path(place)), beside)
    hint = f" Did you mean {close!r}?" if close else ""
    return UnknownNameError(
        f"the file {place!r} is not there.{hint} Paths are meant from the working directory, {os.getcwd()}."
    )


def _no_module(module_name: str, name: str, text: str) -> UnknownNameError:
    here = Path.cwd()
    folder = here.joinpath(*module_name.split(".")[:-1])
    last = module_name.rpartition(".")[2]
    close = nearest(last, [one.stem for one in _python_files(folder)])
    guess = f" Did you mean {module_name.removesuffix(last)}{close}?" if close else ""
    return UnknownNameError(
        f"{name} cannot be imported: {text}.{guess} Python looks for {module_name} where it looks for packages, and in "
        f"the working directory, {here}; FILE.py:Class names a file anywhere, and PYTHONPATH=FOLDER adds a folder"
    )


def beside_as(name: str, most: int = 200) -> str | None:
    """`'mine.py:Tower'` for `Tower`, `mine.Tower` and `mine.py.Tower`, where a file of the working directory has it.

    Three files at most, joined by `or`.  They are read, not run.  most: so many are looked at.
    """
    stem, _, path = name.removesuffix(":").rpartition(".")
    if not path.isidentifier():
        return None
    module = stem.removesuffix(".py").replace(".", os.sep)
    near = [Path(f"{module}.py")] if module else []
    if near and near[0].is_file():
        files = near
    else:
        files = [file for file in _python_files(Path()) if file.stem.isidentifier()][:most]
    found = []
    for file in files:
        fits = [one for one in _classes_in(str(file)) if one.lower() == path.lower()]
        if fits:
            found.append(repr(f"{file}:{path if path in fits else fits[0]}"))
    return " or ".join(found[:3]) or None


def _python_files(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("*.py")) if folder.is_dir() else ()


def shown(path: str) -> str:
    """A path as one would write it from here."""
    below = os.path.relpath(path)
    return path if below.startswith("..") else below
