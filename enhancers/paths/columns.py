"""Columns of the item and user files as relations: which are worth it, and cells as nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from burnish.checks import short
from burnish.errors import ConfigurationError, DataError
from burnish.files.data_names import OwnColumns

from .graph import ITEM, RATED, USER
from .graph_files import Cells, Numbers, Texts, Written, column, head, read
from .graph_options import ENTITY, Column
from .triples import Told, Triples

#: Columns that point somewhere instead of describing; that name; that tell.
_POINTER = re.compile(r"(^|_)(id|ids|url|uri|link|asin|isbn|image)$", re.IGNORECASE)
TITLE = re.compile(r"(^|_)(title|name|song|headline)$", re.IGNORECASE)
_TEXT = re.compile(
    r"(^|_)(description|text|review|summary|plot|overview|abstract|tagline|comment|lyrics)s?$", re.I
)
#: Words of running English text; genres and names seldom have them in lower case.
_SMALL_WORDS = frozenset(
    ("a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "or")
) | frozenset(("that", "the", "this", "to", "was", "with"))
#: Values by rows from which on a column has "nearly one of its own for every row".
_OWN = 0.8
#: More values in a cell than these, on average, are a text.
_LONG = 30
#: Bins from 0 on that numbers in double precision can be told by.
_MOST_BINS = 1e15


@dataclass(frozen=True)
class _Values:
    """The values of cells, each with its row: texts, and rows and codes `[n]`."""

    texts: Texts
    rows: Numbers
    codes: Numbers


def column_triples(
    path: Path,
    written: Written,
    key: str,
    kind: str,
    known: Texts,
    asked: tuple[Column, ...] | None,
    option: str,
    told: Told,
    own: OwnColumns | None = None,
) -> list[Triples]:
    """The columns of a file as edges from its users or items.

    Parameters
    ----------
    path
        RecBole's item or user file.
    key
        Its column of ids.
    kind
        "item" or "user".
    known
        Ids that the data have; rows of others do not count when columns are chosen.
    asked
        The columns; None for those that are worth it.
    option
        What messages call this choice.
    own
        What the tables called the columns that a file was made of.
    """
    if asked == ():
        return []
    own = own or OwnColumns()
    columns = head(path, written)
    column(path, key, columns, f"column of {kind}s' ids")
    chosen = [
        one.model_copy(update={"column": own.written(one.column, columns, kind)}) for one in asked or ()
    ]
    title = own.title_of([name for name in columns if name != key]) if kind == ITEM else None
    for one in chosen:
        type = columns[column(path, one.column, columns, f"{option}: column", own.shown(columns, kind))]
        if type.startswith("float") and not one.binned:
            raise ConfigurationError(
                f"{option}: column {one.column!r} of {path.name} holds numbers; say how they are cut: {{column: "
                f"{one.column}, step: 1}}, or quantiles: 5"
            )
    if asked is None:
        chosen = [Column(column=name) for name in likely_columns(columns, key, title)]
    cells = read(path, written, [key, *dict.fromkeys(one.column for one in chosen)])
    keys = cells[key]
    rows = _first_rows(keys, path, told)
    inside = pd.Index(keys.texts).isin(known)[keys.codes[rows]]
    if not inside.all():
        told.note(
            f"{path.name}: {(~inside).sum():,} of {len(rows):,} rows are of {kind}s that the data do not have"
        )
    dropped = {} if asked is not None else _by_name(columns, key, title)
    found = []
    for one in chosen:
        values = _values(cells[one.column].of_rows(rows), columns[one.column], written)
        if one.binned:
            values = _cut(values, one, path, told)
        known_rows = inside[values.rows]
        reason = None
        if asked is None:
            reason = _useless(
                values.texts, values.rows[known_rows], values.codes[known_rows], columns[one.column]
            )
        if reason is not None:
            dropped[one.column] = reason
            continue
        if not known_rows.any():
            told.warn(f"{path.name}: column {one.column!r} has no value, and gives no edge")
            continue
        name = one.name or free_name(one.column)
        ids = keys.codes[rows][values.rows[known_rows]]
        found.append(
            Triples(
                f"{path.name}, column {one.column!r}",
                Cells(np.array([name], dtype=object), np.zeros(len(ids), dtype=np.int64)),
                kind,
                Cells(keys.texts, ids),
                one.type or name,
                Cells(values.texts, values.codes[known_rows]),
            )
        )
    if dropped:
        shown = ", ".join(f"{own.own(name, kind)} ({why})" for name, why in dropped.items())
        told.note(f"{path.name}: columns that became no relation: {shown}; {option} names the ones to take")
    return found


def likely_columns(columns: Mapping[str, str], key: str, title: str | None = None) -> list[str]:
    """The columns that may be worth it, by their types and names alone.  title: the one that names items."""
    return [
        name
        for name, type in columns.items()
        if name not in (key, title) and type in ("token", "token_seq") and not _left_out_by_name(name)
    ]


def titles(
    path: Path,
    written: Written,
    key: str,
    asked: str | None,
    *,
    plain: bool = False,
    own: OwnColumns | None = None,
) -> dict[str, str] | None:
    """Names by id, from a file's column of titles; None where it has none and none was asked for."""
    columns, own = head(path, written), own or OwnColumns()
    if key not in columns:
        return None
    others = [one for one in columns if one != key]
    wanted = own.title_of(others) if asked is None else own.written(asked, columns, ITEM)
    name = wanted if wanted in columns else None
    if name is None:
        return None
    cells = read(path, written, [key, name], plain=plain)
    rows = np.flatnonzero((cells[key].codes >= 0) & (cells[name].codes >= 0))
    shown = cells[name].texts[cells[name].codes[rows]]
    if written.sequence != " " and columns[name] == "token_seq":
        shown = np.array([text.replace(written.sequence, " ") for text in shown], dtype=object)
    return dict(zip(cells[key].texts[cells[key].codes[rows]], shown, strict=True))


def free_name(name: str) -> str:
    """A column's name where it can stand in a meta-path and stands for nothing else."""
    word = "_".join(name.split())
    return f"{word}_value" if word in (USER, ITEM, ENTITY, RATED) else word


def _first_rows(keys: Cells, path: Path, told: Told) -> Numbers:
    """The rows with an id, each id's first, as RecBole takes them."""
    rows = np.flatnonzero(keys.codes >= 0)
    _, first = np.unique(keys.codes[rows], return_index=True)
    if len(first) < len(rows):
        told.warn(
            f"{path.name}: {len(rows) - len(first):,} rows are of an id that was there before; the first row counts"
        )
    return rows[np.sort(first)]


def _values(cells: Cells, type: str, written: Written) -> _Values:
    """Each value of each cell; those of a sequence one by one."""
    rows = np.flatnonzero(cells.codes >= 0)
    if not type.endswith("_seq"):
        return _Values(cells.texts, rows, cells.codes[rows])
    used = np.unique(cells.codes[rows])
    parts = (
        pd.Series(cells.texts[used], index=used, dtype=object)
        .str.split(written.sequence, regex=False)
        .explode()
    )
    parts = parts[parts != ""]
    codes, texts = pd.factorize(parts, sort=True)
    # `parts` by cell: where each cell's values begin, and how many they are
    counts = np.bincount(parts.index.to_numpy(dtype=np.int64), minlength=len(cells.texts) or 1)
    starts = counts.cumsum() - counts
    repeats = counts[cells.codes[rows]]
    each = np.repeat(np.arange(len(rows)), repeats)
    within = np.arange(len(each)) - (repeats.cumsum() - repeats)[each]
    places = starts[cells.codes[rows]][each] + within
    return _Values(np.asarray(texts, dtype=object), rows[each], codes.astype(np.int64)[places])


def _cut(values: _Values, asked: Column, path: Path, told: Told) -> _Values:
    """Bins in the place of numbers."""
    numbers = pd.to_numeric(pd.Series(values.texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    real = np.isfinite(numbers)
    of_rows = real[values.codes]
    if not of_rows.any():
        raise DataError(
            f"{path}: column {asked.column!r} has no number, such as {short(str(next(iter(values.texts), '')))}; leave "
            f"step and quantiles out"
        )
    if not of_rows.all():
        example = short(str(values.texts[values.codes[~of_rows][0]]))
        told.warn(
            f"{path.name}: column {asked.column!r} has {(~of_rows).sum():,} values that are no numbers, such as "
            f"{example}; they are in no bin"
        )
    rows, codes = values.rows[of_rows], values.codes[of_rows]
    whole = bool((numbers[real] == np.round(numbers[real])).all())
    clean = np.where(real, numbers, 0.0)
    if asked.step is not None:
        if np.abs(clean).max() / asked.step > _MOST_BINS:
            raise DataError(
                f"{path}: column {asked.column!r} goes up to {np.abs(clean).max():g}, where bins of step = "
                f"{asked.step:g} cannot be told apart; give a larger step"
            )
        place = np.floor(clean / asked.step + 1e-9).astype(np.int64)
        used = np.unique(place[real])
        bounds = [(number * asked.step, (number + 1) * asked.step) for number in used.tolist()]
        whole = whole and asked.step.is_integer()
        if whole:
            bounds = [(low, high - 1) for low, high in bounds]
        names = _spans(bounds, "-" if whole else " to below ")
    else:
        assert asked.quantiles is not None
        edges = np.unique(np.quantile(numbers[codes], np.linspace(0, 1, asked.quantiles + 1)))
        place = np.clip(np.searchsorted(edges, clean, side="right") - 1, 0, max(len(edges) - 2, 0))
        used = np.unique(place[real])
        names = _spans([(edges[n], edges[min(n + 1, len(edges) - 1)]) for n in used.tolist()], " to ")
    codes = np.searchsorted(used, place)[codes]
    return _Values(np.array(names, dtype=object), rows, codes)


def _spans(bounds: Sequence[tuple[float, float]], joined: str) -> list[str]:
    """Names of bins, with as many digits as tell them apart: nodes of one name are one."""

    def named(digits: int) -> list[str]:
        return [
            f"{low:.{digits}g}" if low == high else f"{low:.{digits}g}{joined}{high:.{digits}g}"
            for low, high in bounds
        ]

    names = named(10)
    return names if len(set(names)) == len(names) else named(17)


# ---------------------------------------------------------------------- which are worth it


def _left_out_by_name(name: str) -> str | None:
    for pattern, why in ((_POINTER, "an id or a link"), (TITLE, "a title or a name"), (_TEXT, "a text")):
        if pattern.search(name):
            return why
    return None


def _by_name(columns: Mapping[str, str], key: str, title: str | None = None) -> dict[str, str]:
    """Columns that are left out before they are read, with the reason."""
    reasons = {}
    for name, type in columns.items():
        why = (
            _left_out_by_name(name)
            if type in ("token", "token_seq")
            else "numbers, to be cut by step or quantiles"
        )
        if name == title:
            why = "a title or a name"
        if name != key and why is not None:
            reasons[name] = why
    return reasons


def _useless(texts: Texts, rows: Numbers, codes: Numbers, type: str) -> str | None:
    """Why a column would be of no use as a relation; None where it is."""
    if not len(rows):
        return "no value"
    n_rows, used = len(np.unique(rows)), np.unique(codes)
    if len(used) == 1:
        return "one value for all"
    if len(used) > _OWN * n_rows and type == "token":
        return f"{len(used):,} values in {n_rows:,} rows"
    if type == "token_seq":
        small = np.array([text in _SMALL_WORDS for text in texts], dtype=bool)[codes]
        if len(rows) > _LONG * n_rows or len(np.unique(rows[small])) > 0.1 * n_rows:
            return "a text"
        if len(used) > _OWN * len(rows):
            return f"{len(used):,} values in {len(rows):,} places"
    return None
