"""Ratings as ordered classes, against loops over the definition in float64."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from review_world import build, write_reviews
from scipy.special import expit

from burnish.backbones.ordinal import OrdinalError
from burnish.errors import DataError, UnknownNameError

RATINGS = torch.tensor([1.0, 2, 4, 4, 5, 5, 5, 5, 4, 1])
LEVELS = torch.tensor([1.0, 2, 4, 5])


def error(reading: str = "mean", *, drawn: int | None = None) -> OrdinalError:
    """Over four ratings; its parameters drawn, or as they begin."""
    found = OrdinalError.of(RATINGS, LEVELS, reading)
    if drawn is not None:
        torch.manual_seed(drawn)
        for parameter in found.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return found


def chances_by_definition(of: OrdinalError, score: float) -> np.ndarray:
    """P(r = v_k) = s(a (t_k - f)) - s(a (t_(k-1) - f)), `[K]` float64."""
    slope = of.start_slope * float(np.exp(np.float64(of.slope.item())))
    start = of.start.double().numpy()
    thresholds = [start[0] + of.first.item()]
    for gap, change in zip(np.diff(start), of.gaps.tolist(), strict=True):
        thresholds.append(thresholds[-1] + gap * np.exp(change))
    below = [0.0, *(expit(slope * (t - score)) for t in thresholds), 1.0]
    return np.diff(below)


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_against_a_loop(seed: int) -> None:
    of = error(drawn=seed)
    scores = torch.randn(len(RATINGS)) * 2 + 3
    want = [
        -np.log(chances_by_definition(of, score)[LEVELS.tolist().index(rating)])
        for score, rating in zip(scores.tolist(), RATINGS.tolist(), strict=True)
    ]
    assert float(of(scores, RATINGS).detach()) == pytest.approx(np.mean(want), rel=1e-5)
    for score, found in zip(scores.tolist(), of.chances(scores).detach(), strict=True):
        np.testing.assert_allclose(found.numpy(), chances_by_definition(of, score), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_readings_against_enumeration(seed: int) -> None:
    of = error(drawn=seed)
    scores = torch.linspace(-3, 9, 50)
    chances = np.stack([chances_by_definition(of, score) for score in scores.tolist()])
    values = LEVELS.double().numpy()
    np.testing.assert_allclose(of.read(scores).detach().numpy(), chances @ values, atol=1e-5)
    medians = of.read(scores, "median").detach().numpy()
    assert set(medians.tolist()) <= set(values.tolist())
    for median, row in zip(medians, chances, strict=True):
        losses = [float(row @ np.abs(values - value)) for value in values]
        assert float(row @ np.abs(values - median)) == pytest.approx(min(losses), abs=1e-6)
    assert (of.read(scores).diff() > 0).all(), "a higher score is a higher mean: rankings agree"


def test_it_begins_with_the_shares_of_the_training_split() -> None:
    found = error().chances(RATINGS.mean()).detach()
    torch.testing.assert_close(found, torch.tensor([0.2, 0.1, 0.3, 0.4]))


@given(st.floats(-1e6, 1e6), st.sampled_from(LEVELS.tolist()))
def test_any_score_has_a_finite_loss_and_gradient(score: float, rating: float) -> None:
    of = error(drawn=0)
    scores = torch.tensor([score], requires_grad=True)
    loss = of(scores, torch.tensor([rating]))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in (scores, *of.parameters()))


def test_gradients_in_float64() -> None:
    of = error(drawn=1).double()
    scores = torch.randn(len(RATINGS), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: of(s, RATINGS.double()), scores)


def test_scales_of_many_and_of_two_ratings() -> None:
    ratings = torch.rand(2000) * 99 + 1
    wide = OrdinalError.of(ratings, torch.linspace(1, 100, 51)[1:])
    assert len(wide.levels) == 50
    assert (wide.levels.diff() > 0).all()
    assert float(wide.read(ratings.mean())) == pytest.approx(float(ratings.mean()), rel=1e-4)
    yes_or_no = OrdinalError.of(torch.tensor([0.0, 1, 1, 1]), torch.tensor([0.0, 1]), "median")
    assert float(yes_or_no.read(torch.tensor(0.75))) == 1
    empty = OrdinalError.of(torch.tensor([1.0, 99.5]), torch.linspace(1, 100, 51)[1:])
    assert empty.levels.tolist() == [1.0, 99.5], "classes without ratings are left out"


def test_what_cannot_be_ordered_or_read() -> None:
    with pytest.raises(
        DataError, match=r"all ratings of the training split are 4; there is nothing to order"
    ):
        OrdinalError.of(torch.full((3,), 4.0), torch.tensor([4.0]))
    with pytest.raises(
        UnknownNameError, match=r"ordinal_rating 'medain' is not known. Did you mean 'median'"
    ):
        error("medain")


@pytest.mark.parametrize("model", ["EMF", "DReX"])
def test_models_learn_it_and_read_ratings(model: str, tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [
        (f"u{n % 30}", f"i{n % 7}", draw.choice([1.0, 5.0, 5.0]), n, f"warm tone {n % 7}") for n in range(210)
    ]
    write_reviews(tmp_path, rows)
    text = {"modalities": ["rating"]} if model == "DReX" else {}
    options = {"epochs": 15, "learning_rate": 0.01, "ordinal_rating": "median", **text}
    world = build(model, tmp_path, rating_loss="ordinal", **options)
    batch = world.train._dataset.inter_feat
    before = float(world.model.calculate_loss(batch))
    start = [parameter.clone() for parameter in world.model.rating_error.parameters()]
    world.trainer.fit(world.train, verbose=False, saved=False, show_progress=False)
    world.model.eval()
    assert float(world.model.calculate_loss(batch)) < before
    learned = list(world.model.rating_error.parameters())
    assert any(not torch.equal(one, other) for one, other in zip(start, learned, strict=True))
    assert set(world.model.predict(batch).tolist()) <= {1.0, 5.0}
    users = torch.arange(1, 4)
    means = world.model.full_sort_predict({world.model.USER_ID: users}).view(3, -1)
    scores = world.model.rate_all(users)
    assert torch.equal(means.argsort(1), scores.argsort(1)), "ranked by the mean, whatever `predict` reads"
    assert ((means > 1) & (means < 5)).all()


def test_medians_have_the_smaller_absolute_error(tmp_path: Path) -> None:
    draw = random.Random(2)
    rows = [(f"u{n % 30}", f"i{n % 7}", draw.choice([1.0, 5.0, 5.0]), n, "") for n in range(210)]
    write_reviews(tmp_path, rows)
    errors = {}
    for reading in ("mean", "median"):
        options = {"epochs": 15, "learning_rate": 0.01, "rating_loss": "ordinal", "ordinal_rating": reading}
        world = build("EMF", tmp_path, **options)
        world.trainer.fit(world.train, verbose=False, saved=False, show_progress=False)
        trained = world.train._dataset.inter_feat
        wrong = world.model.predict(trained).detach() - trained["rating"]
        errors[reading] = float(wrong.abs().mean()), float(wrong.square().mean())
    assert errors["median"][0] < 0.95 * errors["mean"][0]
    assert errors["mean"][1] < 0.95 * errors["median"][1]
