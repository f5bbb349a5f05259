"""Which options RecBole and a model know, so that a misspelt one does not pass in silence."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from burnish.errors import nearest, warn

#: Options that burnish reads itself, wherever RecBole's are given.
OWN_OPTIONS = frozenset(
    {
        "enhancers",
        "threads",
        "tensorboard",
        "cold_below",
        "eval_memory_mib",
        "sequence_training",
        "sequence_stride",
        "model",
        "dataset",
        "config_files",
    }
)

# config["x"], config.get("x"), config.x and "x" in config, as RecBole's sources write them.
_READ = re.compile(
    r"""config(?:_dict)?(?:\[\s*|\.get\(\s*)["'](\w+)["']|["'](\w+)["'] (?:not )?in (?:self\.)?config"""
)
_KEY = re.compile(r"^([A-Za-z_]\w*)\s*:", re.MULTILINE)


@lru_cache(maxsize=1)
def recbole_options() -> frozenset[str]:
    """Every option that RecBole's sources read or its property files set."""
    spec = find_spec("recbole")
    if spec is None or spec.origin is None:
        return frozenset()
    root = Path(spec.origin).parent
    known = _read_in(file.read_text(encoding="utf-8") for file in root.rglob("*.py"))
    for file in (root / "properties").rglob("*.yaml"):
        if file.name != "url.yaml":
            known |= set(_KEY.findall(file.read_text(encoding="utf-8")))
    from recbole.utils import argument_list

    for name in ("general_arguments", "training_arguments", "evaluation_arguments", "dataset_arguments"):
        known |= set(getattr(argument_list, name))
    return frozenset(known)


def model_options(model: type) -> set[str]:
    """Options that the modules of a model class and of its bases read, and those of its `options_files`."""
    modules = {base.__module__ for base in model.__mro__ if base is not object}
    sources = []
    for name in modules:
        module = sys.modules.get(name)
        if module is None or name.split(".")[0] in {"torch", "builtins", "recbole"}:
            continue
        try:
            sources.append(inspect.getsource(module))
        except (OSError, TypeError):  # a class typed into an interpreter has no source file
            continue
    declared = (Path(file).read_text(encoding="utf-8") for file in getattr(model, "options_files", ()))
    return _read_in(sources) | {key for text in declared for key in _KEY.findall(text)}


def _read_in(sources: Iterable[str]) -> set[str]:
    return {first or second for source in sources for first, second in _READ.findall(source)}


def unknown_options(given: Iterable[str], model: type) -> dict[str, str | None]:
    """The given options that nobody reads, each with the nearest known one (or None)."""
    known = recbole_options() | model_options(model) | OWN_OPTIONS
    return {name: nearest(name, known) for name in given if name not in known}


#: Options that are dealt with for all models of a comparison, and so not for each.
_shared: ContextVar[frozenset[str]] = ContextVar("shared", default=frozenset())


@contextmanager
def shared_options(given: Iterable[str], models: Iterable[type]) -> Iterator[None]:
    """Within, options that all models of a comparison get give no warning for a single model that does not read them.

    Warns at once of those that none of the models reads.
    """
    names, asked = list(given), list(models)
    unread = [unknown_options(names, model) for model in asked]
    for name in names:
        if unread and all(name in found for found in unread):
            guess = next((found[name] for found in unread if found[name] is not None), None)
            hint = f" Did you mean {guess!r}?" if guess else ""
            read_by = ", ".join(dict.fromkeys(model.__name__ for model in asked))
            warn(f"option {name!r} is read by neither RecBole nor {read_by}, so it has no effect.{hint}")
    token = _shared.set(_shared.get() | frozenset(names))
    try:
        yield
    finally:
        _shared.reset(token)


def warn_unknown(given: Iterable[str], model: type) -> None:
    """A `UserWarning` for each option that neither RecBole, the model nor burnish reads."""
    for name, guess in unknown_options([name for name in given if name not in _shared.get()], model).items():
        hint = f" Did you mean {guess!r}?" if guess else ""
        warn(f"option {name!r} is read by neither RecBole nor {model.__name__}, so it has no effect.{hint}")
