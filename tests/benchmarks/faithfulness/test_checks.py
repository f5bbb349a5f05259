"""Agreement of two explanations, and models with parameters drawn anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from burnish.benchmarks.faithfulness.checks import agreement, agreement_of, with_fresh_parameters
from burnish.errors import UnsupportedError
from burnish.randomness import stream_positions
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.recommend import Recommender


def test_agreement_by_hand() -> None:
    values = np.array([0.9, 0.1, 0.5, 0.3, -0.2, 0.4, 0.0])
    same = agreement(values, 10 * values**3)
    assert (same.spearman, same.overlap) == (pytest.approx(1.0), 1.0)
    assert agreement(values, -values).spearman == pytest.approx(-1.0)
    # The five strongest are places 0, 2, 5, 3, 1; without ties Spearman's is 1 - 6 sum d^2 / (n (n^2 - 1)).
    other = np.array([0.9, -0.5, 0.5, -0.6, 0.7, 0.4, 0.1])
    ranks, others = (np.argsort(np.argsort(one)) for one in (values, other))
    found = agreement(values, other)
    assert found.spearman == pytest.approx(1 - 6 * ((ranks - others) ** 2).sum() / (7 * 48))
    assert found.overlap == 3 / 5


def test_nothing_to_compare() -> None:
    assert math.isnan(agreement(np.array([1.0, 2.0]), np.array([1.0, 2.0])).spearman)
    assert math.isnan(agreement(np.ones(4), np.arange(4.0)).overlap)
    assert math.isnan(agreement_of(None, None).spearman)


@pytest.mark.parametrize("name", ["BPR", "SASRec", "MultiVAE"])
def test_fresh_parameters(trained: Callable[..., Any], name: str) -> None:
    whole = trained(name)
    kept = {key: value.clone() for key, value in whole.model.state_dict().items()}
    device = torch.device("cpu")
    streams = stream_positions(device)
    fresh, again, other = (with_fresh_parameters(whole, seed) for seed in (3, 3, 4))
    assert stream_positions(device) == streams
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, kept[key])
    moved = [key for key, value in kept.items() if not torch.equal(value, fresh.model.state_dict()[key])]
    assert any("weight" in key for key in moved)
    for key, value in fresh.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key])
    assert any(not torch.equal(fresh.model.state_dict()[key], other.model.state_dict()[key]) for key in kept)
    assert not fresh.model.training
    # It explains, and otherwise than the trained one.
    user = 3
    first, second = (
        HistoryReasons(Recommender(one, k=1), budget=64).contributions(user, [5])[0] for one in (whole, fresh)
    )
    assert first is not None
    assert second is not None
    assert not np.allclose(first.values, second.values)
    np.testing.assert_array_equal(first.history, second.history)


def test_a_formula_has_no_parameters(trained: Callable[..., Any]) -> None:
    whole = trained("BPR")

    class Formula(torch.nn.Module):
        pass

    with pytest.raises(UnsupportedError, match="no parameters to draw anew"):
        with_fresh_parameters(replace(whole, model=Formula()), 0)
