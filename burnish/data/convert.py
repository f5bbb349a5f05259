"""Tables become a data set: read, find types, leave out, and write all files or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from burnish.backbones.converters.card import Size
from burnish.backbones.converters.folder import check_target, written_whole_folder
from burnish.errors import ConfigurationError, option

from .card import DataCard
from .carried import Carried, carry
from .columns import Roles, find_roles
from .frames import from_memory
from .interactions import Interactions, apply_filters, drop_missing, merge_duplicates, read_interactions
from .options import NONE, Options
from .reading import read_file
from .sides import graph_files, side_file
from .table import TEXT, Table
from .times import written
from .values import number_cells

#: Rows that are put together as text at a time.
_ROWS = 200_000


def convert(
    tables: Mapping[str, Any],
    out: Path | None,
    options: Options,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> DataCard:
    """Make the folder `out` with RecBole's atomic files, named after the folder.

    A dry run refuses what the real one does; it needs no folder, and then does not look at one.
    tables: by "interactions", "items", "users", "kg" and "links" a file, a frame, or None.  dry_run: write nothing.
    Raises `DataError` and `ConfigurationError`; then nothing is left behind.
    """
    if out is not None:
        check_target(out, force)
    elif not dry_run:
        raise ConfigurationError(
            f"out is missing; give the folder to make, such as {option('out', 'dataset/bookshop')}"
        )
    out = out or Path("data")
    if tables.get("links") is not None and tables.get("kg") is None:
        raise ConfigurationError(
            f"links say which items are which entities of a graph; give the graph, too: {option('kg')}"
        )
    for key, role in (("item_id", "items"), ("user_id", "users")):
        if getattr(options, key) is not None and tables.get(role) is None:
            raise ConfigurationError(
                f"{key} = {getattr(options, key)!r} is the column of ids in a table of {role}, and there is "
                f"none; give {option(role)}"
            )
    if options.title not in (None, NONE) and tables.get("items") is None:
        raise ConfigurationError(
            f"title = {options.title!r} is a column in a table of items, and there is none; give {option('items')}"
        )
    read = {role: _read(data, role, options) for role, data in tables.items() if data is not None}
    table = read["interactions"]
    known = dict.fromkeys(
        name for role, one in read.items() if role not in ("kg", "links") for name in one.columns
    )
    options.check_wanted(known, {})
    roles = find_roles(table, options)
    others = {name for role in ("items", "users") if role in read for name in read[role].columns}
    made = {name: what for name, what in roles.by_column.items() if name not in others}
    options.check_wanted(known, made)
    data = read_interactions(table, roles, options)
    drop_missing(data, roles, options)
    merge_duplicates(data, options)
    apply_filters(data, options)
    files, card = _made(out, read, roles, data, options)
    if dry_run:
        return DataCard(**{**_parts(card), "written": False})
    with written_whole_folder(out, force) as folder:
        for ending, file in files.items():
            _write(folder / f"{out.name}.{ending}", file)
        card.write(folder)
        names = tuple(sorted(path.name for path in folder.iterdir()))
        card = DataCard(**{**_parts(card), "files": names})
        card.write(folder)
    return card


def _parts(card: DataCard) -> dict[str, Any]:
    return {one.name: getattr(card, one.name) for one in fields(card)}


def _read(data: Any, role: str, options: Options) -> Table:
    if isinstance(data, (str, Path)):
        return read_file(Path(data), separator=options.separator, encoding=options.encoding)
    return from_memory(data, f"the table of {role}")


def _made(
    out: Path, read: Mapping[str, Table], roles: Roles, data: Interactions, options: Options
) -> tuple[dict[str, Carried], DataCard]:
    """All files as columns of cells, and the card."""
    files = {"inter": _interactions(roles, data, options)}
    notes, sides = [*data.notes], {}
    taken = {head.rpartition(":")[0] for head in files["inter"].heads}
    wanted = {
        "user": pc.unique(files["inter"].cells[0]).to_pylist(),
        "item": pc.unique(files["inter"].cells[1]).to_pylist(),
    }
    for role in ("item", "user"):
        table = read.get(f"{role}s")
        if table is None:
            continue
        own = roles.item if role == "item" else roles.user
        file, fits, _ = side_file(table, role, own, wanted[role], options, taken)
        notes += file.notes
        sides[role] = fits
        if len(file.heads) > 1:
            files[role] = file
        else:
            notes.append(f"{table.source} has no column beside ids with a value; no file is made of it")
    if "kg" in read:
        graph = graph_files(read["kg"], read.get("links"), roles.item, wanted["item"], options)
        files |= {"kg": graph.triples, "link": graph.links}
        notes += graph.notes
    notes = [*files["inter"].notes, *notes]
    cleaned = files["inter"].cleaned
    for ending in ("item", "user"):
        if ending in files:
            cleaned += files[ending].cleaned
    notes += cleaned.sentences()
    span = None
    if data.times is not None:
        times = data.times[data.rows]
        span = (int(times.min()), int(times.max()))
        if span[1] < 315_532_800_000_000 and "dates" not in " ".join(data.notes):
            notes.append(
                "all times are before 1980, so that they may be no times since 1970: their order counts alone"
            )
    names = {"user": roles.user, "item": roles.item, "rating": roles.rating, "time": roles.time}
    users, items, kept = data.size()
    shown = {
        one.name: getattr(options, one.name)
        for one in fields(options)
        if one.init and getattr(options, one.name) is not None
    }
    card = DataCard(
        name=out.name,
        folder=str(out),
        sources=tuple((role, table.source, table.bytes) for role, table in read.items()),
        names={role: name for role, name in names.items() if name is not None},
        columns=tuple(column for file in files.values() for column in file.columns),
        read=read["interactions"].rows,
        steps=tuple(data.steps),
        size=Size(users, items, kept),
        span=span,
        sides=sides,
        notes=tuple(dict.fromkeys([*(note for table in read.values() for note in table.notes), *notes])),
        options=shown,
        files=tuple(sorted(f"{out.name}.{ending}" for ending in files)),
        title=files["item"].title if "item" in files else None,
    )
    return files, card


def _interactions(roles: Roles, data: Interactions, options: Options) -> Carried:
    """The columns of NAME.inter."""
    file, rows = Carried(), data.rows
    file.add("inter", "user_id", "token", roles.user, data.users.array(rows))
    file.add("inter", "item_id", "token", roles.item, data.items.array(rows))
    if data.ratings is not None:
        file.add("inter", "rating", "float", roles.rating or "(count)", number_cells(data.ratings[rows]))
    if data.times is not None:
        file.add("inter", "timestamp", "float", roles.time or "", written(data.times[rows]))
    own = [*roles.by_column, *roles.refused]
    taken = {head.rpartition(":")[0] for head in file.heads}
    others = [name for name in data.table.columns if name not in own and options.carries(name)]
    if others:
        table = data.table if len(rows) == data.table.rows else data.table.taken(rows)
        carry(file, table, "inter", options, but=own, taken=taken)
    return file


def _write(path: Path, file: Carried) -> None:
    """An atomic file: cells between tabs, null ones empty."""
    columns = [_chunked(cells) for cells in file.cells]
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\t".join(file.heads) + "\n")
        for start in range(0, len(columns[0]), _ROWS):
            parts = [_whole(column.slice(start, _ROWS)) for column in columns]
            lines = parts[0]
            if len(parts) > 1:
                lines = pc.binary_join_element_wise(
                    *parts, pa.scalar("\t", TEXT), null_handling="replace", null_replacement=""
                )
            stream.write("\n".join(lines.to_pylist()) + "\n")


def _chunked(cells: Any) -> pa.ChunkedArray:
    column = cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])
    return column if column.type == TEXT else column.cast(TEXT)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=TEXT)
