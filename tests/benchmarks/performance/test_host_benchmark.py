"""The host benchmark runs both sides in processes of their own, and holds their losses and metrics together."""

from __future__ import annotations

import json
import subprocess

import pytest

from burnish.benchmarks.performance import attached, host

FEW = {
    "user_inter_num_interval": "[400,inf)",
    "embedding_size": 4,
    "epochs": 2,
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"},
}


def test_both_sides_are_timed_and_agree():
    found = host.compare("BPR", "ml-100k", FEW, repeats=1, threads=1)
    assert found["equal"] == {"losses": True, "metrics": True}
    assert set(found["ratios"]) == {"read", "prepare", "train", "evaluate", "total", "processor"}
    for side in host.SIDES:
        seconds = found["seconds"][side]
        assert all(value > 0.0 for value in seconds.values())
        assert sum(seconds[stage] for stage in host.STAGES) < seconds["total"]


def answers(monkeypatch, **difference):
    """Let `run_once` answer at once; burnish's side differs by `difference`."""

    def run_once(side, job, threads):
        plain = {
            "seconds": dict.fromkeys((*host.STAGES, "total", "processor"), 2.0),
            "losses": [1.0],
            "metrics": {"test": {}},
        }
        return {**plain, **difference} if side == "burnish" else plain

    monkeypatch.setattr(host, "run_once", run_once)


def test_ratios_are_recboles_seconds_over_ours(monkeypatch):
    answers(monkeypatch, seconds=dict.fromkeys((*host.STAGES, "total", "processor"), 0.5))
    found = host.compare("BPR", "ml-100k", {}, repeats=3, threads=1)
    assert found["ratios"]["total"] == [4.0, 4.0, 4.0]
    assert found["seconds"]["burnish"]["train"] == 0.5


def test_a_difference_is_shown_and_fails(monkeypatch, capsys):
    answers(monkeypatch, losses=[1.5])
    with pytest.raises(SystemExit):
        host.main(["--backbones", "BPR", "--repeats", "1"])
    assert "DIFFERENT" in capsys.readouterr().out


def test_a_run_that_fails_says_why(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "it broke")
    monkeypatch.setattr(host.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="burnish with BPR failed:\nit broke"):
        host.run_once("burnish", {"model": "BPR", "dataset": "ml-100k", "options": {}}, 1)


def test_an_attached_identity_has_the_plain_losses(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    few = {"user_inter_num_interval": "[400,inf)", "embedding_size": 4}
    attached.main(["--backbones", "BPR", "--repeats", "1", "--options", json.dumps(few)])
    printed = capsys.readouterr().out
    assert "identity" in printed
    assert "equal" in printed


def test_an_identity_that_is_none_fails(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(attached.Identity, "refine", lambda self, rows, ids, table: rows * 2.0)
    few = {"user_inter_num_interval": "[400,inf)", "embedding_size": 4}
    with pytest.raises(SystemExit):
        attached.main(
            ["--backbones", "BPR", "--kinds", "identity", "--repeats", "1", "--options", json.dumps(few)]
        )
