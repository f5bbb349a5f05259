"""A plain run and the base of others are one training, with the figures of two, whichever comes first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from burnish.benchmarks.harness import RunRecord, make_plan, run_plan
from burnish.benchmarks.harness.specs import asks_for_base
from burnish.training.first import END, NOTE
from burnish.training.shared_base import can_share, train_shared
from burnish.training.stages import Run
from burnish.training.train import train

SAMPLED = {"eval_args": {"mode": "uni5"}}
IN_ORDER = {"train_neg_sample_args": None}
#: DiffRec draws random numbers while it is tested, as sampled candidates are drawn.
CASES = [
    ("BPR", {"cold_below": 9}),
    ("BPR", SAMPLED),
    ("LightGCN", {"stopping_step": 0, "epochs": 4}),
    ("MultiVAE", {"train_batch_size": 16}),
    ("DiffRec", {"train_batch_size": 16, "steps": 3, "sampling_steps": 2}),
    ("SASRec", IN_ORDER),
    ("EASE", {}),
]


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that are trained, one after another."""
    models: list[str] = []
    fit = Run.fit

    def counted(run: Run, *args: Any) -> None:
        models.append(run.config["model"])
        fit(run, *args)

    monkeypatch.setattr(Run, "fit", counted)
    return models


def told(result: Any) -> dict[str, Any]:
    """All figures but seconds, memory and places."""
    left_out = {"seconds", "peak_memory_mb", "checkpoint"}
    return {name: value for name, value in result.summary().items() if name not in left_out}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "more"), CASES, ids=str)
def test_figures_are_those_of_a_run_of_its_own(
    model: str, more: dict[str, Any], small: dict[str, Any], tmp_path: Path, fitted: list[str]
) -> None:
    options = {
        name: value for name, value in {**small, **more}.items() if model != "SASRec" or name != "load_col"
    }
    alone = train(model, "tiny", options=options, seed=4, folder=tmp_path / "alone", keep_checkpoint=False)
    assert len(fitted) == 1
    for place in ("first", "second"):
        folder = tmp_path / place
        folder.mkdir()
        one = train_shared(model, "tiny", options=options, seed=4, folder=folder, bases=tmp_path / "bases")
        assert one is not None
        assert told(one) == told(alone)
        assert alone.per_user is not None
        pd.testing.assert_frame_equal(one.per_user, alone.per_user)
        assert set(one.seconds) == set(alone.seconds)
        assert one.seconds["total"] >= one.seconds["train"] + one.seconds["valid"]
        text = (folder / "log.txt").read_text()
        assert ("epoch 0 training" in text) == (
            "epoch 0 training" in (tmp_path / "alone" / "log.txt").read_text()
        )
    assert len(fitted) == 2


def test_a_trial_is_not_tested(small: dict[str, Any], tmp_path: Path) -> None:
    alone = train("BPR", "tiny", options=small, seed=4, evaluate_test=False)
    one = train_shared(
        "BPR", "tiny", options=small, seed=4, folder=tmp_path, bases=tmp_path / "bases", evaluate_test=False
    )
    assert one is not None
    assert told(one) == told(alone)
    assert one.test_result == {}
    assert one.per_user is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", ["prior", "plain"])
def test_in_a_plan_one_training_serves_both(
    first: str, plan_content: dict[str, Any], fitted: list[str], tmp_path: Path
) -> None:
    """floors: the prior comes before the plain run, as a floor does; as an arm it comes after."""
    own = {"floors": ["prior"], "arms": {}} if first == "prior" else {"floors": [], "arms": {"late": "prior"}}
    content = {**plan_content, **own, "seeds": [1], "runs": str(tmp_path / "together")}
    plan = make_plan(content)
    assert asks_for_base(plan, plan.backbones[0])
    records = run_plan(plan, quiet=True)
    assert [record.status for record in records] == ["done", "done"]
    assert len(fitted) == 2  # the plain backbone, and the prior's own run, of strengths that it tries
    bases = [path.parent for path in (tmp_path / "together").rglob(NOTE)]
    assert len(bases) == 1
    alone = make_plan({**content, "floors": [], "arms": {}, "runs": str(tmp_path / "alone")})
    assert not asks_for_base(alone, alone.backbones[0])
    (plain,) = run_plan(alone, quiet=True)
    assert not list((tmp_path / "alone").rglob(NOTE))
    same = next(record for record in records if record.arm == "plain")
    assert figures(same) == figures(plain)
    assert same.folder.relative_to(plan.runs) == plain.folder.relative_to(alone.runs)


def figures(record: RunRecord) -> dict[str, Any]:
    content = json.loads((record.folder / "metrics.json").read_text())
    return {name: value for name, value in content.items() if name not in ("seconds", "peak_memory_mb")}


def test_a_base_of_an_older_burnish_is_left_alone(
    small: dict[str, Any], tmp_path: Path, fitted: list[str]
) -> None:
    how: dict[str, Any] = {"options": small, "seed": 4, "folder": tmp_path, "bases": tmp_path / "bases"}
    assert train_shared("BPR", "tiny", **how) is not None
    (end,) = (tmp_path / "bases").rglob(END)
    end.write_bytes(end.read_bytes()[:50])
    assert train_shared("BPR", "tiny", **how) is None
    end.unlink()
    assert train_shared("BPR", "tiny", **how) is None
    assert fitted == ["BPR"]


def test_what_is_not_shared(small: dict[str, Any]) -> None:
    assert can_share("BPR", small)
    assert not can_share("XGBoost", small)
    assert not can_share("BPR", {**small, "tensorboard": True})
    assert not can_share("mine.py:Tower", small)
