"""Reasons from histories: against enumeration by hand, shap, and regressions of scikit-learn."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from sklearn.linear_model import Ridge

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.shapley.estimators import enumeration
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError
from burnish.trained import masked_histories
from burnish.trained.explain import Explainer, explain
from burnish.trained.folded_users import FoldedUsers
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.masked_histories import ENUMERATED, MaskedHistories, values_of
from burnish.trained.open import open_trained
from burnish.training.train import train

LAST_OUT = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}}
RATIO = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained models by name, each trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    kept: dict[str, Any] = {}

    def model(name: str) -> Any:
        if name not in kept:
            split = LAST_OUT if name == "SASRec" else RATIO
            options = {**preset(name), "epochs": 2, "data_path": str(folder), "threads": 1, **split}
            kept[name] = open_trained(train(name, NAME, options=options))
        return kept[name]

    return model


def ids(trained: Any, user: str, *items: str) -> list[int]:
    data = trained.dataset
    return [int(data.token2id("user_id", user)), *(int(data.token2id("item_id", item)) for item in items)]


def giver(trained: Any, **options: Any) -> HistoryReasons:
    module = Explainer(trained, enhancer="history", **options).givers[0].module
    assert isinstance(module, HistoryReasons)
    return module


def sasrec_score(model: Any, history: list[int], item: int) -> float:
    rows = torch.zeros(1, 6, dtype=torch.long)
    rows[0, : len(history)] = torch.tensor(history, dtype=torch.long)
    row = Interaction(
        {
            "user_id": torch.tensor([1]),
            "item_id_list": rows,
            "item_length": torch.tensor([max(len(history), 1)]),
        }
    )
    with torch.no_grad():
        return float(model.eval().full_sort_predict(row).view(-1)[item])


def shapley(value: Any, n: int) -> np.ndarray:
    """By all orders of arrival."""
    gains, orders = np.zeros(n), list(permutations(range(n)))
    for order in orders:
        here: list[int] = []
        for player in order:
            before = value(tuple(sorted(here)))
            here.append(player)
            gains[player] += value(tuple(sorted(here))) - before
    return gains / len(orders)


def test_a_sequence_by_all_orders_of_arrival(models: Any) -> None:
    trained = models("SASRec")
    one = explain(trained, "u3", reasons=100, top=1)[0]
    reasons = giver(trained)
    user, item = ids(trained, "u3", one.item)
    history = reasons.history(user, item).tolist()
    known: dict[tuple[int, ...], float] = {}

    def value(places: tuple[int, ...]) -> float:
        if places not in known:
            known[places] = sasrec_score(trained.model, [history[place] for place in places], item)
        return known[places]

    wanted = dict(zip(history, shapley(value, len(history)), strict=True))
    assert len(wanted) == 6
    for reason in one.reasons:
        assert reason.contribution == pytest.approx(wanted[reason.evidence["item_id"]], abs=1e-5)
        assert history[reason.evidence["place"] - 1] == reason.evidence["item_id"]
    assert one.base == pytest.approx(value(()), abs=1e-5)
    assert one.score == pytest.approx(value(tuple(range(6))), abs=1e-5)
    assert (one.additive, one.exact, one.method, one.rank) == (True, True, "masked history", 1)
    assert one.remainder == pytest.approx(0, abs=1e-4)
    masks = torch.tensor([[True, False] * 3, [False] * 6])
    np.testing.assert_allclose(reasons.scores(user, item, masks), [value((0, 2, 4)), value(())], atol=1e-5)


def test_the_standing_by_all_orders_of_arrival(models: Any) -> None:
    trained = models("SASRec")
    one = explain(trained, "u3", reasons=100, top=1, of="standing")[0]
    reasons = giver(trained, of="standing")
    user, item = ids(trained, "u3", one.item)
    history = reasons.history(user, item).tolist()
    catalogue = np.setdiff1d(
        np.unique(trained.splits.training.inter_feat["item_id"].numpy()),
        reasons.recommender.known[user].indices,
    )
    known: dict[tuple[int, ...], float] = {}

    def value(places: tuple[int, ...]) -> float:
        if places not in known:
            chosen = [history[place] for place in places]
            every = [sasrec_score(trained.model, chosen, other) for other in catalogue]
            known[places] = sasrec_score(trained.model, chosen, item) - float(np.mean(every))
        return known[places]

    wanted = dict(zip(history, shapley(value, len(history)), strict=True))
    for reason in one.reasons:
        assert reason.contribution == pytest.approx(wanted[reason.evidence["item_id"]], abs=1e-5)
    whole = value(tuple(range(len(history))))
    assert one.of == "standing"
    assert one.average == pytest.approx(one.score - whole, abs=1e-5)
    assert one.base == pytest.approx(one.average + value(()), abs=1e-5)
    assert one.additive
    assert one.remainder == pytest.approx(0, abs=1e-4)
    assert "as the average item has" in one.account()
    plain = explain(trained, "u3", reasons=100, top=1, of="score")[0]
    assert (plain.of, plain.average, plain.score) == ("score", None, one.score)
    assert plain.base != pytest.approx(one.base, abs=1e-3)
    reasons_of_score = {reason.evidence["item_id"]: reason.contribution for reason in plain.reasons}
    assert any(abs(reasons_of_score[other] - wanted[other]) > 1e-3 for other in history)


@pytest.mark.parametrize("name", ["BPR", "NeuMF", "EASE", "MultiVAE"])
def test_the_standing_is_the_score_less_the_mean_of_what_can_be_recommended(name: str, models: Any) -> None:
    """Each item's contributions to scores, less the mean of those to the scores of everything else."""
    trained = models(name)
    user, item = ids(trained, "u3", "i31")
    of_score, of_standing = (giver(trained, of=of, budget=None) for of in ("score", "standing"))
    items = of_score.recommender.candidates(user).tolist()
    assert item in items
    assert not set(items) & set(of_score.recommender.known[user].indices.tolist())
    assert set(items) | set(of_score.recommender.known[user].indices.tolist()) == set(
        np.flatnonzero(of_score.recommender.item_counts).tolist()
    )
    every = of_score.contributions(user, items)
    (found,) = of_standing.contributions(user, [item])
    own = every[items.index(item)]
    assert found is not None
    assert own is not None
    # Estimates that share their coalitions are linear in scores, but for what settles on a line (`_towards`).
    near = {"atol": 3 * float(found.standard_error.max()) + 1e-6}
    level = np.mean([one.values for one in every if one is not None], axis=0)
    np.testing.assert_allclose(found.values, own.values - level, **near)
    assert found.base == pytest.approx(
        own.base - np.mean([one.base for one in every if one is not None]), abs=1e-5
    )
    assert found.values.sum() == pytest.approx(found.whole - found.base, abs=1e-5)
    scores = of_score.recommender.scores(np.array([user]))[0].numpy()
    assert found.average == pytest.approx(scores[items].mean(), abs=1e-5)
    masks = torch.ones(1, len(found.history), dtype=torch.bool)
    np.testing.assert_allclose(
        of_standing.scores(user, item, masks), of_score.scores(user, item, masks), atol=1e-6
    )  # what is asked again is always the score
    one = explain(trained, "u3", "i31", reasons=100, of="standing", enhancer="history")[0]
    assert one.base + sum(reason.contribution for reason in one.reasons) + one.remainder == pytest.approx(
        one.score
    )
    if name in ("EASE", "MultiVAE"):
        assert one.additive
        assert one.remainder == pytest.approx(0, abs=1e-3)


def test_what_reasons_can_be_of(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = models("BPR")
    with pytest.raises(UnknownNameError, match="standing"):
        giver(trained, of="standings")
    with pytest.raises(UnknownNameError, match="standing"):
        giver(models("SASRec"), of="standings")
    pairs = models("SASRec")

    def nothing(rows: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(pairs.model, "full_sort_predict", nothing)
    with pytest.raises(UnsupportedError, match="--of score"):
        giver(pairs, of="standing")
    assert giver(pairs).valued == "score"


def test_the_same_by_the_package_shap(models: Any) -> None:
    shap = pytest.importorskip("shap")
    trained = models("SASRec")
    reasons = giver(trained)
    user, item = ids(trained, "u5", "i9")
    n = len(reasons.history(user, item))

    def score(there: np.ndarray) -> np.ndarray:
        return reasons.scores(user, item, torch.from_numpy(there > 0.5)).numpy()

    told = shap.explainers.Exact(score, shap.maskers.Independent(np.zeros((1, n))))(np.ones((1, n)))
    (own,) = reasons.contributions(user, [item])
    assert own is not None
    np.testing.assert_allclose(own.values, told.values[0], atol=1e-5)
    assert own.base == pytest.approx(float(told.base_values[0]), abs=1e-5)


def test_a_row_of_the_rating_matrix_with_errors_that_are_true(models: Any) -> None:
    trained = models("MultiVAE")
    reasons = giver(trained, budget=512)
    user, first, second = ids(trained, "u3", "i31", "i40")
    scorer = reasons.scorer
    assert isinstance(scorer, MaskedHistories)
    n = len(reasons.history(user, first))
    assert ENUMERATED < n <= 16
    exact = enumeration.estimate(scorer._game(user, [first], "score")).values[:, 0].numpy()
    (own,) = reasons.contributions(user, [first])
    assert own is not None
    assert (own.exact, own.budget is not None and own.budget <= 512) == (False, True)
    assert (own.standard_error > 0).all()
    assert own.values.sum() == pytest.approx(own.whole - own.base, abs=1e-5)
    far = np.abs(own.values - exact) / own.standard_error
    assert far.max() < 5
    assert np.abs(own.values - exact).max() < 0.1 * np.abs(exact).max()
    again, other = giver(trained, budget=512), giver(trained, budget=512, seed=1)
    np.testing.assert_array_equal(again.contributions(user, [first])[0].values, own.values)  # type: ignore[union-attr]
    assert not np.array_equal(other.contributions(user, [first])[0].values, own.values)  # type: ignore[union-attr]
    both = giver(trained, budget=512).contributions(user, [first, second])
    np.testing.assert_allclose(both[0].values, own.values, atol=1e-6)  # type: ignore[union-attr]
    one = explain(trained, "u3", top=1, reasons=100)[0]
    assert one.additive
    assert one.remainder == pytest.approx(0, abs=1e-3)


class Products:
    """A game of products of neighbours, far from a sum."""

    outputs = ("x",)

    def __init__(self, n: int) -> None:
        self.n_players = n
        self.gain = torch.linspace(1, 2, n, dtype=torch.float64)

    def __call__(self, masks: torch.Tensor) -> torch.Tensor:
        there = masks.double() * self.gain
        return (there.sum(1) + 2 * (there * there.roll(1, dims=1)).sum(1)).unsqueeze(1)


@pytest.mark.parametrize("budget", [40, 200, 600])
def test_estimates_add_up_and_know_how_far_they_are_off(budget: int) -> None:
    game = Products(12)
    exact = enumeration.estimate(game).values
    far = []
    for seed in range(30):
        valuation, ends, sure = values_of(game, budget, seed)
        assert not sure
        assert float(valuation.values.sum()) == pytest.approx(float(ends[1] - ends[0]))
        assert valuation.evaluations <= budget
        far.append((valuation.values - exact) / valuation.standard_error)
    spread = float(torch.cat(far).square().mean().sqrt())
    assert 0.5 < spread < (1.6 if budget > 40 else 3)


def off_by(estimates: list[torch.Tensor], exact: torch.Tensor) -> float:
    return float(torch.stack([(one - exact).square().mean() for one in estimates]).mean().sqrt())


def test_what_items_are_worth_alone_steadies_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where leaving out an item alone tells its value nearly, errors are smaller; where it tells nothing, no larger."""
    game = Products(12)
    exact = enumeration.estimate(game).values
    with_them = [values_of(game, 80, seed)[0].values for seed in range(30)]
    monkeypatch.setattr(masked_histories, "_towards", lambda valuation, known: None)
    without = [values_of(game, 80, seed)[0].values for seed in range(30)]
    assert off_by(with_them, exact) < 0.7 * off_by(without, exact)


def test_values_that_have_nothing_to_do_with_it_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    values, known = torch.randn(2, 200, 1, generator=generator, dtype=torch.float64)
    error = torch.full((200, 1), 0.1, dtype=torch.float64)
    valuation = SimpleNamespace(values=values.clone(), standard_error=error.clone())
    masked_histories._towards(valuation, known)  # type: ignore[arg-type]
    assert float((valuation.values - values).abs().max()) < 0.05
    assert float((valuation.standard_error / error).min()) > 0.98
    # Values that are all error about a line come to lie on it, and their errors are the line's.
    noise = SimpleNamespace(values=2 * known + 1 + error * values, standard_error=error.clone())
    masked_histories._towards(noise, known)  # type: ignore[arg-type]
    assert off_by([noise.values], 2 * known + 1) < 0.35 * off_by(
        [2 * known + 1 + error * values], 2 * known + 1
    )
    assert float(noise.standard_error.max()) < 0.07


@pytest.mark.parametrize("name", ["SASRec", "MultiVAE", "BPR"])
def test_an_item_is_never_in_its_own_history(name: str, models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = models(name)
    explainer = Explainer(trained, enhancer="history", reasons=100)
    reasons = explainer.givers[0].module
    user = ids(trained, "u3")[0]
    known = int(reasons.history(user, 0)[-2])
    token, other = trained.tokens("item_id", [known, int(reasons.history(user, 0)[0])])
    seen: list[Any] = []
    if name == "SASRec":
        real = trained.model.full_sort_predict
        monkeypatch.setattr(trained.model, "full_sort_predict", lambda rows: seen.append(rows) or real(rows))
    items = reasons.history(user, known)
    assert known not in items
    assert len(items) == len(reasons.history(user, 0)) - 1
    reasons.contributions(user, [known])
    if name == "SASRec":
        assert seen
        assert all(not (rows["item_id_list"] == known).any() for rows in seen)
    for one in explainer.explanations("u3", [token, other]):
        assert one.item not in {reason.evidence["item"] for reason in one.reasons}
        assert len(one.reasons) == len(items)
        assert "knows the item already" in one.note
        assert one.rank is None


# ---------------------------------------------------------------------- folded in


def test_the_fold_in_is_a_ridge_regression_of_the_models_own_scores(models: Any) -> None:
    trained = models("BPR")
    reasons = giver(trained)
    scorer = reasons.scorer
    assert isinstance(scorer, FoldedUsers)
    table = trained.splits.training.inter_feat
    users, items = table["user_id"].numpy(), table["item_id"].numpy()
    q = trained.model.item_embedding.weight.detach().double().numpy()
    u = trained.model.user_embedding.weight.detach().double().numpy()
    settings = scorer.settings
    counts = np.maximum(np.bincount(items, minlength=len(q)), 1)
    weight = 1 / np.sqrt(counts) if settings.weighted else np.ones(len(q))
    own = np.unique(users)
    histories = [np.unique(items[users == user]) for user in own]
    rows = np.stack([(q * weight[:, None])[h].sum(0) / len(h) ** settings.power for h in histories])
    centred = rows - rows.mean(0)
    ridge = settings.ridge * np.trace(centred.T @ centred) / rows.shape[1]
    scores = u[own] @ q.T
    user, item = ids(trained, "u3", "i50")
    fitted = Ridge(alpha=ridge).fit(rows, scores[:, item])
    (found,) = reasons.contributions(user, [item])
    assert found is not None
    kept = [one for one in histories[list(own).index(user)] if one != item]
    n = len(histories[list(own).index(user)])
    assert found.history.tolist() == kept
    np.testing.assert_allclose(
        found.values, (q * weight[:, None])[kept] @ fitted.coef_ / n**settings.power, atol=1e-7
    )
    assert found.base == pytest.approx(float(fitted.intercept_), abs=1e-7)
    left_out = []
    for place in range(len(own)):
        rest = np.arange(len(own)) != place
        left_out.append(Ridge(alpha=ridge).fit(rows[rest], scores[rest][:, 1:]).predict(rows[[place]])[0])
    plain = scores[:, 1:] - (scores[:, 1:].sum(0) - scores[:, 1:]) / (len(own) - 1)
    fit = 1 - np.square(scores[:, 1:] - np.stack(left_out)).sum() / np.square(plain).sum()
    assert settings.fit == pytest.approx(fit, abs=1e-6)


def test_base_reasons_and_remainder_are_the_models_score(models: Any) -> None:
    trained = models("BPR")
    one = explain(trained, "u3", top=1, reasons=2)[0]
    every = explain(trained, "u3", top=1, reasons=100)[0]
    assert (one.exact, one.budget, one.method) == (True, None, "folded-in user")
    assert one.remainder == pytest.approx(every.remainder)
    assert every.omitted == 0
    whole = every.base + sum(reason.contribution for reason in every.reasons)
    user, item = ids(trained, "u3", one.item)
    reasons = giver(trained)
    n = len(every.reasons)
    masks = torch.stack(
        [torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool), torch.arange(n) < 1]
    )
    got = reasons.scores(user, item, masks)
    assert float(got[0]) == pytest.approx(whole)
    assert float(got[1]) == pytest.approx(one.base)
    assert not one.additive
    assert abs(one.score - whole) > 1e-3
    assert all(0 < reason.evidence["chosen_by"] <= 1 for reason in every.reasons)


@pytest.mark.parametrize("name", ["NeuMF", "LightGCN"])
def test_other_models_that_read_no_history(name: str, models: Any) -> None:
    trained = models(name)
    module = giver(trained)
    assert isinstance(module.scorer, FoldedUsers)
    assert (module.scorer._vectors is None) == (name == "NeuMF")
    one = explain(trained, "u3", top=2, reasons=3)[1]
    assert len(one.reasons) == 3
    assert np.isfinite(one.remainder)
    fit = module.scorer.settings.fit
    assert fit > 0.3 or name == "NeuMF"
    assert ("That is little" in module.reasons_about) == (fit < 0.25)


def test_linear_models_are_taken_at_their_word(models: Any) -> None:
    one = explain(models("EASE"), "u3", top=1, reasons=100)[0]
    assert (one.method, one.base, one.additive, one.exact) == ("item weights", 0.0, True, True)
    assert sum(reason.contribution for reason in one.reasons) == pytest.approx(one.score, rel=1e-4)


def test_a_budget_needs_a_history(models: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget = 4"):
        giver(models("SASRec"), budget=4)
