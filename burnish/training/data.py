"""Checks of a data set before and while RecBole loads it, with errors that name what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burnish.errors import DataError, unknown_name
from burnish.files.near import did_you_mean

from .inputs.journal import Journal
from .inputs.loading import check_inputs, check_topk, read_dataset
from .inputs.refusals import explained
from .inputs.sizes import check_size


def check_files(config: Any) -> None:
    """Raise when the atomic files of `config["dataset"]` are missing or hold fewer than two interactions.

    RecBole would go to the network for a name that it knows, and fail obscurely for the rest.
    Raises `UnknownNameError` (folder missing; names the nearest data set found) or `DataError`, also for a file
    without the columns of users and items.
    """
    name, folder = config["dataset"], Path(config["data_path"])
    if not folder.is_dir():
        known = {"ml-100k"}
        if folder.parent.is_dir():
            known |= {path.name for path in folder.parent.iterdir() if is_data_set(path)}
        raise unknown_name(
            "data set",
            name,
            known,
            cure=f"{_where_it_is(name, folder.parent)}Put its atomic files ({name}.inter, ...) into {folder}, or set "
            f"`data_path` to the folder that holds a folder {name!r}. burnish downloads nothing.",
        )
    phases = config["benchmark_filename"] or [None]
    files = [folder / (f"{name}.{phase}.inter" if phase else f"{name}.inter") for phase in phases]
    for file in files:
        if not file.is_file():
            raise DataError(
                f"data set {name!r}: {file} does not exist; RecBole reads interactions from it"
                + (f" (benchmark_filename = {phases!r})" if config["benchmark_filename"] else "")
            )
    check_inputs(config)
    rows = sum(_count_rows(file) for file in files)
    if rows < 2:
        raise DataError(
            f"data set {name!r} has {rows} interaction{'s' if rows != 1 else ''} in {files[0]}; "
            f"there is nothing to train and evaluate on. Check the file: one header line, then one a line."
        )


def _where_it_is(name: str, data_path: Path) -> str:
    """What is to be said where a path was given for a name, or the other way round."""
    own = Path(name)
    if own.name != name and is_data_set(own):
        return f"{name!r} is a path: say dataset = {own.name!r}, data_path = {str(own.parent)!r}. "
    if is_data_set(data_path) and data_path.name == name:
        above = str(data_path.parent)
        return f"data_path = {str(data_path)!r} is the data set's own folder: say data_path = {above!r}. "
    if not data_path.is_dir():
        return f"data_path = {str(data_path)!r} does not exist.{did_you_mean(data_path, Path.is_dir)} "
    return ""


def is_data_set(folder: Path) -> bool:
    """Whether a folder has the atomic file of interactions that is named after it."""
    return (folder / f"{folder.name}.inter").is_file()


def _count_rows(file: Path, enough: int = 2) -> int:
    """Non-blank lines after the header, counted no further than `enough`."""
    rows = 0
    with file.open("rb") as lines:
        next(lines, None)
        for line in lines:
            rows += bool(line.strip())
            if rows >= enough:
                break
    return rows


def load_dataset(config: Any) -> Any:
    """RecBole's `create_dataset`, with `DataError` where filters leave nothing or a split comes out empty."""
    dataset, journal = read_dataset(config)
    build = dataset.build

    def checked() -> list[Any]:
        del dataset.build  # back to the method of the class
        with explained(config, "splitting the data set"):
            parts = build()
        _check_parts(config, parts, journal)
        check_topk(config, dataset, journal)
        check_size(config, dataset, parts[0])
        return parts

    dataset.build = checked
    return dataset


def _check_parts(config: Any, parts: list[Any], journal: Journal) -> None:
    split = config["eval_args"]["split"]
    shares = next(iter(split.values())) if isinstance(split, dict) and split else None
    left_out = {"test_only": [1, 0, 1], "valid_only": [1, 1, 0]}
    ratios = left_out.get(shares) if isinstance(shares, str) else shares
    for position, (part, phase) in enumerate(zip(parts, ("training", "validation", "test"), strict=False)):
        rows = len(part.inter_feat)
        if rows == 1 and phase != "training" and _cannot_measure_one(config):
            raise DataError(
                f"{config['data_path']}/{config['dataset']}.inter: the {phase} split has a single row (of "
                f"{journal.read:,} read, {journal.reasons()}), of which metrics = {config['metrics']} cannot be "
                f"computed; use more data or another split"
            )
        if rows > 0:
            continue
        # A share of zero is somebody's decision; RecBole then skips that phase.
        if (
            phase != "training"
            and isinstance(ratios, list)
            and position < len(ratios)
            and ratios[position] == 0
        ):
            continue
        raise DataError(
            f"{config['data_path']}/{config['dataset']}.inter: the {phase} split is empty ({_sizes(parts)} "
            f"interactions in training, validation and test; of {journal.read:,} read, {journal.reasons()}). Each "
            f"user needs enough interactions for eval_args.split = {split}; use more data or another split."
        )


def _cannot_measure_one(config: Any) -> bool:
    """Whether a metric of labelled rows is asked for: AUC tells rows apart, and RecBole makes a single one a number
    without a length, which LogLoss, MAE and RMSE stop at."""
    from recbole.evaluator.register import metric_types
    from recbole.utils import EvaluatorType

    if "labeled" not in config["eval_args"]["mode"].values():
        return False
    return any(metric_types.get(name.lower()) == EvaluatorType.VALUE for name in config["metrics"])


def _sizes(parts: list[Any]) -> str:
    return " / ".join(str(len(part.inter_feat)) for part in parts)
