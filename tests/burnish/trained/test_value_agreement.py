"""Whether data suffice to value their interactions, by how far two halves of the users agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from burnish.enhancers.shapley.regression import regression_values
from burnish.trained import value_agreement
from burnish.trained.value_agreement import Agreement, agreement, values_by


def world(
    n_users: int, n_items: int, each: int, taste: float, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Users of two groups that choose from their own half of the items with a probability beyond chance."""
    draw = np.random.default_rng(seed)
    users, items = [], []
    for user in range(n_users):
        weights = np.ones(n_items)
        weights[np.arange(n_items) % 2 == user % 2] += taste
        chosen = draw.choice(n_items, each, replace=False, p=weights / weights.sum())
        users += [user] * each
        items += list(chosen)
    return torch.tensor(users), torch.tensor(items)


@pytest.mark.parametrize(("n_users", "n_items"), [(30, 50), (50, 30)], ids=["inner", "outer"])
def test_values_are_those_of_the_objective(n_users: int, n_items: int) -> None:
    """Both ways to invert, against the dense closed form of the objective `regression`."""
    users, items = world(n_users, n_items, 8, 2.0)
    known = sparse.csr_array((np.ones(len(users)), (users.numpy(), items.numpy())), (n_users, n_items))
    wanted = torch.zeros(n_users, n_items, dtype=torch.float64)
    wanted[users, items] = regression_values(users, items, n_items, ridge=20.0).double()
    values = values_by(known, known, ridge=20.0)
    dense = sparse.csr_array((values, known.indices, known.indptr), known.shape).toarray()
    np.testing.assert_allclose(dense, wanted.numpy(), atol=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    users, items = world(40, 60, 8, 2.0)
    known = sparse.csr_array((np.ones(len(users)), (users.numpy(), items.numpy())))
    whole = values_by(known, known)
    monkeypatch.setattr(value_agreement, "_CELLS", 150)
    np.testing.assert_allclose(values_by(known, known), whole, atol=1e-12)


def test_chance_agrees_with_nothing_and_taste_with_itself() -> None:
    chance = agreement(*world(300, 60, 10, 0.0))
    assert chance is not None
    assert abs(chance.half) < 0.1
    assert not chance.enough
    assert "3,000 interactions of 300 users with 60 items are too few" in chance.warning()
    taste = agreement(*world(300, 60, 10, 6.0))
    assert taste is not None
    assert taste.half > 0.5
    assert taste.enough
    few = agreement(*world(12, 60, 10, 6.0))
    assert few is not None
    assert not few.enough


def test_repeated_interactions_and_numbers_of_ids_do_not_count() -> None:
    users, items = world(60, 30, 8, 4.0)
    once = agreement(users, items)
    again = agreement(torch.cat([users, users[:50]]) * 3 + 7, torch.cat([items, items[:50]]) * 2 + 1)
    assert once is not None
    assert again is not None
    assert (again.half, again.users, again.items) == (once.half, once.users, once.items)


def test_larger_data_are_judged_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of fewer users say less, and the formula makes up for that."""
    users, items = world(800, 60, 10, 3.0)
    whole = agreement(users, items)
    monkeypatch.setattr(value_agreement, "LARGEST", 50)
    part = agreement(users, items)
    assert whole is not None
    assert part is not None
    assert (whole.times, part.times) == (2.0, 16.0)
    assert part.half < whole.half
    assert part.whole == pytest.approx(whole.whole, abs=0.15)


def test_spearman_and_brown() -> None:
    assert Agreement(0.5, 2.0, 1, 1, 1).whole == pytest.approx(2 / 3)
    assert Agreement(0.2, 4.0, 1, 1, 1).whole == pytest.approx(0.5)
    assert Agreement(-0.3, 2.0, 1, 1, 1).whole == 0.0


def test_nobody_with_an_order_says_nothing() -> None:
    assert agreement(torch.arange(20), torch.arange(20)) is None
