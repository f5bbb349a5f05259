"""What `burnish guide` works on: the texts of a data set's items, and of users from its training split."""

from __future__ import annotations

import logging
from pathlib import Path

from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.texts import item_texts, title_field, user_texts

from .run_request import RunRequest
from .splits import data_config, training_split


def texts_to_score(
    request: RunRequest,
    *,
    columns: str | None = None,
    itemtext: Path | None = None,
    users: bool = False,
    most: int | None = None,
) -> Texts:
    """The texts of a data set's items or, read from its training split, of its users.

    Parameters
    ----------
    request
        The data set and, for the split, backbone, seed and RecBole's options.
    columns
        Text columns of the items, separated by commas.
    itemtext
        A file with more text of the items.
    users
        Give the users' training histories instead.
    most
        The last so many items of a history (50).
    """
    config = data_config(
        request.dataset,
        backbone=request.model,
        config_files=request.config_files,
        options=request.options,
        seed=request.seed,
    )
    names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    items = item_texts(config, names, itemtext=True if itemtext is None else itemtext)
    if not users:
        return items
    split = training_split(config)
    logging.getLogger().info("texts of users come from %d training interactions", len(split))
    return user_texts(split, items, most=most or 50)


def titles_of(dataset: str, data_path: Path | None) -> dict[str, str]:
    """Names of items for people; empty where the data have none."""
    from burnish.errors import DataError

    options = {} if data_path is None else {"data_path": str(data_path)}
    try:
        items = item_texts(data_config(dataset, options=options))
    except DataError:
        return {}
    return dict(zip(items.ids, items.fields[title_field(items)], strict=True))
