"""Texts to be scored: of items from their files, of users from the training split."""

from __future__ import annotations

import csv
import gzip
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, unknown_name
from burnish.files.data_names import OwnColumns, columns_beside, data_names, names_beside, own_columns
from burnish.files.near import did_you_mean
from burnish.speed.reading import numbered_rows

from .scorers.protocol import Texts
from .split import training_fingerprint

#: Columns that point somewhere instead of describing.
_POINTER = re.compile(r"(^|_)(id|ids|url|uri|link|asin|isbn|image)$", re.IGNORECASE)
_TEXTS = (".itemtext.tsv", ".itemtext.tsv.gz")


# ---------------------------------------------------------------------- items


def item_texts(
    source: Any, columns: Sequence[str] | None = None, *, itemtext: Path | str | bool = True
) -> Texts:
    """What the data set says about its items.

    source: RecBole's config or data set, or the folder of the atomic files (`.../ml-100k`, with ml-100k.item).
    columns: the text fields to take, in this order, as the file or the table that it was made of calls them; by default
        all columns of text (titles, genres, descriptions, years), without ids, links and other numbers.
    itemtext: also read `<dataset>.itemtext.tsv` or `.tsv.gz` where it lies beside (tab-separated, quotes are plain
        characters, the first line names the columns); its texts take the place of those of a column of the same
        name.  A path names another such file; False reads none.

    Items keep the order of the `.item` file; those of the text file alone come after them.
    Raises `DataError` where there is no file, no column of text, or an id twice; `UnknownNameError` for a column that
    is not there.
    """
    place = _Place.of(source)
    item_file = place.folder / f"{place.name}.item"
    text_file = _text_file(place, itemtext)
    tables: list[Texts] = []
    left_out: set[str] = set()
    if item_file.is_file():
        read, left_out = _read_item_file(item_file, place)
        tables.append(read)
    if text_file is not None:
        read, pointers = _read_text_file(text_file, place)
        tables.append(read)
        left_out = (left_out - set(read.fields)) | pointers
    if not tables:
        raise DataError(
            f"data set {place.name!r} has no texts: there is neither {item_file} nor {place.name}{_TEXTS[0]}[.gz] "
            f"beside it; put the items' titles and descriptions there, or score from a file (--scorer file)"
        )
    texts = tables[0] if len(tables) == 1 else _merged(*tables)
    title = place.own.title_of(texts.fields)
    if columns is not None:
        asked = [place.own.written(name, texts.fields, "item") for name in columns]
        for name in asked:
            if name not in texts.fields:
                raise unknown_name("text column", name, place.own.shown(texts.fields, "item"))
        if len(set(asked)) < len(asked) or not asked:
            raise ConfigurationError(f"columns = {list(columns)!r}; give at least one, and each once")
        fields = {own: texts.fields[name] for own, name in zip(columns, asked, strict=True)}
        return Texts(texts.ids, fields, title=dict(zip(asked, columns, strict=True)).get(title or ""))
    kinds = {name: values for name, values in texts.fields.items() if name not in left_out}
    if not kinds:
        raise DataError(
            f"data set {place.name!r}: its items have no column of text (there are {sorted(left_out)}); name "
            f"columns to take them all the same"
        )
    return Texts(texts.ids, kinds, title=title if title in kinds else None)


def title_field(texts: Texts, asked: str | None = None) -> str:
    """The field that names an item: the one asked for, else that of the data set, else the first.

    Raises `UnknownNameError` for a field that is not there.
    """
    if asked is not None:
        if asked not in texts.fields:
            raise unknown_name("title field", asked, texts.fields)
        return asked
    return texts.title or OwnColumns().title_of(texts.fields) or next(iter(texts.fields))


@dataclass(frozen=True)
class _Place:
    """Where a data set's files are and how they are written."""

    folder: Path
    name: str
    keys: tuple[str, ...]
    separator: str
    sequence: str
    encoding: str
    own: OwnColumns

    @classmethod
    def of(cls, source: Any) -> _Place:
        if isinstance(source, (str, Path)):
            folder = Path(source)
            if not folder.is_dir():
                raise DataError(
                    f"{folder} is not a folder; give the folder of a data set, with {folder.name}.item in it"
                )
            name = folder.resolve().name
            return cls(
                folder,
                name,
                names_beside(folder, name).item_columns,
                "\t",
                " ",
                "utf-8",
                columns_beside(folder, name),
            )
        config = getattr(source, "config", source)
        return cls(
            Path(config["data_path"]),
            config["dataset"],
            data_names(config).item_columns,
            config["field_separator"] or "\t",
            config["seq_separator"] or " ",
            config["encoding"] or "utf-8",
            own_columns(config),
        )


def _text_file(place: _Place, asked: Path | str | bool) -> Path | None:
    if asked is False:
        return None
    if asked is not True:
        path = Path(asked)
        if not path.is_file():
            raise DataError(f"file of item texts {str(path)!r} does not exist.{did_you_mean(path)}")
        return path
    files = [path for suffix in _TEXTS if (path := place.folder / f"{place.name}{suffix}").is_file()]
    return files[0] if files else None


def _read_item_file(path: Path, place: _Place) -> tuple[Texts, set[str]]:
    """All columns of RecBole's item file, and those of them that are numbers and pointers."""
    found = list(numbered_rows(path, place.separator, place.encoding, "replace"))
    head = [column.split(":") for column in found[0][1]] if found else [[""]]
    names = [column[0] for column in head]
    rows = found[1:]
    kinds = {column[0]: column[1] if len(column) > 1 else "token" for column in head}
    others = {
        name
        for name, kind in kinds.items()
        if _POINTER.search(name) or kind == "float_seq" or (kind == "float" and "year" not in name.lower())
    }

    def cleaned(name: str, text: str) -> str:
        if kinds[name] == "token_seq" and place.sequence != " ":
            return ", ".join(part.strip() for part in text.split(place.sequence))
        return text.strip()

    return _columns(path, names, place.keys, rows, cleaned), others


def _read_text_file(path: Path, place: _Place) -> tuple[Texts, set[str]]:
    """All columns of a file of texts, and those of them that are pointers."""
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    limit = csv.field_size_limit(sys.maxsize // 2**32)  # texts may be longer than the csv module's 128 KiB
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            names = [name.split(":")[0] for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"file of item texts {path} cannot be read: {error}") from error
    finally:
        csv.field_size_limit(limit)
    pointers = {name for name in names if _POINTER.search(name)}
    return _columns(path, names, place.keys, rows, lambda name, text: text.strip()), pointers


def _columns(
    path: Path,
    names: list[str],
    keys: tuple[str, ...],
    rows: list[tuple[int, list[str]]],
    cleaned: Callable[[str, str], str],
) -> Texts:
    """Cells as texts by field.  Raises `DataError` for a missing column of ids, short rows and repeated ids."""
    key = next((one for one in keys if one in names), None)
    if key is None:
        shown = ", ".join(map(short, names[:8])) + (", ..." if len(names) > 8 else "")
        raise DataError(
            f"{path} has no column {keys[0]!r} of item ids (it has {shown}); rename it, or set RecBole's ITEM_ID_FIELD"
        )
    for number, row in rows:
        if len(row) != len(names):
            raise DataError(f"{path}, line {number} has {len(row)} cells and the first line {len(names)}")
    at = names.index(key)
    ids = tuple(row[at].strip() for _, row in rows)
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        for (number, _), token in zip(rows, ids, strict=True):
            if token in seen:
                raise DataError(f"{path}, line {number}: the item {short(token)} has been there already")
            seen.add(token)
    fields = {
        name: tuple(cleaned(name, row[place]) for _, row in rows)
        for place, name in enumerate(names)
        if place != at
    }
    return Texts(ids, fields)


def _merged(first: Texts, second: Texts) -> Texts:
    """Both; where both have a text, the second's."""
    ids = tuple(dict.fromkeys((*first.ids, *second.ids)))
    fields: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys((*first.fields, *second.fields)):
        known: dict[str, str] = {}
        for part in (first, second):
            if name in part.fields:
                known |= {
                    token: text for token, text in zip(part.ids, part.fields[name], strict=True) if text
                }
        fields[name] = tuple(known.get(token, "") for token in ids)
    return Texts(ids, fields)


# ---------------------------------------------------------------------- users


def user_texts(
    train: Any, items: Texts, *, most: int = 50, title: str | None = None, ratings: bool = True
) -> Texts:
    """What each user chose in training: the field `history`, one item a line, the most recent last.

    train: RecBole's data set of the *training split* (`train_loader.dataset`), plain or sequential; nothing else is
        looked at.  Where the data have a time, items come in its order; else in the order of the rows.
        Of sequential data, a history goes back as far as MAX_ITEM_LIST_LENGTH.
    items: their texts (`item_texts`).  title: the field that names an item; by default `title_field`.
    most: the last so many items of a user.  ratings: add `(rated 4)` where training rows have a rating; where RecBole
        has normalised them (`normalize_all`, set for its ml-100k), `(rated 75%)` of the way from lowest to highest.

    All users of the data set are there, in its order; one without training interactions has an empty history.
    Items without a title are left out.  `split` is the fingerprint of these training rows.
    """
    if most < 1:
        raise ConfigurationError(f"most = {most}: show at least one item of a history")
    names = dict(zip(items.ids, items.fields[title_field(items, title)], strict=True))
    users, chosen, rated = _interactions(train, ratings)
    tokens = [str(token) for token in train.id2token(train.iid_field, np.arange(train.item_num))[1:]]
    titles = ["", *(names.get(token, "") for token in tokens)]
    normalised = _normalised(train.config)
    histories: list[list[str]] = [[] for _ in range(train.user_num)]
    for row, (user, item) in enumerate(zip(users.tolist(), chosen.tolist(), strict=True)):
        if titles[item]:
            rating = "" if rated is None else f" (rated {rated[row]:{'.0%' if normalised else 'g'}})"
            histories[user].append(f"{titles[item]}{rating}")
    ids = tuple(str(token) for token in train.id2token(train.uid_field, np.arange(train.user_num))[1:])
    shown = {"history": tuple("\n".join(lines[-most:]) for lines in histories[1:])}
    return Texts(ids, shown, training_fingerprint(train))


def _normalised(config: Any) -> bool:
    """Whether RecBole has put ratings between 0 and 1."""
    return bool(config["normalize_all"]) or config["RATING_FIELD"] in (config["normalize_field"] or ())


IntArray = np.ndarray[Any, np.dtype[np.int64]]


def _interactions(train: Any, ratings: bool) -> tuple[IntArray, IntArray, Any]:
    """Users, items and ratings (None where there are none) of training interactions, each user's in order of time."""
    features = train.inter_feat
    columns = features.interaction if hasattr(features, "interaction") else features
    config = train.config
    rating = config["RATING_FIELD"] if ratings and config["RATING_FIELD"] in columns else None
    users, items = _array(columns, train.uid_field), _array(columns, train.iid_field)
    rated = None if rating is None else _array(columns, rating)
    order = np.arange(len(users))
    time = config["TIME_FIELD"]
    if time in columns:
        order = np.argsort(_array(columns, time), kind="stable")
    suffix = config["LIST_SUFFIX"]
    lists = f"{train.iid_field}{suffix}" if suffix else None
    if lists is None or lists not in columns:
        return users[order], items[order], None if rated is None else rated[order]
    # Sequential data have a row for each prefix: a user's longest, and of equal ones the last, holds the others.
    lengths = _array(columns, config["ITEM_LIST_LENGTH_FIELD"]).astype(np.int64)
    order = order[np.argsort(lengths[order], kind="stable")]
    last = {int(users[row]): int(row) for row in order}
    before = None if rating is None else columns.get(f"{rating}{suffix}")
    parts: list[tuple[int, list[int], list[float]]] = []
    for user, row in last.items():
        n = int(lengths[row])
        history = [*np.asarray(columns[lists][row])[:n].tolist(), int(items[row])]
        stars = [] if before is None or rated is None else [*before[row][:n].tolist(), float(rated[row])]
        parts.append((user, history, stars))
    return (
        np.array([user for user, history, _ in parts for _ in history], dtype=np.int64),
        np.array([item for _, history, _ in parts for item in history], dtype=np.int64),
        None if before is None else np.array([star for *_, stars in parts for star in stars]),
    )


def _array(columns: Any, name: str) -> Any:
    values = columns[name]
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
