"""What `burnish guide` works on: the texts of a data set's items, and of users from its training split."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.texts import item_texts, title_field, user_texts
from burnish.files.data_names import split_names

from .run_request import RunRequest
from .splits import data_config, training_split


def config_of(request: RunRequest) -> Any:
    """RecBole's config of the data set that is asked for, split as for the request's backbone and seed."""
    return data_config(
        request.dataset,
        backbone=request.model,
        config_files=request.config_files,
        options=request.options,
        seed=request.seed,
    )


def texts_to_score(
    config: Any,
    *,
    columns: str | None = None,
    itemtext: Path | None = None,
    users: bool = False,
    most: int | None = None,
) -> Texts:
    """The texts of a data set's items or, read from its training split, of its users.

    Parameters
    ----------
    config
        Of the data set.
    columns
        Text columns of the items, separated by commas.
    itemtext
        A file with more text of the items.
    users
        Give the users' training histories instead.
    most
        The last so many items of a history (50).
    """
    names = None if columns is None else [name for name in split_names(columns) if name]
    items = item_texts(config, names, itemtext=True if itemtext is None else itemtext)
    if not users:
        return items
    split = training_split(config)
    logging.getLogger().info("texts of users come from %d training interactions", len(split))
    return user_texts(split, items, most=most or 50)


def titles_of(config: Any) -> dict[str, str]:
    """Names of items for people; empty where the data have none."""
    from burnish.errors import DataError

    try:
        items = item_texts(config)
    except DataError:
        return {}
    return dict(zip(items.ids, items.fields[title_field(items)], strict=True))
