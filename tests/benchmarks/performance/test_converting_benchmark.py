"""The benchmark of `burnish data` converts what it wrote.  What that takes is not a matter for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.benchmarks.performance import converting

pytest.importorskip("resource", reason="the largest resident memory is asked of POSIX")


def test_a_small_file(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl.gz"
    rows = converting.write_file(path, 300_000, 350)
    assert rows == pytest.approx(300_000 / 600, rel=0.3)
    seconds, busy, bare, peak, before, after, rounds = converting.measure(
        path, tmp_path / "made", (1, 1), "tsv"
    )
    assert before == rows
    assert 0 < after <= before
    assert rounds == 0
    assert 0 < bare <= peak
    assert min(seconds, busy) > 0
    assert (tmp_path / "made" / "made.inter").read_text().count("\n") == after + 1
