"""A study from its plan to its report, on a tiny world."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rating_models import announce

from burnish.benchmarks.harness.specs import DONE, RunSpec
from burnish.benchmarks.reviews.__main__ import main
from burnish.benchmarks.reviews.figures import summarise
from burnish.benchmarks.reviews.markdown import to_markdown
from burnish.benchmarks.reviews.study import run_study
from burnish.benchmarks.reviews.study_plan import load_plan, make_plan
from burnish.errors import ConfigurationError, UnknownNameError


@pytest.fixture(autouse=True)
def _announced(monkeypatch):
    announce(monkeypatch)


@pytest.fixture
def content(rated, tmp_path):
    """A plan as YAML would hold it."""
    return {
        "dataset": "rated",
        "models": ["TinyRatings", "BPR"],
        "seeds": 2,
        "options": rated,
        "protocols": {"negatives": 5, "ks": [1, 10], "full_ks": [3, 10]},
        "runs": str(tmp_path / "runs"),
        "threads": 1,
    }


def test_from_a_file_to_a_report_and_again(content, tmp_path, capsys):
    content |= {"drop_reviews": [0, 0.5], "drop_at": "test"}
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main([str(file)]) == 0
    text, steps = capsys.readouterr()
    assert "TinyRatings / all / seed 2020: done" in steps
    runs = tmp_path / "runs"
    report = json.loads((runs / "reviews.json").read_text(encoding="utf-8"))
    tables = sorted(runs.glob("rated/TinyRatings/all/2020-*/evaluation-*"))
    assert [(folder / "rating_errors.parquet").is_file() for folder in tables] == [True, True]

    errors = [
        pd.read_parquet(
            next(runs.glob(f"rated/TinyRatings/all/{seed}-*/evaluation-????????/rating_errors.parquet"))
        )
        for seed in (2020, 2021)
    ]
    mae = [float(frame["error"].abs().mean()) for frame in errors]
    assert report["models"]["TinyRatings"]["mae"]["mean"] == pytest.approx(sum(mae) / 2)
    assert "mae" not in report["models"]["BPR"]
    line = next(line for line in text.splitlines() if line.startswith("| BPR |"))
    assert line.split("|")[3].strip() == "–", "a model that only ranks has no MAE"
    assert f"{sum(mae) / 2:.4f} ±" in text
    for floor in (
        "random order",
        "popularity",
        "global mean",
        "constant median",
        "user + item bias",
        "ordinal user + item bias",
    ):
        assert f"| *{floor}* |" in text
    lost = report["robust"][0]
    assert (lost["label"], lost["where"], lost["share"]) == ("TinyRatings", "test", 0.5)
    assert lost["means"]["mae"] != report["models"]["TinyRatings"]["mae"]["mean"]
    assert lost["against"]["mae"]["n"] == sum(map(len, errors))
    compared = {(one["label"], one["metric"]) for one in report["compared"]}
    assert ("user + item bias", "mae") in compared
    assert ("BPR", "p3.ndcg@10") in compared
    assert ("BPR", "mae") not in compared

    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*.parquet")}
    assert main([str(file)]) == 0
    again, steps = capsys.readouterr()
    assert again == text
    assert "done" not in steps
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*.parquet")} == before
    assert not list(runs.rglob(".partial-*"))


def test_misspelt_options_are_refused(content, tmp_path, capsys):
    """Of models, of the plan and to be tried, in one message; beside finished runs they are warned of."""
    wrong = content | {
        "options": {**content["options"], "explain_weigth": 0.5, "n_neighbours": 2},
        "models": ["EMF", {"name": "BPR", "options": {"reg_weigth": 0.1}}],
        "tune": {"trials": 2, "space": {"learning_rat": [0.1, 0.2]}, "options": {"epoch": 1}},
        "seeds": [1],
    }
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(wrong), encoding="utf-8")
    assert main([str(file)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "4 things are wrong, and nothing was trained:",
        "- options: option 'explain_weigth' is read by neither RecBole nor EMF, BPR. Did you mean 'explain_weight'?",
        "- tune.options: option 'epoch' is read by neither RecBole nor EMF, BPR. Did you mean 'epochs'?",
        "- tune.space: option 'learning_rat' is read by neither RecBole nor EMF, BPR. Did you mean 'learning_rate'?",
        "- model 'BPR': option 'reg_weigth' is read by neither RecBole nor BPR. Did you mean 'reg_weight'?",
    ]
    assert not (tmp_path / "runs").exists()


def test_a_misspelt_option_of_finished_runs_goes_on(content, tmp_path, capsys):
    content |= {"models": ["EMF", "BPR"], "seeds": [1]}
    plan = make_plan(content | {"options": {**content["options"], "learning_rat": 0.5}})
    with pytest.raises(UnknownNameError, match=r"'learning_rat'.*Did you mean 'learning_rate'"):
        run_study(plan)
    folder = RunSpec("rated", "BPR", "BPR", "all", 1, {}, plan.options).folder(plan.runs)
    folder.mkdir(parents=True)
    (folder / DONE).touch()
    assert not [run for run in run_study(plan).runs if run.label == "EMF" and run.error]


def test_what_is_wrong_is_said_once_and_nothing_else(content, tmp_path, capsys):
    """n_neighbours is EMF's; explain_power nobody's; EMF's own option is not BPR's."""
    content["options"] |= {"n_neighbours": 2, "explain_power": 0.5}
    content["models"] = ["EMF", {"name": "BPR", "options": {"explain_weight": 0.5}}]
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main([str(file)]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "/ all / seed" not in line]
    told = [line for line in said if "is read by neither" in line]
    said = [line for line in said if not line.startswith("warning: an epoch of ")]  # the data are small
    assert sorted(told) == [
        "warning: option 'explain_power' is read by neither RecBole nor EMF, BPR, so it has no effect. "
        "Did you mean 'explain_weight'?",
        "warning: option 'explain_weight' is read by neither RecBole nor BPR, so it has no effect. "
        "Did you mean 'preload_weight'?",
    ]
    assert said == told, "something else was said, or a line of a library"


def test_recboles_warnings_are_shown_once(content, tmp_path, capsys, monkeypatch):
    from burnish.benchmarks.reviews import study as module

    inner = module.carry_out

    def noisy(*arguments, **more):
        logging.getLogger().warning("\x1b[1;31m3 rows were dropped\x1b[0m")
        warnings.warn("a warning about numbers", RuntimeWarning, stacklevel=1)
        return inner(*arguments, **more)

    monkeypatch.setattr(module, "carry_out", noisy)
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    before = list(logging.getLogger().handlers)
    assert main([str(file)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said.count("warning: 3 rows were dropped") == 1
    assert said.count("warning (RuntimeWarning): a warning about numbers") == 1
    assert logging.getLogger().handlers == before


def test_an_interruption_leaves_nothing_half_written(content, monkeypatch):
    from burnish.benchmarks.reviews import study as module

    plan = make_plan({**content, "models": ["TinyRatings"], "seeds": [1]})
    inner = module.judge_floors

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "judge_floors", stop)
    with pytest.raises(KeyboardInterrupt):
        run_study(plan)
    assert not list(plan.runs.rglob(".partial-*"))
    assert not (plan.runs / "rated" / "floors").exists() or not list(
        (plan.runs / "rated" / "floors").iterdir()
    )
    monkeypatch.setattr(module, "judge_floors", inner)
    said: list[str] = []
    outcome = run_study(plan, said.append)
    assert not outcome.failed
    assert "kept" in said[-1], "the trained model was not trained again"
    assert len(outcome.floors) == 6


def test_reviews_removed_before_training_is_another_run(content):
    plan = make_plan(
        {
            **content,
            "seeds": [1],
            "models": ["TinyRatings"],
            "drop_reviews": [0.25, 0.5],
            "drop_at": ["training"],
        }
    )
    outcome = run_study(plan)
    assert [(run.where, run.share) for run in outcome.runs] == [
        (None, 0),
        ("training", 0.25),
        ("training", 0.5),
    ]
    told = [
        json.loads((run.folder.parent / "config.json").read_text(encoding="utf-8"))["options"].get(
            "drop_reviews"
        )
        for run in outcome.runs
    ]
    assert told == [None, 0.25, 0.5]
    assert "| TinyRatings | training | 25% |" in to_markdown(summarise(plan, outcome))


def test_tuning_gives_every_model_as_many_trials(content):
    tune = {"trials": 2, "space": {"learning_rate": [0.3, 1e-9]}, "seed": 9}
    plan = make_plan({**content, "seeds": [1], "tune": tune})
    outcome = run_study(plan)
    assert outcome.chosen["TinyRatings"] == {"learning_rate": 0.3}, "the other learns nothing"
    for label in ("TinyRatings", "BPR"):
        assert len(list(plan.runs.glob(f"rated/{label}/all/tune/*/DONE"))) == 2
    chosen = json.loads(
        next(plan.runs.glob("rated/TinyRatings/all/chosen-*.json")).read_text(encoding="utf-8")
    )
    assert (chosen["metric"], chosen["set"]) == ("rmse", "validation")
    config = json.loads((outcome.runs[0].folder.parent / "config.json").read_text(encoding="utf-8"))
    assert config["options"]["learning_rate"] == 0.3
    assert "Chosen on validation, 2 trials a model: TinyRatings: learning_rate = 0.3" in to_markdown(
        summarise(plan, outcome)
    )


@pytest.mark.parametrize("name", ["rating_errors.parquet", "summary.json", "metrics.json"])
def test_a_damaged_file_is_named_and_the_others_go_on(content, name):
    plan = make_plan(content)
    whole = run_study(plan)
    assert not whole.failed
    victim = next(path for path in sorted(plan.runs.rglob(name)) if "floors" not in path.parts)
    before = victim.read_bytes()
    victim.write_bytes(before[:20] + b"\xff\xfe" + before[22:60])
    outcome = run_study(plan)
    assert len(outcome.runs) == len(whole.runs)
    assert outcome.failed
    assert len(outcome.failed) < len(outcome.runs)
    assert all(str(victim) in str(run.error) for run in outcome.failed)
    victim.write_bytes(before)
    assert not run_study(plan).failed


def test_a_failing_model_is_told_and_the_others_go_on(content, monkeypatch):
    monkeypatch.setenv("TINY_FAILS", "31")
    plan = make_plan({**content, "models": ["BPR", "TinyRatings"], "seeds": [1], "reference": "BPR"})
    outcome = run_study(plan)
    assert [run.label for run in outcome.failed] == ["TinyRatings"]
    text = to_markdown(summarise(plan, outcome))
    assert "Failed: TinyRatings, seed 1: " in text
    assert "(RuntimeError: this model was asked to fail)" in text
    assert "| BPR | 1 |" in text


def test_a_model_that_reads_the_rating_it_predicts_is_refused(content):
    plan = make_plan({**content, "models": ["TinyRatings", "Peeking"], "seeds": [1]})
    outcome = run_study(plan)
    assert [run.label for run in outcome.failed] == ["Peeking"]
    assert "read more of the test rows" in outcome.failed[0].error
    assert not list(plan.runs.glob("rated/Peeking/all/*/evaluation-*"))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"models": ["TinyRating"]}, UnknownNameError, "'TinyRatings'"),
        ({"model": ["BPR"]}, UnknownNameError, "'models'"),
        ({"models": [{"name": "BPR", "optoins": {}}]}, UnknownNameError, "'options'"),
        ({"reference": "BRP"}, UnknownNameError, "'BPR'"),
        ({"models": ["BPR", "BPR"]}, ConfigurationError, "two models have the label 'BPR'"),
        ({"drop_reviews": [1.5]}, ConfigurationError, "1.5 is not a share"),
        ({"drop_at": "train"}, ConfigurationError, "drop_at"),
        ({"options": {"drop_reviews": 0.5}}, ConfigurationError, "key of the plan"),
        ({"protocols": {"negatives": 0}}, ConfigurationError, "at least one unrated"),
        ({"protocols": {"rating_scale": [5, 1]}}, ConfigurationError, "lowest and the highest"),
        ({"protocols": {"negative": 5}}, UnknownNameError, "'negatives'"),
        (
            {"tune": {"trials": 3, "space": {"learning_rate": [1, 2]}}},
            ConfigurationError,
            "2 settings to try",
        ),
        ({"models": [{"name": "BPR", "enhancers": {"rvrek": {}}}]}, UnknownNameError, "'rvrec'"),
    ],
)
def test_plans_that_cannot_be_carried_out(content, change, error, said):
    with pytest.raises(error, match=said):
        make_plan({**content, **change})


def test_a_plan_that_cannot_be_read(tmp_path, capsys):
    assert main([str(tmp_path / "none.yaml")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_the_example_is_a_plan():
    plan = load_plan(Path(__file__).parents[3] / "examples" / "reviews_musical_instruments.yaml")
    assert plan.seeds == [31, 32, 33]
    assert plan.models[-1].options == plan.models[-2].options
