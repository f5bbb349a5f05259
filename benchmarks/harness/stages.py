"""The stages of one training run, in the order of RecBole's `run_recbole`."""

from __future__ import annotations

import inspect
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import pandas as pd

from burnish.enhancers.errors import NonFiniteError

from .data_checks import load_dataset
from .per_user import Capture, captured, per_user_frame, unrounded_result
from .result import Epoch, TrainingResult, plain

logger = logging.getLogger(__name__)


class Run:
    """The stages of `run_recbole`, in its order, with a stop-watch on each."""

    def __init__(self, config: Any, on_epoch: Callable[[Epoch], None] | None) -> None:
        self.config = config
        self.on_epoch = on_epoch
        self.seconds = {"train": 0.0, "valid": 0.0, "test": 0.0}
        self.flops: float | None = None
        self.losses: list[float] = []
        self.best_epoch: int | None = None
        self.valid_result: dict[str, float] = {}
        self.test_rounded: dict[str, Any] = {}
        self.test_result: dict[str, float] = {}
        self.per_user: pd.DataFrame | None = None

    def prepare(self) -> None:
        """Load and split the data, build the model and its trainer."""
        from recbole.data import data_preparation
        from recbole.utils import get_trainer, init_seed

        config = self.config
        root = logging.getLogger()
        init_seed(config["seed"], config["reproducibility"])
        root.info(config)
        self.dataset = load_dataset(config)
        root.info(self.dataset)
        self.train_data, self.valid_data, self.test_data = data_preparation(config, self.dataset)
        init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
        self.model = config.model_class(config, self.train_data._dataset).to(config["device"])
        root.info(self.model)
        self.flops = self._count_flops()
        self.trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, self.model)
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
            logger.warning("FLOPs could not be counted: %s: %s", type(error).__name__, error)
            return None

    def fit(self) -> None:
        """Train with early stopping on the validation set."""
        self._watch_epochs()
        arguments: dict[str, Any] = {"saved": True, "show_progress": self.config["show_progress"]}
        with captured(self.trainer) as capture:
            if "callback_fn" in inspect.signature(self.trainer.fit).parameters:
                arguments["callback_fn"] = lambda epoch, score: self._validated(epoch, score, capture)
            try:
                score, result = self.trainer.fit(self.train_data, self.valid_data, **arguments)
            except ValueError as error:
                if str(error) != "Training loss is nan":  # RecBole's own words, trainer.py
                    raise
                raise self._not_finite() from error
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
        self._last: Epoch = Epoch(0, int(getattr(trainer, "epochs", 0)))
        inner_train = getattr(trainer, "_train_epoch", None)
        inner_valid = trainer._valid_epoch

        def train_epoch(data: Any, epoch: int, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            assert inner_train is not None
            loss = inner_train(data, epoch, *args, **kwargs)
            spent = time.perf_counter() - start
            self.seconds["train"] += spent
            total = float(sum(loss)) if isinstance(loss, tuple) else float(loss)
            self.losses.append(total)
            self._tell(Epoch(epoch + 1, self._last.total, total, None, spent))
            return loss

        def valid_epoch(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            found = inner_valid(*args, **kwargs)
            self.seconds["valid"] += time.perf_counter() - start
            return found

        if inner_train is not None:  # tree models train at once
            trainer._train_epoch = train_epoch
        trainer._valid_epoch = valid_epoch

    def _validated(self, epoch: int, score: float, capture: Capture) -> None:
        # cur_step counts evaluations since the best one; RecBole sets it just before this call.
        if self.trainer.cur_step == 0:
            self.best_epoch = epoch + 1
            self.valid_result = unrounded_result(self.config, capture.last, self.trainer.best_valid_result)
        self._tell(Epoch(epoch + 1, self._last.total, self._last.loss, float(score), self._last.seconds))

    def _tell(self, epoch: Epoch) -> None:
        self._last = epoch
        if self.on_epoch is not None:
            self.on_epoch(epoch)

    def test(self) -> None:
        """Evaluate the best checkpoint on the test set."""
        start = time.perf_counter()
        with captured(self.trainer) as capture:
            found = self.trainer.evaluate(
                self.test_data, load_best_model=True, show_progress=self.config["show_progress"]
            )
        self.seconds["test"] = time.perf_counter() - start
        self.test_rounded = {key: float(value) for key, value in (found or {}).items()}
        self.test_result = unrounded_result(self.config, capture.last, found)
        if capture.last is not None:
            self.per_user = per_user_frame(self.config, capture.last, self.test_data)

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
            model=self.model,
            dataset=self.dataset,
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
