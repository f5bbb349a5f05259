"""What `burnish guide` works on: the texts of a data set's items, and of users from its training split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.texts import item_texts, title_field, user_texts


def data_config(
    dataset: str,
    *,
    backbone: str = "BPR",
    config_files: Sequence[Path] = (),
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Any:
    """RecBole's config of a data set, as training a backbone would have it.

    The backbone and the seed decide how the data are split, nothing else here.  Raises what `burnish.run` raises for
    names, options and data that cannot be used.
    """
    from burnish.enhancers.zoo import find_backbone
    from burnish.files.yamls import read_yaml
    from burnish.training.request import make_config

    settings: dict[str, Any] = {}
    for file in config_files:
        settings.update(read_yaml(file))
    settings.update(options or {})
    for name in ("model", "dataset", "enhancers"):
        settings.pop(name, None)
    if seed is not None:
        settings["seed"] = seed
    return make_config(find_backbone(backbone), dataset, {}, settings)


def training_split(config: Any) -> Any:
    """RecBole's data set of the training split."""
    from recbole.data import data_preparation
    from recbole.utils import init_seed

    from burnish.training.data import load_dataset

    init_seed(config["seed"], config["reproducibility"])
    dataset = load_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    logging.getLogger().info("texts of users come from %d training interactions", len(train._dataset))
    return train._dataset


def texts_of_items(config: Any, columns: Sequence[str] | None = None, itemtext: Path | None = None) -> Texts:
    """The items' texts, from the data set's files or, for one of the columns of text, from `itemtext`."""
    return item_texts(config, columns, itemtext=True if itemtext is None else itemtext)


def texts_of_users(config: Any, items: Texts, *, most: int = 50, title: str | None = None) -> Texts:
    """The users' training histories, in the split that `config` makes."""
    return user_texts(training_split(config), items, most=most, title=title)


def titles_of(config: Any) -> dict[str, str]:
    """Names of items for people; empty where the data have none."""
    from burnish.errors import DataError

    try:
        items = item_texts(config)
    except DataError:
        return {}
    return dict(zip(items.ids, items.fields[title_field(items)], strict=True))
