"""The sources by name: which files they consist of."""

from __future__ import annotations

from pathlib import Path

from . import amazon, yelp
from .amazon_items import ITEMS
from .card import Card
from .convert import Options, Published, Watch, convert


def convert_amazon(
    reviews: Path | str,
    out: Path | str,
    *,
    meta: Path | str | None = None,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Card:
    """Convert Amazon Reviews of 2014, 2018 or 2023, which their fields tell apart, into the folder `out`.

    reviews, meta: files as published, plain or gzip.  out: the folder of the data set, which names it.
    watch: see `Watch`.  Raises as `convert` does.
    """
    described = () if meta is None else (("items", Path(meta), ITEMS),)
    published = Published(Path(reviews), amazon.recognise, described)  # type: ignore[arg-type]
    return convert(published, Path(out), options or Options(), watch)


def convert_yelp(
    reviews: Path | str,
    out: Path | str,
    *,
    business: Path | str | None = None,
    user: Path | str | None = None,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Card:
    """Convert Yelp's open data set into the folder `out`.

    reviews, business, user: yelp_academic_dataset_review.json and its fellows, plain or gzip.
    out: the folder of the data set, which names it.  Raises as `convert` does.
    """
    given = (("items", business, yelp.BUSINESSES), ("users", user, yelp.USERS))
    described = tuple((role, Path(file), what) for role, file, what in given if file is not None)
    published = Published(Path(reviews), yelp.recognise, described)  # type: ignore[arg-type]
    return convert(published, Path(out), options or Options(), watch)
