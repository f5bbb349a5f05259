"""Floors in reports: first, in families of their own, and the arms against the strongest of them."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from written_runs import USERS, add_floor, write_comparison

from burnish.benchmarks.harness import plot, summarise, to_csv, to_markdown, to_table
from burnish.benchmarks.harness.report import Comparison
from burnish.benchmarks.harness.tables import verdicts
from burnish.errors import DataError, UnknownNameError

DRAW = np.random.default_rng(4)
PLAIN = [DRAW.uniform(0.2, 0.6, USERS) for _ in range(3)]


def shifted(by: float) -> list[np.ndarray]:
    return [values + by + DRAW.normal(0, 0.03, USERS) for values in PLAIN]


VALUES = {
    name: shifted(by)
    for name, by in {"good": 0.09, "bad": -0.02, "Pop": -0.1, "EASE": 0.03, "softmax": 0.01}.items()
}
NAMES = {"plain": PLAIN, "good": VALUES["good"], "bad": VALUES["bad"]}


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Two arms and three floors on three seeds."""
    path = write_comparison(tmp_path, NAMES)
    for floor in ("softmax", "EASE", "Pop"):  # reports have one order, whichever came first
        add_floor(path, floor, VALUES[floor])
    return path


def rows_of(note: Path, **more: object) -> Comparison:
    return summarise(note.parents[2], metrics=["ndcg@10"], **more)  # type: ignore[arg-type]


def reference(arm: str, base: str) -> tuple[float, float, float, float]:
    """Mean difference, interval and p of scipy, over users averaged over seeds."""
    known = {**NAMES, **VALUES}
    result = stats.ttest_rel(np.mean(known[arm], axis=0), np.mean(known[base], axis=0))
    interval = result.confidence_interval()
    difference = float(np.mean(known[arm]) - np.mean(known[base]))
    return difference, float(interval.low), float(interval.high), float(result.pvalue)


def test_floors_first_then_arms_then_arms_against_the_strongest(note: Path) -> None:
    rows = rows_of(note)
    assert [(row.kind, row.arm, row.baseline) for row in rows] == [
        ("floor", "Pop", "plain"),
        ("floor", "EASE", "plain"),
        ("floor", "softmax", "plain"),
        ("arm", "good", "plain"),
        ("arm", "bad", "plain"),
        ("over", "good", "EASE"),
        ("over", "bad", "EASE"),
    ]
    for row in rows:
        expected = reference(row.arm, row.baseline)
        found = (row.difference, row.low_users, row.high_users, row.p_t)
        assert found == pytest.approx(expected, rel=1e-9)
        assert row.low < row.low_users < row.high_users < row.high
    assert [row.direction for row in rows] == [-1, 1, 1, 1, -1, 1, -1]


def test_each_family_is_corrected_by_itself(note: Path) -> None:
    rows = rows_of(note)
    for kind, size in (("floor", 3), ("arm", 2), ("over", 2)):
        family = sorted((row for row in rows if row.kind == kind), key=lambda row: row.p)
        assert len(family) == size
        assert family[0].p_holm == pytest.approx(min(1.0, size * family[0].p))


def test_floors_change_nothing_between_arms_and_plain(note: Path) -> None:
    with_floors = [replace(row, strongest_floor="") for row in rows_of(note) if row.kind == "arm"]
    content = json.loads(note.read_text())
    del content["floors"]
    note.write_text(json.dumps(content))
    assert list(rows_of(note)) == with_floors


def test_the_strongest_where_smaller_is_better(note: Path) -> None:
    rows = summarise(note.parents[2], metrics=["logloss"])
    assert {row.baseline for row in rows if row.kind == "over"} == {"EASE"}
    assert {row.unit for row in rows} == {"seeds"}


def test_of_floors_that_are_not_finished_the_complete_ones_count(note: Path) -> None:
    folder = note.parent / "../floors/EASE"
    for seed in (0, 1):
        (folder / f"{seed}-{note.stem}" / "DONE").unlink()
    rows = rows_of(note)
    assert {row.baseline for row in rows if row.kind == "over"} == {"softmax"}
    (ease,) = [row for row in rows if row.arm == "EASE"]
    assert ease.n_seeds == 1
    assert "EASE: 1 of 3 runs finished" in ease.notes


def test_two_backbones_share_the_runs_and_each_has_a_verdict(note: Path) -> None:
    other = {name: [values + 0.5 for values in seeds] for name, seeds in NAMES.items()}
    second = write_comparison(
        note.parents[2], other, backbone="LightGCN", name=note.stem.removeprefix("comparison-")
    )
    for floor in ("Pop", "EASE"):
        add_floor(second, floor, VALUES[floor])
    rows = rows_of(note)
    assert [row.backbone for row in rows if row.kind == "floor"] == ["BPR"] * 3 + ["LightGCN"] * 2
    text = to_markdown(rows)
    assert "- BPR: the best arm, good (" in text
    assert "- LightGCN: the best arm, good (" in text


# ---------------------------------------------------------------- baselines and arms that are floors


def test_a_floor_as_the_baseline(note: Path) -> None:
    rows = rows_of(note, baseline="EASE")
    assert [(row.kind, row.arm, row.baseline) for row in rows] == [
        ("floor", "Pop", "EASE"),
        ("floor", "softmax", "EASE"),
        ("arm", "plain", "EASE"),
        ("arm", "good", "EASE"),
        ("arm", "bad", "EASE"),
        ("over", "good", "EASE"),
        ("over", "bad", "EASE"),
    ]
    (plain,) = [row for row in rows if row.arm == "plain"]
    assert plain.difference == pytest.approx(-reference("EASE", "plain")[0])
    with pytest.raises(UnknownNameError, match="Did you mean 'EASE'"):
        rows_of(note, baseline="EAS")


def test_an_arm_that_is_a_floor_stays_an_arm_and_is_one_to_beat(note: Path) -> None:
    content = json.loads(note.read_text())
    content["floors"] = {"Pop": content["floors"]["Pop"], "softmax": {"arm": "good"}}
    note.write_text(json.dumps(content))
    rows = rows_of(note)
    assert [(row.kind, row.arm, row.baseline) for row in rows] == [
        ("floor", "Pop", "plain"),
        ("arm", "good", "plain"),
        ("arm", "bad", "plain"),
        ("over", "bad", "good"),
    ]
    assert "Floor BPR, softmax: the arm good of the plan stands as this one." in rows.remarks


def test_an_arm_that_is_a_floor_is_not_compared_with_a_stronger_one(note: Path) -> None:
    content = json.loads(note.read_text())
    content["floors"]["softmax"] = {"arm": "bad"}
    note.write_text(json.dumps(content))
    assert [(row.arm, row.baseline) for row in rows_of(note) if row.kind == "over"] == [("good", "EASE")]


def test_floors_alone_are_a_report(tmp_path: Path) -> None:
    note = write_comparison(tmp_path, {"plain": PLAIN})
    add_floor(note, "EASE", VALUES["EASE"])
    rows = rows_of(note, seeds_random=False)
    assert [row.arm for row in rows] == ["EASE"]
    difference, low, high, _ = reference("EASE", "plain")
    assert (
        f"- BPR: plain ({np.mean(PLAIN):.4f}) is below the strongest floor, EASE ({np.mean(VALUES['EASE']):.4f}): "
        f"ndcg@10 {-difference:+.4f}, 95% interval {-high:+.4f} to {-low:+.4f}."
    ) in to_markdown(rows)


def test_floors_that_are_arms_alone_are_a_report(tmp_path: Path) -> None:
    """Of two floors, the weaker one with runs of its own, the sentence is on the stronger, which is an arm."""
    note = write_comparison(tmp_path, {"plain": PLAIN, "mine": VALUES["EASE"]})
    add_floor(note, "Pop", VALUES["Pop"])
    content = json.loads(note.read_text())
    content["floors"]["softmax"] = {"arm": "mine"}
    note.write_text(json.dumps(content))
    rows = rows_of(note)
    assert [(row.kind, row.arm) for row in rows] == [("floor", "Pop"), ("arm", "mine")]
    (sentence,) = verdicts(rows)
    assert sentence.startswith(f"BPR: plain ({np.mean(PLAIN):.4f}) is below the strongest floor, mine (")
    (sentence,) = verdicts(rows_of(note, baseline="mine"))
    assert sentence.startswith(
        f"BPR: the best arm, plain ({np.mean(PLAIN):.4f}), is below the strongest floor, mine ("
    )


def test_a_baseline_that_is_a_floor_has_the_seeds_of_its_fullest_row(note: Path) -> None:
    for seed in (0, 1):
        (note.parent / f"../floors/Pop/{seed}-{note.stem}" / "DONE").unlink()
    assert {row.strongest_floor for row in rows_of(note, baseline="EASE")} == {"EASE"}


# ---------------------------------------------------------------- what cannot be compared


def test_runs_that_noted_other_test_cases_are_not_paired(note: Path) -> None:
    for folder, cases in ((note.parent / "plain", "one"), (note.parent / "../floors/EASE", "other")):
        for run in folder.iterdir():
            metrics = json.loads((run / "metrics.json").read_text())
            (run / "metrics.json").write_text(json.dumps({**metrics, "test_cases": cases}))
    rows = rows_of(note)
    assert "EASE" not in {row.arm for row in rows} | {row.baseline for row in rows}
    assert rows.remarks[-1] == (
        "Left out for BPR: EASE: seed 0: plain and EASE were tested on other cases, so they cannot be paired; run both "
        "again on the same data."
    )


def test_other_users_are_not_paired(tmp_path: Path) -> None:
    note = write_comparison(tmp_path, {"plain": PLAIN, "good": VALUES["good"]})
    add_floor(note, "EASE", [values[:-1] for values in VALUES["EASE"]])
    rows = rows_of(note)
    assert [row.arm for row in rows] == ["good"]
    assert "EASE: seed 0: the two arms were tested on different rows (80 and 79" in rows.remarks[-1]


def test_what_was_left_out_and_why_is_said_once(note: Path) -> None:
    content = json.loads(note.read_text())
    del content["floors"]["softmax"]
    content["floors"] |= {"ItemKNN": {"left_out": "too large."}, "prior": {"left_out": "too large."}}
    content["floors"]["EASE"]["edge"] = ["weight"]
    content["floor_remarks"] = ["Floors are asked for one item each"]
    note.write_text(json.dumps(content))
    rows = rows_of(note)
    assert rows.remarks == (
        "Floor Pop: weight = 2.0, by validation in 3 trials.",
        "Floor EASE: weight = 2.0, by validation in 3 trials, at the edge of what was tried: weight.",
        "Left out for BPR: ItemKNN, prior: too large.",
        "Floors are asked for one item each.",
    )
    for shown in (to_markdown(rows), to_table(rows).caption):
        assert all(remark in str(shown) for remark in rows.remarks)


@pytest.mark.parametrize(
    "floors",
    [{"EASE": {"runs": {"x": "a"}}}, {"EASE": {"runs": 3}}, {"EASE": 3}, [3], {"EASE": {"arm": "absent"}}],
)
def test_a_damaged_list_of_floors_is_named(floors: object, note: Path) -> None:
    content = json.loads(note.read_text())
    note.write_text(json.dumps({**content, "floors": floors}))
    with (
        pytest.warns(UserWarning, match=r"comparison-0a\.json is damaged"),
        pytest.raises(DataError, match="damaged"),
    ):
        rows_of(note)


# ---------------------------------------------------------------- showing


@pytest.mark.parametrize(
    ("by", "word"),
    [(0.1, "above"), (0.0, "not clearly above"), (-0.001, "below, though not clearly,"), (-0.1, "below")],
)
def test_the_verdict_on_the_best_arm(by: float, word: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    noise = [draw.normal(0, 0.02, USERS) for _ in PLAIN]
    arm = [v + by + n - n.mean() + 1e-4 for v, n in zip(VALUES["EASE"], noise, strict=True)]
    note = write_comparison(tmp_path, {"plain": PLAIN, "worse": [v - 1 for v in arm], "mine": arm})
    add_floor(note, "EASE", VALUES["EASE"])
    add_floor(note, "Pop", VALUES["Pop"])
    rows = rows_of(note)
    row = next(row for row in rows if (row.kind, row.arm) == ("over", "mine"))
    assert (
        f"- BPR: the best arm, mine ({row.mean:.4f}), is {word} the strongest floor, EASE ({row.baseline_mean:.4f}): "
        f"ndcg@10 {row.difference:+.4f}, 95% interval {row.low:+.4f} to {row.high:+.4f}.\n"
    ) in to_markdown(rows)


def test_table(note: Path) -> None:
    console = Console(record=True, width=80, color_system=None, file=io.StringIO())
    console.print(to_table(summarise(note.parents[2], metrics=["ndcg@10", "logloss"])))
    text = console.export_text()
    lines = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert [line for line in lines if line in ("ndcg@10", "logloss", "floors", "arms", "to")][:8] == [
        *("ndcg@10", "floors", "arms", "to"),
        *("logloss", "floors", "arms", "to"),
    ]
    words = " ".join(text.split())
    assert "BPR: the best arm, good" in words
    assert (
        "p corrected by Holm for each family of comparisons of a metric: 2 of arms with plain, 3 of floors with plain, "
        "2 of arms with the strongest floor."
    ) in words
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert not any(line.rstrip().endswith("…") for line in text.splitlines())


def test_markdown(note: Path) -> None:
    rows = rows_of(note)
    lines = to_markdown(rows).splitlines()
    assert [line.split("|")[2].strip() for line in lines if line.startswith("| BPR")] == [
        *("Pop (floor)", "EASE (floor)", "softmax (floor)", "good", "bad"),
        *("good / EASE", "bad / EASE"),
    ]
    heads = [line for line in lines if line.startswith("| backbone")]
    assert ["| plain |" in head for head in heads] == [True, False]
    assert "| strongest floor | with arm |" in heads[1]


def test_csv_says_which_family_a_row_is_of(note: Path) -> None:
    rows = rows_of(note)
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [line["kind"] for line in read] == [row.kind for row in rows]
    assert [line["baseline"] for line in read] == [row.baseline for row in rows]


SPACE = "{http://www.w3.org/2000/svg}"


def drawn(rows: Comparison, path: Path) -> tuple[list[float], dict[str, float], list[ElementTree.Element]]:
    """Where dashed lines stand, where each row's mark does, and the lines themselves."""
    root = ElementTree.parse(plot(rows, path)).getroot()
    dashed = [one for one in root.findall(f".//{SPACE}line") if one.get("stroke-dasharray")]
    squares = [
        float(one.get("x", 0)) + 4 for one in root.findall(f".//{SPACE}rect") if one.get("width") == "8"
    ]
    circles = [float(one.get("cx", 0)) for one in root.findall(f".//{SPACE}circle")]
    shown = [row for row in rows if row.kind != "over"]
    marks = dict(zip((row.arm for row in shown), [*squares, *circles], strict=True))
    return [float(one.get("x1", 0)) for one in dashed], marks, dashed


def test_picture(note: Path, tmp_path: Path) -> None:
    """Floors are squares over the arms' circles, and a dashed line shows where the strongest stands."""
    rows = rows_of(note)
    root = ElementTree.parse(plot(rows, tmp_path / "a.svg")).getroot()
    squares = [one for one in root.findall(f".//{SPACE}rect") if one.get("width") == "8"]
    circles = root.findall(f".//{SPACE}circle")
    assert (len(squares), len(circles)) == (3, 2)
    assert max(float(one.get("y", 0)) for one in squares) < min(float(one.get("cy", 0)) for one in circles)
    places, marks, dashed = drawn(rows, tmp_path / "b.svg")
    assert places == [pytest.approx(marks["EASE"])]
    assert float(dashed[0].get("y1", 0)) < float(circles[0].get("cy", 0))
    assert float(dashed[0].get("y2", 0)) > float(circles[1].get("cy", 0))


def test_the_dashed_line_is_at_the_floor_that_the_report_names(note: Path, tmp_path: Path) -> None:
    for seed in (0, 1):  # the best mean, of fewer seeds
        (note.parent / f"../floors/EASE/{seed}-{note.stem}" / "DONE").unlink()
    places, marks, _ = drawn(rows_of(note), tmp_path / "fewer.svg")
    assert places == [pytest.approx(marks["softmax"])]
    content = json.loads(note.read_text())
    content["floors"]["softmax"] = {"arm": "good"}  # the strongest one is no square
    note.write_text(json.dumps(content))
    places, marks, _ = drawn(rows_of(note), tmp_path / "arm.svg")
    assert places == [pytest.approx(marks["good"])]
    rows = rows_of(note, baseline="good")
    places, marks, _ = drawn(rows, tmp_path / "base.svg")
    low, high, _ = (row for row in rows if row.arm in ("Pop", "bad"))  # 0 is on the line through both marks
    slope = (marks["bad"] - marks["Pop"]) / (high.difference - low.difference)
    assert places == [pytest.approx(marks["Pop"] - slope * low.difference, abs=0.3)]
