"""One run, from the start or from a saved state, in a folder or in none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from burnish.compat.habits import tensorboard_in
from burnish.enhancers.attach import enhancers_of, split_enhanced
from burnish.files.traces import without_traces
from burnish.randomness import in_fixed_order
from burnish.settled import settled_lines

from .base import Base
from .classes import check_class
from .inputs.loading import tell
from .inputs.machine import check_checkpoint_folder
from .inputs.sizes import check_packages
from .record import MODEL_FILE, SavedRun, check_same_options, forget_run, mark_finished, write_run
from .request import Request, config_of
from .result import Epoch, TrainingResult, plain
from .session import alone, checkpoint_folder, log_file, torch_threads
from .stages import Run
from .state import StateKeeper
from .steps import pretraining_line
from .trust import refuse_links

logger = logging.getLogger(__name__)


class Teaching(Protocol):
    """The trained models that enhancers learn from: `teachers.TeacherRuns`."""

    def give(self, model: Any, data: Mapping[str, Any], config: Any) -> dict[str, float]:
        """Let a model's enhancers take what they need; gives seconds of training to be told with the run's."""
        ...


@alone()
def train_and_test(
    request: Request,
    target: Path | None,
    *,
    saved: SavedRun | None = None,
    state: Any = None,
    save_every: int = 0,
    on_epoch: Callable[[Epoch], None] | None = None,
    keep_checkpoint: bool = True,
    visible: bool = False,
    evaluate_test: bool = True,
    base: Base | None = None,
    teachers: Teaching | None = None,
    trust: bool = False,
    keep_result: Callable[[TrainingResult], list[str]] | None = None,
    on_forgotten: Callable[[], None] | None = None,
) -> TrainingResult:
    """Carry out a run.

    Parameters
    ----------
    target
        The folder of the run.
    saved, state
        The run in that folder that goes on, and the saved state to go on from (None: from the first epoch); without
        `saved` the folder is emptied (`forget_run`) once data and options are known to be fit for training.
    visible
        Let `--option=value` of `sys.argv` win over everything.
    base
        The backbone that enhancers begin from.
    teachers
        The trained models that enhancers learn from.
    trust
        Unpickle the pretrained models that options name.
    keep_result
        Writes the result into `target` and gives the names of the files; called before the run is marked as finished.
    on_forgotten
        Called when the folder was emptied, before anything else is written there.
    """
    if target is not None:
        refuse_links(target)
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    own_files = target is not None and keep_checkpoint
    begun: list[bool] = []  # of a run that is refused before, nothing is left
    with ExitStack() as stack:
        stack.enter_context(log_file(target / "log.txt" if target else None, lambda: bool(begun)))
        config = config_of(request, visible=visible)
        for line in settled_lines(config).values():
            tell(config, line)
        check_packages(config)
        pretraining = pretraining_line(config)
        if pretraining is not None:
            tell(config, pretraining)
        check_class(split_enhanced(config.model_class)[0], kept=own_files)
        if saved is not None:
            check_same_options(saved, config)
        else:
            for enhancer in enhancers_of(request.model):
                enhancer.check_files(config)
        effective = plain(config.final_config_dict)  # building the model adds to it
        own_tensorboard = target / "tensorboard" if target and config["tensorboard"] else None
        stack.enter_context(tensorboard_in(own_tensorboard))
        stack.enter_context(torch_threads(config["threads"]))
        stack.enter_context(in_fixed_order(config["device"], bool(config["reproducibility"])))
        checkpoints = stack.enter_context(checkpoint_folder(target, keep_checkpoint))
        if checkpoints is not None:
            config["checkpoint_dir"] = str(checkpoints)
        else:
            stack.enter_context(without_traces(Path(config["checkpoint_dir"])))
            check_checkpoint_folder(config["checkpoint_dir"])
        # Trees grow at once, outside of torch: there is no state to go on from.
        keeps = target is not None and save_every and config["MODEL_TYPE"].name != "DECISIONTREE"
        keeper = StateKeeper(target, save_every) if target is not None and keeps else None
        run = Run(
            config, on_epoch, target / MODEL_FILE if target and own_files else None, keeper, trust=trust
        )
        run.prepare(saved.data if saved else None, identify=True)
        if base is not None:
            base.give(run.model, run.fingerprint or {}, config)
            run.seconds["base"] = base.seconds
            logger.info("began from the base %s (trained in %.1f s)", base.source, base.seconds)
        if teachers is not None:
            run.seconds |= teachers.give(run.model, run.fingerprint or {}, config)
        begun.append(True)
        if target is not None and saved is None:
            # Only now: what an earlier run left stays where the data or the options of this one are refused.
            forget_run(target)
            if on_forgotten is not None:
                on_forgotten()
        if target is not None and own_files:
            run.trainer.saved_model_file = str(target / "checkpoint.pth")
            write_run(target, config, request.given_options(config), effective, run.fingerprint or {})
        run.fit(state)
        if evaluate_test:
            run.test()
        result = run.result()
        result.checkpoint = Path(run.trainer.saved_model_file) if keep_checkpoint else None
        result.seconds["total"] = time.perf_counter() - started
        if target is not None and own_files:
            mark_finished(target, None if keep_result is None else keep_result(result))
    return result
