"""The rankings against plain Python loops, scikit-learn, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from burnish.benchmarks.reviews.gains import AtRandom, Ranked, f1, ideal, ndcg, recall
from burnish.benchmarks.reviews.hashing import pair_keys
from burnish.benchmarks.reviews.protocols import (
    Protocol,
    drawn_negatives,
    place_all,
    random_frame,
    ranking_frame,
)
from burnish.benchmarks.reviews.scale import Scale
from burnish.errors import ConfigurationError, NonFiniteError

SCALE = Scale(1, 5)


def metric_columns(frame):
    return [name for name in frame.columns if "@" in name]


def table(cases, seed=0, levels=None):
    """A score of every user and item, with ties where there are few levels."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.rand(cases.n_users, cases.n_items, generator=draw)
    return scores if levels is None else (scores * levels).floor()


def loops(cases, scores, protocol, lists):
    """Every metric of every user by sorting each list in plain Python; float64 sums in the order of the list."""
    found = {}
    ties = pair_keys(protocol.seed, 1, torch.arange(cases.n_users), cases.n_items)
    test = list(zip(cases.test.users, cases.test.items, cases.test.ratings, strict=True))
    for user in sorted({int(user) for user, _, _ in test}):
        ratings = {int(item): float(r) for u, item, r in test if u == user}
        for name, candidates in lists(user).items():
            order = sorted(candidates, key=lambda i, u=user: (-float(scores[u, i]), int(ties[u, i])))
            gain = {item: 2**r - 1 for item, r in ratings.items()}
            liked = {item for item, r in ratings.items() if r >= 4}
            for k in protocol.ks:
                top = order[:k]
                if name == "p1":
                    found[user, f"p1.ndcg@{k}"] = _ndcg(top, gain, k)
                    found[user, f"p1.ndcg_full@{k}"] = _ndcg(top, gain, None)
                    precision, share = len(liked & set(top)) / k, len(liked & set(top)) / max(1, len(liked))
                    value = 2 * precision * share / (precision + share) if precision else 0.0
                    found[user, f"p1.f1@{k}"] = value if liked else math.nan
                if name == "p2":
                    found[user, f"p2.ndcg@{k}"] = _ndcg(top, gain, k)
                    binary = dict.fromkeys(liked, 1.0)
                    found[user, f"p2.ndcg_binary@{k}"] = _ndcg(top, binary, k) if liked else math.nan
            for k in protocol.full_ks if name == "p3" else ():
                found[user, f"p3.recall@{k}"] = len(set(ratings) & set(order[:k])) / len(ratings)
                found[user, f"p3.ndcg@{k}"] = _ndcg(order[:k], dict.fromkeys(ratings, 1.0), k)
    return found


def _ndcg(top, gain, k):
    dcg = sum(gain.get(item, 0.0) / math.log2(place + 2) for place, item in enumerate(top))
    best = sorted(gain.values(), reverse=True)[:k]
    return dcg / sum(value / math.log2(place + 2) for place, value in enumerate(best))


@pytest.mark.parametrize("levels", [None, 3, 1])
def test_against_loops(drawn, levels):
    cases, protocol = drawn(1), Protocol(negatives=7, seed=3, ks=(1, 3, 10), full_ks=(5, 10))
    scores = table(cases, levels=levels)

    def lists(user):
        of = {
            name: {int(i) for u, i in zip(rows.users, rows.items, strict=True) if u == user}
            for name, rows in (("train", cases.train), ("valid", cases.valid), ("test", cases.test))
        }
        unrated = set(range(1, cases.n_items)) - of["train"] - of["valid"] - of["test"]
        keys = pair_keys(3, 2, torch.tensor([user]), cases.n_items)[0]
        negatives = sorted(unrated, key=lambda item: int(keys[item]))[:7]
        catalogue = set(range(1, cases.n_items)) - of["train"] - of["valid"]
        return {"p1": {*of["test"], *negatives}, "p2": of["test"], "p3": catalogue}

    placed = place_all(lambda users: scores[users], cases, protocol, pairs=5 * cases.n_items)
    frame = ranking_frame(placed, cases, SCALE, protocol).set_index("user")
    want = loops(cases, scores, protocol, lists)
    assert len(want) == len(frame) * len(metric_columns(frame))
    for (user, name), value in want.items():
        assert frame.loc[f"u{user}", name] == pytest.approx(value, abs=1e-12, nan_ok=True), (user, name)
    assert frame["p1.f1@3"].isna().sum() == (frame["n_relevant"] == 0).sum()


def test_graded_ndcg_of_own_items_is_that_of_scikit_learn(drawn):
    cases, protocol = drawn(2), Protocol(ks=(3, 5))
    scores = table(cases, 5)
    frame = ranking_frame(place_all(lambda u: scores[u], cases, protocol), cases, SCALE, protocol)
    for user, line in frame.set_index("user").iterrows():
        mine = cases.test.users == int(str(user)[1:])
        if mine.sum() < 2:
            continue  # scikit-learn refuses lists of one
        gains = 2 ** cases.test.ratings[mine] - 1
        own = scores[int(str(user)[1:])][cases.test.items[mine]].numpy()
        for k in (3, 5):
            assert line[f"p2.ndcg@{k}"] == pytest.approx(ndcg_score([gains], [own], k=k), abs=1e-12)


def test_batches_change_nothing(drawn):
    cases, protocol = drawn(3), Protocol(negatives=5)
    scores = table(cases, levels=4)
    frames = [
        ranking_frame(place_all(lambda u: scores[u], cases, protocol, pairs=n), cases, SCALE, protocol)
        for n in (1, 100, 10**6)
    ]
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


def test_random_floor_is_the_mean_over_random_orders(drawn):
    cases, protocol = drawn(4, n_users=10), Protocol(negatives=6, ks=(1, 3, 10), full_ks=(5,))
    expected = random_frame(place_all(lambda u: table(cases)[u], cases, protocol), cases, SCALE, protocol)
    names = metric_columns(expected)
    values = []
    for seed in range(400):
        scores = table(cases, seed)
        placed = place_all(lambda u, scores=scores: scores[u], cases, protocol)
        values.append(ranking_frame(placed, cases, SCALE, protocol)[names].mean().to_numpy())
    error = np.std(values, axis=0, ddof=1) / math.sqrt(len(values))
    gap = np.mean(values, axis=0) - expected[names].mean().to_numpy()
    assert (np.abs(gap) <= 4.5 * error + 1e-12).all()
    assert (error > 0).sum() >= 10, "the floors that were compared do vary"


def test_equal_scores_are_a_random_order_not_that_of_items(drawn):
    """Over seeds of the ties, a model that says the same of all items gets the random floor."""
    cases = drawn(5, n_users=10)
    names = ["p1.ndcg@3", "p3.recall@5"]
    values = []
    for seed in range(300):
        protocol = Protocol(negatives=6, seed=seed, ks=(3,), full_ks=(5,))
        placed = place_all(lambda u: torch.zeros(len(u), cases.n_items), cases, protocol)
        values.append(ranking_frame(placed, cases, SCALE, protocol)[names].mean())
    floor = random_frame(placed, cases, SCALE, protocol)[names].mean()
    error = np.std(values, axis=0, ddof=1) / math.sqrt(len(values))
    assert (np.abs(np.mean(values, axis=0) - floor.to_numpy()) <= 4 * error).all()


def test_a_perfect_and_the_worst_model(drawn):
    cases, protocol = drawn(6), Protocol(ks=(20,), full_ks=(20,))
    scores = torch.zeros(cases.n_users, cases.n_items)
    scores[cases.test.users, cases.test.items] = torch.from_numpy(cases.test.ratings).float()
    best = ranking_frame(place_all(lambda u: scores[u], cases, protocol), cases, SCALE, protocol)
    for name in ("p1.ndcg@20", "p1.ndcg_full@20", "p2.ndcg@20", "p3.ndcg@20", "p3.recall@20"):
        assert best[name].to_numpy() == pytest.approx(1.0)
    worst = ranking_frame(place_all(lambda u: -scores[u], cases, protocol), cases, SCALE, protocol)
    assert (worst["p1.ndcg@20"] < best["p1.ndcg@20"]).all()


def test_negatives_are_unrated_distinct_and_seeded(drawn):
    cases = drawn(7)
    users = torch.arange(1, cases.n_users)
    unrated = torch.rand(len(users), cases.n_items, generator=torch.Generator().manual_seed(1)) < 0.6
    unrated[0] = False
    unrated[0, 5] = True
    one = drawn_negatives(unrated, users, Protocol(negatives=8, seed=1))
    assert not (one & ~unrated).any()
    assert one.sum(1).tolist() == unrated.sum(1).clamp(max=8).tolist()
    assert torch.equal(one, drawn_negatives(unrated, users, Protocol(negatives=8, seed=1)))
    assert not torch.equal(one, drawn_negatives(unrated, users, Protocol(negatives=8, seed=2)))
    assert torch.equal(one[3:4], drawn_negatives(unrated[3:4], users[3:4], Protocol(negatives=8, seed=1)))


def test_keys_are_uniform_and_independent_of_purpose():
    keys = pair_keys(0, 1, torch.arange(200), 300).double() / 2.0**63
    assert float(keys.mean()) == pytest.approx(0, abs=0.02)
    assert float(keys.std()) == pytest.approx(1 / math.sqrt(3), abs=0.01)
    for other in (pair_keys(0, 2, torch.arange(200), 300), pair_keys(1, 1, torch.arange(200), 300)):
        both = torch.stack([keys.flatten(), other.double().flatten()])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 0.02
    shifted = torch.stack([keys[1:].flatten(), keys[:-1].flatten()])
    assert abs(float(torch.corrcoef(shifted)[0, 1])) < 0.02
    assert len(keys.flatten().unique()) == keys.numel()


def test_a_score_that_is_no_number_names_the_pair(drawn):
    cases = drawn(8)
    scores = table(cases)
    scores[2, 7] = math.nan
    with pytest.raises(NonFiniteError, match=r"'u2' and item 'i7'"):
        place_all(lambda u: scores[u], cases, Protocol())
    with pytest.raises(ConfigurationError, match="shape"):
        place_all(lambda u: scores[u][:, 1:], cases, Protocol())


@pytest.mark.parametrize("wrong", [{"ks": (0,)}, {"full_ks": (2.5,)}, {"negatives": 0}])
def test_a_protocol_that_makes_no_sense(wrong):
    with pytest.raises(ConfigurationError, match=r"ks|negatives"):
        Protocol(**wrong)


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 12)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(pairs, st.integers(1, 12))
def test_metrics_stay_in_range(drawn_pairs, k):
    """Any users, ratings and distinct places: NDCG, recall and F1 lie in [0, 1] or are NaN without relevant pairs."""
    unique = {(owner, place): rating for owner, rating, place in drawn_pairs}
    owner = np.array([o for o, _ in unique], np.int64)
    places = np.array([p for _, p in unique], np.int64)
    ratings = np.array(list(unique.values()), np.float64)
    liked = (ratings >= 4).astype(float)
    for order in (Ranked(places), AtRandom(np.full(len(owner), 12))):
        for values, counted in (
            (ndcg(owner, 2**ratings - 1, order, 4, k), np.bincount(owner, minlength=4)),
            (ndcg(owner, 2**ratings - 1, order, 4, k, full_ideal=True), np.bincount(owner, minlength=4)),
            (recall(owner, liked, order, 4, k), np.bincount(owner, liked, 4)),
            (f1(owner, liked, order, 4, k), np.bincount(owner, liked, 4)),
        ):
            assert (np.isnan(values) == (counted == 0)).all()
            known = values[~np.isnan(values)]
            assert ((known >= 0) & (known <= 1 + 1e-12)).all()


@settings(max_examples=40)
@given(st.lists(st.floats(0, 31), min_size=1, max_size=9), st.integers(1, 10))
def test_the_ideal_is_the_best_order(gains, k):
    best = sum(g / math.log2(place + 2) for place, g in enumerate(sorted(gains, reverse=True)[:k]))
    owner = np.zeros(len(gains), np.int64)
    assert ideal(owner, np.array(gains), 1, k)[0] == pytest.approx(best, rel=1e-12, abs=1e-12)


def test_one_test_item_and_equal_ratings(written):
    """A single own item is always in its place; a list of equal ratings has no worse order."""
    cases = written([(1, 1, 3), (2, 1, 3)], [], [(1, 2, 2), (2, 2, 5), (2, 3, 5)], 3, 5)
    protocol = Protocol(ks=(1, 2), full_ks=(1,))
    scores = table(cases)
    frame = ranking_frame(place_all(lambda u: scores[u], cases, protocol), cases, SCALE, protocol)
    assert frame["p2.ndcg@1"].tolist() == [1, 1]
    assert frame["p2.ndcg@2"].to_numpy() == pytest.approx([1, 1])
    assert math.isnan(frame["p2.ndcg_binary@1"][0])
    assert frame["n_relevant"].tolist() == [0, 2]
