"""Amazon's metadata of items, of all three collections, as columns of RecBole's item file.

Mean ratings and their numbers (2023) are left out: they are taken over all ratings, those of the test split too.
"""

from __future__ import annotations

from collections.abc import Iterator

from .formats import Description
from .record_values import cell, price_cell, token_cell, token_seq_cell
from .records import Record

#: Titles of 2018 that are scripts of the page instead of a title; the collection's authors filter them like this.
_SCRIPT = "getTime"


def _title(record: Record) -> str:
    title = cell(record.get("title"))
    return "" if _SCRIPT in title else title


def _flat(values: object) -> Iterator[object]:
    """Categories come as a list (2018, 2023), or as a list of paths (2014)."""
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    elif values is not None:
        yield values


def _categories(record: Record) -> str:
    return token_seq_cell(_flat(record.get("categories") or record.get("category")))


def _brand(record: Record) -> str:
    brand = token_cell(record.get("brand"))
    return "" if _SCRIPT in brand else brand


def _main_category(record: Record) -> str:
    category = token_cell(record.get("main_category") or record.get("main_cat"))
    return (
        "" if category.startswith("<") else category
    )  # 2018 has the markup of a picture in its place at times


ITEMS = Description(
    kind="item",
    fields=("parent_asin", "asin"),
    cells={
        "title:token_seq": _title,
        "main_category:token": _main_category,
        "categories:token_seq": _categories,
        "price:float": lambda record: price_cell(record.get("price")),
        "brand:token": _brand,
        "store:token": lambda record: token_cell(record.get("store")),
        "features:token_seq": lambda record: cell(record.get("features") or record.get("feature")),
        "description:token_seq": lambda record: cell(record.get("description")),
    },
)
