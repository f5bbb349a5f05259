"""Running plans: order, events, failures, tuning on validation only."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from burnish import telling
from burnish.benchmarks.harness import Event, RunRecord, exit_status, make_plan, run_plan
from burnish.benchmarks.harness.metrics import LOWER_IS_BETTER, sign
from burnish.benchmarks.harness.progress import Display
from burnish.benchmarks.harness.spaces import candidates
from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.harness.tuning import TuningError, space_of, tune_arm
from burnish.errors import BurnishError, UnknownNameError
from burnish.training.result import Epoch


def test_pairs_are_completed_first(plan_content: dict[str, Any]) -> None:
    events: list[Event] = []
    records = run_plan(make_plan(plan_content), quiet=True, on_event=events.append)
    assert [(record.seed, record.arm) for record in records] == [
        (2020, "plain"),
        (2020, "big"),
        (2021, "plain"),
        (2021, "big"),
    ]
    assert exit_status(records) == 0
    kinds = [event.kind for event in events]
    assert kinds == ["start", "epoch", "epoch", "done"] * 4
    assert events[0].key == "BPR / plain / seed 2020"
    assert "test ndcg@5" in events[3].message


def test_long_stages_and_runs_that_are_trained_first_are_told(
    plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "FIRST", 1e-9)
    arms = {"taught": {"compress": {"teachers": {"softmax": None}}}}
    events: list[Event] = []
    run_plan({**plan_content, "arms": arms, "seeds": [3]}, quiet=True, on_event=events.append)
    key = "BPR / taught / seed 3"
    told = {kind: [one.message for one in events if one.kind == kind] for kind in ("epoch", "stage")}
    teacher = f"{key}: the teacher 'softmax', epoch 1 of 1"
    assert any(line.startswith(teacher) for line in told["epoch"])
    assert any(line.startswith(f"{teacher}: batch 1") for line in told["stage"])
    assert any(line.startswith(f"{key}: testing: batch 1") for line in told["stage"])
    assert any(line.startswith("BPR / plain / seed 3: epoch 1 of 1: batch 1") for line in told["stage"])


def test_an_arm_for_some_of_the_backbones(plan_content: dict[str, Any]) -> None:
    backbones = ["BPR", {"name": "BPR", "label": "wide", "options": {"embedding_size": 12}}]
    arms = {
        "both": {"options": {"epochs": 1}},
        "one": {"enhancers": {"softmax": {}}, "backbones": ["wide"]},
    }
    tune = {"trials": 2, "seed": 7, "space": {"softmax.temperature": [0.1, 0.2]}}
    plan = make_plan(
        {
            **plan_content,
            "backbones": backbones,
            "arms": arms,
            "seeds": [3],
            "tune": tune,
            "floors": ["softmax"],
        }
    )
    events: list[Event] = []
    records = run_plan(plan, quiet=True, on_event=events.append)
    runs = [(record.backbone, record.arm) for record in records if record.trial is None]
    assert runs == [
        # The arm stands as the floor where it is; elsewhere the floor is run.
        ("BPR", "softmax"),
        ("BPR", "plain"),
        ("BPR", "both"),
        ("wide", "plain"),
        ("wide", "both"),
        ("wide", "one"),
    ]
    assert plan.n_runs == 5
    trials = [(record.backbone, record.arm) for record in records if record.trial is not None]
    assert set(trials) == {("BPR", "softmax"), ("wide", "one")}
    notes = {
        path.parent.name: json.loads(path.read_text()) for path in plan.runs.glob("*/*/comparison-*.json")
    }
    assert {label: sorted(note["arms"]) for label, note in notes.items()} == {
        "BPR": ["both", "plain"],
        "wide": ["both", "one", "plain"],
    }


def test_options_of_the_whole_plan_are_told_once(plan_content: dict[str, Any]) -> None:
    """n_layers is LightGCN's; own_note nobody's; the second is told once for four runs."""
    plan_content["backbones"] = ["BPR", "LightGCN"]
    plan_content["options"] |= {"n_layers": 1, "own_note": 1}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_plan(make_plan(plan_content), quiet=True)
    told = [str(one.message) for one in caught if "is read by neither" in str(one.message)]
    (one,) = told
    assert one.startswith(
        "option 'own_note' is read by neither RecBole nor BPR, LightGCN, so it has no effect."
    )


def test_arms_of_one_seed_see_the_same_users_and_split(plan_content: dict[str, Any]) -> None:
    """Equal arms under two labels give equal values for every user; other seeds split differently."""
    import pandas as pd

    plan = make_plan({**plan_content, "arms": {"again": {}}})
    records = run_plan(plan, quiet=True)
    users = {(r.arm, r.seed): pd.read_parquet(r.folder / "per_user.parquet") for r in records}
    for seed in (2020, 2021):
        pd.testing.assert_frame_equal(users["plain", seed], users["again", seed])
    assert not users["plain", 2020].equals(users["plain", 2021])


def test_an_enhancer_as_an_arm(plan_content: dict[str, Any]) -> None:
    plan = make_plan({**plan_content, "arms": {"uneven": {"uneven": {"spread": 0.9}}}, "seeds": 1})
    plain, uneven = run_plan(plan, quiet=True)
    losses = [json.loads((r.folder / "metrics.json").read_text())["losses"] for r in (plain, uneven)]
    assert losses[0] != losses[1]
    assert json.loads((uneven.folder / "metrics.json").read_text())["enhancers"] == {
        "uneven": {"spread": 0.9}
    }


def test_a_failed_run_does_not_stop_the_others(plan_content: dict[str, Any]) -> None:
    # What filters leave is known once the data are read.
    arms = {"broken": {"options": {"val_interval": {"timestamp": "[1e9,inf)"}}}, "big": {}}
    plan = make_plan({**plan_content, "arms": arms})
    records = run_plan(plan, quiet=True)
    assert [record.status for record in records] == ["done", "failed", "done"] * 2
    assert exit_status(records) == 1
    failed = records[1]
    assert failed.error is not None
    assert "no interaction is left after filtering" in failed.error
    assert failed.test == {}


def test_wrong_names_stop_before_anything_is_run(plan_content: dict[str, Any]) -> None:
    plan = make_plan(plan_content).model_copy(update={"backbones": []})
    entry = make_plan(plan_content).backbones[0].model_copy(update={"name": "BPRR"})
    with pytest.raises(UnknownNameError, match="BPRR"):
        run_plan(plan.model_copy(update={"backbones": [entry]}), quiet=True)
    assert not plan.runs.exists()


# ---------------------------------------------------------------- tuning


def test_full_grid_when_small_and_a_seeded_draw_otherwise() -> None:
    space = {"a": [1, 2], "b": ["x", "y", "z"]}
    grid = candidates(space, 6, seed=0)
    assert sorted(grid, key=str) == sorted([{"a": a, "b": b} for a in (1, 2) for b in "xyz"], key=str)
    drawn = candidates(space, 4, seed=3)
    assert len({str(point) for point in drawn}) == 4
    assert drawn == candidates(space, 4, seed=3)
    assert any(candidates(space, 4, seed=other) != drawn for other in range(4, 9))
    assert candidates({}, 5, seed=0) == [{}]


def test_huge_spaces_are_not_listed() -> None:
    space = {f"option{n}": list(range(1000)) for n in range(5)}
    assert len(candidates(space, 3, seed=0)) == 3


def tuned_plan(content: dict[str, Any], **tune: Any) -> Any:
    space = {"learning_rate": [0.001, 0.05], "uneven.spread": [0.1, 0.9]}
    arms = {"uneven": {"uneven": {}}}
    return make_plan({**content, "arms": arms, "seeds": 1, "tune": {"trials": 3, "space": space, **tune}})


def test_each_arm_gets_its_space_and_no_more_trials(plan_content: dict[str, Any]) -> None:
    plan = tuned_plan(plan_content, arms={"uneven": {"weight_decay": [0.0]}})
    assert space_of(plan, "plain") == {"learning_rate": [0.001, 0.05]}
    assert set(space_of(plan, "uneven")) == {"learning_rate", "uneven.spread", "weight_decay"}
    records = run_plan(plan, quiet=True)
    trials = [record for record in records if record.trial is not None]
    assert [record.arm for record in trials] == ["plain"] * 2 + ["uneven"] * 3
    assert {record.seed for record in trials} == {2020}


def fake_trials(values: list[float | None]) -> tuple[list[RunSpec], Any]:
    """A stand-in for training that gives the n-th trial the n-th validation value, None for a failure."""
    asked: list[RunSpec] = []

    def carry_out(spec: RunSpec) -> RunRecord:
        asked.append(spec)
        value = values[len(asked) - 1]
        status: Any = "failed" if value is None else "done"
        valid = {} if value is None else {"ndcg@10": value, "giniindex@10": value}
        error = "RuntimeError: no" if value is None else None
        return RunRecord(
            spec.dataset, spec.label, spec.arm, spec.seed, spec.trial, Path("x"), status, error,
            valid=valid, valid_metric="ndcg@10",
        )  # fmt: skip

    return asked, carry_out


@pytest.mark.parametrize(
    ("values", "metric", "best"),
    [
        ([0.1, 0.3, 0.2], None, 1),
        ([0.1, 0.3, 0.2], "giniindex@10", 0),
        ([0.3, 0.3, 0.1], "NDCG@10", 0),
        ([None, 0.1, 0.2], None, 2),
        ([float("nan"), 0.1, 0.05], None, 1),
    ],
)
def test_the_best_on_validation_is_chosen(
    values: list[float | None], metric: str | None, best: int, plan_content: dict[str, Any]
) -> None:
    plan_content["options"]["metrics"].append("GiniIndex")
    plan = tuned_plan(plan_content, metric=metric, seed=9, options={"epochs": 7})
    spec = RunSpec("tiny", "BPR", "BPR", "uneven", 1, {"uneven": {}}, {})
    asked, carry_out = fake_trials(values)
    chosen, _ = tune_arm(spec, plan, carry_out)
    tried = candidates(space_of(plan, "uneven"), 3, 9)
    assert chosen == tried[best]
    assert [spec.options["learning_rate"] for spec in asked] == [point["learning_rate"] for point in tried]
    assert [spec.enhancers["uneven"]["spread"] for spec in asked] == [
        point["uneven.spread"] for point in tried
    ]
    assert {(spec.seed, spec.options["epochs"]) for spec in asked} == {(9, 7)}
    (note,) = spec.arm_folder(plan.runs).glob("chosen-*.json")
    content = json.loads(note.read_text())
    assert (content["chosen"], content["set"], content["trials_made"]) == (chosen, "validation", 3)


def test_tuning_never_looks_at_the_test_set(plan_content: dict[str, Any]) -> None:
    records = run_plan(tuned_plan(plan_content), quiet=True)
    trials = [record for record in records if record.trial is not None]
    assert trials
    for record in trials:
        assert (record.test, bool(record.valid)) == ({}, True)
        assert not (record.folder / "per_user.parquet").exists()
    finals = [record for record in records if record.trial is None]
    for record in finals:
        (note,) = record.folder.parent.glob("chosen-*.json")
        chosen = json.loads(note.read_text())["chosen"]
        options = json.loads((record.folder / "config.json").read_text())["options"]
        assert options["learning_rate"] == chosen["learning_rate"]


def test_finished_trials_are_kept(plan_content: dict[str, Any]) -> None:
    run_plan(tuned_plan(plan_content), quiet=True)
    again = run_plan(tuned_plan(plan_content), quiet=True)
    assert {record.status for record in again} == {"kept"}


def test_an_arm_whose_trials_all_fail(plan_content: dict[str, Any]) -> None:
    plan = tuned_plan(plan_content)
    spec = RunSpec("tiny", "BPR", "BPR", "plain", 1, {}, {})
    with pytest.raises(TuningError, match="all 2 tuning trials failed; the first: RuntimeError: no"):
        tune_arm(spec, plan, fake_trials([None, None])[1])
    nothing_left = {"val_interval": {"timestamp": "[1e9,inf)"}}
    broken = {**plan_content, "options": {**plan_content["options"], **nothing_left}}
    records = run_plan(tuned_plan(broken), quiet=True)
    assert {record.status for record in records} == {"failed"}
    assert [record.arm for record in records if record.trial is None] == ["plain", "uneven"]


def test_unknown_tuning_metric(plan_content: dict[str, Any]) -> None:
    with pytest.raises(BurnishError, match=r"'ndgc' is not known\. Did you mean 'NDCG'"):
        tuned_plan(plan_content, metric="ndgc@10")
    spec = RunSpec("tiny", "BPR", "BPR", "plain", 1, {}, {})
    asked, carry_out = fake_trials([0.1, 0.2])
    plan = tuned_plan(plan_content)
    assert plan.tune is not None
    tune = plan.tune.model_copy(update={"metric": "recall@10"})  # as where a model computes fewer
    plan = plan.model_copy(update={"tune": tune})
    with pytest.raises(UnknownNameError, match=r"tune.metric 'recall@10' is not known"):
        tune_arm(spec, plan, carry_out)
    assert asked


def test_directions_are_those_of_recbole() -> None:
    from recbole.evaluator import smaller_metrics

    assert set(smaller_metrics) == LOWER_IS_BETTER
    assert (sign("NDCG@10"), sign("LogLoss"), sign("giniindex@5")) == (1, -1, -1)


# ---------------------------------------------------------------- display


def test_display_shows_every_end_and_counts_runs() -> None:
    console = Console(record=True, width=100, force_terminal=True)
    display = Display(3, console)
    with display:
        display.show(Event("start", "a", "a"))
        display.show(Event("epoch", "a", "a: epoch 1", Epoch(1, 2, 0.5, 0.1234)))
        display.show(Event("epoch", "a", "a: the base, epoch 1", Epoch(1, 2, 0.5, run="the base")))
        display.show(Event("stage", "a", "a: the base, testing: batch 3 (10 s so far)"))
        current = display._progress.tasks[1]
        assert current.description == "a: the base"
        assert current.fields["note"] == "the base, testing: batch 3 (10 s so far)"
        display.show(Event("tuned", "a", "a: learning_rate = 1"))
        display.show(Event("done", "a", "a: test [0.1]"))
        display.show(Event("failed", "b", "b: ValueError: [oops]"))
        done = display._progress.tasks[0].completed
    text = console.export_text()
    assert done == 2
    for line in ("tuned   a: learning_rate = 1", "done    a: test [0.1]", "failed  b: ValueError: [oops]"):
        assert line in text
