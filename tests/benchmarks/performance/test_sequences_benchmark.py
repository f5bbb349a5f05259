"""The benchmark of whole sequences trains both arms.  What they take is not a matter for tests."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

from burnish.benchmarks.performance import sequences

SMALL: dict[str, Any] = {
    "val_interval": {"user_id": [str(user) for user in range(1, 31)]},
    "hidden_size": 4,
    "inner_size": 4,
    "embedding_size": 4,
    "n_layers": 1,
    "block_num": 1,
    "MAX_ITEM_LIST_LENGTH": 10,
    "train_batch_size": 512,
    "stopping_step": 1,
}


def test_both_arms_and_the_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    words = ["--backbones", "SASRec", "NextItNet", "--repeats", "2", "--share", "0.3", "--to-best", "3"]
    sequences.main([*words, "--options", json.dumps(SMALL), "--json", "figures.json"])
    shown = capsys.readouterr().out
    assert "prefix from 30% of its batches" in shown
    assert "NextItNet trains on prefixes: it does not ask `gather_indexes`" in shown
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    epochs = figures["epochs"]["SASRec"]
    assert len(epochs["prefix"]) == len(epochs["whole"]) == 2
    assert min(epochs["prefix"] + epochs["whole"]) > 0
    assert 0 < epochs["whole_mebibytes"] < epochs["prefix_mebibytes"]
    assert set(figures["courses"]) == {"SASRec"}
    for course in figures["courses"]["SASRec"].values():
        assert 1 <= len(course["scores"]) == len(course["seconds"]) <= 3
        assert course["seconds"] == sorted(course["seconds"])


def test_a_share_is_multiplied(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    clock = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr(sequences, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    timed = sequences.TimedSequenceModel(
        "GRU4Rec", "ml-100k", {**SMALL, "checkpoint_dir": str(tmp_path)}, "prefix"
    )
    batches, seen = len(timed.train), []
    loss = timed.model.calculate_loss
    monkeypatch.setattr(timed.model, "calculate_loss", lambda batch: seen.append(len(batch)) or loss(batch))
    assert timed.seconds(1 / batches) == 2.0 * batches
    assert len(seen) == 1
    assert timed.seconds() == 3.0
    assert len(seen) == 1 + batches


def test_the_patience_of_a_course():
    course = sequences.Course()
    assert course.goes_on(5, 2)
    for score in (0.1, 0.3, 0.2, 0.2):
        course.scores.append(score)
    assert course.best() == 1
    assert course.goes_on(5, 2)
    course.scores.append(0.1)
    assert not course.goes_on(9, 2)
    assert not sequences.Course([1.0] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]).goes_on(5, 9)
