"""What enhancers begin from and learn from: which runs, with which options; refused before anything is trained.

One reading for all: a plan asks for every arm and every point that is to be tried, `train` for its run, and what trains
these runs for each of them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from burnish.checks import short
from burnish.enhancers.attach import enhance, is_enhanced
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import make_enhancers
from burnish.enhancers.trained_first import (
    AUTO,
    FirstRun,
    asked_by,
    check_options,
    first_run,
    settings,
    unknown_run,
)
from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError, ConfigurationError, UnsupportedError
from burnish.own.classes import is_place

from .classes import check_class, class_name
from .record import SavedRun, read_run
from .values import check_value

#: Options of data that RecBole's own list of them leaves out.
_BESIDE_RECBOLES_LIST = (
    *("numerical_features", "discretization", "encoding"),
    *("kg_reverse_r", "entity_kg_num_interval", "relation_kg_num_interval"),
)


@dataclass(frozen=True)
class Asked:
    """A run that is trained first: its name, its plain backbone, RecBole's options of its own, and its enhancers.

    named: what messages call it, such as "the base" and "the teacher 'softmax'".
    """

    named: str
    run: FirstRun
    plain: type
    own: Mapping[str, Any]
    block: Mapping[str, dict[str, Any]]

    @property
    def model(self) -> type:
        """Its class, with its enhancers."""
        return enhance(self.plain, *make_enhancers(self.block)) if self.block else self.plain


def check_asked(enhancers: Iterable[Enhancer[Any]], plain: type, here: Path = Path()) -> None:
    """Raise for what is asked to be trained first, or read, and cannot be, and for what that asks for in its turn.

    plain: the backbone of the run.  here: the folder that relative names are meant from.
    Raises the errors of `asked_for`, `ConfigurationError` for a value of an option of RecBole's that cannot be used,
    and for one that the run decides: what is read of the data, and how.
    """
    for one in all_asked(enhancers, plain, here):
        for name, value in one.own.items():
            if name in options_of_data():
                raise ConfigurationError(
                    f"{one.named}: {name} = {short(value)}: a run that is trained first reads the data as the run does "
                    f"that it is for, so this is for the run to say; leave it out here"
                )
            try:
                check_value(name, value, one.plain)
            except BurnishError as error:
                raise type(error)(f"{one.named}: {error}") from error


@lru_cache(maxsize=1)
def options_of_data() -> frozenset[str]:
    """RecBole's options that say what is read of the data, under which names, and how it is changed."""
    from recbole.utils import argument_list

    return frozenset({*argument_list.dataset_arguments, *_BESIDE_RECBOLES_LIST})


def all_asked(enhancers: Iterable[Enhancer[Any]], plain: type, here: Path = Path()) -> Iterator[Asked]:
    """Every run that is to be trained first, and those that it asks for in its turn; raises as `asked_for` does."""
    made = list(enhancers)
    wish_of(made)
    for enhancer in made:
        for what, name, options in asked_by(enhancer):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # told where it is trained
                asked = asked_for(enhancer, what, name, options, plain, here)
                if isinstance(asked, Path):
                    saved = read_run(asked)
                    if what == "base":
                        check_same_backbone(saved, plain)
                    continue
                inner = make_enhancers(asked.block)
                enhance(asked.plain, *inner)
            yield asked
            try:
                yield from all_asked(inner, asked.plain, here)
            except BurnishError as error:
                raise type(error)(f"{asked.named}: {error}") from error


def wish_of(recipes: Iterable[Enhancer[Any]]) -> tuple[str | None, Mapping[str, Any]]:
    """Which base is asked for, and the options of its own.

    Raises `ConfigurationError` where enhancers ask for different ones.
    """
    asking = [recipe for recipe in recipes if recipe.base_run() is not None]
    wishes = [(recipe.base_run(), dict(recipe.base_options())) for recipe in asking]
    for recipe in asking:
        check_options(f"{recipe.name}: base_options", "the base", recipe.base_options())
    if any(wish != wishes[0] for wish in wishes):
        listed = ", ".join(
            f"{recipe.name}: {wish} {options or ''}".rstrip()
            for recipe, (wish, options) in zip(asking, wishes, strict=True)
        )
        raise ConfigurationError(
            f"enhancers ask for different bases ({listed}); give all of them the same one"
        )
    return wishes[0] if wishes else (None, {})


def asked_for(
    enhancer: Enhancer[Any], what: str, name: str, options: Mapping[str, Any], plain: type, here: Path
) -> Asked | Path:
    """What the name of a base or teacher stands for: a run that is trained first, or the folder of one.

    what, name, options: as `asked_by` gives them.  plain: the backbone of the run that asks.
    Raises `UnknownNameError` for a name that is neither, and for options that do not exist; `ConfigurationError` and
    `UnsupportedError` for values, folders and backbones that cannot be used.
    """
    base = what == "base"
    kind, run = f"enhancer {enhancer.name!r}: {what}", first_run(name)
    if run is None:
        return _folder(kind, name, options, enhancer, here, base=base)
    where = f"{enhancer.name}: base_options" if base else f"{enhancer.name}: teacher_options.{name}"
    own, block = settings(run, options, where)
    other = plain if run.backbone is None else _backbone(run.backbone, kind, here)
    if not base:
        _check_kind(plain, other, run, enhancer.name)
    elif other is not plain:
        raise ConfigurationError(
            f"enhancer {enhancer.name!r}: base = {name!r} is a run of {run.backbone}, not of {class_name(plain)}; its "
            f"tables do not fit"
        )
    return Asked("the base" if base else f"the teacher {name!r}", run, other, own, block)


def _backbone(name: str, kind: str, here: Path) -> type:
    """The class of a name; a file of one's own is meant from the working directory, else from `here`."""
    if not is_place(name):
        return find_backbone(name)
    file, _, path = name.rpartition(":")
    if file.endswith(".py") and not os.path.isfile(file) and (here / file).is_file():
        name = f"{here / file}:{path}"
    try:
        cls = find_backbone(name)
        if is_enhanced(cls):
            raise ConfigurationError(
                f"{name} has enhancers attached; name the plain class, and the enhancers after it, as in {name}+softmax"
            )
        check_class(cls, kept=False)
    except BurnishError as error:
        raise type(error)(f"{kind}: {error}") from error
    return cls


def check_same_backbone(base: SavedRun, plain: type) -> None:
    """Raise `ConfigurationError` where a folder that is to be a base has a run of another backbone."""
    if not base.is_of(plain):
        raise ConfigurationError(
            f"base = {str(base.folder)!r} is a run of {base.model}, not of {class_name(plain)}"
        )


def _folder(
    kind: str, name: str, options: Mapping[str, Any], enhancer: Enhancer[Any], here: Path, *, base: bool
) -> Path:
    folder = here / name
    if name.endswith(".py") and not folder.is_dir():
        _backbone(name, kind, here)  # says which classes the file has
    if base and not folder.is_dir() and not any(mark in name for mark in "/\\."):
        raise unknown_run(kind, name, (AUTO,))
    if not base and not folder.is_dir():
        raise unknown_run(kind, name, enhancer.computed_teachers)
    if options and not base:
        raise ConfigurationError(
            f"enhancer {enhancer.name!r}: teacher_options.{name}: that teacher is the folder of a finished run, whose "
            f"options are what they are; leave them out"
        )
    return folder


def _check_kind(student: type, teacher: type, run: FirstRun, asking: str) -> None:
    """Refuse at once what would be refused once it is trained."""
    from recbole.utils import ModelType

    kinds = [getattr(one, "type", None) for one in (student, teacher)]
    if kinds[1] == ModelType.SEQUENTIAL:
        raise UnsupportedError(
            f"enhancer {asking!r}: teacher {run.name!r} is a run of {teacher.__name__}, whose users are what their "
            f"histories say; give models that score a user's number (BPR, LightGCN, NeuMF, ...)"
        )
    if kinds[0] == ModelType.SEQUENTIAL:
        raise UnsupportedError(
            f"enhancer {asking!r}: teacher {run.name!r} is a run of {teacher.__name__}, which RecBole trains on other "
            f"rows than {student.__name__} (a history's items are no targets there); give teachers that are computed "
            f"from the training split ({', '.join(('ease', 'itemknn'))})"
        )
