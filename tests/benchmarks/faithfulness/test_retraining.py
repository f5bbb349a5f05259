"""Retrain and check: which rows go, and what is trained on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from burnish.benchmarks.faithfulness import retraining
from burnish.benchmarks.faithfulness.retraining import (
    NOTHING,
    epochs_of,
    experiment_of,
    retrained,
    rows_to_remove,
)
from burnish.benchmarks.faithfulness.standing import Recommendation
from burnish.errors import ConfigurationError, UnsupportedError
from burnish.randomness import stream_positions
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.recommend import Recommender


def explained(trained: Any, users: list[int]) -> list[Recommendation]:
    recommender = Recommender(trained, k=1)
    reasons = HistoryReasons(recommender)
    found = []
    for user in users:
        catalogue = recommender.candidates(user)
        best = catalogue[recommender.scores(np.array([user]))[0].numpy()[catalogue].argmax()]
        found.append(Recommendation(reasons, user, int(best), catalogue))
    return found


def test_rows_of_a_user(trained: Callable[..., Any]) -> None:
    experiment = experiment_of(trained("BPR"))
    own = experiment.items[experiment.users == 3]
    gone = rows_to_remove(experiment, 3, own[:2])
    assert set(experiment.items[gone]) == set(own[:2])
    assert set(experiment.users[gone]) == {3}
    everything = rows_to_remove(experiment, 3, own)
    assert everything.sum() == len(own) - 1
    assert not rows_to_remove(experiment, 3, np.empty(0, np.int64)).any()


def test_each_arm_is_trained_on_what_is_left(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained("BPR")
    users = [2, 3, 5]
    recommendations = explained(whole, users)
    orders = {"a": [np.arange(len(one)) for one in recommendations]}
    seen: list[np.ndarray] = []
    own = retraining.train

    def noting(experiment: Any, rows: np.ndarray, **options: Any) -> Any:
        seen.append(rows)
        assert options["seed"] == whole.config["seed"]
        return own(experiment, rows, **options)

    monkeypatch.setattr(retraining, "train", noting)
    folder, streams = whole.config["checkpoint_dir"], stream_positions(torch.device("cpu"))
    told: list[str] = []
    found = retrained(whole, recommendations, orders, k=2, epochs=1, tell=told.append)
    assert whole.config["checkpoint_dir"] == folder
    assert stream_positions(torch.device("cpu")) == streams
    assert told == [f"retraining: {NOTHING}", "retraining: a"]
    experiment = experiment_of(whole)
    np.testing.assert_array_equal(seen[0], np.arange(len(experiment.users)))
    gone = np.setdiff1d(seen[0], seen[1])
    pairs = set(zip(experiment.users[gone].tolist(), experiment.items[gone].tolist(), strict=True))
    assert pairs == {(one.user, int(item)) for one in recommendations for item in one.history[:2]}
    assert [(one.user, one.arm) for one in found] == [(user, arm) for arm in (NOTHING, "a") for user in users]
    for one in found:
        assert one.left == (one.rank > 10)


def test_the_same_rows_and_seed_are_the_same_model(trained: Callable[..., Any]) -> None:
    """So that what differs between arms is what was removed."""
    whole = trained("BPR")
    recommendations = explained(whole, [2, 3])
    nothing = {"empty": [np.empty(0, np.int64) for _ in recommendations]}
    found = retrained(whole, recommendations, nothing, k=5, epochs=2)
    assert [(one.standing, one.rank) for one in found[:2]] == [(one.standing, one.rank) for one in found[2:]]
    # By scores of the model in the state that it has after as many epochs as the run had: the same items stand high.
    assert all(one.standing > 1 for one in found)


def test_without_its_history_an_item_goes(trained: Callable[..., Any]) -> None:
    """An item-to-item model recommends nothing by a history that is not there."""
    whole = trained("MultiVAE")
    recommendations = explained(whole, [2, 3, 5])
    found = retrained(
        whole, recommendations, {"all": [np.arange(len(one)) for one in recommendations]}, k=1000, epochs=2
    )
    before = np.mean([one.standing for one in found[:3]])
    after = np.mean([one.standing for one in found[3:]])
    assert after < before


def test_sequences_are_refused(trained: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match="sequential model"):
        retrained(trained("SASRec"), [], {}, epochs=1)


def test_epochs(trained: Callable[..., Any], tmp_path: Path) -> None:
    whole = trained("BPR")
    assert epochs_of(whole, whole, None) == 2
    assert epochs_of(tmp_path, whole, 7) == 7
    (tmp_path / "result.json").write_text('{"best_epoch": 5}', encoding="utf-8")
    assert epochs_of(tmp_path, whole, None) == 5
    with pytest.raises(ConfigurationError, match="retrain_epochs = 0"):
        epochs_of(tmp_path, whole, 0)
