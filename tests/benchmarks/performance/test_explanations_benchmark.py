"""The cost of explanations by history: one command, a row a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.benchmarks.performance import explanations
from burnish.enhancers.conformance.data import NAME, write_data


def test_a_row_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path)
    given = [
        "--dataset",
        NAME,
        "--data-path",
        str(tmp_path),
        "--users",
        "2",
        "--batch",
        "3",
        "--threads",
        "1",
    ]
    explanations.main(["--backbones", "BPR", *given])
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == ["BPR"]
    assert all(float(cell) >= 0 for cell in rows[0][1:])
