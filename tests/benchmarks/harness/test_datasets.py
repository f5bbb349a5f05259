"""Plans of several data sets: what each is trained with, where it lies, and one table of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burnish.benchmarks.harness import (
    Event,
    load_plan,
    make_plan,
    run_plan,
    summarise,
    to_csv,
    to_markdown,
    to_table,
    to_table_across,
)
from burnish.benchmarks.harness.across import lines_across
from burnish.benchmarks.harness.grid import look_ahead, n_floor_runs
from burnish.benchmarks.harness.leaks import check_leaks
from burnish.benchmarks.harness.rows import Row
from burnish.benchmarks.harness.specs import spec_of
from burnish.cli.main import app
from burnish.errors import BurnishError, ConfigurationError, UnknownNameError

TIMED = {"name": "tiny", "label": "tiny-time", "split": "time"}


@pytest.fixture
def several(plan_content: dict[str, Any]) -> dict[str, Any]:
    """The plan on "tiny", split at random, and on the same split in time with settings of its own."""
    own = {"seeds": [7], "options": {"embedding_size": 4}, "arms": ["big"]}
    content = {name: value for name, value in plan_content.items() if name != "dataset"}
    arms = {**content["arms"], "long": {"options": {"epochs": 2}}}
    return {
        **content,
        "arms": arms,
        "floors": ["Pop"],
        "seeds": [1, 2],
        "datasets": ["tiny", {**TIMED, **own}],
    }


def test_what_is_said_of_a_data_set_wins(plan_content: dict[str, Any]) -> None:
    del plan_content["dataset"]
    content = {
        **plan_content,
        "backbones": ["BPR", {"name": "BPR", "label": "wide", "options": {"embedding_size": 12}}],
        "floors": {"Pop": None, "softmax": {"tune": {"learning_rate": [0.1]}}},
        "arms": {
            "soft": {"enhancers": {"softmax": {}, "average": {}}},
            "rv": {"enhancers": {"rvrec": {}}, "backbones": ["wide"]},
        },
        "tune": {
            "trials": 4,
            "space": {"learning_rate": [0.01, 0.02], "rvrec.weight": [0.1, 0.2]},
            "arms": {"soft": {"softmax.temperature": [0.1, 0.2]}, "rv": {"rvrec.hidden": [4, 8]}},
        },
        "datasets": {
            "tiny": None,
            "other": {
                "name": "tiny",
                "options": {"epochs": 5},
                "backbones": ["BPR"],
                "floors": {"softmax": {"trials": 2}},
                "tune": {
                    "trials": 2,
                    "space": {"learning_rate": None},
                    "arms": {"soft": {"learning_rate": [0.5]}},
                },
            },
            "untuned": {"name": "tiny", "tune": False, "split": "leave-one-out", "seeds": 3},
        },
    }
    plan = make_plan(content)
    first, other, untuned = plan.parts()
    assert [part.home for part in (first, other, untuned)] == ["tiny", "other", "untuned"]
    assert {part.dataset for part in plan.parts()} == {"tiny"}
    assert first.tune == plan.tune
    assert first.options == plan.options
    assert other.options == {**plan.options, "epochs": 5}
    assert [one.label for one in other.backbones] == ["BPR"]
    assert list(other.arms) == ["plain", "soft"]  # rv is for a backbone that is not there
    assert other.floors["softmax"].trials == 2
    assert other.floors["softmax"].tune is None
    assert other.floors["Pop"] == plan.floors["Pop"]
    assert other.tune is not None
    assert other.tune.trials == 2
    assert other.tune.space == {}
    assert other.tune.arms == {"soft": {"softmax.temperature": [0.1, 0.2], "learning_rate": [0.5]}}
    assert untuned.tune is None
    assert untuned.options["split"] == {"leave-one-out": {}}
    assert untuned.seeds == [2020, 2021, 2022]
    assert [part.n_runs for part in plan.parts()] == [2 * (2 + 3), 2 * 2, 3 * 5]
    assert plan.n_runs == 29
    # As workers are told it.
    assert make_plan(plan.model_dump(mode="json")) == plan


def test_a_plan_of_one_data_set_is_as_it_was(plan_content: dict[str, Any]) -> None:
    """Digests and folders of before, also where it is the only one of `datasets`."""
    one = make_plan(plan_content)
    assert one.parts() == [one]
    spec = spec_of(one, one.backbones[0], "plain", 2020)
    assert spec.arm_folder(Path("runs")) == Path("runs/tiny/BPR/plain")
    assert spec.key == "BPR / plain / seed 2020"
    content = {name: value for name, value in plan_content.items() if name != "dataset"}
    (same,) = make_plan({**content, "datasets": "tiny"}).parts()
    again = spec_of(same, same.backbones[0], "plain", 2020)
    assert again.folder(Path("runs")) == spec.folder(Path("runs"))
    assert again.digest == spec.digest
    assert again.key == "tiny / BPR / plain / seed 2020"
    default = make_plan({**plan_content, "floors": "default"})
    assert make_plan(default.model_dump(mode="json")) == default


def test_runs_floors_and_tables(several: dict[str, Any], tmp_path: Path) -> None:
    plan = make_plan({**several, "smallest_difference": "40%"})
    runs = plan.runs
    before = look_ahead(plan)
    assert [(line.dataset, line.arm, line.runs) for line in before] == [
        ("tiny", "Pop", 2),
        ("tiny", "plain", 2),
        ("tiny", "big", 2),
        ("tiny", "long", 2),
        ("tiny-time", "Pop", 1),
        ("tiny-time", "plain", 1),
        ("tiny-time", "big", 1),
    ]
    assert (plan.n_runs, n_floor_runs(plan)) == (8, 3)
    events: list[Event] = []
    records = run_plan(plan, quiet=True, on_event=events.append)
    assert all(record.status == "done" for record in records)
    assert len({event.key for event in events if event.kind == "done"}) == len(records) == 11
    assert sorted(path.name for path in runs.iterdir() if path.is_dir()) == ["tiny", "tiny-time"]
    config = json.loads(next(runs.glob("tiny-time/BPR/big/*/config.json")).read_text())
    assert config["dataset"] == "tiny"
    assert config["recbole"]["eval_args"]["order"] == "TO"
    assert config["recbole"]["embedding_size"] == 16  # the arm's, over the data set's
    plain = json.loads(next(runs.glob("tiny-time/BPR/plain/*/config.json")).read_text())
    assert plain["recbole"]["embedding_size"] == 4
    after = look_ahead(plan)
    assert all(line.runs_done == line.runs for line in after)

    rows = summarise(runs)
    assert {row.dataset for row in rows} == {"tiny", "tiny-time"}
    columns, lines = lines_across(rows, "ndcg@10")
    assert columns == ["tiny", "tiny-time"]
    assert [(line.kind, line.name) for line in lines] == [
        ("floor", "Pop"),
        ("baseline", "plain"),
        ("arm", "big"),
        ("arm", "long"),
    ]
    assert "tiny-time" not in lines[3].cells  # that arm is not for this data set
    means = {
        (row.dataset, row.arm): row.mean for row in rows if row.metric == "ndcg@10" and row.kind != "over"
    }
    assert lines[2].cells["tiny-time"].mean == means["tiny-time", "big"]
    best = max((lines[place].cells["tiny"].mean, place) for place in range(4))[1]
    assert [place for place in range(4) if lines[place].cells["tiny"].best] == [best]
    table = to_table_across(rows)
    assert table is not None
    assert [column.header for column in table.columns] == ["backbone", "arm", "tiny", "tiny-time"]
    text = to_markdown(rows)
    assert text.startswith("**ndcg@10**\n\n| arm | tiny | tiny-time |\n")
    assert "| long | " in text
    assert "- |\n" in text
    assert "tiny-time" in rows._repr_html_().partition("verdict")[0]
    # What the plan says of the smallest difference, and what leaks.
    assert "The smallest difference that matters is the plan's: 40% of the baseline's mean." in rows.remarks
    assert any("Split of tiny: at random, although the data have times" in said for said in rows.remarks)
    assert not any("tiny-time" in said for said in rows.remarks if said.startswith("Split"))
    assert all(row.smallest == pytest.approx(0.4 * row.baseline_mean) for row in rows if row.kind != "over")
    other = summarise(runs, smallest_difference=0.001)
    assert {row.smallest for row in other} == {0.001}
    assert (
        "The plan's smallest difference, 40% of the baseline's mean, is not used: 0.001 was asked for."
        in other.remarks
    )
    assert "smallest" in to_csv(rows).partition("\n")[0]
    assert to_table(rows).row_count > table.row_count
    shown = CliRunner().invoke(app, ["report", str(runs), "--metric", "ndcg@10"])
    assert shown.exit_code == 0
    assert shown.output.index("long") < shown.output.index("verdict")


def test_one_data_set_has_no_table_across(plan_content: dict[str, Any]) -> None:
    run_plan(make_plan({**plan_content, "seeds": [1]}), quiet=True)
    rows = summarise(plan_content["runs"])
    assert to_table_across(rows) is None
    assert lines_across(rows, "ndcg@10") == ([], [])
    assert to_markdown(rows).startswith("| backbone ")


def test_two_workers_come_to_the_same(several: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for name, workers in (("one", 1), ("two", 2)):
        runs = tmp_path / name
        content = {**several, "arms": {}, "datasets": ["tiny", TIMED], "seeds": [1], "runs": str(runs)}
        run_plan(make_plan(content), quiet=True, workers=workers)
        tests = {
            path.relative_to(runs).as_posix(): json.loads(path.read_text())["test_result"]
            for path in runs.rglob("metrics.json")
        }
        notes = {path.relative_to(runs).as_posix() for path in runs.rglob("comparison-*.json")}
        found.append((tests, notes))
    assert found[0] == found[1]
    assert len(found[0][0]) == 4


def row(dataset: str, arm: str, mean: float, **more: Any) -> Row:
    fixed: dict[str, Any] = {
        **{
            "backbone": "BPR",
            "baseline": "plain",
            "metric": "mae",
            "n_seeds": 2,
            "n_users": 9,
            "baseline_mean": 0.5,
        },
        **{
            "difference": mean - 0.5,
            "low": -1.0,
            "high": 1.0,
            "relative": 0.0,
            "p_t": 0.01,
            "p_wilcoxon": 0.01,
        },
        **{
            "p_holm": 0.01,
            "effect_size": 1.0,
            "seed_sd": 0.1,
            "seeds_better": 2,
            "unit": "users",
            "verdict": "",
        },
        **{"comparison": "0a"},
    }
    return Row(dataset=dataset, arm=arm, mean=mean, **{**fixed, **more})


def test_marks_turn_round_where_smaller_is_better() -> None:
    rows = [row("a", "good", 0.4), row("a", "bad", 0.6, p_holm=0.2), row("b", "good", 0.7)]
    _, lines = lines_across(rows, "mae")
    texts = {
        line.name: {column: (cell.text, cell.best) for column, cell in line.cells.items()} for line in lines
    }
    assert texts == {
        "plain": {"a": ("0.5000", False), "b": ("0.5000", True)},
        "good": {"a": ("0.4000+", True), "b": ("0.7000-", False)},
        "bad": {"a": ("0.6000", False)},
    }


def test_two_comparisons_of_one_data_set_have_a_column_each() -> None:
    rows = [row("a", "x", 0.4), row("a", "x", 0.3, comparison="0b"), row("b", "x", 0.2, baseline_mean=0.1)]
    columns, lines = lines_across(rows, "mae")
    assert columns == ["a #0a", "a #0b", "b"]
    assert [cell.mean for cell in lines[1].cells.values()] == [0.4, 0.3, 0.2]


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (
            {"datasets": ["tiny", "tiny"]},
            ConfigurationError,
            "two data sets have the label 'tiny'.*label: tiny-2",
        ),
        (
            {"datasets": ["tiny"], "dataset": "tiny"},
            ConfigurationError,
            "give either `dataset` or `datasets`",
        ),
        ({"datasets": []}, ConfigurationError, "'dataset' is missing"),
        (
            {"dataset": ["tiny"], "datasets": None},
            ConfigurationError,
            "several, or one with settings of its own",
        ),
        (
            {"datasets": [{**TIMED, "split": "tme"}]},
            UnknownNameError,
            "split 'tme' is not known. Did you mean 'time'",
        ),
        (
            {"datasets": [{**TIMED, "optons": {}}]},
            UnknownNameError,
            "datasets.0 'optons' .* Did you mean 'options'",
        ),
        (
            {"datasets": [{**TIMED, "arms": ["bg"]}]},
            ConfigurationError,
            "data set 'tiny-time': arm 'bg'.*'big'",
        ),
        (
            {"datasets": [{**TIMED, "backbones": ["BRP"]}]},
            BurnishError,
            "data set 'tiny-time': backbone 'BRP'.*'BPR'",
        ),
        (
            {"datasets": [{**TIMED, "arms": ["plain"]}]},
            ConfigurationError,
            "arms: no data set has 'big', 'long'",
        ),
        ({"datasets": [{**TIMED, "label": "a b"}]}, ConfigurationError, "a label becomes a folder"),
        ({"datasets": [{**TIMED, "tune": True}]}, ConfigurationError, "give what is tuned otherwise"),
        (
            {"datasets": [{**TIMED, "tune": {"space": {"learning_rate": [1]}}}]},
            ConfigurationError,
            "'trials' is missing",
        ),
        (
            {"datasets": [{**TIMED, "tune": {"trials": 2, "arms": {"bg": {"learning_rate": [0.1]}}}}]},
            UnknownNameError,
            "data set 'tiny-time': tune.arms: arm 'bg'.*'big'",
        ),
        (
            {"datasets": [{**TIMED, "tune": {"trials": 2, "space": {"learning_rat": None}}}]},
            UnknownNameError,
            "data set 'tiny-time': tune.space: option 'learning_rat' .*null leaves out what the plan tries",
        ),
        (
            {"datasets": ["tiny", {**TIMED, "options": {"epochs": 0.5}}]},
            ConfigurationError,
            "data set 'tiny-time': options: epochs = 0.5",
        ),
        (
            {"datasets": [TIMED], "options": {"eval_args": {"order": "RO"}}},
            ConfigurationError,
            "data set 'tiny-time': split = 'time' and eval_args.order = 'RO' say different things",
        ),
        (
            {"smallest_difference": "much"},
            ConfigurationError,
            "smallest_difference = 'much': give a number above 0",
        ),
        ({"smallest_difference": 0}, ConfigurationError, "smallest_difference = 0"),
        ({"split": {"time": {"tst": 1}}}, UnknownNameError, "Did you mean 'test'"),
        ({"split": "time", "options": {"split": "random"}}, ConfigurationError, "say different things"),
    ],
)
def test_what_is_refused(
    change: dict[str, Any], kind: type[Exception], says: str, several: dict[str, Any]
) -> None:
    content = {**several, **change}
    if content["datasets"] is None:
        del content["datasets"]
    with pytest.raises(kind, match=says):
        make_plan(content)


def test_faults_of_all_data_sets_in_one_message(several: dict[str, Any]) -> None:
    several["datasets"] = [{**TIMED, "seeds": 0}, {"name": "tiny", "split": "tme"}]
    several["options"]["learning_rate"] = -1
    with pytest.raises(ConfigurationError) as caught:
        make_plan(several)
    said = str(caught.value)
    assert "3 things are wrong" in said
    assert said.count("learning_rate = -1") == 1  # common to both
    assert "datasets.0.seeds" in said


def test_the_example() -> None:
    """`examples/two_splits.yaml`, which docs/benchmark.md shows."""
    plan = load_plan(Path(__file__).parents[3] / "examples" / "two_splits.yaml")
    at_random, in_time = plan.parts()
    assert [part.home for part in (at_random, in_time)] == ["ml-100k", "ml-100k-time"]
    assert at_random.options["split"] == {"random": {"valid": 0.1, "test": 0.1}}
    assert in_time.options["split"] == {"time": {"valid": 0.1, "test": 0.1}}
    assert at_random.tune is not None
    assert in_time.tune is not None
    assert at_random.tune.space == {"weight_decay": [0.0, 1e-5]}
    assert in_time.tune.space == {"weight_decay": [1e-5, 1e-4]}
    assert plan.options["stopping_from"] == 20
    assert (plan.n_runs, n_floor_runs(plan)) == (2 * 2 * 3, 2 * 3 * 3)


@pytest.mark.filterwarnings("ignore")
def test_leaks_are_looked_for_on_each(several: dict[str, Any]) -> None:
    found = check_leaks(make_plan({**several, "arms": {}, "floors": [], "datasets": ["tiny", TIMED]}))
    assert [(one.backbone, one.arm) for one in found] == [
        ("tiny / BPR", "plain"),
        ("tiny-time / BPR", "plain"),
    ]
    assert {one.verdict for one in found} == {"sees nothing"}


def test_a_split_of_the_whole_plan(plan_content: dict[str, Any]) -> None:
    plan = make_plan({**plan_content, "split": {"time": {"test": 0.2}}})
    assert plan.options["split"] == {"time": {"valid": 0.1, "test": 0.2}}
    written_out = {**plan_content, "options": {**plan_content["options"], "split": {"time": {"test": 0.2}}}}
    run_plan({**plan_content, "split": {"time": {"test": 0.2}}, "seeds": [1], "arms": {}}, quiet=True)
    assert written_out["options"]["split"]
    (path,) = Path(plan_content["runs"]).glob("tiny/BPR/comparison-*.json")
    assert json.loads(path.read_text())["split"] == {"kind": "time", "future": False}


@pytest.mark.parametrize(
    ("args", "leaks"),
    [
        ({"split": {"LS": "valid_and_test"}, "order": "TO"}, "one left out of each user"),
        ({"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO"}, "the last of each user's history"),
        ({"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "none"}, None),
        ({"split": {"LS": "valid_and_test"}, "order": "RO"}, "at random"),
    ],
)
def test_which_splits_let_the_future_leak(
    args: dict[str, Any], leaks: str | None, plan_content: dict[str, Any]
) -> None:
    options = {**plan_content["options"], "eval_args": args}
    run_plan(make_plan({**plan_content, "seeds": [1], "options": options}), quiet=True)
    said = [one for one in summarise(plan_content["runs"]).remarks if one.startswith("Split")]
    assert [leaks in one for one in said] == [True] if leaks else said == []


def test_without_times_nothing_is_said(plan_content: dict[str, Any], tmp_path: Path) -> None:
    source = Path(plan_content["options"]["data_path"]) / "tiny" / "tiny.inter"
    target = tmp_path / "data" / "tiny" / "tiny.inter"
    target.parent.mkdir(parents=True)
    lines = [line.rpartition("\t")[0] for line in source.read_text().splitlines()]
    target.write_text("\n".join(lines) + "\n")
    options = {**plan_content["options"], "data_path": str(tmp_path / "data"), "load_col": None}
    run_plan(make_plan({**plan_content, "seeds": [1], "options": options}), quiet=True)
    assert not [one for one in summarise(plan_content["runs"]).remarks if one.startswith("Split")]
