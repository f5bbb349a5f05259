"""The training split that a run would have, for verbs that look at data and train nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def data_config(
    dataset: str,
    *,
    backbone: str | type = "BPR",
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
    return train._dataset
