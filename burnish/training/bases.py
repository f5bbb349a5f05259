"""Backbones that enhancers begin from: trained first, plain or baked, or read from the folder of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from burnish.enhancers.attach import enhance, enhancers_of, split_enhanced
from burnish.enhancers.bake import bake
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import make_enhancers
from burnish.enhancers.trained_first import AUTO, FirstRun, check_options, first_run, settings, unknown_run
from burnish.errors import BurnishError, ConfigurationError, warn

from .base import Base
from .first import FirstRequest, Places, trained_first
from .identity import FormerDataError, OtherDataError, class_name
from .load import load_run
from .record import BASE, read_run
from .request import Request
from .weights import weights_of


def begin_from(request: Request, places: Places, *, made_in: str | None = None) -> Base | None:
    """The base that the enhancers of a request's class ask for; None where they ask for none.

    made_in: the folder that relative names are meant from; None for the present one.
    Raises `ConfigurationError` where enhancers ask for different ones, or for a run of another backbone.
    """
    enhancers = enhancers_of(request.model)
    wish, others = wish_of(enhancers)
    if wish is None:
        return None
    asking = next(one.name for one in enhancers if one.base_run() is not None)
    run = first_run(wish)
    folder = Path(made_in or ".") / wish
    if run is None:
        if not folder.is_dir() and not any(mark in wish for mark in "/\\."):
            raise unknown_run(f"enhancer {asking!r}: base", wish, (AUTO,))
        return _read(folder, 0.0, asking=request.model, trust=places.trust, own=False)
    told_of_folder(f"enhancer {asking!r}: base", run, folder)
    return trained_first(
        _request(request, run, others, asking),
        places,
        BASE,
        partial(_read, asking=request.model, trust=places.trust, own=True),
    )


def told_of_folder(kind: str, run: FirstRun, folder: Path) -> None:
    """Warn where a folder has the name of a run that is trained first."""
    if folder.is_dir():
        warn(
            f"{kind} {run.name!r} is trained first; the folder of this name is left alone (write ./{run.name} for it)"
        )


def _request(request: Request, run: FirstRun, others: Mapping[str, Any], asking: str) -> FirstRequest:
    plain = split_enhanced(request.model)[0]
    if run.backbone not in (None, class_name(plain)):
        raise ConfigurationError(
            f"enhancer {asking!r}: base = {run.name!r} is a run of {run.backbone}, not of {class_name(plain)}; its "
            f"tables do not fit"
        )
    own, block = settings(run, others, f"{asking}: base_options")
    options = {name: value for name, value in request.options.items() if name != "enhancers"}
    enhanced = enhance(plain, *make_enhancers(block)) if block else plain
    return FirstRequest(enhanced, request.dataset, tuple(request.files), {**options, **own})


def wish_of(recipes: Iterable[Enhancer[Any]]) -> tuple[str | None, Mapping[str, Any]]:
    """Which base is asked for, and the options of its own."""
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


def _read(folder: Path, seconds: float, *, asking: type, trust: bool, own: bool) -> Base:
    """asking: the class that is to begin from it."""
    plain, saved = split_enhanced(asking)[0], read_run(folder)
    if saved.model != class_name(plain):
        raise ConfigurationError(
            f"base = {str(folder)!r} is a run of {saved.model}, not of {class_name(plain)}"
        )
    weights = weights_of(folder, f"base = {str(folder)!r}")
    if saved.enhancers:
        try:
            weights = _baked(folder, asking, trust)
        except OtherDataError as error:
            if own:
                raise FormerDataError("the base", folder, error) from error
            raise
    return Base(str(folder), weights, saved.data, seconds, own)


def _baked(folder: Path, asking: type, trust: bool) -> dict[str, Tensor]:
    """The state of a plain model that scores as the run's enhanced one does."""
    try:
        run = load_run(folder, model=split_enhanced(asking)[0], trust=trust)
    except BurnishError as error:
        raise type(error)(f"base = {str(folder)!r} is a run with enhancers: {error}") from error
    try:
        state = bake(run.model).state_dict()
    except BurnishError as error:
        # What asks may go with no run of this backbone: then no other base would help.
        asking(run.config, run.splits.training)
        raise type(error)(f"base = {str(folder)!r} is a run with enhancers: {error}") from error
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
