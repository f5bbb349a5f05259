"""Reference reasons: against scores asked one by one, numbers by hand, and captum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from burnish.benchmarks.faithfulness.references import REFERENCES, references, score_gradient
from burnish.benchmarks.faithfulness.standing import Recommendation
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.recommend import Recommender


def explained(trained: Any, user: int = 3, of: str = "score") -> tuple[Recommender, Recommendation]:
    recommender = Recommender(trained, k=1)
    catalogue = recommender.candidates(user)
    return recommender, Recommendation(HistoryReasons(recommender, of=of), user, int(catalogue[2]), catalogue)


def values(recommender: Recommender, one: Recommendation, name: str, seed: int = 0) -> np.ndarray:
    (made,), lacking = references(recommender, [name], seed)
    assert not lacking
    return made.values(one)


def test_random_and_popularity(trained: Callable[..., Any]) -> None:
    recommender, one = explained(trained("BPR"))
    first = values(recommender, one, "random")
    assert len(np.unique(first)) == len(one)
    np.testing.assert_array_equal(first, values(recommender, one, "random"))
    assert (first != values(recommender, one, "random", seed=1)).all()
    training = recommender.trained.splits.training.inter_feat["item_id"].tolist()
    assert values(recommender, one, "popularity").tolist() == [training.count(item) for item in one.history]


def test_similarity(trained: Callable[..., Any]) -> None:
    recommender, one = explained(trained("BPR"))
    table = recommender.trained.model.item_embedding.weight.detach()
    expected = [float(F.cosine_similarity(table[item], table[one.item], dim=0)) for item in one.history]
    np.testing.assert_allclose(values(recommender, one, "similarity"), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["BPR", "SASRec", "MultiVAE"])
def test_leave_one_out(trained: Callable[..., Any], name: str) -> None:
    recommender, one = explained(trained(name))
    for place, value in enumerate(values(recommender, one, "leave-one-out")):
        mask = torch.ones(2, len(one), dtype=torch.bool)
        mask[1, place] = False
        scores = one.reasons.scores(one.user, one.item, mask)
        assert value == pytest.approx(float(scores[0] - scores[1]), abs=1e-6)


@pytest.mark.parametrize("name", ["BPR", "MultiVAE", "SASRec"])
def test_references_are_of_what_ours_are_of(trained: Callable[..., Any], name: str) -> None:
    """The standing is a difference of scores, and so are its slopes and what is lost by leaving one out."""
    recommender, one = explained(trained(name), of="standing")
    _, plain = explained(trained(name))
    spread = plain.reasons.scorer.scores(
        one.user, one.catalogue.tolist(), torch.ones(1, len(one), dtype=torch.bool)
    ).std(unbiased=False)
    for reference in ("gradient", "leave-one-out"):
        every = []
        for item in one.catalogue.tolist():
            other = Recommendation(plain.reasons, one.user, item, one.catalogue)
            every.append(values(recommender, other, reference))
        expected = every[2] - np.mean(every, axis=0)
        found = values(recommender, one, reference)
        scale = 1.0 if reference == "gradient" and name != "BPR" else float(spread)
        np.testing.assert_allclose(scale * found, expected, atol=2e-5)
        assert np.abs(expected - every[2]).max() > 1e-4


def row_score(model: Any, one: Recommendation) -> Callable[[torch.Tensor], torch.Tensor]:
    """The score of the item as a function of rating rows, for captum and for differences."""

    def score(rows: torch.Tensor) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "get_rating_matrix", lambda users: rows, raising=False)
            users = {model.USER_ID: torch.full((len(rows),), one.user)}
            return model.full_sort_predict(users).view(len(rows), -1)[:, one.item]

    return score


def test_gradient_of_an_autoencoder_by_differences(trained: Callable[..., Any]) -> None:
    recommender, one = explained(trained("MultiVAE"))
    model = recommender.trained.model
    found = score_gradient(recommender, one)
    row = torch.zeros(1, model.n_items)
    row[0, one.history] = 1.0
    for place, item in enumerate(one.history.tolist()):
        up, down = row.clone(), row.clone()
        up[0, item] += 0.05
        down[0, item] -= 0.05
        with torch.no_grad():
            slope = (row_score(model, one)(up) - row_score(model, one)(down)) / 0.1
        assert found[place] == pytest.approx(float(slope), rel=0.02, abs=1e-4)
    assert np.abs(found).max() > 1e-3


def test_gradient_of_an_autoencoder_by_captum(trained: Callable[..., Any]) -> None:
    captum = pytest.importorskip("captum.attr")
    recommender, one = explained(trained("MultiVAE"))
    row = torch.zeros(1, recommender.trained.model.n_items)
    row[0, one.history] = 1.0
    attributed = captum.InputXGradient(row_score(recommender.trained.model, one)).attribute(
        row.requires_grad_()
    )
    np.testing.assert_allclose(
        score_gradient(recommender, one), attributed[0, one.history].detach().numpy(), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_gradient_of_a_sequence_by_captum(trained: Callable[..., Any], name: str) -> None:
    captum = pytest.importorskip("captum.attr")
    recommender, one = explained(trained(name))
    model = recommender.trained.model
    batch = recommender.inputs.batch(np.array([one.user]))

    def score(items: torch.Tensor) -> torch.Tensor:
        return model.full_sort_predict({**batch.interaction, model.ITEM_SEQ: items}).view(1, -1)[:, one.item]

    layer = captum.LayerGradientXActivation(score, model.item_embedding)
    attributed = layer.attribute(batch[model.ITEM_SEQ]).sum(dim=2)[0, : len(one)]
    np.testing.assert_allclose(
        score_gradient(recommender, one), attributed.detach().numpy(), rtol=1e-3, atol=1e-6
    )
    assert np.abs(score_gradient(recommender, one)).max() > 1e-3


def test_gradient_of_a_sequence_by_differences(trained: Callable[..., Any]) -> None:
    recommender, one = explained(trained("GRU4Rec"))
    model = recommender.trained.model
    batch = recommender.inputs.batch(np.array([one.user]))
    found = score_gradient(recommender, one)
    table = model.item_embedding.weight

    def score(item: int, factor: float) -> float:
        lookup = torch.nn.functional.embedding

        class Scaled(torch.nn.Module):
            weight = table

            def forward(self, items: torch.Tensor) -> torch.Tensor:
                return lookup(items, table) * torch.where(items == item, factor, 1.0).unsqueeze(-1)

        model._modules["item_embedding"], kept = Scaled(), model._modules["item_embedding"]
        try:
            with torch.no_grad():
                return float(model.full_sort_predict(batch).view(-1)[one.item])
        finally:
            model._modules["item_embedding"] = kept

    for place, item in enumerate(one.history.tolist()):
        if (one.history == item).sum() == 1:
            slope = (score(item, 1.05) - score(item, 0.95)) / 0.1
            assert found[place] == pytest.approx(slope, rel=0.03, abs=2e-4)


def test_gradient_of_a_folded_in_user_is_its_own_sum(trained: Callable[..., Any]) -> None:
    recommender, one = explained(trained("BPR"))
    (own,) = one.reasons.contributions(one.user, [one.item])
    assert own is not None
    np.testing.assert_allclose(values(recommender, one, "gradient"), own.values, atol=1e-9)


def test_the_model_is_as_it_was(trained: Callable[..., Any]) -> None:
    recommender, one = explained(trained("MultiVAE"))
    model = recommender.trained.model
    before = recommender.scores(np.array([one.user]))
    slopes = [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()]
    for name in REFERENCES:
        values(recommender, one, name)
    assert "get_rating_matrix" not in vars(model)
    for parameter, slope in zip(model.parameters(), slopes, strict=True):
        assert (parameter.grad is None) == (slope is None)
        assert slope is None or torch.equal(parameter.grad, slope)
    torch.testing.assert_close(recommender.scores(np.array([one.user])), before)


def test_what_cannot_be_had_is_told(trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recommender, _ = explained(trained("SASRec"))
    monkeypatch.delitem(recommender.trained.model._modules, "item_embedding")
    made, lacking = references(recommender, ["gradient", "random"], 0)
    assert [one.name for one in made] == ["random"]
    assert "item_embedding" in lacking["gradient"]
