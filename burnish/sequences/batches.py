"""The order in which an epoch takes training rows: window by window, in batches of RecBole's own size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, Sampler

from burnish.errors import UnsupportedError

from .layout import PLACE_FIELD, WINDOW_FIELD, Layout


class WindowSampler(Sampler[int]):
    """Every row once: windows in an order drawn from the loader's own generator, each window's rows together.

    shuffle: False takes the windows as they come.
    """

    def __init__(self, layout: Layout, generator: torch.Generator | None, *, shuffle: bool) -> None:
        self.layout, self.generator, self.shuffle = layout, generator, shuffle

    def __len__(self) -> int:
        return len(self.layout.order)

    def __iter__(self) -> Iterator[int]:
        n = self.layout.n_windows
        windows = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        return iter(self.layout.rows_of(windows).tolist())


class ShardedWindowSampler(Sampler[int]):
    """One process's share: the same order in all of them, cut into as many pieces of equal size.

    sampler: RecBole's sampler of rows, which knows the process, the seed and the epoch.  As there, rows from the
    beginning fill up the last piece.
    """

    def __init__(self, layout: Layout, sampler: DistributedSampler[Any]) -> None:
        self.layout, self.sampler = layout, sampler

    def __len__(self) -> int:
        return int(self.sampler.num_samples)

    def __iter__(self) -> Iterator[int]:
        shared, n = self.sampler, self.layout.n_windows
        if shared.shuffle:
            generator = torch.Generator().manual_seed(shared.seed + shared.epoch)
            rows = self.layout.rows_of(torch.randperm(n, generator=generator))
        else:
            rows = self.layout.rows_of(torch.arange(n))
        rows = _repeated_to(rows, shared.total_size)
        size = shared.num_samples
        return iter(rows[shared.rank * size : (shared.rank + 1) * size].tolist())


def _repeated_to(rows: Tensor, size: int) -> Tensor:
    """The rows, from the beginning again and again, up to `size` of them."""
    return rows.repeat(-(-size // max(len(rows), 1)))[:size]


def rows_loader(train_data: Any) -> Any:
    """The loader of training rows behind what a trainer gets.

    Raises `UnsupportedError` when it gives something else than the rows of its data set.
    """
    loader = getattr(train_data, "general_dataloader", train_data)
    data = getattr(loader, "_dataset", None)
    if data is None or getattr(loader, "sample_size", None) != len(data.inter_feat):
        raise UnsupportedError("its loader does not take its batches from the rows of the training set")
    return loader


@contextmanager
def by_windows(loader: Any, layout: Layout) -> Iterator[None]:
    """Within the block a loader of RecBole takes its rows window by window, and each brings its window along."""
    columns = loader._dataset.inter_feat.interaction
    plain = loader.batch_sampler.sampler
    if isinstance(plain, DistributedSampler):
        sampler: Sampler[int] = ShardedWindowSampler(layout, plain)
    else:
        sampler = WindowSampler(layout, loader.generator, shuffle=bool(loader.shuffle))
    columns[WINDOW_FIELD], columns[PLACE_FIELD] = layout.windows, layout.places
    loader.batch_sampler.sampler = sampler
    try:
        yield
    finally:
        loader.batch_sampler.sampler = plain
        for field in (WINDOW_FIELD, PLACE_FIELD):
            columns.pop(field, None)
