"""For which attributes an item of the history speaks: parts that add up, and nothing where there are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.vector_parts import ABOUT
from burnish.enhancers.shapley.shapley import Shapley
from burnish.explanation import Reason
from burnish.trained.explain import Explainer
from burnish.trained.explanation_formats import line
from burnish.trained.explanation_sentences import sentence
from burnish.trained.page import to_page
from burnish.training.trained_model import TrainedModel

from ...support.guided_world import write_world

NAMES = ("pace", "wit")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    write_world(folder)
    return folder


def made(model: str, folder: Path, *enhancers: Any, alpha: tuple[float, float] = (0.4, -0.7)) -> TrainedModel:
    """A model that is not trained, whose attributes count."""
    recipe = enhance(model, *enhancers) if enhancers else model
    world = build_world(recipe, folder)
    attached = getattr(world.model, "enhancers", None)
    for enhancer in attached.enhancers() if attached is not None else []:
        for fusion in getattr(enhancer, "fusions", {}).values():
            fusion.alpha.data.copy_(torch.tensor(alpha))
    return TrainedModel(world.config, world.dataset, world.train, world.valid, world.test, world.model)


def guided(folder: Path, **options: Any) -> Guided:
    return Guided(scores=str(folder / "scores.tsv"), **options)


def standardised_scores(trained: TrainedModel, folder: Path) -> np.ndarray:
    """`[n_items, 2]`, the padding's first, from the file."""
    rows = [line.split("\t") for line in (folder / "scores.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    known = {row[0]: [float(cell) for cell in row[1:]] for row in rows}
    tokens = trained.tokens("item_id", np.arange(1, trained.dataset.item_num))
    table = np.array([known[token] for token in tokens])
    return np.concatenate([np.zeros((1, 2)), (table - table.mean(0)) / table.std(0)])


def stored(trained: TrainedModel, name: str) -> np.ndarray:
    """A table of BPR's without attributes, in double precision."""
    table = getattr(trained.model, name)
    return np.asarray(table._parameters["weight"].detach().double().numpy())


def parts_of(reason: Reason) -> list[float]:
    assert set(reason.evidence["by_attribute"]) == set(NAMES)
    sizes = [abs(part) for part in reason.evidence["by_attribute"].values()]
    assert sizes == sorted(sizes, reverse=True)
    return [reason.evidence["by_attribute"][name] for name in NAMES]


def adds_up(reason: Reason) -> bool:
    whole = sum(parts_of(reason)) + reason.evidence["beside_attributes"]
    return whole == pytest.approx(reason.contribution, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("alpha", [(0.4, -0.7), (0.0, 0.3)])
def test_parts_of_the_mean_history_by_a_loop(folder: Path, alpha: tuple[float, float]) -> None:
    """By the formula of docs/values.md for the mean of a profile, attribute by attribute, in plain numbers."""
    trained = made("BPR", folder, guided(folder), Shapley(), alpha=alpha)
    (one,) = Explainer(trained, enhancer="shapley", reasons=100).explanations("u3", "i31")
    z, table = standardised_scores(trained, folder), stored(trained, "item_embedding")
    user, item = trained.dataset.token2id("user_id", "u3"), trained.dataset.token2id("item_id", "i31")
    target = [float(value) for value in table[item]]
    for k in range(2):
        target[k] += alpha[k] * z[item, k]
    feat = trained.splits.training.inter_feat
    own = sorted(set(feat["item_id"][feat["user_id"] == user].tolist()) - {item})
    n, harmonic = len(own), sum(1 / k for k in range(1, len(own) + 1))
    assert n > 3

    def values(x: list[float]) -> list[float]:
        return [(mine + (harmonic - 1) * (mine - (sum(x) - mine) / (n - 1))) / n for mine in x]

    wanted = [values([alpha[k] * z[other, k] * target[k] for other in own]) for k in range(2)]
    whole = values(
        [
            sum(
                (table[other, d] + (alpha[d] * z[other, d] if d < 2 else 0)) * target[d]
                for d in range(len(target))
            )
            for other in own
        ]
    )
    assert len(one.reasons) == n
    for reason in one.reasons:
        place = own.index(reason.evidence["item_id"])
        assert reason.contribution == pytest.approx(whole[place], rel=1e-4, abs=1e-7)
        assert parts_of(reason) == pytest.approx([wanted[k][place] for k in range(2)], rel=1e-4, abs=1e-7)
        assert adds_up(reason)
    if alpha[0] == 0:
        assert all(abs(parts_of(reason)[0]) < 1e-7 for reason in one.reasons)


@pytest.mark.parametrize("of", ["score", "standing"])
@pytest.mark.parametrize("base", [None, "model"])
def test_parts_of_a_folded_in_user_by_a_regression(folder: Path, base: str | None, of: str) -> None:
    """The fold-in's weights are linear in items' vectors: by scikit-learn's regression, attribute by attribute."""
    alpha = (0.4, 0.7)  # in two stages none counts below 0
    trained = made("BPR", folder, guided(folder, base=base), alpha=alpha)
    explainer = Explainer(trained, enhancer="history", reasons=100, of=of)
    (one,) = explainer.explanations("u3", "i31")
    settings = explainer.givers[0].module.scorer.settings
    table = trained.splits.training.inter_feat
    users, items = table["user_id"].numpy(), table["item_id"].numpy()
    with torch.no_grad():
        q = trained.model.item_embedding.weight.double().numpy()
        u = trained.model.user_embedding.weight.double().numpy()
    (fusion,) = trained.model.enhancers["guided"].fusions.values()
    ways = fusion.freed.double().numpy() if base else np.eye(q.shape[1])[:, :2]
    counts = np.maximum(np.bincount(items, minlength=len(q)), 1)
    weight = 1 / np.sqrt(counts) if settings.weighted else np.ones(len(q))
    people = np.unique(users)
    histories = {user: np.unique(items[users == user]) for user in people}
    rows = np.stack([(q * weight[:, None])[h].sum(0) / len(h) ** settings.power for h in histories.values()])
    centred = rows - rows.mean(0)
    ridge = settings.ridge * np.trace(centred.T @ centred) / rows.shape[1]
    user, item = trained.dataset.token2id("user_id", "u3"), trained.dataset.token2id("item_id", "i31")
    slopes = Ridge(alpha=ridge).fit(rows, u[people] @ q[item]).coef_
    if of == "standing":
        others = explainer.recommender.candidates(user)
        slopes = slopes - Ridge(alpha=ridge).fit(rows, (u[people] @ q[others].T).mean(1)).coef_
    z, n = standardised_scores(trained, folder), len(histories[user])
    assert len(one.reasons) > 3
    for reason in one.reasons:
        other = reason.evidence["item_id"]
        for k, part in enumerate(parts_of(reason)):
            by_hand = 0.0
            for d in range(q.shape[1]):
                by_hand += weight[other] * alpha[k] * z[other, k] * ways[d, k] * slopes[d]
            assert part == pytest.approx(by_hand / n**settings.power, rel=1e-3, abs=1e-7)
        assert adds_up(reason)
    assert max(abs(part) for reason in one.reasons for part in parts_of(reason)) > 1e-4


def test_it_is_said_in_every_form(folder: Path) -> None:
    trained = made("BPR", folder, guided(folder), alpha=(0.0, 2.0))  # wit is nearly all there is
    explainer = Explainer(trained, enhancer="history", reasons=100)
    assert explainer.about()[-1] == ABOUT
    (one,) = explainer.explanations("u3", "i31")
    largest = max(one.reasons, key=lambda reason: reason.contribution)
    other, part = largest.evidence["item"], largest.evidence["by_attribute"]["wit"]
    assert "wit" in largest.text
    assert largest.text.endswith(", mostly by what it says about wit.")
    assert line(largest).endswith(f": mostly by what it says about wit ({part:+.4f})")
    assert "mostly by what it says about wit" in one.to_text()
    (row,) = (each for each in json.loads(one.to_json())["reasons"] if each["evidence"]["item"] == other)
    assert row["evidence"]["by_attribute"] == pytest.approx(largest.evidence["by_attribute"])
    assert json.loads(one.to_frame()["evidence"][0])["by_attribute"].keys() == set(NAMES)
    assert "for what they say about wit" in sentence(one)
    page = to_page(explainer, [one])
    assert f"mostly by what it says about wit ({part:+.4f})".replace("-", "−") in page
    assert ABOUT.replace("'", "&#39;") in page
    against = [reason for reason in one.reasons if reason.contribution < 0]
    assert against
    assert all("speaks against" in reason.text for reason in against)
    assert "mostly by what it says about wit." in against[0].text


@pytest.mark.parametrize("name", ["SASRec", "NGCF", "EASE"])
def test_where_a_score_is_no_sum_over_attributes_nothing_is_said(folder: Path, name: str) -> None:
    trained = made(name, folder, *([guided(folder)] if name != "EASE" else []))
    silent(trained, "history")


def test_a_model_without_attributes_or_with_a_control_says_nothing(folder: Path) -> None:
    silent(made("BPR", folder), "history")
    silent(made("BPR", folder, Shapley()), "shapley")
    permuted = guided(folder, control="permuted")
    silent(made("BPR", folder, permuted, Shapley()), "shapley")
    silent(made("BPR", folder, permuted), "history")


def silent(trained: TrainedModel, enhancer: str) -> None:
    explainer = Explainer(trained, enhancer=enhancer, reasons=100)
    (one,) = explainer.explanations("u3", "i31")
    assert one.reasons
    for reason in one.reasons:
        assert not {"by_attribute", "beside_attributes"} & reason.evidence.keys()
        assert "says about" not in reason.text
    assert ABOUT not in explainer.about()
    assert "say about" not in sentence(one)


def test_several_items_at_once(folder: Path) -> None:
    """Each item's own parts, and none of one that is in the history itself for itself."""
    trained = made("BPR", folder, guided(folder))
    explainer = Explainer(trained, enhancer="history", reasons=100)
    known = explainer.history("u3")[0]
    for one in explainer.explanations("u3", ["i31", known, "i40"]):
        (alone,) = Explainer(trained, enhancer="history", reasons=100).explanations("u3", one.item)
        for reason, other in zip(one.reasons, alone.reasons, strict=True):
            assert parts_of(reason) == pytest.approx(parts_of(other))
            assert adds_up(reason)
        assert one.item not in {reason.evidence["item"] for reason in one.reasons}


def test_what_changes_the_model_changes_the_parts(folder: Path) -> None:
    trained = made("BPR", folder, guided(folder), Shapley(), alpha=(0.4, 0.5))
    enhancer = trained.model.enhancers["shapley"]
    before = [parts_of(reason) for reason in enhancer.explain(3, 31)]
    (fusion,) = trained.model.enhancers["guided"].fusions.values()
    with torch.no_grad():
        fusion.alpha.mul_(torch.tensor([0.0, 1.0]))
    after = enhancer.explain(3, 31)
    assert all(parts_of(reason)[0] == 0 for reason in after)
    assert any(part[0] != 0 for part in before)
