"""A small cut of RecBole's ml-100k with all of its files: the same columns, fewer users, items and triples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import recbole

USERS, ITEMS, TRIPLES_AN_ITEM = 60, 100, 12
#: What `.kg` and `.link` hold, beside the three tables.
FILES = ("inter", "user", "item", "kg", "link")


def write_cut(folder: Path, name: str = "cut", files: tuple[str, ...] = FILES) -> Path:
    """Write `<folder>/<name>/<name>.inter` and its fellows; gives the folder of the data set.

    The items are those with most interactions, the users those with most of these, and each of them has its row in the
    files beside.  Triples are the first of each entity that an item is linked to, as head or as tail.
    """
    source = Path(recbole.__file__).parent / "dataset_example" / "ml-100k" / "ml-100k"
    tables = {
        kind: pd.read_csv(f"{source}.{kind}", sep="\t", dtype=str, keep_default_na=False) for kind in FILES
    }
    inter = tables["inter"]
    inter = inter[inter["item_id:token"].isin(_most(inter["item_id:token"], ITEMS))]
    inter = inter[inter["user_id:token"].isin(_most(inter["user_id:token"], USERS))]
    # A quarter of each user's rows keeps epochs short, and every user with enough to be split.
    inter = inter[inter.groupby("user_id:token").cumcount() % 4 == 0]
    tables["inter"] = inter
    for kind, key in (("user", "user_id:token"), ("item", "item_id:token"), ("link", "item_id:token")):
        table = tables[kind]
        tables[kind] = table[table[key].isin(set(inter[key]))]
    triples, linked = tables["kg"], set(tables["link"]["entity_id:token"])
    parts = [
        triples[triples[end].isin(linked)].groupby(end).head(TRIPLES_AN_ITEM)
        for end in ("head_id:token", "tail_id:token")
    ]
    tables["kg"] = pd.concat(parts).drop_duplicates()
    target = folder / name
    target.mkdir(parents=True)
    for kind in files:
        tables[kind].to_csv(target / f"{name}.{kind}", sep="\t", index=False)
    return target


def _most(values: pd.Series, number: int) -> set[str]:
    counts = values.value_counts()
    order = sorted(counts.index, key=lambda value: (-counts[value], value))
    return set(order[:number])
