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
    """Convert Amazon Reviews of 2014, 2018 or 2023, which their fields tell apart.

    Parameters
    ----------
    reviews
        The file as published, plain or gzip.
    out
        The folder of the data set, which names it.
    meta
        The file that describes the items.
    options
        What stays and how it is written.
    watch
        Called with what is being done, the bytes read so far and the bytes of the file.

    Returns
    -------
    Card
        What was read, left out and written.

    Raises
    ------
    DataError
        For a file that cannot be used, a full disk, and where no rating stays.
    ConfigurationError
        For an `out` that cannot be made.
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
    """Convert Yelp's open data set.

    Parameters
    ----------
    reviews
        The file yelp_academic_dataset_review.json, plain or gzip.
    out
        The folder of the data set, which names it.
    business, user
        Its fellows, which describe items and users.
    options
        What stays and how it is written.
    watch
        Called with what is being done, the bytes read so far and the bytes of the file.

    Returns
    -------
    Card
        What was read, left out and written.

    Raises
    ------
    DataError
        For a file that cannot be used, a full disk, and where no rating stays.
    ConfigurationError
        For an `out` that cannot be made.
    """
    given = (("items", business, yelp.BUSINESSES), ("users", user, yelp.USERS))
    described = tuple((role, Path(file), what) for role, file, what in given if file is not None)
    published = Published(Path(reviews), yelp.recognise, described)  # type: ignore[arg-type]
    return convert(published, Path(out), options or Options(), watch)
