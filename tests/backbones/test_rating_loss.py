"""What training makes small: squared or absolute errors of ratings."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
import torch
from review_world import build, write_reviews

from burnish.errors import UnknownNameError


@pytest.mark.parametrize(("loss", "power"), [("squared", 2), ("absolute", 1)])
def test_the_error_that_is_asked_for(loss: str, power: int, tmp_path: Path) -> None:
    world = build("EMF", write_reviews(tmp_path), rating_loss=loss, reg_weight=0.0, explain_weight=0.0)
    batch = next(iter(world.train))
    errors = (world.model.predict(batch) - batch["rating"]).abs() ** power
    torch.testing.assert_close(world.model.calculate_loss(batch), errors.mean())


def test_each_is_the_better_at_its_own_error(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [(f"u{n % 30}", f"i{n % 7}", draw.choice([1.0, 5.0, 5.0]), n, "") for n in range(210)]
    write_reviews(tmp_path, rows)
    absolute, squared = {}, {}
    for loss in ("squared", "absolute"):
        options = {"epochs": 40, "learning_rate": 0.01, "reg_weight": 0.1}
        world = build("EMF", tmp_path, rating_loss=loss, **options)
        world.trainer.fit(world.train, verbose=False, saved=False, show_progress=False)
        rows_of_training = world.train._dataset.inter_feat
        errors = world.model.predict(rows_of_training) - rows_of_training["rating"]
        absolute[loss], squared[loss] = float(errors.abs().mean()), float(errors.square().mean())
    assert absolute["absolute"] < 0.95 * absolute["squared"]
    assert squared["squared"] < 0.95 * squared["absolute"]


def test_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"rating_loss 'squard' is not known. Did you mean 'squared'"):
        build("EMF", write_reviews(tmp_path), rating_loss="squard")


def test_a_reading_without_likelihoods_is_said_to_do_nothing(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"ordinal_rating = 'median' has no effect.*rating_loss = 'squared'"):
        build("EMF", write_reviews(tmp_path), ordinal_rating="median")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="ordinal_rating")
        build("EMF", tmp_path, ordinal_rating="median", rating_loss="ordinal")
        build("EMF", tmp_path, rating_loss="absolute")
