"""The epoch benchmark times real epochs of both arms.  What they take is not a matter for tests."""

from __future__ import annotations

import sys

import torch

from burnish.benchmarks.performance import anomaly, epoch

FEW_USERS = {"val_interval": {"user_id": [str(user) for user in range(1, 31)]}, "embedding_size": 4}


def test_both_arms_are_timed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    plain, enhanced, ratios, run = epoch.compare("BPR", "ml-100k", "rvrec", dict(FEW_USERS), repeats=2)
    assert min(ratios) <= run <= max(ratios)
    assert plain > 0.0
    assert enhanced > 0.0
    assert len(ratios) == 2
    assert all(ratio > 0.0 for ratio in ratios)


def test_anomaly_detection_is_on_for_one_of_two(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(
        anomaly, "OPTIONS", {**anomaly.OPTIONS, **FEW_USERS, "hidden_size": 4, "inner_size": 4}
    )
    assert len(anomaly.ratios("SASRec", 2)) == 2
    assert not torch.is_anomaly_enabled()
