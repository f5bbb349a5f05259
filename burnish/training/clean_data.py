"""A data set without the training interactions that look like noise: parts in files, and what was taken out."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import BaseModel, ValidationError, field_validator

from burnish.enhancers.clean.clean import CleanConfig, most_suspect
from burnish.enhancers.clean.planted import NoiseShare, Suspicion, suspicion
from burnish.enhancers.clean.signs import signs
from burnish.enhancers.interactions import positives
from burnish.errors import ConfigurationError, DataError
from burnish.files.whole import read_json, write_json
from burnish.files.whole_folder import folder_written_whole
from burnish.telling import counted, stage

from .data import load_dataset

if TYPE_CHECKING:
    import pandas as pd

#: The column of row numbers that interactions get while they are split.
_ROW = "burnish_raw_row"
#: What was taken out, and how it was found, in the folder of a cleaned data set.
REMOVED, RECORD = "removed.parquet", "clean.json"
PARTS = ("train", "valid", "test")
#: What is said first of a row that is taken out for its whole user or item.
OF_KIND = {
    "bots": "most of what this user has fits no other user",
    "clickbait": "most users of this item have nothing else in common",
}


@dataclass(frozen=True)
class Cleaned:
    """What `clean_data` did.

    folder: the data set, None where nothing was to be written.  rows: interactions of each part, before.  removed: of
    the training part.  users: of whom something was removed.  shares: how much looks like noise, by kind.  kept: of
    the training part, what looks as much like noise and stays, as its user has lost enough.
    """

    folder: Path | None
    rows: Mapping[str, int]
    removed: int
    users: int
    shares: tuple[NoiseShare, ...]
    kept: int = 0

    def __str__(self) -> str:
        looks = "; ".join(map(str, self.shares))
        taken = (
            f"{self.removed:,} of {counted(self.rows['train'], 'training interaction')} removed, of "
            f"{counted(self.users, 'user')}"
            if self.removed
            else f"nothing is removed of {counted(self.rows['train'], 'training interaction')}"
        )
        kept = f"; {self.kept:,} more look so and stay, as their users have lost enough" if self.kept else ""
        return f"at most so much looks like noise (95% interval): {looks}. {taken}{kept}."


def clean_data(
    config: Any,
    out: Path | None,
    *,
    options: CleanConfig,
    whole: bool = False,
) -> Cleaned:
    """Write a data set whose training part is without the interactions that look like noise.

    The data are read and split as a run with this config would have them.  Only the training part is looked at and
    changed; validation and test are written as they are, so that figures are of what was there before.  Columns keep
    their texts.  `removed.parquet` has what was taken out, with the probability and a reason, and `put_back` undoes it.

    Parameters
    ----------
    config
        RecBole's, of a backbone of users and items.
    out
        The folder to make, which names the data set; None to write nothing.
    options
        Of the enhancer `clean`, with `mask_from`: what is noise with that probability goes.
    whole
        Clean all interactions and write one file, for a model that will serve and is not tested.

    Raises
    ------
    ConfigurationError
        For an `out` that is there.
    DataError
        For data that cannot be read or are too few.
    """
    if out is not None:
        _refuse_existing(out)
    assert options.mask_from is not None, "rows are taken out from a probability on"
    if config["noise"]:
        raise ConfigurationError(
            f"noise = {config['noise']!r}: what this option adds is in no file, so it cannot be removed from one; "
            f"leave it out, or train with the enhancer clean"
        )
    dataset, rows_of = _parts(config, whole)
    empty = [part for part, rows in rows_of.items() if not len(rows)]
    if out is not None and empty:
        raise ConfigurationError(
            f"eval_args.split = {config['eval_args']['split']!r} leaves nothing for {empty[0]}.inter, and no run reads "
            f"a file without rows; give that part a share, or clean all interactions (--whole)"
        )
    training = rows_of["train"]
    user, item = dataset.uid_field, dataset.iid_field
    liked = positives(dataset, config["LABEL_FIELD"], options.positive_from, "clean")
    chosen = liked.rows(dataset)
    places = np.arange(len(training)) if chosen is None else np.flatnonzero(chosen.numpy())
    users, items = (dataset.inter_feat[field][torch.from_numpy(places)].long() for field in (user, item))
    sizes = int(dataset.user_num), int(dataset.item_num)
    seed = int(config["seed"]) if options.seed is None else options.seed
    planting = stage("looking for noise: planting", len(options.kinds) * options.repeats)
    found = suspicion(
        users,
        items,
        *sizes,
        kinds=options.kinds,
        least=options.least,
        planted=options.planted,
        repeats=options.repeats,
        must_help=options.must_help,
        seed=seed,
        progress=None if planting is None else planting.step,
    )
    gone = most_suspect(found.probability, users, options.mask_from, most_of_user=options.most_of_user)
    cleaned = Cleaned(
        out,
        {part: len(rows) for part, rows in rows_of.items()},
        int(gone.sum()),
        len(users[gone].unique()),
        found.shares,
        int((found.probability >= options.mask_from).sum()) - int(gone.sum()),
    )
    if out is None:
        return cleaned
    files = _files(config)
    tables = [_texts(config, file) for file in files]
    import pandas as pd

    table = pd.concat(tables, ignore_index=True).fillna("")  # files of parts may differ in their columns
    removed = table.iloc[training[places[gone.numpy()]]].reset_index(drop=True)
    removed["place"] = places[gone.numpy()]
    removed["probability"] = found.probability[gone].numpy()
    removed["kind"] = [options.kinds[place] for place in found.kind[gone].tolist()]
    removed["reason"] = [
        f"{OF_KIND[kind]}; {reason}" if kind in OF_KIND else reason
        for kind, reason in zip(removed["kind"], _reasons(users, items, sizes, gone, seed), strict=True)
    ]
    left = np.setdiff1d(np.arange(len(training)), places[gone.numpy()])
    written = {**rows_of, "train": training[left]}
    _refuse_existing(out)  # it took a while
    with folder_written_whole(out, lambda folder: (folder / RECORD).is_file()) as folder:
        for part, rows in written.items():
            ending = "inter" if whole else f"{part}.inter"
            own = tables[PARTS.index(part)] if len(tables) > 1 and not whole else table
            _write(table[list(own)].iloc[rows], folder / f"{out.name}.{ending}", config)
        _copy_beside(config, folder, out.name)
        removed.to_parquet(folder / REMOVED, index=False)
        record = _record(config, cleaned, options, found, seed, whole)
        ending = ".inter" if whole else ".train.inter"
        record["digests"] = {
            REMOVED: _digest(folder / REMOVED),
            ending: _digest(folder / f"{out.name}{ending}"),
        }
        write_json(folder / RECORD, record)
    return cleaned


def put_back(folder: Path, out: Path) -> int:
    """Write a cleaned data set as it was before: what was removed is in its place again.  Gives how many rows that are.

    Raises `DataError` for a folder that is no cleaned data set, or whose training interactions are not those that were
    written there; `ConfigurationError` for an `out` that is there.
    """
    import pandas as pd

    if not (folder / RECORD).is_file() or not (folder / REMOVED).is_file():
        raise DataError(f"{folder} has no {RECORD} and {REMOVED}; give a folder that `burnish clean` wrote")
    _refuse_existing(out)
    name, record = folder.resolve().name, _read_record(folder)
    endings = [ending for ending in record.digests if ending != REMOVED]
    file = folder / f"{name}{endings[0]}"
    if not file.is_file():
        raise DataError(f"{folder} has no {file.name}; a cleaned data set keeps the name of its folder")
    for one, digest in ((folder / REMOVED, record.digests[REMOVED]), (file, record.digests[endings[0]])):
        if _digest(one) != digest:
            raise DataError(
                f"{one} is not as `burnish clean` wrote it, so places in it are not known; clean the data set anew"
            )
    removed = pd.read_parquet(folder / REMOVED)
    left = _read_texts(file, record.separator, record.encoding)
    places = removed["place"].to_numpy()
    before = pd.concat([left, removed[list(left)]], ignore_index=True)
    order = np.empty(len(before), np.int64)
    order[np.setdiff1d(np.arange(len(before)), places)] = np.arange(len(left))
    order[places] = len(left) + np.arange(len(removed))
    written = out.name + endings[0]
    with folder_written_whole(out, lambda made: (made / written).is_file()) as made:
        for other in sorted(folder.iterdir()):
            beside = other.is_file() and other.name.startswith(f"{name}.")
            if beside and other != file and other.name not in (RECORD, REMOVED):
                shutil.copyfile(other, made / (out.name + other.name[len(name) :]))
        _write_texts(before.iloc[order], made / written, record.separator, record.encoding)
    return len(removed)


class _Record(BaseModel):
    """What `put_back` needs of `clean.json`.  digests: of files as they were written, by the end of their name."""

    separator: str
    encoding: str
    digests: dict[str, str]

    @field_validator("digests")
    @classmethod
    def _both(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) != 2 or REMOVED not in value or not {".inter", ".train.inter"} & set(value):
            raise ValueError(f"give those of {REMOVED} and of the training interactions")
        return value


def _read_record(folder: Path) -> _Record:
    cure = "clean the data set anew"
    content = read_json(folder / RECORD, cure)
    try:
        return _Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise DataError(f"{folder / RECORD} is damaged ({where}: {first['msg']}); {cure}") from error


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise ConfigurationError(f"{out} is there already; give another folder, or remove it")


# ---------------------------------------------------------------------- rows of the files


def _parts(config: Any, whole: bool) -> tuple[Any, dict[str, np.ndarray]]:
    """RecBole's training split, and the rows of the files that each part has, files one after another."""
    from recbole.utils import FeatureSource, FeatureType, init_seed

    init_seed(config["seed"], config["reproducibility"])
    with _raw_rows() as kept:
        dataset = load_dataset(config)
    rows = kept[-1] if kept else np.arange(len(dataset.inter_feat))
    dataset.inter_feat[_ROW] = rows
    dataset.set_field_property(_ROW, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
    if whole:
        dataset._change_feat_format()
        return dataset, {"train": dataset.inter_feat[_ROW].numpy()}
    parts = dataset.build()
    found = {part: one.inter_feat[_ROW].numpy() for part, one in zip(PARTS, parts, strict=True)}
    return parts[0], found


@contextmanager
def _raw_rows() -> Iterator[list[np.ndarray]]:
    """While this is open, data sets that RecBole reads and filters leave the numbers of the rows that they keep."""
    from recbole.data.dataset import Dataset

    kept: list[np.ndarray] = []
    own = Dataset._reset_index

    def reset(self: Any) -> None:
        kept.append(self.inter_feat.index.to_numpy(copy=True))
        own(self)

    Dataset._reset_index = reset
    try:
        yield kept
    finally:
        Dataset._reset_index = own


def _files(config: Any) -> list[Path]:
    name, folder = config["dataset"], Path(config["data_path"])
    phases = config["benchmark_filename"] or [None]
    return [folder / (f"{name}.{phase}.inter" if phase else f"{name}.inter") for phase in phases]


def _texts(config: Any, file: Path) -> pd.DataFrame:
    return _read_texts(file, config["field_separator"], config["encoding"] or "utf-8")


def _read_texts(file: Path, separator: str, encoding: str) -> pd.DataFrame:
    """A table with every cell as it is written."""
    import pandas as pd

    several = len(separator) > 1  # is taken as RecBole takes it: a pattern, and no cell is quoted
    return pd.read_csv(
        file,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        na_filter=False,
        encoding=encoding,
        engine="python" if several else "c",
    ).fillna("")


def _write(rows: pd.DataFrame, file: Path, config: Any) -> None:
    _write_texts(rows, file, config["field_separator"], config["encoding"] or "utf-8")


def _write_texts(rows: pd.DataFrame, file: Path, separator: str, encoding: str) -> None:
    if len(separator) > 1:
        lines = [separator.join(rows.columns), *map(separator.join, rows.itertuples(index=False, name=None))]
        file.write_text("\n".join([*lines, ""]), encoding=encoding, newline="\n")
        return
    rows.to_csv(
        file, sep=separator, index=False, quoting=csv.QUOTE_MINIMAL, encoding=encoding, lineterminator="\n"
    )


def _copy_beside(config: Any, folder: Path, name: str) -> None:
    """Files of items, users, graphs and the like, under the new name."""
    own, source = config["dataset"], Path(config["data_path"])
    for file in sorted(source.iterdir()):
        beside = file.is_file() and file.name.startswith(f"{own}.") and not file.name.endswith(".inter")
        if beside and file.name not in (RECORD, REMOVED):  # of a data set called clean, cleaned before
            shutil.copyfile(file, folder / (name + file.name[len(own) :]))


# ---------------------------------------------------------------------- what is said of them


def _reasons(
    users: torch.Tensor, items: torch.Tensor, sizes: tuple[int, int], gone: torch.Tensor, seed: int
) -> Sequence[str]:
    """Of each removed interaction, in a sentence, how little the user's others say of it, and how rare the item is."""
    values, names = signs(users, items, *sizes, seed=seed)
    said = values[:, names.index("said")]
    _, index = torch.unique(users, return_inverse=True)
    counts, occurs = torch.bincount(index), torch.bincount(items, minlength=sizes[1])
    order = torch.argsort(said, stable=True)
    order = order[torch.argsort(index[order], stable=True)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order)) - (counts.cumsum(0) - counts)[index[order]]
    return [
        f"place {int(rank[row]) + 1} of the user's {counted(int(counts[index[row]]), 'item')}, from the one that the "
        f"others say least of; {counted(int(occurs[items[row]]), 'user')} with the item"
        for row in gone.nonzero()[:, 0].tolist()
    ]


def _record(
    config: Any, cleaned: Cleaned, options: CleanConfig, found: Suspicion, seed: int, whole: bool
) -> dict[str, Any]:
    from burnish._version import __version__

    return {
        "made by": f"burnish {__version__}",
        "from": str(config["dataset"]),
        "whole": whole,
        "separator": config["field_separator"],
        "encoding": config["encoding"] or "utf-8",
        "seed": seed,
        "split": None if whole else {"seed": config["seed"], "eval_args": config["eval_args"]},
        "options": options.model_dump(mode="json"),
        "rows": dict(cleaned.rows),
        "removed": cleaned.removed,
        "users": cleaned.users,
        "look so and stay": cleaned.kept,
        "noise at most": [asdict(share) for share in found.shares],
    }
