"""The cost of `paths`: a row an arm, and a row a number of edges."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.benchmarks.performance import paths


def rows_of(printed: str) -> list[list[str]]:
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {
        "N_USERS": 90,
        "N_ITEMS": 60,
        "N_CATEGORIES": 9,
        "N_CITIES": 4,
        "INTERACTIONS": 600,
        "FRIENDS": 150,
    }
    for name, size in sizes.items():
        monkeypatch.setattr(paths, name, size)


def test_a_row_an_arm(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    paths.main(["--repeats", "2"])
    rows = rows_of(capsys.readouterr().out)
    assert [row[0] for row in rows] == list(paths.ARMS)
    assert float(rows[0][3]) == 1.0
    assert all(float(row[3]) >= 0 for row in rows)
    assert all(len(row) == 6 for row in rows)


def test_of_given_data(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = paths.write_yelp(tmp_path)
    paths.main(["--data", str(folder), "--shortest", "3", "--arms", "paper", "--repeats", "1"])
    assert [row[0] for row in rows_of(capsys.readouterr().out)] == ["alone", "paper"]


def test_a_row_a_number_of_edges(capsys: pytest.CaptureFixture[str]) -> None:
    paths.main(["--edges", "3000", "6000", "--most", "20", "--sampled", "50", "--repeats", "2"])
    rows = rows_of(capsys.readouterr().out)
    edges = [int(row[0].replace(",", "")) for row in rows]
    assert edges == [pytest.approx(3000, rel=0.1), pytest.approx(6000, rel=0.1)]
    assert rows[0][4] == ""
    assert float(rows[0][1]) <= float(rows[0][2]) <= float(rows[0][3])
