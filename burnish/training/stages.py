"""The stages of one training run, in the order of RecBole's `run_recbole`."""

from __future__ import annotations

import inspect
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from burnish.enhancers.host import Host
from burnish.errors import DataError, NonFiniteError

from .beyond import ACTIVITY, Beyond, activity, look_beyond, wants_beyond
from .cold import cold_limit, cold_values, collect_items
from .data import load_dataset
from .few_steps import warn_of_few_steps
from .identity import check_data, check_split, data_digests, fingerprint, split_rows
from .inputs.own_models import check_made, check_scores, first_results_checked
from .inputs.refusals import check_best, check_kernels, explained, told_who_knows_all
from .per_user import Capture, captured, per_user_frame, row_users, unrounded_result
from .result import Epoch, TrainingResult, plain
from .steps import evaluation_told, training_told
from .trained_model import TrainedModel
from .trust import built_without_code, no_saved_data
from .weights import load_model, write_model

logger = logging.getLogger(__name__)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_number(one) for key, one in value.items())
    return isinstance(value, list) and all(map(_is_number, value))


def _is_epoch(value: Any) -> bool:
    return str(value).isdecimal()


#: Of the runs of this process.
_numbers = itertools.count(1)
#: What a run's state keeps of the figures, and what each may be.
_PROGRESS: dict[str, Callable[[Any], bool]] = {
    "losses": lambda value: isinstance(value, list) and _are_numbers(value),
    "valid_scores": lambda value: (
        isinstance(value, dict) and _are_numbers(value) and all(map(_is_epoch, value))
    ),
    "best_epoch": lambda value: value is None or type(value) is int,
    "valid_result": lambda value: isinstance(value, dict) and _are_numbers(value),
    "flops": lambda value: value is None or _is_number(value),
}


class Keeper(Protocol):
    """What keeps the state of a run: `state.StateKeeper`."""

    def begin(self, run: Run) -> None:
        """Before the first epoch."""
        ...

    def restore(self, run: Run, state: Any) -> None:
        """Put a state onto a prepared run."""
        ...

    def epoch_done(self, run: Run, epoch: int) -> None:
        """After epoch `epoch`, from 0."""
        ...


class Run:
    """The stages of `run_recbole`, in its order, with a stop-watch on each."""

    def __init__(
        self,
        config: Any,
        on_epoch: Callable[[Epoch], None] | None,
        weights: Path | None = None,
        keeper: Keeper | None = None,
        *,
        trust: bool = False,
    ) -> None:
        """Nothing is read yet.

        weights: where the best epoch's weights go, beside RecBole's checkpoint.  keeper: saves what resuming needs.
        trust: let the model read pretrained models that options name, which are pickles.
        """
        self.config = config
        self.on_epoch = on_epoch
        self.weights = weights
        self.keeper = keeper
        self.trust = trust
        self._goes_on = False
        self.fingerprint: dict[str, Any] | None = None
        self.seconds = {"train": 0.0, "valid": 0.0, "test": 0.0}
        self.flops: float | None = None
        self.losses: list[float] = []
        self.valid_scores: dict[int, float] = {}
        self.best_epoch: int | None = None
        self.valid_result: dict[str, float] = {}
        self.test_rounded: dict[str, Any] = {}
        self.test_result: dict[str, float] = {}
        self.per_user: pd.DataFrame | None = None
        self.beyond = Beyond()

    def prepare(
        self, expected: Mapping[str, Any] | None = None, *, identify: bool = False, trainer: bool = True
    ) -> None:
        """Load and split the data, build the model and its trainer.

        expected: the fingerprint that the data must have; `DataError` when they have another one.
        identify: take the data's fingerprint in any case.
        trainer: False leaves out what only training needs.
        """
        from recbole.data import data_preparation
        from recbole.utils import get_trainer, init_seed

        config = self.config
        root = logging.getLogger()
        init_seed(config["seed"], config["reproducibility"])
        root.info(config)
        with no_saved_data(config):
            self.dataset = load_dataset(config)
        root.info(self.dataset)
        if expected is not None or identify or self.weights is not None:
            self.fingerprint = fingerprint(self.dataset)
            if expected is not None:
                check_data(expected, self.fingerprint, config["dataset"])
        batches = explained(config, "making batches")
        with no_saved_data(config), batches, told_who_knows_all(self.dataset):
            self.train_data, self.valid_data, self.test_data = data_preparation(config, self.dataset)
        if self.fingerprint is not None:
            for part, loader in (("training", self.train_data), ("validation", self.valid_data)):
                if loader is not None:
                    self.fingerprint[part] = split_rows(loader._dataset)
            # A run from before columns were noted may be read, though not trained on, where splits are made otherwise.
            if expected is not None and (trainer or "columns" in expected):
                check_split(expected, self.fingerprint, config["dataset"])
        init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
        with built_without_code(config, self.trust), explained(config, "building the model"):
            self.model = config.model_class(config, self.train_data._dataset).to(config["device"])
        root.info(self.model)
        if not trainer:
            return
        check_made(config, self.model)
        self.flops = self._count_flops()
        with explained(config, "making the optimizer"):
            self.trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, self.model)
        # RecBole's name tells seconds apart: a run that began in the same one would read what this one wrote.
        path = Path(self.trainer.saved_model_file)
        name = f"{path.stem}-{os.getpid()}-{next(_numbers)}{path.suffix}"
        self.trainer.saved_model_file = str(path.with_name(name))
        check_scores(config, self.model, self.valid_data or self.test_data)
        _reset_peak_memory(config["device"])

    def _count_flops(self) -> float | None:
        """RecBole's count for one test row.

        Kept even though nobody may look at it: some transforms and models draw random numbers in it, and
        the training that follows would differ from that of `run_recbole` without them.
        """
        from recbole.data.transform import construct_transform
        from recbole.utils import get_flops

        device, transform = self.config["device"], construct_transform(self.config)
        try:
            return float(get_flops(self.model, self.dataset, device, logging.getLogger(), transform))
        except Exception as error:  # any model may fail under thop's hooks; training does not need them
            check_kernels(self.config, error)
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            logger.warning("FLOPs could not be counted: %s", said)
            return None

    def fit(self, state: tuple[dict[str, Any], dict[str, Any]] | None = None) -> None:
        """Train with early stopping on the validation set.  state: go on from it (`state.latest_state`)."""
        self._last: Epoch = Epoch(0, self.last_epoch(), what=self._counted())
        self._goes_on = state is not None
        if self.keeper is not None:
            self.keeper.begin(self)
            if state is not None:
                self.keeper.restore(self, state)
                host = getattr(self.model, "enhancers", None)
                if isinstance(host, Host):
                    host.has_base = True  # from before: what is restored began from it
        if state is not None and (self.trainer.start_epoch >= self.last_epoch() or self.stopped_early()):
            # Nothing is left to train.  RecBole's fit would write a checkpoint of no epoch over the best one.
            self.trainer.eval_collector.data_collect(self.train_data)
            self._conclude(self.trainer.best_valid_score, self.trainer.best_valid_result)
            return
        if state is None and not self._tries():
            warn_of_few_steps(self.config, self.model, self.train_data, self.last_epoch())
        self._watch_epochs()
        arguments: dict[str, Any] = {"saved": True, "show_progress": self.config["show_progress"]}
        with captured(self.trainer) as capture, first_results_checked(self.config, self.model):
            if "callback_fn" in inspect.signature(self.trainer.fit).parameters:
                arguments["callback_fn"] = lambda epoch, score: self._validated(epoch, score, capture)
            try:
                score, result = self.trainer.fit(self.train_data, self.valid_data, **arguments)
            except ValueError as error:
                if str(error) != "Training loss is nan":  # RecBole's own words, trainer.py
                    raise
                raise self._not_finite() from error
        self._conclude(score, result)

    def _conclude(self, score: float, result: Mapping[str, Any] | None) -> None:
        self.best_valid_score = float(score)
        self.best_valid_result = dict(result or {})
        if not self.valid_result:  # tree models call nobody back: RecBole's rounded figures have to do
            self.valid_result = {key: float(value) for key, value in self.best_valid_result.items()}

    def _not_finite(self) -> NonFiniteError:
        return NonFiniteError(
            f"the training loss of {self.config['model']} became NaN in epoch {len(self.losses) + 1}; "
            f"learning_rate = {self.config['learning_rate']} may be too large, "
            f"or set clip_grad_norm: {{max_norm: 1}}"
        )

    def _watch_epochs(self) -> None:
        trainer = self.trainer
        self._watch_checkpoints()
        inner_train = getattr(trainer, "_train_epoch", None)
        inner_valid = trainer._valid_epoch

        def train_epoch(data: Any, epoch: int, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            assert inner_train is not None
            with training_told(trainer, data, f"{self._last.of} {epoch + 1} of {self._last.total}"):
                loss = inner_train(data, epoch, *args, **kwargs)
            spent = time.perf_counter() - start
            self.seconds["train"] += spent
            total = float(sum(loss)) if isinstance(loss, tuple) else float(loss)
            self.losses.append(total)
            told = None if self._tries() else total
            self._tell(replace(self._last, number=epoch + 1, loss=told, valid_score=None, seconds=spent))
            if not self._validates(epoch):
                trainer.train_loss_dict[epoch] = sum(loss) if isinstance(loss, tuple) else loss
                self._epoch_done(epoch)
            return loss

        def valid_epoch(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            with evaluation_told(trainer, self.valid_data, "validating"):
                result = inner_valid(*args, **kwargs)
            self.seconds["valid"] += time.perf_counter() - start
            return result

        if inner_train is not None:  # tree models train at once
            trainer._train_epoch = train_epoch
        trainer._valid_epoch = valid_epoch

    def _validated(self, epoch: int, score: float, capture: Capture) -> None:
        # cur_step counts evaluations since the best one; RecBole sets it just before this call.
        if self.trainer.cur_step == 0:
            self.best_epoch = epoch + 1
            self.valid_result = unrounded_result(self.config, capture.last, self.trainer.best_valid_result)
        self.valid_scores[epoch + 1] = float(score)
        self._tell(replace(self._last, number=epoch + 1, valid_score=float(score)))
        self._epoch_done(epoch)

    def _counted(self) -> str:
        """What an epoch of this run is called."""
        if self._tries():
            return "candidate"
        return "pre-training epoch" if self._pretrains() else "epoch"

    def _tries(self) -> bool:
        """Whether epochs try candidates, of which none is trained."""
        host = getattr(self.model, "enhancers", None)
        return isinstance(host, Host) and host.trying is not None

    def _validates(self, epoch: int) -> bool:
        """Whether RecBole evaluates after this epoch: not in pre-training, nor between two evaluations."""
        if self._pretrains() or not self.valid_data or self.trainer.eval_step <= 0:
            return False
        return (epoch + 1) % self.trainer.eval_step == 0

    def _pretrains(self) -> bool:
        return hasattr(self.trainer, "pretrain_epochs") and self.model.train_stage != "finetune"

    def _watch_checkpoints(self) -> None:
        """Write our own file of weights whenever RecBole writes its checkpoint."""
        target = self.weights
        if target is None:
            return
        for name in ("_save_checkpoint", "save_pretrained_model"):
            inner = getattr(self.trainer, name, None)
            if inner is None or not hasattr(self.model, "state_dict"):
                continue

            def save(epoch: int, *args: Any, _inner: Any = inner, **kwargs: Any) -> None:
                _inner(epoch, *args, **kwargs)
                write_model(target, self.model, {"epoch": epoch + 1})

            setattr(self.trainer, name, save)

    def _epoch_done(self, epoch: int) -> None:
        if self.keeper is not None:
            self.keeper.epoch_done(self, epoch)

    def last_epoch(self) -> int:
        """How many epochs the training has at most."""
        return int(self.trainer.pretrain_epochs if self._pretrains() else getattr(self.trainer, "epochs", 0))

    def stopped_early(self) -> bool:
        """Whether validation has not improved for longer than `stopping_step`, so that no further epoch follows."""
        stopping = getattr(self.trainer, "stopping_step", None)
        return stopping is not None and getattr(self.trainer, "cur_step", 0) > stopping

    def progress(self) -> dict[str, Any]:
        """What `result` tells about the epochs so far."""
        kept = {**{name: getattr(self, name) for name in _PROGRESS}, "seconds": dict(self.seconds)}
        return kept | {"valid_scores": {str(number): score for number, score in self.valid_scores.items()}}

    def set_progress(self, progress: Mapping[str, Any]) -> None:
        """Take over what an earlier process told by `progress`.

        Raises `DataError` for anything else: it comes from a file, which must not set what it likes.
        """
        for name, value in progress.items():
            fits = {**_PROGRESS, "seconds": _are_numbers}.get(name)
            if fits is None or not fits(value):
                raise DataError(f"the saved state's {name!r} is {value!r}, which no run has written")
        self.losses = list(progress.get("losses", self.losses))
        scores = progress.get("valid_scores", self.valid_scores)
        self.valid_scores = {int(number): score for number, score in scores.items()}
        self.best_epoch = progress.get("best_epoch", self.best_epoch)
        self.valid_result = dict(progress.get("valid_result", self.valid_result))
        self.flops = progress.get("flops", self.flops)
        self.seconds = {**self.seconds, **progress.get("seconds", {})}

    def _tell(self, epoch: Epoch) -> None:
        self._last = epoch
        if self.on_epoch is not None:
            self.on_epoch(epoch)

    def test(self) -> None:
        """Evaluate the best checkpoint on the test set."""
        start = time.perf_counter()
        ours = self.weights is not None and self.weights.is_file()
        if ours:
            assert self.weights is not None
            load_model(self.weights, self.model)
        elif self._goes_on:
            # RecBole would unpickle the checkpoint that lies there; it need not be the one of the interrupted run.
            raise DataError(
                f"{self.weights} is missing, and without it the best epoch of this run is not known; begin a new run"
            )
        else:
            check_best(self.config, self.best_valid_score, self.trainer.saved_model_file)
        beyond = wants_beyond(self.config, self.trainer)
        if beyond or cold_limit(self.config) is not None:
            collect_items(self.trainer)
        watched = evaluation_told(self.trainer, self.test_data, "testing")
        checked = first_results_checked(self.config, self.model)
        with captured(self.trainer) as capture, checked, watched:
            rounded = self.trainer.evaluate(
                self.test_data, load_best_model=not ours, show_progress=self.config["show_progress"]
            )
        self.seconds["test"] = time.perf_counter() - start
        self.test_rounded = {key: float(value) for key, value in (rounded or {}).items()}
        self.test_result = unrounded_result(self.config, capture.last, rounded)
        if capture.last is not None:
            self.per_user = per_user_frame(self.config, capture.last, self.test_data)
            self._add_cold(capture.last)
            if beyond:
                self._add_beyond(capture.last)

    def _add_cold(self, struct: Any) -> None:
        """Metrics of cold items, where they are asked for and any is in the test data."""
        if self.per_user is None:
            return
        for name, values in cold_values(
            self.config, struct, self.test_data, self.train_data._dataset
        ).items():
            if not np.isnan(values).all():
                self.per_user[name] = values
                self.test_result[name] = float(np.nanmean(values))

    def _add_beyond(self, struct: Any) -> None:
        """What is listed beside how good it is, and how active the users are."""
        training = self.train_data._dataset
        self.beyond = look_beyond(self.config, struct, self.test_data, training)
        users = row_users(self.test_data)
        if self.per_user is None or users is None:
            return
        self.per_user[ACTIVITY] = activity(training, users)
        for name, column in self.beyond.rows.items():
            self.per_user[name] = column.astype(np.float32)

    def result(self) -> TrainingResult:
        """Everything that the stages left."""
        from burnish.enhancers.attach import enhancer_options

        config = self.config
        parameters = self.model.parameters() if hasattr(self.model, "parameters") else ()
        return TrainingResult(
            model_name=config["model"],
            dataset_name=config["dataset"],
            seed=int(config["seed"]),
            enhancers=enhancer_options(config.model_class),
            valid_metric=str(config["valid_metric"]).lower(),
            best_valid_score=self.best_valid_score,
            best_valid_result={key: float(value) for key, value in self.best_valid_result.items()},
            rounded_test_result=self.test_rounded,
            valid_result=self.valid_result,
            test_result=self.test_result,
            per_user=self.per_user,
            n_epochs=len(self.losses),
            best_epoch=self.best_epoch,
            losses=self.losses,
            seconds=self.seconds,
            peak_memory_mb=_peak_memory(config["device"]),
            n_parameters=sum(p.numel() for p in parameters if p.requires_grad),
            flops=self.flops,
            checkpoint=None,
            config=plain(config.final_config_dict),
            trained=self.trained(),
            valid_scores=self.valid_scores,
            beyond=self.beyond.values,
            popularity_deciles=self.beyond.deciles,
            deciles_by_row=self.beyond.deciles_by_row,
            data={} if self.fingerprint is None else data_digests(self.fingerprint, self.test_data),
        )

    def trained(self) -> TrainedModel:
        """The model as it is now, with its data."""
        return TrainedModel(
            self.config, self.dataset, self.train_data, self.valid_data, self.test_data, self.model
        )


def _reset_peak_memory(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: Any) -> float | None:
    """In units of 2^20 bytes."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
