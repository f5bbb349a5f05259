"""Whether a model finds in the files what it reads, and whether options that name columns name those that are "
"there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, DataError, cut_by_yaml
from burnish.files.data_names import OwnColumns, own_columns

from .declared import is_a, misspelt
from .filters import check_val_interval
from .heads import TIMES, Head, first_cell, is_knowledge, learns_ratings
from .sampling import mentions


def check_needs(config: Any, heads: list[Head]) -> None:
    """Raise for the first thing that model or options need and the files, as they are loaded, do not have.

    Raises
    ------
    DataError
        For a column that is missing or has the wrong type: file, column and cure.
    ConfigurationError
        For an option that does not suit the columns, with the nearest name.
    """
    columns = _Columns(heads, own_columns(config))
    _check_ids(config, columns)
    _check_benchmark(config, columns)
    _check_modes(config)
    _check_time(config, columns)
    _check_threshold(config, columns)
    _check_ratings(config, columns)
    _check_label(config, columns)
    _check_item_features(config, columns)
    _check_named_columns(config, columns)


class _Columns:
    """The columns of all files, and what the tables called them that these were made of."""

    def __init__(self, heads: list[Head], own: OwnColumns) -> None:
        self.heads, self._own = heads, own

    def of(self, source: str) -> list[Head]:
        return [head for head in self.heads if head.source == source]

    def loaded(self, *sources: str) -> dict[str, str]:
        """Types of the loaded columns of some files (of all, where none is named)."""
        return {
            name: head.types[name]
            for head in self.heads
            if not sources or head.source in sources
            for name in head.loaded
        }

    def shown(self, *sources: str, read: bool = True) -> dict[str, str]:
        """The columns of some files (of all, where none is named), with their names for messages.

        read: those alone that are loaded.
        """
        return {
            name: self._own.own(name, head.source)
            for head in self.heads
            if not sources or head.source in sources
            for name in (head.loaded if read else head.types)
        }

    def refuse(self, option: str, name: str, *sources: str) -> ConfigurationError:
        """The error for a column of an option that some files (all, where none is named) do not have, or not loaded."""
        heads = [head for head in self.heads if not sources or head.source in sources]
        for head in heads:
            if name in head.types:
                own, read = self._own.own(name, head.source), self._own.shown(head.loaded, head.source)
                return ConfigurationError(
                    f"{option}: column {own!r} of {head.path.name} is not read; load_col.{head.source} reads "
                    f"{', '.join(map(repr, read))}: say it with {own!r}, too"
                )
        where = ", ".join(dict.fromkeys(head.path.name for head in heads))
        known = self.shown(*sources, read=False).values()
        return misspelt(f"{option}: column", name, known, cure=f"These are the columns of {where}.")

    def own(self, head: Head) -> list[str]:
        """All columns of a file, as messages name them."""
        return self._own.shown(head.types, head.source)

    def require(self, source: str, name: str, option: str, kind: str | None = None) -> None:
        """Each file of a kind must load a column, of this type."""
        for head in self.of(source):
            if name not in head.types:
                own = self.own(head)
                raise DataError(
                    f"{head.path} has no column {name!r}; it has {', '.join(map(repr, own))}.{cut_by_yaml(name, own)} "
                    f"{option} names the column (a header cell is NAME:TYPE, as in {name}:{kind or 'token'})"
                )
            if name not in head.loaded:
                raise ConfigurationError(
                    f"load_col or unload_col leaves {name!r} of {head.path.name} out, and {option} = {name!r} is "
                    f"needed; add {name} to load_col.{source}"
                )
            if kind and head.types[name] != kind:
                raise DataError(
                    f"{head.path}, line 1: column {name!r} has the type {head.types[name]}, and {option} must be a "
                    f"{kind}; write {name}:{kind}"
                )


def _check_ids(config: Any, columns: _Columns) -> None:
    user, item = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    if user is not None and item is not None:
        for source, name, option in (
            ("inter", user, "USER_ID_FIELD"),
            ("inter", item, "ITEM_ID_FIELD"),
            ("user", user, "USER_ID_FIELD"),
            ("item", item, "ITEM_ID_FIELD"),
        ):
            columns.require(source, name, option, "token")
    if is_knowledge(config):
        for source, option in (
            ("kg", "HEAD_ENTITY_ID_FIELD"),
            ("kg", "RELATION_ID_FIELD"),
            ("kg", "TAIL_ENTITY_ID_FIELD"),
            ("link", "ITEM_ID_FIELD"),
            ("link", "ENTITY_ID_FIELD"),
        ):
            if not columns.of(source):
                raise ConfigurationError(
                    f"load_col = {config['load_col']!r}: {config['model']} reads {source} files, too; add {source} "
                    f"with its columns"
                )
            columns.require(source, config[option], option, "token")
    first: dict[str, Head] = {}
    for head in columns.heads:
        for name in head.loaded:
            before = first.setdefault(name, head)
            if before.types[name] != head.types[name]:
                raise DataError(
                    f"{head.path}, line 1: column {name!r} has the type {head.types[name]}, but {before.types[name]} "
                    f"in {before.path.name}; give both one type, or another name"
                )


def _check_benchmark(config: Any, columns: _Columns) -> None:
    parts = config["benchmark_filename"]
    if parts is None:
        return
    check_shape("benchmark_filename", parts)
    heads = columns.of("inter")
    for head in heads[1:]:
        if set(head.loaded) != set(heads[0].loaded):
            raise DataError(
                f"{head.path} has the columns {', '.join(head.loaded)}, but {heads[0].path.name} has "
                f"{', '.join(heads[0].loaded)}; give all parts the same"
            )
    if config["MODEL_TYPE"].name != "SEQUENTIAL":
        return
    history = config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]
    if history not in columns.loaded("inter") or history not in (config["alias_of_item_id"] or ()):
        raise ConfigurationError(
            f"benchmark_filename = {parts!r}: RecBole makes no histories of parts that are given, so "
            f"{config['model']} would have none. Give one file and eval_args: {{split: {{LS: valid_and_test}}, "
            f"order: TO}}; or rows that hold their histories, in a column {history}:token_seq, with "
            f"alias_of_item_id: [{history}]"
        )


def _check_modes(config: Any) -> None:
    """What `metrics`, `transform` and `eval_args.mode` ask of a kind of model."""
    modes = config["eval_args"]["mode"]
    if config["eval_type"].name == "RANKING" and "labeled" in modes.values():
        raise ConfigurationError(
            f"metrics = {config['metrics']}: these rank items, but eval_args.mode = labeled tests rows as they are; "
            f"rank all items with eval_args: {{mode: full}}, or measure values with metrics: [AUC, LogLoss]"
        )
    errors = [name for name in config["metrics"] if name.lower() in ("rmse", "mae")]
    if errors and set(modes.values()) != {"labeled"}:
        raise ConfigurationError(
            f"metrics = {config['metrics']}: {' and '.join(errors)} compare with the label of a row, and "
            f"eval_args.mode = {modes!r} tests sampled items, which have none; say eval_args: {{mode: labeled}}"
        )
    if config["transform"] and config["MODEL_TYPE"].name != "SEQUENTIAL":
        raise ConfigurationError(
            f"transform = {config['transform']!r} changes histories, and {config['model']} reads none; leave it out"
        )


def _check_time(config: Any, columns: _Columns) -> None:
    time = config["TIME_FIELD"]
    split = config["eval_args"]["split"]
    histories = config["MODEL_TYPE"].name == "SEQUENTIAL" and config["benchmark_filename"] is None
    order = config["eval_args"]["order"]
    if histories and order != "TO":
        raise ConfigurationError(
            f"eval_args.order = {order!r}: {config['model']} reads histories, which are in the order of time; say "
            f"order: TO"
        )
    reason = f"{config['model']} reads histories" if histories else None
    if reason is None and config["benchmark_filename"] is None:
        if order == "TO":
            reason = "eval_args.order = TO sorts by it"
        elif isinstance(split, dict) and "TS" in split:
            reason = "eval_args.split = TS splits by it"
    if reason and time is None:
        raise ConfigurationError(f"TIME_FIELD = None, but {reason}; name the column of times")
    for head in columns.of("inter"):
        if reason and time not in head.types:
            own = columns.own(head)
            raise DataError(
                f"{head.path} has no column {time!r} of times (TIME_FIELD), and {reason}; it has "
                f"{', '.join(map(repr, own))}.{cut_by_yaml(time, own)} Add the column, or name another one as "
                f"TIME_FIELD"
            )
        if reason and time not in head.loaded:
            raise ConfigurationError(
                f"load_col = {config['load_col']!r} leaves out {time!r} of {head.path.name} (TIME_FIELD), and "
                f"{reason}; add {time} to load_col.inter"
            )
        if time in head.loaded and head.types[time] != "float":
            cell = first_cell(head, time, config["field_separator"], config["encoding"])
            raise DataError(
                f"{head.path}, line 1: column {time!r} (TIME_FIELD) has the type {head.types[time]}, so RecBole "
                f"would sort by first appearance; it begins with {cell!r} (line 2). Give it the type float, and "
                f"{TIMES}"
            )


#: Options whose shape is looked at here, before the columns that they name.
SHAPED = ("threshold", "benchmark_filename", "seq_len", "discretization", "preload_weight")


def check_shape(option: str, value: Any) -> None:
    """Raise `ConfigurationError` for a value of one of `SHAPED` that goes with no data; None passes."""
    if value is None:
        return
    if option == "threshold" and (len(value) != 1 or not all(is_a(one, "number") for one in value.values())):
        raise ConfigurationError(
            f"threshold = {value!r}: give one column with the least value of a positive, as in {{rating: 4}}"
        )
    if option == "benchmark_filename" and len(value) != 3:
        raise ConfigurationError(
            f"benchmark_filename = {value!r}: three are needed, the names of the training, validation and test part"
        )
    for name, one in value.items() if option in ("seq_len", "discretization", "preload_weight") else ():
        if option == "seq_len" and (not is_a(one, "whole number") or one < 1):
            raise ConfigurationError(f"seq_len.{name} = {one!r}: give the greatest length, 1 or more")
        if option == "preload_weight" and not isinstance(one, str):
            raise ConfigurationError(f"preload_weight.{name} = {one!r}: give the name of a column of numbers")
        if option == "discretization":
            _check_buckets(name, one)


def _check_buckets(name: str, info: Any) -> None:
    if not isinstance(info, dict) or info.get("method") not in ("ED", "LD"):
        raise ConfigurationError(
            f"discretization.{name} = {info!r}: give {{method: ED, bucket: 10}} or {{method: LD}}"
        )
    bucket: Any = info.get("bucket")
    if info["method"] == "ED" and (not is_a(bucket, "whole number") or bucket < 1):
        raise ConfigurationError(f"discretization.{name}.bucket = {bucket!r}: give a whole number, 1 or more")


def _check_threshold(config: Any, columns: _Columns) -> None:
    threshold = config["threshold"]
    if threshold is None:
        return
    check_shape("threshold", threshold)
    name = next(iter(threshold))
    loaded = columns.loaded("inter")
    if name not in loaded:
        raise columns.refuse("threshold", str(name), "inter")
    if loaded[name] != "float":
        raise DataError(
            f"{columns.of('inter')[0].path}, line 1: column {name!r} has the type {loaded[name]}, and threshold = "
            f"{threshold!r} compares numbers; write {name}:float"
        )


def _check_label(config: Any, columns: _Columns) -> None:
    label = config["LABEL_FIELD"]
    threshold = config["threshold"] is not None
    loaded = columns.loaded("inter")
    if label in loaded and loaded[label] != "float":
        raise DataError(
            f"{columns.of('inter')[0].path}, line 1: column {label!r} (LABEL_FIELD) has the type {loaded[label]}; "
            f"write {label}:float with 0 and 1"
        )
    if label in loaded or threshold:
        return
    modes = config["eval_args"]["mode"].values()
    kind = config["MODEL_TYPE"].name
    sampled = config["train_neg_sample_args"]["distribution"] != "none"
    pointwise = getattr(config["MODEL_INPUT_TYPE"], "name", None) == "POINTWISE"
    trains = (
        kind in ("CONTEXT", "DECISIONTREE") or mentions(config.model_class, 'config["LABEL_FIELD"]')
    ) and pointwise
    if ("labeled" in modes) or (trains and not sampled):
        reason = (
            f"{config['model']} learns from it"
            if trains and not sampled
            else "eval_args.mode = labeled tests it"
        )
        shown, rating = columns.shown("inter"), config["RATING_FIELD"]
        raise ConfigurationError(
            f"there is no label: LABEL_FIELD = {label!r} is not a loaded column of "
            f"{columns.of('inter')[0].path.name} ({', '.join(shown.values())}), threshold is null, and {reason}. Say "
            f"threshold: {{{shown.get(rating, rating)}: 4}} to make labels of ratings, or LABEL_FIELD: the column that "
            f"holds 0 and 1 (load_col.inter must list it), or sample negatives: train_neg_sample_args: "
            f"{{distribution: uniform, sample_num: 1}} with eval_args: {{mode: full}}, metrics: [NDCG], "
            f"valid_metric: NDCG@10"
        )


def _check_item_features(config: Any, columns: _Columns) -> None:
    """Models that read features of the items in histories, named by an option."""
    option = {
        "selected_features": ("GRU4RecF", "SASRecF", "FDSA"),
        "item_attribute": ("S3Rec",),
    }
    name = next((name for name, models in option.items() if config["model"] in models), None)
    if name is None:
        return
    wanted = config[name]
    loaded, files = columns.loaded("item"), columns.of("item")
    for column in [wanted] if isinstance(wanted, str) else wanted or ():
        if column in loaded:
            continue
        place = Path(config["data_path"]) / f"{config['dataset']}.item"
        there = (
            f"{place} has {', '.join(columns.shown('item').values())} loaded"
            if files
            else f"there is no {place}, or nothing of it is read"
        )
        raise DataError(
            f"{config['model']} reads columns that describe items ({name} = {wanted!r}), and {there}; put such a "
            f"column there, as in item_id:token<TAB>{column}:token_seq (words between blanks), or name another as "
            f"{name} and in load_col.item"
        )


def _check_ratings(config: Any, columns: _Columns) -> None:
    rating = config["RATING_FIELD"]
    for head in columns.of("inter"):
        if learns_ratings(config) and rating not in head.loaded:
            raise DataError(
                f"{head.path} has no column {rating!r} of ratings; RATING_FIELD names it, and load_col.inter must "
                f"list it (loaded: {', '.join(head.loaded)})"
            )
        reads = rating and mentions(config.model_class, 'config["RATING_FIELD"]')
        if reads and rating in head.loaded and head.types[rating] != "float":
            raise DataError(
                f"{head.path}, line 1: column {rating!r} (RATING_FIELD) has the type {head.types[rating]}, and "
                f"{config['model']} reads numbers; write {rating}:float"
            )


def _check_named_columns(config: Any, columns: _Columns) -> None:
    """Options that name columns."""
    loaded = columns.loaded()
    numbers = {name for name, kind in loaded.items() if kind.startswith("float")}
    tokens = {name for name, kind in loaded.items() if kind.startswith("token")}
    sequences = {name for name, kind in loaded.items() if kind.endswith("_seq")}
    _all_in("normalize_field", config["normalize_field"], columns, numbers, "a column of numbers")
    if config["numerical_features"]:
        _all_in("numerical_features", config["numerical_features"], columns, numbers, "a column of numbers")
    for option in ("alias_of_user_id", "alias_of_item_id", "alias_of_entity_id", "alias_of_relation_id"):
        _all_in(option, config[option], columns, tokens, "a column of tokens")
    _check_alias(config)
    _all_in("seq_len", config["seq_len"], columns, sequences, "a column of sequences")
    check_shape("seq_len", config["seq_len"])
    _all_in("val_interval", config["val_interval"], columns, loaded)
    check_val_interval(config["val_interval"], loaded)
    _check_discretization(config, columns, numbers)
    _check_preload(config, columns, numbers)
    _check_unused(config, columns)


def _all_in(
    option: str,
    names: Iterable[Any] | None,
    columns: _Columns,
    right: Iterable[str],
    what: str = "a column",
    *sources: str,
) -> None:
    """Each name must be one of `right`, which are loaded columns of some files (of all, where none is named)."""
    shown = columns.shown(*sources)
    for name in names or ():
        if name not in shown:
            raise columns.refuse(option, str(name), *sources)
        if name not in right:
            raise ConfigurationError(
                f"{option}: {shown[name]!r} is not {what}; leave it out, or give it the right type in the first line "
                f"of its file"
            )


def _check_alias(config: Any) -> None:
    owner: dict[str, str] = {}
    for option in ("user_id", "item_id", "entity_id", "relation_id"):
        own = config[option.upper() + "_FIELD"] if option in ("user_id", "item_id") else None
        for name in dict.fromkeys([own, *(config[f"alias_of_{option}"] or ())]):
            if name is None:
                continue
            if owner.setdefault(name, option) != option:
                raise ConfigurationError(
                    f"alias_of_{option} = {config[f'alias_of_{option}']!r}: {name!r} has the ids of {owner[name]} "
                    f"already; leave it out of one of them"
                )


def _check_discretization(config: Any, columns: _Columns, numbers: set[str]) -> None:
    wanted = config["discretization"]
    _all_in("discretization", wanted, columns, numbers, "a column of numbers")
    for name in wanted or ():
        if name not in (config["numerical_features"] or ()):
            raise ConfigurationError(
                f"discretization: {name!r} must stand in numerical_features, too; add it there"
            )
    check_shape("discretization", wanted)


def _check_preload(config: Any, columns: _Columns, numbers: set[str]) -> None:
    for name, value in (config["preload_weight"] or {}).items():
        tokens = {column for column, kind in columns.loaded().items() if kind == "token"}
        _all_in("preload_weight", [name], columns, tokens, "a column of tokens")
        check_shape("preload_weight", {name: value})
        _all_in("preload_weight", [value], columns, numbers, "a column of numbers")
        if not any(name in head.loaded and value in head.loaded for head in columns.heads):
            raise ConfigurationError(
                f"preload_weight = {config['preload_weight']!r}: {name!r} and {value!r} are columns of different "
                f"files; both must stand in one"
            )


def _check_unused(config: Any, columns: _Columns) -> None:
    for source, names in (config["unused_col"] or {}).items():
        if not columns.of(source):
            raise ConfigurationError(f"unused_col.{source} = {names!r}: no such file is loaded; leave it out")
        _all_in(f"unused_col.{source}", names, columns, columns.loaded(source), "a column", source)
        for name in names:
            if name in (config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]):
                raise ConfigurationError(
                    f"unused_col.{source} = {names!r}: every model uses {name!r}; leave it out"
                )


def first_file(heads: list[Head]) -> Path:
    """The file of interactions."""
    return next(head.path for head in heads if head.source == "inter")
