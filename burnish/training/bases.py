"""Plain backbones that enhancers begin from: trained first with the same options, or read from a run's folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from burnish.enhancers.attach import enhancers_of
from burnish.enhancers.enhancer import Enhancer
from burnish.errors import ConfigurationError, DataError
from burnish.files.lock import locked
from burnish.files.portable import read_file, unpack
from burnish.files.processes import passing_folder
from burnish.files.refusals import make_folder
from burnish.files.whole import read_json, write_json
from burnish.files.whole_folder import folder_written_whole

from .base import Base, BaseRequest
from .identity import class_name
from .one_run import train_and_test
from .record import BASE, MODEL_FILE, read_run
from .request import Request
from .result import Epoch
from .state import latest_state

AUTO = "auto"
#: In the folder of a base that was trained on request: which request.
NOTE = "base.json"
#: Options that a base has from its run, since it must know the same rows and no others.
_OF_THE_RUN = frozenset(
    {"model", "dataset", "enhancers", "seed", "eval_args", "data_path", "benchmark_filename", "val_interval"}
    | {"user_inter_num_interval", "item_inter_num_interval", "rm_dup_inter", "filter_inter_by_user_or_item"}
    | {"USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"}
)
logger = logging.getLogger(__name__)


def begin_from(
    request: BaseRequest,
    enhanced: type,
    target: Path | None,
    bases: Path | str | None,
    save_every: int,
    on_epoch: Callable[[Epoch], None] | None,
) -> Base | None:
    """The base that the enhancers of a class ask for; None where they ask for none.

    target: folder of the run that is to begin from it.  bases: folder of all bases of a comparison.
    Raises `ConfigurationError` where enhancers ask for different ones, or for a run of another backbone.
    """
    wish, others = _wish(enhancers_of(enhanced))
    if wish is None:
        return None
    if wish != AUTO:
        return _read(Path(wish), request.model)
    request = replace(request, options={**request.options, **others})
    if bases is not None:
        return _shared(request, Path(bases) / request.digest(), on_epoch)
    if target is not None:
        return _trained(request, target / BASE, save_every, on_epoch)
    with passing_folder("base") as folder:
        return _trained(request, folder, 0, on_epoch)


def _wish(recipes: Iterable[Enhancer[Any]]) -> tuple[str | None, Mapping[str, Any]]:
    """Which base is asked for, and the options of its own."""
    asking = [recipe for recipe in recipes if recipe.base_run() is not None]
    wishes = [(recipe.base_run(), dict(recipe.base_options())) for recipe in asking]
    for recipe in asking:
        for name in recipe.base_options():
            if name in _OF_THE_RUN:
                raise ConfigurationError(
                    f"{recipe.name}: base_options.{name}: the base is trained on the data and the split of the run "
                    f"that begins from it, by the run's own {name}; leave it out"
                )
    if any(wish != wishes[0] for wish in wishes):
        listed = ", ".join(
            f"{recipe.name}: {wish} {options or ''}".rstrip()
            for recipe, (wish, options) in zip(asking, wishes, strict=True)
        )
        raise ConfigurationError(
            f"enhancers ask for different bases ({listed}); give all of them the same one"
        )
    return wishes[0] if wishes else (None, {})


def _shared(request: BaseRequest, folder: Path, on_epoch: Callable[[Epoch], None] | None) -> Base:
    """The base in a folder that several processes share: the first one trains it, and the others wait for it."""
    make_folder(folder.parent)
    lock = folder.with_name(f".{folder.name}.training.lock")

    def waiting(holder: str) -> None:
        logger.warning("waiting for %s, which trains the base %s", holder, folder)

    with locked(lock, waiting=waiting):
        if _progress_in(folder, request) == "finished":
            return _read(folder, request.model, own=True)
        started = time.perf_counter()
        with folder_written_whole(
            folder, lambda there: _progress_in(there, request) == "finished"
        ) as partial:
            _trained(request, partial, 0, on_epoch)
        return _read(folder, request.model, time.perf_counter() - started, own=True)


def _trained(
    request: BaseRequest, folder: Path, save_every: int, on_epoch: Callable[[Epoch], None] | None
) -> Base:
    """The base in a folder, trained there unless it is there already; an interrupted one goes on."""
    started = time.perf_counter()
    progress = _progress_in(folder, request)
    state = latest_state(folder) if progress == "unfinished" else None
    if state is not None:
        saved = read_run(folder)
        again = Request.gather(request.model, saved.dataset, {}, (), saved.options, None, False)
        train_and_test(
            again, folder, saved=saved, state=state, on_epoch=on_epoch, save_every=max(save_every, 1)
        )
    elif progress != "finished":
        make_folder(folder)
        plain = Request.gather(
            request.model, request.dataset, {}, request.files, request.options, None, False
        )
        train_and_test(
            plain,
            folder,
            on_epoch=on_epoch,
            save_every=save_every,
            evaluate_test=False,
            # The former base is gone by then: the note must never stand beside another one.
            on_forgotten=lambda: write_json(folder / NOTE, {"digest": request.digest()}),
        )
    return _read(folder, request.model, time.perf_counter() - started, own=True)


def _progress_in(folder: Path, request: BaseRequest) -> str:
    """What a folder holds: a `finished` or `unfinished` run of this request, or `nothing` of use."""
    try:
        if read_json(folder / NOTE, "")["digest"] != request.digest():
            return "nothing"
        if not read_run(folder).finished:
            return "unfinished"
        _weights(folder)
    except (DataError, TypeError, KeyError):  # missing or damaged: trained anew
        return "nothing"
    return "finished"


def _read(folder: Path, model: type, seconds: float = 0.0, *, own: bool = False) -> Base:
    saved = read_run(folder)
    if saved.model != class_name(model):
        raise ConfigurationError(
            f"base = {str(folder)!r} is a run of {saved.model}, not of {class_name(model)}"
        )
    if saved.enhancers:
        raise ConfigurationError(
            f"base = {str(folder)!r} is a run with enhancers ({', '.join(saved.enhancers)}); give a plain one"
        )
    return Base(str(folder), _weights(folder), saved.data, seconds, own)


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / MODEL_FILE
    if not path.is_file():
        raise DataError(
            f"base = {str(folder)!r} holds no trained weights ({MODEL_FILE}): train it to its end"
        )
    tree, tensors = read_file(path, "the weights of a trained model")
    try:
        state = {name: unpack(value, tensors) for name, value in tree["state"].items()}
    except Exception as error:  # a damaged description may have anything in the place of anything
        raise DataError(f"{path} is damaged: {error!r}; train the base again") from error
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
