"""Tables about items and users, and a knowledge graph, beside the interactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, option

from .carried import Carried, carry
from .columns import find_key, find_title, guessed
from .like_ids import alike
from .options import Options
from .table import TEXT, Table
from .values import Ids, ids_of


@dataclass(frozen=True)
class Coverage:
    """How a table beside fits the interactions.

    known: users or items that stay and have a row.  unknown: those without, which get a row of blanks.
    idle: rows of ids without interactions, left out.  again: rows of an id that was there already, left out.
    """

    known: int
    unknown: int
    idle: int
    again: int


def side_file(
    table: Table, role: str, own: str, wanted: list[str], options: Options, taken: set[str]
) -> tuple[Carried, Coverage, str]:
    """The columns of NAME.item or NAME.user, a row for each of `wanted`; how they fit; and the column of ids.

    role: "item" or "user".  own: what the interactions call its ids.  wanted: the ids that stay.  Raises `DataError`
    where none of them has a row.
    """
    asked = options.item_id if role == "item" else options.user_id
    key, note = find_key(table, asked, own, role)
    ids = ids_of(table, key, options.missing)
    _all_there(table, key, ids, options)
    place: dict[str, int] = {}
    for row, code in enumerate(ids.codes.tolist()):
        if code >= 0:
            place.setdefault(ids.names[code], row)
    rows = [place[name] for name in wanted if name in place]
    if not rows:
        near = alike(wanted, place)
        like = "; " + _alike(role, near) if near else ""
        raise DataError(
            f"{table.source}: column {key!r} has none of the {len(wanted):,} {role}s that stay (it has "
            f"{short(next(iter(place), ''))}, ...; the interactions have {short(wanted[0])}, ...){like}; name the "
            f"column with {option(f'{role}_id')}, or write the ids alike"
        )
    there = int((ids.codes >= 0).sum())
    names = [name for name in wanted if name in place]
    blanks = [name for name in wanted if name not in place]
    file = Carried()
    if note:
        file.notes.append(note)
    if ids.note:
        file.notes.append(ids.note)
    near = alike(blanks, [name for name in place if name not in set(names)]) if blanks else {}
    if near:
        file.notes.append(f"{table.source}: {_alike(role, near)}; write them alike")
    title, said = find_title(table, key, options) if role == "item" else (None, "")
    if title == key:
        raise ConfigurationError(
            f"title = {title!r} is the column of ids in {table.source}; name another, or none"
        )
    file.add(role, f"{role}_id", "token", key, pa.array([*names, *blanks], type=TEXT))
    carry(file, table.taken(np.array(rows)), role, options, but=(key,), taken=taken, title=title)
    file.title = next((one.name for one in file.columns if one.source == title), None)
    if said and file.title is not None:
        file.notes.append(said)
    for at in range(1, len(file.cells)):
        cells = file.cells[at]
        parts = cells.chunks if isinstance(cells, pa.ChunkedArray) else [cells]
        file.cells[at] = pa.chunked_array([*parts, pa.nulls(len(blanks), TEXT)])
    return file, Coverage(len(names), len(blanks), len(place) - len(names), there - len(place)), key


def _alike(role: str, near: dict[str, str]) -> str:
    """A sentence on ids without a row that are like ids in the table."""
    own, other = next(iter(near.items()))
    return (
        f"{len(near):,} of the {role}s without a row are like one with a row but for leading zeros, blanks, case or "
        f".0, as {short(own)} is like {short(other)}"
    )


def _all_there(table: Table, key: str, ids: Ids, options: Options) -> None:
    gone = np.flatnonzero(ids.codes < 0)
    if len(gone) and options.missing != "drop":
        said = (
            f"holds {short(ids.missing)}, which reads as a missing value"
            if ids.missing.strip()
            else "is empty"
        )
        raise DataError(
            f"{table.at(gone[0])}: column {key!r} {said}, as in {len(gone):,} of {table.rows:,} rows. Fill them in, or "
            f"leave these rows out with {option('missing', 'drop')}"
        )


# ---------------------------------------------------------------------- a graph


@dataclass(frozen=True)
class Graph:
    """The files NAME.kg and NAME.link, and what was left out of them."""

    triples: Carried
    links: Carried
    notes: tuple[str, ...]


def graph_files(kg: Table, links: Table | None, own: str, wanted: list[str], options: Options) -> Graph:
    """Triples and links as RecBole reads them; without a table of links, items are entities of their own name.

    Raises `DataError` for empty cells, an item with two entities, and links to nothing.
    """
    notes: list[str] = []
    names = _three(kg)
    sides = [_whole(kg, name, options) for name in names]
    rows = list(dict.fromkeys(zip(*sides, strict=True)))
    if len(rows) < kg.rows:
        notes.append(f"left out as repeated: {kg.rows - len(rows):,} of {kg.rows:,} triples")
    triples = Carried()
    for name, source, cells in zip(
        ("head_id", "relation_id", "tail_id"), names, zip(*rows, strict=True), strict=True
    ):
        triples.add("kg", name, "token", source, pa.array(cells, type=TEXT))
    entities = {name for head, _, tail in rows for name in (head, tail)}
    if links is None:
        linked = {name: name for name in wanted if name in entities}
        item, entity = own, "the same"
        missing = (
            f"{kg.source} has none of the items as head or tail; give {option('links')}, a table of items and "
            f"entities"
        )
    else:
        item, entity = _link_columns(links, own)
        linked, more = _links(links, item, entity, wanted, options)
        notes += more
        missing = (
            f"{links.source} links none of the {len(wanted):,} items that stay, such as {short(wanted[0])}; the ids of "
            f"column {item!r} must be those of the interactions"
        )
        absent = [name for name in linked.values() if name not in entities]
        if len(absent) == len(linked) and linked:
            raise DataError(
                f"{links.source}: none of the entities in column {entity!r}, such as {short(absent[0])}, is in "
                f"{kg.source}"
            )
        if absent:
            notes.append(f"{len(absent):,} linked entities are in no triple, such as {short(absent[0])}")
    if not linked:
        raise DataError(missing)
    file = Carried()
    file.add("link", "item_id", "token", item, pa.array(list(linked), type=TEXT))
    file.add("link", "entity_id", "token", entity, pa.array(list(linked.values()), type=TEXT))
    notes.append(f"{len(linked):,} of {len(wanted):,} items are linked to the graph")
    return Graph(triples, file, tuple(notes))


def _three(kg: Table) -> list[str]:
    found: list[str] = []
    for role in ("head", "relation", "tail"):
        name = guessed(kg, role, set(found))
        if name is None:
            break
        found.append(name)
    if len(found) < 3:
        found = list(kg.columns)
    if len(found) != 3:
        raise ConfigurationError(
            f"{kg.source}: its columns are {', '.join(map(repr, kg.columns))}; call those of the triples head, "
            f"relation and tail, or give these three alone"
        )
    return found


def _link_columns(links: Table, own: str) -> tuple[str, str]:
    item = own if own in links.columns else guessed(links, "item", set())
    entity = guessed(links, "entity", {item} if item else set())
    others = [name for name in links.columns if name not in (item, entity)]
    if len(links.columns) == 2:
        item = item or next((name for name in others if name != entity), None)
        entity = entity or next(name for name in links.columns if name != item)
    if item is None or entity is None:
        raise ConfigurationError(
            f"{links.source}: its columns are {', '.join(map(repr, links.columns))}; call those of the links item (or "
            f"{own}) and entity"
        )
    return item, entity


def _links(
    links: Table, item: str, entity: str, wanted: list[str], options: Options
) -> tuple[dict[str, str], list[str]]:
    linked: dict[str, str] = {}
    owner: dict[str, str] = {}
    stays, idle = set(wanted), 0
    for row, (one, other) in enumerate(
        zip(_whole(links, item, options), _whole(links, entity, options), strict=True)
    ):
        if one not in stays:
            idle += 1
            continue
        if linked.setdefault(one, other) != other or owner.setdefault(other, one) != one:
            both = (
                f"item {short(one)} has two entities"
                if linked[one] != other
                else (f"entity {short(other)} has two items, {short(owner[other])} and {short(one)}")
            )
            raise DataError(f"{links.at(row)}: {both}; RecBole takes one each, so remove one of the rows")
    notes = [f"{idle:,} links of items without interactions are left out"] if idle else []
    return linked, notes


def _whole(table: Table, column: str, options: Options) -> list[Any]:
    """A column of ids in which no row lacks one."""
    ids = ids_of(table, column, "keep" if options.missing == "drop" else options.missing)
    gone = np.flatnonzero(ids.codes < 0)
    if len(gone):
        keep = f" If it is a name, {option('missing', 'keep')} keeps it." if ids.missing.strip() else ""
        said = (
            f"holds {short(ids.missing)}, which reads as a missing value"
            if ids.missing.strip()
            else "is empty"
        )
        raise DataError(
            f"{table.at(gone[0])}: column {column!r} {said}; fill it in, or remove the row.{keep}"
        )
    return [ids.names[code] for code in ids.codes.tolist()]
