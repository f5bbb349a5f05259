"""Values from random coalitions that each player joins with the same probability, in pairs that serve all players."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .sampling import CountedGame
from .surrogate import Surrogate, fitted

#: Samples of a node in each half: two is the least that gives an error.
LEAST = 2
#: How much more than a drawn coalition one counts in a fit that is asked for.
ASKED = 3.0


@dataclass(frozen=True)
class Node:
    """A probability q of joining, and the weight of the slope at q and at 1 - q together."""

    q: float
    weight: float

    @property
    def masks(self) -> int:
        """Coalitions a sample: one and its complement; with q other than 1/2, also the antithetic pair."""
        return 2 if self.q == 0.5 else 4

    @property
    def spread(self) -> float:
        """Standard deviation of a sample's weighted contribution, up to the game's own; samples go in proportion."""
        return float(self.weight / (self.q * (1 - self.q)) ** 0.5)


def smallest(nodes: list[Node]) -> int:
    """The smallest budget: two samples of every node in each of the two halves."""
    return 2 * LEAST * sum(node.masks for node in nodes)


def estimated(
    counted: CountedGame,
    nodes: list[Node],
    budget: int,
    source: torch.Generator,
    surrogate: Surrogate | None = None,
) -> tuple[Tensor, Tensor]:
    """Weighted slopes of the game's multilinear extension, `(values, standard errors)`, each `[n, n_outputs]`.

    With f(q) the mean of v over coalitions that everyone joins with probability q, the slope for player i is
    f(q | i in) - f(q | i out) = E[v(z) (z_i - q)] / (q (1 - q)).  So one coalition z serves all players at once.
    Its complement is a coalition for 1 - q, and v(z) - v(complement) takes the place of v(z); the antithetic pair
    comes from 1 - U where the first came from U.

    An additive part a z of the game has slopes a that are known, so it is taken out: a is fitted by least squares on
    one half of the samples and taken out of the other half, then the reverse, which leaves the estimate unbiased.
    With a surrogate, whose slopes are known as well, its fit is taken out in the place of the additive part, and
    coalitions of nobody, of one, of all but one and of everybody are asked for, where they take no more than a quarter
    of the budget, and not drawn: each is rare, and weighs much.
    """
    budgets = [budget // 2, budget - budget // 2]
    asked = None
    if surrogate is not None:
        asked = _ends(counted, budget)
        budgets = [part - len(asked[0]) for part in budgets]
    halves = [_Half(counted, nodes, part, source, surrogate, asked) for part in budgets]
    slopes = [half.slopes(other.known()) for half, other in zip(halves, reversed(halves), strict=True)]
    values = (slopes[0][0] + slopes[1][0]) / 2
    return values, (slopes[0][1] + slopes[1][1]).sqrt() / 2


def _ends(counted: CountedGame, budget: int) -> tuple[Tensor, Tensor]:
    """Everybody, and where the budget has room each one alone: masks `[k, n]`, and v less v of the complements."""
    n = counted.game.n_players
    masks = torch.ones(1, n, dtype=torch.bool, device=counted.device)
    if 2 * n <= budget // 4:
        masks = torch.cat([masks, torch.eye(n, dtype=torch.bool, device=counted.device)])
    one, other = counted(torch.cat([masks, ~masks])).chunk(2)
    return masks, one - other


class _Half:
    """Samples of all nodes: which players joined, and v less v of the complement."""

    def __init__(
        self,
        counted: CountedGame,
        nodes: list[Node],
        budget: int,
        source: torch.Generator,
        surrogate: Surrogate | None,
        asked: tuple[Tensor, Tensor] | None,
    ) -> None:
        self.nodes, self.surrogate, self.asked = nodes, surrogate, asked
        n = counted.game.n_players
        self.joined: list[Tensor] = []  # a node: [pairs a sample, samples, n]
        self.differences: list[Tensor] = []  # a node: [pairs a sample, samples, n_outputs]
        for node, samples in zip(nodes, _samples(nodes, budget), strict=True):
            drawn = torch.rand(samples, n, generator=source, dtype=torch.float64)
            pairs = [drawn < node.q] + ([drawn > 1 - node.q] if node.masks == 4 else [])
            self.joined.append(torch.stack(pairs).to(counted.device))
        # Of all nodes at once: games are quicker with many coalitions.
        flat = torch.cat([joined.flatten(0, 1) for joined in self.joined])
        one, other = counted(torch.cat([flat, ~flat])).chunk(2)
        parts = (one - other).split([joined[..., 0].numel() for joined in self.joined])
        for joined, part in zip(self.joined, parts, strict=True):
            self.differences.append(part.view(*joined.shape[:2], -1))

    def known(self) -> Tensor | None:
        """Coefficients `[m, n_outputs]` of what is taken out: the surrogate's features, else the players themselves."""
        if self.surrogate is None:
            return self.additive()
        joined = torch.cat([one.flatten(0, 1) for one in self.joined])
        differences = torch.cat([one.flatten(0, 1) for one in self.differences])
        assert self.asked is not None
        features = torch.cat([self._features(joined), ASKED * self._features(self.asked[0])])
        return fitted(features, torch.cat([differences, ASKED * self.asked[1]]))

    def _features(self, joined: Tensor) -> Tensor:
        """What is fitted to v less v of the complement, `[..., m]`, for coalitions `[..., n]`."""
        if self.surrogate is None:
            return 2 * joined.to(self.differences[0].dtype) - 1
        flat = joined.flatten(0, -2)
        return (self.surrogate.features(flat) - self.surrogate.features(~flat)).view(*joined.shape[:-1], -1)

    def additive(self) -> Tensor | None:
        """Least-squares a of difference = a (2 z - 1), `[n, n_outputs]`; None from fewer than 2 n samples."""
        signs = torch.cat([joined.flatten(0, 1) for joined in self.joined]).to(self.differences[0].dtype)
        signs = 2 * signs - 1
        if len(signs) < 2 * signs.shape[1]:
            return None
        differences = torch.cat([one.flatten(0, 1) for one in self.differences])
        moments = signs.T @ signs
        moments.diagonal().add_(1e-9 * len(signs))
        return torch.linalg.solve(moments, signs.T @ differences)

    def slopes(self, known: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum over nodes of weight times slope, and the variance of that."""
        first = self.differences[0]
        shape = (self.joined[0].shape[2], first.shape[2])
        value, variance = (torch.zeros(shape, dtype=first.dtype, device=first.device) for _ in range(2))
        for node, joined, differences in zip(self.nodes, self.joined, self.differences, strict=True):
            z = joined.to(first.dtype)
            rest = differences if known is None else differences - self._features(joined) @ known
            if self.asked is not None:
                rest = rest.masked_fill(self._is_asked(joined).unsqueeze(-1), 0.0)
            z = (z - node.q) / (node.q * (1 - node.q))
            samples = z.shape[1]
            mean = torch.einsum("pkn,pkm->nm", z, rest) / z.shape[0] / samples
            # A sample is the mean of its pairs; its square holds every pair of pairs.
            squares = sum((z[p] * z[o]).T @ (rest[p] * rest[o]) for p in range(len(z)) for o in range(len(z)))
            spread = (squares / len(z) ** 2 / samples - mean.square()).clamp_min(0) / (samples - 1)
            value += node.weight * mean
            variance += node.weight**2 * spread
        if known is not None:
            value = value + (known if self.surrogate is None else self.surrogate.values.to(known).T @ known)
        if known is not None and self.asked is not None:
            value = value + self._of_ends(known)
        return value, variance

    def _is_asked(self, joined: Tensor) -> Tensor:
        """Which coalitions, `[..., n]`, are among those that are asked for, or complements of them: `[...]`."""
        assert self.asked is not None
        n, size = joined.shape[-1], joined.sum(-1)
        near = 1 if len(self.asked[0]) > 1 else 0
        return (size <= near) | (size >= n - near)

    def _of_ends(self, known: Tensor) -> Tensor:
        """Shapley values `[n, n_outputs]` of what the surrogate leaves of the coalitions that are asked for.

        Half of 1[S = all] - 1[S = none] gives each 1 / n; half of 1[S = {i}] - 1[S = all but i] gives i 1 / n and every
        other -1 / (n (n - 1)).
        """
        assert self.asked is not None
        masks, differences = self.asked
        left = differences - self._features(masks) @ known
        n = masks.shape[1]
        value = left[:1].expand(n, -1) / n
        if len(masks) > 1:
            value = value + left[1:] / n - (left[1:].sum(0) - left[1:]) / (n * (n - 1))
        return value


def _samples(nodes: list[Node], budget: int) -> list[int]:
    """Samples of each node: `LEAST`, and what is left of the budget in proportion to their spread."""
    left = budget - LEAST * sum(node.masks for node in nodes)
    unit = sum(node.spread * node.masks for node in nodes)
    return [LEAST + int(left * node.spread / unit) for node in nodes]
