"""The cost of explanations by paths: one command, a row a case."""

from __future__ import annotations

import pytest

from burnish.benchmarks.performance import paths_reasons


def test_a_row_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    paths_reasons.main(["--explanations", "5", "--k", "2"])
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert len(rows) == 16
    assert [cell.strip() for cell in rows[0][:4]] == ["propagated", "equal", "distinct", "paths"]
    assert all(1 <= int(row[-1]) <= 10 for row in rows)


def test_the_graph_has_the_size_of_ml_100k() -> None:
    graph = paths_reasons.synthetic()
    assert (graph.counts["user"], graph.counts["item"]) == (944, 1683)
    assert len(graph.relation("rated")) == 80_000
