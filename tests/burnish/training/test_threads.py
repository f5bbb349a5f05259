"""The number of threads follows from the cores that the process may use, never from the load."""

from __future__ import annotations

import pytest
import torch

from burnish.training import threads
from burnish.training.session import torch_threads


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("content", "cores"), [("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 4)]
)
def test_quota_of_a_control_group(tmp_path, four_cores, content, cores):
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert threads.usable_cores(tmp_path) == cores


def test_quota_of_an_old_control_group(tmp_path, four_cores):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert threads.usable_cores(tmp_path) == 3
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads.usable_cores(tmp_path) == 4


def test_no_control_group(tmp_path, four_cores):
    assert threads.usable_cores(tmp_path) == 4


def test_numbers_are_lowered_only(monkeypatch, four_cores):
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    assert threads.threads_by_default(16, {}) == 4
    assert threads.threads_by_default(4, {}) is None
    assert threads.threads_by_default(1, {}) is None
    assert threads.threads_by_default(16, {"OMP_NUM_THREADS": "16"}) is None


def test_training_uses_the_rule(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr("burnish.training.session.threads_by_default", lambda current: current + 1)
    with torch_threads(None):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
