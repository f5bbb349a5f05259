"""Triplet Shapley: values of (user, positive, negative) triplets by random orders and a control variate."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.errors import ConfigurationError

from .profiles import Profiles, in_random_order, profiles

#: Margins that are looked at at once: 2^20 float32 are 4 MiB.
_CELLS = 1 << 20


def triplet_shapley(
    users: Tensor,
    items: Tensor,
    vectors: Tensor,
    *,
    rounds: int = 1,
    folds: int = 5,
    step: float = 8.0,
    control: bool = True,
    seed: int = 0,
) -> Tensor:
    """The mean Shapley value `[n]` of the triplets that each interaction is in.

    A triplet is an interaction and an item that the user does not have, drawn anew in every round.  A user's triplets
    are dealt into folds; of a fold that is held out, triplets h judge, and those of the other folds are the players:
    a part S of them is worth how well the user vector after one step of BPR on S ranks what is held out,

        p(S) = step / n * sum of d_t / 2 over S,    v(S) = mean over h of log sigmoid(p(S) . d_h)

    with d = direction of the positive less that of the negative, and n players.  Values are those of `estimated`,
    from a random order a fold and round, averaged over the folds that did not hold the triplet.

    users, items: `[n]`, training interactions.  vectors: `[n_items, d]`, of a trained backbone's items.
    control: whether the control variate is used.  step: of the gradient of the mean loss.
    Takes O(rounds * d * sum of squares of the users' interactions).  A user with one interaction has the value 0.

    Source: "Interpretable triplet importance for personalized ranking" (He and Ma, CIKM 2024, arXiv 2407.19469):
    Shapley values of triplets, by Monte Carlo, made steady by control variates.  Our reading is the rest, which is not
    public in detail: the game (theirs trains on the triplets of all users; here an item table is given, one step is
    made, and the user's own training interactions judge), the control, which is that of Goldwasser and Hooker
    ("Stabilizing estimates of Shapley values with control variates", 2024, arXiv 2310.07672), a second-order
    approximation whose values are known, and an interaction's value from its triplets'.
    """
    for name, value, least in (("rounds", rounds, 1), ("folds", folds, 2)):
        if value < least:
            raise ConfigurationError(f"{name} = {value}; give at least {least}")
    if not 0 < step < math.inf:
        raise ConfigurationError(f"step = {step}; give a number above 0")
    users, items = users.to(vectors.device), items.to(vectors.device)
    unit = F.normalize(vectors.detach(), dim=1)
    generator = torch.Generator().manual_seed(seed)
    blocks = profiles(users, most_users=4096, most_cells=_CELLS * folds, power=2)
    values = torch.zeros(len(users), dtype=unit.dtype, device=unit.device)
    for _ in range(rounds):
        drawn = unknown_items(users, items, generator)
        for block in blocks:
            ways = (unit[items[block.rows]] - unit[drawn[block.rows]]) * block.real.unsqueeze(2)
            found = _of_block(block, ways, folds, step, control, generator)
            values.index_add_(0, block.rows[block.real], found[block.real])
    return values / rounds


def _of_block(
    block: Profiles, ways: Tensor, folds: int, step: float, control: bool, generator: torch.Generator
) -> Tensor:
    """Values `[users, length]` of one round.  ways: `[users, length, d]`, the d_t."""
    deal = in_random_order(block.real, generator)
    dealt = ways.gather(1, deal.unsqueeze(2).expand_as(ways))
    sizes = block.sizes.unsqueeze(1)
    parts = sizes.clamp_max(folds)
    place = torch.arange(ways.shape[1], device=ways.device)
    values = ways.new_zeros(block.real.shape)
    for fold in range(min(folds, ways.shape[1])):
        first = (fold * sizes // parts).clamp_max(sizes)
        end = torch.where(fold < parts, (fold + 1) * sizes // parts, first)
        held = first + torch.arange(int((end - first).max()), device=ways.device)
        judges = held < end
        held = held.clamp_max(ways.shape[1] - 1)
        towards = dealt.gather(1, held.unsqueeze(2).expand(-1, -1, ways.shape[2]))
        players = (place < sizes) & ((place < first) | (place >= end)) & (fold < parts)
        scale = step / 2 / players.sum(1).clamp_min(1).to(ways.dtype)
        margins = scale.view(-1, 1, 1) * (dealt @ towards.transpose(1, 2))
        margins = margins * (players.unsqueeze(2) & judges.unsqueeze(1))
        order = in_random_order(players, generator)
        values += estimated(margins, judges, order, control=control) / (parts - 1).clamp_min(1)
    return torch.zeros_like(values).scatter_(1, deal, values)


def estimated(margins: Tensor, judges: Tensor, order: Tensor, *, control: bool = True) -> Tensor:
    """Estimates `[games, players]` of Shapley values from a random order of the players each, without bias.

    The game is v(S) = mean over judges h of log sigmoid(x_h), x_h = sum of margins[t, h] over S.  The control is the
    same with b_h x + c_h x^2 in the place of log sigmoid(x) - log sigmoid(0), the parabola that meets it at 0 and at
    half and all of what the players give together; its Shapley values are known,

        mean over h of  b_h margins[t, h] + c_h margins[t, h] * x_h(all)

    so only what is left of the game, v less the control, is estimated from marginal contributions in the order.  The
    players' estimates add up to v(all) - v(nobody), whatever the order.

    margins: `[games, players, judges]`, 0 for players and judges that are not there.  judges: bool `[games, judges]`.
    order: `[games, players]`, the players' numbers.
    """
    weight = judges / judges.sum(1, keepdim=True).clamp_min(1).to(margins.dtype)
    weight = weight.unsqueeze(2)
    whole = margins.sum(1, keepdim=True)
    slope, bend = _parabola(whole) if control else (torch.zeros_like(whole), torch.zeros_like(whole))

    def left(sums: Tensor) -> Tensor:
        """v less the control, of parts with these sums: `[games, parts]`."""
        return ((F.logsigmoid(sums) - (slope + bend * sums) * sums) @ weight).squeeze(2)

    sums = margins.gather(1, order.unsqueeze(2).expand_as(margins)).cumsum(1)
    added = left(sums).diff(dim=1, prepend=left(torch.zeros_like(whole)))
    found = torch.zeros_like(added).scatter_(1, order, added)
    return found + ((slope + bend * whole) * margins @ weight).squeeze(2)


def _parabola(whole: Tensor) -> tuple[Tensor, Tensor]:
    """b and c of b x + c x^2 = log sigmoid(x) - log sigmoid(0) at x = whole / 2 and x = whole."""
    near = whole.abs() < 0.05  # where differences are rounding, Taylor's
    x = torch.where(near, 1.0, whole)
    start = -math.log(2.0)
    half, end = F.logsigmoid(x / 2) - start, F.logsigmoid(x) - start
    slope, bend = (4 * half - end) / x, (2 * end - 4 * half) / x.square()
    return torch.where(near, 0.5, slope), torch.where(near, -0.125, bend)


def unknown_items(users: Tensor, items: Tensor, generator: torch.Generator, *, tries: int = 100) -> Tensor:
    """For every interaction an item of the data that its user does not have, drawn uniformly: `[n]`.

    Draws that a user has are drawn again, up to `tries` times; of a user who has nearly all, some are left.
    """
    distinct, numbers = torch.unique(items, return_inverse=True)
    known = users * len(distinct) + numbers
    found = torch.empty_like(numbers)
    again = torch.arange(len(items), device=items.device)
    for _ in range(tries):
        draw = torch.randint(len(distinct), (len(again),), generator=generator).to(items.device)
        found[again] = draw
        again = again[torch.isin(users[again] * len(distinct) + draw, known)]
        if not len(again):
            break
    return distinct[found]
