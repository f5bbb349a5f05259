"""Backbones that enhancers begin from: trained first, plain or baked, or read from the folder of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor

from burnish.enhancers.attach import enhancers_of, split_enhanced
from burnish.enhancers.bake import bake
from burnish.enhancers.trained_first import FirstRun
from burnish.errors import BurnishError, warn

from .asked_first import Asked, asked_for, check_same_backbone, wish_of
from .base import Base
from .first import FirstRequest, Places, trained_first
from .identity import FormerDataError, OtherDataError
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
    wish, options = wish_of(enhancers)
    if wish is None:
        return None
    asking = next(one for one in enhancers if one.base_run() is not None)
    here = Path(made_in or ".")
    asked = asked_for(asking, "base", wish, options, split_enhanced(request.model)[0], here)
    if isinstance(asked, Path):
        return _read(asked, 0.0, asking=request.model, trust=places.trust, own=False)
    told_of_folder(f"enhancer {asking.name!r}: base", asked.run, here / wish)
    return trained_first(
        _request(request, asked),
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


def _request(request: Request, asked: Asked) -> FirstRequest:
    options = {name: value for name, value in request.options.items() if name != "enhancers"}
    return FirstRequest(asked.model, request.dataset, tuple(request.files), {**options, **asked.own})


def _read(folder: Path, seconds: float, *, asking: type, trust: bool, own: bool) -> Base:
    """asking: the class that is to begin from it."""
    plain, saved = split_enhanced(asking)[0], read_run(folder)
    check_same_backbone(saved, plain)
    weights = weights_of(folder, f"base = {str(folder)!r}")
    if not saved.enhancers:
        saved.tell_changed_code(plain)
    else:
        try:
            weights = _baked(folder, asking, trust)
        except OtherDataError as error:
            if own:
                raise FormerDataError("the base", folder, error) from error
            raise
    return Base(str(folder), weights, saved.data, seconds, own, {**saved.config, "dataset": saved.dataset})


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
