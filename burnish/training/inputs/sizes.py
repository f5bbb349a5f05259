"""Data that are too large or too small for single models of RecBole's: refused before they take the machine down, or
before a library stops in words of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from burnish.errors import ConfigurationError, DataError, UnsupportedError

#: Above so many items inverting their matrix takes hours on a few cores, whatever the memory.
MOST_ITEMS = 40_000
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def check_size(config: Any, dataset: Any, training: Any) -> None:
    """Raise `DataError` where EASE or ItemKNN would need more memory than there is.

    dataset: all data.  training: the training split, which these models are made from.
    Raises `ConfigurationError` where NCL makes more clusters than there are users or items, and where DGCF draws more.
    """
    kinds = {cls.__name__ for cls in config.model_class.__mro__ if cls.__module__.startswith("recbole.")}
    _check_few(config, kinds, dataset, training)
    if not kinds & {"EASE", "ItemKNN"} or dataset.iid_field is None:
        return
    items = int(dataset.item_num)
    where = f"{config['model']} on {config['dataset']} ({items - 1:,} items)"
    if "EASE" in kinds:
        if items > MOST_ITEMS:
            raise DataError(
                f"{where}: it inverts a matrix of items by items, which takes hours above {MOST_ITEMS:,} items; filter "
                f"the items (item_inter_num_interval), or leave it out"
            )
        needed = ease_bytes(items)
    else:
        needed = item_knn_bytes(training, items, int(config["k"]), str(config["knn_method"]))
    free = available_bytes()
    if needed > free:
        raise DataError(
            f"{where} needs about {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free; free some, "
            f"filter the items (item_inter_num_interval), or leave it out"
        )


def check_packages(config: Any) -> None:
    """Raise `UnsupportedError` for a model that calls a package in training which is not installed: NCL calls faiss."""
    kinds = {cls.__name__ for cls in config.model_class.__mro__ if cls.__module__.startswith("recbole.")}
    if "NCL" in kinds and find_spec("faiss") is None:
        raise UnsupportedError(
            "backbone 'NCL' needs a package that is not installed: faiss. Install it and try again: pip install "
            "faiss-cpu"
        )


def _check_few(config: Any, kinds: set[str], dataset: Any, training: Any) -> None:
    """What single models draw from users and items must be there; both numbers have the padding id in them."""
    if not kinds & {"NCL", "DGCF"}:
        return
    check_packages(config)
    users, items = int(dataset.user_num), int(dataset.item_num)
    where = f"{config['model']} on {config['dataset']} ({users - 1:,} users, {items - 1:,} items)"
    if "NCL" in kinds and config["num_clusters"] > min(users, items):
        raise ConfigurationError(
            f"{where}: it groups users and items into num_clusters = {config['num_clusters']}; give "
            f"{min(users, items) - 1} at most"
        )
    if "DGCF" in kinds and config["n_factors"] > 1 and config["cor_weight"] > 1e-9:
        # As its own code has it (dgcf.py): so many of each side a batch, for all of them an epoch.
        batches = len(training) // config["train_batch_size"] + 1
        if max(users, items) // batches > min(users, items):
            needed = -(-max(users, items) // min(users, items))
            raise ConfigurationError(
                f"{where}: in each of {batches} batches it draws {max(users, items) // batches:,} users and as many "
                f"items; give a train_batch_size of {max(1, len(training) // (needed - 1))} at most, so that there are "
                f"more batches, or cor_weight: 0"
            )


def ease_bytes(items: int) -> int:
    """Memory that RecBole's EASE takes at its peak: nine matrices `[items, items]` in single precision, as measured.

    (The product of the interactions, its inverse, what solves for it, the weights, a checkpoint and what is read of
    it; 6,000 and 8,000 items, numpy 2.4.)
    """
    return 9 * 4 * items * items


def item_knn_bytes(training: Any, items: int, neighbours: int, method: str) -> int:
    """Memory that RecBole's ItemKNN takes at its peak: its scores as lists of Python numbers (69 bytes), and as rows.

    A user has a score for the neighbours of each item they know; with `knn_method: user`, for what neighbours know.
    """
    users = training.inter_feat[training.uid_field].numpy()
    known = np.bincount(users, minlength=int(training.user_num))
    reach = np.minimum(known.astype(np.int64) * min(neighbours, items), items)
    if method == "user":
        most = min(items, round(known.mean() * neighbours))
        reach = np.where(known > 0, most, 0)
    return int(reach.sum()) * (69 + 8)


def available_bytes() -> int:
    """Memory that this process may still take: of the machine, and of its container where that has a limit."""
    import psutil  # type: ignore[import-untyped]

    free = int(psutil.virtual_memory().available)
    for path in _CGROUPS:
        try:
            limit = int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):  # no such file, or "max"
            continue
        free = min(free, max(limit - int(psutil.Process().memory_info().rss), 0))
    return free
