"""The class of a run's model and of its enhancers: the name in `run.json`, and how it is found again."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from burnish.errors import BurnishError, ConfigurationError, warn
from burnish.own.classes import import_place, is_place
from burnish.own.sources import changed_files, source_digest, source_files


def class_name(cls: type) -> str:
    """How a plain backbone class is written in `run.json`: a known backbone's name, or `module:Class`."""
    from burnish.enhancers.zoo import backbone_name

    return backbone_name(cls)


def own_source(cls: type) -> dict[str, str]:
    """The digest of the source of a class of one's own, by the name that digests have for it; empty for others."""
    return {"source code": source_digest(cls)} if is_place(class_name(cls)) else {}


def is_named(name: str, cls: type) -> bool:
    """Whether `name`, of `class_name`, is that of a class: also where its module was imported from another folder.

    `models.mine:Tower` is `mine:Tower` from inside of `models`, and a script's class may have become a module's.
    """
    own = class_name(cls)
    (module, _, path), (module_now, _, path_now) = name.partition(":"), own.partition(":")
    moved = _of_a_script(name) or module.rpartition(".")[2] == module_now.rpartition(".")[2]
    return own == name or (bool(path) and path == path_now and moved)


def is_of(name: str, cls: type, *, file: str | None = None, files: Mapping[str, str] | None = None) -> bool:
    """Whether `name`, of `class_name`, is that of a class, whatever its file is called by now.

    file: where its module was.  files: what `source_files` gave of it then; None for not known.
    A class of that name in another file is the same where the files say the same, or the former one is gone.
    """
    if is_named(name, cls):
        return True
    (_, colon, path), (_, own, path_now) = name.partition(":"), class_name(cls).partition(":")
    if not (colon and own) or path != path_now:
        return False
    if files and not changed_files(files, source_files(cls)):
        return True
    return file is not None and not os.path.isfile(file)


def find_class(
    name: str,
    *,
    trust: bool = False,
    known: type | None = None,
    file: str | None = None,
    files: Mapping[str, str] | None = None,
) -> type:
    """The class behind a name of `class_name`.

    A class that is neither RecBole's nor announced by a package is taken from modules that are loaded already;
    another module is imported only with `trust`.  known: the plain class, where the caller has it.  file, files: where
    its module was, and what `source_files` gave of it.
    """
    from burnish.enhancers.zoo import find_backbone, is_model

    if known is not None:
        if not is_of(name, known, file=file, files=files):
            raise ConfigurationError(
                f"the run was made with {name}, not with {class_name(known)}{_another_class(name, known, file)}"
            )
        if not is_named(name, known) and not files:
            warn(
                f"the run was made with {name}{_was_in(file)}; {class_name(known)} is taken for it, and whether its "
                f"code is the same is not known"
            )
        return known
    if ":" not in name:
        return find_backbone(name)
    module_name, _, path = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and trust and not _of_a_script(name):
        try:
            module = import_place(module_name, name)
        except BurnishError as error:
            cure = f". If it was moved or renamed, give it where it is now: --model FILE.py:{path}"
            raise type(error)(f"the run's model {error}{_was_in(file)}{cure}") from error
    cls: Any = module
    for part in path.split("."):
        cls = getattr(cls, part, None)
    if isinstance(cls, type) and is_model(cls):
        return cls
    if _of_a_script(name):
        raise ConfigurationError(f"the run's model is {name}: {_why_unfindable(name)}")
    if module is not None:
        raise ConfigurationError(
            f"the run's model is the class {name}, and the module {module_name} has no model class {path}: it was "
            f"renamed or removed since. Put it back, or give the class itself (model=...)"
        )
    raise ConfigurationError(
        f"the run's model is the class {name}, which is not loaded; import {module_name} first, give the class "
        f"(--model {_given(file, path)}, in Python also model=CLASS), or say trust=True (--trust) to let burnish "
        f"import the module that run.json names{_was_in(file)}"
    )


def _given(file: str | None, path: str) -> str:
    """How a person names a class that was in a file."""
    if file is None:
        return f"FILE.py:{path}"
    below = os.path.relpath(file)
    return f"{file if below.startswith('..') else below}:{path}"


def _another_class(name: str, cls: type, file: str | None) -> str:
    """What is to be done where a class was given that is not the run's."""
    _, colon, path = name.partition(":")
    if not colon:
        return f"; leave the class out, as {name} is known by its name"
    now = class_name(cls)
    if now.partition(":")[2] != path:
        kept = f", or give the class its former name, {path}, where it was renamed" if ":" in now else ""
        return f"; give that one (--model {_given(file, path)}){kept}{_was_in(file)}"
    return (
        f", whose code is another one; give that one (--model {_given(file, path)}), or put {now} in its place in the "
        f'run\'s run.json ("model": "{now}") where the file was renamed and changed{_was_in(file)}'
    )


def _was_in(file: str | None) -> str:
    if file is None:
        return ""
    return f". It was in {file}{'' if os.path.isfile(file) else ', which is gone'}"


def find_own_enhancer(name: str, place: str, *, trust: bool, file: str | None) -> None:
    """Make an enhancer of one's own known by its name, as `find_class` finds a model.  place: as of `class_name`."""
    from burnish.enhancers.registry import find_enhancer

    module_name, _, path = place.partition(":")
    if module_name not in sys.modules and (not trust or _of_a_script(place)):
        cure = (
            "it is defined in a script or notebook; run that first, or put it into a file of its own and name that in "
            'the run\'s run.json, under own_enhancers: "class": "MODULE:Class"'
            if _of_a_script(place)
            else f"name it first (in Python import {module_name} and `register` the class; with run --resume: "
            f"--enhancers {_given(file, path)}), or say trust=True (--trust) to let burnish import the module that "
            f"run.json names"
        )
        raise ConfigurationError(
            f"the run's enhancer {name!r} is the class {place}, which is not loaded; {cure}{_was_in(file)}"
        )
    try:
        found = find_enhancer(place).name
    except BurnishError as error:
        cure = (
            f'. If it was moved or renamed, name its place in the run\'s run.json, under own_enhancers: "class": '
            f'"MODULE:{path}", or make it known first (burnish.register in Python; with run --resume: --enhancers '
            f"FILE.py:{path})"
        )
        raise type(error)(f"the run's enhancer {name!r}: {error}{_was_in(file)}{cure}") from error
    if found != name:
        raise ConfigurationError(
            f"the run's enhancer {name!r} is the class {place}, whose name is {found!r} now; give it the former one"
        )


def check_class(cls: type, *, kept: bool) -> None:
    """Look at the plain class of a run that is about to begin.

    kept: whether the run is to be read again.
    Raises `ConfigurationError` for a class that cannot be found under its name, which RecBole's checkpoints need; warns
    of one that only this program finds.
    """
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not cls:
        raise ConfigurationError(
            f"model = {cls.__module__}.{cls.__qualname__}: RecBole's checkpoints hold the class by its name, and no "
            f"class is found under this one; define it at the top level of a module, under its own name"
        )
    name = class_name(cls)
    if kept and _of_a_script(name):
        warn(f"the model of this run is {name}: {_why_unfindable(name)}")


def _of_a_script(name: str) -> bool:
    """Whether a class was the own one of a script or notebook, so that no other program finds it."""
    return name.partition(":")[0] == "__main__"


def _why_unfindable(name: str) -> str:
    short = name.partition(":")[2]
    return (
        f"the class {short} is defined in a script or notebook, where nothing else can import it, with or without "
        f"trust. Give the class itself in Python (burnish.load_run(FOLDER, model={short})); for the command line, "
        f"define it in a file of its own (--model FILE.py:{short}), or in a module that can be imported, and name that "
        f'in the run\'s run.json: "model": "MODULE:{short}"'
    )
