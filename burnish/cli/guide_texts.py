"""What `burnish guide` works on: the texts of a data set's items, and of users from its training split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.texts import item_texts, title_field, user_texts

from .run_request import RunRequest


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
    return user_texts(training_split(config), items, most=most or 50) if users else items


def titles_of(dataset: str, data_path: Path | None) -> dict[str, str]:
    """Names of items for people; empty where the data have none."""
    from burnish.errors import DataError

    options = {} if data_path is None else {"data_path": str(data_path)}
    try:
        items = item_texts(data_config(dataset, options=options))
    except DataError:
        return {}
    return dict(zip(items.ids, items.fields[title_field(items)], strict=True))
