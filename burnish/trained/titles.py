"""Names of items for people to read, from the data set's item file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burnish.errors import DataError, unknown_name
from burnish.files.data_names import own_columns
from burnish.speed.reading import numbered_rows


def read_titles(config: Any, field: str | None = None) -> tuple[str, dict[str, str]] | None:
    """The name of the title column and {item's original id: title}; None where the data have no titles.

    Read from `<dataset>.item` itself, since titles are hardly ever among the columns that a model loads.
    field: the column to take, as the file or the table that it was made of calls it; by default the one that
        `burnish data csv` noted, else the first with a usual name.
    Raises `UnknownNameError` for a column that is not there, `DataError` for an asked-for column without a file.
    """
    path = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not path.is_file():
        if field is not None:
            raise DataError(f"title field {field!r}: there is no file {path} that could hold it")
        return None
    own = own_columns(config)
    rows = (
        row
        for _, row in numbered_rows(path, config["field_separator"] or "\t", config["encoding"], "replace")
    )
    names = [column.split(":")[0] for column in next(rows, [""])]
    key = config["ITEM_ID_FIELD"]
    if field is not None:
        chosen: str | None = own.written(field, names, "item")
    else:
        chosen = own.title_of([name for name in names if name != key])
    if chosen is None:
        return None
    if chosen not in names:
        raise unknown_name("title field", chosen, own.shown(names, "item"))
    at, title_at = names.index(key) if key in names else 0, names.index(chosen)
    return chosen, {cells[at]: cells[title_at] for cells in rows if len(cells) > max(at, title_at)}
