"""Every softmax loss against its definition, written as loops in float64, with gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from burnish.enhancers.softmax.losses import (
    bilateral,
    pairwise,
    quantile_weights,
    row_losses,
    user_means,
    without_own,
)
from burnish.enhancers.wasserstein.logsumexp import log_sum_exp

OWNER = torch.tensor([0, 0, 0, 2, 2])  # the second user has no positive


def scores(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Positives `[5]` and all items `[3, 6]`, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(5, generator=generator, dtype=torch.float64).requires_grad_(),
        torch.randn(3, 6, generator=generator, dtype=torch.float64).requires_grad_(),
    )


def same(one: Tensor, other: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(one, other)
    factors = torch.linspace(0.5, -1.5, len(one), dtype=one.dtype)
    for a, b in zip(
        torch.autograd.grad((one * factors).sum(), leaves, retain_graph=True),
        torch.autograd.grad((other * factors).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("weighted", [False, True])
def test_infonce(weighted: bool) -> None:
    positives, items = scores()
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.25], dtype=torch.float64) if weighted else None
    found = user_means(row_losses(positives, torch.logsumexp(items, 1)[OWNER]), OWNER, 3, weights)
    expected = []
    for user in range(3):
        terms, shares = [], []
        for row in [r for r in range(5) if int(OWNER[r]) == user]:
            total = positives[row].exp() + sum(items[user, j].exp() for j in range(6))
            share = 1.0 if weights is None else float(weights[row])
            terms.append(-share * (positives[row].exp() / total).log())
            shares.append(share)
        expected.append(sum(terms) / sum(shares) if terms else positives.sum() * 0.0)
    same(found, torch.stack(expected), [positives, items])


def test_bilateral() -> None:
    positives, items = scores()
    t1, t2 = 0.9, 0.3
    found = bilateral(
        positives / t2, torch.logsumexp(items / t2, 1), OWNER, torch.full((3,), 6), ratio=t1 / t2
    )
    expected = []
    for user in range(3):
        rows = [r for r in range(5) if int(OWNER[r]) == user]
        if not rows:
            expected.append(positives.sum() * 0.0)
            continue
        own = sum((positives[r] / t1).exp() for r in rows) / len(rows)
        others = sum((items[user, j] / t2).exp() for j in range(6)) / 6
        expected.append((-t1 * own.log() + t2 * others.log()) / t2)
    same(found, torch.stack(expected), [positives, items])


def test_bilateral_tends_to_the_softmax_loss() -> None:
    positives, items = scores()
    found = bilateral(positives, torch.logsumexp(items, 1), OWNER, torch.ones(3), ratio=1e7)
    plain = user_means(torch.logsumexp(items, 1)[OWNER] - positives, OWNER, 3)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "atan", "relu"])
@pytest.mark.parametrize("budget", [1, 2**20])
def test_pairwise(activation: str, budget: int) -> None:
    positives, items = scores(3)
    masked = torch.zeros(3, 6, dtype=torch.bool)
    masked[0, 1] = masked[2, 5] = True
    found = pairwise(
        positives, items, OWNER, masked, temperature=0.7, activation=activation, budget_bytes=budget
    )
    functions = {"tanh": torch.tanh, "atan": torch.atan, "relu": lambda x: torch.relu(x + 1.0) - 1.0}
    expected = []
    for row in range(5):
        user = int(OWNER[row])
        left = [j for j in range(6) if not masked[user, j]]
        values = [functions[activation](items[user, j] - positives[row]) + 1.0 for j in left]
        expected.append((sum(v.clamp(min=1e-6) ** (1 / 0.7) for v in values) / len(left)).log())
    same(found, torch.stack(expected), [positives, items])


def test_pairwise_with_targets_that_the_mask_leaves_in() -> None:
    positives, items = scores(3)
    targets = torch.tensor([1, 2, 0, 3, 5])
    found = pairwise(
        positives, items, OWNER, None, temperature=0.7, activation="tanh", budget_bytes=1, targets=targets
    )
    for row, (user, target) in enumerate(zip(OWNER.tolist(), targets.tolist(), strict=True)):
        left = [j for j in range(6) if j != target]
        values = [torch.tanh(items[user, j] - positives[row]) + 1.0 for j in left]
        expected = (sum(v ** (1 / 0.7) for v in values) / len(left)).log()
        torch.testing.assert_close(found[row], expected)


def test_without_any_negative_nothing_is_learned() -> None:
    """Of a user who knows every item."""
    positives, items = scores(3)
    everything = torch.ones(3, 6, dtype=torch.bool)
    of_pairs = pairwise(
        positives, items, OWNER, everything, temperature=0.7, activation="relu", budget_bytes=2**20
    )
    negatives = torch.full((3,), -math.inf, dtype=torch.float64)
    of_users = bilateral(positives, negatives, OWNER, torch.zeros(3), ratio=2.0)
    assert not of_pairs.any()
    assert not of_users.any()
    (of_pairs.sum() + of_users.sum()).backward()
    assert not positives.grad.any()


@pytest.mark.parametrize("counted", [0.0, -math.inf, 0.5])
def test_a_positive_is_taken_out_of_its_negatives(counted: float) -> None:
    scored = torch.tensor([0.3, -1.0, 0.7, 2.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 0.5, math.exp(counted)], dtype=torch.float64)
    everything = torch.logsumexp(scored + weights.log(), 0)
    found = without_own(scored[3:], everything.reshape(1), torch.tensor([counted], dtype=torch.float64))
    torch.testing.assert_close(found[0], torch.logsumexp((scored + weights.log())[:3], 0))


def test_quantile_weights() -> None:
    positives, _ = scores()
    quantiles = torch.tensor([0.1, 0.0, -0.4], dtype=torch.float64)
    found = quantile_weights(positives, quantiles, OWNER, 0.5)
    expected = [
        1 / (1 + math.exp(-(float(p) - float(quantiles[u])) / 0.5))
        for p, u in zip(positives, OWNER, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert not found.requires_grad


@pytest.mark.parametrize("budget", [64 * 2**20, 300, 1])
@pytest.mark.parametrize("with_q", [False, True])
def test_products_in_blocks(budget: int, with_q: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(5, 4, generator=generator, dtype=torch.float64).requires_grad_()
    keys = torch.randn(7, 4, generator=generator, dtype=torch.float64).requires_grad_()
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    log_q = -torch.rand(7, generator=generator, dtype=torch.float64) if with_q else None
    mask = torch.rand(5, 7, generator=generator) < 0.3
    found = log_sum_exp(
        queries,
        keys,
        scale,
        centre=torch.zeros(4, dtype=torch.float64),
        log_q=log_q,
        mask=lambda lo, hi: mask[:, lo:hi],
        similarity="product",
        budget_bytes=budget,
    )
    logits = scale * queries @ keys.t() - (0.0 if log_q is None else log_q)
    same(found, torch.logsumexp(logits.masked_fill(mask, -math.inf), 1), [queries, keys, scale])
