"""From whatever holds a trained model (a folder, a result, a checkpoint) to the model with its data."""

from __future__ import annotations

from pathlib import Path

from burnish.enhancers.kept_embeddings import clear_kept
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, DataError, warn
from burnish.files.near import did_you_mean
from burnish.training.load import load_run
from burnish.training.record import RUN_FILE, tell_changed_beside
from burnish.training.result import TrainingResult
from burnish.training.session import alone
from burnish.training.trained_model import TrainedModel


def open_trained(
    source: TrainedModel | TrainingResult | Path | str,
    *,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> TrainedModel:
    """A trained model, ready to predict.

    Parameters
    ----------
    source
        What `burnish.load_run` or `burnish.run` returned, the folder of a run (`burnish run --output`,
        `burnish.run(folder=)`), or, with `trust`, a checkpoint of RecBole's (plain, enhanced or baked).
    model
        The class of the run's model, where it is neither RecBole's nor announced by a package, or where that is
        ("mine.py:Tower").
    data_path
        Where the data set's folder is now, if it has been moved.
    trust
        Allow what can execute code: unpickling a checkpoint, importing the modules of the run's model and enhancers.

    Raises
    ------
    DataError
        For a file or folder that is not what it should be, or data that changed since.
    ConfigurationError
        For a checkpoint without `trust`.
    """
    if isinstance(source, TrainedModel):
        return source
    if isinstance(source, TrainingResult):
        trained = source.trained
        # What is left of the last evaluation goes, unless it belongs to the checkpoint: KGIN and MCCLK propagate at
        # random even in evaluation, so that it is nobody's to repeat.
        clear_kept(trained.model, but=getattr(trained.model, "other_parameter_name", ()))
        trained.model.eval()
        return trained
    path = Path(source)
    if path.is_dir():
        options = {"data_path": str(data_path)} if data_path is not None else None
        return load_run(path, model=model, options=options, trust=trust)
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; give the folder of a run (burnish run --output) or a checkpoint."
            f"{did_you_mean(path, _may_be_run)}"
        )
    if model is not None:
        find_backbone(model)  # loaded by the time that the checkpoint asks for it
    return _open_checkpoint(path, data_path, trust)


def _may_be_run(path: Path) -> bool:
    return path.is_file() or (path / RUN_FILE).is_file()


@alone()
def _open_checkpoint(path: Path, data_path: Path | str | None, trust: bool) -> TrainedModel:
    from burnish.enhancers.saving.trusted import is_pickle, load_trusted
    from burnish.training.data import check_files
    from burnish.training.stages import Run
    from burnish.training.weights import unlike

    beside = path.parent / RUN_FILE
    if not is_pickle(path):
        what = "is empty" if not path.stat().st_size else "is no checkpoint of RecBole's, or was cut short"
        cure = f", such as {path.parent}," if beside.is_file() else " (burnish run --output)"
        raise DataError(f"{path} {what}; give the folder of a run{cure} or a checkpoint")
    if not trust:
        better = f"Give the run's folder instead: {path.parent}. " if beside.is_file() else ""
        raise ConfigurationError(
            f"{path} is a checkpoint of RecBole's, and reading it can execute code that somebody put into it. "
            f"{better}If you trust where it comes from, say trust=True (--trust)."
        )
    warn(f"unpickling {path}, which can execute code: trust was given")
    checkpoint = load_trusted(path)
    config = checkpoint["config"]
    if data_path is not None:
        config["data_path"] = str(Path(data_path) / config["dataset"])
    if config["device"].type == "cuda":
        import torch

        config["device"] = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_files(config)
    tell_changed_beside(path, config.model_class)
    run = Run(config, None)
    run.prepare(trainer=False)
    try:
        run.model.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError) as error:
        raise DataError(
            f"{path} does not fit the model that its options and the data give: "
            f"{unlike(run.model, checkpoint['state_dict']) or error}. The data, the code of the model or the versions "
            f"of RecBole and burnish are not those it was made with."
        ) from error
    run.model.load_other_parameter(checkpoint.get("other_parameter"))
    run.model.eval()
    return run.trained()
