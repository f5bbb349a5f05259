"""Models of RecBole's that hold items times items, or users times items: refused before they take the machine down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from burnish.errors import DataError

#: Above so many items inverting their matrix takes hours on a few cores, whatever the memory.
MOST_ITEMS = 40_000
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def check_size(config: Any, dataset: Any, training: Any) -> None:
    """Raise `DataError` where EASE or ItemKNN would need more memory than there is.

    dataset: all data.  training: the training split, which these models are made from.
    """
    kinds = {cls.__name__ for cls in config.model_class.__mro__ if cls.__module__.startswith("recbole.")}
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
