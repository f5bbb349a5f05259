"""Damaged files in a folder of runs are named, the rest is reported, and the other runs go on."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import make_plan, run_plan, summarise
from burnish.errors import DataError


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:20] + b"\xff\xfe" + content[22:60])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where undamaged runs are kept, once a test has had them trained."""
    return tmp_path_factory.mktemp("whole") / "runs"


@pytest.fixture
def plan(plan_content: dict[str, Any], whole: Path) -> Any:
    """A plan with a copy of its finished runs."""
    if not whole.is_dir():
        run_plan(make_plan({**plan_content, "runs": str(whole)}), quiet=True)
    plan = make_plan(plan_content)
    shutil.copytree(whole, plan.runs)
    return plan


def seeds(rows: list[Any]) -> dict[str, int]:
    return {row.arm: row.n_seeds for row in rows}


@pytest.mark.parametrize("name", ["metrics.json", "per_user.parquet"])
def test_a_damaged_run_is_named_and_left_out(name: str, plan: Any) -> None:
    victim = next(plan.runs.rglob(f"big/2020-*/{name}"))
    damage(victim)
    with pytest.warns(UserWarning, match=rf"{name} is damaged .*Until then the run is left out"):
        rows = summarise(plan.runs)
    assert seeds(rows) == {"big": 1}
    assert "big: 1 of 2 runs damaged and left out" in rows[0].notes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = run_plan(plan, quiet=True)
    statuses = [record.status for record in records]
    if name == "metrics.json":
        assert statuses == ["kept", "failed", "kept", "kept"]
        assert str(victim) in str(records[1].error)
    else:
        assert statuses == ["kept"] * 4


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"test_result": 3}', '{"test_result": {"ndcg@10": "x"}}', "1"]
)
def test_json_of_another_shape_is_damaged_too(content: str, plan: Any) -> None:
    next(plan.runs.rglob("big/2020-*/metrics.json")).write_text(content)
    with pytest.warns(UserWarning, match=r"metrics\.json is damaged"):
        assert seeds(summarise(plan.runs)) == {"big": 1}
    assert [record.status for record in run_plan(plan, quiet=True)] == ["kept", "failed", "kept", "kept"]


def test_files_without_figures_are_named_and_the_run_is_reported(plan: Any) -> None:
    damage(next(plan.runs.rglob("big/2020-*/config.json")))
    with pytest.warns(UserWarning, match=r"config\.json is damaged .*The figures are not from this file"):
        assert seeds(summarise(plan.runs)) == {"big": 2}


def test_a_damaged_note_is_set_aside_and_named_until_it_is_removed(plan: Any) -> None:
    (note,) = plan.runs.rglob("comparison-*.json")
    damage(note)
    half = note.read_bytes()
    with (
        pytest.raises(DataError, match="every list of runs that belong together is damaged"),
        pytest.warns(UserWarning, match=note.name),
    ):
        summarise(plan.runs)
    with pytest.warns(UserWarning, match=rf"{note.name} is damaged .*renamed to {note.name}\.damaged"):
        records = run_plan(plan, quiet=True)
    assert [record.status for record in records] == ["kept"] * 4
    aside = note.with_name(f"{note.name}.damaged")
    assert aside.read_bytes() == half
    assert set(json.loads(note.read_text())["arms"]) == {"plain", "big"}
    with pytest.warns(UserWarning, match=aside.name):
        assert seeds(summarise(plan.runs)) == {"big": 2}


@pytest.mark.parametrize("whose", ["EASE", "softmax", "big"])
def test_a_damaged_trial_is_named_and_the_rest_goes_on(whose: str, plan_content: dict[str, Any]) -> None:
    """Of a floor without a backbone, of one with it, and of an arm: tuning had chosen, and nobody would look again."""
    tune: dict[str, Any] = {"trials": 2, "arms": {"big": {"learning_rate": [0.01, 0.02]}}}
    floors = {
        "EASE": {"tune": {"reg_weight": [10.0, 100.0]}},
        "softmax": {"tune": {"softmax.temperature": [0.2, 0.5]}},
    }
    plan = make_plan({**plan_content, "tune": tune, "floors": floors, "seeds": 1})
    assert {record.status for record in run_plan(plan, quiet=True)} == {"done"}
    victim = next(plan.runs.rglob(f"{whose}/tune/*/metrics.json"))
    damage(victim)
    with pytest.warns(
        UserWarning, match=rf"{victim.parent.name}/metrics\.json is damaged .*not from this file"
    ):
        assert seeds(summarise(plan.runs))["big"] == 1
    records = run_plan(plan, quiet=True)
    (failed,) = (record for record in records if record.status == "failed")
    assert failed.folder == victim.parent
    assert str(victim) in str(failed.error)
    assert {(record.arm, record.seed) for record in records if record.trial is None} == {
        (arm, 2020) for arm in ("EASE", "softmax", "plain", "big")
    }


def test_runs_of_other_data_are_not_compared(plan: Any) -> None:
    """Data that changed between two calls: runs of before are kept, and have other test cases."""
    path = next(plan.runs.rglob("big/2020-*/metrics.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "test_cases": "others"}))
    with pytest.raises(DataError, match="seed 2020: plain and big were tested on other cases"):
        summarise(plan.runs)


def test_where_everything_is_damaged_the_error_says_so(plan: Any) -> None:
    for path in plan.runs.rglob("metrics.json"):
        damage(path)
    with (
        pytest.raises(DataError, match="no run of this folder can be read"),
        pytest.warns(UserWarning, match=r"metrics\.json is damaged"),
    ):
        summarise(plan.runs)
