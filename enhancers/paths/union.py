"""The divergence to a backbone's distribution on some of the items, which stand for all: for catalogues of any size.

Compared are a user's own items, the best of the path model's list, and items that are drawn for all users of a step.
What is drawn counts by one over how often it is to be drawn (log q), so that sums over the union are without bias those
over the catalogue; logarithms of them, and so the divergence, tend to it with more draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnish.enhancers.distil.distil import divergence

from .lists import MixedLists, Pairs


class Drawing(nn.Module):
    """How items are drawn: half of the draws of all alike and half by popularity.

    What has much of the softmax is drawn often, then, and as any item may be drawn nothing is left out.

    interactions: the item of each training interaction.
    """

    interactions: Tensor
    counts: Tensor

    def __init__(self, interactions: Tensor, n_items: int) -> None:
        super().__init__()
        self.n_items = n_items
        self.register_buffer("interactions", interactions, persistent=False)
        self.register_buffer("counts", torch.bincount(interactions, minlength=n_items), persistent=False)

    def draw(self, n: int, generator: torch.Generator) -> Drawn:
        """Of `n` draws; all items where there are no more."""
        device = self.interactions.device
        if n >= self.n_items - 1:
            return Drawn(
                torch.arange(1, self.n_items, device=device), torch.zeros(self.n_items - 1, device=device)
            )
        popular = n // 2
        alike = n - popular
        of_all = torch.randint(1, self.n_items, (alike,), generator=generator, device=device)
        places = torch.randint(len(self.interactions), (popular,), generator=generator, device=device)
        items, times = torch.unique(torch.cat([of_all, self.interactions[places]]), return_counts=True)
        expected = alike / (self.n_items - 1) + popular / len(self.interactions) * self.counts[items].double()
        return Drawn(items, (times / expected).log().float())


@dataclass(frozen=True)
class Drawn:
    """Items, none of them twice `[m]`, and the logarithm of how many of the catalogue each stands for `[m]`."""

    items: Tensor
    log_weights: Tensor


def divergence_on_union(
    walked: MixedLists,
    users: Tensor,
    vectors: Callable[[Tensor], Tensor],
    drawn: Drawn,
    known: Pairs,
    *,
    mask_known: bool,
    top: int,
) -> Tensor:
    """`KL(walked || softmax(users @ items))`, estimated on a union of items: `[b]`.

    users: vectors `[b, d]`, times a scale.  vectors: of items `[n]`, `[n, d]`.  known: the users' own items, which are
    left out with `mask_known`, and compared without.  top: how many of the best listed items are always compared.
    """
    items = _certain(walked, known, mask_known, top)
    every, which = torch.unique(torch.cat([items.flatten(), drawn.items]), return_inverse=True)
    table = vectors(every)
    own, of_drawn = which[: items.numel()].view_as(items), which[items.numel() :]
    scores = torch.cat(
        [
            torch.einsum("bd,bkd->bk", users, functional.embedding(own, table)),
            users @ functional.embedding(of_drawn, table).t(),
        ],
        dim=1,
    )
    rows = torch.arange(len(users), device=items.device).unsqueeze(1)
    chosen = torch.cat([items, drawn.items.expand(len(users), -1)], dim=1)
    chances = walked.at(rows.expand_as(chosen), chosen)
    logs = chances.clamp_min(torch.finfo(chances.dtype).tiny).log().to(scores)
    weights = torch.cat([scores.new_zeros(items.shape[1]), drawn.log_weights.to(scores)])
    left_out = torch.cat([items == 0, _among(items, drawn.items, walked.n_items)], dim=1)
    if mask_known:
        left_out = left_out | known.holds(rows.expand_as(chosen), chosen)
    return divergence(logs + weights, scores + weights, left_out, 1.0)


def _certain(walked: MixedLists, known: Pairs, mask_known: bool, top: int) -> Tensor:
    """What is compared of each user for certain, `[b, k]`, each item once; 0 where there are fewer."""
    items = walked.best(top, known if mask_known else None)
    if mask_known or not len(known.rows):
        return items
    b, n = len(items), walked.n_items
    of_best = torch.arange(b, device=items.device).unsqueeze(1) * n + items
    keys = torch.unique(torch.cat([of_best[items > 0], known.rows * n + known.items]))
    rows = keys // n
    counts = torch.bincount(rows, minlength=b)
    places = torch.arange(len(keys), device=keys.device) - (counts.cumsum(0) - counts)[rows]
    return items.new_zeros(b, int(counts.max())).index_put((rows, places), keys % n)


def _among(items: Tensor, drawn: Tensor, n_items: int) -> Tensor:
    """Whether drawn items `[m]` are among those of each row `[b, k]`, 0 for none: bool `[b, m]`."""
    rows, places = items.nonzero(as_tuple=True)
    keys = (rows * n_items + items[rows, places]).sort().values
    everybody = torch.arange(len(items), device=items.device).unsqueeze(1).expand(-1, len(drawn))
    return Pairs(keys // n_items, keys % n_items, n_items).holds(everybody, drawn.expand(len(items), -1))
