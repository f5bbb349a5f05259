"""RecBole's files of items and of users, from a published file with one record each."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from burnish.errors import DataError

from .formats import Description
from .lines import Progress
from .records import Broken, BrokenLineError, records


def write_table(
    source: Path,
    target: Path,
    description: Description,
    wanted: Collection[str],
    broken: Broken,
    progress: Progress | None = None,
) -> int:
    """Write one row for every wanted id; how many of them the source knows.

    An id that it does not know gets a row of blanks at the end: RecBole drops the interactions of ids that are not
    in the file.  Of several records of one id the first counts.  Columns without a single value are left out, as
    RecBole cannot fill their blanks.  Raises `DataError` where no wanted id is known.
    """
    columns = [f"{description.kind}_id:token", *description.cells]
    filled, seen = [True] + [False] * len(description.cells), set[str]()
    with target.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(columns) + "\n")
        for number, record in records(source, broken, progress):
            try:
                key = description.key(record)
            except BrokenLineError as error:
                broken.met(number, error)
                continue
            if key not in wanted or key in seen:
                continue
            seen.add(key)
            cells = [key, *(make(record) for make in description.cells.values())]
            filled = [known or cell != "" for known, cell in zip(filled, cells, strict=True)]
            file.write("\t".join(cells) + "\n")
        blanks = "\t" * len(description.cells)
        file.writelines(f"{key}{blanks}\n" for key in wanted if key not in seen)
    if not seen:
        raise DataError(
            f"{source} describes none of the {len(wanted)} {description.kind}s that stay, such as "
            f"{next(iter(wanted), 'none')!r}; is it the file that belongs to the reviews?"
        )
    if not all(filled):
        _only_columns(target, filled)
    return len(seen)


def _only_columns(file: Path, stays: list[bool]) -> None:
    """Drop columns of a table; the folder that it is in is not there for others yet."""
    narrower = file.with_name(f"{file.name}.narrower")
    with (
        file.open(encoding="utf-8", newline="\n") as old,
        narrower.open("w", encoding="utf-8", newline="\n") as new,
    ):
        for line in old:
            cells = line.rstrip("\n").split("\t")
            new.write("\t".join(cell for cell, stay in zip(cells, stays, strict=True) if stay) + "\n")
    narrower.replace(file)
