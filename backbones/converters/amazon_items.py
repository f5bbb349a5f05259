"""Amazon's metadata of items, of all three collections, as columns of RecBole's item file.

Mean ratings and their numbers (2023) are left out: they are taken over all ratings, those of the test split too.
"""

from __future__ import annotations

from collections.abc import Iterator

from .records import Record
from .source import Description
from .values import cell, label, price, words

#: Titles of 2018 that are scripts of the page instead of a title; the collection's authors filter them like this.
_SCRIPT = "getTime"


def _title(record: Record) -> str:
    found = cell(record.get("title"))
    return "" if _SCRIPT in found else found


def _flat(values: object) -> Iterator[object]:
    """Categories come as a list (2018, 2023), or as a list of paths (2014)."""
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    elif values is not None:
        yield values


def _categories(record: Record) -> str:
    return words(_flat(record.get("categories") or record.get("category")))


def _brand(record: Record) -> str:
    found = label(record.get("brand"))
    return "" if _SCRIPT in found else found


def _group(record: Record) -> str:
    found = label(record.get("main_category") or record.get("main_cat"))
    return "" if found.startswith("<") else found  # 2018 has the markup of a picture in its place at times


ITEMS = Description(
    kind="item",
    fields=("parent_asin", "asin"),
    cells={
        "title:token_seq": _title,
        "main_category:token": _group,
        "categories:token_seq": _categories,
        "price:float": lambda record: price(record.get("price")),
        "brand:token": _brand,
        "store:token": lambda record: label(record.get("store")),
        "features:token_seq": lambda record: cell(record.get("features") or record.get("feature")),
        "description:token_seq": lambda record: cell(record.get("description")),
    },
)
