"""What interactions are valued by and how that becomes weights: every name, option and control, by hand."""

from __future__ import annotations

import contextlib
import io
import math
import warnings

import numpy as np
import pytest
import torch

from burnish import Shapley, enhance
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.shapley import judges
from burnish.enhancers.shapley.controls import matched_by_popularity, permuted_within
from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.judges import NAMES, Judge
from burnish.enhancers.shapley.options import ShapleyConfig
from burnish.enhancers.shapley.regression import regression_values
from burnish.errors import ConfigurationError, UnknownNameError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("worlds")
    write_data(folder)
    return folder


def world_of(folder, model="BPR", **options):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_world(enhance(model, Shapley(warmup_epochs=0, **options)), folder)


def valued(folder, model="BPR", **options):
    """(the enhancer after its first valuation, users, items, item vectors)."""
    world = world_of(folder, model, **options)
    shapley = world.model.enhancers["shapley"]
    shapley.revalue()
    feat = world.train._dataset.inter_feat
    return shapley, feat["user_id"], feat["item_id"], world.model.item_embedding.weight.detach()


def z_scores(values, users):
    values, users = np.asarray(values, dtype=float), np.asarray(users)
    z = np.zeros(len(values))
    for user in set(users):
        own = values[users == user]
        z[users == user] = (own - own.mean()) / own.std() if own.std() > 1e-9 else 0.0
    return z


def residuals(values, by, users):
    left = np.zeros(len(values))
    for user in set(users):
        rows = users == user
        x, y = by[rows], values[rows]
        left[rows] = y - y.mean()
        if rows.sum() >= 3 and x.std() > 1e-9:
            left[rows] -= np.polyfit(x, y, 1)[0] * (x - x.mean())
    return left


def weights_by_hand(exponents, users, low=0.2, high=5.0):
    weights = np.clip(np.exp(exponents), low, high)
    for user in set(users):
        weights[users == user] /= weights[users == user].mean()
    return weights


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("given", "name", "parts"),
    [
        ("profile", "profile", {"profile": 1}),
        ("cross-fit", "profile", {"profile": 1}),
        ("joint", "joint", {"profile": 1, "regression": 1}),
        ({"regression": 1, "cross-fit": 1}, "joint", {"profile": 1, "regression": 1}),
        ("both", "both", {"profile": 1, "in-run": 1}),
        ("in-run, profile", "both", {"profile": 1, "in-run": 1}),
        ({"regression": 3}, "regression", {"regression": 1}),
        ({"regression": -3}, {"regression": -3}, {"regression": -3}),
        ({"regression": 2, "profile": 1}, None, {"profile": 1, "regression": 2}),
    ],
)
def test_values_are_written_in_one_way(given, name, parts):
    config = ShapleyConfig(values=given)
    assert config.values == (parts if name is None else name)
    assert config.parts == parts
    assert list(config.parts) == [one for one in NAMES if one in parts]
    assert ShapleyConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("profil", UnknownNameError, "'profil' is not known. Did you mean 'profile'"),
        ({"regresion": 1}, UnknownNameError, "Did you mean 'regression'"),
        ({"joint": 1}, ConfigurationError, r"'joint' is {profile: 1, regression: 1}; name these"),
        ({"profile": 0}, ConfigurationError, "profile has the weight 0"),
        ({"profile": math.inf}, ConfigurationError, "profile has the weight inf"),
        ({"profile": "much"}, ConfigurationError, "the weight of profile is 'much'; give a number"),
        ({}, ConfigurationError, "nothing is named; give one of profile, ranking, regression"),
        (7, ConfigurationError, "values = 7: give a name, such as profile"),
    ],
)
def test_what_cannot_be_meant_is_told(given, error, says):
    with pytest.raises(error, match=says):
        Shapley(values=given)


def test_only_in_run_values_need_a_warm_up():
    with pytest.raises(ConfigurationError, match="warmup_epochs must be at least 1"):
        Shapley(values={"in-run": 2}, warmup_epochs=0)
    assert Shapley(values={"in-run": 2, "regression": 1}, warmup_epochs=0).config.measures


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("option", "value"),
    [("folds", 3), ("repeats", 4), ("centre", False), ("normalise", False), ("seed", 77)],
)
def test_options_of_the_profile_reach_it(option, value, folder):
    plain, users, items, vectors = valued(folder, values="profile")
    shapley, *_ = valued(folder, values="profile", **{option: value})
    beside = {"seed": plain.state.seed, option: value}
    want = z_scores(cross_fitted(users, items, vectors, **beside), users)
    np.testing.assert_allclose(shapley.values, want, atol=1e-5)
    assert (shapley.values - plain.values).abs().max() > 0.01


def test_values_of_several_names_are_their_weighted_sum(folder):
    shapley, users, items, vectors = valued(folder, values={"regression": 2, "profile": -0.5})
    judged = {
        "profile": cross_fitted(users, items, vectors, seed=shapley.state.seed),
        "regression": regression_values(users, items, len(vectors)),
    }
    want = 2 * z_scores(judged["regression"], users) - 0.5 * z_scores(judged["profile"], users)
    np.testing.assert_allclose(shapley.values, want, atol=2e-5)


@pytest.mark.parametrize("model", ["LightGCN", "SASRec", "MultiVAE"])
def test_regression_reads_pairs_alone(model, folder):
    world = world_of(folder, model, values="regression")
    shapley = world.model.enhancers["shapley"]
    shapley.revalue()
    feat = world.train._dataset.inter_feat
    users, items = feat["user_id"].numpy(), feat["item_id"].numpy()
    known = np.zeros((users.max() + 1, items.max() + 1))
    known[users, items] = 1
    inverse = np.linalg.inv(known.T @ known + 500 * np.eye(known.shape[1]))
    towards = -inverse / np.diag(inverse)
    np.fill_diagonal(towards, 0)
    want = z_scores((known @ towards.T)[users, items], users)
    np.testing.assert_allclose(shapley.values, want, atol=2e-3)


def test_what_does_not_change_is_computed_once(folder, monkeypatch):
    calls = []

    def counted(users, items, vectors, options, seed):
        calls.append(len(vectors))
        return torch.arange(len(users)).float()

    for changes, times in ((False, 1), (True, 2)):
        calls.clear()
        monkeypatch.setitem(judges.JUDGES, "regression", Judge(counted, changes=changes))
        shapley, *_ = valued(folder, values="regression", smoothing=0.3)
        values = shapley.values.clone()
        shapley.revalue()
        assert len(calls) == times
        assert torch.allclose(shapley.values, values)


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize("beyond", [True, False])
@pytest.mark.parametrize("beta_popularity", [0.0, 0.4, -0.6])
@pytest.mark.parametrize("control", ["none", "permuted", "matched", "popularity", "score"])
def test_weights_are_two_components_by_hand(control, beta_popularity, beyond, folder):
    options = {
        "values": "joint",
        "control": control,
        "beyond_popularity": beyond,
        "beta": 0.7,
        "beta_popularity": beta_popularity,
        "low": 0.4,
        "high": 2.5,
        "seed": 5,
    }
    shapley, users, items, vectors = valued(folder, **options)
    counts = np.bincount(items.numpy())[items.numpy()]
    popularity, who = np.log(counts), users.numpy()
    if control == "popularity":
        judged = popularity
    elif control == "score":
        known = np.zeros((who.max() + 1, len(vectors)))
        known[who, items] = 1
        inverse = np.linalg.inv(known.T @ known + 500 * np.eye(len(vectors)))
        towards = -inverse / np.diag(inverse)
        np.fill_diagonal(towards, 0)
        judged = (known @ towards)[who, items]
    else:
        profile = cross_fitted(users, items, vectors, seed=5)
        judged = z_scores(profile, who) + z_scores(regression_values(users, items, len(vectors)), who)
    want = z_scores(judged, who) if control in ("popularity", "score") else judged
    np.testing.assert_allclose(shapley.values, want, atol=2e-3)
    component = shapley.values.double().numpy()
    if beyond and control != "popularity":
        component = residuals(component, popularity, who)
    z = z_scores(component, who)
    if control == "matched":
        z = z_scores(z[matched_by_popularity(users, items, 5)], who)
    weights = weights_by_hand(0.7 * z + beta_popularity * z_scores(popularity, who), who, 0.4, 2.5)
    if control == "permuted":
        weights = weights[permuted_within(users, 5)]
    np.testing.assert_allclose(shapley.weights, weights, atol=1e-4)


def test_values_beyond_popularity_do_not_follow_it(folder):
    within, users, items, _ = valued(folder, values="regression", beyond_popularity=False)
    beyond, *_ = valued(folder, values="regression")
    counts = torch.bincount(items)[items].double().log()
    far = [
        abs(np.corrcoef(one.weights[users == user].log(), counts[users == user])[0, 1])
        for one in (within, beyond)
        for user in users.unique()
    ]
    half = len(far) // 2
    assert np.mean(far[:half]) > 0.25
    assert np.mean(far[half:]) < 0.05


# ------------------------------------------------------------------ runs of before


def test_a_run_that_began_with_popularity_in_its_values_goes_on_so(folder):
    """What an earlier burnish saved counts valuations alone."""
    plain, *_ = valued(folder, beyond_popularity=False)
    begun, *_ = valued(folder)
    assert plain.get_extra_state().tolist() == 1
    assert begun.get_extra_state().tolist() == [1, 1]
    assert not torch.equal(plain.weights, begun.weights)

    before, *_ = valued(folder)
    before.set_extra_state(torch.tensor(0))
    with pytest.warns(UserWarning, match=r"began with an earlier burnish.*beyond_popularity: false"):
        before.revalue()
    assert torch.equal(before.weights, plain.weights)
    assert before.get_extra_state().tolist() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before.revalue()  # told once

    again, *_ = valued(folder)
    again.set_extra_state(begun.get_extra_state())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.revalue()
    assert torch.allclose(again.weights, begun.weights, atol=1e-5)
    assert again.get_extra_state().tolist() == [2, 1]


def test_every_valuation_reads_what_was_measured_since_the_last(folder):
    shapley, users, *_ = valued(folder, values={"in-run": 1, "regression": 1}, smoothing=0.0)
    alone = shapley.values.clone()
    shapley.measured[0].copy_(torch.arange(len(users)).float())
    shapley.measured[1].fill_(1.0)
    shapley.revalue()
    assert (shapley.values - alone).abs().max() > 0.5
    shapley.revalue()  # nothing was measured since
    torch.testing.assert_close(shapley.values, alone)
