"""Checks of a data set before and while RecBole loads it, with errors that name what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burnish.errors import DataError, unknown_name


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
            known |= {
                path.name for path in folder.parent.iterdir() if (path / f"{path.name}.inter").is_file()
            }
        raise unknown_name(
            "data set",
            name,
            known,
            cure=f"Put its atomic files ({name}.inter, ...) into {folder}, or set `data_path` to the folder "
            f"that holds a folder {name!r}. burnish downloads nothing.",
        )
    phases = config["benchmark_filename"]
    if isinstance(phases, str):
        phases = [phases]
    files = [folder / (f"{name}.{phase}.inter" if phase else f"{name}.inter") for phase in phases or [None]]
    for file in files:
        if not file.is_file():
            raise DataError(f"data set {name!r}: {file} does not exist; RecBole reads interactions from it")
        _check_columns(config, file)
    rows = sum(_count_rows(file) for file in files)
    if rows < 2:
        raise DataError(
            f"data set {name!r} has {rows} interaction{'s' if rows != 1 else ''} in {files[0]}; "
            f"there is nothing to train and evaluate on. Check the file: one header line, then one a line."
        )


def _check_columns(config: Any, file: Path) -> None:
    """RecBole would say KeyError."""
    separator = config["field_separator"] or "\t"
    with file.open(encoding=config["encoding"] or "utf-8", errors="replace") as lines:
        head = next(lines, "").strip()
    columns = [cell.split(":")[0].strip() for cell in head.lstrip("\ufeff").split(separator)]
    if not head:
        return  # nothing in it at all: the caller counts the rows
    for option in ("USER_ID_FIELD", "ITEM_ID_FIELD"):
        if config[option] and config[option] not in columns:
            raise DataError(
                f"{file} has no column {config[option]!r}; it has {', '.join(map(repr, columns))}. {option} names the "
                f"column (a header cell is NAME:TYPE, as in user_id:token)"
            )


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
    from recbole.data import create_dataset

    try:
        dataset = create_dataset(config)
    except ValueError as error:
        # RecBole's own words, dataset.py: "Some feat is empty, please check the filtering settings."
        if "feat is empty" not in str(error):
            raise
        raise DataError(
            f"data set {config['dataset']!r}: no interaction is left after filtering; loosen "
            f"user_inter_num_interval, item_inter_num_interval, val_interval or filter_inter_by_user_or_item"
        ) from error
    build = dataset.build

    def checked() -> list[Any]:
        del dataset.build  # back to the method of the class
        parts = build()
        _check_parts(config, parts)
        return parts

    dataset.build = checked
    return dataset


def _check_parts(config: Any, parts: list[Any]) -> None:
    split = config["eval_args"]["split"]
    ratios = next(iter(split.values())) if isinstance(split, dict) and split else None
    for position, (part, phase) in enumerate(zip(parts, ("training", "validation", "test"), strict=False)):
        if len(part.inter_feat) > 0:
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
            f"data set {config['dataset']!r}: the {phase} split is empty ({_sizes(parts)} interactions in "
            f"training, validation and test). Each user needs enough interactions for "
            f"eval_args.split = {split}; use more data or another split."
        )


def _sizes(parts: list[Any]) -> str:
    return " / ".join(str(len(part.inter_feat)) for part in parts)
