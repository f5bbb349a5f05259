"""Exact values of all interactions of all users, each judged by folds of the user's other interactions.

One small slice of a user's data is too noisy a judge; here every part of it takes a turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.errors import ConfigurationError, DataError, NonFiniteError

#: Interactions that are gathered at once: 16384 rows of 64 float32 are 4 MiB.
_ROWS = 16384


def cross_fitted(
    users: Tensor,
    items: Tensor,
    vectors: Tensor,
    *,
    folds: int = 5,
    seed: int = 0,
    centre: bool | Tensor = True,
    normalise: bool = True,
    repeats: int = 1,
    per_dimension: bool = False,
    block_users: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Cross-fitted Shapley value of every interaction: `[n]`, or `[n, d]` by embedding dimension.

    A user's interactions are dealt into `folds` random folds of equal size (give or take one).  Each fold in turn
    is held out; g is the mean of its item vectors, less the catalogue's mean.  The players of the game
    v(S) = g * mean of the vectors of S (elementwise, `[d]`) are the interactions of the *other* folds; their
    Shapley values have a closed form (`factors`).  A value is the mean over the folds that did not
    contain the interaction; without `per_dimension` it is summed over dimensions.  Higher is more valuable: the
    item points where the rest of the user's history points.

    users, items: `[n]` integers, one training interaction each, in any order; equal pairs are players of their own
        (and vouch for one another: drop duplicates first if that is not wanted).
    vectors: `[n_items, d]`, one row an item; never changed, and no gradient flows.
    folds: at least 2.  A user with fewer interactions has as many folds as interactions; with one, the value is 0.
    centre: subtract the mean vector of the items that occur in `items`, each once, so values still see popularity;
        a tensor `[d]` is subtracted instead, or `[n_items, d]`, a row of its own from each item that judges (what
        it is to be told from: `ranking.of_like_popularity`).  The mean over interactions, `unit[items].mean(0)`, takes
        popularity out (see docs/valuation-benchmark.md); `catalogue_mean` makes parts of a data set agree with the
        whole.
    normalise: divide vectors by their norms first (a vector of zeros stays zero).
    repeats: deals of folds that are averaged.
    block_users: users that are worked on at a time; the result does not depend on it (up to rounding).
    progress: called with (interactions done, interactions in all) after every block.

    Takes O(repeats * n * d) time, whatever the number of folds, and memory for a few integers an interaction plus
    `4 * folds * d * block_users` numbers.  The same seed gives the same folds on any device.

    Raises `ConfigurationError` for options and shapes that do not fit, `DataError` for an item without a vector,
    `NonFiniteError` for vectors with NaN or infinity.

    Source: ours (a completion of RVRec, arXiv 2509.03130, whose own game is not public).
    """
    _check(users, items, vectors, folds, repeats, block_users)
    n = users.shape[0]
    table = _prepared(vectors, normalise)
    shape = (n, table.shape[1]) if per_dimension else (n,)
    values = torch.zeros(shape, dtype=table.dtype, device=table.device)
    if n == 0:
        return values
    users, items = users.to(table.device), items.to(table.device)
    judges, mean = table, _mean(table, items, centre)
    if mean is not None and mean.dim() == 2:
        judges, mean = table - mean, None
    generator = torch.Generator().manual_seed(seed)
    for repeat in range(repeats):
        deal = _dealt(users, generator)
        for block in deal.blocks(block_users, folds):
            _value(block, deal.order, items, table, judges, mean, values, per_dimension)
            if progress is not None:
                progress(repeat * n + block.end, repeats * n)
    return values.div_(repeats)


def factors(sizes: Tensor, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """`(own, rest)`, each of the shape of `sizes`, with value of player i = own * x_i - rest * sum of all x.

    The game is v(S) = mean of x over S, v of nobody = 0, with n = sizes players.  A player who comes after s others,
    each s in 0..n-1 being equally likely, adds x_i / (s+1) and takes the share 1/s - 1/(s+1) of what those others
    gave.  Averaged over s,

        a = 1/n sum 1/(s+1) = H_n / n,   b = 1/n sum s (1/s - 1/(s+1)) = (H_n - 1) / n,
        value = a x_i - b (X - x_i) / (n-1) = (a + b/(n-1)) x_i - b/(n-1) X

    with the harmonic number H_n.  One player keeps everything: (a, 0); no player at all has zeros.  The sums are taken
    in float64.  Source: derived here, checked by enumeration.
    """
    most = int(sizes.max()) if sizes.numel() else 0
    s = torch.arange(max(most, 1), dtype=torch.float64, device="cpu")
    gained = 1 / (s + 1)
    taken = torch.zeros_like(s)  # nothing to take from where nobody came before
    taken[1:] = s[1:] * (1 / s[1:] - gained[1:])
    n = s + 1
    b = taken.cumsum(0) / n / (n - 1).clamp_min(1)
    own = torch.cat([s.new_zeros(1), gained.cumsum(0) / n + b]).to(sizes.device, dtype)
    rest = torch.cat([s.new_zeros(1), b]).to(sizes.device, dtype)
    return own[sizes], rest[sizes]


@dataclass(frozen=True)
class _Block:
    """Some users' interactions: places first..end of the deal, in cells of one user's fold each.

    sizes: `[users]` interactions; parts: `[users]` folds; cells: `[cells]` interactions; owner: `[cells]` user.
    """

    first: int
    end: int
    sizes: Tensor
    parts: Tensor
    cells: Tensor
    owner: Tensor


@dataclass(frozen=True)
class _Deal:
    """Interactions in the order of users, shuffled within each: a user's folds are slices of their part."""

    order: Tensor
    sizes: Tensor

    def blocks(self, block_users: int, folds: int) -> list[_Block]:
        blocks, first = [], 0
        for sizes in self.sizes.split(block_users):
            parts = sizes.clamp_max(folds)
            owner = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), parts)
            starts = parts.cumsum(0) - parts
            fold = torch.arange(len(owner), device=sizes.device) - starts[owner]
            bounds = [(fold + step) * sizes[owner] // parts[owner] for step in (0, 1)]
            end = first + int(sizes.sum())
            blocks.append(_Block(first, end, sizes, parts, bounds[1] - bounds[0], owner))
            first = end
        return blocks


def _dealt(users: Tensor, generator: torch.Generator) -> _Deal:
    shuffled = torch.randperm(users.shape[0], generator=generator).to(users.device)
    by_user, place = users[shuffled].sort(stable=True)
    return _Deal(shuffled[place], torch.unique_consecutive(by_user, return_counts=True)[1])


def _value(
    block: _Block,
    order: Tensor,
    items: Tensor,
    table: Tensor,
    judges: Tensor,
    mean: Tensor | None,
    values: Tensor,
    per_dimension: bool,
) -> None:
    """Add the values of one block's interactions to `values`.

    With held-out sum s_f and count c_f of cell f, all of the user's n interactions summing to t, and own_f, rest_f
    for the n - c_f players that are left, the value of i is the mean, over the folds f without i, of
    own_f g_f * e_i - rest_f g_f * (t - s_f).
    What does not depend on i is summed over all folds at once, less the fold that holds i.
    """
    n_users = len(block.sizes)
    offsets = block.cells.cumsum(0) - block.cells
    rows = order[block.first : block.end]
    held = F.embedding_bag(items[rows], table, offsets, mode="sum")
    total = table.new_zeros(n_users, table.shape[1]).index_add_(0, block.owner, held)
    towards = held if judges is table else F.embedding_bag(items[rows], judges, offsets, mode="sum")
    towards = towards / block.cells.unsqueeze(1)
    if mean is not None:
        towards -= mean
    own, rest = factors(block.sizes[block.owner] - block.cells, dtype=table.dtype)
    left = rest.unsqueeze(1) * towards * (total.index_select(0, block.owner) - held)
    towards = own.unsqueeze(1) * towards
    if not per_dimension:
        left = left.sum(1, keepdim=True)
    others = (block.parts - 1).clamp_min(1).to(table.dtype)[block.owner].unsqueeze(1)
    towards, left = ((_of_owner(one, block.owner, n_users) - one) / others for one in (towards, left))
    cell = torch.repeat_interleave(torch.arange(len(block.cells), device=table.device), block.cells)
    for places, cells in zip(rows.split(_ROWS), cell.split(_ROWS), strict=True):
        product = table.index_select(0, items[places]).mul_(towards.index_select(0, cells))
        if per_dimension:
            values.index_add_(0, places, product - left[cells])
        else:
            values.index_add_(0, places, product.sum(1) - left[cells, 0])


def _of_owner(cells: Tensor, owner: Tensor, n_users: int) -> Tensor:
    """Sums over a user's cells, given to each of them."""
    return cells.new_zeros(n_users, cells.shape[1]).index_add_(0, owner, cells).index_select(0, owner)


def _prepared(vectors: Tensor, normalise: bool) -> Tensor:
    table = vectors.detach()
    if table.dtype not in (torch.float32, torch.float64):
        table = table.float()
    bad = ~torch.isfinite(table).all(dim=1)
    if bool(bad.any()):
        raise NonFiniteError(
            f"vectors: row {int(bad.nonzero()[0])} has NaN or infinity ({int(bad.sum())} of {len(bad)} rows do); "
            "values cannot be taken from a model whose training diverged"
        )
    return F.normalize(table, dim=1) if normalise else table


def _mean(table: Tensor, items: Tensor, centre: bool | Tensor) -> Tensor | None:
    if isinstance(centre, Tensor):
        if centre.shape not in (table.shape[1:], table.shape):
            raise ConfigurationError(
                f"centre has the shape {list(centre.shape)}; these vectors need [{table.shape[1]}], or a row for each "
                f"item, {list(table.shape)}"
            )
        return centre.to(table)
    if not centre:
        return None
    occurs = torch.zeros(len(table), dtype=torch.bool, device=table.device)
    occurs[items] = True
    return table[occurs].mean(dim=0)


def catalogue_mean(vectors: Tensor, items: Tensor, *, normalise: bool = True) -> Tensor:
    """The mean `[d]` that `cross_fitted(..., centre=True)` subtracts, to give as `centre` for parts of a data set."""
    table = _prepared(vectors, normalise)
    mean = _mean(table, items.to(table.device), True)
    assert mean is not None
    return mean


def _check(users: Tensor, items: Tensor, vectors: Tensor, folds: int, repeats: int, block_users: int) -> None:
    if users.dim() != 1 or users.shape != items.shape:
        raise ConfigurationError(
            f"users has the shape {list(users.shape)} and items {list(items.shape)}; both must be [n]"
        )
    if users.is_floating_point() or items.is_floating_point():
        raise ConfigurationError("users and items must be integer numbers of users and items")
    if vectors.dim() != 2 or not vectors.is_floating_point():
        raise ConfigurationError(
            f"vectors is {vectors.dtype} of shape {list(vectors.shape)}; it must be floating-point [n_items, d]"
        )
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1), ("block_users", block_users, 1)):
        if value < least:
            raise ConfigurationError(f"{name} = {value}; give at least {least}")
    if len(items) and not 0 <= int(items.min()) <= int(items.max()) < len(vectors):
        raise DataError(
            f"items has numbers from {int(items.min())} to {int(items.max())}, and vectors has rows for 0 to "
            f"{len(vectors) - 1}"
        )
