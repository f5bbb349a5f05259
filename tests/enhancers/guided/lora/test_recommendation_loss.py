"""Samples and the recommendation loss against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from burnish.enhancers.guided.lora.recommendation_loss import BaseVectors, PairScores, score_samples
from burnish.enhancers.guided.lora.sampling import (
    Interactions,
    Samples,
    hold_out,
    number_interactions,
    sample,
)
from burnish.enhancers.guided.scorers.protocol import Scores
from burnish.errors import DataError

CPU = torch.device("cpu")


@pytest.fixture
def pairs() -> Interactions:
    random = np.random.default_rng(4)
    users, items = np.unravel_index(random.choice(20 * 30, 200, replace=False), (20, 30))
    users[users == 7] = 6  # a user without interactions
    both = np.unique(np.stack([users, items], 1), axis=0)
    return Interactions.of(both[:, 0], both[:, 1], 20, 30)


def test_samples_are_the_users_own_and_negatives_are_unknown(pairs):
    known = set(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))
    users = pairs.active()[::-1].copy()
    found = sample(pairs, pairs.keys(), users, 5, 40, np.random.default_rng(0))
    assert 7 not in users
    for row, user in enumerate(users.tolist()):
        own = found.positives[row][found.real[row]].tolist()
        assert len(own) == len(set(own)) == min(5, sum(u == user for u, _ in known))
        assert all((user, item) in known for item in own)
        assert not any((user, item) in known for item in found.negatives[row][found.valid[row]].tolist())
    assert found.valid.all()


def test_a_user_who_knows_every_item_gets_no_negatives_and_a_finite_loss():
    pairs = Interactions.of(np.zeros(4, dtype=np.int64), np.arange(4), 1, 4)
    found = sample(pairs, pairs.keys(), np.array([0]), 4, 6, np.random.default_rng(0))
    assert not found.valid.any()
    scores = Scores(("a", "b", "c", "d"), ("x", "y"), np.arange(8.0).reshape(4, 2))
    objective = PairScores(scores, ("u",), None, None, CPU)
    for kind in ("softmax", "bpr"):
        users = torch.tensor([[3.0, 4.0]], requires_grad=True)
        loss = score_samples(objective, torch.tensor([0]), users, found).loss(kind)
        loss.sum().backward()
        assert loss.item() == 0
        assert torch.equal(users.grad, torch.zeros(1, 2))


def test_held_out_interactions_are_a_part_and_every_user_keeps_one(pairs):
    learned, judged = hold_out(pairs, 0.2, seed=3)
    assert len(judged) == round(0.2 * len(pairs))
    assert np.array_equal(np.sort(np.concatenate([learned.keys(), judged.keys()])), pairs.keys())
    assert np.array_equal(learned.active(), pairs.active())
    again, other = hold_out(pairs, 0.2, seed=3)[1], hold_out(pairs, 0.2, seed=4)[1]
    assert np.array_equal(again.keys(), judged.keys())
    assert not np.array_equal(other.keys(), judged.keys())


def test_pairs_are_counted_once_and_strangers_are_left_out():
    pairs, left_out = number_interactions(
        ["b", "a", "b", "c"], ["y", "x", "y", "x"], ["a", "b"], ["x", "y", "z"]
    )
    assert list(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert left_out == 1
    assert pairs.n_items == 3


@pytest.mark.parametrize("with_base", [False, True])
def test_losses_and_auc_equal_loops(with_base):
    random = np.random.default_rng(2)
    values = random.integers(0, 10, (9, 4)).astype(float)
    values[3, 1] = np.nan
    values[:, 2] = 5.0  # tells nothing
    item_ids, user_ids = tuple("abcdefghi"), ("u", "v")
    base = None
    rows_u, rows_i = random.normal(size=(2, 3)), random.normal(size=(9, 3))
    if with_base:  # other order, and a stranger
        base = BaseVectors(
            ("v", "u", "w"), np.vstack([rows_u[::-1], rows_u[:1]]), item_ids[::-1], rows_i[::-1].copy()
        )
    objective = PairScores(Scores(item_ids, ("k", "l", "m", "n"), values), user_ids, base, 0.7, CPU)
    users = torch.tensor(random.uniform(0, 9, (2, 4)), dtype=torch.float32)
    samples = Samples(
        np.array([[0, 3, 5], [7, 0, 0]]),
        np.array([[True, True, True], [True, False, False]]),
        np.array([[1, 2, 4, 6], [1, 2, 3, 8]]),
        np.array([[True, True, True, False], [True, True, True, True]]),
    )

    def axis(row: np.ndarray) -> np.ndarray:
        out = np.zeros(4)
        for k in (0, 1, 3):
            column = values[:, k][~np.isnan(values[:, k])]
            placed = (row[k] - column.mean()) / column.std()
            out[k] = 0.0 if math.isnan(placed) else max(-3.0, min(3.0, placed))
        return out

    def score(u: int, i: int) -> float:
        guided = 0.7**2 * float(axis(users[u].double().numpy()) @ axis(values[i]))
        return guided + (float(rows_u[u] @ rows_i[i]) if with_base else 0.0)

    judged = score_samples(objective, torch.tensor([0, 1]), users, samples)
    for u in range(2):
        own = [score(u, i) for i in samples.positives[u][samples.real[u]]]
        others = [score(u, i) for i in samples.negatives[u][samples.valid[u]]]
        softmax = [-math.log(math.exp(s) / (math.exp(s) + sum(map(math.exp, others)))) for s in own]
        bpr = [np.mean([math.log1p(math.exp(o - s)) for o in others]) for s in own]
        auc = [np.mean([(s > o) + 0.5 * (s == o) for o in others]) for s in own]
        assert float(judged.loss("softmax")[u]) == pytest.approx(np.mean(softmax), rel=1e-5)
        assert float(judged.loss("bpr")[u]) == pytest.approx(np.mean(bpr), rel=1e-5)
        assert float(judged.auc()[u]) == pytest.approx(np.mean(auc), rel=1e-6)


def test_without_a_weight_both_parts_are_equally_large():
    random = np.random.default_rng(5)
    ids = tuple(str(i) for i in range(30))
    scores = Scores(ids, ("k", "l"), random.integers(0, 10, (30, 2)).astype(float))
    base = BaseVectors(("u",), np.ones((1, 6)), ids, random.normal(size=(30, 6)) * 4)
    objective = PairScores(scores, ("u",), base, None, CPU)
    guided = objective.alpha * objective.items
    assert float(guided.square().mean(0).sum()) == pytest.approx(
        float(np.square(base.items).mean(0).sum()), rel=1e-5
    )


def test_scores_that_say_nothing_are_refused():
    ids = ("a", "b")
    with pytest.raises(DataError, match="all items are equal"):
        PairScores(Scores(ids, ("k",), np.ones((2, 1))), ("u",), None, None, CPU)
    with pytest.raises(DataError, match="no item has a score on 'l'"):
        PairScores(Scores(ids, ("k", "l"), np.array([[1, np.nan], [2, np.nan]])), ("u",), None, None, CPU)
    with pytest.raises(DataError, match="items has shape"):
        BaseVectors(("u",), np.ones((1, 3)), ids, np.ones((2, 4)))
    with pytest.raises(DataError, match="not finite"):
        BaseVectors(("u",), np.ones((1, 3)), ids, np.full((2, 3), np.nan))
