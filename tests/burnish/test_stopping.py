"""`stopping_from`: a plateau at the start does not end a run, against a count by hand on scores that are given."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import pytest
from tiny_data import _own_folder, data_path, small, write_interactions

import burnish
from burnish.benchmarks.harness import make_plan, run_plan
from burnish.errors import ConfigurationError
from burnish.training.train import resume, train

__all__ = ["_own_folder", "data_path", "small", "write_interactions"]


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets validation come to given scores, one after another."""
    from recbole.trainer.trainer import Trainer

    left: list[float] = []
    monkeypatch.setattr(Trainer, "_valid_epoch", lambda *_, **__: (left[0], {"ndcg@10": left.pop(0)}))

    def give(scores: list[float]) -> None:
        left[:] = scores

    return give


def stops(scores: list[float], patience: int, every: int, first: int) -> tuple[int, int]:
    """The epochs of a run and the best of them, counted by hand."""
    best, best_epoch, waited, counted = -1.0, 0, 0, 0
    for number, score in enumerate(scores, 1):
        epoch = number * every
        counted += epoch >= first
        if score >= best:
            best, best_epoch, waited = score, epoch, 0
        else:
            waited += 1
        if waited > patience and counted > patience:
            return epoch, best_epoch
    return len(scores) * every, best_epoch


CASES = [(2, 1, 6), (0, 1, 4), (2, 2, 7), (1, 3, 3), (2, 1, 1), (3, 1, 50)]


@pytest.mark.parametrize(("patience", "every", "first"), CASES)
def test_epochs_are_those_counted_by_hand(
    patience: int, every: int, first: int, scored: Any, small: dict[str, Any]
) -> None:
    draw = random.Random(patience + 10 * every + 100 * first)
    scores = [0.5, *(draw.choice([0.1, 0.2, 0.55, 0.6]) for _ in range(11))]
    scores[2:5] = [0.1, 0.1, 0.1]
    scored(scores)
    length = {"epochs": 12 * every, "stopping_step": patience, "eval_step": every}
    result = train("BPR", "tiny", options={**small, **length, "stopping_from": first})
    assert (result.n_epochs, result.best_epoch) == stops(scores, patience, every, first)


def test_a_plateau_at_the_start_ends_a_run_without_it(scored: Any, small: dict[str, Any]) -> None:
    scores = [0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.5, 0.4, 0.4, 0.4, 0.4]
    ends = []
    for more in ({}, {"stopping_from": 1}, {"stopping_from": 7}):
        scored(scores)
        result = train("BPR", "tiny", options={**small, "epochs": 11, "stopping_step": 2, **more})
        ends.append((result.n_epochs, result.best_epoch))
    assert ends == [(4, 1), (4, 1), (10, 7)]


def test_the_same_after_an_interruption_and_in_files(
    scored: Any, small: dict[str, Any], tmp_path: Path
) -> None:
    scores = [0.3, 0.2, 0.2, 0.2, 0.2, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    options = {**small, "epochs": 12, "stopping_step": 2, "stopping_from": 5}
    scored(scores)
    whole = train("BPR", "tiny", options=options)
    assert (whole.n_epochs, whole.best_epoch) == (9, 6)

    def stop(epoch: Any) -> None:
        if epoch.number == 4 and epoch.valid_score is not None:
            raise KeyboardInterrupt

    scored(scores)
    with pytest.raises(KeyboardInterrupt):
        train("BPR", "tiny", options=options, folder=tmp_path / "cut", save_every=1, on_epoch=stop)
    scored(scores[3:])  # the state is that of epoch 3
    again = resume(tmp_path / "cut")
    assert again.losses == whole.losses
    assert again.best_epoch == 6
    file = tmp_path / "late.yaml"
    file.write_text("stopping_from: 5\nstopping_step: 2\nepochs: 12\n")
    rest = {name: value for name, value in small.items() if name != "epochs"}
    scored(scores)
    assert burnish.run("BPR", "tiny", config=rest, config_files=[file]).losses == whole.losses


def test_in_a_plan(scored: Any, small: dict[str, Any], tmp_path: Path) -> None:
    options = {name: value for name, value in small.items() if name != "threads"}
    content = {
        "dataset": "tiny",
        "backbones": ["BPR"],
        "floors": [],
        "seeds": [1],
        "options": {**options, "epochs": 9, "stopping_step": 1, "stopping_from": 4},
        "runs": str(tmp_path / "runs"),
    }
    scored([0.3, *[0.2] * 9])
    (record,) = run_plan(make_plan(content), quiet=True)
    log = (record.folder / "log.txt").read_text()
    assert "best eval result in epoch 0" in log  # RecBole counts from 0
    assert "epoch 4 training" in log
    assert "epoch 5 training" not in log


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "soon"])
def test_values_that_cannot_be(value: Any, small: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"stopping_from = .*: give the number of an epoch, 1 or more"
    ):
        train("BPR", "tiny", options={**small, "stopping_from": value})


def test_where_it_has_no_effect(small: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train("EASE", "tiny", options={**small, "stopping_from": 3})
    assert any("'stopping_from' = 3 has no effect on EASE" in str(one.message) for one in caught)
