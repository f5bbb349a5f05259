"""Batches of indices as arrays, where torch's loader hands over one Python number after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from burnish.compat import after_import

from .switches import replace_method


def install() -> None:
    """Register the change to RecBole's loaders."""
    after_import("recbole.data.dataloader.abstract_dataloader", _change)


def _change(module: ModuleType) -> None:
    replace_method("loading", module.AbstractDataLoader, "__iter__", iterate)


def iterate(original: Callable[..., Any], self: Any) -> Any:
    """RecBole's iterator with its two inner loops replaced.

    The loader's own sampler still draws the order, at the same moment: when the first batch is asked for.
    """
    from torch.utils.data import BatchSampler

    iterator = original(self)
    plain = type(self.batch_sampler) is BatchSampler and not self.batch_sampler.drop_last
    known = hasattr(iterator, "_sampler_iter") and hasattr(iterator, "_dataset_fetcher")
    if plain and known and self.num_workers == 0:
        iterator._sampler_iter = batches(self)
        iterator._dataset_fetcher = _Collate(self.collate_fn)
    return iterator


def batches(loader: Any) -> Iterator[Any]:
    """The loader's order in arrays of its batch size, or of the sizes that an evaluation plans."""
    import numpy as np

    order = np.fromiter(loader.batch_sampler.sampler, dtype=np.int64)
    size, sizes = loader.batch_sampler.batch_size, vars(loader).get("_burnish_sizes")
    start = 0
    while start < len(order):
        stop = start + (size if sizes is None else sizes.size)
        yield order[start:stop]
        start = stop


class _Collate:
    """What torch calls a fetcher: the indices are the data."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.fetch = collate
