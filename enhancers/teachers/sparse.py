"""A sparse matrix with products by thin matrices, both ways, and the blocks of rows that memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional as F

from burnish.errors import DataError


class Sparse:
    """A sparse matrix `[rows, columns]`; products sum rows of the other matrix, so nothing dense is made of it.

    Parameters
    ----------
    matrix
        Its values in float32, on the CPU.
    device
        Where products are computed.
    """

    def __init__(self, matrix: csr_matrix, device: torch.device | str = "cpu") -> None:
        self.matrix = matrix
        self.device = torch.device(device)
        self._transposed_blocks: dict[tuple[int, int], Sparse] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        rows, columns = self.matrix.shape
        return int(rows), int(columns)

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor, Tensor]:
        """Columns and values of the entries, row after row, and where each row begins."""
        matrix = self.matrix
        return (
            torch.from_numpy(matrix.indices).to(self.device),
            torch.from_numpy(matrix.data).to(self.device),
            torch.from_numpy(matrix.indptr).to(self.device),
        )

    def times(self, thin: Tensor, rows: slice = slice(None)) -> Tensor:
        """The product of some of the rows, `[b, columns]`, with `thin`, `[columns, k]`: `[b, k]`."""
        indices, values, starts = self._places
        first, last, _ = rows.indices(self.shape[0])
        bounds = starts[first : last + 1]
        lo, hi = int(bounds[0]), int(bounds[-1])
        return F.embedding_bag(
            indices[lo:hi],
            thin,
            bounds - lo,
            mode="sum",
            per_sample_weights=values[lo:hi].to(thin.dtype),
            include_last_offset=True,
        )

    def transposed_times(self, thin: Tensor, rows: slice = slice(None)) -> Tensor:
        """The product of some of the rows, transposed, `[columns, b]`, with `thin`, `[b, k]`: `[columns, k]`."""
        first, last, _ = rows.indices(self.shape[0])
        block = self._transposed_blocks.get((first, last))
        if block is None:
            block = Sparse(self.matrix[first:last].T.tocsr(), self.device)
            self._transposed_blocks[first, last] = block
        return block.times(thin)

    def dense(self, rows: Tensor) -> Tensor:
        """Some rows, written out: `[b, columns]`."""
        return torch.from_numpy(self.matrix[rows.cpu().numpy()].toarray()).to(self.device)

    def with_weights(self, columns: Tensor) -> Sparse:
        """Entries times the weight of their column, `[columns]`."""
        other = self.matrix.copy()
        other.data *= columns.cpu().numpy()[other.indices]
        return Sparse(other, self.device)

    def pick(self, rows: Tensor) -> Sparse:
        """A matrix of some rows."""
        return Sparse(self.matrix[rows.cpu().numpy()], self.device)


def incidence(
    rows: Tensor, columns: Tensor, shape: tuple[int, int], device: torch.device | str = "cpu"
) -> Sparse:
    """Ones where a pair occurs, however often; pairs with id 0, padding, are left out.

    Parameters
    ----------
    rows, columns
        `[n]` ids of the pairs, such as users and items.
    shape
        Numbers of ids, padding included.

    Raises
    ------
    DataError
        For ids that are not below the numbers of ids.
    """
    one, other = rows.cpu().numpy().astype(np.int64), columns.cpu().numpy().astype(np.int64)
    for name, ids, count in (("rows", one, shape[0]), ("columns", other, shape[1])):
        if len(ids) and not 0 <= ids.min() <= ids.max() < count:
            raise DataError(f"{name} run from {ids.min()} to {ids.max()}; give numbers from 0 to {count - 1}")
    real = (one > 0) & (other > 0)
    matrix = csr_matrix((np.ones(int(real.sum()), np.float32), (one[real], other[real])), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return Sparse(matrix, device)


def blocks(n_rows: int, row_bytes: int, budget_bytes: int) -> Iterator[slice]:
    """All rows in blocks that take at most `budget_bytes` each, of `row_bytes` a row; one row at least."""
    size = max(1, budget_bytes // max(1, row_bytes))
    for first in range(0, n_rows, size):
        yield slice(first, min(first + size, n_rows))


def blocks_by_cost(costs: np.ndarray, budget: int) -> Iterator[slice]:
    """All rows in blocks whose costs `[rows]` sum to at most `budget`; one row at least."""
    ends = np.cumsum(costs)
    first = 0
    while first < len(ends):
        spent = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, spent + budget, side="right")))
        yield slice(first, last)
        first = last
