"""The first lines of a data set's atomic files: which columns there are, of which types, in which encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, DataError, nearest
from burnish.files.data_names import own_columns
from burnish.speed.reading import numbered_rows

from .declared import misspelt

TYPES = ("token", "token_seq", "float", "float_seq")
#: How to write times.
TIMES = (
    "write seconds since 1970 (in pandas: pd.to_datetime(times, utc=True).map(lambda t: t.timestamp())), or leave "
    "the column out of load_col"
)
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_ARCHIVES = ((b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "a gzip file"), (b"PAR1", "a parquet file"))
_KNOWLEDGE_SEQUENTIAL = ("GRU4RecKG", "KSR")


@dataclass(frozen=True)
class Head:
    """The columns of one atomic file.

    source: what `load_col` calls the file, such as "inter".  types: of all columns, in their order.
    loaded: the columns that are read under `load_col` and `unload_col`.
    """

    path: Path
    source: str
    types: dict[str, str]
    loaded: tuple[str, ...]


def is_knowledge(config: Any) -> bool:
    """Whether the model reads a knowledge graph."""
    return config["MODEL_TYPE"].name == "KNOWLEDGE" or config["model"] in _KNOWLEDGE_SEQUENTIAL


def learns_ratings(config: Any) -> bool:
    """Whether the model predicts ratings: its class says so by the options that it settles."""
    return any(base.__name__ == "RatingModel" for base in config.model_class.__mro__)


def sources(config: Any) -> list[tuple[str, Path]]:
    """The atomic files of a data set that RecBole reads for a model, by what `load_col` calls them."""
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = config["benchmark_filename"]
    names = [f"{name}.{part}.inter" for part in parts] if parts else [f"{name}.inter"]
    files = [("inter", folder / file) for file in names]
    for source in ("user", "item"):
        file = folder / f"{name}.{source}"
        if file.exists():
            files.append((source, file))
        elif _asked_for(config, source):
            raise DataError(
                f"load_col = {config['load_col']!r}: {file} does not exist; put it there, or leave {source} out of "
                f"load_col"
            )
    wanted = [*(("kg", "link") if is_knowledge(config) else ()), *(config["additional_feat_suffix"] or ())]
    for source in wanted:
        file = folder / f"{name}.{source}"
        if not file.exists():
            raise DataError(f"{file} does not exist, and {_why_wanted(config, source)}")
        files.append((source, file))
    return files


def _why_wanted(config: Any, source: str) -> str:
    """Why a model reads a file, and what to do about it."""
    model = config["model"]
    if source == "kg":
        return (
            f"{model} reads a knowledge graph; put its triples there, as in "
            f"head_id:token<TAB>relation_id:token<TAB>tail_id:token, or make a data set with a graph of the items' "
            f"columns (burnish paths export), or take a model that reads none"
        )
    if source == "link":
        return (
            f"{model} reads which entity of the graph an item is; put it there, as in "
            f"item_id:token<TAB>entity_id:token (burnish paths export makes both files of what the items' columns say)"
        )
    if model in _KNOWLEDGE_SEQUENTIAL and source in ("ent", "rel"):
        what = "entities" if source == "ent" else "relations"
        return (
            f"{model} reads vectors of {what} that were trained before, on the graph; put them there, as in "
            f"{source}_id:token<TAB>{source}_emb:float_seq (numbers between blanks)"
        )
    return f"additional_feat_suffix = {config['additional_feat_suffix']!r} names it; put it there"


def _asked_for(config: Any, source: str) -> bool:
    return "load_col" in config.external_config_dict and source in (config["load_col"] or ())


def read_heads(config: Any) -> list[Head]:
    """The heads of all files that are read, checked.

    Raises
    ------
    DataError
        For a file that cannot be read as atomic files are; it names file, line or column, value and cure.
    ConfigurationError
        For `load_col` and its fellows where they do not suit the files.
    """
    files = sources(config)
    _check_sources(config, {source for source, _ in files})
    return [
        _read_head(config, source, file) for source, file in files if _columns_wanted(config, source) != ()
    ]


def _read_head(config: Any, source: str, file: Path) -> Head:
    separator = config["field_separator"]
    line = _first_line(file, config["encoding"])
    cells = line.split(separator)
    _check_separator(file, line, separator)
    types: dict[str, str] = {}
    for cell in cells:
        name, kind = _name_and_type(file, cell)
        if name in types:
            raise DataError(f"{file}, line 1: two columns are called {name!r}; rename or remove one of them")
        types[name] = kind
    return Head(file, source, types, _loaded(config, source, file, types))


def _first_line(file: Path, encoding: str | None) -> str:
    if not file.is_file():
        raise DataError(f"{file} is not a file; put the atomic file there, or remove it")
    try:
        with file.open("rb") as stream:
            start = stream.readline(2**20)
            more = stream.read(2**16)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; make it readable") from error
    for mark, kind in _ARCHIVES:
        if start.startswith(mark):
            raise DataError(f"{file} is {kind}; unpack it into a text file of the same name")
    wide = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if wide and not str(encoding).lower().replace("_", "-").startswith(wide):
        raise DataError(
            f"{file} begins with a byte order mark of {wide}, and encoding = {encoding or 'utf-8'!r}; write it as "
            f"UTF-8, or say encoding: {wide}"
        )
    if not wide and b"\0" in start and "16" not in str(encoding) and "32" not in str(encoding):
        raise DataError(
            f"{file}, line 1 holds NUL bytes: {start[:24]!r}; write it as UTF-8 text, or say its encoding, as in "
            f"encoding: utf-16-le"
        )
    if "16" in str(encoding) or "32" in str(encoding):
        text = _decoded_line(file, str(encoding))
    else:
        name = reading_encoding(file, encoding)
        try:
            text = start.decode(name)
            codecs.getincrementaldecoder(name)().decode(start + more)  # RecBole decodes more than the line
        except UnicodeDecodeError as error:
            line = (start + more)[: error.start].count(b"\n") + 1 if len(error.object) > len(start) else 1
            raise DataError(not_decodable(file, line, error, encoding)) from error
    text = text.rstrip("\r\n")
    if not text.strip():
        what = "is empty" if not file.stat().st_size else "has a blank first line"
        raise DataError(
            f"{file} {what}; the first line names the columns, as in user_id:token<TAB>item_id:token<TAB>rating:float"
        )
    if "\r" in text:
        raise DataError(
            f"{file}, line 1 ends with a lone carriage return; write the file with line ends of Unix or Windows"
        )
    if not more and not start.endswith(b"\n"):
        raise DataError(f"{file} has a header and no rows; add rows, or remove the file")
    return text


def _decoded_line(file: Path, encoding: str) -> str:
    try:
        with file.open(encoding=encoding) as stream:
            return stream.readline(2**20)
    except UnicodeError as error:
        raise DataError(
            f"{file} is not {encoding} as encoding = {encoding!r} says: {error}; write it so, or say another encoding"
        ) from error


def reading_encoding(file: Path, encoding: str | None) -> str:
    """The encoding that a file is read in: UTF-8 whatever the locale, without a byte order mark."""
    name = encoding or "utf-8"
    with file.open("rb") as stream:
        marked = stream.read(3) == codecs.BOM_UTF8
    return "utf-8-sig" if marked and codecs.lookup(name).name == "utf-8" else name


def first_cell(head: Head, column: str, separator: str, encoding: str | None) -> str:
    """What stands in a column's first row of data, for messages; "" where there is none."""
    try:
        rows = numbered_rows(head.path, separator, encoding)
        next(rows, None)
        cells = next(rows, (0, [""]))[1]
    except UnicodeError:
        return ""
    place = list(head.types).index(column)
    return cells[place] if place < len(cells) else ""


def not_decodable(file: Path, line: int, error: UnicodeError, encoding: str | None) -> str:
    """The message for bytes that are not in the encoding."""
    bad = error.object[error.start : error.start + 4] if isinstance(error, UnicodeDecodeError) else b""
    return (
        f"{file}, line {line}: the bytes {bytes(bad)!r} are not {encoding or 'utf-8'}; write the file as UTF-8, or "
        f"say what it is written in, as in encoding: latin-1"
    )


def _check_separator(file: Path, line: str, separator: str) -> None:
    if separator in line or line.count(":") < 2:
        return
    for other, name in (("\t", "tabs"), (",", "commas"), (";", "semicolons"), ("|", "bars"), (" ", "blanks")):
        if other in line:
            raise DataError(
                f"{file}, line 1: {line[:80]!r} has {name} where field_separator = {separator!r} is expected; write "
                f"the file with it, or say field_separator: {other!r}"
            )


def _name_and_type(file: Path, cell: str) -> tuple[str, str]:
    name, colon, kind = cell.partition(":")
    example = f"{name.strip() or 'user_id'}:token"
    if not colon or not name or not kind or ":" in kind:
        raise DataError(
            f"{file}, line 1: the header cell {cell!r} is not NAME:TYPE, as in {example}; types are "
            f"{', '.join(TYPES)}"
        )
    if kind not in TYPES:
        guess = nearest(kind.strip(), TYPES) or (
            "float" if kind.strip() in ("int", "integer", "double") else "token"
        )
        raise DataError(
            f"{file}, line 1: column {name!r} has the type {kind!r}, which is not one of {', '.join(TYPES)}; did you "
            f"mean {name}:{guess}?"
        )
    if name != name.strip() or name.strip('"') != name:
        raise DataError(f"{file}, line 1: the name in {cell!r} has blanks or quotes around it; remove them")
    return name, kind


# ---------------------------------------------------------------------- load_col, unload_col, unused_col


def _columns_wanted(config: Any, source: str) -> tuple[str, ...] | None:
    """What `load_col` asks of a file: None for all, () for nothing."""
    load = config["load_col"]
    if load is None:
        return None
    if source not in load:
        return ()
    return None if load[source] == "*" else tuple(load[source])


#: Options that name columns, by file.
BY_FILE = ("load_col", "unload_col", "unused_col")


def check_columns(option: str, value: Any, user: str = "user_id", item: str = "item_id") -> None:
    """Raise `ConfigurationError` where one of `BY_FILE` names no columns of a file.  user, item: for an example."""
    for source, names in (value or {}).items():
        if names == "*" and option == "load_col":
            continue
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ConfigurationError(
                f"{option}.{source} = {names!r}: give a list of columns, as in [{user}, {item}]"
                + (', or "*" for all' if option == "load_col" else "")
            )


def _check_sources(config: Any, present: Iterable[str]) -> None:
    """The keys and shapes of the three options, whatever the files hold."""
    given = config.external_config_dict
    known = {"inter", "user", "item", "kg", "link", *present}
    for option in BY_FILE:
        if option not in given or given[option] is None:
            continue
        for source in given[option]:
            if source not in known:
                raise misspelt(f"{option}: file", str(source), known)
        check_columns(option, given[option], config["USER_ID_FIELD"], config["ITEM_ID_FIELD"])
    for source in config["unload_col"] or ():
        if _columns_wanted(config, source):
            raise ConfigurationError(
                f"unload_col.{source} = {config['unload_col'][source]!r} and load_col.{source} = "
                f"{config['load_col'][source]!r}: give one of the two (load_col: null reads all columns)"
            )
    if _columns_wanted(config, "inter") == ():
        raise ConfigurationError(
            f"load_col = {config['load_col']!r} reads nothing of the interactions; add inter: "
            f"[{config['USER_ID_FIELD']}, {config['ITEM_ID_FIELD']}]"
        )


def _loaded(config: Any, source: str, file: Path, types: dict[str, str]) -> tuple[str, ...]:
    wanted = _columns_wanted(config, source)
    left_out = (config["unload_col"] or {}).get(source, ())
    given = config.external_config_dict
    for option, names in (("load_col", wanted or ()), ("unload_col", left_out)):
        for name in names if option in given else ():
            if name not in types:
                raise misspelt(
                    f"{option}.{source}: column",
                    name,
                    own_columns(config).shown(types, source),
                    cure=f"{file} does not have it; its first line names them.",
                )
    return tuple(name for name in types if (wanted is None or name in wanted) and name not in left_out)
