"""Train one model as `recbole.quick_start.run_recbole` does, and keep what a fair comparison needs."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from burnish.enhancers.errors import BurnishError, ConfigurationError

from .data_checks import check_files, load_dataset
from .options import warn_unknown
from .per_user import Capture, captured, per_user_frame, unrounded_result
from .session import checkpoint_folder, command_line, literal_options, log_file, tensorboard_in, torch_threads
from .yamls import read_yaml

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """Where training is: epoch `number` (from 1) of at most `total`; `valid_score` once it was validated."""

    number: int
    total: int
    loss: float | None = None
    valid_score: float | None = None
    seconds: float = 0.0


@dataclass
class TrainingResult:
    """What one training run gave.  Metric names are RecBole's, in lower case: "ndcg@10", "auc"."""

    model_name: str
    dataset_name: str
    seed: int
    #: Options that differ from the defaults, by name of the enhancer.
    enhancers: dict[str, dict[str, Any]]
    valid_metric: str
    #: RecBole's own figures, rounded by it to `metric_decimal_place`.
    best_valid_score: float
    best_valid_result: dict[str, float]
    rounded_test_result: dict[str, float]
    #: The same without rounding: the best epoch on validation, and the test set.
    valid_result: dict[str, float]
    test_result: dict[str, float]
    #: One line a test row (see `per_user_frame`), None where the metrics have no value a user.
    per_user: pd.DataFrame | None
    n_epochs: int
    best_epoch: int | None
    losses: list[float]
    #: Wall-clock seconds: "train", "valid", "test", "total".
    seconds: dict[str, float]
    #: Highest memory of the device; on a CPU, of the whole process so far.  None where it cannot be read.
    peak_memory_mb: float | None
    n_parameters: int
    flops: float | None
    checkpoint: Path | None
    config: dict[str, Any]
    model: Any = field(default=None, repr=False)
    dataset: Any = field(default=None, repr=False)

    def summary(self) -> dict[str, Any]:
        """Everything but the tables and the objects, ready for JSON."""
        left_out = {"model", "dataset", "per_user", "config"}
        shown = {name: value for name, value in vars(self).items() if name not in left_out}
        shown["checkpoint"] = str(self.checkpoint) if self.checkpoint else None
        return shown


def train(
    model: str | type,
    dataset: str,
    *,
    enhancers: Mapping[str, Any] | Iterable[Any] | str | None = None,
    config_files: Sequence[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    folder: Path | str | None = None,
    show_progress: bool = False,
    keep_checkpoint: bool = True,
    command_line: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    evaluate_test: bool = True,
) -> TrainingResult:
    """Train `model` on `dataset` with RecBole's own config, data, trainer, early stopping and evaluation.

    Random numbers are drawn in the order of `run_recbole`, so a plain backbone gets the same metrics.

    model: a backbone's name, a RecBole model class, or a class made by `enhance`.
    dataset: the name of a folder of atomic files in `data_path`, or "ml-100k", which RecBole brings.
    enhancers: what to attach: a block `{"rvrec": {"weight": 0.1}}`, "rvrec,euclid2d", names or `Enhancer`
        objects.  None takes the `enhancers` block of `options` or of the config files; `{}` attaches none.
    config_files: RecBole YAML files, later ones win.  options: RecBole options with typed values; they win
        over the files.  Strings are read as literals, never evaluated.  Two options are burnish's own:
        `threads` (torch threads while this runs) and `tensorboard` (write TensorBoard files into `folder`).
    seed: wins over the `seed` of options and files.
    folder: receives log.txt, checkpoint.pth and nothing is written elsewhere.  Without a folder there is no
        log file, and the checkpoint goes to RecBole's `checkpoint_dir`.
    keep_checkpoint: False removes the checkpoint once the test set was evaluated.
    command_line: True lets `--option=value` of `sys.argv` win over everything, as in RecBole.
    on_epoch: called after each training epoch, and again after its validation.
    evaluate_test: False leaves the test set alone (tuning).

    Raises `UnknownNameError`, `ConfigurationError` or `DataError`; a RecBole option that nobody reads gives a
    `UserWarning` with the nearest known name.
    """
    started = time.perf_counter()
    request = _Request.gather(model, dataset, enhancers, config_files, options, seed, show_progress)
    target = Path(folder) if folder is not None else None
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(log_file(target / "log.txt" if target else None))
        config = _make_config(request, command_line)
        own_tensorboard = target / "tensorboard" if target and config["tensorboard"] else None
        stack.enter_context(tensorboard_in(own_tensorboard))
        stack.enter_context(torch_threads(config["threads"]))
        checkpoints = stack.enter_context(checkpoint_folder(target, keep_checkpoint))
        if checkpoints is not None:
            config["checkpoint_dir"] = str(checkpoints)
        run = _Run(config, on_epoch)
        run.prepare()
        if target is not None and keep_checkpoint:
            run.trainer.saved_model_file = str(target / "checkpoint.pth")
        run.fit()
        if evaluate_test:
            run.test()
        result = run.result()
        result.checkpoint = Path(run.trainer.saved_model_file) if keep_checkpoint else None
    result.seconds["total"] = time.perf_counter() - started
    return result


@dataclass
class _Request:
    """The arguments of `train`, put together: which class, with which options from which source."""

    model: type
    dataset: str
    files: list[str]
    options: dict[str, Any]
    given: set[str]

    @classmethod
    def gather(
        cls,
        model: str | type,
        dataset: str,
        enhancers: Any,
        config_files: Sequence[str | Path],
        options: Mapping[str, Any] | None,
        seed: int | None,
        show_progress: bool,
    ) -> _Request:
        settings: dict[str, Any] = {}
        for file in config_files:
            settings.update(read_yaml(file))
        own = dict(options or {})
        settings.update(own)
        block = settings.get("enhancers") if enhancers is None else enhancers
        # Config attaches any block that it finds; the class below has it already.
        own["enhancers"] = {}
        if seed is not None:
            own["seed"] = seed
        own.setdefault("show_progress", show_progress)
        return cls(_attach(model, block), dataset, [str(file) for file in config_files], own, set(settings))


def _attach(model: str | type, block: Any) -> type:
    """The class to train."""
    from burnish.enhancers.attach import enhance
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.zoo import find_backbone

    cls = find_backbone(model) if isinstance(model, str) else model
    return enhance(cls, *make_enhancers(block)) if block else cls


def _make_config(request: _Request, visible: bool) -> Any:
    from recbole.config import Config

    with command_line(visible), literal_options():
        try:
            config = Config(
                model=request.model,
                dataset=request.dataset,
                config_file_list=request.files or None,
                config_dict=copy.deepcopy(request.options),  # Config completes nested values in place
            )
        except BurnishError:
            raise
        except (ValueError, TypeError, NotImplementedError, RuntimeError, KeyError) as error:
            # Config checks values with these built-in errors; its words name the option.
            raise ConfigurationError(f"RecBole refuses the configuration: {error}") from error
    warn_unknown(sorted(request.given | set(config.cmd_config_dict)), request.model, stacklevel=4)
    _check_metric(config)
    check_files(config)
    return config


def _check_metric(config: Any) -> None:
    """RecBole would fail with a bare KeyError after the first epoch."""
    name, _, k = str(config["valid_metric"]).lower().partition("@")
    available = {metric.lower() for metric in config["metrics"]}
    ks = {str(k) for k in config["topk"]}
    if name not in available or (k and k not in ks):
        raise ConfigurationError(
            f"valid_metric = {config['valid_metric']!r} is not among the metrics that are computed: "
            f"metrics = {config['metrics']}, topk = {config['topk']}; choose it from these "
            f"or add to them"
        )


class _Run:
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
            score, result = self.trainer.fit(self.train_data, self.valid_data, **arguments)
        self.best_valid_score = float(score)
        self.best_valid_result = dict(result or {})

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


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON can hold them: what is no number, text, list or mapping becomes text."""
    return json.loads(json.dumps(dict(options), default=str))


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
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
