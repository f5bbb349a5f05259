"""The faithfulness of reasons in a report: found beside the runs, or named; in every form that has room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from written_runs import USERS, write_comparison

from burnish.benchmarks.faithfulness.report import Faithfulness
from burnish.benchmarks.harness import summarise, to_markdown, to_page
from burnish.benchmarks.harness.faithful import OURS, WARNING, find_studies, read_study
from burnish.cli.main import app
from burnish.errors import DataError


def write_study(folder: Path, model: str = "BPR", ours: float = 0.5) -> Faithfulness:
    """A study of 20 users: ours are better than random reasons, worse than popular items, the same as a gradient."""
    found = Faithfulness(users=20, asked=20, seed=0, methods={model: "folded-in user, of the score"})
    rng = np.random.default_rng(0)
    means = {OURS: ours, "random": ours - 0.3, "popularity": ours + 0.3, "gradient": ours, WARNING: 0.9}
    for user in range(20):
        noise = 0.01 * rng.normal(size=len(means))
        for (name, mean), off in zip(means.items(), noise, strict=True):
            value = means[OURS] + noise[0] if name == "gradient" else mean + off
            for measure in ("DEL", "INS"):
                for k in (1, 3, 5):
                    row = {"run": "out", "model": model, "run_seed": 1, "user": str(user), "item": "5"}
                    found.rows.append({**row, "reasons": name, "measure": measure, "k": k, "value": value})
    found.write(folder)
    return found


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    plain = [rng.uniform(0.2, 0.6, USERS) for _ in range(2)]
    write_comparison(tmp_path / "runs", {"plain": plain, "big": [one + 0.1 for one in plain]})
    return tmp_path / "runs"


def test_figures_and_verdicts_are_those_of_the_study(tmp_path: Path) -> None:
    found = write_study(tmp_path / "study")
    study = read_study(tmp_path / "study" / "faithfulness.json")
    assert study.references == ["random", "popularity", "gradient"]
    lines = {measure: cells for _, measure, cells in study.lines()}
    assert list(lines) == ["DEL@1", "DEL@5", "INS@1", "INS@5"]
    summary = found.summary().set_index(["measure", "k", "reasons"])
    ours = summary.loc["DEL", 5, OURS]
    assert (lines["DEL@5"][0].mean, lines["DEL@5"][0].low) == pytest.approx((ours["mean"], ours["low"]))
    assert [cell.mark for cell in lines["DEL@5"]] == ["", "+", "-", "="]
    assert str(lines["DEL@5"][1]) == f"{summary.loc['DEL', 5, 'random']['mean']:.3f} +"
    assert study.warnings == tuple(found.warnings())


def test_beside_the_runs_and_named_ones(runs: Path, tmp_path: Path) -> None:
    assert summarise(runs).faithfulness == ()
    assert "Faithfulness" not in to_markdown(summarise(runs))
    assert 'id="reasons"' not in to_page(summarise(runs))
    write_study(runs / "faithfulness")
    write_study(tmp_path / "other", "SASRec")
    rows = summarise(runs, faithfulness=[tmp_path / "other", runs / "faithfulness"])
    assert [list(study.methods) for study in rows.faithfulness] == [["BPR"], ["SASRec"]]
    text = to_markdown(rows)
    assert "| BPR | DEL@5 | 0." in text
    assert "| SASRec | INS@1 | 0." in text
    assert text.count("if each measure took the best of 11 random orders") == 2
    assert "best of 11 random |" not in text
    page = to_page(rows)
    assert 'id="reasons"' in page
    assert "Faithfulness of reasons" in page
    assert page.count("if each measure took the best of 11 random orders") == 2


def test_a_report_shows_them(runs: Path, tmp_path: Path) -> None:
    write_study(runs / "tiny" / "BPR" / "faithfulness")
    said = CliRunner().invoke(app, ["report", str(runs)])
    assert said.exit_code == 0, said.output
    flat = " ".join(said.stdout.split())
    assert "DEL@5" in flat
    assert "ours are better than these by more than chance" in flat
    assert "best of 11 random orders" in flat
    write_study(tmp_path / "other", "SASRec")
    given = [
        "report",
        str(runs),
        "--faithfulness",
        str(tmp_path / "other"),
        "--output",
        str(tmp_path / "r.md"),
    ]
    assert CliRunner().invoke(app, given).exit_code == 0
    assert "SASRec" in (tmp_path / "r.md").read_text(encoding="utf-8")
    csv = CliRunner().invoke(app, ["report", str(runs), "--format", "csv"])
    assert "no place for the faithfulness" in csv.output


NO_NUMBER = '{"users": Infinity, "differences": [], "summary": [], "methods": {}, "warnings": []}'


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"users": 3}', '{"users": 1, "differences": [], "summary": [{}]}', NO_NUMBER]
)
def test_a_damaged_study(content: str, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "faithfulness.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"faithfulness\.json.*explain-eval"):
        find_studies(runs, [tmp_path / "other"])
    (runs / "faithfulness").mkdir()
    (runs / "faithfulness" / "faithfulness.json").write_text(content, encoding="utf-8")
    with pytest.warns(UserWarning, match=r"faithfulness\.json.*left out here"):
        assert find_studies(runs) == []
    with pytest.raises(DataError, match=r"nowhere.*is missing"):
        find_studies(runs, [tmp_path / "nowhere"])


def test_what_nothing_is_known_of_is_left_out(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    path = tmp_path / "study" / "faithfulness.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for row in content["summary"]:
        if row["measure"] == "DEL" or row["reasons"] == "random":
            row["mean"] = row["low"] = row["high"] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    lines = read_study(path).lines()
    assert [measure for _, measure, _ in lines] == ["INS@1", "INS@5"]
    assert {str(cells[1]) for *_, cells in lines} == {"-"}
