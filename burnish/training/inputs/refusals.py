"""What RecBole itself refuses, as errors that say with which data and options."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from burnish.errors import BurnishError, ConfigurationError, DataError

from .own_models import check_unset, told_where

_LIBRARY = re.compile(r"[\\/]site-packages[\\/](recbole|torch|numpy|pandas|scipy|sklearn)[\\/]")
#: What RecBole raises where options do not suit each other, the data or the model.
_KINDS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    ArithmeticError,  # a division by 0, an overflow
    MemoryError,
    NameError,
)
#: Options that say where and how long, and explain nothing.
_BESIDE = frozenset(
    {
        "epochs",
        "threads",
        "show_progress",
        "use_gpu",
        "gpu_id",
        "checkpoint_dir",
        "data_path",
        "enhancers",
        "seed",
        "state",
    }
)


@contextmanager
def explained(config: Any, stage: str) -> Iterator[None]:
    """Turn what RecBole's own code raises inside into a `ConfigurationError` with the options that were given.

    stage: what is being done, such as "reading the data set".  Errors of our own code stay what they are.
    """
    try:
        yield
    except BurnishError:
        raise
    except _KINDS as error:
        check_kernels(config, error)
        check_unset(config, error)
        told_where(config, error)
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1].filename if frames else ""
        # A library's frame may be one that our code called: RecBole must stand between.
        if not _LIBRARY.search(last) or not any("recbole" in frame.filename for frame in frames):
            raise
        given = {name: value for name, value in config.external_config_dict.items() if name not in _BESIDE}
        shown = ", ".join(f"{name} = {_short(value)}" for name, value in given.items()) or "no options"
        said = str(error) or type(error).__name__
        raise ConfigurationError(
            f"{config['model']} on {config['data_path']}/{config['dataset']}.inter: RecBole stops while {stage}: "
            f"{said} ({type(error).__name__}). Look for the option of these that it is about, and correct it or "
            f"leave it out: {shown}"
        ) from error


@contextmanager
def told_who_knows_all(dataset: Any) -> Iterator[None]:
    """Turn RecBole's error about users for whom no negative can be drawn into a `DataError` that names them.

    dataset: all interactions.  RecBole prepares negatives for every model, those of others than the backbone too.
    """
    try:
        yield
    except ValueError as error:
        if "interacted with all items" not in str(error):
            raise
        users, items = (
            np.asarray(dataset.inter_feat[name]) for name in (dataset.uid_field, dataset.iid_field)
        )
        n_items = dataset.item_num - 1
        pairs = np.unique(np.stack([users, items], axis=1), axis=0)
        ids, known = np.unique(pairs[:, 0], return_counts=True)
        found = [str(dataset.id2token(dataset.uid_field, user)) for user in ids[known == n_items].tolist()]
        if not found:
            raise
        shown = ", ".join(map(repr, found[:3])) + (", ..." if len(found) > 3 else "")
        filters = f"user_inter_num_interval: '[0,{n_items})' leaves users with so many out"
        raise DataError(
            f"{dataset.dataset_name}.inter: {len(found):,} of {dataset.user_num - 1:,} users have all {n_items:,} "
            f"items ({dataset.uid_field} = {shown}), so that RecBole finds no item that is none of theirs; give more "
            f"items, or " + (filters if len(found) < dataset.user_num - 1 else "fewer interactions")
        ) from error


def check_kernels(config: Any, error: Exception) -> None:
    """Raise `ConfigurationError` where an error is torch's of a kernel that is larger than what it goes over."""
    if "Kernel size can't be greater than actual input size" not in str(error):
        return
    named = [name for name in config.final_config_dict if "kernel" in name or "stride" in name]
    kernels = ", ".join(f"{name} = {_short(config[name])}" for name in named)
    raise ConfigurationError(
        f"{config['model']}: embedding_size = {config['embedding_size']} is too small for its convolutions"
        f"{f' ({kernels})' if kernels else ''}; give a larger embedding_size, or smaller kernels and strides. torch "
        f"says: {error}"
    ) from error


def check_best(config: Any, score: float, file: str) -> None:
    """Raise `DataError` where no epoch was kept, since validation gave no number in any."""
    if not math.isfinite(score) and not Path(file).is_file():
        raise DataError(
            f"valid_metric = {config['valid_metric']!r} could not be computed in any epoch on the validation part of "
            f"{config['data_path']}/{config['dataset']}.inter, as AUC cannot of labels of one kind; give more rows, "
            f"another threshold, split or valid_metric"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
