"""Measures of explanations, against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from random_paths import random_model

from burnish.enhancers.paths.best_paths import PathFinder, PathInstance
from burnish.enhancers.paths.graph import Graph, Relation
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.quality import (
    agreement,
    existing_share,
    exists,
    interaction_times,
    path_quality,
    popularity,
    recency,
    smoothed,
    spread,
)
from burnish.errors import ConfigurationError, DataError


def world() -> Graph:
    """User 1 knows items 1, 2 and 3, user 2 item 1; genre 0 has four items, genre 1 one and genre 2 two."""
    genres = torch.tensor([[1, 0], [2, 0], [3, 0], [4, 0], [5, 1], [1, 2], [5, 2]])
    return Graph(
        {"user": 3, "item": 6, "genre": 4},
        [
            Relation.of("rated", "user", "item", torch.tensor([1, 1, 1, 2]), torch.tensor([1, 2, 3, 1])),
            Relation.of("genre", "item", "genre", *genres.T),
            Relation.of("mood", "item", "genre", torch.tensor([2]), torch.tensor([2])),
        ],
    )


BY_GENRE = "user -rated-> item -genre-> genre <-genre- item"
BY_MOOD = "user -rated-> item -mood-> genre <-mood- item"
BY_PEOPLE = "user -rated-> item <-rated- user -rated-> item"


def path(text: str, *nodes: int) -> PathInstance:
    return PathInstance(MetaPath.parse(text, world()), nodes, (1.0,) * 3, (1.0,) * 3, 1.0, 1.0)


TIMES = (torch.tensor([1, 1, 1, 2]), torch.tensor([2, 1, 3, 1]), torch.tensor([10.0, 20.0, 60.0, 5.0]))
EXPLANATIONS = {
    (1, 4): [path(BY_GENRE, 1, 1, 0, 4)],
    (1, 5): [path(BY_GENRE, 1, 1, 2, 5)],
    (1, 2): [path(BY_PEOPLE, 1, 3, 2, 2)],
    (2, 4): [path(BY_GENRE, 2, 1, 0, 4)],
    (2, 5): [],
}
METAPATHS = [MetaPath.parse(text, world()) for text in (BY_GENRE, BY_MOOD, BY_PEOPLE)]


def test_moving_averages() -> None:
    # 10, .5*10 + .5*20 = 15, .5*15 + .5*60 = 37.5; less 10, over 27.5
    assert smoothed(torch.tensor([10.0, 20.0, 60.0]).numpy(), 0.5) == pytest.approx([0.0, 5 / 27.5, 1.0])
    assert smoothed(torch.tensor([10.0, 20.0, 60.0]).numpy(), 1.0) == pytest.approx([0.0, 0.2, 1.0])
    assert all(math.isnan(value) for value in smoothed(torch.tensor([3.0, 3.0]).numpy(), 0.5))
    assert len(smoothed(torch.tensor([]).numpy(), 0.5)) == 0


def test_recency() -> None:
    found = recency(*TIMES, beta=0.5)
    assert found == pytest.approx({(1, 2): 0.0, (1, 1): 5 / 27.5, (1, 3): 1.0})  # user 2 has a single time
    for times in ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]):  # the last time counts, wherever it stands
        assert recency(torch.tensor([1, 1, 1]), torch.tensor([1, 2, 1]), torch.tensor(times))[1, 1] == 1.0
    with pytest.raises(DataError, match="2 users, 1 items"):
        recency(torch.tensor([1, 1]), torch.tensor([1]), torch.tensor([1.0]))


def test_popularity() -> None:
    # Edges of any relation: genre 1 has 1, genre 2 has 3, genre 0 has 4: 1, 2, 3; genre 3 has none.
    found = popularity(world(), "genre", beta=0.5)
    assert found[:3] == pytest.approx([1.0, 0.0, 0.5])
    assert math.isnan(found[3])
    # Items 4, 3, 2, 1, 5 have 1, 2, 3, 4, 2 edges.
    assert popularity(world(), "item", beta=1.0)[1:] == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0, 1 / 3])


def test_all_measures() -> None:
    quality = path_quality(world(), EXPLANATIONS, METAPATHS, TIMES, beta=0.5)
    assert (quality.n_recommendations, quality.n_paths) == (5, 4)
    assert quality.explained == pytest.approx(4 / 5)
    assert quality.pfr == 3 / 4  # user 2 has not rated item 3
    assert quality.lir == pytest.approx((5 / 27.5 + 5 / 27.5 + 1.0) / 3)
    # Genres 0, 2, 0 have 1, .5, 1; user 2 is the one with fewer interactions.
    assert quality.sep == pytest.approx((1.0 + 0.5 + 0.0 + 1.0) / 4)
    # User 1: items 1, 1, 3; user 2: item 1.
    assert quality.lid == pytest.approx((2 / 3 + 1) / 2)
    assert quality.sed == pytest.approx((3 / 3 + 1) / 2)
    # User 1: genre, genre, rated: 2 types of 3 that could be, in 3 paths; user 2: 1 in 1.
    assert quality.ptd == pytest.approx((2 / 3 + 1) / 2)
    # User 1: 1 - (2*1 + 0) / (3*2); user 2: a single path.
    assert quality.ptc == pytest.approx((2 / 3 + 0) / 2)
    assert quality.to_dict()["ptc"] == quality.ptc


def test_nothing_to_measure() -> None:
    empty = path_quality(world(), {}, METAPATHS)
    assert all(math.isnan(empty.to_dict()[name]) for name in ("explained", "pfr", "lir", "sep", "lid", "ptc"))
    without = path_quality(world(), {(1, 4): []}, METAPATHS)
    assert without.explained == 0.0
    assert math.isnan(path_quality(world(), EXPLANATIONS, METAPATHS).lir)
    with pytest.raises(ConfigurationError, match="beta = 0"):
        path_quality(world(), {}, METAPATHS, beta=0)


def test_spread() -> None:
    assert spread("aabb") == pytest.approx(1 - 4 / 12)
    assert spread("aaaa") == 0.0
    assert spread("abcd") == 1.0
    assert spread("a") == 0.0


def test_every_path_that_is_found_exists_and_a_forged_one_does_not() -> None:
    model = random_model(1)
    finder = PathFinder(model)
    found = [one for user in range(1, 6) for item in range(1, 7) for one in finder.best(user, item, 99)]
    assert len(found) > 50
    assert existing_share(model.graph, found) == 1.0
    one = max(found, key=lambda instance: len(instance.nodes))
    forged = [
        replace(one, nodes=(*one.nodes[:-2], (one.nodes[-2] + 1) % 4, one.nodes[-1])),
        replace(one, nodes=(*one.nodes[:-1], 6)),  # the item without edges
        replace(one, nodes=one.nodes[:-1]),
        replace(one, nodes=(77, *one.nodes[1:])),
        replace(one, nodes=(-1, *one.nodes[1:])),
    ]
    assert [exists(model.graph, other) for other in forged] == [False] * 5
    assert existing_share(model.graph, [*found[:3], forged[0]]) == 0.75


def test_agreement() -> None:
    inf = math.inf
    path = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]).log()
    path[:, 0] = -inf
    backbone = torch.tensor([[0.0, 3.0, 1.0, 2.0], [0.0, 3.0, 2.0, 1.0]])
    found = agreement(path, backbone, 2)
    # User 1: {3, 2} and {1, 3}; their union in the path model's order 3, 2, 1 and in the backbone's 1, 3, 2.
    # User 2: the same two in the same order.
    assert found["overlap@2"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["kendall@2"] == pytest.approx((-1 / 3 + 1) / 2)
    kl = 0.0
    for p, q in (((0.2, 0.3, 0.4), (3.0, 1.0, 2.0)), ((0.3, 0.2, 0.1), (3.0, 2.0, 1.0))):
        total, norm = sum(p), sum(math.exp(one / 2) for one in q)
        kl += (
            sum(a / total * math.log(a / total / (math.exp(b / 2) / norm)) for a, b in zip(p, q, strict=True))
            / 2
        )
    assert agreement(path, backbone, 2, temperature=2.0)["kl"] == pytest.approx(kl)
    assert agreement(path, path, 3) == pytest.approx({"overlap@3": 1.0, "kendall@3": 1.0, "kl": 0.0})
    closed = backbone.clone()
    closed[:, 1] = -inf  # the backbone's best is no candidate
    found = agreement(path, closed, 1)
    assert found["overlap@1"] == 1.0
    assert math.isnan(found["kendall@1"])  # one item has no order
    q = math.e / (1 + math.e)
    expected = [(4 / 7, q), (3 / 7, 1 - q), (2 / 3, q), (1 / 3, 1 - q)]
    assert found["kl"] == pytest.approx(sum(a * math.log(a / b) for a, b in expected) / 2)
    with pytest.raises(DataError, match="only 2 candidates"):
        agreement(path, closed, 3)
    with pytest.raises(DataError, match="only 3 candidates"):
        agreement(path, backbone, 4)
    with pytest.raises(DataError, match="shapes"):
        agreement(path, backbone[:, 1:], 1)
    for temperature in (0, -1.0, math.nan, math.inf, True):
        with pytest.raises(ConfigurationError, match="temperature = "):
            agreement(path, backbone, 1, temperature)


def test_times_of_what_is_held_out_are_not_looked_at() -> None:
    users, items = torch.tensor([1, 1, 2, 2]), torch.tensor([1, 5, 1, 4])
    kept = interaction_times(world(), users, items, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert [part.tolist() for part in kept] == [[1, 2], [1, 1], [1.0, 3.0]]
