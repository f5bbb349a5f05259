"""Flags of runs whose figures should not be trusted: each with its limits, on rows, and in every kind of table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from written_runs import USERS, add_floor, write_comparison

from burnish.benchmarks.harness import plot, rank_arms, summarise, to_csv, to_latex, to_markdown, to_table
from burnish.benchmarks.harness.flags import Finding, RunFacts, Side, far_below, findings
from burnish.benchmarks.harness.main_table import main_table
from burnish.benchmarks.harness.marks import _tuned
from burnish.benchmarks.harness.tables import to_html
from burnish.benchmarks.harness.tuning_notes import TuningNote

HEALTHY: dict[str, Any] = {
    "n_epochs": 60,
    "best_epoch": 49,
    "epochs": 300,
    "stopping_step": 10,
    "eval_step": 1,
}


def facts(value: float = 0.5, **changes: Any) -> RunFacts:
    return RunFacts(**{**HEALTHY, "valid": {"ndcg@10": value}, "valid_metric": "ndcg@10", **changes})


def side(values: list[float], *, tuning: TuningNote | None = None, **changes: Any) -> Side:
    """Runs with these validation and test values."""
    return Side(
        {seed: facts(value, **changes) for seed, value in enumerate(values)},
        {seed: {"ndcg@10": value} for seed, value in enumerate(values)},
        tuning=tuning,
    )


def letters(found: list[Finding]) -> str:
    return "".join(one.letter for one in found)


def test_healthy_runs_have_none() -> None:
    tuning = TuningNote(3, {"a": [1, 2, 3]}, {"a": 2}, metric="ndcg@10", value=0.52)
    sides = {
        "plain": side([0.5, 0.45, 0.55], tuning=tuning),
        "mine": side([0.6, 0.62]),
        "Pop": side([0.3, 0.3, 0.3]),
    }
    assert findings(sides, "Pop") == {}
    assert (
        findings({"plain": Side({0: RunFacts()}, {0: {"ndcg@10": 0.1}})}) == {}
    )  # an older run, which says nothing


@pytest.mark.parametrize(
    ("changes", "last", "first"),
    [
        ({}, False, False),
        ({"n_epochs": 300, "best_epoch": 295}, True, False),
        ({"n_epochs": 300, "best_epoch": 290}, True, False),  # it had waited for 10, and stops after 11
        ({"n_epochs": 300, "best_epoch": 289}, False, False),
        ({"n_epochs": 299, "best_epoch": 288}, False, False),
        # Every other epoch is validated.
        ({"n_epochs": 300, "best_epoch": 280, "eval_step": 2}, True, False),
        ({"n_epochs": 300, "best_epoch": 278, "eval_step": 2}, False, False),
        # Early stopping cannot end it: it counts whether the best is at the end.
        ({"n_epochs": 20, "best_epoch": 19, "epochs": 20, "stopping_step": 100}, True, False),
        ({"n_epochs": 20, "best_epoch": 18, "epochs": 20, "stopping_step": 100}, False, False),
        ({"n_epochs": 14, "best_epoch": 3}, False, True),
        ({"n_epochs": 15, "best_epoch": 4}, False, False),
        ({"n_epochs": 28, "best_epoch": 6, "eval_step": 2}, False, True),
        ({"n_epochs": 12, "best_epoch": 1, "begun": True}, False, False),
        ({"n_epochs": 1, "best_epoch": 1, "epochs": 1, "trains": False}, False, False),
        ({"n_epochs": 300, "best_epoch": None}, False, False),
        ({"n_epochs": 300, "best_epoch": 300, "eval_step": 0}, False, False),
    ],
)
def test_ends_of_training(changes: dict[str, Any], last: bool, first: bool) -> None:
    one = facts(**changes)
    assert (one.at_last_epoch, one.at_first_epochs) == (last, first)
    found = findings({"plain": Side({0: one}, {})}).get("plain", [])
    assert letters(found) == ("e" if last else "f" if first else "")


def test_far_below_by_a_third_or_by_an_error_a_seventh_larger() -> None:
    assert far_below(0.33, 0.5, "ndcg@10")
    assert not far_below(0.34, 0.5, "ndcg@10")
    assert far_below(1.16, 1.0, "RMSE")
    assert not far_below(1.14, 1.0, "RMSE")
    assert not far_below(0.1, 0.0, "ndcg@10")


def test_far_below_the_other_seeds() -> None:
    (one,) = findings({"plain": side([0.5, 0.3, 0.52, 0.48])})["plain"]
    assert (one.letter, one.seeds, one.of) == ("s", (1,), 4)
    assert one.words == "seed 1: validation ndcg@10 0.3000, median of the others 0.5000"
    assert letters(findings({"plain": side([0.5, 0.3])})["plain"]) == "s"
    assert findings({"plain": side([0.3])}) == {}


def test_far_below_its_own_trial() -> None:
    tuning = TuningNote(3, {"a": [1, 2, 3]}, {"a": 2}, metric="ndcg@10", value=0.8)
    (one,) = findings({"plain": side([0.5, 0.55], tuning=tuning)})["plain"]
    assert (one.letter, one.seeds) == ("t", (0,))
    assert one.words == "seed 0: validation ndcg@10 0.5000, trial 0.8000"


def test_below_popularity_where_both_were_asked_the_same() -> None:
    pop = side([0.5, 0.5], trains=False)
    found = findings({"plain": side([0.49, 0.51]), "Pop": pop}, "Pop")
    assert {name: (letters(some), some[0].seeds) for name, some in found.items()} == {"plain": ("p", (0,))}
    assert found["plain"][0].words == "seed 0: ndcg@10 0.4900, popularity 0.5000"
    other = Side(pop.facts, pop.tests, {0: "a", 1: "a"})
    mine = Side(side([0.49, 0.51]).facts, side([0.49, 0.51]).tests, {0: "b", 1: "b"})
    assert findings({"plain": mine, "Pop": other}, "Pop") == {}


def test_at_the_edge_of_what_an_enhancer_tried() -> None:
    low, high = "compress: no lower ridge was tried", "compress: no higher rank was tried"
    runs = {seed: facts(edges=(low, high) if seed == 2 else (low,)) for seed in (1, 2, 3)}
    note = TuningNote(3, {"a": [1, 2, 3]}, {"a": 3}, ("a",))
    (found,) = findings({"mine": Side(runs, {}, tuning=note)})["mine"]
    assert found.letter == "g"
    assert found.words == f"a = 3, {low}, 3 of 3 runs, {high}, 1 of 3 runs"
    (found,) = findings({"mine": Side(runs, {})})["mine"]
    assert found.words == f"{low}, 3 of 3 runs, {high}, 1 of 3 runs"
    assert RunFacts.of({"edges": [low]}, {}).edges == (low,)
    assert RunFacts.of({}, {}).edges == ()


def test_at_the_edge_of_a_grid_and_of_a_range() -> None:
    def edge(space: dict[str, Any], chosen: dict[str, Any]) -> str:
        from burnish.benchmarks.harness.ranges import at_edge

        note = TuningNote(3, space, chosen, tuple(at_edge(space, chosen)))
        return letters(findings({"plain": side([0.5], tuning=note)}).get("plain", []))

    assert edge({"a": [1, 2, 3]}, {"a": 3}) == "g"
    assert edge({"a": [1, 2, 3]}, {"a": 2}) == ""
    # The outer twentieth of a range, of its logarithm where that is drawn from.
    assert edge({"a": {"low": 0.0, "high": 1.0}}, {"a": 0.96}) == "g"
    assert edge({"a": {"low": 0.0, "high": 1.0}}, {"a": 0.01}) == ""  # 0 is where there is nothing below
    assert edge({"a": {"low": 0.1, "high": 1.1}}, {"a": 0.14}) == "g"
    assert edge({"a": {"low": 0.001, "high": 1.0, "log": True}}, {"a": 0.005}) == ""
    assert edge({"a": {"low": 0.001, "high": 1.0, "log": True}}, {"a": 0.0014}) == "g"
    assert edge({"a": {"low": 1, "high": 4}}, {"a": 4}) == "g"
    assert edge({"a": {"low": 1, "high": 4}}, {"a": 3}) == ""
    assert edge({"a": {"low": 1.0, "high": 2.0, "when": {"b": 1}}, "b": [1, 2]}, {"b": 2}) == ""


DRAW = np.random.default_rng(3)
GOOD = [DRAW.uniform(0.4, 0.6, USERS) for _ in range(3)]


@pytest.fixture
def collapsed(tmp_path: Path) -> Path:
    """A plain arm at a fifth of the popularity floor, which never learnt, and an arm that did."""
    low = [values / 5 for values in GOOD]
    path = write_comparison(tmp_path, {"plain": low, "mine": GOOD})
    add_floor(path, "Pop", [values - 0.1 for values in GOOD])
    for run in path.parent.glob("*/*-0a"):
        metrics = json.loads((run / "metrics.json").read_text())
        early = run.parent.name == "plain"
        metrics |= {"n_epochs": 12 if early else 60, "best_epoch": 1 if early else 49, "losses": [0.5]}
        metrics |= {"valid_metric": "ndcg@10", "valid_result": metrics["test_result"]}
        (run / "metrics.json").write_text(json.dumps(metrics))
        recbole = {"epochs": 300, "stopping_step": 10, "eval_step": 1}
        config = {"recbole": recbole, "options": {"learning_rate": 0.1 if early else 0.01}, "enhancers": {}}
        (run / "config.json").write_text(json.dumps(config))
    for arm, value, rate in (("plain", 0.09, 0.1), ("mine", 0.51, 0.01)):
        trials = [
            {"settings": {"learning_rate": 0.1}, "value": 0.09, "error": None},
            {"settings": {"learning_rate": 0.01}, "value": 0.51 if arm == "mine" else None, "error": "broke"},
            {"settings": {"learning_rate": 0.03}, "value": 0.01, "error": None},
        ]
        if arm == "mine":
            trials[1]["error"] = None
        content = {"metric": "ndcg@10", "trials_made": 3, "space": {"learning_rate": [0.01, 0.03, 0.1]}}
        content |= {"chosen": {"learning_rate": rate}, "trials": trials}
        assert any(one["value"] == value for one in trials)
        (path.parent / arm / "chosen-1f.json").write_text(json.dumps(content))
    return tmp_path


def test_a_collapsed_baseline_is_marked_in_every_table(collapsed: Path, tmp_path: Path) -> None:
    rows = summarise(collapsed)
    (row,) = (row for row in rows if row.kind == "arm")
    assert row.relative > 3
    assert (row.verdict, row.shown_verdict) == ("better, 3 of 3 seeds", "better, 3 of 3 seeds [pfg]")
    assert row.flags[:2] == (
        "plain: below the popularity floor",
        "plain: stopped within the first epochs",
    )
    assert row.collapsed
    assert "yellow" in {str(getattr(cell, "style", "")) for cell in to_table(rows).columns[-1].cells}
    said = rows.flags[0]
    assert said.startswith("[p] below the popularity floor: BPR, plain (3 of 3 runs, seed 0: ndcg@10 0.")
    assert "Cure: these did not learn" in said
    assert any(line.startswith("[f]") and "best epoch 1, stopping_step 10" in line for line in rows.flags)

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_table(rows, width=200))
    plot(rows, tmp_path / "plot.svg")
    for text in (
        console.export_text(),
        to_markdown(rows),
        to_html(rows),
        (tmp_path / "plot.svg").read_text(),
    ):
        flat = " ".join(text.split())
        assert "[pfg]" in flat
        assert "[p] below the popularity floor: BPR, plain" in flat
    (line, *_) = (one for one in csv.DictReader(io.StringIO(to_csv(rows))) if one["kind"] == "arm")
    assert line["marks"] == "pfg"
    assert line["flags"].startswith("plain: below the popularity floor; plain: stopped within")
    assert any("[p] below the popularity floor" in one for one in rank_arms(collapsed).remarks)


def test_a_table_of_means_marks_whose_runs_they_are(collapsed: Path) -> None:
    """In a row of differences both sides count; a mean stands for its own runs alone."""
    rows = summarise(collapsed, metrics=["ndcg@10"])
    (row,) = (row for row in rows if row.kind == "arm")
    assert (row.marks, row.baseline_marks, row.arm_marks) == ("pfg", "pfg", "g")
    lines = {line.name: line.cells[0].letters for group in main_table(rows).groups for line in group.lines}
    assert lines == {"Pop": "", "plain": "pfg", "mine": "g"}
    written = {line.split("&")[0].strip(" \\"): line for line in to_latex(rows).splitlines() if "&" in line}
    assert r"\mathrm{pfg}" in written["quad plain"]
    assert r"\mathrm{g}" in written["quad mine"]


def test_how_many_trials_each_arm_had_and_over_what(collapsed: Path) -> None:
    rows = summarise(collapsed)
    (row,) = (row for row in rows if row.kind == "arm")
    assert (row.trials, row.baseline_trials) == (3, 3)
    assert row.tuning == "3 trials over learning_rate (0.01, 0.03, 0.1); chosen: learning_rate = 0.01"
    assert row.baseline_tuning.startswith("3 trials (1 failed) over")
    (line,) = rows.tuning
    assert line == (
        "Tuning of BPR, by validation. plain: 3 trials (1 failed) over learning_rate (0.01, 0.03, 0.1); chosen: "
        "learning_rate = 0.1. mine: 3 trials over learning_rate (0.01, 0.03, 0.1); chosen: learning_rate = 0.01."
    )
    assert line in to_markdown(rows)


def test_which_choice_is_an_older_runs_is_said_by_its_settings(collapsed: Path) -> None:
    place = collapsed / "tiny" / "BPR" / "plain"
    other = json.loads((place / "chosen-1f.json").read_text()) | {"chosen": {"learning_rate": 0.03}}
    (place / "chosen-2f.json").write_text(json.dumps(other))
    row = next(row for row in summarise(collapsed) if row.kind == "arm")
    assert row.baseline_tuning.endswith("chosen: learning_rate = 0.1")
    (place / "chosen-2f.json").write_text(json.dumps(other | {"chosen": {"learning_rate": 0.1}}))
    row = next(row for row in summarise(collapsed) if row.kind == "arm")
    assert (row.baseline_trials, row.baseline_tuning) == (None, "")  # two of them: nobody knows


def test_a_folder_without_any_of_it_is_reported(tmp_path: Path) -> None:
    write_comparison(tmp_path, {"plain": GOOD, "mine": [values + 0.05 for values in GOOD]})
    rows = summarise(tmp_path)
    assert {(row.marks, row.flags, row.trials, row.tuning) for row in rows} == {("", (), None, "")}
    assert (rows.flags, rows.tuning) == ((), ())


def test_a_single_point_is_no_choice() -> None:
    given = TuningNote(0, {"a": [1.0], "b": [2]}, {"a": 1.0, "b": 2})
    assert str(given) == "no trials: a = 1.0, b = 2 as given"
    tried = TuningNote(2, {"a": [1.0, 2.0]}, {"a": 2.0}, value=0.5)
    assert _tuned({"one": given, "two": tried}) == (
        "one: a = 1.0, b = 2, as given. two: 2 trials over a (1.0, 2.0); chosen: a = 2.0."
    )
