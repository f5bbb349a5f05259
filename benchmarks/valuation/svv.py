"""SVV: what each interaction does for a denoising autoencoder's loss, by an explainer of all users at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from burnish.errors import ConfigurationError

from .profiles import Profiles, in_random_order, profiles

#: Users in a step of training, and places in their profiles.
_USERS, _CELLS = 32, 1 << 14
#: Of users' interactions into two halves, each of which the other judges.
DEALS = 2


def svv_values(
    users: Tensor,
    items: Tensor,
    n_items: int,
    *,
    others: bool = False,
    passes: int = 10,
    width: int = 64,
    coalitions: int = 4,
    rate: float = 0.01,
    seed: int = 0,
) -> Tensor:
    """What each interaction adds to the likelihood of its user's interactions, by an explainer: `[n]`.

    A denoising autoencoder (`Autoencoder`) learns to tell all items of a user from a part of them.  In a user's game
    the players are their interactions, and a part S of them is worth the log-likelihood of all of them when S is the
    input: v(S) = sum of log p(item | S), the negated training loss.  `Explainer`, a network from a user's items to a
    value for each, is trained as FastSHAP is (`fit_explainer`), so that its minimum is the Shapley values of all games,
    and one evaluation of it gives the values.

    users, items: `[n]`, training interactions, items from 0 to n_items - 1.
    others: whether an interaction is judged by others only.  In the game above it is part of what it explains, and an
        autoencoder learns best that an item which is given is there, so that what nothing else foretells gains most.
        With `others` the autoencoder learns to tell items that it is not given, half of a user's interactions are
        players and the likelihood is that of the other half; halves are drawn anew for every pass, and values are means
        over `DEALS` deals into two halves.
    passes: over all users, of the autoencoder and of the explainer each.  width: of their hidden layers.
    coalitions: parts of a user's interactions in a pass, an even number.  rate: of Adam, falling to 0 in a line.
    Takes O(passes * coalitions * users * n_items * width).  On the device of `items`.

    Source: "Shapley value-driven data pruning for recommender systems" (Zhang, Zhang, Cui, Ma, KDD 2025, arXiv
    2505.22057): contributions to the loss of a denoising autoencoder, by FastSHAP (Jethani et al., ICLR 2022, arXiv
    2107.07436).  Our reading is the rest, which is not public in detail: the multinomial likelihood (of Mult-DAE, Liang
    et al., WWW 2018), shares of the input that are kept drawn uniformly, so that parts of every size have been seen,
    one hidden layer each, sizes and rates, and an explainer that is trained after the autoencoder.  `others` is ours,
    and nothing is pruned.
    """
    for name, value, least in (("passes", passes, 1), ("width", width, 1), ("coalitions", coalitions, 2)):
        if value < least:
            raise ConfigurationError(f"{name} = {value}; give at least {least}")
    if coalitions % 2:
        raise ConfigurationError(
            f"coalitions = {coalitions}; give an even number, parts come with what they leave"
        )
    if not len(users):
        return torch.zeros(0, device=items.device)
    users = users.to(items.device)
    generator = torch.Generator().manual_seed(seed)
    blocks = profiles(users, most_users=_USERS, most_cells=_CELLS)
    autoencoder = Autoencoder(items, n_items, width, generator)
    fit_autoencoder(autoencoder, items, blocks, passes, rate, generator, others=others)
    explainer = Explainer(autoencoder)
    fit_explainer(explainer, autoencoder, items, blocks, passes, coalitions, rate, generator, others=others)
    return explained(explainer, autoencoder, items, blocks, generator, others=others)


class Autoencoder(nn.Module):
    """Scores of all items from the sum of the vectors of some, one hidden layer.

    Before training its probabilities are how often items occur.
    """

    def __init__(self, items: Tensor, n_items: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        device = items.device
        start = torch.randn(2, n_items, width, generator=generator).to(device) / width**0.5
        self.inputs, self.outputs = nn.Parameter(start[0]), nn.Parameter(0.1 * start[1])
        self.hidden = nn.Parameter(torch.zeros(width, device=device))
        counts = torch.bincount(items, minlength=n_items).float()
        self.often = nn.Parameter((counts + 0.1).log())

    def worth(self, items: Tensor, told: Tensor, kept: Tensor) -> Tensor:
        """The log-likelihood `[users, parts]` of some of users' items, given parts of them.

        items: `[users, length]`.  told: bool `[users, length]`, whose likelihood it is.
        kept: bool `[users, parts, length]`, the parts.
        """
        given = kept.to(self.inputs.dtype)
        size = given.sum(2, keepdim=True).clamp_min(1)
        hidden = torch.tanh(given @ F.embedding(items, self.inputs) / size.sqrt() + self.hidden)
        own = hidden @ F.embedding(items, self.outputs).transpose(1, 2)
        own = own + F.embedding(items, self.often.unsqueeze(1)).squeeze(2).unsqueeze(1)
        every = torch.logsumexp(hidden @ self.outputs.t() + self.often, dim=2)
        return (own * told.unsqueeze(1)).sum(2) - told.sum(1, keepdim=True) * every


class Explainer(nn.Module):
    """A value for each of a user's items from all of them: one hidden layer, and an output an item.

    Its inputs begin as the autoencoder's, its outputs as 0, so that it begins with equal shares.
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.inputs = nn.Parameter(autoencoder.inputs.detach().clone())
        self.hidden = nn.Parameter(torch.zeros_like(autoencoder.hidden))
        self.outputs = nn.Parameter(torch.zeros_like(autoencoder.outputs))
        self.usual = nn.Parameter(torch.zeros_like(autoencoder.often))

    def forward(self, items: Tensor, players: Tensor, whole: Tensor) -> Tensor:
        """Values `[users, length]` which add up to `whole` `[users]`: what is missing is shared out equally."""
        sizes = players.sum(1, keepdim=True).clamp_min(1)
        given = F.embedding(items, self.inputs) * players.unsqueeze(2)
        hidden = F.gelu(given.sum(1) / sizes.sqrt() + self.hidden)
        values = (F.embedding(items, self.outputs) * hidden.unsqueeze(1)).sum(2)
        values = (values + F.embedding(items, self.usual.unsqueeze(1)).squeeze(2)) * players
        return values + players * (whole.unsqueeze(1) - values.sum(1, keepdim=True)) / sizes


def fit_autoencoder(
    autoencoder: Autoencoder,
    items: Tensor,
    blocks: Sequence[Profiles],
    passes: int,
    rate: float,
    generator: torch.Generator,
    *,
    others: bool = False,
) -> None:
    """Train it to tell users' items (`others`: those not given) from parts; a part's share is drawn between 0 and 1."""

    def loss(number: int) -> Tensor:
        block = blocks[number]
        shape = block.real.shape
        share = torch.rand(shape[0], 1, generator=generator)
        kept = (torch.rand(shape, generator=generator) < share).to(items.device) & block.real
        told = block.real & ~kept if others else block.real
        found = autoencoder.worth(items[block.rows], told, kept.unsqueeze(1))
        return -found.sum() / told.sum().clamp_min(1)

    _fit(autoencoder, loss, len(blocks), passes, rate, generator)


def fit_explainer(
    explainer: Explainer,
    autoencoder: Autoencoder,
    items: Tensor,
    blocks: Sequence[Profiles],
    passes: int,
    coalitions: int,
    rate: float,
    generator: torch.Generator,
    *,
    others: bool = False,
) -> None:
    """Train it on the mean squared distance of v(S) - v(nobody) from the sum of the values in S.

    Parts S are drawn by the Shapley kernel (`drawn_parts`), for which the minimum over values that add up to
    v(all) - v(nobody) is the Shapley values.  A user's distances are divided by their number of interactions, so that
    users with many do not drown the others.
    """
    ends = (
        [] if others else [_ends(autoencoder, items, block.rows, block.real, block.real) for block in blocks]
    )

    def loss(number: int) -> Tensor:
        block = blocks[number]
        own, players, told = items[block.rows], block.real, block.real
        if others:
            players, told = _halves(block.real, generator)
            nobody, whole = _ends(autoencoder, items, block.rows, players, told)
        else:
            nobody, whole = ends[number]
        sizes = players.sum(1, keepdim=True)
        parts = drawn_parts(players, coalitions, generator)
        with torch.no_grad():
            gained = autoencoder.worth(own, told, parts) - nobody.unsqueeze(1)
        values = explainer(own, players, whole - nobody)
        given = (parts.to(values.dtype) @ values.unsqueeze(2)).squeeze(2)
        apart = (gained - given) / sizes
        return (apart * (sizes > 1)).square().mean()  # one interaction has no parts, and keeps all

    _fit(explainer, loss, len(blocks), passes, rate, generator)


@torch.no_grad()
def explained(
    explainer: Explainer,
    autoencoder: Autoencoder,
    items: Tensor,
    blocks: Sequence[Profiles],
    generator: torch.Generator,
    *,
    others: bool = False,
) -> Tensor:
    """The explainer's values of all interactions: `[n]`.  generator: of the halves, for `others`."""
    values = torch.zeros(len(items), device=items.device)
    for block in blocks:
        for _ in range(DEALS if others else 1):
            halves = _halves(block.real, generator) if others else (block.real, block.real)
            for players, told in (halves, halves[::-1]) if others else (halves,):
                nobody, whole = _ends(autoencoder, items, block.rows, players, told)
                found = explainer(items[block.rows], players, whole - nobody)
                values[block.rows[players]] += found[players]
    return values / (DEALS if others else 1)


@torch.no_grad()
def _ends(
    autoencoder: Autoencoder, items: Tensor, rows: Tensor, players: Tensor, told: Tensor
) -> tuple[Tensor, Tensor]:
    """v of nobody and of all players, `[users]` each."""
    both = torch.stack([torch.zeros_like(players), players], dim=1)
    found = autoencoder.worth(items[rows], told, both)
    return found[:, 0], found[:, 1]


def _halves(real: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two halves of every user's interactions, the first larger by one where their number is odd."""
    first = torch.arange(real.shape[1], device=real.device) < (real.sum(1, keepdim=True) + 1) // 2
    half = torch.zeros_like(real).scatter_(1, in_random_order(real, generator), first)
    return half, real & ~half


def drawn_parts(real: Tensor, coalitions: int, generator: torch.Generator) -> Tensor:
    """Parts of users' interactions by the Shapley kernel: bool `[users, coalitions, length]`.

    Sizes s of 1 to n - 1 have probabilities in proportion to 1 / (s (n - s)), and parts of a size the same.  The second
    half are what the first half leave: with s drawn in proportion to 1 / s, the two together have the kernel's sizes,
    for 1 / (s (n - s)) = (1 / s + 1 / (n - s)) / n.
    real: bool `[users, length]`.  A user of one interaction gets it in the second half.
    """
    users, length = real.shape
    sizes = real.sum(1).cpu()
    sums = (1 / torch.arange(1, length + 1, dtype=torch.float64)).cumsum(0)
    most = torch.where(sizes > 1, sums[(sizes - 2).clamp_min(0)], 0.0).unsqueeze(1)
    height = most * torch.rand(users, coalitions // 2, generator=generator, dtype=torch.float64)
    size = torch.minimum(torch.searchsorted(sums, height, right=True) + 1, sizes.unsqueeze(1) - 1)
    every = real.unsqueeze(1).expand(-1, coalitions // 2, -1)
    order = in_random_order(every, generator)
    first = torch.arange(length, device=real.device) < size.unsqueeze(2).to(real.device)
    part = torch.zeros_like(first).scatter_(2, order, first)
    return torch.cat([part, every & ~part], dim=1)


def _fit(
    network: nn.Module,
    loss: Callable[[int], Tensor],
    blocks: int,
    passes: int,
    rate: float,
    generator: torch.Generator,
) -> None:
    """Adam over all blocks in a random order, `passes` times."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for number in range(passes):
        order = torch.randperm(blocks, generator=generator).tolist()
        for place, block in enumerate(order):
            done = (number * blocks + place) / (passes * blocks)
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - done)
            optimizer.zero_grad(set_to_none=True)
            loss(block).backward()
            optimizer.step()
