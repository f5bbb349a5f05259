"""Which interactions are positive where labels are ratings, and what pointwise batches are contrasted with."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from burnish import Euclid2d, Guided, RVRec, Shapley, enhance
from burnish.benchmarks.harness.specs import RunSpec
from burnish.enhancers.interactions import positives
from burnish.errors import DataError

RATED: dict[str, Any] = {
    "metrics": ["RMSE"],
    "valid_metric": "RMSE",
    "LABEL_FIELD": "rating",
    "train_neg_sample_args": None,
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "labeled"},
    "load_col": {"inter": ["user_id", "item_id", "rating"]},
}


def split_of(labels: list[float], **config: Any) -> Any:
    known = {
        "train_neg_sample_args": {"distribution": "none"},
        "MODEL_INPUT_TYPE": "POINTWISE",
        "rating_scale": None,
    }
    return SimpleNamespace(inter_feat={"rating": torch.tensor(labels)}, config={**known, **config})


def chosen(labels: list[float], limit: float | None = None, **config: Any) -> list[float]:
    split = split_of(labels, **config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = positives(split, "rating", limit, "enhancer 'x'").rows(split)
    return labels if found is None else [one for one, kept in zip(labels, found, strict=True) if kept]


@pytest.mark.parametrize(
    ("labels", "limit", "wanted"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], None, [4.0, 5.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, [3.0, 4.0, 5.0]),
        ([0.0, 0.25, 0.5, 0.75, 1.0], None, [0.75, 1.0]),  # the same, normalised
        ([float(n) for n in range(1, 11)], None, [8.0, 9.0, 10.0]),
        ([n / 9 for n in range(10)], None, [7 / 9, 8 / 9, 1.0]),
        ([n / 9 for n in range(10)], 7 / 9, [7 / 9, 8 / 9, 1.0]),
        ([-10.0, 0.0, 4.9, 5.0, 10.0], None, [5.0, 10.0]),
        ([-1.0, 1.0], None, [1.0]),
        ([0.0, 1.0, 1.0], None, [1.0, 1.0]),
        ([1.0, 1.0], None, [1.0, 1.0]),
        ([3.0, 3.0], None, [3.0, 3.0]),
        ([2.0, float("nan"), 5.0], None, [5.0]),
    ],
)
def test_three_quarters_of_the_way_up(labels: list[float], limit: float | None, wanted: list[float]) -> None:
    assert chosen(labels, limit) == wanted


def test_the_scale_may_be_given() -> None:
    assert chosen([3.0, 4.0, 5.0]) == [5.0]
    assert chosen([3.0, 4.0, 5.0], rating_scale=[1, 5]) == [4.0, 5.0]


def test_ratings_are_told_and_labels_are_not() -> None:
    with pytest.warns(
        UserWarning, match=r"'x': labels .*'rating'.* 1 to 5, not 0 and 1; those from 4 on, 50%"
    ):
        positives(split_of([1.0, 2.0, 4.0, 5.0]), "rating", None, "enhancer 'x'")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        positives(split_of([0.0, 1.0]), "rating", None, "enhancer 'x'")
        positives(split_of([1.0, 5.0]), "rating", 4.0, "enhancer 'x'")
        positives(split_of([1.0]), "label", None, "enhancer 'x'")
    with pytest.warns(UserWarning, match="positive_from = 4 has no effect.*no column 'label'"):
        positives(split_of([1.0]), "label", 4.0, "enhancer 'x'")


def test_a_limit_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(DataError, match=r"from positive_from = 4 on: .*'rating' go from 0 to 1 .*normalised"):
        positives(split_of([0.0, 0.5, 1.0]), "rating", 4.0, "enhancer 'x'")
    with pytest.raises(DataError, match=r"no positive interaction: labels .* go from 0 to 0"):
        positives(split_of([0.0, 0.0]), "rating", None, "enhancer 'x'")


def items_by_user(enhanced: Any, least: float) -> dict[int, set[int]]:
    feat = enhanced.train._dataset.inter_feat
    found: dict[int, set[int]] = {}
    for user, item, rating in zip(
        *(feat[name].tolist() for name in ("user_id", "item_id", "rating")), strict=True
    ):
        if rating >= least:
            found.setdefault(user, set()).add(item)
    return found


@pytest.mark.parametrize(
    ("limit", "normalised", "least"),
    [(None, False, 4.0), (None, True, 0.75), (3.0, False, 3.0), (0.5, True, 0.5)],
)
def test_a_low_rating_is_no_positive_of_a_rating_model(
    world: Any, limit: float | None, normalised: bool, least: float
) -> None:
    recipes = [kind(positive_from=limit) for kind in (RVRec, Shapley, Euclid2d)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enhanced = world(enhance("EMF", *recipes), normalize_all=normalised, train_batch_size=4096, **RATED)
    feat = enhanced.train._dataset.inter_feat
    liked, wanted = feat["rating"] >= least, items_by_user(enhanced, least)
    assert 0.3 < liked.float().mean() < 0.9
    host = enhanced.model.enhancers
    shapley, rvrec = host["shapley"], host["rvrec"]
    host.on_epoch(3)
    assert shapley._rows.tolist() == liked.nonzero()[:, 0].tolist()
    assert bool((shapley.weights[~liked] == 1).all())
    assert float(shapley.weights[liked].std()) > 0.1
    every = torch.arange(enhanced.model.n_items)
    for user in (1, 7, 50):
        assert set(shapley.history.items_of(user, without=0).tolist()) == wanted[user]
        known = rvrec.known.mask(torch.tensor([user]), every)[0]
        assert set(known.nonzero()[:, 0].tolist()) == wanted[user]
    assert rvrec.n_by_item.sum() == liked.sum()
    batch = next(iter(enhanced.train))
    columns, positive, counted, _ = rvrec._columns(batch)
    assert len(columns["rating"]) == 512
    assert positive is not None
    assert bool((columns["rating"] >= least).all())
    assert bool(counted.all())


def test_profiles_start_from_liked_items(world: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enhanced = world(enhance("EMF", Guided(attributes=("humor",))), **RATED)
    guided = enhanced.model.enhancers["guided"]
    wanted = items_by_user(enhanced, 4.0)
    assert len(wanted) > 50
    for user, items in wanted.items():
        own = guided.guided[sorted(items)]
        shrunk = own.sum(0) / (len(items) + guided.config.shrinkage)
        torch.testing.assert_close(guided.start[user], shrunk, rtol=1e-4, atol=1e-5)


def test_drawn_negatives_say_nothing_of_ratings(world: Any) -> None:
    """RecBole writes 0 and 1 over the ratings of a batch with drawn negatives; what was disliked stays out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"LABEL_FIELD": "rating", "load_col": RATED["load_col"], "normalize_all": False}
        enhanced = world(enhance("NeuMF", "rvrec"), **options)
    rvrec, wanted = (
        enhanced.model.enhancers["rvrec"],
        items_by_user(enhanced, 4.0),
    )
    batch = next(iter(enhanced.train))
    assert set(batch["rating"].tolist()) == {0.0, 1.0}
    positive = rvrec._positive({name: batch[name] for name in ("user_id", "item_id", "rating")})
    pairs = zip(batch["user_id"].tolist(), batch["item_id"].tolist(), batch["rating"].tolist(), strict=True)
    assert positive.tolist() == [label == 1 and item in wanted.get(user, ()) for user, item, label in pairs]


def share_of_rare(enhanced: Any, epochs: int = 2) -> tuple[float, float]:
    """What the least popular quarter of the items is of all items, and of the weight 1/q that keys have in sums."""
    rvrec = enhanced.model.enhancers["rvrec"]
    counts = torch.bincount(enhanced.train._dataset.inter_feat["item_id"]).double()
    seen = counts[counts > 0].sort().values
    limit = float((seen[len(seen) // 4] / counts.sum()).log()) - 1e-4
    weight = {"rare": 0.0, "all": 0.0}
    contrast = rvrec._contrast()

    def watched(*rows: Tensor, **given: Any) -> Tensor:
        used = torch.ones_like(given["log_q_keys"], dtype=torch.bool)
        if given["mask"] is not None:
            used = ~given["mask"].all(0)
        drawn = len(used) == rvrec.config.negatives  # else the whole of a small batch
        assert not drawn or bool(used.all()), "a key that nobody is contrasted with was drawn"
        weights = (-given["log_q_keys"].double()).exp() * used
        weight["rare"] += float(weights[given["log_q_keys"] < limit].sum())
        weight["all"] += float(weights.sum())
        result: Tensor = contrast(*rows, **given)
        return result

    rvrec._contrast = lambda: watched
    for _ in range(epochs):
        for batch in enhanced.train:
            with enhanced.model.enhancers.step():
                rvrec.loss(batch)
    rare = float((seen < seen[len(seen) // 4]).double().mean())
    return rare, weight["rare"] / weight["all"]


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("BPR", {}),
        ("NeuMF", {}),
        ("NeuMF", {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 4}}),
        ("NeuMF", {"train_batch_size": 256}),  # the whole batch is the sample
    ],
)
def test_every_item_counts_alike_among_keys(world: Any, backbone: str, options: dict[str, Any]) -> None:
    """With keys drawn by q, weights 1/q give each item the same share, popular or not."""
    recipe = RVRec(direction="user", mask_known=False)
    rare, share = share_of_rare(world(enhance(backbone, recipe), **options))
    assert 0.2 < rare < 0.3
    assert share == pytest.approx(rare, abs=0.03)


@pytest.mark.parametrize("negatives", [None, 16])
def test_a_batch_without_positives_adds_nothing(world: Any, negatives: int | None) -> None:
    enhanced = world(enhance("NeuMF", RVRec(negatives=negatives)))
    batch = next(iter(enhanced.train))
    drawn = batch[torch.arange(len(batch))[batch["label"] == 0]]
    losses = enhanced.model.enhancers["rvrec"].loss(drawn)
    assert all(bool((rows == 0).all()) for rows in losses.values())


@pytest.mark.parametrize(
    ("backbone", "enhancers", "options", "same"),
    [
        ("BPR", {"rvrec": {}, "shapley": {}}, {}, True),
        ("SASRec", {"rvrec": {}}, {}, True),
        ("ENMF", {"rvrec": {}}, {}, True),  # its batches are users
        ("NeuMF", {"shapley": {}}, {}, True),
        ("NeuMF", {"rvrec": {}}, {}, False),
        ("EMF", {"shapley": {}}, {}, False),
        ("EMF", {}, {}, True),
        ("BPR", {"shapley": {}}, {"LABEL_FIELD": "rating"}, False),
    ],
)
def test_runs_whose_positives_changed_are_made_anew(
    backbone: str, enhancers: dict[str, Any], options: dict[str, Any], same: bool, monkeypatch: Any
) -> None:
    spec = RunSpec("d", backbone, backbone, "arm", 1, enhancers, options)
    now = spec.digest
    monkeypatch.setattr("burnish.benchmarks.harness.specs._labels", lambda spec: {})
    assert (spec.digest == now) == same


def test_the_limit_tells_runs_apart_only_where_it_is_given() -> None:
    def of(**options: Any) -> str:
        return RunSpec("d", "BPR", "BPR", "arm", 1, {"shapley": options}, {}).digest

    assert of() == of(positive_from=None) != of(positive_from=4)
