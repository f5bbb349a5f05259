"""Scales, errors of ratings, and floors, against loops and dense solutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from burnish.benchmarks.reviews.error_tables import error_frame, error_summary, predicted
from burnish.benchmarks.reviews.floors import STRENGTHS, Bias, Popularity, rating_floors
from burnish.benchmarks.reviews.scale import Scale
from burnish.errors import ConfigurationError, DataError, NonFiniteError


def test_the_five_star_scale():
    scale = Scale(1, 5)
    assert scale.gains(np.array([1.0, 4, 5])).tolist() == [1, 15, 31]
    assert scale.relevant(np.array([3.9, 4, 5])).tolist() == [False, True, True]
    assert scale.clip(np.array([-3, 1.5, 9])).tolist() == [1, 1.5, 5]


@pytest.mark.parametrize(
    ("low", "high", "like"), [(1, 10, 8), (0.5, 4.5, 3.6), (0, 100, 80), (-10, 10, 6), (0.5, 5, 4)]
)
def test_other_scales(low, high, like):
    scale = Scale(low, high)
    assert scale.relevant_from == pytest.approx(like)
    assert scale.relevant(np.array([like, like - 0.01])).tolist() == [True, False]
    assert scale.gains(np.array([float(high)]))[0] == pytest.approx(31)
    assert scale.gains(np.array([min(0.0, low)]))[0] == 0
    assert Scale(low, high, threshold=2.0).relevant_from == 2


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_any_observed_scale_gives_finite_gains(ratings):
    scale = Scale.observed(np.array(ratings))
    gains = scale.gains(np.array(ratings))
    assert np.isfinite(gains).all()
    assert (gains >= 0).all()
    assert (scale.clip(np.array(ratings)) == np.array(ratings)).all()


def test_ratings_and_scales_that_cannot_be():
    with pytest.raises(ConfigurationError, match="lowest and the highest"):
        Scale(5, 1)
    with pytest.raises(DataError, match=r"rating 6 lies outside the scale 1 to 5 \(1 of 3"):
        Scale(1, 5).check(np.array([1.0, 6, 5]))
    with pytest.raises(DataError, match="no ratings"):
        Scale.observed(np.zeros(0))


def test_errors_against_loops(written):
    cases = written([(1, 1, 3)], [], [(1, 2, 4), (1, 3, 1), (2, 1, 5), (2, 1, 2)], 3, 4)
    guess = {(1, 2): 4.5, (1, 3): 0.2, (2, 1): 7.0}
    rater_saw = []

    def rater(users, items):
        rater_saw.extend(zip(users.tolist(), items.tolist(), strict=True))
        return torch.tensor([guess[pair] for pair in zip(users.tolist(), items.tolist(), strict=True)])

    frame = error_frame(predicted(rater, cases.test, at_once=3), cases, Scale(1, 5))
    assert rater_saw == [(1, 2), (1, 3), (2, 1), (2, 1)]
    assert frame["error"].to_numpy() == pytest.approx([0.5, 0, 3, 0])
    assert frame["error_unclipped"].to_numpy() == pytest.approx([0.5, -0.8, 5, 2])
    assert frame["row"].tolist() == [0, 0, 0, 1]
    found = error_summary(frame)
    assert found["mae"] == pytest.approx((0.5 + 3) / 4)
    assert found["rmse"] == pytest.approx(((0.25 + 9) / 4) ** 0.5)
    assert found["mae_unclipped"] == pytest.approx((0.5 + 0.8 + 5 + 2) / 4)


def test_a_prediction_that_is_no_number_names_the_pair(written):
    cases = written([(1, 1, 3)], [], [(1, 2, 4), (1, 3, 1)], 2, 4)
    with pytest.raises(NonFiniteError, match="'u1' and item 'i3'"):
        error_frame(np.array([1.0, np.inf]), cases, Scale(1, 5))


@pytest.mark.parametrize("strength", [0.5, 5.0])
def test_bias_against_dense_normal_equations(drawn, strength):
    cases = drawn(1)
    rows, width = cases.train, cases.n_users + cases.n_items
    design = np.zeros((len(rows), width))
    for number, (user, item) in enumerate(zip(rows.users, rows.items, strict=True)):
        design[number, user] = design[number, cases.n_users + item] = 1
    mean = rows.ratings.mean()
    want = np.linalg.solve(design.T @ design + strength * np.eye(width), design.T @ (rows.ratings - mean))
    bias = Bias.fit(cases, strength)
    assert torch.cat([bias.user, bias.item]).numpy() == pytest.approx(want, abs=1e-8)
    users, items = torch.tensor([1, 3]), torch.tensor([2, 4])
    assert bias.ratings(users, items).numpy() == pytest.approx(
        mean + want[[1, 3]] + want[cases.n_users + np.array([2, 4])], abs=1e-8
    )
    every = torch.arange(cases.n_items)
    for row, user in zip(bias.scores(users), users, strict=True):
        whole = bias.ratings(user.expand(cases.n_items), every)
        torch.testing.assert_close(whole - row, (whole - row)[0].expand(cases.n_items))


def test_bias_is_chosen_by_validation_rows_only(drawn):
    cases = drawn(2)
    chosen = Bias.chosen(cases, Scale(1, 5))
    errors = {}
    for strength in STRENGTHS:
        fit = Bias.fit(cases, strength)
        found = fit.ratings(torch.from_numpy(cases.valid.users), torch.from_numpy(cases.valid.items)).numpy()
        errors[strength] = np.mean((np.clip(found, 1, 5) - cases.valid.ratings) ** 2)
    assert chosen.strength == min(errors, key=errors.__getitem__)
    cases.test.ratings[:] = 1  # nothing of the test rows is read
    again = Bias.chosen(cases, Scale(1, 5))
    assert torch.equal(again.item, chosen.item)


def test_popularity_counts_training_rows(written):
    cases = written([(1, 1, 3), (2, 1, 3), (2, 2, 1)], [(1, 3, 5)], [(1, 2, 4)], 3, 5)
    assert Popularity.of(cases).scores(torch.tensor([1, 2])).tolist() == [[0, 2, 1, 0, 0]] * 2


def test_constant_floors(written):
    cases = written([(1, 1, 1), (2, 1, 5), (2, 2, 5)], [], [(1, 2, 4)], 3, 5)
    floors = rating_floors(cases, Scale(1, 5))
    one = torch.tensor([1])
    assert float(floors["global mean"].ratings(one, one)) == pytest.approx(11 / 3)
    assert float(floors["constant median"].ratings(one, one)) == 5
    same = rating_floors(written([(1, 1, 3), (2, 1, 3)], [], [(1, 2, 4)], 3, 5), Scale(1, 5))
    assert same["ordinal user + item bias"] == same["constant median"], "one rating has no order"
    with pytest.raises(DataError, match="no training ratings"):
        rating_floors(written([], [], [(1, 2, 4)], 3, 5), Scale(1, 5))
