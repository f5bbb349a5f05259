"""What the tables that a data set was made of called their columns: the card of `burnish data csv` remembers it."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The ending of a card beside the atomic files.
CARD = ".card.json"


def data_set_in(folder: Path) -> str | None:
    """The file by which a folder is seen to hold a data set, such as `shop.inter`; None for another folder."""
    try:
        names = sorted(one.name for one in folder.iterdir() if one.is_file())
    except OSError:
        return None
    own = f"{folder.resolve().name}."
    parts = [name for name in names if name.startswith(own) and name.endswith((".inter", CARD))]
    return next(iter(sorted(parts, key=lambda name: not name.endswith(".inter"))), None)


@dataclass(frozen=True)
class DataNames:
    """Names of the columns of ids.

    user, item: as people know them, for heads of tables.  user_columns, item_columns: all names that say in a file that
    a column holds these ids, RecBole's own first.
    """

    user: str = "user"
    item: str = "item"
    user_columns: tuple[str, ...] = ("user_id",)
    item_columns: tuple[str, ...] = ("item_id",)

    def heads(self, others: Collection[str]) -> dict[str, str]:
        """What the columns `user` and `item` of a table are to be called.

        others: its other columns; a name that one of them has is left alone.
        """
        wanted = {"user": self.user, "item": self.item}
        clash = self.user == self.item or {self.user, self.item} & (set(others) - {"user", "item"})
        swapped = self.user == "item" or self.item == "user"
        return {} if clash or swapped else {own: name for own, name in wanted.items() if own != name}


def data_names(config: Any) -> DataNames:
    """The names of a data set, from its card where it has one and from the fields of RecBole's config."""
    return names_beside(
        Path(config["data_path"]), config["dataset"], config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    )


def names_beside(
    folder: Path, name: str, user_field: str | None = "user_id", item_field: str | None = "item_id"
) -> DataNames:
    """The names of the data set whose atomic files lie in a folder.

    A card that is missing, damaged or of another converter tells no names.
    """
    told = _told(folder / f"{name}{CARD}")
    sides = {}
    for side, asked in (("user", user_field), ("item", item_field)):
        usual = f"{side}_id"
        own = told.get(side) or (asked if asked != usual else None)
        columns = tuple(dict.fromkeys(one for one in (asked or usual, own, usual) if one))
        sides[side] = (own or side, columns)
    return DataNames(sides["user"][0], sides["item"][0], sides["user"][1], sides["item"][1])


def _card(card: Path) -> dict[str, Any]:
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _told(card: Path) -> dict[str, str]:
    names = _card(card).get("names")
    if not isinstance(names, dict):
        return {}
    return {str(role): name for role, name in names.items() if isinstance(name, str) and name.strip()}


def split_names(text: str) -> list[str]:
    """Names between commas; one that has commas itself stands in double quotes."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), None) or [""]]


# ---------------------------------------------------------------------- all columns


@dataclass(frozen=True)
class OwnColumns:
    """What the tables called all columns of a data set.

    files: by the ending of a file, such as "item", the names that are written there by those of the table.
    title: the column of the item file that names items for people; None where no card says.
    """

    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    title: str | None = None

    def written(self, asked: str, known: Collection[str] | None = None, file: str | None = None) -> str:
        """The name in a data set's file of a column that a person names; `asked` itself where nothing is known of it.

        known: the columns of the file, by default those of the card; a name that is there stands for itself.
        file: its ending; None for the first that has such a column.
        """
        for own in self._of(file):
            there = own.values() if known is None else known
            if asked in there:
                return asked
        for own in self._of(file):
            there = own.values() if known is None else known
            plain = {_plain(name): written for name, written in own.items()}
            found = own.get(asked, plain.get(_plain(asked)))
            if found is not None and found in there:
                return found
        return asked

    def title_of(self, names: Collection[str]) -> str | None:
        """Of these columns of the item file the one that names items: that of the card, else by its usual name."""
        return self.title if self.title in names else usual_title(names)

    def own(self, written: str, file: str) -> str:
        """What the table called a column; its written name where nothing is known of it."""
        return next((own for own, name in self.files.get(file, {}).items() if name == written), written)

    def shown(self, known: Iterable[str], file: str) -> list[str]:
        """Columns of a file as the table called them, for messages."""
        return [self.own(name, file) for name in known]

    def _of(self, file: str | None) -> list[Mapping[str, str]]:
        return list(self.files.values()) if file is None else [self.files.get(file, {})]


def _plain(name: str) -> str:
    """A name without what shells, editors and file systems change in it."""
    return unicodedata.normalize("NFC", name).strip()


def own_columns(config: Any) -> OwnColumns:
    """What the tables of a data set called its columns, from its card; RecBole's config says where that lies."""
    return columns_beside(Path(str(config["data_path"] or "")), str(config["dataset"]))


def columns_beside(folder: Path, name: str) -> OwnColumns:
    """The same, of the data set whose files lie in a folder; nothing where there is no card of `burnish data csv`."""
    card = _card(folder / f"{name}{CARD}")
    files: dict[str, dict[str, str]] = {}
    columns = card.get("columns")
    for one in columns if isinstance(columns, list) else ():
        given = [one.get(part) for part in ("file", "source", "name")] if isinstance(one, dict) else []
        parts = [part for part in given if isinstance(part, str)]
        if len(parts) == 3:
            files.setdefault(parts[0], {}).setdefault(parts[1], parts[2])
    title = card.get("title")
    return OwnColumns(files, title if isinstance(title, str) and title else None)


#: Names of columns that hold the name of an item, in small letters and without signs; the most telling first.
_TITLES = (
    *("movietitle", "title", "name", "itemname", "itemtitle", "productname", "producttitle", "booktitle"),
    *("trackname", "tracktitle", "songname", "songtitle", "song", "headline"),
    *(
        "titel",
        "bezeichnung",
        "produktname",
        "artikelname",
        "titre",
        "nom",
        "titulo",
        "nombre",
        "titolo",
        "nome",
    ),
)
#: Names that end so name an item, but those of somebody or something else.
_ENDS = re.compile(r"(^|_)(title|name|song|headline)$", re.IGNORECASE)
_OTHERS = re.compile(
    r"(^|[\W_])(user|customer|author|artist|actor|director|brand|category|genre|publisher|seller|vendor|store|shop|"
    r"city|country|company|manufacturer|file|first|last|nick|series|type|job)s?[\W_]*name$",
    re.IGNORECASE,
)


def usual_title(names: Iterable[str]) -> str | None:
    """Of these columns the one whose name says that it names items, as `title` and `Name (de)` do; None for none."""
    names = list(names)
    told: dict[str, str] = {}
    for name in names:
        words = [word for word in re.split(r"[\W_]+", unicodedata.normalize("NFKD", name.lower())) if word]
        words = [word for word in words if not unicodedata.combining(word[0])]
        told.setdefault("".join(words), name)
        if len(words) > 1 and len(words[-1]) == 2:  # of a language
            told.setdefault("".join(words[:-1]), name)
    found = next((told[usual] for usual in _TITLES if usual in told), None)
    return found or next((name for name in names if _ENDS.search(name) and not _OTHERS.search(name)), None)
