"""What a report has no row for is named, with the reason, wherever it is shown."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from written_runs import USERS, add_floor, write_comparison

from burnish.benchmarks.harness import plot, summarise, to_markdown, to_table
from burnish.cli.main import app

DRAW = np.random.default_rng(5)
SEEDS = [DRAW.uniform(0.2, 0.6, USERS) for _ in range(2)]


def values(by: float = 0.0) -> list[np.ndarray]:
    return [one + by for one in SEEDS]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two data sets, each with two arms and Pop; EASE is of the second alone."""
    for dataset in ("first", "second"):
        note = write_comparison(tmp_path, {"plain": values(), "big": values(0.1)}, dataset=dataset)
        add_floor(note, "Pop", values(-0.1))
    add_floor(note, "EASE", values(0.05))
    return tmp_path


def unfinish(runs: Path, place: str) -> None:
    (found,) = runs.glob(f"{place}/DONE")
    found.unlink()


def test_nothing_is_said_where_every_row_is_there(runs: Path) -> None:
    assert summarise(runs).absences == ()


def test_a_data_set_without_the_baseline(runs: Path, tmp_path: Path) -> None:
    rows = summarise(runs, baseline="EASE")
    assert {row.dataset for row in rows} == {"second"}
    sentence = "No row for first: BPR: it has no EASE."
    assert rows.absences == (sentence,)
    assert sentence in to_markdown(rows)
    assert sentence in str(to_table(rows).caption)
    root = ElementTree.parse(plot(rows, tmp_path / "a.svg")).getroot()
    (text,) = (one for one in root.iter("{http://www.w3.org/2000/svg}text") if one.text == sentence)
    assert float(text.get("y", 0)) < float(root.get("height", 0))


def test_a_data_set_without_a_metric(runs: Path) -> None:
    for path in (runs / "second").rglob("metrics.json"):
        content = json.loads(path.read_text())
        content["test_result"]["ndcg@15"] = 0.5
        path.write_text(json.dumps(content))
    rows = summarise(runs, metrics=["ndcg@10", "ndcg@15"])
    assert {row.dataset for row in rows if row.metric == "ndcg@15"} == {"second"}
    assert rows.absences == ("No row for first: BPR on ndcg@15: plain was not tested on ndcg@15.",)


def test_arms_and_floors_without_a_common_seed(runs: Path) -> None:
    unfinish(runs, "first/BPR/big/0-0a")
    unfinish(runs, "first/BPR/big/1-0a")
    unfinish(runs, "second/BPR/plain/0-0a")
    unfinish(runs, "second/floors/EASE/1-comparison-0a")
    rows = summarise(runs)
    assert rows.absences == (
        "No row for first: BPR, big: no run of big has finished.",
        "No row for second: BPR, EASE: plain and EASE have finished no seed that both have.",
    )
    assert all(sentence in rows.remarks for sentence in rows.absences)


def test_an_arm_that_has_no_seed_of_the_strongest_floor(tmp_path: Path) -> None:
    note = write_comparison(tmp_path, {"plain": values(), "big": values(0.1)})
    add_floor(note, "Pop", values(-0.1))
    unfinish(tmp_path, "tiny/BPR/big/0-0a")
    unfinish(tmp_path, "tiny/floors/Pop/1-comparison-0a")
    rows = summarise(tmp_path)
    assert [(row.kind, row.arm) for row in rows] == [("floor", "Pop"), ("arm", "big")]
    assert rows.absences == ("No row for BPR, big / Pop: Pop and big have finished no seed that both have.",)


def test_settings_are_told_where_a_backbone_has_several(runs: Path) -> None:
    write_comparison(runs, {"plain": values()}, dataset="second", name="0b")
    assert summarise(runs).absences == ("No row for second: BPR #0b: it has nothing besides plain.",)


def test_a_floor_that_is_noted_as_left_out_is_named_once(runs: Path) -> None:
    for path in runs.glob("second/BPR/EASE/*/metrics.json"):
        path.unlink()
    note = runs / "second/BPR/comparison-0a.json"
    content = json.loads(note.read_text())
    content["floors"]["EASE"] = {"left_out": "too large."}
    note.write_text(json.dumps(content))
    rows = summarise(runs)
    assert rows.absences == ()
    assert "Left out for BPR: EASE: too large." in rows.remarks


@pytest.mark.parametrize(("kind", "stream"), [("csv", "stderr"), ("markdown", "stdout"), ("table", "stdout")])
def test_the_verb_says_so(kind: str, stream: str, runs: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(runs), "--baseline", "EASE", "--format", kind])
    assert result.exit_code == 0
    assert "No row for first: BPR: it has no EASE." in " ".join(getattr(result, stream).split())
