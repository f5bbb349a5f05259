"""A plain run of a comparison that is trained where the base of other runs is kept, so that both are one training.

`prior`, `aggregate` and `guided: {base: auto}` begin from the plain backbone with the options and the seed of their own
run: the training that the comparison's plain run is.  Whichever comes first trains it, and the plain run tests it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError, DataError
from burnish.files.portable import read_file, unpack
from burnish.files.whole import read_json
from burnish.own.classes import is_place
from burnish.randomness import in_fixed_order, set_random_state

from .first import END, STREAMS, FirstRequest, Places, anew_on_other_data, trained_first
from .identity import FormerDataError, OtherDataError
from .record import BASE, MODEL_FILE, SavedRun, read_run
from .request import Request, config_of
from .result import Epoch, TrainingResult
from .session import alone, checkpoint_folder, log_file, torch_threads
from .stages import Run
from .train import needed_first


@dataclass(frozen=True)
class _End:
    """How a training ended: what `Run.progress` told, RecBole's figures, memory, seconds, and the random streams."""

    progress: Mapping[str, Any]
    score: float
    result: Mapping[str, float]
    memory: float | None
    seconds: float
    random: dict[str, Any]

    @classmethod
    def of(cls, folder: Path) -> _End | None:
        """Of a folder; None where an older burnish has not noted it, or the file is damaged."""
        try:
            told = read_json(folder / END, "")
            tree, tensors = read_file(folder / STREAMS, "the random streams after a training")
            names = ["losses", "best_epoch", "valid_result", "flops", "seconds"]
            names += ["valid_scores"] if "valid_scores" in told else []  # an older burnish has not noted them
            seconds = dict(told["seconds"])
            total = float(seconds.pop("total"))
            progress = {name: told[name] for name in names} | {"seconds": seconds}
            score, result = float(told["best_valid_score"]), dict(told["best_valid_result"])
            random = unpack(tree["random"], tensors)
            return cls(progress, score, result, told["peak_memory_mb"], total, random)
        except (DataError, KeyError, TypeError, ValueError):
            return None


def can_share(model: str, options: Mapping[str, Any]) -> bool:
    """Whether a plain run of a backbone can be trained so: its weights can be kept, and nothing is watched besides."""
    if is_place(model) or options.get("tensorboard"):
        return False
    try:
        kind = getattr(getattr(find_backbone(model), "type", None), "name", "")
    except BurnishError:  # the run says so
        return False
    return kind != "DECISIONTREE"


@alone()
def train_shared(
    model: str,
    dataset: str,
    *,
    options: Mapping[str, Any],
    seed: int,
    folder: Path,
    bases: Path,
    on_epoch: Callable[[Epoch], None] | None = None,
    evaluate_test: bool = True,
    wait: bool = True,
) -> TrainingResult | None:
    """What `train` gives for a plain backbone, to the last bit, trained in `bases` unless it was there already.

    Parameters
    ----------
    model, dataset, options, seed, on_epoch, evaluate_test, wait
        As for `train`.  Epochs are told of by the one that trains.
    folder
        Receives log.txt.
    bases
        Where runs are kept that others begin from.

    Returns
    -------
    TrainingResult or None
        None where the base is of an older burnish, which has not noted how it ended.

    Raises
    ------
    BurnishError
        As `train`.
    """
    request = Request.gather(model, dataset, {}, (), options, seed, False)
    given = {name: value for name, value in request.options.items() if name != "enhancers"}
    first = FirstRequest(request.model, dataset, (), given, named="")
    places = Places(needed_first, None, bases, 0, on_epoch, wait=wait)

    def run() -> TrainingResult | None:
        base = trained_first(first, places, BASE, lambda there, _: there)
        end = _End.of(base)
        return None if end is None else _tested(request, read_run(base), end, folder, evaluate_test)

    return anew_on_other_data(run, places)


def _tested(
    request: Request, saved: SavedRun, end: _End, folder: Path, evaluate_test: bool
) -> TrainingResult:
    """The result of a run that was trained in another folder; tested as if it had ended just now."""
    log = folder / "log.txt"
    if (saved.folder / "log.txt").is_file():
        shutil.copyfile(saved.folder / "log.txt", log)
    with ExitStack() as stack:
        stack.enter_context(log_file(log))
        config = config_of(request)
        stack.enter_context(torch_threads(config["threads"]))
        stack.enter_context(in_fixed_order(config["device"], bool(config["reproducibility"])))
        config["checkpoint_dir"] = str(stack.enter_context(checkpoint_folder(folder, keep=False)))
        run = Run(config, None, saved.folder / MODEL_FILE)
        try:
            run.prepare(saved.data)
        except OtherDataError as error:
            raise FormerDataError("the plain backbone", saved.folder, error) from error
        run.set_progress(end.progress)
        run.best_valid_score, run.best_valid_result = end.score, dict(end.result)
        started = time.perf_counter()
        if evaluate_test:
            run.trainer.eval_collector.data_collect(run.train_data)
            set_random_state(end.random)
            run.test()
        result = run.result()
    result.peak_memory_mb = end.memory
    result.seconds["total"] = end.seconds + (time.perf_counter() - started)
    return result
