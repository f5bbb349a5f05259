"""Attributes of an item and paths as reasons that are masked: against predictions of the model itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import burnish
from burnish.benchmarks.faithfulness.other_reasons import GROUPS, AttributeGames, attached, path_reference
from burnish.benchmarks.faithfulness.standing import Recommendation
from burnish.benchmarks.harness.faithful import OURS
from burnish.enhancers.paths.paths import Paths
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.recommend import Recommender


@pytest.fixture(scope="module")
def recommender(trained: Callable[..., Any]) -> Recommender:
    return Recommender(trained("BPR", enhancers=("guided", "paths")), k=1)


def test_a_plain_model_has_neither(trained: Callable[..., Any]) -> None:
    plain = Recommender(trained("BPR"), k=1)
    assert AttributeGames.of(plain) is None
    assert path_reference(plain) is None


@pytest.mark.parametrize("additive", [True, False])
def test_an_attribute_at_its_mean(
    recommender: Recommender, additive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    games = AttributeGames.of(recommender)
    assert games is not None
    user = 3
    catalogue = recommender.candidates(user)
    item = int(catalogue[4])
    reasons: Any = games
    one = Recommendation(reasons, user, item, catalogue)
    values = games.values(user, item)
    assert games._own is not None
    assert games._own[1].additive
    if not additive:
        object.__setattr__(games._own[1], "additive", False)
    masks = np.random.default_rng(0).random((6, len(one))) < 0.5
    masks[0] = True
    found = one.ask(masks)
    before = recommender.scores(np.array([user]))[0].double().numpy()
    guided = games.guided
    kept = guided.guided[item].clone()
    for place, mask in enumerate(masks):
        guided.guided[item] = kept * torch.from_numpy(mask)
        scores = recommender.scores(np.array([user]))[0].double().numpy()[catalogue]
        guided.guided[item] = kept
        own = scores[4]
        spread = before[catalogue].std()
        assert found.standing[place] == pytest.approx((own - scores.mean()) / spread, abs=1e-4)
        assert found.rank[place] == 1 + (scores > own + 1e-9).sum()
    assert len(values) == len(guided.attributes)
    np.testing.assert_allclose(recommender.scores(np.array([user]))[0].double().numpy(), before)


def test_references_of_attributes(recommender: Recommender) -> None:
    games = AttributeGames.of(recommender)
    assert games is not None
    user = 5
    catalogue = recommender.candidates(user)
    reasons: Any = games
    one = Recommendation(reasons, user, int(catalogue[0]), catalogue)
    own = games.values(user, one.item)
    made = {each.name: each.values(one) for each in games.references(["random", "leave-one-out"], 0)}
    assert list(made) == ["random", "item's extremes", "user's taste", "leave-one-out"]
    np.testing.assert_allclose(made["leave-one-out"], own, atol=1e-5)
    np.testing.assert_allclose(made["item's extremes"], games.guided.guided[one.item].abs().numpy())
    profile = games.guided.profile("user", user)
    assert made["user's taste"].tolist() == [abs(profile[name]) for name in games.guided.attributes]
    assert [each.name for each in games.references([], 0)] == ["item's extremes", "user's taste"]


def test_paths_by_the_items_that_they_begin_with(recommender: Recommender) -> None:
    reference = path_reference(recommender)
    assert reference is not None
    paths = attached(recommender, Paths)
    met: Counter[str] = Counter()
    for user in range(1, 8):
        catalogue = recommender.candidates(user)
        one = Recommendation(HistoryReasons(recommender), user, int(catalogue[1]), catalogue)
        values = reference.values(one)
        # The sentence and the drawing name the same: what explain says of each path.
        expected = np.zeros(len(one))
        reasons = paths.explain(user, one.item, k=GROUPS) or []
        for reason in reasons:
            for path in reason.evidence["paths"]:
                first = path["nodes"][1]
                expected[one.history == first["id"]] += path["contribution"]
        assert (values >= 0).all()
        if sum(len(reason.evidence["paths"]) for reason in reasons) == sum(
            reason.evidence["n_paths"] for reason in reasons
        ):
            np.testing.assert_allclose(values, expected, rtol=1e-6)
            met["compared"] += values.sum() > 0
        met["found"] += values.sum() > 0
    assert met["compared"] > 0


def test_both_are_in_the_study(recommender: Recommender) -> None:
    found = burnish.explain_eval(recommender.trained, users=3, reference_reasons=["random"])
    label = "BPR[guided, paths]: attributes"
    assert found.methods[label] == "attributes set to their mean"
    summary = found.summary()
    assert set(summary[summary["model"] == label]["reasons"]) >= {OURS, "random", "user's taste"}
    assert "paths" in set(summary["reasons"])
    assert "paths: the items of the history" in found.markdown()
