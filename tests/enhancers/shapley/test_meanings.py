"""Parts of a value that mean something: against enumeration in float64, and under rotations."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.meanings import (
    attribute_values,
    axis_values,
    group_values,
    item_groups,
    principal_axes,
)
from burnish.errors import ConfigurationError, NonFiniteError

USERS = torch.tensor([0] * 5 + [1] * 4 + [2] * 1 + [3] * 6)
ITEMS = torch.tensor([0, 1, 2, 3, 4, 0, 2, 5, 6, 0, 0, 1, 2, 3, 7, 8])
#: Every interaction a fold of its own: nothing is drawn.
ALONE = {"folds": 99, "seed": 0}


def vectors(width: int = 4, n: int = 11) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def rotation(width: int = 4) -> Tensor:
    draw = torch.Generator().manual_seed(9)
    return torch.linalg.qr(torch.randn(width, width, generator=draw, dtype=torch.float64)).Q


def directions() -> np.ndarray:
    table = vectors().numpy()
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def by_judge(table: np.ndarray, judges: np.ndarray) -> list[dict[int, np.ndarray]]:
    """For each interaction and each judge of it the value `[d]`: the game in all orders of the players, by its rule."""
    users, items = USERS.numpy(), ITEMS.numpy()
    found: list[dict[int, np.ndarray]] = []
    for place, user in enumerate(users):
        mine = [other for other in np.flatnonzero(users == user) if other != place]
        parts = {}
        for judge in mine:
            players = [place, *(other for other in mine if other != judge)]
            gains = []
            for order in permutations(players):
                before = [items[one] for one in order[: order.index(place)]]
                worth = [table[part].mean(0) if part else 0.0 for part in (before, [*before, items[place]])]
                gains.append(judges[items[judge]] * (worth[1] - worth[0]))
            parts[int(items[judge])] = np.mean(gains, axis=0) / len(mine)
        found.append(parts)
    return found


def summed(parts: list[dict[int, np.ndarray]], width: int) -> np.ndarray:
    return np.array([sum(one.values(), np.zeros(width)) for one in parts])


def mean_of_occurring(table: np.ndarray) -> np.ndarray:
    return table[np.unique(ITEMS)].mean(axis=0)


def test_axes_against_enumeration_on_a_decomposition() -> None:
    unit = directions()
    centre = mean_of_occurring(unit)
    _, sizes, axes = np.linalg.svd(unit[np.unique(ITEMS)] - centre)
    turned = unit @ axes.T
    expected = summed(by_judge(turned, turned - centre @ axes.T), 4)  # the sign of an axis does not count
    found = principal_axes(vectors(), ITEMS)
    np.testing.assert_allclose(found.share, sizes**2 / (sizes**2).sum(), rtol=1e-10)
    values = axis_values(USERS, ITEMS, vectors(), found, **ALONE)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    cut = axis_values(USERS, ITEMS, vectors(), found, most=2, **ALONE)
    np.testing.assert_allclose(cut[:, :2], expected[:, :2], atol=1e-12)
    np.testing.assert_allclose(cut[:, 2], expected[:, 2:].sum(1), atol=1e-12)
    assert cut.shape == (16, 3)


def test_the_sign_of_an_axis_and_the_items_at_its_ends() -> None:
    found = principal_axes(vectors(), ITEMS, named=2)
    unit, occurring = directions(), np.unique(ITEMS)
    places = (unit - mean_of_occurring(unit)) @ found.directions.numpy()
    for axis in range(4):
        mine = places[occurring, axis]
        assert mine[np.abs(mine).argmax()] > 0
        order = occurring[np.argsort(-mine)]
        assert found.high[axis] == tuple(order[:2])
        assert found.low[axis] == tuple(order[::-1][:2])
    assert {9, 10}.isdisjoint({item for ends in (found.high, found.low) for axis in ends for item in axis})


def test_a_rotation_changes_dimensions_alone() -> None:
    """Axes, groups and their values are those of the vectors, not of the basis that they are written in."""
    options = {"folds": 2, "seed": 3, "repeats": 2}
    table, turned = vectors(), vectors() @ rotation()
    by_dimension = [cross_fitted(USERS, ITEMS, one, per_dimension=True, **options) for one in (table, turned)]
    assert float((by_dimension[0].sum(0) - by_dimension[1].sum(0)).abs().max()) > 0.1
    axes = [principal_axes(one, ITEMS) for one in (table, turned)]
    assert axes[0].high == axes[1].high
    assert axes[0].low == axes[1].low
    groups = [item_groups(one, ITEMS, number=3) for one in (table, turned)]
    assert torch.equal(groups[0].labels, groups[1].labels)
    for found in (
        [
            axis_values(USERS, ITEMS, one, own, **options)
            for one, own in zip((table, turned), axes, strict=True)
        ],
        [
            group_values(USERS, ITEMS, one, own, **options)
            for one, own in zip((table, turned), groups, strict=True)
        ],
    ):
        torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)
        torch.testing.assert_close(
            found[0].sum(1), cross_fitted(USERS, ITEMS, table, **options), rtol=0, atol=1e-12
        )


def test_groups_are_those_that_are_there() -> None:
    """Three bundles of directions, of 5, 3 and 2 items, whatever the items' lengths; an item without rows has none."""
    draw = torch.Generator().manual_seed(0)
    truth = torch.tensor([1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 0])
    bundles = torch.eye(6)[truth] + 0.05 * torch.randn(11, 6, generator=draw)
    table = bundles * torch.rand(11, 1, generator=draw).add(0.1) * 10
    found = item_groups(table, torch.arange(10).repeat(2), number=3, named=2)
    assert found.labels.tolist() == [*truth[:10].tolist(), -1]
    assert len(found) == 3
    unit = torch.nn.functional.normalize(table[:10].double(), dim=1)
    for group in range(3):
        mine = (truth[:10] == group).nonzero()[:, 0]
        away = (unit[mine] - unit[mine].mean(0)).norm(dim=1)
        assert found.central[group] == tuple(mine[away.argsort()[:2]].tolist())


def test_groups_of_few_directions_and_of_very_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = item_groups(torch.ones(5, 3), torch.arange(5))
    assert alike.labels.tolist() == [0] * 5
    assert len(alike) == 1
    truth = torch.arange(400) % 2
    table = torch.eye(3)[truth] + 0.1 * torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr("burnish.enhancers.shapley.meanings._FITTED", 50)
    found = item_groups(table, torch.arange(400), number=2, seed=7)
    assert found.labels.bincount().tolist() == [200, 200]
    assert len(set(found.labels[truth == 0].tolist())) == 1


def test_group_values_against_enumeration() -> None:
    groups = item_groups(vectors(), ITEMS, number=3)
    unit = directions()
    parts = by_judge(unit, unit - mean_of_occurring(unit))
    expected = np.zeros((len(ITEMS), 3))
    for row, judges in enumerate(parts):
        for judge, value in judges.items():
            expected[row, groups.labels[judge]] += value.sum()
    np.testing.assert_allclose(group_values(USERS, ITEMS, vectors(), groups, **ALONE), expected, atol=1e-12)
    assert (np.abs(expected).sum(0) > 0.01).all()
    other = torch.full((4,), 0.3, dtype=torch.float64)
    found = group_values(USERS, ITEMS, vectors(), groups, centre=other, **ALONE)
    expected_sum = cross_fitted(USERS, ITEMS, vectors(), centre=other, **ALONE)
    torch.testing.assert_close(found.sum(1), expected_sum, rtol=0, atol=1e-12)


def test_attribute_values_against_enumeration() -> None:
    scores = vectors(2) * torch.tensor([1.0, 3.0])
    table = scores.numpy()
    expected = summed(by_judge(table, table - mean_of_occurring(table)), 2)
    found = attribute_values(USERS, ITEMS, scores, **ALONE)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    profile = cross_fitted(USERS, ITEMS, scores, normalise=False, **ALONE)
    torch.testing.assert_close(found.sum(1), profile, rtol=0, atol=1e-12)
    # What an item is scored on one attribute has no part in what it is worth on another.
    louder = scores * torch.tensor([100.0, 1.0])
    torch.testing.assert_close(attribute_values(USERS, ITEMS, louder, **ALONE)[:, 1], found[:, 1])


def test_bad_input() -> None:
    broken = vectors()
    broken[3] = torch.nan
    with pytest.raises(NonFiniteError, match="row 3"):
        principal_axes(broken, ITEMS)
    with pytest.raises(ConfigurationError, match="most"):
        axis_values(USERS, ITEMS, vectors(), principal_axes(vectors(), ITEMS), most=0)
    with pytest.raises(ConfigurationError, match="number"):
        item_groups(vectors(), ITEMS, number=0)
