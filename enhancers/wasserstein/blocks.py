"""Blocks of the similarity matrix of queries and keys, one matrix product each, in reused buffers.

Logits are to base 2: 2^logit = exp(similarity - log q).  The factor log2(e) goes into the matrix product, and
torch's exp2 takes a quarter of the time of its exp on processors (0.13 against 0.57 ns an element here).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from burnish.errors import ConfigurationError

from .tiling import Tiling

Similarity = Literal["squared", "distance", "product"]
#: A bool mask `[B, N]`, True leaves a pair out; or a function of (lo, hi) that gives its columns lo to hi, or else the
#: pairs that are left out among them: int64 `[2, m]`, rows and columns from lo on.
Mask: TypeAlias = Tensor | Callable[[int, int], Tensor] | None

LOG2_E = math.log2(math.e)


@dataclass(frozen=True)
class Pairing:
    """What is compared: queries `[B, D]`, keys `[N, D]`, scale `[]`, log q of the keys `[N]`, and a mask."""

    queries: Tensor
    keys: Tensor
    scale: Tensor
    log_q: Tensor | None
    mask: Mask
    tiling: Tiling

    def mask_columns(self, lo: int, hi: int) -> Tensor | None:
        """Columns lo to hi of the mask, bool `[B, hi - lo]` or pairs int64 `[2, m]`, or None."""
        if self.mask is None or isinstance(self.mask, Tensor):
            return None if self.mask is None else self.mask[:, lo:hi]
        columns = self.mask(lo, hi)
        if columns.dtype == torch.long and columns.dim() == 2 and len(columns) == 2:
            return columns
        if columns.dtype != torch.bool or columns.shape != (len(self.queries), hi - lo):
            raise ConfigurationError(
                f"mask({lo}, {hi}) gave {columns.dtype} {tuple(columns.shape)}: "
                f"it must give torch.bool {(len(self.queries), hi - lo)}, True where a pair is left out"
            )
        return columns


@dataclass(frozen=True)
class Chunk:
    """Keys lo to hi: the factor `[n, D + 2]` (`[n, D]` for products), squared norms `[n]` of the centred keys (none for
    products), mask (`[B, n]`, or pairs).
    """

    lo: int
    hi: int
    factor: Tensor
    norms: Tensor | None
    mask: Tensor | None

    @property
    def keys(self) -> Tensor:
        """Centred keys `[n, D]`."""
        return self.factor[:, :-2]


def mean_key(keys: Tensor) -> Tensor:
    """The mean `[D]` of keys `[N, D]`; zeros where there are no keys, whose mean would be NaN."""
    return keys.mean(dim=0) if len(keys) else keys.new_zeros(keys.shape[1])


def squared_norms(rows: Tensor) -> Tensor:
    """Squared norms `[n]` of rows `[n, D]`, in one pass and without a second `[n, D]`."""
    return torch.linalg.vector_norm(rows, dim=1).square_()


def _leave_out(block: Tensor, mask: Tensor, first: int, end: int, *, everything: bool) -> None:
    """-inf where the mask of all rows says so, in the block `[end - first, n]` of rows first to end.

    everything: these are all rows.
    """
    if mask.dtype == torch.bool:
        block.masked_fill_(mask[first:end], -math.inf)
        return
    rows, columns = mask
    if not everything:
        inside = (rows >= first) & (rows < end)
        rows, columns = rows[inside] - first, columns[inside]
    block.view(-1).index_fill_(0, rows * block.shape[1] + columns, -math.inf)


class Blocks(ABC):
    """Logits, block after block.

    Queries and keys are seen from the mean key.  Two extra columns on either factor carry what is added to a
    scalar product to make it a squared distance (and, for the squared similarity, the finished logit), so
    that no separate pass over a block is needed for norms and log q.  The memory of a chunk is that of the
    next one too: use one at a time.
    """

    def __init__(self, pairing: Pairing, centre: Tensor) -> None:
        self.pairing, self.tiling, self.centre = pairing, pairing.tiling, centre
        self.rate = pairing.scale * LOG2_E
        self.log_q = None if pairing.log_q is None else pairing.log_q * LOG2_E
        self.queries = self._seen(pairing.queries)
        self._buffers: dict[str, Tensor] = {}

    def _seen(self, rows: Tensor) -> Tensor:
        return rows - self.centre

    @cached_property
    def _right(self) -> Tensor:
        """Memory for the factor of a chunk of keys."""
        right = self.queries.new_empty(self.tiling.keys, self.queries.shape[1] + self.extra)
        right[:, -1] = 1.0
        return right

    @cached_property
    def norms(self) -> Tensor:
        """Squared norms of the centred queries, `[B]`."""
        return squared_norms(self.queries)

    @cached_property
    def _left(self) -> Tensor:
        """The factor of the queries, `[B, D + 2]`; a backward pass with kept weights does without."""
        left = self.queries.new_empty(len(self.queries), self.queries.shape[1] + 2)
        left[:, -2] = 1.0
        self._fill_left(left)
        return left

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk of keys, in order."""
        for lo, hi in self.tiling.key_ranges():
            factor = self._right[: hi - lo]
            torch.sub(self.pairing.keys[lo:hi], self.centre, out=factor[:, :-2])
            norms = squared_norms(factor[:, :-2])
            self._fill_right(factor[:, -2], norms, lo, hi)
            yield Chunk(lo, hi, factor, norms, self.pairing.mask_columns(lo, hi))

    def logits(self, chunk: Chunk, first: int, end: int, out: Tensor | None = None) -> Tensor:
        """Base-2 logits `[end - first, n]` of a block of rows, -inf under the mask; in `out` if given."""
        block = self._buffer("logits", end - first, chunk.hi - chunk.lo) if out is None else out
        self._fill_block(block, chunk, first, end)
        if chunk.mask is not None:
            _leave_out(block, chunk.mask, first, end, everything=end - first == self.tiling.n_rows)
        return block

    def _buffer(self, name: str, rows: int, columns: int) -> Tensor:
        """A contiguous `[rows, columns]` in memory that every block shares."""
        if name not in self._buffers:
            self._buffers[name] = self.queries.new_empty(self.tiling.rows * self.tiling.keys)
        return self._buffers[name][: rows * columns].view(rows, columns)

    #: Columns of a factor besides those of its rows.
    extra: int = 2
    #: d log(similarity weight) / d d^2 enters the gradient to `scale` this many times.
    order: int
    #: Whether logits leave out what is the same for all keys of a query: -scale |q|^2.
    relative: bool
    #: Whether similarities are of distances; else they are products, and no norm enters their gradients.
    of_distances: bool = True

    @abstractmethod
    def _fill_left(self, left: Tensor) -> None: ...

    @abstractmethod
    def _fill_right(self, column: Tensor, norms: Tensor, lo: int, hi: int) -> None: ...

    @abstractmethod
    def _fill_block(self, block: Tensor, chunk: Chunk, first: int, end: int) -> None: ...

    @abstractmethod
    def slopes(self, block: Tensor) -> Tensor:
        """Turn weights p of the block last made into c = p * (-ds/dd^2) / scale, in place.

        s is the similarity and d^2 the squared distance.  Every gradient is a sum of c times differences.
        """


class SquaredBlocks(Blocks):
    """s = scale (2 q k - |k|^2): -scale d^2 but for the query's own norm.

    No weight depends on that norm, and a far query's is so large that adding it would round the rest away:
    at scale d^2 = 2.8e6 in float32, differences of logits below a quarter.
    """

    order = 1
    relative = True

    def _fill_left(self, left: Tensor) -> None:
        torch.mul(self.queries, 2.0 * self.rate, out=left[:, :-2])
        left[:, -1] = 0.0

    def _fill_right(self, column: Tensor, norms: Tensor, lo: int, hi: int) -> None:
        torch.mul(norms, -self.rate, out=column)
        if self.log_q is not None:
            column -= self.log_q[lo:hi]

    def _fill_block(self, block: Tensor, chunk: Chunk, first: int, end: int) -> None:
        torch.mm(self._left[first:end], chunk.factor.t(), out=block)

    def slopes(self, block: Tensor) -> Tensor:
        return block


class DistanceBlocks(Blocks):
    """s = -scale d.  The slope is 0 where d is 0."""

    order = 2
    relative = False

    def _fill_left(self, left: Tensor) -> None:
        torch.mul(self.queries, -2.0, out=left[:, :-2])
        left[:, -1] = self.norms

    def _fill_right(self, column: Tensor, norms: Tensor, lo: int, hi: int) -> None:
        column.copy_(norms)

    def _fill_block(self, block: Tensor, chunk: Chunk, first: int, end: int) -> None:
        distance = self._buffer("distance", *block.shape)
        torch.mm(self._left[first:end], chunk.factor.t(), out=distance)
        torch.mul(distance.clamp_min_(0.0).sqrt_(), -self.rate, out=block)
        if self.log_q is not None:
            block.sub_(self.log_q[chunk.lo : chunk.hi])

    def slopes(self, block: Tensor) -> Tensor:
        distance = self._buffer("distance", *block.shape)
        distance.masked_fill_(distance == 0.0, math.inf)
        return block.div_(distance).mul_(0.5)


class ProductBlocks(Blocks):
    """s = scale q k, for queries and keys as they are (the centre is 0).

    A batch of users has hardly more rows than a key has numbers, so that copying keys would cost what the logits do:
    they are read where they are.
    """

    order = 1
    relative = True
    of_distances = False
    extra = 0

    def _seen(self, rows: Tensor) -> Tensor:
        return rows

    @cached_property
    def _left(self) -> Tensor:
        return self.queries * self.rate

    def chunks(self) -> Iterator[Chunk]:
        for lo, hi in self.tiling.key_ranges():
            yield Chunk(lo, hi, self.pairing.keys[lo:hi], None, self.pairing.mask_columns(lo, hi))

    def _fill_left(self, left: Tensor) -> None:
        raise AssertionError("the factor of the queries is made whole")

    def _fill_right(self, column: Tensor, norms: Tensor, lo: int, hi: int) -> None:
        raise AssertionError("keys are their own factor")

    def _fill_block(self, block: Tensor, chunk: Chunk, first: int, end: int) -> None:
        torch.mm(self._left[first:end], chunk.factor.t(), out=block)
        if self.log_q is not None:
            block.sub_(self.log_q[chunk.lo : chunk.hi])

    def slopes(self, block: Tensor) -> Tensor:
        return block


BLOCKS: dict[str, type[Blocks]] = {
    "squared": SquaredBlocks,
    "distance": DistanceBlocks,
    "product": ProductBlocks,
}
