"""Plans are looked at before anything is trained, and all that is wrong is told at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import make_plan, run_plan
from burnish.benchmarks.harness.first_look import look_at_runs
from burnish.benchmarks.harness.problems import Problems
from burnish.errors import BurnishError, ConfigurationError, DataError, UnknownNameError


def refusal(content: dict[str, Any]) -> str:
    """What running a plan is refused with; nothing may have been written."""
    with pytest.raises(BurnishError) as error:
        run_plan(make_plan(content), quiet=True)
    assert not Path(content["runs"]).exists()
    return str(error.value)


def test_everything_that_is_wrong_in_one_message(plan_content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "scores.tsv").write_text("item_id\tpace\ni1\t3\ni2\t5\n")
    arms = {
        "filed": {"guided": {"scores": str(tmp_path / "score.tsv")}},
        "named": {"guided": {"scores": str(tmp_path / "scores.tsv"), "attributes": ["pase"]}},
        "graph": {"paths": {"graph": {"kg": "films.kg"}}},
        "column": {"options": {"normalize_field": ["nothing"]}},
        "fine": {"uneven": {}},
    }
    backbones = ["BPR", {"name": "DeepFM", "options": {"train_neg_sample_args": None}}]
    told = refusal({**plan_content, "arms": arms, "backbones": backbones})
    assert "things are wrong, and nothing was trained" in told
    lines = told.splitlines()[1:]
    assert all(line.startswith("- ") for line in lines)
    for place, what in {
        "BPR / filed": f"Did you mean {str(tmp_path / 'scores.tsv')!r}?",
        "BPR / named": "Did you mean 'pace'?",
        "BPR / graph": "graph: kg = 'films.kg': there is no such file",
        "BPR / column": "normalize_field: column 'nothing' is not known",
        "DeepFM / plain": "tests rows as they are",
    }.items():
        assert [line for line in lines if place in line and what in line], (place, told)
    assert not any("fine" in line and "BPR / " in line for line in lines)


def test_a_data_set_that_is_not_there_is_told_once(plan_content: dict[str, Any], data_path: Path) -> None:
    told = refusal({**plan_content, "dataset": "tinny", "backbones": ["BPR", "LightGCN", "SASRec"]})
    assert told.count("data set 'tinny' is not known. Did you mean 'tiny'?") == 1
    assert "BPR / plain, BPR / big" in told
    # A single thing keeps the class of its error.
    with pytest.raises(UnknownNameError):
        run_plan(make_plan({**plan_content, "dataset": "tinny"}), quiet=True)


def test_missing_data_hide_no_missing_scores(plan_content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "scores.tsv").write_text("item_id\tpace\ni1\t3\n")
    arms = {
        "missing": {"guided": {"scores": str(tmp_path / "score.tsv")}},
        "of_users": {"guided": {"scores": "ml-100k", "user_scores": "nowhere.tsv"}},
        "there": {"guided": {"scores": str(tmp_path / "scores.tsv"), "fields": ["class"]}},
    }
    told = refusal({**plan_content, "dataset": "tinny", "arms": arms}).splitlines()
    assert told[0].startswith("3 things are wrong")
    assert "data set 'tinny' is not known" in told[1]
    assert "BPR / missing" in told[2]
    assert f"Did you mean {str(tmp_path / 'scores.tsv')!r}?" in told[2]
    assert "BPR / of_users" in told[3]
    assert "nowhere.tsv" in told[3]


def test_names_are_told_together_when_the_plan_is_read(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "backbones": ["BPRR", "BPR"], "arms": {"a": "unevn"}}
    with pytest.raises(ConfigurationError, match="2 things are wrong") as error:
        make_plan(content)
    for what in ("Did you mean 'BPR'", "Did you mean 'uneven'"):
        assert what in str(error.value)


def test_finished_runs_need_no_data(plan_content: dict[str, Any], data_path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "data"
    shutil.copytree(data_path, moved)
    content = {**plan_content, "options": {**plan_content["options"], "data_path": str(moved)}}
    done = run_plan(make_plan(content), quiet=True)
    assert {record.status for record in done} == {"done"}
    shutil.rmtree(moved)
    assert {record.status for record in run_plan(make_plan(content), quiet=True)} == {"kept"}
    with pytest.raises(UnknownNameError, match=r"data set 'tiny' is not known"):
        run_plan(make_plan({**content, "seeds": 3}), quiet=True)


def test_a_plan_by_its_path_or_content(plan_content: dict[str, Any], tmp_path: Path) -> None:
    assert {one.status for one in run_plan({**plan_content, "seeds": 1}, quiet=True)} == {"done"}
    (tmp_path / "mine.yaml").write_text("dataset: tiny\nbackbones: [BPR]\n")
    with pytest.raises(ConfigurationError, match=r"Did you mean .*mine\.yaml"):
        run_plan(tmp_path / "mien.yaml", quiet=True)


def test_places_of_one_problem_are_put_together() -> None:
    problems = Problems()
    for place in ("a", "b", "a", "c", "d", "e"):
        with problems.noted(place):
            raise DataError("it is gone")
    with pytest.raises(DataError, match=r"^a, b, c, d and 1 more: it is gone$"):
        problems.raise_if_any()
    Problems().raise_if_any()


def test_dates_that_are_none_of_the_data_are_told_before_anything_is_trained(
    plan_content: dict[str, Any],
) -> None:
    """Each run would fail of them; times of the data are 0 to 11."""
    arms = {"big": {"options": {"embedding_size": 16}}, "softmax": "softmax"}
    options = plan_content["options"]
    late = {"time": {"valid_from": 2030, "test_from": 2031}}
    with pytest.raises(
        BurnishError, match=r"split: time: nothing is left for validation in 'tiny'.*Give other dates"
    ):
        look_at_runs(make_plan({**plan_content, "arms": arms, "options": {**options, "split": late}}))
    fits = {"time": {"valid_from": 8, "test_from": 10}}
    look_at_runs(make_plan({**plan_content, "arms": arms, "options": {**options, "split": fits}}))
