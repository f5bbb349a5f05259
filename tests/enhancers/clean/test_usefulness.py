"""Suspicion is tried on interactions that were held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.clean.planted import suspicion
from burnish.enhancers.clean.usefulness import BEYOND, HELD_OUT, MOST_HELD_OUT, RIDGE, gain, held_out
from burnish.noise.draw import inject


def of_tastes(seed: int, n_users: int, n_items: int, each: int, tastes: int) -> tuple[np.ndarray, np.ndarray]:
    """Users of several tastes, each of whom has items of one taste, popular ones more often: ids from 1."""
    rng = np.random.default_rng(seed)
    items = []
    for user in range(n_users):
        own = np.arange(user % tastes, n_items, tastes)
        chance = 1 / np.arange(1, len(own) + 1) ** 0.5
        items.append(1 + rng.choice(own, each, replace=False, p=chance / chance.sum()))
    return np.repeat(np.arange(1, n_users + 1), each), np.concatenate(items)


def test_the_gain_in_plain_loops() -> None:
    rng = np.random.default_rng(0)
    n, sizes = 280, (22, 16)
    pairs = rng.permutation(20 * 15)[:n]
    users, items = 1 + pairs // 15, 1 + pairs % 15
    held = held_out(n, 3)
    there = np.flatnonzero(~held)
    # A quarter of the pairs is there twice, and of one user nothing counts, so that all weighed scores are alike.
    users[there[:70]], items[there[:70]] = users[there[70:140]], items[there[70:140]]
    users, items, held = np.append(users, [21, 21]), np.append(items, [5, 6]), np.append(held, [True, False])
    weights = np.append(rng.random(n + 1 - held.sum()), 0.0)
    rest = ~held
    known, weighed = np.zeros(sizes), np.zeros(sizes)
    for user, item, weight in zip(users[rest], items[rest], weights, strict=True):
        known[user, item] = 1.0
        weighed[user, item] = max(weighed[user, item], weight)
    logs = []
    for matrix in (known, weighed):
        inverse = np.linalg.inv(matrix.T @ matrix + RIDGE * np.eye(sizes[1]))
        learnt = -inverse / np.diag(inverse)
        np.fill_diagonal(learnt, 0.0)
        scores = matrix @ learnt
        one = []
        for user, item in zip(users[held], items[held], strict=True):
            others = [k for k in range(1, sizes[1]) if k != item and not known[user, k]]
            before = sum(
                (scores[user, k] > scores[user, item]) + 0.5 * (scores[user, k] == scores[user, item])
                for k in others
            )
            one.append(np.log2(1 + before))
        logs.append(np.array(one))
    assert logs[1][-1] == np.log2(1 + 13 / 2)
    by_user = [np.mean((logs[0] - logs[1])[users[held] == user]) for user in np.unique(users[held])]
    found = gain(torch.from_numpy(users), torch.from_numpy(items), sizes, held, torch.from_numpy(weights))
    assert np.abs(logs[0] - logs[1]).max() > 0
    np.testing.assert_allclose(
        found, [np.mean(by_user), np.std(by_user, ddof=1) / len(by_user) ** 0.5], atol=1e-9
    )


def test_of_many_interactions_a_smaller_share_is_held_out() -> None:
    assert held_out(10**6, 0).sum() == pytest.approx(HELD_OUT * 10**6, rel=0.02)
    assert held_out(3 * 10**6, 0).sum() == pytest.approx(MOST_HELD_OUT, rel=0.02)


def test_a_single_user_tells_nothing() -> None:
    users, items = torch.ones(40, dtype=torch.long), torch.arange(1, 41)
    found = gain(users, items, (2, 61), held_out(40, 0), torch.ones(40 - int(held_out(40, 0).sum())))
    assert found == (0.0, float("inf"))


def test_to_know_noise_helps_and_to_mind_other_interactions_does_not() -> None:
    users, items = of_tastes(4, 400, 120, 20, 4)
    drawn = inject(users, items, n_items=121, share=1.0, kind="uniform", seed=9, first_item=1)
    held = held_out(len(drawn.users), 1)
    known = np.where(drawn.is_noise, 0.05, 1.0)[~held]
    of_others = np.random.default_rng(0).permutation(known)
    found = [
        gain(
            torch.from_numpy(drawn.users),
            torch.from_numpy(drawn.items),
            (401, 121),
            held,
            torch.from_numpy(weights),
        )
        for weights in (known, of_others)
    ]
    assert found[0][0] > BEYOND * found[0][1]
    assert found[1][0] < -BEYOND * found[1][1]


def test_what_is_useless_is_said_and_not_acted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.enhancers.clean import planted

    users, items = of_tastes(4, 200, 120, 20, 4)
    drawn = inject(users, items, n_items=121, share=0.3, kind="uniform", seed=99, first_item=1)
    noisy = torch.from_numpy(drawn.users), torch.from_numpy(drawn.items)
    asked = []

    def stand_in(
        users: torch.Tensor, items: torch.Tensor, sizes: object, held: np.ndarray, weights: torch.Tensor
    ):
        asked.append((held.mean(), weights))
        return gains[len(asked) - 1]

    monkeypatch.setattr(planted, "gain", stand_in)
    gains = [(0.02, 0.01), (0.016, 0.01)]
    helps, does_not = (suspicion(*noisy, 201, 121, kinds=("uniform",), repeats=1, seed=2) for _ in gains)
    assert helps.probability.any()
    assert not does_not.probability.any()
    # 2^-0.02 is 0.9862, and 0.01 times log 2 is 0.0069.
    assert str(helps.shares[0]).endswith(
        "%, without it held-out interactions rank 1.4% better (standard error 0.7%))"
    )
    assert "%, not acted on: without it held-out interactions rank 1.1% better" in str(does_not.shares[0])
    assert helps.shares[0].share == does_not.shares[0].share
    for share, weights in asked:
        assert share == pytest.approx(HELD_OUT, abs=0.02)
        assert weights.min() >= 0.05
        assert weights.max() <= 1.0
        assert weights.min() < 0.5
