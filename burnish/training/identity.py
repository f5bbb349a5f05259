"""What tells one run from another: the class, the data, the options that count; as names and digests."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from burnish.errors import BurnishError, ConfigurationError, DataError, warn
from burnish.own.classes import import_place, is_place, place_of
from burnish.own.sources import source_digest


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


def class_name(cls: type) -> str:
    """How a plain backbone class is written in `run.json`: a known backbone's name, or `module:Class`."""
    from burnish.enhancers.zoo import find_backbone, list_backbones

    if cls.__name__ in list_backbones() and find_backbone(cls.__name__) is cls:
        return cls.__name__
    return place_of(cls)


def own_source(cls: type) -> dict[str, str]:
    """The digest of the source of a class of one's own, by the name that digests have for it; empty for others."""
    return {"source code": source_digest(cls)} if is_place(class_name(cls)) else {}


def is_named(name: str, cls: type) -> bool:
    """Whether `name`, of `class_name`, is that of a class: also where its module was imported from another folder.

    `models.mine:Tower` is `mine:Tower` from inside of `models`, and a script's class may have become a module's.
    """
    own = class_name(cls)
    (module, _, path), (module_now, _, path_now) = name.partition(":"), own.partition(":")
    moved = _of_a_script(name) or module.rpartition(".")[2] == module_now.rpartition(".")[2]
    return own == name or (bool(path) and path == path_now and moved)


def find_class(name: str, *, trust: bool = False, known: type | None = None, file: str | None = None) -> type:
    """The class behind a name of `class_name`.

    A class that is neither RecBole's nor announced by a package is taken from modules that are loaded already;
    another module is imported only with `trust`.  known: the plain class, where the caller has it.  file: where its
    module was.
    """
    from burnish.enhancers.zoo import find_backbone

    if known is not None:
        if not is_named(name, known):
            raise ConfigurationError(f"the run was made with {name}, not with {class_name(known)}")
        return known
    if ":" not in name:
        return find_backbone(name)
    module_name, _, path = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and trust and not _of_a_script(name):
        try:
            module = import_place(module_name, name)
        except BurnishError as error:
            raise type(error)(f"the run's model {error}{_was_in(file)}") from error
    cls: Any = module
    for part in path.split("."):
        cls = getattr(cls, part, None)
    if isinstance(cls, type):
        return cls
    if _of_a_script(name):
        raise ConfigurationError(f"the run's model is {name}: {_why_unfindable(name)}")
    if module is not None:
        raise ConfigurationError(
            f"the run's model is the class {name}, and the module {module_name} has no class {path}: it was renamed or "
            f"removed since. Put it back, or give the class itself (model=...)"
        )
    raise ConfigurationError(
        f"the run's model is the class {name}, which is not loaded; import {module_name} first, give the class "
        f"(--model {_given(file, path)}, in Python also model=CLASS), or say trust=True (--trust) to let burnish "
        f"import the module that run.json names{_was_in(file)}"
    )


def _given(file: str | None, path: str) -> str:
    """How a person names a class that was in a file."""
    if file is None:
        return f"FILE.py:{path}"
    below = os.path.relpath(file)
    return f"{file if below.startswith('..') else below}:{path}"


def _was_in(file: str | None) -> str:
    if file is None:
        return ""
    return f". It was in {file}{'' if os.path.isfile(file) else ', which is gone'}"


def find_own_enhancer(name: str, place: str, *, trust: bool, file: str | None) -> None:
    """Make an enhancer of one's own known by its name, as `find_class` finds a model.  place: as of `class_name`."""
    from burnish.enhancers.registry import find_enhancer

    module_name, _, path = place.partition(":")
    if module_name not in sys.modules and (not trust or _of_a_script(place)):
        cure = (
            "it is defined in a script or notebook; run that first, or put it into a file of its own and name that in "
            'the run\'s run.json, under own_enhancers: "class": "MODULE:Class"'
            if _of_a_script(place)
            else f"name it first (in Python import {module_name} and `register` the class; with run --resume: "
            f"--enhancers {_given(file, path)}), or say trust=True (--trust) to let burnish import the module that "
            f"run.json names"
        )
        raise ConfigurationError(
            f"the run's enhancer {name!r} is the class {place}, which is not loaded; {cure}{_was_in(file)}"
        )
    try:
        found = find_enhancer(place).name
    except BurnishError as error:
        raise type(error)(f"the run's enhancer {name!r}: {error}{_was_in(file)}") from error
    if found != name:
        raise ConfigurationError(
            f"the run's enhancer {name!r} is the class {place}, whose name is {found!r} now; give it the former one"
        )


def check_class(cls: type, *, kept: bool) -> None:
    """Look at the plain class of a run that is about to begin.

    kept: whether the run is to be read again.
    Raises `ConfigurationError` for a class that cannot be found under its name, which RecBole's checkpoints need; warns
    of one that only this program finds.
    """
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not cls:
        raise ConfigurationError(
            f"model = {cls.__module__}.{cls.__qualname__}: RecBole's checkpoints hold the class by its name, and no "
            f"class is found under this one; define it at the top level of a module, under its own name"
        )
    name = class_name(cls)
    if kept and _of_a_script(name):
        warn(f"the model of this run is {name}: {_why_unfindable(name)}")


def _of_a_script(name: str) -> bool:
    """Whether a class was the own one of a script or notebook, so that no other program finds it."""
    return name.partition(":")[0] == "__main__"


def _why_unfindable(name: str) -> str:
    short = name.partition(":")[2]
    return (
        f"the class {short} is defined in a script or notebook, where nothing else can import it, with or without "
        f"trust. Give the class itself in Python (burnish.load_run(FOLDER, model={short})); for the command line, "
        f"define it in a file of its own (--model FILE.py:{short}), or in a module that can be imported, and name that "
        f'in the run\'s run.json: "model": "MODULE:{short}"'
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
            "seed": options["seed"],
            **{f"eval_args.{key}": value for key, value in options["eval_args"].items()},
        }
        for options in ({"seed": None, "eval_args": {}, **theirs}, ours)
    )
    other = [name for name in before if name in now and before[name] not in (None, now[name])]
    return "".join(
        f"{'; ' if number else ': '}{name} is {before[name]} there and {now[name]} here"
        for number, name in enumerate(other)
    )


def digest_tokens(tokens: Any) -> str:
    """A digest of a list of tokens, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for token in tokens:
        text = str(token).encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return digest.hexdigest()


def computing(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that only say how a run is carried out and watched."""
    return {key: value for key, value in options.items() if key not in _EXECUTION}


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
        ),
        *("log_wandb", "wandb_project", "loss_decimal_place", "save_dataset", "dataset_save_path"),
        *("save_dataloaders", "dataloaders_save_path"),
    }
)
