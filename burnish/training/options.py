"""Which options RecBole and a model know, so that a misspelt one does not pass in silence."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import SequenceMatcher
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from burnish.errors import UnknownNameError, nearest, warn

from .inputs.idle import idle_options, told

#: Options that burnish reads itself, wherever RecBole's are given.
OWN_OPTIONS = frozenset(
    {
        "enhancers",
        "threads",
        "tensorboard",
        "beyond_accuracy",
        "cold_below",
        "split",
        "noise",
        "stopping_from",
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
    r"""config(?:_dict)?(?:\[\s*|\.get\(\s*)["']([\w-]+)["']|["']([\w-]+)["'] (?:not )?in (?:self\.)?config"""
)
_KEY = re.compile(r"^([A-Za-z_][\w-]*)\s*:", re.MULTILINE)


@lru_cache(maxsize=1)
def recbole_options() -> frozenset[str]:
    """Every option that RecBole's sources read or its property files set."""
    root = _recbole_root()
    if root is None:
        return frozenset()
    known = _read_in(file.read_text(encoding="utf-8") for file in root.rglob("*.py"))
    for file in (root / "properties").rglob("*.yaml"):
        if file.name != "url.yaml":
            known |= set(_KEY.findall(file.read_text(encoding="utf-8")))
    return frozenset(known | _listed_options())


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


@lru_cache(maxsize=1)
def common_options() -> frozenset[str]:
    """Options that RecBole reads outside its single models, or sets for all of them."""
    root = _recbole_root()
    if root is None:
        return frozenset()
    files = [file for file in root.rglob("*.py") if not file.parent.name.endswith("_recommender")]
    known = _read_in(file.read_text(encoding="utf-8") for file in files)
    for file in (root / "properties").rglob("*.yaml"):
        if file.name != "url.yaml" and file.parent.name != "model":
            known |= set(_KEY.findall(file.read_text(encoding="utf-8")))
    # Config looks at it, and only models that have no input_type of their own follow it.
    return frozenset((known | _listed_options()) - {"loss_type"})


def _of_recbole(model: type) -> set[str] | None:
    """Options that a model of RecBole's reads, or RecBole for it; None for models of others, which may use parts."""
    from burnish.enhancers.attach import split_enhanced

    plain = split_enhanced(model)[0]
    root = _recbole_root()
    if root is None or not plain.__module__.startswith("recbole.model."):
        return None
    modules = {base.__module__ for base in plain.__mro__ if base.__module__.startswith("recbole.model.")}
    for name in list(
        modules
    ):  # models that are made of others, as DIEN is of layers and GRU4RecKG of GRU4Rec
        parts = vars(sys.modules[name]).values()
        homes = {str(getattr(part, "__module__", "")) for part in parts}
        modules |= {home for home in homes if home.startswith("recbole.model.")}
    known = _read_in(inspect.getsource(sys.modules[name]) for name in modules)
    for base in plain.__mro__:
        file = root / "properties" / "model" / f"{base.__name__}.yaml"
        if file.is_file():
            known |= set(_KEY.findall(file.read_text(encoding="utf-8")))
    return known | common_options() | ({"loss_type"} if not hasattr(plain, "input_type") else set())


def _recbole_root() -> Path | None:
    spec = find_spec("recbole")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _listed_options() -> set[str]:
    from recbole.utils import argument_list

    lists = ("general_arguments", "training_arguments", "evaluation_arguments", "dataset_arguments")
    return {option for name in lists for option in getattr(argument_list, name)}


def _read_in(sources: Iterable[str]) -> set[str]:
    return {first or second for source in sources for first, second in _READ.findall(source)}


def unknown_options(given: Iterable[str], model: type) -> dict[str, str | None]:
    """The given options that nobody reads, each with the nearest known one (or None)."""
    own = _of_recbole(model)
    known = (recbole_options() if own is None else own) | model_options(model) | OWN_OPTIONS
    # An option of another model is no misspelling.
    return {
        name: None if name in recbole_options() else nearest(name, known)
        for name in given
        if name not in known
    }


#: So like an option that is read is a name that stands for it.
_MISSPELT = 0.8


def refuse_misspelt(
    given: Iterable[str], models: Iterable[type], *, place: str = "", dashes: bool = False
) -> None:
    """Raise for options that none of the models reads, nor anybody else, and that are almost the name of one.

    For options that are said for this one run or plan, where nothing but a slip puts `epoch` beside `epochs`: the run
    would be another than was asked for.  What is not like any, and what stands in RecBole's files, which may serve
    other programs too, is warned of (`warn_unknown`).  Classes of one's own may read options where nobody sees it, in a
    module that theirs uses, so nothing is refused with them.

    Parameters
    ----------
    given, models
        Names of options, and those that they are for.
    place
        Where they stand, for messages, such as "arm 'a'".
    dashes
        Whether they were written as `--epoch`.

    Raises
    ------
    UnknownNameError
        With the name that is meant; where there are several, with all of them.
    """
    names, asked = list(given), list(dict.fromkeys(models))
    if not asked or not all(map(_is_known, asked)):
        return
    unread = [unknown_options(names, model) for model in asked]
    told = []
    for name in names:
        guesses = [guess for found in unread if (guess := found.get(name)) is not None]
        guess = max(guesses, key=lambda one: _likeness(name, one), default=None)
        read = any(name not in found for found in unread)
        if guess is None or read or _likeness(name, guess) < _MISSPELT:
            continue
        shown, meant = (f"--{name}", f"--{guess}") if dashes else (repr(name), repr(guess))
        who = ", ".join(model.__name__ for model in asked)
        told.append(f"option {shown} is read by neither RecBole nor {who}. Did you mean {meant}?")
    if told:
        before = f"{place}: " if place else ""
        raise UnknownNameError(before + " ".join(told))


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _is_known(model: type) -> bool:
    """Whether all that a model's class and its bases do is RecBole's or burnish's."""
    from burnish.enhancers.attach import split_enhanced

    plain = split_enhanced(model)[0]
    known = ("recbole", "burnish", "torch", "builtins", "abc")
    return all(base.__module__.partition(".")[0] in known for base in plain.__mro__)


#: Options that are dealt with for all models of a comparison, and so not for each.
_shared: ContextVar[frozenset[str]] = ContextVar("shared", default=frozenset())


#: Whether the comparison is of one model, so that what it leaves without effect has none at all.
_alone: ContextVar[bool] = ContextVar("alone", default=True)


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
            warn(_unread(name, ", ".join(dict.fromkeys(model.__name__ for model in asked))) + hint)
    alone = _alone.set(len(set(asked)) == 1)
    token = _shared.set(_shared.get() | frozenset(names))
    try:
        yield
    finally:
        _shared.reset(token)
        _alone.reset(alone)


def _unread(name: str, models: str) -> str:
    if name in recbole_options():
        return f"option {name!r} is read by other models of RecBole's and not by {models}: it has no effect."
    return f"option {name!r} is read by neither RecBole nor {models}, so it has no effect."


def warn_unknown(given: Iterable[str], model: type) -> None:
    """A `UserWarning` for each option that neither RecBole, the model nor burnish reads."""
    for name, guess in unknown_options([name for name in given if name not in _shared.get()], model).items():
        hint = f" Did you mean {guess!r}?" if guess else ""
        warn(_unread(name, model.__name__) + hint)


def warn_idle(config: Any, given: Iterable[str]) -> None:
    """A `UserWarning` for each option that the model and the other options leave without effect."""
    names = {name for name in given if _alone.get() or name not in _shared.get()}
    for name, reason in idle_options(config, names).items():
        first, _, inner = name.partition(".")
        value = config.external_config_dict[first]
        warn(told(name, reason, value[inner] if inner else value))
