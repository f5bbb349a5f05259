"""Options of `burnish report` beyond the table: pairs, intervals, the smallest difference, ranks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from written_runs import USERS, write_comparison

from burnish.cli.main import app

runner = CliRunner()


def test_report_with_pairs_a_smallest_difference_and_ranks(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    plain = [draw.uniform(0.2, 0.6, USERS) for _ in range(4)]
    arms = {
        name: [values + gain + draw.normal(0, 0.02, USERS) for values in plain]
        for name, gain in (("plain", 0.0), ("good", 0.1), ("alike", 0.001), ("bad", -0.1))
    }
    write_comparison(tmp_path / "runs", arms)
    words = ["report", str(tmp_path / "runs"), "-m", "ndcg@10", "-f", "csv"]

    def rows(*more: str) -> dict[tuple[str, str], dict[str, str]]:
        shown = runner.invoke(app, [*words, *more])
        assert shown.exit_code == 0, shown.output
        return {(row["arm"], row["baseline"]): row for row in csv.DictReader(io.StringIO(shown.stdout))}

    usual = rows()
    assert usual["good", "plain"]["interval"] == "users and seeds"
    fixed = rows("--interval", "users")
    assert fixed["good", "plain"]["low"] == usual["good", "plain"]["low_users"]
    assert float(fixed["good", "plain"]["p"]) < float(usual["good", "plain"]["p"])
    several = rows("--pairs", "--smallest-difference", "0.02")
    assert list(several) == [
        *(("good", "plain"), ("alike", "plain"), ("bad", "plain")),
        *(("alike", "good"), ("bad", "good"), ("bad", "alike")),
    ]
    assert [several[pair]["kind"] for pair in several] == ["arm"] * 3 + ["pair"] * 3
    assert several["good", "plain"]["verdict"] == "better by > 0.02, 4 of 4 seeds"
    assert several["alike", "plain"]["verdict"] == "equal within 0.02"
    assert float(several["good", "plain"]["p_holm"]) == pytest.approx(
        3 * float(several["good", "plain"]["p"])
    )
    # All six pairs are one family, also those with the baseline.
    smallest = min(
        (row for row in several.values() if row["kind"] == "pair"), key=lambda row: float(row["p"])
    )
    rank = sum(float(row["p"]) < float(smallest["p"]) for row in several.values())
    assert float(smallest["p_holm"]) >= (6 - rank) * float(smallest["p"]) * (1 - 1e-12)
    assert list(rows("--against", "good")) == [("plain", "good"), ("alike", "good"), ("bad", "good")]
    shown = runner.invoke(app, [*words, "--cd", str(tmp_path / "cd.svg")])
    assert "Average ranks by ndcg@10 over 4 data sets x backbones x seeds: good 1.00" in shown.stderr
    assert "<svg" in (tmp_path / "cd.svg").read_text(encoding="utf-8")
    for wrong, message in (
        (["--interval", "seeds"], "interval 'seeds' is not known"),
        (["--smallest-difference", "0"], "smallest_difference: '0': give a number above 0"),
        (["--cd", str(tmp_path / "cd.png")], ".svg or .json"),
    ):
        refused = runner.invoke(app, [*words, *wrong])
        assert refused.exit_code != 0
        assert message in " ".join(refused.stderr.split())


def test_a_page_and_a_table_for_a_paper(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    plain = [draw.uniform(0.2, 0.6, USERS) for _ in range(2)]
    write_comparison(tmp_path / "runs", {"plain": plain, "good": [values + 0.1 for values in plain]})
    for name, begin in (("report.html", "<!doctype html>"), ("table.tex", "% In the preamble")):
        path = tmp_path / name
        shown = runner.invoke(app, ["report", str(tmp_path / "runs"), "-m", "ndcg@10", "--output", str(path)])
        assert shown.exit_code == 0, shown.output
        written = path.read_text(encoding="utf-8")
        assert written.startswith(begin)
        format = {"html": "html", "tex": "latex"}[path.suffix[1:]]
        on_screen = runner.invoke(app, ["report", str(tmp_path / "runs"), "-m", "ndcg@10", "-f", format])
        assert on_screen.stdout.strip() == written.strip()
    assert "<title>Report of runs</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    # Before anything is read: there are no runs there.
    refused = runner.invoke(app, ["report", str(tmp_path / "nothing"), "--output", "report.pdf"])
    assert refused.exit_code != 0
    assert "'.pdf' names no format that can be written here; give .html, .md, .csv, .tex or .txt" in " ".join(
        refused.output.split()
    )
