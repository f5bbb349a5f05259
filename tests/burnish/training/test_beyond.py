"""What lists are made of: against RecBole's own metrics, against loops, and ranks against ranx."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import ConfigurationError
from burnish.training.beyond import gini, popularity_deciles
from burnish.training.result import TrainingResult
from burnish.training.train import train

ASKED = ["NDCG", "Recall", "Hit", "MRR", "Precision", "MAP"]
LISTS = ["ItemCoverage", "GiniIndex", "AveragePopularity"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("beyond")
    write_data(folder)
    return folder


def options(folder: Any, model: str = "BPR", **more: Any) -> dict[str, Any]:
    own = {"epochs": 1, "data_path": str(folder), "threads": 1, "topk": [3, 5], "valid_metric": "NDCG@5"}
    return {**preset(model), **own, "metrics": ASKED, **more}


@pytest.fixture(scope="module")
def result(folder: Any) -> TrainingResult:
    return train("BPR", NAME, options=options(folder, metrics=[*ASKED, *LISTS]))


def listed(result: TrainingResult, k: int) -> dict[int, list[int]]:
    """The first k items of each test user, by the model's own scores."""
    model, (training, valid, test) = result.model.eval(), result.splits
    found = {}
    for user in sorted({*test.inter_feat["user_id"].tolist()}):
        scores = (model.user_embedding.weight[user] @ model.item_embedding.weight.t()).detach().numpy().copy()
        known = [
            part.inter_feat["item_id"][part.inter_feat["user_id"] == user].tolist()
            for part in (training, valid)
        ]
        scores[[0, *known[0], *known[1]]] = -np.inf
        found[user] = np.argsort(-scores, kind="stable")[:k].tolist()
    return found


def test_the_same_as_recboles_own(result: TrainingResult) -> None:
    assert result.per_user is not None
    for name in ("itemcoverage", "giniindex", "averagepopularity"):
        for k in (3, 5):
            assert result.beyond[f"{name}@{k}"] == pytest.approx(result.test_result[f"{name}@{k}"], abs=1e-9)
    for name in ("averagepopularity@5", "novelty@3"):
        assert result.per_user[name].mean() == pytest.approx(result.beyond[name], rel=1e-6)


def test_lists_and_activity_by_hand(result: TrainingResult) -> None:
    training, _, test = result.splits
    counts = Counter(training.inter_feat["item_id"].tolist())
    active = Counter(training.inter_feat["user_id"].tolist())
    wanted: dict[int, set[int]] = {}
    for user, item in zip(
        test.inter_feat["user_id"].tolist(), test.inter_feat["item_id"].tolist(), strict=True
    ):
        wanted.setdefault(user, set()).add(item)
    lists = listed(result, 5)
    n_users = training.user_num - 1
    assert result.per_user is not None
    frame = result.per_user.set_index("user")
    for user, items in lists.items():
        row = frame.loc[training.id2token("user_id", user)]
        assert row["n_training"] == active[user]
        assert row["averagepopularity@3"] == pytest.approx(np.mean([counts[item] for item in items[:3]]))
        surprise = [math.log2(n_users / max(counts[item], 1)) for item in items]
        assert row["novelty@5"] == pytest.approx(np.mean(surprise), rel=1e-6)
    # Tenths of the items that training has, ties by number; before them those that it has not.
    seen = sorted(counts, key=lambda item: (counts[item], item))
    part = {item: 1 + place * 10 // len(seen) for place, item in enumerate(seen)}
    expected = {name: [0] * 11 for name in ("items", "interactions", "wanted", "hits@3", "listed@3")}
    for item in range(1, training.item_num):
        expected["items"][part.get(item, 0)] += 1
        expected["interactions"][part.get(item, 0)] += counts[item]
    for user, items in lists.items():
        for item in wanted[user]:
            expected["wanted"][part.get(item, 0)] += 1
        for item in items[:3]:
            expected["listed@3"][part.get(item, 0)] += 1
            expected["hits@3"][part.get(item, 0)] += item in wanted[user]
    found = {name: result.popularity_deciles[name] for name in expected}
    assert found == expected
    assert sum(expected["hits@3"]) > 0
    by_row = result.deciles_by_row
    assert set(by_row) == {f"{name}.{number}" for name in ("wanted", "hits@3") for number in range(11)}
    for place, token in enumerate(result.per_user["user"]):
        user = training.token2id("user_id", token)
        own = [part.get(item, 0) for item in wanted[user]]
        hit = [part.get(item, 0) for item in lists[user][:3] if item in wanted[user]]
        for number in range(11):
            assert by_row[f"wanted.{number}"][place] == own.count(number)
            assert by_row[f"hits@3.{number}"][place] == hit.count(number)


#: What asks ranx, in a process of its own: compiled, as it usually is, it takes minutes to begin.
ASK_RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
asked, run, names = json.load(sys.stdin)
scored = Run(run)
evaluate(Qrels(asked), scored, names)
print(json.dumps({name: {user: float(value) for user, value in scored.scores[name].items()} for name in names}))
"""


def test_ranks_against_ranx(result: TrainingResult) -> None:
    """RecBole's metrics a user, which everything is compared by, against another library's."""
    training, _, test = result.splits
    asked: dict[str, dict[str, int]] = {}
    for user, item in zip(
        test.inter_feat["user_id"].tolist(), test.inter_feat["item_id"].tolist(), strict=True
    ):
        asked.setdefault(str(user), {})[str(item)] = 1
    run = {
        str(user): {str(item): 1.0 / (place + 1) for place, item in enumerate(items)}
        for user, items in listed(result, 5).items()
    }
    names = {"ndcg@5": "ndcg@5", "recall@3": "recall@3", "hit@5": "hit_rate@5", "mrr@5": "mrr@5"}
    names |= {"precision@3": "precision@3"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK_RANX],
        input=json.dumps([asked, run, list(names.values())]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    scores = json.loads(done.stdout.splitlines()[-1])
    assert result.per_user is not None
    frame = result.per_user.set_index("user")
    for ours, theirs in names.items():
        by_user = {
            str(training.id2token("user_id", int(user))): value for user, value in scores[theirs].items()
        }
        assert frame[ours].to_dict() == pytest.approx(by_user, abs=1e-9), ours
    assert 0 < frame["ndcg@5"].mean() < 1


def test_where_it_is_left_out(folder: Any, result: TrainingResult) -> None:
    without = train("BPR", NAME, options=options(folder, beyond_accuracy=False))
    assert (without.beyond, without.popularity_deciles) == ({}, {})
    assert without.per_user is not None
    assert "n_training" not in without.per_user
    assert without.losses == result.losses
    assert all(without.test_result[name] == result.test_result[name] for name in without.test_result)
    sampled = options(folder, eval_args={**preset("BPR").get("eval_args", {}), "mode": "uni20"})
    assert train("BPR", NAME, options=sampled).beyond == {}, "candidates say nothing of what would be listed"
    with pytest.raises(ConfigurationError, match="beyond_accuracy = 'no': give true or false"):
        train("BPR", NAME, options=options(folder, beyond_accuracy="no"))


def test_a_sequential_backbone_has_a_row_a_case(folder: Any) -> None:
    result = train("GRU4Rec", NAME, options=options(folder, "GRU4Rec", metrics=["NDCG", *LISTS]))
    assert result.per_user is not None
    assert result.beyond["averagepopularity@5"] == pytest.approx(result.test_result["averagepopularity@5"])
    wanted = result.popularity_deciles["wanted"]
    assert sum(wanted) == len(result.per_user)
    assert result.popularity_deciles["listed@5"] != [0] * 11
    assert sum(result.popularity_deciles["listed@5"]) == 5 * len(result.per_user)


def test_what_a_run_notes_of_its_course_and_its_data(folder: Any) -> None:
    result = train("BPR", NAME, options=options(folder, epochs=3))
    assert list(result.valid_scores) == [1, 2, 3]
    assert (
        result.valid_scores[result.best_epoch or 0]
        == result.best_valid_score
        == max(result.valid_scores.values())
    )
    other = train("BPR", NAME, options=options(folder, epochs=1, seed=7))
    assert {"digest", "users", "training", "validation", "test"} <= set(result.data)
    assert result.data["digest"] == other.data["digest"]
    again = train("LightGCN", NAME, options=options(folder, "LightGCN"))
    assert again.data == result.data, "the same data and seed"


def test_equal_lists_are_spread_evenly_and_one_item_is_not() -> None:
    assert gini(np.array([[0, 1], [2, 3]]), 4) == pytest.approx(0.0)
    assert gini(np.zeros((5, 1), dtype=int), 4) == pytest.approx(0.75)


def test_items_that_training_has_not_stand_apart() -> None:
    counts = np.array([0, 2, 1, 0])
    found = popularity_deciles(np.array([[3, 1]]), [np.array([3])], counts, [1, 2])
    assert found["items"] == [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert found["wanted"] == found["hits@1"] == found["listed@1"] == [1, *[0] * 10]
    assert found["listed@2"] == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    nothing = popularity_deciles(np.zeros((0, 2), dtype=int), [], counts, [2])
    assert (nothing["items"], nothing["hits@2"]) == (found["items"], [0] * 11)
