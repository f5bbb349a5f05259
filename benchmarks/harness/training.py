"""Train one model as `recbole.quick_start.run_recbole` does, and keep what a fair comparison needs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.enhancers.errors import BurnishError, ConfigurationError

from .data_checks import check_files
from .options import warn_unknown
from .result import Epoch, TrainingResult
from .session import checkpoint_folder, command_line, literal_options, log_file, tensorboard_in, torch_threads
from .stages import Run
from .yamls import read_yaml


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

    Raises `UnknownNameError`, `ConfigurationError`, `DataError` or `NonFiniteError`.  A RecBole option that
    nobody reads gives a `UserWarning` with the nearest known name.
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
        run = Run(config, on_epoch)
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
