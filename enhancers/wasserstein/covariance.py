"""Gaussians with full covariance: a head that makes them, and their 2-Wasserstein distance.

The expensive option, for small widths and few keys: a pair takes O(d^3) time and O(d^2) memory, where a pair
of diagonal Gaussians takes O(d).

    W2^2( N(m, A A^T), N(n, B B^T) ) = |m - n|^2 + |A|_F^2 + |B|_F^2 - 2 | A^T B |_*

with the sum of singular values |.|_*.  This is the Bures distance (Peyre and Cuturi, Computational Optimal
Transport, remark 2.31) in terms of the factors: the eigenvalues of S^1/2 T S^1/2 are the squared singular
values of A^T B.  Writing it so is ours, for its gradient: that of a sum of singular values is U V^T, finite
for equal eigenvalues and equal covariances alike, which is where training starts.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnish.errors import ConfigurationError, UnsupportedError, unknown_name

from .distance import safe_sqrt
from .network import last, two_layers

#: "factors" takes singular values of the factors; "pot" calls ot.gaussian on the covariances.
Solver = Literal["factors", "pot"]
#: Square matrices a pair that are alive at once in either solver, with what backward keeps.
_MATRICES_A_PAIR = {"factors": 4, "pot": 8}


class CovarianceHead(nn.Module):
    """Lower-triangular factors with positive diagonal, `[n, width, width]`, from states `[n, hidden]`.

    A factor L stands for the covariance L L^T.  It starts at `initial_spread` times the identity, for every
    row, so that at the start all covariances are equal and isotropic.
    """

    def __init__(
        self, hidden: int, width: int, *, initial_spread: float = 0.1, epsilon: float = 1e-4
    ) -> None:
        """hidden: width of a state (see `ProbabilityNetwork.hidden_state`).  width: d, of the Gaussians.

        epsilon: smallest entry of the diagonal.  Raises `ConfigurationError`.
        """
        super().__init__()
        if hidden < 1 or width < 1:
            raise ConfigurationError(f"hidden={hidden}, width={width}: give whole numbers of at least 1")
        if not 0.0 < epsilon < initial_spread < math.inf:
            raise ConfigurationError(
                f"epsilon={epsilon}, initial_spread={initial_spread}: give 0 < epsilon < initial_spread"
            )
        self.width, self.epsilon = width, epsilon
        rows, columns = torch.tril_indices(width, width)
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.network = two_layers(hidden, len(rows))
        head = last(self.network)
        nn.init.zeros_(head.weight)
        above = initial_spread - epsilon
        with torch.no_grad():  # softplus(bias) + epsilon = initial_spread on the diagonal, 0 below it
            head.bias.copy_((rows == columns) * (above + math.log(-math.expm1(-above))))

    def forward(self, states: Tensor) -> Tensor:
        """Factors `[n, width, width]` of states `[n, hidden]`."""
        entries = self.network(states)
        entries = torch.where(self.rows == self.columns, functional.softplus(entries) + self.epsilon, entries)
        factors = entries.new_zeros(len(states), self.width, self.width)
        factors[:, self.rows, self.columns] = entries
        return factors


def full_w2_paired(
    left_mean: Tensor,
    left_factor: Tensor,
    right_mean: Tensor,
    right_factor: Tensor,
    *,
    squared: bool = True,
    solver: Solver = "factors",
    budget_bytes: int = 256 * 2**20,
) -> Tensor:
    """W2 (squared, or not) of `n` pairs of Gaussians with full covariance: `[n]`, at least 0.

    Means `[n, d]`, factors `[n, d, d]` (a covariance is factor times its transpose).
    solver: see `full_w2_pairwise`.  Raises `ConfigurationError` for shapes that do not fit and where the work
    would take more than `budget_bytes`.
    """
    _check(left_mean, left_factor, right_mean, right_factor, solver)
    if left_mean.shape != right_mean.shape:
        raise ConfigurationError(
            f"left has {len(left_mean)} Gaussians and right {len(right_mean)}: give as many of both"
        )
    _check_budget(len(left_mean), left_factor, solver, budget_bytes)
    if solver == "pot":
        return _pot(left_mean, left_factor, right_mean, right_factor, squared, paired=True)
    product = left_factor.mT @ right_factor
    means = (left_mean - right_mean).square().sum(dim=1)
    return _finish(means, _trace(left_factor) + _trace(right_factor), product, squared)


def full_w2_pairwise(
    query_mean: Tensor,
    query_factor: Tensor,
    key_mean: Tensor,
    key_factor: Tensor,
    *,
    squared: bool = True,
    solver: Solver = "factors",
    budget_bytes: int = 256 * 2**20,
) -> Tensor:
    """W2 (squared, or not) of every query with every key: `[n, m]`, at least 0.

    Means `[n, d]` and `[m, d]`, factors `[n, d, d]` and `[m, d, d]`.
    solver: "factors" (default), whose gradients are finite everywhere; "pot" is `ot.gaussian` on the
    covariances (`pip install 'burnish[pot]'`), an independent implementation to compare with, whose gradient is NaN for
    two Gaussians with equal covariance.
    Raises `ConfigurationError` for shapes that do not fit and where the work would take more than
    `budget_bytes`, `UnsupportedError` where POT is asked for and not installed.
    """
    _check(query_mean, query_factor, key_mean, key_factor, solver)
    _check_budget(len(query_mean) * len(key_mean), query_factor, solver, budget_bytes)
    if solver == "pot":
        return _pot(query_mean, query_factor, key_mean, key_factor, squared, paired=False)
    product = query_factor.mT.unsqueeze(1) @ key_factor.unsqueeze(0)
    means = (query_mean.unsqueeze(1) - key_mean.unsqueeze(0)).square().sum(dim=2)
    return _finish(means, _trace(query_factor).unsqueeze(1) + _trace(key_factor), product, squared)


def _trace(factor: Tensor) -> Tensor:
    """Traces of the covariances, `[n]`."""
    return factor.square().sum(dim=(1, 2))


def _finish(means: Tensor, traces: Tensor, product: Tensor, squared: bool) -> Tensor:
    overlap = torch.linalg.svdvals(product).sum(dim=-1)
    result = means + (traces - 2.0 * overlap).clamp_min(0.0)
    return result if squared else safe_sqrt(result)


def _pot(
    left_mean: Tensor,
    left_factor: Tensor,
    right_mean: Tensor,
    right_factor: Tensor,
    squared: bool,
    paired: bool,
) -> Tensor:
    try:
        import ot  # takes a second, and only this solver needs it
    except ImportError as error:
        cure = "`pip install 'burnish[pot]'` adds it, and solver \"factors\" does without"
        raise UnsupportedError(
            f"solver 'pot' needs POT, which cannot be imported ({error}); {cure}"
        ) from error

    left, right = left_factor @ left_factor.mT, right_factor @ right_factor.mT
    result = ot.gaussian.bures_wasserstein_distance(left_mean, right_mean, left, right, paired=paired)
    return result.square() if squared else result


def _check(
    left_mean: Tensor, left_factor: Tensor, right_mean: Tensor, right_factor: Tensor, solver: str
) -> None:
    if solver not in get_args(Solver):
        raise unknown_name("solver", solver, get_args(Solver))
    for mean, factor in ((left_mean, left_factor), (right_mean, right_factor)):
        if mean.dim() != 2 or factor.shape != (*mean.shape, mean.shape[1]):
            raise ConfigurationError(
                f"means have shape {tuple(mean.shape)} and factors {tuple(factor.shape)}: give [n, d] and [n, d, d]"
            )
    if left_mean.shape[1] != right_mean.shape[1]:
        raise ConfigurationError(
            f"the two sides have widths {left_mean.shape[1]} and {right_mean.shape[1]}: give equal widths"
        )


def _check_budget(pairs: int, factor: Tensor, solver: Solver, budget_bytes: int) -> None:
    d = factor.shape[1]
    needed = pairs * d * d * factor.element_size() * _MATRICES_A_PAIR[solver]
    if needed > budget_bytes:
        raise ConfigurationError(
            f"{pairs} pairs of full covariances of width {d} take about {needed / 2**20:.0f} MiB, over "
            f"budget_bytes={budget_bytes} ({budget_bytes / 2**20:.0f} MiB): use fewer keys, a smaller width, "
            "diagonal covariances, or a larger budget"
        )
