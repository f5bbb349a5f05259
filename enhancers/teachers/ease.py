"""EASE: every item predicted from all others by ridge regression, in closed form, in full or of low rank."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from burnish.errors import ConfigurationError

from .item_sides import KnownItems, LowRankWeights, Weights
from .scores import BLOCK_BYTES, Bilinear
from .sparse import Sparse, blocks

#: Factors of the low-rank form, at most; on ml-100k 256 leave NDCG@10 as it is in full.
MOST_FACTORS = 512
LOW_RANK = "low rank"
_PASSES = 2


def form_that_fits(n_items: int, budget_bytes: int) -> str:
    """How EASE is computed: in full, `float64` or `float32`, where two square matrices fit, or of `low rank`."""
    for form, itemsize in (("float64", 8), ("float32", 4)):
        if 2 * itemsize * n_items**2 <= budget_bytes:
            return form
    return LOW_RANK


def factors_that_fit(n_items: int, budget_bytes: int) -> int:
    """How many factors the low-rank form has: as many as four matrices `[n_items, r]` fit, up to `MOST_FACTORS`."""
    return min(MOST_FACTORS, n_items - 1, max(1, budget_bytes // (16 * n_items)))


@dataclass
class GramMatrix:
    """How often items are known together: X'X of the matrix `known`, `[n_users, n_items]`, of ones or of weights.

    budget_bytes: memory for matrices of the items' side.
    """

    known: Sparse
    budget_bytes: int
    seed: int = 0

    @property
    def n_items(self) -> int:
        """Items, padding included."""
        return self.known.shape[1]

    @property
    def form(self) -> str:
        """`form_that_fits` this matrix."""
        return form_that_fits(self.n_items, self.budget_bytes)

    @property
    def n_factors(self) -> int:
        """`factors_that_fit` this matrix."""
        return factors_that_fit(self.n_items, self.budget_bytes)

    def dense(self) -> Tensor:
        """`[n_items, n_items]`, in the form's precision."""
        by_item = self.known.matrix.T.tocsr()
        full = torch.zeros(self.n_items, self.n_items, dtype=getattr(torch, self.form))
        for block in blocks(self.n_items, 16 * self.n_items, BLOCK_BYTES):
            full[block] = torch.from_numpy((by_item[block] @ self.known.matrix).toarray())
        return full.to(self.known.device)

    @cached_property
    def factors(self) -> tuple[Tensor, Tensor]:
        """(F `[n_items, r]`, D `[n_items]`) with X'X close to FF' + diag(D), and equal to it on the diagonal.

        Nystrom's approximation in the range of X'X, found by subspace iteration, never above X'X, so D is not negative
        (Halko, Martinsson and Tropp 2011, arXiv 0909.4061, algorithm 5.5).
        """
        generator = torch.Generator().manual_seed(self.seed)
        basis = torch.randn(self.n_items, self.n_factors, generator=generator, dtype=torch.float32)
        basis = basis.to(self.known.device)
        basis[0] = 0
        for _ in range(_PASSES):
            basis = torch.linalg.qr(self._times(basis)).Q
        image = self._times(basis)
        small = (basis.T @ image).double()
        small = (small + small.T) / 2
        values, vectors = torch.linalg.eigh(small)
        kept = values > 1e-6 * values[-1].clamp(min=1e-30)
        root = vectors[:, kept] / values[kept].sqrt()
        factors = image @ root.to(image.dtype)
        return factors, (self.counts - factors.square().sum(1)).clamp(min=0)

    @cached_property
    def counts(self) -> Tensor:
        """The diagonal of X'X, `[n_items]`: of a binary matrix how many users know each item."""
        matrix = self.known.matrix
        places, squares = torch.from_numpy(matrix.indices).long(), torch.from_numpy(matrix.data).double() ** 2
        return torch.bincount(places, squares, minlength=self.n_items).float().to(self.known.device)

    def _times(self, thin: Tensor) -> Tensor:
        total = torch.zeros_like(thin)
        for users in blocks(self.known.shape[0], 8 * thin.shape[1], BLOCK_BYTES):
            total += self.known.transposed_times(self.known.times(thin, users), users)
        return total


def ease(gram: GramMatrix, ridge: float) -> Bilinear:
    """EASE's scores of all users and items, `X B`.

    With P = (X'X + ridge I)^-1, the weight from item j to item k is B_jk = -P_jk / P_kk, and none from an item to
    itself (Steck 2019, arXiv 1905.03375, equation 8).  Where X'X does not fit the budget, it is taken as
    F F' + diag(D) (`GramMatrix.factors`; equal to it on the diagonal, so that every item keeps its popularity), and P
    follows by Woodbury's identity: with E = D + ridge and a Cholesky factor K of I + F' E^-1 F,
    P = E^-1 - H H', H = E^-1 F K'^-1, so that B = H H' diag(P)^-1 off its diagonal.  The low-rank form is ours.

    A new user's scores are their items times B; a new item's are X P g, where g counts the users whom it shares with
    each other item: just what EASE on the data with the item would give everybody as its score.

    Parameters
    ----------
    gram
        The items' Gram matrix of the training split.
    ridge
        Above 0; larger trusts rare items less.

    Raises
    ------
    ConfigurationError
        For a ridge that cannot be used.
    """
    if not 0 < ridge < float("inf"):
        raise ConfigurationError(f"ridge = {ridge}; give a number above 0")
    users = KnownItems(gram.known)
    if gram.form == LOW_RANK:
        factors, inverse_rest, diagonal = _low_rank_inverse(gram, ridge)
        return Bilinear(
            users,
            LowRankWeights(factors, diagonal),
            gram.n_items,
            name="EASE",
            new_items=lambda together, _: together * inverse_rest[:, None] - factors @ (factors.T @ together),
        )
    weights, diagonal = _weights(gram, ridge)

    def new_items(together: Tensor, known_by: Tensor) -> Tensor:
        scaled = together * diagonal[:, None]
        return scaled - weights @ scaled

    return Bilinear(users, Weights(weights), gram.n_items, name="EASE", new_items=new_items)


@dataclass(frozen=True)
class InverseGram:
    """P = (X'X + ridge I)^-1: in full, or diag(rest) - H H' where X'X does not fit the budget.

    diagonal: `[n_items]`, of P.  full: P, or None.  rest, factors: `[n_items]` and `[n_items, r]` of the low-rank form.
    """

    diagonal: Tensor
    full: Tensor | None = None
    rest: Tensor | None = None
    factors: Tensor | None = None

    def times(self, rows: Sparse) -> Tensor:
        """Rows `[b, n_items]` times P."""
        if self.full is not None:
            return rows.times(self.full)
        assert self.rest is not None
        assert self.factors is not None
        written = torch.from_numpy(rows.matrix.toarray()).to(self.rest)
        return written * self.rest - rows.times(self.factors) @ self.factors.T


def inverse_gram(gram: GramMatrix, ridge: float) -> InverseGram:
    """P of `ease`, in float32, for what its weights alone do not say: scores without one user.

    gram: the items' Gram matrix.  ridge: above 0.
    """
    if gram.form == LOW_RANK:
        factors, rest, diagonal = _low_rank_inverse(gram, ridge)
        return InverseGram(diagonal, rest=rest, factors=factors)
    inverse = _full_inverse(gram, ridge).float().contiguous()
    return InverseGram(inverse.diagonal().clone(), full=inverse)


def _weights(gram: GramMatrix, ridge: float) -> tuple[Tensor, Tensor]:
    """B `[n_items, n_items]` and the diagonal of P, in float32."""
    inverse = _full_inverse(gram, ridge)
    diagonal = inverse.diagonal().clone()
    weights = inverse.div_(-diagonal).float().contiguous()  # LAPACK leaves columns, and rows are summed
    weights.fill_diagonal_(0)
    weights[0] = 0
    weights[:, 0] = 0
    return weights, diagonal.float()


def _full_inverse(gram: GramMatrix, ridge: float) -> Tensor:
    """P, in the form's precision."""
    matrix = gram.dense()
    matrix.diagonal().add_(ridge)
    lower, failed = torch.linalg.cholesky_ex(matrix)
    del matrix  # as there is room for two
    if int(failed):
        raise ConfigurationError(
            f"EASE: ridge = {ridge:g} is too small for the items' Gram matrix to be inverted in {gram.form}; give a "
            f"larger one"
        )
    return torch.cholesky_inverse(lower)


def _low_rank_inverse(gram: GramMatrix, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """(H `[n_items, r]`, 1 / E `[n_items]`, the diagonal of P `[n_items]`)."""
    factors, rest = gram.factors
    inverse_rest = 1 / (rest + ridge)
    scaled = factors * inverse_rest[:, None]
    small = (factors.T @ scaled).double()
    small.diagonal().add_(1)
    lower = torch.linalg.cholesky((small + small.T) / 2)
    identity = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    solved = torch.linalg.solve_triangular(lower, identity, upper=False)
    factors = scaled @ solved.T.to(scaled.dtype)
    # The diagonal of an inverse is not below the inverse of the diagonal; rounding may take it there.
    least = 1 / (gram.counts + ridge)
    return factors, inverse_rest, torch.maximum(inverse_rest - factors.square().sum(1), least)
