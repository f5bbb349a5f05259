"""Scores on one axis, against a loop in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from burnish.enhancers.guided.normalising import Axis
from burnish.errors import DataError

DRAW = np.random.default_rng(3)


def standardised(value: float, column: list[float], clip: float) -> float:
    known = [x for x in column if not math.isnan(x)]
    mean = math.fsum(known) / len(known)
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in known) / len(known))
    if math.isnan(value) or spread == 0:
        return 0.0
    return min(max((value - mean) / spread, -clip), clip)


@pytest.mark.parametrize("clip", [0.7, 3.0])
def test_items_and_users_on_the_axis_of_items(clip: float) -> None:
    items = DRAW.integers(0, 10, (30, 4)).astype(float)
    items[DRAW.random((30, 4)) < 0.2] = np.nan
    users = DRAW.uniform(-5, 15, (7, 4))
    users[2, 1] = np.nan
    axis = Axis.of(items, clip)
    for given in (items, users):
        found = axis.standardise(given)
        expected = [
            [standardised(given[row, k], items[:, k].tolist(), clip) for k in range(4)]
            for row in range(len(given))
        ]
        assert np.allclose(found, expected, atol=1e-12)
    assert (np.abs(axis.standardise(users)) == clip).any()  # the bound acts


def test_a_constant_attribute_and_an_unknown_score_are_nothing() -> None:
    items = np.array([[4.0, 1.0], [4.0, np.nan], [np.nan, 3.0]])
    found = Axis.of(items, 3.0).standardise(items)
    assert (found[:, 0] == 0).all()
    assert found[:, 1].tolist() == [-1.0, 0.0, 1.0]
    # users that differ from the constant are no outliers of it
    assert (Axis.of(items, 3.0).standardise(np.array([[9.0, 2.0]])) == 0).all()


def test_what_is_given_is_not_changed() -> None:
    items = np.array([[1.0, np.nan], [2.0, 5.0]])
    before = items.copy()
    Axis.of(items, 3.0).standardise(items)
    assert np.array_equal(items, before, equal_nan=True)


def test_an_attribute_that_no_item_has_is_an_error() -> None:
    items = np.array([[1.0, np.nan], [2.0, np.nan]])
    with pytest.raises(DataError, match="no item of the data set has a score on attribute number 2"):
        Axis.of(items, 3.0)
