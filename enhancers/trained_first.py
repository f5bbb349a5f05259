"""Runs that are trained first, by their names: what an enhancer begins from (`base`) or learns from (teachers)."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from burnish.errors import BurnishError, ConfigurationError, UnknownNameError, unknown_name
from burnish.own.classes import is_place
from burnish.own.sources import source_digest

from .attach import is_enhanced
from .enhancer import Enhancer
from .registry import find_enhancer, is_own, list_enhancers, make_enhancers
from .zoo import backbone_name, find_backbone, is_model, list_backbones

#: The run's own backbone without enhancers; the first is how a base is asked for.
AUTO, PLAIN = "auto", "plain"
#: A name that begins with a class of one's own, and the enhancers after it: a file's path may have any sign.
_PLACE = re.compile(r"((?:.*\.py|[^\W\d]\w*(?:\.\w+)*):[\w.]+)(?:\s*\+(.*))?", re.DOTALL)
#: Options that a run that is trained first has from the run that it is for, since both must know the same rows.
OF_THE_RUN = frozenset(
    {"model", "dataset", "enhancers", "seed", "eval_args", "data_path", "benchmark_filename", "val_interval"}
    | {"user_inter_num_interval", "item_inter_num_interval", "rm_dup_inter", "filter_inter_by_user_or_item"}
    | {"USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "split", "noise"}
)

#: The option by which an enhancer asks for another base than its own run's options would train.
BaseOptions = Annotated[
    dict[str, Any],
    Field(
        description="options of a base that is trained first which differ from the run's: RecBole's, such as "
        "learning_rate, and ENHANCER.OPTION, such as softmax.temperature",
    ),
]


@dataclass(frozen=True)
class FirstRun:
    """A run that is trained first: a backbone (None: that of the run that it is for), and enhancers on it.

    backbone: a name, or the place of a class of one's own, which is not imported for that.
    """

    name: str
    backbone: str | None = None
    enhancers: tuple[str, ...] = ()


def is_path(name: str) -> bool:
    """Whether a name can only be meant as a folder's: it has a separator, or starts with a dot, and names no class."""
    marked = name.startswith(".") or any(mark in name for mark in ("/", os.sep, os.altsep) if mark)
    return marked and _PLACE.fullmatch(name.strip()) is None


def first_run(name: str) -> FirstRun | None:
    """The run that a name stands for; None for a folder's name and for names of nothing.

    `plain`; enhancers joined by +, as in `softmax+average`; a backbone, with or without enhancers, as in
    `LightGCN+softmax` and `mine.py:Tower+softmax`.  One that begins from a trained backbone begins from what the others
    train, as in `softmax+average+aggregate`.
    """
    if is_path(name):
        return None
    first, *rest = _parts(name)
    if _names_backbone(first):
        backbone, enhancers = None if first in (PLAIN, AUTO) else first, tuple(rest)
    else:
        backbone, enhancers = None, (first, *rest)
    return FirstRun(name, backbone, enhancers) if set(enhancers) <= set(list_enhancers()) else None


def _parts(name: str) -> list[str]:
    own = _PLACE.fullmatch(name.strip())
    if own is not None:
        return [own[1], *([] if own[2] is None else _parts(own[2]))]
    return [part.strip() for part in name.split("+")]


def _names_backbone(part: str) -> bool:
    return part in (PLAIN, AUTO) or _PLACE.fullmatch(part) is not None or part in list_backbones()


def named_run(name: Any) -> Any:
    """The name of a model class that is given itself; anything else as it is.

    Raises `ConfigurationError` for a class that is no plain model's.
    """
    if not isinstance(name, type):
        return name
    if not is_model(name) or is_enhanced(name):
        wrong = "has enhancers attached" if is_model(name) else "is not a model's"
        raise ConfigurationError(
            f"the class {name.__qualname__} {wrong}; give the plain model class, or a name such as Class+softmax"
        )
    return backbone_name(name)


def named_runs(value: Any) -> Any:
    """Options, or whatever holds them, in which model classes stand by their names, as in files."""
    if isinstance(value, Mapping):
        return {named_run(key): named_runs(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [named_runs(one) for one in value]
    return named_run(value)


def unknown_run(kind: str, name: str, more: Iterable[str] = ()) -> UnknownNameError:
    """The error for a name that is neither of a run to be trained nor of a folder.

    kind: what it stands for, as in "enhancer 'compress': teacher".  more: other names that are known.
    """
    cure = (
        "It can also be enhancers joined by +, a RecBole model (`burnish models`) or one of your own (FILE.py:Class) "
        "with or without them, or the folder of a run (burnish run --output); there is none of this name."
    )
    parts = _parts(name)
    if len(parts) == 1:
        known = [*more, PLAIN, *list_enhancers()]
        close = unknown_name(kind, name, [*known, *list_backbones()])
        guess = str(close).partition("?")[0].partition("Did you mean ")[2].strip("'")
        return unknown_name(kind, name, {*known, guess} if guess in list_backbones() else known, cure=cure)
    wrong = next(
        part
        for place, part in enumerate(parts)
        if part not in list_enhancers() and (place or not _names_backbone(part))
    )
    return unknown_name(f"{kind} {name!r}: enhancer", wrong, list_enhancers(), cure=cure)


def check_options(where: str, what: str, options: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for an option that the run decides.

    where: such as "guided: base_options".  what: such as "the base".
    """
    for name in options:
        if name in OF_THE_RUN:
            raise ConfigurationError(
                f"{where}.{name}: {what} is trained on the data and the split of the run that it is for, by the run's "
                f"own {name}; leave it out"
            )


def check_base_options(enhancer: str, base: str | None, options: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for options of a base that is not trained first, or that the run decides."""
    if options and (base is None or first_run(base) is None):
        raise ConfigurationError(
            f"enhancer {enhancer!r}: base_options are for a base that is trained first (auto, or enhancers such as "
            f"softmax), and base = {base!r}; leave them out"
        )
    check_options(f"{enhancer}: base_options", "the base", options)


def settings(
    run: FirstRun, options: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """RecBole's options and the block of enhancers of a run that is trained first.

    options: by name, those of enhancers as `enhancer.option`.  where: what messages call them.
    Raises `UnknownNameError` and `ConfigurationError`.
    """
    check_options(where, f"{run.name!r}", options)
    for name in run.enhancers:
        if run.enhancers.count(name) > 1:
            raise ConfigurationError(
                f"{where}: the name {run.name!r} has the enhancer {name} twice; a run has it once, so give it once"
            )
    own: dict[str, Any] = {}
    block: dict[str, dict[str, Any]] = {name: {} for name in run.enhancers}
    for name, value in options.items():
        enhancer, dot, option = name.partition(".")
        if not dot:
            own[name] = value
        elif enhancer in block:
            block[enhancer][option] = value
        else:
            raise unknown_name(
                f"{where}: enhancer", enhancer, block, cure=f"{run.name!r} is trained with no other."
            )
    block = _in_turn(run, block, own, where)
    try:
        make_enhancers(block)
    except BurnishError as error:
        raise type(error)(f"{where}: {error}") from error
    return own, block


def asked_by(enhancer: Enhancer[Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What an enhancer begins from and learns from: `base` or `teacher`, its name, and options of its own."""
    base = enhancer.base_run()
    if base is not None:
        yield "base", base, enhancer.base_options()
    for teacher in enhancer.teacher_runs():
        yield "teacher", teacher, enhancer.teacher_options().get(teacher, {})


def decisive(enhancers: Iterable[Enhancer[Any]]) -> dict[str, dict[str, Any]]:
    """Everything that results depend on, by enhancer: its options, and those of enhancers in what is trained first.

    Defaults are written out, so that a changed default is another run, here or in a run that is trained first; of a
    class of one's own, an enhancer's or that of a backbone that is trained first, so is its source.
    """
    found = {}
    for enhancer in enhancers:
        found[enhancer.name] = enhancer.config.decisive()
        if is_own(type(enhancer)):
            found[enhancer.name]["source code"] = source_digest(type(enhancer))
        first: dict[str, Any] = {}
        for what, name, options in asked_by(enhancer):
            run = first_run(name)
            if run is not None and run.enhancers:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the run says it
                    inner = make_enhancers(settings(run, options, f"{enhancer.name}: {what} {name!r}")[1])
                    first[f"{what} {name}"] = decisive(inner)
            if run is not None and is_place(run.backbone):
                source = {"source code": source_digest(find_backbone(str(run.backbone)))}
                first[f"{what} {name}"] = {**first.get(f"{what} {name}", {}), **source}
        if first:
            found[enhancer.name]["trained first"] = first
    return found


def _in_turn(
    run: FirstRun, block: dict[str, dict[str, Any]], own: Mapping[str, Any], where: str
) -> dict[str, dict[str, Any]]:
    """The block in which an enhancer that trains nothing begins from what the others of the name train."""
    last = [name for name in block if _begins_from_others(find_enhancer(name))] if len(block) > 1 else []
    if len(last) != 1:
        return block
    given = block[last[0]]
    for option in ("base", "base_options"):
        if option in given:
            raise ConfigurationError(
                f"{where}: {last[0]}.{option}: the name {run.name!r} says what {last[0]} begins from, and the others' "
                f"options go beside it; leave {option} out"
            )
    others = {name: options for name, options in block.items() if name != last[0]}
    told = {
        f"{name}.{option}": value for name, options in others.items() for option, value in options.items()
    }
    return {last[0]: {**given, "base": "+".join(others), "base_options": {**own, **told}}}


def _begins_from_others(cls: type[Enhancer[Any]]) -> bool:
    """Whether an enhancer tries candidates on a base that may be trained by other enhancers."""
    return cls.candidates is not Enhancer.candidates and "base_options" in cls.Config.model_fields
