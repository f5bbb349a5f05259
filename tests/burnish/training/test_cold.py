"""Metrics of items that training hardly saw, against a loop over the model's own scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from burnish.benchmarks.harness.statistics import pair_users
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError
from burnish.training.request import make_config
from burnish.training.train import train


def options(folder, model, **more):
    own = {"epochs": 1, "data_path": str(folder), "threads": 1, "topk": [5, 10], "cold_below": 6}
    return {**preset(model), **own, "metrics": ["NDCG", "Recall", "Hit", "MRR"], **more}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cold")
    write_data(folder)
    return folder


def by_hand(ranks, wanted, k):
    """ranks: of the cold positives in the whole list, from 1."""
    ranks = sorted(rank for rank in ranks if rank <= k)
    ideal = math.fsum(1 / math.log2(place + 2) for place in range(min(wanted, k)))
    return {
        f"cold.ndcg@{k}": math.fsum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
        f"cold.recall@{k}": len(ranks) / wanted,
        f"cold.hit@{k}": float(bool(ranks)),
        f"cold.mrr@{k}": 1 / ranks[0] if ranks else 0.0,
    }


def test_a_general_backbone_by_ranks_in_the_whole_list(folder, tmp_path):
    result = train("BPR", NAME, options=options(folder, "BPR"), folder=tmp_path / "out")
    model, training = result.model.eval(), result.splits[0]
    counts = torch.bincount(training.inter_feat["item_id"], minlength=training.item_num)
    frame, seen = result.per_user.set_index("user"), 0
    for token, row in frame.iterrows():
        user = training.token2id("user_id", token)
        own = [part.inter_feat["item_id"][part.inter_feat["user_id"] == user] for part in result.splits]
        scores = (model.user_embedding.weight[user] @ model.item_embedding.weight.t()).detach()
        scores[0] = scores[torch.cat(own[:2])] = -np.inf
        cold = [item for item in own[2].tolist() if counts[item] < 6]
        if not cold:
            assert row.filter(like="cold.").isna().all()
            continue
        seen += 1
        ranks = [1 + int((scores > scores[item]).sum()) for item in cold]
        for k in (5, 10):
            for name, value in by_hand(ranks, len(cold), k).items():
                assert row[name] == pytest.approx(value), (token, name)
    assert 3 < seen < len(frame)
    for name in ("cold.ndcg@10", "cold.recall@5"):
        assert result.test_result[name] == pytest.approx(np.nanmean(frame[name]))


def test_a_sequential_backbone_has_one_item_a_row(folder):
    result = train("GRU4Rec", NAME, options=options(folder, "GRU4Rec"))
    training, _, test = result.splits
    counts = np.bincount(training.inter_feat["item_id"].numpy(), minlength=training.item_num)
    cold = counts[test.inter_feat["item_id"].numpy()] < 6
    frame = result.per_user
    assert (frame["cold.ndcg@10"].notna().to_numpy() == cold).all()
    assert (frame["cold.ndcg@10"][cold] == frame["ndcg@10"][cold]).all()
    assert (frame["cold.hit@5"][cold] == frame["hit@5"][cold]).all()
    assert cold.any()


@pytest.mark.parametrize("model", ["BPR", "GRU4Rec"])
def test_among_drawn_candidates(folder, model):
    """Where every item is cold, the figures are RecBole's own; else those of the rows whose items all are."""
    given = options(folder, model)
    split = {"split": {"LS": "valid_and_test"}, "order": "TO"} if model == "GRU4Rec" else {}
    drawn = {"eval_args": {**split, "mode": "uni20"}}
    found = {
        limit: train(model, NAME, options={**given, **drawn, "cold_below": limit}) for limit in (10**6, 6)
    }
    everything, frame = found[10**6].per_user, found[6].per_user
    names = [f"{name}@{k}" for name in ("ndcg", "recall", "hit", "mrr") for k in (5, 10)]
    for name in names:
        np.testing.assert_allclose(everything[f"cold.{name}"], everything[name], rtol=1e-12)
        assert found[10**6].test_result[f"cold.{name}"] == pytest.approx(found[10**6].test_result[name])
    training, _, test = found[6].splits
    counts = np.bincount(training.inter_feat["item_id"].numpy(), minlength=training.item_num)
    users, items = (test.inter_feat[name].numpy() for name in ("user_id", "item_id"))
    seen = set()
    for token, row in frame.set_index("user").iterrows():
        cold = counts[items[users == test.token2id("user_id", token)]] < 6
        assert math.isnan(row["cold.ndcg@10"]) == (not cold.any())
        if cold.all():
            assert [row[f"cold.{name}"] for name in names] == pytest.approx([row[name] for name in names])
        seen.add((bool(cold.any()), bool(cold.all())))
    assert {(False, False), (True, True)} <= seen


def test_where_nothing_is_ranked_it_is_told(folder):
    labels = {
        "eval_args": {"mode": "labeled"},
        "metrics": ["AUC"],
        "valid_metric": "AUC",
        "threshold": {"rating": 4},
    }
    with pytest.warns(UserWarning, match="option 'cold_below' = 6 has no effect on metrics = .*AUC"):
        make_config(find_backbone("BPR"), NAME, {}, {**options(folder, "BPR"), **labels})


def test_without_the_option_nothing_changes(folder):
    with_cold = train("BPR", NAME, options=options(folder, "BPR"))
    without = train("BPR", NAME, options=options(folder, "BPR", cold_below=None))
    plain = {name: value for name, value in with_cold.test_result.items() if not name.startswith("cold.")}
    assert plain == without.test_result
    assert with_cold.losses == without.losses


def test_pairs_leave_out_users_without_a_cold_item(folder):
    frames = {seed: train("BPR", NAME, options=options(folder, "BPR"), seed=seed).per_user for seed in (1, 2)}
    pairs = pair_users(frames, frames, "cold.ndcg@10")
    assert len(pairs) < frames[1]["user"].nunique()
    assert not pairs[["baseline", "other"]].isna().any().any()


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_bad_limit_is_an_error(folder, value):
    with pytest.raises(ConfigurationError, match="cold_below"):
        train("BPR", NAME, options=options(folder, "BPR", cold_below=value))
