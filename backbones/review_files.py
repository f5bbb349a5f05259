"""The file of reviews beside RecBole's atomic files: `NAME.reviews.parquet`, `.tsv.gz` or `.tsv`.

Columns: the ids as in the .inter file, a text, and perhaps the time and a summary; others are ignored.  In a TSV file
a column called `review` holds the text as it is (so it can hold no tab), one called `review:escaped` holds backslash
escapes (see `converters.escapes`).  Quotes mean nothing in either.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from burnish.errors import ConfigurationError, DataError, nearest

from .converters.escapes import unescaped

#: What `review_file` says for a data set without reviews.
NO_FILE = "none"

_ENDINGS = (".reviews.parquet", ".reviews.tsv.gz", ".reviews.tsv")


def find_review_file(folder: Path | str, name: str, wanted: str | None) -> Path:
    """The file of reviews.

    wanted: a path or a file name inside the folder; None for the usual names.
    Raises `DataError` where there is none, or more than one.
    """
    folder = Path(folder)
    if wanted is not None:
        for file in (Path(wanted), folder / wanted):
            if file.is_file():
                return file
        raise DataError(
            f"review_file = {str(wanted)!r}: there is no such file, neither as given nor in {folder}"
        )
    files = [file for file in (folder / f"{name}{ending}" for ending in _ENDINGS) if file.is_file()]
    if not files:
        raise DataError(
            f"data set {name!r} has no reviews: {folder} has no {name}{_ENDINGS[0]} (or {', '.join(_ENDINGS[1:])}). "
            f"`burnish data` makes one; review_file: PATH names another; review_file: none goes on without"
        )
    if len(files) > 1:
        raise DataError(
            f"data set {name!r} has several files of reviews ({', '.join(file.name for file in files)}); "
            f"say which with review_file"
        )
    return files[0]


def read_reviews(
    file: Path, *, user: str, item: str, time: str | None, text: str, summary: str | None = None
) -> pd.DataFrame:
    """The reviews as columns `user`, `item` (original ids), `text`, and `time` where the file has it.

    user, item, time, text, summary: names of columns.  A summary is put before the text.
    Raises `DataError` for a file that cannot be read or lacks a column.
    """
    read = _read_parquet if file.suffix == ".parquet" else _read_tsv
    wanted = {"user": user, "item": item, "text": text}
    if summary:
        wanted["summary"] = summary
    frame = read(file, wanted, time)
    if summary:
        before = frame.pop("summary")
        frame["text"] = before.where(before == "", before + "\n") + frame["text"]
    return frame


def _read_tsv(file: Path, wanted: dict[str, str], time: str | None) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            file,
            sep="\t",
            quoting=3,  # csv.QUOTE_NONE: a quote is a letter like any other
            dtype=str,
            keep_default_na=False,
            encoding="utf-8",
            lineterminator="\n",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError, OSError) as error:
        raise DataError(f"{file} cannot be read as tab-separated UTF-8 text: {error}") from error
    table.columns = [name.strip("\r\ufeff") for name in table.columns]
    last = table.columns[-1]
    if len(table) and bool(table[last].str.endswith("\r").all()):
        table[last] = table[last].str.slice(stop=-1)
    columns = {}
    for part, name in wanted.items():
        full_name = _column(file, table.columns, name)
        column = table[full_name]
        columns[part] = column.map(unescaped) if full_name.endswith(":escaped") else column
    frame = pd.DataFrame(columns)
    return _with_time(file, frame, table, time)


def _read_parquet(file: Path, wanted: dict[str, str], time: str | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(file).names
        columns = [_column(file, names, name) for name in wanted.values()]
        table = pq.read_table(file, columns=[*columns, *([time] if time in names else [])]).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as a parquet file: {error}") from error
    frame = pd.DataFrame(
        {part: table[column].fillna("").astype(str) for part, column in zip(wanted, columns, strict=True)}
    )
    return _with_time(file, frame, table, time)


def _with_time(file: Path, frame: pd.DataFrame, table: pd.DataFrame, time: str | None) -> pd.DataFrame:
    if time is not None and time in table:
        try:
            frame["time"] = pd.to_numeric(table[time].replace("", None)).astype("float64")
        except (ValueError, TypeError) as error:
            raise DataError(f"{file}: column {time!r} must hold seconds as numbers: {error}") from error
    return frame


def _column(file: Path, names: object, wanted: str) -> str:
    known = [str(name) for name in names]  # type: ignore[attr-defined]
    for name in (wanted, f"{wanted}:escaped", f"{wanted}:token"):
        if name in known:
            return name
    guess = nearest(wanted, known)
    hint = f" Did you mean {guess!r}?" if guess else ""
    raise ConfigurationError(
        f"{file} has no column {wanted!r}; it has {', '.join(known)}.{hint} USER_ID_FIELD, ITEM_ID_FIELD, REVIEW_FIELD "
        f"and SUMMARY_FIELD name the columns"
    )
