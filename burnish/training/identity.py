"""What tells one run from another: the data, the options that count; as digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from burnish.errors import BurnishError, DataError
from burnish.splits.noisy_training import OPTION as NOISE
from burnish.splits.noisy_training import as_option as noise_as_option


class OtherDataError(DataError):
    """The data, or their split, are not those that a run was made with.

    difference: what is other, without a cure.
    """

    def __init__(self, message: str, difference: str = "") -> None:
        super().__init__(message)
        self.difference = difference or message.rstrip(".")


class FormerDataError(DataError):
    """What was trained first, and is kept, was trained on other data than those of the run that asks for it.

    named: which one ("the teacher 'softmax'").  folder: where it is kept; without its note it is trained anew.
    """

    def __init__(self, named: str, folder: Path | str, reason: DataError) -> None:
        text = str(reason).rstrip(".")
        super().__init__(
            f"{named}, kept in {folder}: {text}. Or remove that folder: it is then trained anew."
        )
        self.named, self.folder, self.reason = named, Path(folder), reason

    def just_trained(self) -> DataError:
        """The error where it was trained for this very run, so that no file of before can be to blame."""
        difference = getattr(self.reason, "difference", str(self.reason).rstrip("."))
        return DataError(
            f"{self.named} was trained just now for this run, and found other data than the run does: {difference}. "
            f"Its backbone reads them otherwise, or the files were changed meanwhile; give one that reads what the run "
            f"reads, or start again"
        )


def fingerprint(dataset: Any) -> dict[str, Any]:
    """Counts and digests of a data set just read: the ids of every field, who interacted with what, every column.

    Two data sets with the same fingerprint give the same meaning to every row of every embedding table, and the same
    times, ratings and features to every split and model.
    """
    users, items = dataset.uid_field, dataset.iid_field
    fields = {name: digest_tokens(tokens) for name, tokens in sorted(dataset.field2id_token.items())}
    rows = hashlib.blake2b(digest_size=16)
    for name in (users, items):
        if name is not None and name in dataset.inter_feat:
            column = dataset.inter_feat[name]
            rows.update((column.to_numpy() if hasattr(column, "to_numpy") else column.numpy()).tobytes())
    return {
        "users": int(dataset.num(users)) - 1 if users else 0,
        "items": int(dataset.num(items)) - 1 if items else 0,
        "interactions": len(dataset.inter_feat),
        "ids": fields,
        "rows": rows.hexdigest(),
        "columns": _columns(dataset),
    }


def _columns(dataset: Any) -> dict[str, str]:
    """A digest of each column that was loaded, by file and name: `inter.timestamp`, `item.price`, `kg.relation_id`."""
    digests = {}
    for place in dict.fromkeys((*dataset.feat_name_list, "kg_feat", "net_feat")):
        table: Any = getattr(dataset, place, None)
        for name in () if table is None else table.columns:
            digests[f"{place.removesuffix('_feat')}.{name}"] = _values(table[name])
    # Where one file follows the other in a split that is given as files.
    if getattr(dataset, "file_size_list", None) is not None:
        digests["inter (rows a file)"] = _values(np.asarray(dataset.file_size_list))
    return digests


def _values(column: Any) -> str:
    """A digest of numbers, or of lists of them, whatever their precision."""
    values = column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column)
    hashed = hashlib.blake2b(digest_size=16)
    if values.dtype.kind == "O":
        parts = [np.asarray(value) for value in values]
        _add(hashed, np.asarray([part.size for part in parts], dtype=np.int64))
        values = np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(0)
    _add(hashed, values)
    return hashed.hexdigest()


def _add(hashed: Any, values: np.ndarray) -> None:
    if values.dtype.kind in "OUS":
        hashed.update("\0".join(map(str, values.ravel())).encode())
        return
    wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    hashed.update(str(wide.shape).encode() + np.ascontiguousarray(wide).tobytes())


def split_rows(dataset: Any) -> str:
    """A digest of who interacted with what in one part of a split, whatever the order of its rows."""
    names = (dataset.uid_field, dataset.iid_field)
    columns = [np.asarray(dataset.inter_feat[name]) for name in names if name in dataset.inter_feat]
    order = np.lexsort(columns) if columns else slice(0)
    rows = hashlib.blake2b(digest_size=16)
    for column in columns:
        rows.update(column[order].astype(np.int64).tobytes())
    return rows.hexdigest()


def data_digests(known: Mapping[str, Any], test: Any = None) -> dict[str, Any]:
    """Of a fingerprint what a reader compares: counts, one digest of ids and interactions, one of each part of a split.

    test: the loader of the test data.
    """
    counts = {name: known[name] for name in ("users", "items", "interactions")}
    content = json.dumps([*counts.values(), known["ids"], known["rows"]], sort_keys=True)
    found = {**counts, "digest": hashlib.sha256(content.encode()).hexdigest()[:16]}
    found |= {part: known[part][:16] for part in ("training", "validation") if part in known}
    return found if test is None else {**found, "test": split_rows(test._dataset)[:16]}


def check_data(
    saved: Mapping[str, Any], now: Mapping[str, Any], name: str, *, other_columns: bool = False
) -> None:
    """Raise `OtherDataError` when a data set is not the one of the run, with what differs.

    other_columns: whether one of the two may have columns that the other has not.  Runs of an older burnish say
    nothing of columns.
    """
    for part in ("users", "items", "interactions"):
        if saved[part] != now[part]:
            raise OtherDataError(
                f"data set {name!r} is not the one this run was made with: it had {saved[part]} {part} and has "
                f"{now[part]} now. Put the former files back (or give their folder as data_path), or train anew.",
                f"{saved[part]} {part} of {name!r}, and not {now[part]}",
            )
    other = [field for field, digest in saved["ids"].items() if now["ids"].get(field) != digest]
    if other or saved["rows"] != now["rows"]:
        what = f"the ids of {', '.join(other[:3])}" if other else "the interactions"
        raise OtherDataError(
            f"data set {name!r} is not the one this run was made with: {what} differ although the counts agree. "
            f"Put the former files back (or give their folder as data_path), or train anew.",
            f"{what} of {name!r} differ although the counts agree",
        )
    before, after = (dict(one.get("columns") or {}) for one in (saved, now))
    if not before or not after:
        return
    changed = [place for place, digest in before.items() if place in after and after[place] != digest]
    gone = [] if other_columns else [place for place in before if place not in after]
    new = [] if other_columns else [place for place in after if place not in before]
    for places, what in (
        (changed, "has other values in {}"),
        (gone, "lacks {}"),
        (new, "has {} more"),
    ):
        if places:
            raise OtherDataError(
                f"data set {name!r} is not the one this run was made with: it {what.format(_named(places, name))}, "
                f"although the ids and who interacted with what agree; the split, the labels or what the model reads "
                f"may differ. Put the former files back (or give their folder as data_path), or train anew.",
                f"compared with its own, the run's data set {what.format(_named(places, name))}",
            )


def _named(places: list[str], name: str) -> str:
    """`timestamp (d.inter), price (d.item)`."""
    shown = []
    for place in places[:3]:
        file, _, column = place.partition(".")
        shown.append(f"{column} ({name}.{file})" if column else f"the files of the split ({name}.*.inter)")
    return ", ".join(shown) + (f" and {len(places) - 3} more" if len(places) > 3 else "")


def check_split(saved: Mapping[str, Any], now: Mapping[str, Any], name: str) -> None:
    """Raise `OtherDataError` when equal data are split otherwise than they were for the run."""
    for part in ("training", "validation"):
        if part in saved and part in now and saved[part] != now[part]:
            raise OtherDataError(
                f"data set {name!r} is split otherwise than for this run: the {part} rows differ, although the data "
                f"agree, so that rows the model was trained on may be tested on. Another version of burnish or of a "
                f"library splits so; use the one that run.json names, or train anew."
            )


def check_trained_on(
    saved: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    theirs: Mapping[str, Any],
    ours: Any,
    cure: str,
    other_columns: bool = True,
) -> None:
    """Raise `DataError` when another trained model may know rows that are tested on here.

    saved, now: fingerprints of the data that it was trained on, and of the run's, with the parts of the split.
    theirs, ours: RecBole's options of both.  cure: what to give instead.  other_columns: as for `check_data`.
    """
    name, other = ours["dataset"], theirs.get("dataset")
    try:
        check_data(saved, now, name, other_columns=other_columns)
    except OtherDataError as error:
        reason = (
            f"it was trained on the data set {other!r}, and this run is on {name!r}; give a run on {name!r}"
            if other not in (None, name)
            else f"it was trained on other data than this run has: {error.difference}; give a run on the same files"
        )
        raise OtherDataError(reason, error.difference) from error
    # Its epoch was chosen on its validation rows: these must not be test rows of this run either.
    chosen_on = saved.get("validation", now.get("validation"))
    if saved.get("training") != now["training"] or chosen_on != now.get("validation"):
        raise DataError(
            f"it was trained on another split of {name!r} than this run is, so it may know rows that are tested on "
            f"here; {cure}{_other_settings(theirs, ours)}"
        )


def _other_settings(theirs: Mapping[str, Any], ours: Any) -> str:
    """`: seed is 1 there and 2 here; ...` of what decides a split, defaults of the models included; empty for none."""
    before, now = (
        {
            "seed": _option(options, "seed"),
            "noise": _option(options, "noise"),
            **{f"eval_args.{key}": value for key, value in (_option(options, "eval_args") or {}).items()},
        }
        for options in (theirs, ours)
    )
    known = [name for name in before if before[name] is not None or name == "noise"]
    other = [name for name in known if name in now and before[name] != now[name]]
    return "".join(
        f"{'; ' if number else ': '}{name} is {before[name]} there and {now[name]} here"
        for number, name in enumerate(other)
    )


def _option(options: Any, name: str) -> Any:
    """An option of a mapping or a config, which has None for those that it has not."""
    return options.get(name) if isinstance(options, Mapping) else options[name]


def digest_tokens(tokens: Any) -> str:
    """A digest of a list of tokens, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for token in tokens:
        text = str(token).encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return digest.hexdigest()


def computing(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that only say how a run is carried out and watched; `noise` as it is written out."""
    found = {key: value for key, value in options.items() if key not in _EXECUTION}
    if NOISE in found:
        with suppress(BurnishError):  # what cannot be is told elsewhere
            found[NOISE] = noise_as_option(found[NOISE])
        if found[NOISE] is None:
            del found[NOISE]
    return found


def digest(settings: Any) -> str:
    """Eight hexadecimal digits that depend on the content, not on the order of keys."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


#: Options that say how a run is carried out and watched, not what it computes.
_EXECUTION = frozenset(
    {
        *(
            "threads",
            "show_progress",
            "state",
            "checkpoint_dir",
            "gpu_id",
            "use_gpu",
            "worker",
            "tensorboard",
            "beyond_accuracy",
        ),
        *("log_wandb", "wandb_project", "loss_decimal_place", "save_dataset", "dataset_save_path"),
        *("save_dataloaders", "dataloaders_save_path"),
    }
)
