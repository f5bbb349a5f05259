"""A trained table's principal components: what is kept of it beside the guided block."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.errors import DataError


def principal(rows: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The mean `[d]` of rows `[n, d]` and the `keep` directions `[d, keep]` along which they vary most.

    Directions are orthonormal, the widest first, each with its largest entry positive, so that equal rows give equal
    directions.  With fewer than `keep` rows the rest of the directions are any that are orthogonal to the others.
    Raises `DataError` for rows that are not finite.
    """
    if not bool(torch.isfinite(rows).all()):
        raise DataError("guided: the base's table holds NaN or infinite values; train the base again")
    exact = rows.detach().double()
    centre = exact.mean(0)
    scatter = (exact - centre).t() @ (exact - centre)
    _, directions = torch.linalg.eigh(scatter)  # ascending
    found = directions.flip(1)[:, :keep]
    largest = found.gather(0, found.abs().argmax(0, keepdim=True))
    return centre.to(rows.dtype), (found * largest.sign()).to(rows.dtype)
