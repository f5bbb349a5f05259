"""What judges cost is told whoever computed it first, and a larger budget is for those who can take it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from burnish.benchmarks.valuation import judges
from burnish.benchmarks.valuation.__main__ import main
from burnish.benchmarks.valuation.detection_study import detection_study
from burnish.benchmarks.valuation.experiment import make_experiment
from burnish.benchmarks.valuation.judges import JUDGES, find_judges, train_backbone
from burnish.enhancers.clean.planted import Suspicion
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.conformance.world import prepare_folder
from burnish.enhancers.shapley.joint import OUTPUTS, joint_value
from burnish.enhancers.shapley.ranking import ranking_values
from burnish.errors import ConfigurationError


@pytest.fixture
def options(tmp_path):
    torch.set_num_threads(1)
    prepare_folder(tmp_path)
    return {**preset("BPR"), "data_path": str(tmp_path)}


@pytest.fixture
def clock(monkeypatch):
    """Time that only the parts of `joint` take: 1, 10 and 100 seconds."""
    now = [0.0]
    monkeypatch.setattr("time.process_time", lambda: now[0])

    def part(name: str, *args: Any, **options: Any) -> torch.Tensor:
        now[0] += 10.0 ** OUTPUTS.index(name)
        return torch.arange(len(args[0])).float()

    monkeypatch.setattr(judges, "joint_part", part)


@pytest.mark.parametrize(
    "names", [["joint", "profile", "regression", "random"], ["random", "regression", "profile", "joint"]]
)
def test_costs_do_not_depend_on_who_came_first(options, clock, names):
    results = detection_study(
        find_judges(names),
        model="BPR",
        dataset=NAME,
        options=options,
        kinds=("uniform",),
        share=0.2,
        seeds=(0,),
        epochs=1,
    )
    assert {result.judge: result.seconds for result in results} == {
        "joint": 111.0,
        "profile": 1.0,
        "regression": 100.0,
        "random": 0.0,
    }


def test_clean_is_the_enhancers_probability(options, monkeypatch):
    asked = []

    def stand_in(users, items, n_users, n_items, **given):
        asked.append((int(users.max()) < n_users, int(items.max()) < n_items, given))
        return Suspicion(torch.linspace(0, 1, len(users)), torch.zeros(len(users)), ())

    monkeypatch.setattr(judges, "suspicion", stand_in)
    trained = train_backbone(make_experiment("BPR", NAME, options), epochs=1, seed=4)
    values = JUDGES["clean"].compute(trained)
    assert torch.equal(values, 1 - torch.linspace(0, 1, len(trained.users)))
    assert asked == [(True, True, {"repeats": 2, "must_help": False, "seed": 4})]
    assert JUDGES["clean"] not in find_judges(None)  # a classifier a planting, and what few rows do not have


def test_values_are_those_of_their_functions(options):
    trained = train_backbone(make_experiment("BPR", NAME, options), epochs=1, seed=4)
    data = trained.users, trained.items, trained.item_vectors
    assert torch.equal(JUDGES["joint"].compute(trained), joint_value(*data, seed=4))
    assert torch.equal(JUDGES["ranking"].compute(trained), ranking_values(*data, seed=4, repeats=2))


def test_a_budget_is_for_those_who_take_any_time(options, monkeypatch):
    experiment = make_experiment("BPR", NAME, options)
    asked: dict[str, int] = {}

    def note(name: str, option: str) -> Any:
        def values(users: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
            asked[name + "_others" * options.get("others", False)] = options[option]
            return torch.zeros(len(users))

        return values

    monkeypatch.setattr(judges, "svv_values", note("svv", "passes"))
    monkeypatch.setattr(judges, "triplet_shapley", note("triplet_shapley", "rounds"))
    budgeted = [judge for judge in JUDGES.values() if judge.budgeted]
    assert {judge.name for judge in budgeted} == {"svv", "svv_others", "triplet_shapley"}
    for times in (1.0, 10.0, 0.001):
        trained = train_backbone(experiment, epochs=1, seed=0, budget_times=times)
        for judge in budgeted:
            judge.compute(trained)
        steps = dict.fromkeys(("svv", "svv_others"), judges.SVV_PASSES)
        steps["triplet_shapley"] = judges.TRIPLET_ROUNDS
        assert asked == {name: max(1, round(times * step)) for name, step in steps.items()}
    with pytest.raises(ConfigurationError, match="budget_times = 0; give a number above 0"):
        train_backbone(experiment, epochs=1, seed=0, budget_times=0.0)


def test_the_command_line(options, capsys):
    common = ["--dataset", NAME, "--epochs", "1", "--width", "4", "--options", json.dumps(options)]
    words = ["detect", *common, "--seeds", "1", "--kinds", "uniform", "--judges"]
    assert main([*words, "svv", "triplet_shapley", "joint", "ranking", "--budget-times", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[1]: line.split("│")[-2].strip() for line in lines if line.startswith("│")}
    assert set(cells) == {"svv", "triplet_shapley", "joint", "ranking"}
    assert cells["joint"] == "1.00"
    with pytest.warns(UserWarning, match="--budget-times 3 changes nothing: none of these judges is of svv"):
        assert main([*words, "random", "--budget-times", "3"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "random" in line)
    assert row.split("│")[-2].strip() == "-"
    assert main([*words, "svv", "--budget-times", "-1"]) == 1
    assert "budget_times = -1; give a number above 0" in capsys.readouterr().err
