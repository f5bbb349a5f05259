"""Train one model as `recbole.quick_start.run_recbole` does, and keep what a fair comparison needs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.enhancers.attach import split_enhanced
from burnish.enhancers.errors import BurnishError, ConfigurationError
from burnish.enhancers.yamls import read_yaml

from .bases import Base, BaseRequest, begin_from
from .cold import cold_limit
from .data_checks import check_files
from .options import warn_unknown
from .result import Epoch, TrainingResult, plain
from .resume import FinishedError, StateKeeper, latest_state
from .saved import (
    MODEL_FILE,
    SavedRun,
    check_same_options,
    find_class,
    forget_run,
    mark_finished,
    read_run,
    write_run,
)
from .session import checkpoint_folder, command_line, literal_options, log_file, tensorboard_in, torch_threads
from .stages import Run


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
    save_every: int = 0,
    bases: Path | str | None = None,
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
    folder: receives log.txt, checkpoint.pth (RecBole's own), run.json and model.safetensors (the same weights, read
        without executing anything: see `load_run`), and nothing is written elsewhere.  Without a folder there is
        no log file, and the checkpoint goes to RecBole's `checkpoint_dir`.
    keep_checkpoint: False removes the checkpoint once the test set was evaluated, and writes no files of our own.
    command_line: True lets `--option=value` of `sys.argv` win over everything, as in RecBole.
    on_epoch: called after each training epoch, and again after its validation.
    evaluate_test: False leaves the test set alone (tuning).
    save_every: save the state of training after each so many epochs, so that `resume` can go on from there; 0 saves
        none.  Needs a folder.
    bases: where plain backbones are kept that enhancers begin from (`guided: {base: auto}`), each used by every run
        with the same options; by default `base` in the folder, and without a folder nothing is kept.

    Raises `UnknownNameError`, `ConfigurationError`, `DataError` or `NonFiniteError`.  A RecBole option that
    nobody reads gives a `UserWarning` with the nearest known name.
    """
    request = _Request.gather(model, dataset, enhancers, config_files, options, seed, show_progress)
    target = Path(folder) if folder is not None else None
    if save_every and (target is None or not keep_checkpoint):
        raise ConfigurationError(
            f"save_every = {save_every}: states are saved in a folder; give one (folder=...)"
        )
    keeper = StateKeeper(target, save_every) if target is not None and save_every else None
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        forget_run(target)
    base = begin_from(request.base_request(), request.model, target, bases, save_every, on_epoch)
    return _carry_out(
        request, target, keeper, None, on_epoch, keep_checkpoint, command_line, evaluate_test, base
    )


def resume(
    folder: Path | str,
    *,
    model: str | type | None = None,
    dataset: str | None = None,
    enhancers: Mapping[str, Any] | Iterable[Any] | str | None = None,
    config_files: Sequence[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    show_progress: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    save_every: int = 1,
    trust: bool = False,
) -> TrainingResult:
    """Go on with a run that was interrupted, from the end of its last saved epoch: bit for bit as if it had not been.

    folder: of the run (`train(..., folder=, save_every=)` or `burnish run --output`).  Everything else is read from
    it; what is given all the same must be as it was, but for `epochs`, which may be larger, and options that say
    where and how to show (`saved.FREE`).  A run without a saved state starts from its first epoch.

    Raises `FinishedError` when nothing is left to do, `ConfigurationError` naming the first option that differs, and
    `DataError` for damaged files or changed data.
    """
    saved = read_run(folder)
    base = model if isinstance(model, type) else None
    known, extra = split_enhanced(base) if base is not None else (None, ())
    cls = find_class(saved.model, trust=trust, known=known)
    if isinstance(model, str) and model != saved.model:
        raise ConfigurationError(f"model = {model!r}, but {saved.folder} holds a run of {saved.model!r}")
    if dataset is not None and dataset != saved.dataset:
        raise ConfigurationError(
            f"dataset = {dataset!r}, but {saved.folder} holds a run on {saved.dataset!r}"
        )
    chosen: Any = enhancers
    if enhancers is None and extra:
        chosen = {}
    elif enhancers is None:
        chosen = saved.enhancers = saved.placed_enhancers()
    settings: dict[str, Any] = dict(saved.options)
    for file in config_files:
        settings.update(read_yaml(file))
    settings.update(options or {})
    for name in ("model", "dataset", "enhancers"):
        settings.pop(name, None)
    request = _Request.gather(
        base if extra and base is not None else cls, saved.dataset, chosen, (), settings, seed, show_progress
    )
    state = latest_state(saved.folder)
    epochs = settings.get("epochs")
    _check_resumable(saved, state, epochs)
    keeper = StateKeeper(saved.folder, save_every)
    begun = None
    if state is None:  # else it began already
        begun = begin_from(request.base_request(), request.model, saved.folder, None, save_every, on_epoch)
    return _carry_out(request, saved.folder, keeper, (saved, state), on_epoch, True, False, True, begun)


def _check_resumable(saved: SavedRun, state: Any, epochs: Any) -> None:
    before = saved.config["epochs"]
    if epochs is not None and epochs < before:
        raise ConfigurationError(
            f"epochs = {epochs}, but the run began with {before}; epochs can only be raised"
        )
    if not saved.finished:
        return
    if state is None:
        raise FinishedError(
            f"the run in {saved.folder} is finished; it saved no states, so it cannot be lengthened"
        )
    if state[0]["stopped"]:
        raise FinishedError(
            f"the run in {saved.folder} is finished: validation stopped improving, in epoch {state[0]['epoch'] + 1}"
        )
    if epochs is None or epochs <= state[0]["epoch"] + 1:
        raise FinishedError(
            f"the run in {saved.folder} is finished after {state[0]['epoch'] + 1} epochs; give more epochs "
            f"(--epochs) to go on"
        )


def _carry_out(
    request: _Request,
    target: Path | None,
    keeper: StateKeeper | None,
    earlier: tuple[SavedRun, Any] | None,
    on_epoch: Callable[[Epoch], None] | None,
    keep_checkpoint: bool,
    visible: bool,
    evaluate_test: bool,
    base: Base | None,
) -> TrainingResult:
    """Train, from the start or from a saved state, and test."""
    started = time.perf_counter()
    own_files = target is not None and keep_checkpoint
    with ExitStack() as stack:
        stack.enter_context(log_file(target / "log.txt" if target else None))
        config = _make_config(request, visible)
        if earlier is not None:
            check_same_options(earlier[0], config)
        effective = plain(config.final_config_dict)  # building the model adds to it
        own_tensorboard = target / "tensorboard" if target and config["tensorboard"] else None
        stack.enter_context(tensorboard_in(own_tensorboard))
        stack.enter_context(torch_threads(config["threads"]))
        checkpoints = stack.enter_context(checkpoint_folder(target, keep_checkpoint))
        if checkpoints is not None:
            config["checkpoint_dir"] = str(checkpoints)
        run = Run(config, on_epoch, target / MODEL_FILE if target and own_files else None, keeper)
        run.prepare(earlier[0].data if earlier else None, identify=base is not None)
        if base is not None:
            base.give(run.model, run.fingerprint or {}, dataset=config["dataset"])
            run.seconds["base"] = base.seconds
        if target is not None and own_files:
            run.trainer.saved_model_file = str(target / "checkpoint.pth")
            write_run(target, config, request.given_options(config), effective, run.fingerprint or {})
        run.fit(earlier[1] if earlier else None)
        if evaluate_test:
            run.test()
        if target is not None and own_files:
            mark_finished(target)
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

    def base_request(self) -> BaseRequest:
        """What a plain backbone with the same options is trained with."""
        options = {name: value for name, value in self.options.items() if name != "enhancers"}
        return BaseRequest(split_enhanced(self.model)[0], self.dataset, tuple(self.files), options)

    def given_options(self, config: Any) -> dict[str, Any]:
        """What files, arguments and the command line said, as the config took it."""
        own = {"show_progress", "checkpoint_dir"} - self.given
        return {key: value for key, value in config.external_config_dict.items() if key not in own}

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


def make_config(cls: type, dataset: str, enhancers: Any, options: Mapping[str, Any]) -> Any:
    """The RecBole config of a model class with these enhancers and options, checked as `train` checks it."""
    return _make_config(_Request.gather(cls, dataset, enhancers, (), options, None, False), False)


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
            cure = (
                "; where eval_args.mode is full, metrics rank items, as in metrics: [NDCG], valid_metric: NDCG@10; "
                "RMSE, MAE, AUC and LogLoss go with eval_args: {mode: labeled}"
                if "Full sort evaluation" in str(error)
                else ""
            )
            raise ConfigurationError(f"RecBole refuses the configuration: {error}{cure}") from error
    warn_unknown(sorted(request.given | set(config.cmd_config_dict)), request.model, stacklevel=5)
    _check_metric(config)
    cold_limit(config)
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
