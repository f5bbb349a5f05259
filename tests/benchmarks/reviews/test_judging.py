"""Trained RecBole models: the figures agree with RecBole's own where both count the same."""

from __future__ import annotations

import numpy as np
import pytest
from rating_models import TinyRatings

from burnish.benchmarks.reviews.cases import Cases
from burnish.benchmarks.reviews.judging import Judgement, judge, judge_floors, make_scale
from burnish.benchmarks.reviews.protocols import Protocol
from burnish.benchmarks.reviews.scale import Scale
from burnish.errors import DataError
from burnish.training.train import train

FULL = {"metrics": ["NDCG", "Recall"], "topk": [3, 10], "valid_metric": "NDCG@10"}
PROTOCOL = Protocol(negatives=5, full_ks=(3, 10))


@pytest.mark.parametrize("model", ["BPR", "NeuMF"])
def test_the_whole_catalogue_as_recbole_ranks_it(rated, model):
    """BPR scores whole catalogues at once, NeuMF pair by pair.  (DMF has ties, which RecBole leaves to sorting.)"""
    result = train(model, "rated", options={**rated, **FULL}, seed=3)
    found = judge(result.model, result.splits, Scale(1, 5), PROTOCOL, ratings=False)
    assert found.errors is None
    theirs = result.per_user.sort_values("user", ignore_index=True)
    ours = found.ranking.sort_values("user", ignore_index=True)
    assert ours["user"].tolist() == theirs["user"].tolist()
    for name in ("ndcg@3", "ndcg@10", "recall@3", "recall@10"):
        assert ours[f"p3.{name}"].to_numpy() == pytest.approx(theirs[name].to_numpy(), abs=1e-6)
        assert found.summary()[f"p3.{name}"] == pytest.approx(result.test_result[name], abs=1e-6)


def test_errors_of_ratings_as_recbole_counts_them(rated):
    result = train(TinyRatings, "rated", options=rated, seed=3)
    found = judge(result.model, result.splits, Scale(1, 5), PROTOCOL, ratings=True)
    summary = found.summary()
    for name in ("rmse", "mae"):
        assert summary[f"{name}_unclipped"] == pytest.approx(result.test_result[name], abs=1e-5)
    assert len(found.errors) == len(result.splits[2].inter_feat)


def test_models_of_both_kinds_are_tested_on_the_same_rows(rated):
    """RecBole evaluates ratings row by row and rankings user by user; the split is the same."""
    results = [train(model, "rated", options=rated, seed=4) for model in (TinyRatings, "BPR")]
    one, other = (Cases.of(result.splits) for result in results)
    for part in ("train", "valid", "test"):
        for field in ("users", "items", "ratings"):
            assert np.array_equal(getattr(getattr(one, part), field), getattr(getattr(other, part), field))
    assert (one.user_tokens == other.user_tokens).all()


def test_floors_have_what_they_can_have(rated):
    result = train("BPR", "rated", options=rated, seed=5)
    cases = Cases.of(result.splits)
    floors = judge_floors(cases, Scale(1, 5), PROTOCOL)
    given = {name: (floor.ranking is not None, floor.errors is not None) for name, floor in floors.items()}
    assert given == {
        "random order": (True, False),
        "popularity": (True, False),
        "global mean": (False, True),
        "constant median": (False, True),
        "user + item bias": (True, True),
        "ordinal user + item bias": (False, True),
    }
    rmse = {name: floor.summary().get("rmse") for name, floor in floors.items()}
    assert rmse["user + item bias"] < rmse["global mean"], "items differ in this world"
    assert floors["constant median"].summary()["mae"] <= floors["global mean"].summary()["mae"] + 0.1


def test_tables_are_read_as_they_were_written(rated, tmp_path):
    result = train("BPR", "rated", options=rated, seed=5)
    for floor in judge_floors(Cases.of(result.splits), Scale(1, 5), PROTOCOL).values():
        floor.write(tmp_path)
        read = Judgement.read(tmp_path)
        for one, other in ((floor.ranking, read.ranking), (floor.errors, read.errors)):
            assert (one is None and other is None) or one.equals(other)
        for file in tmp_path.iterdir():
            file.unlink()


def test_data_without_ratings_or_test_rows(rated):
    columns = {"inter": ["user_id", "item_id", "timestamp"]}
    result = train("BPR", "rated", options={**rated, "load_col": columns}, seed=5)
    with pytest.raises(DataError, match=r"no column 'rating' .*load_col"):
        judge(result.model, result.splits, Scale(1, 5), PROTOCOL, ratings=False)
    with pytest.raises(DataError, match="no test rows"):
        Cases.of((*result.splits[:2], None))


def test_a_scale_that_the_ratings_leave(rated):
    result = train("BPR", "rated", options=rated, seed=5)
    assert make_scale(result.splits, "rating", None, None) == Scale(1, 5)
    with pytest.raises(DataError, match="outside the scale 2 to 5"):
        make_scale(result.splits, "rating", [2, 5], None)
