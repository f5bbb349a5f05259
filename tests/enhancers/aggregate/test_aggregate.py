"""`aggregate`: hops against loops, from a trained backbone, chosen on validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import burnish
from burnish.enhancers.aggregate.aggregate import Aggregate, Hop
from burnish.enhancers.attach import enhance
from burnish.errors import ConfigurationError, UnsupportedError


@pytest.mark.parametrize("sides", ["users", "both"])
def test_hops(world: Any, sides: str) -> None:
    made = world(enhance("BPR", Aggregate(sides=sides, base="auto")), embedding_size=3)
    feat = made.train._dataset.inter_feat
    known = np.zeros((made.model.n_users, made.model.n_items))
    known[feat["user_id"].numpy(), feat["item_id"].numpy()] = 1.0
    users, items = made.model.user_embedding.weight.detach(), made.model.item_embedding.weight.detach()
    found = made.model.enhancers["aggregate"].aggregated(users, items, Hop(2, -0.5, -1.0, sides == "users"))
    u, i = users.double().numpy(), items.double().numpy()
    of_user, of_item = np.maximum(known.sum(1), 1), np.maximum(known.sum(0), 1)
    for _ in range(2):
        more_u, more_i = np.zeros_like(u), np.zeros_like(i)
        for a, b in zip(*known.nonzero(), strict=True):
            more_u[a] += of_item[b] ** -0.5 * of_user[a] ** -1.0 * i[b]
            more_i[b] += of_user[a] ** -0.5 * of_item[b] ** -1.0 * u[a]
        u = u + more_u
        i = i + more_i if sides == "both" else i
    np.testing.assert_allclose(found[0].numpy()[1:], u[1:], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1].numpy()[1:], i[1:], rtol=1e-4, atol=1e-6)


def test_from_a_run(tmp_path: Path, small: dict[str, Any]) -> None:
    plain = burnish.run("BPR", "tiny", config=small, seed=1, folder=tmp_path / "plain")
    options = {"base": str(tmp_path / "plain"), "hops": [1], "neighbour": [-0.5], "own": [-0.5, 0.0]}
    result = burnish.run("BPR", "tiny", enhancers={"aggregate": options}, config=small, seed=1)
    assert result.n_epochs == 5  # the backbone as it is, and two candidates, for users only and for both
    assert result.valid_result["ndcg@10"] >= plain.valid_result["ndcg@10"]
    chosen = result.model.enhancers["aggregate"]
    users, items = plain.model.user_embedding.weight, plain.model.item_embedding.weight
    expected = chosen.aggregated(users, items, chosen._candidates[result.best_epoch - 1])
    torch.testing.assert_close(result.model.user_embedding.weight, expected[0])
    told = (
        f"aggregate: holds candidate {result.best_epoch} of 5, chosen by validation: "
        f"{chosen.candidates()[result.best_epoch - 1]}"
    )
    assert told in str(burnish.status(result.model))
    baked = burnish.bake(result.model)
    torch.testing.assert_close(baked.item_embedding.weight, expected[1])


@pytest.mark.parametrize(
    ("hop", "said"),
    [
        (Hop(), ""),
        (Hop(2, -1.0, -0.5), ""),
        (
            Hop(3, -1.5, 0.0),
            " (no higher number of hops was tried, no lower exponent of |neighbour| was tried)",
        ),
        (Hop(1, -0.5, -2.0, True), " (no higher exponent of |neighbour| was tried)"),
    ],
)
def test_a_choice_at_the_edge_is_said(world: Any, hop: Hop, said: str) -> None:
    """One hop, and exponents of 0 and -2, are where there is nothing beyond."""
    made = world(
        enhance("BPR", Aggregate(hops=(1, 2, 3), neighbour=(-1.5, -1.0, -0.5), own=(-2.0, -0.5, 0.0)))
    )
    enhancer = made.model.enhancers["aggregate"]
    assert enhancer.note() == (
        "no candidate is noted: each epoch of training puts in one of 55, and validation chooses."
    )
    number = enhancer._candidates.index(hop)
    enhancer.choose(number)
    assert enhancer.note() == f"holds candidate {number + 1} of 55, chosen by validation: {hop}{said}."


def test_a_loop_of_ones_own_makes_no_base(world: Any) -> None:
    """Hops over an untrained model would be candidates like any others."""
    made = world(enhance("BPR", Aggregate()))
    with pytest.raises(ConfigurationError, match=r"base = 'auto' is trained or read where a run"):
        made.trainer._train_epoch(made.train, 0)


def test_refusals(world: Any) -> None:
    for backbone, words in (
        ("LightGCN", "propagates over the interactions by itself"),
        ("SASRec", "what their histories say"),
        ("NeuMF", "no product of two vectors"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            world(enhance(backbone, Aggregate()))
    for options in ({"hops": []}, {"hops": [0]}, {"hops": 0}, {"own": [0.5]}, {"neighbour": [float("nan")]}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            Aggregate(**options)


def test_one_number_is_a_list_of_it() -> None:
    config = Aggregate(hops=2, neighbour=-0.5, own=0).config
    assert (config.hops, config.neighbour, config.own) == ((2,), (-0.5,), (0.0,))
    with pytest.raises(ConfigurationError, match="hops = 'x': give a list"):
        Aggregate(hops="x")
