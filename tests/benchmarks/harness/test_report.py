"""Reports from folders: written here by hand with known values, and by a real plan."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from written_runs import USERS, write_comparison

from burnish.benchmarks.harness import (
    make_plan,
    plot,
    run_plan,
    summarise,
    to_csv,
    to_markdown,
    to_page,
    to_table,
)
from burnish.benchmarks.harness.main_table import main_table
from burnish.benchmarks.harness.tables import to_html
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.files.svg import text_width


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four arms on three seeds: clearly better, clearly worse, equal, and noise."""
    draw = np.random.default_rng(1)
    plain = [draw.uniform(0.2, 0.6, USERS) for _ in range(3)]
    shift = [draw.normal(0, 0.03, USERS) for _ in range(3)]
    arms = {
        "plain": plain,
        "good": [p + 0.05 + s for p, s in zip(plain, shift, strict=True)],
        "bad": [p - 0.05 + s for p, s in zip(plain, shift, strict=True)],
        "same": plain,
        "noise": [p + s - s.mean() for p, s in zip(plain, shift, strict=True)],
    }
    write_comparison(tmp_path, arms)
    return tmp_path


def test_gain_loss_and_neither_are_told_apart(runs: Path) -> None:
    rows = {row.arm: row for row in summarise(runs)}
    assert {arm: row.direction for arm, row in rows.items()} == {"good": 1, "bad": -1, "same": 0, "noise": 0}
    assert rows["good"].verdict == "better, 3 of 3 seeds"
    assert rows["bad"].verdict == "worse, 3 of 3 seeds"
    assert rows["same"].verdict == rows["noise"].verdict == "no clear difference"
    good = rows["good"]
    assert (good.n_seeds, good.n_users, good.unit, good.seeds_better) == (3, USERS, "users", 3)
    assert good.low < good.difference < good.high
    assert good.difference == pytest.approx(good.mean - good.baseline_mean, abs=1e-12)
    assert good.relative == pytest.approx(good.difference / good.baseline_mean)
    assert good.low > 0 > rows["bad"].high


def test_figures_are_those_of_users_averaged_over_seeds(runs: Path) -> None:
    from scipy import stats

    def averaged(arm: str) -> np.ndarray:
        files = sorted((runs / "tiny" / "BPR" / arm).glob("*/per_user.parquet"))
        return np.mean([pd.read_parquet(file)["ndcg@10"] for file in files], axis=0)

    row = next(row for row in summarise(runs) if row.arm == "good")
    reference = stats.ttest_rel(averaged("good"), averaged("plain"))
    assert row.p_t == pytest.approx(reference.pvalue, rel=1e-9)
    interval = reference.confidence_interval()
    assert (row.low_users, row.high_users) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert (row.interval, row.p > row.p_t, row.low < row.low_users, row.high > row.high_users) == (
        *("users and seeds", True, True, True),
    )
    (fixed,) = (row for row in summarise(runs, seeds_random=False, metrics="ndcg@10") if row.arm == "good")
    assert (fixed.interval, fixed.low, fixed.high) == ("users", row.low_users, row.high_users)
    assert fixed.p == pytest.approx(fixed.p_t)
    tests = [
        json.loads((runs / "tiny" / "BPR" / arm / f"{seed}-0a" / "metrics.json").read_text())["test_result"][
            "ndcg@10"
        ]
        for arm in ("good", "plain")
        for seed in range(3)
    ]
    assert row.seed_sd == pytest.approx(np.std(np.subtract(tests[:3], tests[3:]), ddof=1))


def test_holm_counts_all_arms_of_a_metric(runs: Path) -> None:
    rows = summarise(runs)
    smallest = min(rows, key=lambda row: row.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 4 * smallest.p))
    assert all(row.p_holm >= row.p_bh >= row.p >= row.p_t for row in rows)


def test_another_baseline(runs: Path) -> None:
    rows = {row.arm: row for row in summarise(runs, baseline="good")}
    assert rows["plain"].direction == rows["bad"].direction == -1
    assert "good" not in rows


def test_smaller_is_better_and_metrics_without_users(runs: Path) -> None:
    rows = {row.arm: row for row in summarise(runs, metrics=["LogLoss"])}
    good = rows["good"]
    assert (good.unit, good.n_users, good.n_seeds) == ("seeds", None, 3)
    assert good.difference < 0
    assert good.seeds_better == 3
    assert good.direction == 1
    assert rows["bad"].verdict.startswith("worse")


def test_only_what_finished_on_both_sides_counts(runs: Path) -> None:
    (runs / "tiny" / "BPR" / "good" / "2-0a" / "DONE").unlink()
    (runs / "tiny" / "BPR" / "plain" / "0-0a" / "DONE").unlink()
    row = next(row for row in summarise(runs) if row.arm == "good")
    assert row.n_seeds == 1
    assert row.notes == (
        "one seed: other random starts are unknown",
        "plain: 2 of 3 runs finished",
        "good: 2 of 3 runs finished",
    )
    assert row.verdict == "better, one seed only"
    assert math.isnan(row.seed_sd)


def test_runs_with_other_common_settings_are_not_mixed(runs: Path, tmp_path: Path) -> None:
    values = np.linspace(0.1, 0.9, USERS)
    write_comparison(runs, {"plain": [values], "good": [values + 0.01]}, name="0b")
    rows = [row for row in summarise(runs) if row.arm == "good"]
    assert [(row.comparison, row.n_seeds) for row in rows] == [("0a", 3), ("0b", 1)]
    assert "BPR #0b" in to_markdown(rows)


def test_nothing_to_report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match="holds no runs"):
        summarise(empty)
    (empty.parent / "results").mkdir()
    with pytest.raises(DataError, match=r"'.*result' does not exist.* Did you mean '.*results'"):
        summarise(empty.parent / "result")
    (empty / "asked.json").touch()
    with pytest.raises(
        DataError, match=r"of `burnish improve` whose test set was not looked at: the same command"
    ):
        summarise(empty)
    (empty / "test").mkdir()
    with pytest.raises(DataError, match=r"is a folder of `burnish improve`; its comparison is in .*test"):
        summarise(empty)
    with pytest.raises(UnknownNameError, match=r"baseline arm 'plane' .* Did you mean 'plain'"):
        summarise(runs, baseline="plane")
    with pytest.raises(UnknownNameError, match=r"metric 'ndgc@10' .* Did you mean 'ndcg@10'"):
        summarise(runs, metrics=["ndgc@10"])
    write_comparison(empty, {"plain": [np.zeros(3)]})
    with pytest.raises(DataError, match="no finished run of an arm besides 'plain'"):
        summarise(empty)
    for done in empty.rglob("DONE"):
        done.unlink()
    with pytest.raises(DataError, match="no run of this folder has finished"):
        summarise(empty)


def test_a_real_plan_reported(plan_content: dict[str, Any]) -> None:
    plan = make_plan({**plan_content, "arms": {"again": {}, "big": {"options": {"embedding_size": 16}}}})
    records = run_plan(plan, quiet=True)
    rows = summarise(plan.runs)
    assert [(row.metric, row.arm) for row in rows] == [
        (metric, arm) for metric in ("ndcg@10", "recall@10", "mrr@10") for arm in ("again", "big")
    ]
    for row in rows:
        assert row.n_users == 40
        for arm, mean in ((row.arm, row.mean), ("plain", row.baseline_mean)):
            runs = [record.test[row.metric] for record in records if record.arm == arm]
            assert mean == pytest.approx(np.mean(runs), abs=1e-12)
        if row.arm == "again":
            assert (row.difference, row.p_t, row.verdict) == (0, 1, "no clear difference")


def test_a_changed_plan_starts_another_comparison(plan_content: dict[str, Any]) -> None:
    run_plan(make_plan({**plan_content, "seeds": 1}), quiet=True)
    more = {**plan_content, "seeds": 1, "arms": {"wide": {"options": {"embedding_size": 32}}}}
    run_plan(make_plan(more), quiet=True)
    rows = summarise(plan_content["runs"], metrics=["ndcg@10"])
    assert [row.arm for row in rows] == ["big", "wide"]  # the same common settings: one comparison
    longer = {**more, "options": {**more["options"], "epochs": 2}}
    run_plan(make_plan(longer), quiet=True)
    rows = summarise(plan_content["runs"], metrics=["ndcg@10"])
    assert sorted(row.arm for row in rows) == ["big", "wide", "wide"]
    assert len({row.comparison for row in rows}) == 2


def test_the_smallest_difference_in_words(runs: Path) -> None:
    def verdicts_of(smallest: float | str) -> dict[str, str]:
        rows = summarise(runs, metrics="ndcg@10", smallest_difference=smallest)
        return {row.arm: row.verdict for row in rows}

    assert verdicts_of(0.02) == {
        "good": "better by > 0.02, 3 of 3 seeds",
        "bad": "worse by > 0.02, 3 of 3 seeds",
        "same": "equal within 0.02",
        "noise": "equal within 0.02",
    }
    assert verdicts_of(0.2)["good"] == "better by < 0.2, 3 of 3 seeds"
    assert verdicts_of(0.05)["good"] == "better, 3 of 3 seeds"
    row = next(
        row for row in summarise(runs, metrics="ndcg@10", smallest_difference="10%") if row.arm == "good"
    )
    assert row.smallest == pytest.approx(row.baseline_mean / 10)
    # Against the better arm, the plain one is worse by more than it, so neither is "not worse".
    back = summarise(runs, metrics="ndcg@10", baseline="good", smallest_difference=0.001)
    assert next(row for row in back if row.arm == "plain").p_no_worse > 0.9


def test_users_and_seeds_are_counted(runs: Path) -> None:
    rows = {row.arm: row for row in summarise(runs, metrics="ndcg@10")}
    same, good = rows["same"], rows["good"]
    assert (same.users_better, same.users_equal, same.seeds_better, same.seeds_equal) == (0, USERS, 0, 3)
    assert (good.users_equal, good.seeds_equal) == (0, 0)
    assert good.users_better is not None
    assert good.users_better > 0.9 * USERS


def test_several_places_are_summed_up(runs: Path) -> None:
    assert not any("data sets x seeds" in line for line in to_markdown(summarise(runs)).splitlines())
    level = np.linspace(0.2, 0.6, USERS)
    arms = {"plain": [level] * 2, "good": [level - 0.1, level + 0.1], "same": [level] * 2}
    write_comparison(runs, arms, dataset="other")
    text = to_markdown(summarise(runs, metrics="ndcg@10"))
    assert (
        "- good against plain, ndcg@10: better on 4, equal on 0, worse on 1 of 5 data sets x seeds.\n" in text
    )
    assert (
        "- same against plain, ndcg@10: better on 0, equal on 5, worse on 0 of 5 data sets x seeds.\n" in text
    )


# ---------------------------------------------------------------- showing


def test_wide_and_narrow_tables(runs: Path) -> None:
    for width, shown in ((89, False), (100, True)):
        console = Console(record=True, width=width, color_system=None, file=io.StringIO())
        console.print(to_table(summarise(runs, pairs=True), width=width))
        text = console.export_text()
        assert (" with " in text.splitlines()[0]) == (" d " in text.splitlines()[0]) == shown
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width
        for word in ("better, 3", "no clear", "noise / same", "10 of"):
            assert word in text


def test_table(runs: Path) -> None:
    console = Console(record=True, width=80, color_system=None, file=io.StringIO())
    console.print(to_table(summarise(runs)))
    text = console.export_text()
    for part in ("ndcg@10", "plain", "95% interval", "better", "worse", "no clear"):
        assert part in text
    assert "Holm for 4 comparisons" in " ".join(text.split())
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert not any(line.endswith("…") for line in text.splitlines())


def test_markdown_says_what_the_rows_say(runs: Path) -> None:
    rows = summarise(runs)
    lines = to_markdown(rows).splitlines()
    assert len({line.count("|") for line in lines[: 2 + len(rows)]}) == 1
    assert f"| BPR | bad | ndcg@10 | 3 | {rows[1].baseline_mean:.4f} | {rows[1].mean:.4f} |" in lines[3]
    assert lines[3].endswith("| worse, 3 of 3 seeds |")


#: What a name or an error text may have in it.
HOSTILE = "a_%&$\\{}|`*\n<script>alert(1)</script>,\"\u672c; 'x' \x1b[31m" + "long " * 60


def test_hostile_texts_stay_within_their_cells(runs: Path) -> None:
    """In Markdown a table keeps its columns and nothing is a tag; CSV gives every text back as it is."""
    rows = summarise(runs)
    rows[:] = [replace(row, backbone=HOSTILE, arm=HOSTILE, notes=(HOSTILE,)) for row in rows]
    text = to_markdown(rows)
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) >= 2 + len(rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {13}
    assert not re.search(r"(?<!\\)<[a-zA-Z/!?]", text)
    assert not any(line.startswith("<") for line in lines)
    assert "\x1b" not in text
    read = list(csv.DictReader(io.StringIO(to_csv(rows), newline="")))
    assert [(line["backbone"], line["arm"], line["notes"]) for line in read] == [(HOSTILE,) * 3] * len(rows)
    assert "<script>" not in to_html(rows)


def test_csv_keeps_full_precision(runs: Path) -> None:
    rows = summarise(runs)
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [float(line["difference"]) for line in read] == [row.difference for row in rows]
    assert [line["verdict"] for line in read] == [row.verdict for row in rows]


def test_picture(runs: Path, tmp_path: Path) -> None:
    rows = summarise(runs, metrics=["ndcg@10", "logloss"])
    path = plot(rows, tmp_path / "pictures" / "differences.svg")
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    points = root.findall(f".//{space}circle")
    assert len(points) == len(rows) == 8
    colours = [point.get("fill") for point in points]
    assert colours[0] == colours[4] != colours[1]  # the gain of both metrics, the loss
    assert float(points[0].get("cx", 0)) > float(points[2].get("cx", 0)) > float(points[1].get("cx", 0))
    assert all(0 < float(point.get("cx", 0)) < float(root.get("width", 0)) for point in points)
    words = " ".join(text.text or "" for text in root.iter(f"{space}text"))
    assert "logloss (smaller is better)" in words


def test_each_data_set_has_a_panel_of_its_own(runs: Path, tmp_path: Path) -> None:
    rows = summarise(runs, metrics=["ndcg@10"])
    both = [*rows, *(replace(row, dataset="elsewhere") for row in rows)]
    root = ElementTree.parse(plot(both, tmp_path / "both.svg")).getroot()
    words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    titles = [text for text in words if "ndcg@10: difference" in text]
    assert [title.partition(",")[0] for title in titles] == [rows[0].dataset, "elsewhere"]


def test_long_names_stay_within_the_picture(runs: Path, tmp_path: Path) -> None:
    """The margin grows with the longest name, to a bound; beyond it both ends are shown, and all of it as a title."""
    space = "{http://www.w3.org/2000/svg}"
    rows = summarise(runs, metrics=["ndcg@10"])
    size = 13

    def shown(**more: str) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
        named = [replace(rows[0], **more), *rows[1:]]  # type: ignore[arg-type]
        root = ElementTree.parse(plot(named, tmp_path / "names.svg")).getroot()
        return root, [one for one in root.iter(f"{space}text") if one.get("text-anchor") == "end"]

    usual, names = shown()
    assert usual.get("width") == "900"
    assert not usual.findall(f".//{space}text/{space}title")
    root, names = shown(backbone="LightGCN", arm="softmax+average+aggregate")
    assert int(root.get("width", 0)) > 900
    assert names[0].text == "LightGCN, softmax+average+aggregate"
    backbone, arm = "B" * 64, "a<b" + "w" * 60 + "z"
    longest, cut = shown(backbone=backbone, arm=arm)
    assert int(longest.get("width", 0)) < 1200
    (title,) = cut[0]
    assert title.text == f"{backbone}, {arm}"
    short = title.tail or ""
    assert short.startswith("BBBB")
    assert short.endswith("wwz")
    assert "…" in short
    for texts in (names, cut):
        for one in texts:
            text = "".join(one.itertext()) if not len(one) else short
            assert float(one.get("x", 0)) - text_width(text, size) >= 0
    # Every mark is where it was: the plot moves as a whole.
    places = [
        [float(one.get("cx", 0)) for one in picture.findall(f".//{space}circle")]
        for picture in (usual, longest)
    ]
    assert np.ptp(np.subtract(*places)) == pytest.approx(0.0, abs=1e-6)
    root, _ = shown(dataset="d" * 64)
    heads = [one for one in root.iter(f"{space}text") if one.get("font-weight") == "600"]
    assert heads[0][0].text == f"{'d' * 64}, ndcg@10: difference to plain, 95% interval"


def test_long_verdicts_stay_within_the_picture(runs: Path, tmp_path: Path) -> None:
    rows = [replace(row, relative=1e7) for row in summarise(runs, metrics=["ndcg@10"])]
    root = ElementTree.parse(plot(rows, tmp_path / "far.svg")).getroot()
    words = [one for one in root.iter("{http://www.w3.org/2000/svg}text") if one.get("fill")]
    assert any("no clear difference" in (text.text or "") for text in words)
    for text in words:
        assert float(text.get("x", 0)) + text_width(text.text or "", 13) <= float(root.get("width", 0))


def test_picture_refusals(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.svg"):
        plot(summarise(runs), tmp_path / "a.png")
    with pytest.raises(DataError, match="no rows"):
        plot([], tmp_path / "a.svg")


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_metric_that_is_no_number_is_no_gain(odd: float, runs: Path) -> None:
    """Of a metric without users, seeds are compared: one whose value is no number is left out, and this is told."""

    def diverge(arm: str, pattern: str) -> None:
        for path in (runs / "tiny" / "BPR" / arm).glob(f"{pattern}/metrics.json"):
            content = json.loads(path.read_text())
            content["test_result"]["logloss"] = odd
            path.write_text(json.dumps(content))

    diverge("good", "0-*")
    diverge("noise", "*")
    found = summarise(runs, metrics="logloss")
    rows = {row.arm: row for row in found}
    assert (rows["good"].n_seeds, rows["bad"].n_seeds) == (2, 3)
    assert math.isfinite(rows["good"].difference)
    assert "good: logloss is no number in 1 of 3 runs, left out here" in rows["good"].notes
    assert "noise" not in rows
    assert any("noise: logloss of noise is no number" in one for one in found.absences)
    (line,) = (one for one in main_table(found).groups[0].lines if one.name == "good")
    assert line.cells[0].n_seeds == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", 7),
        ("data", {"users": 3}),
        ("popularity_deciles", {"wanted": [1], "hits@10": "x"}),
        ("popularity_deciles", {"a": "b"}),
        ("seconds", {"train": "long"}),
        ("seconds", [1]),
        ("valid_scores", ["y"]),
        ("valid_scores", {"1": None}),
        ("n_epochs", "three"),
        ("peak_memory_mb", [1]),
        ("valid_metric", 7),
        ("test_cases", ["a"]),
    ],
)
def test_what_is_of_another_shape_is_named_and_the_page_is_made_without_it(
    name: str, value: Any, runs: Path
) -> None:
    path = next((runs / "tiny" / "BPR" / "good").glob("0-*/metrics.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.warns(UserWarning, match=rf"metrics\.json is damaged \({name}: not what is written there\)"):
        found = summarise(runs)
    assert {row.arm: row.n_seeds for row in found}["good"] == 3
    assert "<h1>" in to_page(found, title="Report")


def test_runs_without_users_are_told(runs: Path) -> None:
    next((runs / "tiny" / "BPR" / "good").glob("1-*/per_user.parquet")).unlink()
    rows = {row.arm: row for row in summarise(runs)}
    assert (rows["good"].unit, rows["bad"].unit) == ("seeds", "users")
    said = "good: 1 of 3 runs have no ndcg@10 by user (per_user.parquet), so seeds are compared and not users"
    assert said in rows["good"].notes
    assert not any("by user" in one for one in rows["bad"].notes)
    assert not any("by user" in one for row in summarise(runs, metrics="logloss") for one in row.notes)
