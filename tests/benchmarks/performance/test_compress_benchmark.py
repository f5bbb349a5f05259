"""The cost of `compress`: one command, a row a size, each in a process of its own."""

from __future__ import annotations

import pytest

from burnish.benchmarks.performance import compress


def test_a_row_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--users", "300", "--interactions", "3000", "--width", "8"]
    compress.main(["--items", "100", "600", *sizes, "--budget-mib", "1"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["100", "600"]
    assert "float64" in rows[0]
    assert "rank 109" in rows[1]


def test_known_pairs_count_once() -> None:
    known = compress.synthetic(50, 30, 2000)
    assert known.shape == (50, 30)
    assert known.matrix.max() == 1
    assert not known.matrix[0].nnz
    assert not known.matrix[:, 0].nnz
