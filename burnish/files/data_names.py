"""What the tables that a data set was made of called their columns: the card of `burnish data csv` remembers it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
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
    for side, field in (("user", user_field), ("item", item_field)):
        usual = f"{side}_id"
        own = told.get(side) or (field if field != usual else None)
        columns = tuple(dict.fromkeys(one for one in (field or usual, own, usual) if one))
        sides[side] = (own or side, columns)
    return DataNames(sides["user"][0], sides["item"][0], sides["user"][1], sides["item"][1])


def _told(card: Path) -> dict[str, str]:
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    names = content.get("names") if isinstance(content, dict) else None
    if not isinstance(names, dict):
        return {}
    return {str(role): name for role, name in names.items() if isinstance(name, str) and name.strip()}
