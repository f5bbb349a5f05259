"""RecBole's filters by values and by numbers of triples: their form, and what they take from which file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, nearest, warn

from .options import check_interval


def check_val_interval(wanted: Mapping[str, Any] | None, kinds: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` where `val_interval` has a form that filters nothing, or cannot filter.

    kinds: the types of the loaded columns, which all those of the option are among.
    """
    for name, values in (wanted or {}).items():
        option = f"val_interval.{name}"
        if kinds[name].endswith("_seq"):
            raise ConfigurationError(
                f"{option} = {short(values)}: {name} is a column of sequences, and RecBole filters by single values; "
                f"leave it out"
            )
        if kinds[name] == "float":
            check_interval(option, values if values is not None else "null")
            continue
        if not isinstance(values, list | tuple) or not values:
            raise ConfigurationError(
                f"{option} = {short(values)}: {name} is a column of tokens; give the list of those to keep, "
                f"as in [a, b]"
            )
        for value in values:
            if not isinstance(value, str):
                raise ConfigurationError(
                    f"{option} = {short(values)}: {name} is a column of tokens, which are text, and {value!r} is "
                    f"none, so it would match nothing; write it in quotes, as in ['{value}']"
                )


@dataclass
class Narrowed:
    """What `val_interval` took from files beside the interactions, and filters by numbers of triples from the graph.

    ids: by side ("item", "user") the ids whose rows are gone.  by: the options that took them.
    triples: how many the graph had.  lost: by option how many it took.
    """

    ids: dict[str, set[str]] = field(default_factory=dict)
    by: dict[str, list[str]] = field(default_factory=dict)
    triples: int = 0
    lost: dict[str, int] = field(default_factory=dict)

    def options(self, side: str) -> str:
        """The options that took rows from a file."""
        return " and ".join(dict.fromkeys(self.by.get(side, ())))

    def graph(self) -> str | None:
        """`75 of 120 triples of the graph dropped (entity_kg_num_interval)`; None where none was."""
        if not sum(self.lost.values()):
            return None
        why = "; ".join(f"{count:,} {option}" for option, count in self.lost.items() if count)
        return f"{sum(self.lost.values()):,} of {self.triples:,} triples of the graph dropped ({why})"


def filter_by_values(dataset: Any, narrowed: Narrowed) -> dict[str, Any]:
    """What `val_interval` keeps of the interactions, as a mask for each reason; what it takes elsewhere is noted.

    Asked before RecBole filters.  Raises `ConfigurationError` where nothing is kept, and warns of tokens that are not
    there.
    """
    kept: dict[str, Any] = {}
    tables = {side: getattr(dataset, f"{side}_feat", None) for side in ("inter", "item", "user", "kg")}
    for name, wanted in (dataset.config["val_interval"] or {}).items():
        own = dataset.field2feats(name)
        masks = [_within(dataset, feat, name, wanted) for feat in own]
        _check_matches(dataset, name, wanted, own, masks)
        for feat, mask in zip(own, masks, strict=True):
            side = next((side for side, table in tables.items() if table is feat), None)
            if side == "inter":
                kept[f"outside val_interval ({name})"] = mask
            elif side == "kg":
                narrowed.triples = narrowed.triples or len(feat)
                narrowed.lost[f"val_interval.{name}"] = int((~mask).sum())
            elif side is not None and not mask.all():
                column = dataset.iid_field if side == "item" else dataset.uid_field
                narrowed.ids.setdefault(side, set()).update(feat[column][~mask])
                narrowed.by.setdefault(side, []).append(f"val_interval.{name}")
                _say_where_idle(dataset, name, side, int((~mask).sum()), len(feat))
    return kept


def _within(dataset: Any, feat: Any, name: str, wanted: Any) -> Any:
    """Which rows of a table RecBole keeps."""
    import pandas as pd

    if dataset.field2type[name].value == "float":
        inside = dataset._within_intervals(feat[name].values, dataset._parse_intervals_str(wanted))
        return pd.Series(inside, index=feat.index)
    return feat[name].isin(wanted)


def _check_matches(dataset: Any, name: str, wanted: Any, tables: list[Any], masks: list[Any]) -> None:
    """Raise where no row of any table is kept, and warn of single tokens that are nowhere."""
    where = (
        f"{dataset.dataset_name}.{getattr(dataset.field2source[name], 'value', dataset.field2source[name])}"
    )
    where = {
        dataset.uid_field: f"{dataset.dataset_name}.inter",
        dataset.iid_field: f"{dataset.dataset_name}.inter",
    }.get(name, where)
    rows = sum(len(table) for table in tables)
    if dataset.field2type[name].value == "float":
        of_rows = any(
            table is dataset.inter_feat for table in tables
        )  # the journal says what is left of these
        if rows and not of_rows and not any(mask.any() for mask in masks):
            low, high = tables[0][name].min(), tables[0][name].max()
            raise ConfigurationError(
                f"val_interval.{name} = {wanted!r}: no value of {name} in {where} lies in it (they are from {low:g} to "
                f"{high:g}), so nothing would be left; widen it"
            )
        return
    there = {str(value) for table in tables for value in table[name].dropna().unique()}
    absent = [value for value in wanted if value not in there]
    if not absent:
        return
    guess = nearest(absent[0], there)
    hint = (
        f"did you mean {guess!r}?" if guess else f"there are {', '.join(map(repr, sorted(there)[:3]))}, ..."
    )
    more = f", as {len(absent) - 1} more of the {len(wanted)}" if len(absent) > 1 else ""
    said = f"val_interval.{name}: {absent[0]!r} is no value of {name} in {where}{more}; {hint}"
    if len(absent) == len(wanted):
        raise ConfigurationError(f"{said} Nothing would be left")
    warn(said)


def _say_where_idle(dataset: Any, name: str, side: str, gone: int, rows: int) -> None:
    if dataset.config["filter_inter_by_user_or_item"] is True:
        return
    warn(
        f"val_interval.{name} takes {gone} of {rows} rows from {dataset.dataset_name}.{side}, and "
        f"filter_inter_by_user_or_item is not true, so the interactions of these stay, with their columns filled in"
    )


def filter_triples(dataset: Any, inner: Any, narrowed: Narrowed) -> None:
    """Let RecBole filter the graph by numbers of triples, and note what it took.

    Raises `DataError` where it leaves none.
    """
    name, config = dataset.dataset_name, dataset.config
    before = len(dataset.kg_feat)
    narrowed.triples = narrowed.triples or before
    inner(dataset)
    both = ("entity_kg_num_interval", "relation_kg_num_interval")
    options = [one for one in both if one in config.external_config_dict] or list(both)
    taken = before - len(dataset.kg_feat)
    if not taken:
        return
    narrowed.lost[" and ".join(options)] = taken
    if not len(dataset.kg_feat):
        said = " and ".join(f"{one} = {config[one]!r}" for one in options)
        raise DataError(
            f"{name}.kg: no triple is left after filtering: of {narrowed.triples:,}, {said} "
            f"{'keep' if len(options) > 1 else 'keeps'} none; widen {'them' if len(options) > 1 else 'it'}"
        )
