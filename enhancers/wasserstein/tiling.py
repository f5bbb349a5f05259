"""How a matrix of queries by keys is cut into blocks that fit a budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from burnish.errors import ConfigurationError

#: Bytes of a block on a processor, a thread: several passes go over it, so it should stay in the caches.
#: Anything from 1 to 8 MiB measured alike; more blocks also mean more waits of threads for each other.
CACHE_BYTES = 4 * 2**20
#: Keys in a block on a processor, at most: fewer rows than that make slow products.
CACHE_KEYS = 2048
#: Keys in a block elsewhere, at least where the budget and the keys allow it.
DEVICE_KEYS = 1024


@dataclass(frozen=True)
class Tiling:
    """Blocks of at most `rows` by `keys` over a matrix `[n_rows, n_keys]`."""

    n_rows: int
    n_keys: int
    rows: int
    keys: int

    def key_ranges(self) -> Iterator[tuple[int, int]]:
        """(lo, hi) of every chunk of keys, in order; nothing where there are no keys."""
        for lo in range(0, self.n_keys, self.keys):
            yield lo, min(lo + self.keys, self.n_keys)

    def row_ranges(self) -> Iterator[tuple[int, int]]:
        """(first, end) of every block of rows, in order; nothing where there are no rows."""
        for first in range(0, self.n_rows, self.rows):
            yield first, min(first + self.rows, self.n_rows)


def tile(n_rows: int, n_keys: int, *, itemsize: int, budget_bytes: int, on_cpu: bool) -> Tiling:
    """The tiling for elements of `itemsize` bytes.

    A block takes at most `budget_bytes`, and on a processor at most what its caches hold.  All rows of a
    chunk of keys take at most `budget_bytes` at one byte an element, which is what a mask of that chunk
    needs.  A block has at least one element, whatever the budget.  Raises `ConfigurationError` for a budget
    below 1.
    """
    if budget_bytes < 1:
        raise ConfigurationError(
            f"budget_bytes={budget_bytes}: give the bytes of working memory, such as 64 * 2**20"
        )
    block_bytes = min(budget_bytes, CACHE_BYTES * torch.get_num_threads()) if on_cpu else budget_bytes
    elements = max(1, block_bytes // itemsize)
    wanted = CACHE_KEYS if on_cpu else max(DEVICE_KEYS, elements // max(1, n_rows))
    keys = max(1, min(n_keys, wanted, elements, budget_bytes // max(1, n_rows)))
    rows = max(1, min(n_rows, elements // keys))
    return Tiling(n_rows, n_keys, rows, keys)
