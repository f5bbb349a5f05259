"""What `recommend` and `export_embeddings` work on: a trained model with the data it was trained on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, DataError
from burnish.training.load import load_run
from burnish.training.record import RUN_FILE
from burnish.training.result import TrainingResult


@dataclass
class Source:
    """A trained model in its surroundings.

    dataset: RecBole's whole data set after the split.  train, valid, test: the parts (RecBole data sets; None
    where the split has none).
    """

    config: Any
    dataset: Any
    train: Any
    valid: Any
    test: Any
    model: Any

    @property
    def sequential(self) -> bool:
        """Whether a prediction starts from a sequence of items."""
        from recbole.utils import ModelType

        return self.config["MODEL_TYPE"] == ModelType.SEQUENTIAL

    def tokens(self, field: str, ids: Any) -> list[str]:
        """The original ids behind internal ones."""
        return [str(token) for token in self.dataset.id2token(field, ids)]


def open_source(
    source: Source | TrainingResult | Path | str,
    *,
    model: type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> Source:
    """A trained model, ready to predict.

    source: the folder of a run (`burnish run --output`, `burnish.run(folder=)`), what `burnish.run` returned, or,
        with `trust`, a checkpoint of RecBole's (plain, enhanced or baked).
    model: the plain class of the run's model, where it is neither RecBole's nor announced by a package.
    data_path: where the data set's folder is now, if it has been moved.
    trust: allow what can execute code: unpickling a checkpoint, importing the module of the run's model.

    Raises `DataError` for a file or folder that is not what it should be, or data that changed since;
    `ConfigurationError` for a checkpoint without `trust`.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, TrainingResult):
        if source.model is None or source.splits is None:
            raise DataError("this training result holds no model any more; use the folder of the run")
        _drop_caches(source.model)
        source.model.eval()
        return Source(source.dataset.config, source.dataset, *source.splits, source.model)
    path = Path(source)
    if path.is_dir():
        options = {"data_path": str(data_path)} if data_path is not None else None
        run = load_run(path, model=model, options=options, trust=trust)
        train, valid, test = (part_of(loader) for loader in (run.train, run.valid, run.test))
        return Source(run.config, run.dataset, train, valid, test, run.model)
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; give the folder of a run (burnish run --output) or a checkpoint"
        )
    return _open_checkpoint(path, data_path, trust)


def _drop_caches(model: Any) -> None:
    """Forget what was propagated for the last evaluation, unless it belongs to the checkpoint.

    KGIN and MCCLK propagate at random even in evaluation, so that what is left of it is nobody's to repeat.
    """
    kept = getattr(model, "other_parameter_name", ())
    for name in ("restore_user_e", "restore_item_e", "restore_entity_e"):
        if name not in kept and getattr(model, name, None) is not None:
            setattr(model, name, None)


def part_of(loader: Any) -> Any:
    """The part of the data set behind a loader of RecBole's, None where there is none."""
    return getattr(loader, "_dataset", None)


def _open_checkpoint(path: Path, data_path: Path | str | None, trust: bool) -> Source:
    from burnish.enhancers.saving.trusted import load_trusted
    from burnish.training.data import check_files
    from burnish.training.stages import Run

    if not trust:
        beside = path.parent / RUN_FILE
        better = f"Give the run's folder instead: {path.parent}. " if beside.is_file() else ""
        raise ConfigurationError(
            f"{path} is a checkpoint of RecBole's, and reading it can execute code that somebody put into it. "
            f"{better}If you trust where it comes from, say trust=True (--trust)."
        )
    warnings.warn(f"unpickling {path}, which can execute code: it was said to be trusted", stacklevel=3)
    checkpoint = load_trusted(path)
    config = checkpoint["config"]
    if data_path is not None:
        config["data_path"] = str(Path(data_path) / config["dataset"])
    if config["device"].type == "cuda":
        import torch

        config["device"] = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_files(config)
    run = Run(config, None)
    run.prepare(trainer=False)
    try:
        run.model.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError) as error:
        raise DataError(
            f"{path} does not fit the model that its options and the data give: {error}. The data or the versions of "
            f"RecBole and burnish are not those it was made with."
        ) from error
    run.model.load_other_parameter(checkpoint.get("other_parameter"))
    run.model.eval()
    train, valid, test = (part_of(loader) for loader in (run.train_data, run.valid_data, run.test_data))
    return Source(config, run.dataset, train, valid, test, run.model)
