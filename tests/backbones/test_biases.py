"""Biases against the minimum found by least squares, and what leaving a rating out means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.backbones.biases import Biases


def world(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    users, items = draw.integers(1, 9, 60), draw.integers(1, 7, 60)
    return torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(draw.integers(1, 6, 60)).float()


@pytest.mark.parametrize("shrinkage", [1.0, 10.0])
def test_they_are_the_minimum(shrinkage: float) -> None:
    users, items, ratings = world()
    found = Biases.of(users, items, ratings, 10, 8, shrinkage)
    rows = np.zeros((60 + 18, 18))
    rows[np.arange(60), users.numpy()] = 1
    rows[np.arange(60), 10 + items.numpy()] = 1
    rows[60:] = np.sqrt(shrinkage) * np.eye(18)
    target = np.concatenate([ratings.numpy() - ratings.numpy().mean(), np.zeros(18)])
    expected = np.linalg.lstsq(rows, target, rcond=None)[0]
    np.testing.assert_allclose(np.concatenate([found.users, found.items]), expected, atol=2e-3)
    assert found.users[0] == found.users[9] == found.items[0] == 0


def test_without_its_own_rating() -> None:
    """Neither side's bias moves with the rating itself, but for what it does to the mean and to the other side."""
    users, items, ratings = world(1)
    found = Biases.of(users, items, ratings, 10, 8, 5.0)
    centred = ratings.double() - ratings.double().mean()
    for row in range(60):
        parts = []
        for ids, others, other in ((users, items, found.items), (items, users, found.users)):
            same = (ids == ids[row]) & (torch.arange(60) != row)
            left = centred[same] - other.double()[others[same]]
            parts.append(left.sum() / (same.sum() + 5.0))
        assert float(found.without_own[row]) == pytest.approx(float(sum(parts)), abs=2e-3)


def test_alone_there_is_nothing_to_know() -> None:
    found = Biases.of(torch.tensor([1, 2]), torch.tensor([1, 2]), torch.tensor([1.0, 5.0]), 3, 3, 0.0)
    assert found.without_own.tolist() == [0, 0]
