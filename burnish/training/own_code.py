"""The code of a person's own that a run was trained by: digests of its files in `run.json`, and what changed since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from burnish.own.classes import shown
from burnish.own.sources import changed_files, source_files

from .classes import own_source

#: What stands for the model among the names of enhancers.
MODEL = ""


def code_of(plain: type, enhancers: Iterable[Any]) -> dict[str, dict[str, str]]:
    """Digests of files, by path, for each class of a person's own: "" for the model's, the name for an enhancer's.

    plain: the model's class.  enhancers: classes of a person's own.
    """
    model = {MODEL: source_files(plain)} if own_source(plain) else {}
    return {**model, **{cls.name: source_files(cls) for cls in enhancers}}


def read_code(content: Any) -> dict[str, dict[str, str]]:
    """The same from a file.  Raises `AttributeError` for anything else."""
    return {
        str(name): {str(file): str(digest) for file, digest in files.items()}
        for name, files in (content or {}).items()
    }


def changed_code(
    code: Mapping[str, Mapping[str, str]], plain: type, enhancers: Mapping[str, type]
) -> list[str]:
    """The files that changed since `code` was taken, as they are written from here, each with whose it is.

    plain, enhancers: the class of the model, and those of the enhancers by name.
    """
    told: dict[str, str] = {}
    for name, cls in {MODEL: plain, **enhancers}.items():
        if name not in code:
            continue
        for file in changed_files(code[name], source_files(cls)):
            place = "the script" if file.startswith("__main__") else shown(file)
            told.setdefault(place, f"{place} ({f'enhancer {name!r}' if name else f'model {cls.__name__}'})")
    return list(told.values())
