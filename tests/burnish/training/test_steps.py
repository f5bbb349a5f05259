"""Long stages say how far they are, and pre-training says that it is that."""

from __future__ import annotations

from typing import Any

import pytest

from burnish import telling
from burnish.telling import Steps, summaries_told_to
from burnish.training.result import Epoch
from burnish.training.train import train


def test_words_come_after_twice_as_long_each_time() -> None:
    said: list[str] = []
    now = [0.0]
    watched = Steps("testing: batch", 100, said.append, lambda: now[0])
    for second in range(1, 101):
        now[0] = float(second)
        watched.step()
    assert said == [
        "testing: batch 10 of 100 (10 s so far)",
        "testing: batch 20 of 100 (20 s so far)",
        "testing: batch 40 of 100 (40 s so far)",
        "testing: batch 80 of 100 (80 s so far)",
    ]


def test_one_long_step_is_told_once_and_the_last_not_at_all() -> None:
    said: list[str] = []
    now = [0.0]
    watched = Steps("epoch 1 of 2: batch", 0, said.append, lambda: now[0])
    now[0] = 500.0
    watched.step()
    watched.step()
    assert said == ["epoch 1 of 2: batch 1 (500 s so far)"]
    watched = Steps("epoch 1 of 2: batch", 1, said.append, lambda: now[0])
    now[0] = 900.0
    watched.step()
    assert len(said) == 1


def test_batches_of_all_stages_are_told(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "FIRST", 1e-9)
    said: list[str] = []
    with summaries_told_to(said.append):
        train("BPR", "tiny", options=small, keep_checkpoint=False)
    for what in (
        "epoch 1 of 2: batch 1 of ",
        "epoch 2 of 2: batch 1 of ",
        "validating: batch 1 (",
        "testing: batch 1 (",
    ):
        assert any(line.startswith(what) for line in said), (what, said)


@pytest.mark.parametrize(("mode", "each"), [("uni5", 6), ("labeled", 1)])
def test_cases_are_counted(
    mode: str, each: int, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn ones too, and in parts of a batch: one batch may take minutes."""
    monkeypatch.setattr(telling, "FIRST", 1e-9)
    said: list[str] = []
    options = {**small, "eval_args": {"mode": mode}, "eval_batch_size": 10}
    if mode == "labeled":
        options |= {"metrics": ["AUC"], "valid_metric": "AUC", "LABEL_FIELD": "label"}
        options |= {"threshold": {"timestamp": 4}}
    with summaries_told_to(said.append):
        trained = train("BPR", "tiny", options=options, keep_checkpoint=False).trained
    rows = each * len(trained.splits.test)
    told = [line for line in said if line.startswith("testing: case ")]
    assert told
    assert all(f" of {rows} (" in line for line in told)
    assert "predict" not in vars(trained.model)


def test_nobody_listens_and_nothing_is_said(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "Steps", None)  # would be called
    assert train("BPR", "tiny", options=small, keep_checkpoint=False).n_epochs == 2


def test_pre_training_is_told_and_counted(small: dict[str, Any]) -> None:
    said: list[str] = []
    seen: list[Epoch] = []
    options = {**small, "epochs": 1, "pretrain_epochs": 2, "save_step": 2, "mlp_hidden_size": [8]}
    options |= {"latent_dimension": 4, "critic_layers": [4, 4]}
    with summaries_told_to(said.append):
        train("RaCT", "tiny", options=options, keep_checkpoint=False, on_epoch=seen.append)
    assert [line for line in said if line.startswith("RaCT pre-trains first, 2 epochs (--pretrain_epochs N")]
    assert {(epoch.of, epoch.total) for epoch in seen} == {("pre-training epoch", 2)}
    assert [epoch.number for epoch in seen] == [1, 2]
