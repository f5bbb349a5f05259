"""Judges of interactions against loops written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.shapley import objectives as O
from burnish.errors import ConfigurationError, DataError, NonFiniteError

USERS = torch.tensor([3, 3, 3, 7, 7, 7, 7, 9])
ITEMS = torch.tensor([0, 1, 2, 1, 2, 3, 4, 0])
P = torch.randn(10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Q = torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_standardised_within_user():
    values = torch.tensor([1.0, 2.0, 6.0, 0.1, 0.1, 0.1, 0.1, 5.0], dtype=torch.float64)
    got = O.standardised(values, USERS)
    first = values[:3].numpy()
    np.testing.assert_allclose(got[:3], (first - first.mean()) / first.std(), atol=1e-12)
    assert (got[3:] == 0).all()  # constant, and alone
    both = O.standardised(torch.stack([values, -2 * values], 1), USERS)
    torch.testing.assert_close(both, torch.stack([got, -got], 1))


def test_residuals_are_those_of_a_line_for_each_user():
    rng = np.random.default_rng(4)
    users = rng.permutation(np.repeat([2, 5, 6, 9, 11], [1, 2, 3, 40, 12]))
    by = np.log(rng.integers(1, 30, len(users)))
    by[users == 11] = 2.0  # all equally popular, and their mean exactly so
    values = rng.normal(size=len(users)) + 0.8 * by * (users % 3)
    want = np.zeros(len(users))
    for user in set(users):
        rows = np.flatnonzero(users == user)
        x, y = by[rows], values[rows]
        want[rows] = y - y.mean()
        if len(rows) >= 3 and user != 11:
            design = np.stack([np.ones(len(rows)), x], 1)
            want[rows] = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
            assert abs(np.corrcoef(x, y)[0, 1]) > 1e-3
    got = O.residualised(torch.as_tensor(values), torch.as_tensor(by), torch.as_tensor(users))
    np.testing.assert_allclose(got, want, atol=1e-12)
    for user in (6, 9):  # nothing of a line is left
        rows = users == user
        assert abs((got.numpy()[rows] * (by[rows] - by[rows].mean())).sum()) < 1e-10
    single = O.residualised(torch.as_tensor(values).float(), torch.as_tensor(by), torch.as_tensor(users))
    np.testing.assert_allclose(single, want, atol=1e-5)


def test_rounding_is_no_value_beyond_popularity():
    """Standardising would make it as large as any other."""
    by = torch.tensor([3.0, 7.0, 11.0, 2.0, 5.0], dtype=torch.float64).log()
    users = torch.zeros(5, dtype=torch.long)
    for dtype in (torch.float32, torch.float64):
        assert O.residualised((0.3 * by + 1.7).to(dtype), by, users).tolist() == [0.0] * 5
    assert O.residualised(torch.arange(5) ** 2, by, users).abs().max() > 1


def test_combined_is_the_weighted_sum():
    one, two = torch.arange(8.0), torch.arange(8.0).square() % 5
    want = O.standardised(one, USERS) + 0.5 * O.standardised(two, USERS)
    torch.testing.assert_close(O.combined([one, two], USERS, [1.0, 0.5]), want)
    with pytest.raises(ConfigurationError, match="1 weights for 2"):
        O.combined([one, two], USERS, [1.0])


def test_popularity_counts():
    np.testing.assert_allclose(O.popularity(ITEMS, 5), np.log([2, 2, 2, 2, 2, 1, 1, 2]), rtol=1e-6)


def test_ranking_loss_follows_its_formula():
    scorer = O.dot_scorer(P, Q)
    got = O.ranking_loss(scorer, USERS, ITEMS, 5, negatives=4000, seed=1)
    for row, (u, i) in enumerate(zip(USERS, ITEMS, strict=True)):
        want = torch.stack([torch.log(torch.sigmoid(P[u] @ (Q[i] - Q[j]))) for j in range(5)]).mean()
        assert abs(got[row] - want) < 0.15 * (1 + abs(want))
    assert torch.equal(
        O.ranking_loss(scorer, USERS, ITEMS, 5, seed=2), O.ranking_loss(scorer, USERS, ITEMS, 5, seed=2)
    )


def test_standing_is_the_z_score_in_the_items_column():
    got = O.standing(O.dot_scorer(P, Q), USERS, ITEMS, 10)
    scores = (P @ Q.T).numpy()
    want = (scores - scores.mean(0)) / scores.std(0)
    np.testing.assert_allclose(got, want[USERS, ITEMS], rtol=1e-9)
    lifted = torch.cat(
        [Q, torch.arange(5.0, dtype=torch.float64)[:, None]], 1
    )  # popularity as a bias an item
    with_bias = O.dot_scorer(torch.cat([P, torch.ones(10, 1, dtype=torch.float64)], 1), lifted)
    torch.testing.assert_close(O.standing(with_bias, USERS, ITEMS, 10), got)


def test_standing_scores_few_pairs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = O.dot_scorer(P, Q)
    whole, asked = O.standing(scorer, USERS, ITEMS, 10), []

    def counting(users, items):
        asked.append(len(users))
        return scorer(users, items)

    monkeypatch.setattr(O, "_PAIRS", 20)
    assert torch.equal(O.standing(counting, USERS, ITEMS, 10), whole)
    assert asked == [20, 20, 10, 8]


@pytest.mark.parametrize("centre", [False, True])
def test_profile_similarity_by_hand(centre):
    got = O.profile_similarity(USERS, ITEMS, Q, centre=centre)
    unit = (Q / Q.norm(dim=1, keepdim=True)).numpy()
    if centre:
        unit = unit - unit[ITEMS].mean(0)
    for row, (u, i) in enumerate(zip(USERS, ITEMS, strict=True)):
        rest = [
            unit[j] for other, (v, j) in enumerate(zip(USERS, ITEMS, strict=True)) if v == u and other != row
        ]
        if not rest:
            assert got[row] == 0.0
            continue
        mean = np.mean(rest, axis=0)
        want = unit[i] @ mean / np.linalg.norm(unit[i]) / np.linalg.norm(mean)
        assert float(got[row]) == pytest.approx(want, abs=1e-12)


def test_gradient_norm_against_autograd():
    torch.manual_seed(0)
    got = O.gradient_norm(
        USERS[:1], ITEMS[:1], P, Q[:1].repeat(2, 1) * torch.tensor([[1.0], [2.0]]), negatives=4000
    )
    # two items only: the drawn one is the own one (difference 0) or twice its vector
    q = Q[0]
    want = 0.0
    for other in (q, 2 * q):
        p, i, j = (x.clone().requires_grad_() for x in (P[USERS[0]], q, other))
        loss = -torch.log(torch.sigmoid(p @ (i - j)))
        grads = torch.autograd.grad(loss, [p, i, j])
        want -= float(torch.cat(grads).norm()) / 2
    assert float(got[0]) == pytest.approx(want, rel=0.1)


def test_folds_are_even_within_users_and_over_all():
    users = torch.arange(200).repeat_interleave(7)
    fold = O.folds_of(users, 5, seed=4)
    table = torch.zeros(200, 5).index_put((users, fold), torch.ones(len(users)), accumulate=True)
    assert table.min() >= 1
    assert table.max() <= 2
    overall = torch.bincount(fold)
    assert overall.min() > 0.9 * len(users) / 5
    assert torch.equal(fold, O.folds_of(users, 5, seed=4))
    assert not torch.equal(fold, O.folds_of(users, 5, seed=5))


def test_out_of_sample_never_shows_a_row_to_its_model():
    seen: list[set[tuple[int, int]]] = []

    def fit(rows, seed):
        pairs = set(zip(USERS[rows].tolist(), ITEMS[rows].tolist(), strict=True))
        seen.append(pairs)
        return lambda u, i: torch.tensor(
            [float((a, b) in pairs) for a, b in zip(u.tolist(), i.tolist(), strict=True)]
        )

    got = O.out_of_sample(fit, lambda score, u, i: score(u, i), USERS, ITEMS, folds=4, repeats=2)
    assert (got == 0).all()
    assert len(seen) == 8
    with pytest.raises(DataError, match="folds"):
        O.out_of_sample(fit, lambda score, u, i: score(u, i), USERS, ITEMS, folds=40)


def test_nan_is_named():
    broken = P.clone()
    broken[7] = float("nan")
    with pytest.raises(NonFiniteError, match="interaction 3"):
        O.ranking_loss(O.dot_scorer(broken, Q), USERS, ITEMS, 5)
