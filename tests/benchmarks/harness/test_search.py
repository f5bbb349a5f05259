"""Tuning by optuna: spaces with ranges and conditions, pruning, and the same trials whoever asks, and after a kill."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from burnish.benchmarks.harness import make_plan, run_plan, summarise
from burnish.benchmarks.harness.journal import Journal
from burnish.benchmarks.harness.ranges import Tried, all_points, as_lists, exists, size, tried
from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.schema import Pruning, Tune
from burnish.benchmarks.harness.search import Outcome, Stop, batches, next_points, startup
from burnish.benchmarks.harness.spaces import candidates
from burnish.benchmarks.harness.specs import RunSpec, spec_of
from burnish.benchmarks.harness.tuning import space_of, tune_arm
from burnish.benchmarks.harness.tuning_notes import read_tuning
from burnish.errors import BurnishError, ConfigurationError, NotInstalledError, UnknownNameError

optuna = pytest.importorskip("optuna")

SPACE: dict[str, Any] = {
    "rate": {"low": 0.001, "high": 0.1, "log": True},
    "layers": {"low": 1, "high": 4},
    "kind": ["adam", "sgd"],
    "momentum": {"low": 0.0, "high": 0.9, "when": {"kind": "sgd"}},
}
TPE = Tune(trials=20, method="tpe", space=SPACE)


def value(point: Mapping[str, Any]) -> float:
    """Best at rate = 0.01, layers = 3, sgd with a momentum of 0.5."""
    off = (math.log10(point["rate"]) + 2) ** 2 + 0.1 * (point["layers"] - 3) ** 2
    return -off - (point["momentum"] - 0.5) ** 2 if point["kind"] == "sgd" else -off - 1


def searched(tune: Tune, space: Mapping[str, Any] = SPACE) -> list[Outcome]:
    known: list[Outcome] = []
    for count in batches(tune):
        points = next_points(tune, space, known, count)
        known += [Outcome(point, "done", value(point)) for point in points]
    return known


def test_points_lie_in_their_space_and_options_exist_under_their_conditions() -> None:
    points = [one.settings for one in searched(TPE)]
    assert len(points) == 20
    for point in points:
        assert 0.001 <= point["rate"] <= 0.1
        assert point["layers"] in (1, 2, 3, 4)
        assert type(point["layers"]) is int
        assert ("momentum" in point) == (point["kind"] == "sgd")
    assert {point["kind"] for point in points} == {"adam", "sgd"}
    assert len({json.dumps(point) for point in points}) == 20


def test_the_same_seed_gives_the_same_trials_and_another_one_others() -> None:
    assert searched(TPE) == searched(TPE)
    assert searched(TPE) != searched(TPE.model_copy(update={"seed": 7}))


def test_a_search_does_better_than_chance() -> None:
    """By the mean of the last ten: of 20 seeds TPE is better on nearly all."""
    better = 0
    for seed in range(8):
        found = [
            searched(Tune(trials=30, method=method, seed=seed, space=SPACE)) for method in ("tpe", "random")
        ]
        tpe, chance = (sum(one.value or 0.0 for one in known[-10:]) for known in found)
        better += tpe > chance
    assert better >= 7


def test_no_point_is_tried_twice_where_others_are_left() -> None:
    space = {"a": [1, 2, 3], "b": [1, 2, 3]}
    tune = Tune(trials=8, method="tpe", space=space)
    known: list[Outcome] = []
    for count in batches(tune):
        points = next_points(tune, space, known, count)
        known += [Outcome(point, "done", point["a"] + point["b"]) for point in points]
    assert len({json.dumps(one.settings) for one in known}) == 8


def test_batches_hold_all_trials() -> None:
    assert startup(5) == 3
    assert list(batches(Tune(trials=5, method="tpe"))) == [3, 1, 1]
    assert list(batches(Tune(trials=30, method="tpe", at_once=8))) == [10, 8, 8, 4]
    assert list(batches(Tune(trials=30, method="random"))) == [30]
    assert list(batches(Tune(trials=6, method="random", pruning=Pruning()))) == [3, 1, 1, 1]


def rising(to: float, n: int = 20) -> list[tuple[int, float]]:
    return [(epoch, to * epoch / n) for epoch in range(1, n + 1)]


def test_the_median_ends_what_is_below_it_and_no_other() -> None:
    known = [Outcome({}, "done", to, rising(to)) for to in (0.4, 0.5, 0.6, 0.7)]
    pruning = Pruning(method="median", after=5)
    stop = Stop(pruning, {}, known, 4, epochs=20, sign=1)
    assert stop.ends(rising(0.3)) == 5  # at once, when it may
    assert stop.ends(rising(0.65)) is None
    late = [(epoch, score if epoch < 12 else 0.3) for epoch, score in rising(0.6)]
    assert stop.ends(late) is not None
    assert stop.ends(late) == 13  # 0.33 so far, and 0.3575 is the others' median there
    # The same asked as a run goes on.
    curve: list[tuple[int, float]] = []
    ended = []
    for point in rising(0.3):
        curve.append(point)
        ended.append(Stop(pruning, {}, known, 4, epochs=20, sign=1)(curve))
        if ended[-1]:
            break
    assert ended == [False] * 4 + [True]
    assert (
        Stop(pruning, {}, known[:2], 4, epochs=20, sign=1).ends(rising(0.1)) is None
    )  # of two there is none
    assert Stop(pruning, {}, [], 0, epochs=20, sign=1).ends(rising(0.1)) is None


def test_of_errors_the_larger_ones_end() -> None:
    known = [Outcome({}, "done", -to, [(n, -to) for n in range(1, 21)]) for to in (0.9, 1.0, 1.1)]
    stop = Stop(Pruning(after=5), {}, known, 3, epochs=20, sign=-1)
    assert stop.ends([(n, 1.2) for n in range(1, 21)]) == 5
    assert stop.ends([(n, 0.95) for n in range(1, 21)]) is None


def test_hyperband_ends_the_worst_and_notes_what_later_ones_need() -> None:
    pruning = Pruning(method="hyperband", after=2)
    known: list[Outcome] = []
    ends = []
    for number in range(12):
        stop = Stop(pruning, {}, known, number, epochs=20, sign=1)
        curve = rising(1 - number / 20)
        end = stop.ends(curve)
        ends.append(end)
        state: Any = "done" if end is None else "pruned"
        known.append(Outcome({}, state, 1.0 if end is None else None, curve[:end], stop.marks(curve[:end])))
    assert any(one.marks for one in known)
    assert {2, 6} & {*ends}
    assert ends[0] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"low": 2, "high": 1}, r"low = 2 is not below high = 1; turn them round"),
        ({"low": 1.0, "high": 1.0}, r"not below .* list for one value"),
        (
            {"low": 0.0, "high": 1.0, "log": True},
            r"log = True needs low > 0, and low = 0\.0; give the smallest",
        ),
        ({"low": 0, "high": 1}, r"none between them; write 0\.0 and 1\.0"),
        ({"low": 0.5, "high": 2, "integer": True}, r"not both whole numbers"),
        ({"low": "a", "high": 1}, r"low = 'a': give a number"),
        ({"low": 1}, r"'high' is missing"),
        ({"lo": 1, "high": 2}, r"unknown key 'lo'.*Did you mean 'low'\?"),
        ({"low": 1.0, "high": 2.0, "log": 1}, r"log = 1: say true or false"),
        ({"values": [1], "low": 1}, r"values and low say different things"),
        ({"values": [], "when": {"a": 1}}, r"no values to try"),
        ({"values": [1], "when": "a"}, r"when = 'a': give options"),
        (0.1, r"give a list of values, or a range"),
    ],
)
def test_what_cannot_be_tried(plan_content: dict[str, Any], given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"tune\.space: learning_rate: .*{said}"):
        make_plan({**plan_content, "tune": {"method": "tpe", "trials": 3, "space": {"learning_rate": given}}})
    with pytest.raises(ConfigurationError, match=rf"tune\.arms\.big.*: learning_rate: .*{said}"):
        make_plan(
            {
                **plan_content,
                "tune": {"method": "tpe", "trials": 3, "arms": {"big": {"learning_rate": given}}},
            }
        )
    with pytest.raises(ConfigurationError, match=rf"floors\.EASE\.tune: reg_weight: .*{said}"):
        make_plan({**plan_content, "floors": {"EASE": {"tune": {"reg_weight": given}}}})


RATE = {"low": 0.001, "high": 0.1, "log": True}


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({"method": "tep"}, r"tune\.method 'tep' is not known\. Did you mean 'tpe'\?"),
        ({"pruning": "medain"}, r"tune\.pruning\.method 'medain' is not known\. Did you mean 'median'\?"),
        (
            {"method": "grid"},
            r"tune\.space: learning_rate = 0\.001 to 0\.1 \(log\) is a range, .*method: tpe",
        ),
        (
            {"method": "grid", "pruning": "median", "space": {"learning_rate": [1e-3, 1e-2]}},
            r"tune\.pruning has no",
        ),
        (
            {"method": "grid", "at_once": 2, "space": {"learning_rate": [1e-3, 1e-2]}},
            r"tune\.at_once has no effect",
        ),
        (
            {"space": {"learning_rate": {**RATE, "when": {"layers": 1}}}},
            r"when: option 'layers' is not known",
        ),
        (
            {
                "space": {
                    "learning_rate": {**RATE, "when": {"learner": "sgd"}},
                    "learner": ["adam", "adagrad"],
                }
            },
            r"learner is never 'sgd' \(it is one of adam, adagrad\)",
        ),
        (
            {
                "space": {
                    "learning_rate": RATE,
                    "embedding_size": {"values": [8], "when": {"learning_rate": 0.1}},
                }
            },
            r"learning_rate is a range, which has no values",
        ),
        (
            {
                "space": {
                    "learner": {"values": ["adam"], "when": {"embedding_size": 8}},
                    "embedding_size": {"values": [8], "when": {"learner": "adam"}},
                }
            },
            r"embedding_size, learner depend on each other in a circle",
        ),
        ({"space": {"no_such_thing": RATE}}, r"option 'no_such_thing' is read by neither RecBole nor BPR"),
        ({"space": {"embedding_size": {"low": -4, "high": 8}}}, r"tune\.space: embedding_size"),
        ({"space": {"rvrec.weight": RATE}}, r"tune\.space: enhancer 'rvrec'"),
    ],
)
def test_what_a_plan_cannot_search(plan_content: dict[str, Any], tune: dict[str, Any], said: str) -> None:
    content = {
        **plan_content,
        "tune": {"method": "tpe", "trials": 3, "space": {"learning_rate": RATE}, **tune},
    }
    with pytest.raises(BurnishError, match=said) as error:
        run_plan(make_plan(content), quiet=True)
    assert isinstance(error.value, ConfigurationError | UnknownNameError)
    assert not Path(content["runs"]).exists()


def test_a_search_without_optuna(plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "optuna" else find(name, *a)
    )
    make_plan({**plan_content, "tune": {"trials": 3, "space": {"learning_rate": [1e-3, 1e-2]}}})
    with pytest.raises(NotInstalledError, match=r"pip install 'burnish\[tune\]'"):
        make_plan({**plan_content, "tune": {"method": "tpe", "trials": 3, "space": {"learning_rate": RATE}}})


def test_spaces_as_lists_and_points() -> None:
    space = {"b": {"values": [1, 2], "when": {"a": 2}}, "a": [1, 2], "c": {"low": 1, "high": 3}}
    assert list(tried(space)) == ["a", "c", "b"]
    assert size(space) == 12
    points = all_points(space)
    assert len(points) == 3 + 6
    assert {"a": 1, "c": 1} in points
    assert exists(space, {"b": 1, "a": 1, "c": 2}) == {"a": 1, "c": 2}
    assert as_lists(space) == {"b": [1, 2], "a": [1, 2], "c": [1, 3]}
    assert candidates(space, 100, 0) == points
    assert len(candidates(space, 5, 0)) == 5
    assert math.isinf(size({"a": {"low": 0.0, "high": 1.0}}))
    assert str(Tried.of({"low": 1, "high": 3, "when": {"a": [1, 2]}})) == "1 to 3 (whole) where a = 1 or 2"


def test_an_arm_without_the_enhancer_lacks_what_depends_on_it(plan_content: dict[str, Any]) -> None:
    space = {
        "uneven.spread": [0.1, 0.5],
        "learning_rate": {**RATE, "when": {"uneven.spread": 0.5}},
        "reg_weight": {"low": 0.0, "high": 1.0, "when": {"uneven.spread": 0.1}},
    }
    content = {
        **plan_content,
        "arms": {"uneven": "uneven"},
        "tune": {"method": "tpe", "trials": 3, "space": space},
    }
    plan = make_plan(content)
    assert space_of(plan, "plain") == {}
    assert space_of(plan, "uneven") == space


def test_files_of_grids_are_called_what_they_were() -> None:
    tune = {"trials": 3, "space": {"learning_rate": [0.1, 0.2]}, "metric": None, "seed": 2020, "options": {}}
    assert Tune(trials=3, space={"learning_rate": [0.1, 0.2]}).as_first() == {**tune, "arms": {}}
    assert Tune(trials=3, method="tpe").as_first()["method"] == "tpe"


@pytest.fixture
def content(plan_content: dict[str, Any]) -> dict[str, Any]:
    """A search for one backbone's two arms, whose trials end early."""
    tune = {
        "method": "tpe",
        "trials": 7,
        "at_once": 2,
        "pruning": {"method": "median", "after": 1},
        "space": {"learning_rate": {"low": 0.0001, "high": 0.3, "log": True}, "reg_weight": [0.0, 0.1]},
        "arms": {"big": {"embedding_size": {"low": 9, "high": 16}}},
        "options": {"epochs": 3},
    }
    return {**plan_content, "tune": tune, "seeds": 1}


def choices(runs: Path) -> dict[str, Any]:
    return {
        path.relative_to(runs).as_posix(): json.loads(path.read_text())
        for path in runs.rglob("chosen-*.json")
    }


def journal_states(path: Path) -> list[str]:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.load_study(study_name="tuning", storage=JournalStorage(JournalFileBackend(str(path))))
    return [one.state.name for one in study.trials]


def test_a_plan_is_searched_pruned_and_reported(content: dict[str, Any]) -> None:
    runs = Path(content["runs"])
    records = run_plan(make_plan(content), quiet=True)
    trials = [one for one in records if one.trial is not None]
    assert len(trials) == 2 * 7
    assert all(not one.test for one in trials)
    chosen = choices(runs)
    assert len(chosen) == 2
    for path, said in chosen.items():
        states = [one["state"] for one in said["trials"]]
        assert (said["method"], said["pruning"], len(states)) == ("tpe", "median", 7)
        best = max((one for one in said["trials"] if one["state"] == "done"), key=lambda one: one["value"])
        assert said["chosen"] == best["settings"]
        assert all(one["value"] is None for one in said["trials"] if one["state"] == "pruned")
        (journal,) = (runs / path).parent.glob("journal-*.log")
        names = {"done": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
        assert journal_states(journal) == [names[state] for state in states]
        n_pruned = len(list((runs / path).parent.glob("tune/pruned-*.json")))
        assert (states.count("pruned"), 7 - n_pruned) == (
            n_pruned,
            len(list((runs / path).parent.glob("tune/*/DONE"))),
        )
        note = read_tuning(runs / path)
        assert (note.trials, note.pruned, note.failed) == (7, n_pruned, 0)
    assert any(one["state"] == "pruned" for said in chosen.values() for one in said["trials"])
    assert not list(runs.rglob("asked-*"))
    (row,) = summarise(runs, metrics="ndcg@10")
    assert (row.trials, row.baseline_trials) == (7, 7)
    assert (
        "learning_rate 0.0001 to 0.3 (log), reg_weight (0.0, 0.1), embedding_size 9 to 16 (whole)"
        in row.tuning
    )
    # Again: nothing is trained, and the choice is the same.
    again = run_plan(make_plan(content), quiet=True)
    assert {one.status for one in again} <= {"kept", "pruned"}
    assert choices(runs) == chosen


class Killed(BaseException):
    """The end of a process, which no handler sees."""


@pytest.mark.parametrize("at", [2, 13])
def test_killed_in_a_trial_it_goes_on_with_the_same_trials(
    content: dict[str, Any], tmp_path: Path, at: int
) -> None:
    """at: the epoch, counted over all trials, in which it is killed."""
    whole = {**content, "runs": str(tmp_path / "whole"), "arms": {}, "tune": {**content["tune"], "arms": {}}}
    run_plan(make_plan(whole), quiet=True)
    count = 0

    def kill(event: Any) -> None:
        nonlocal count
        count += event.kind == "epoch"
        if count == at:
            raise Killed

    broken = {**whole, "runs": str(tmp_path / "broken")}
    with pytest.raises(Killed):
        run_plan(make_plan(broken), quiet=True, on_event=kill)
    (journal,) = Path(broken["runs"]).rglob("journal-*.log")
    assert "RUNNING" in journal_states(journal)
    with journal.open("ab") as file:  # a line that was being written
        file.write(b'{"op_code":')
    run_plan(make_plan(broken), quiet=True)
    assert choices(Path(broken["runs"])) == choices(Path(whole["runs"]))
    assert not list(journal.parent.glob("*.damaged"))
    assert len(journal_states(journal)) == 7
    assert "RUNNING" not in journal_states(journal)


def test_trials_stay_as_they_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of optuna may draw others."""
    path = tmp_path / "journal-0.log"
    before = Journal(path, TPE, SPACE).points([], 4)
    monkeypatch.setattr(
        "burnish.benchmarks.harness.journal.next_points", lambda *a: pytest.fail("drawn again")
    )
    assert Journal(path, TPE, SPACE).points([], 4) == before
    assert Journal(path, TPE, SPACE, keep=False).points([], 4) == before


def test_a_damaged_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal-0.log"
    before = Journal(path, TPE, SPACE).points([], 4)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "nonsense\n", *lines[1:]]))
    with pytest.warns(UserWarning, match=r"journal-0\.log is damaged .* renamed to journal-0\.log\.damaged"):
        assert Journal(path, TPE, SPACE).points([], 4) == before
    known = [Outcome(point, "done", 0.1) for point in before]
    Journal(path, TPE, SPACE).close(known)
    assert journal_states(path) == ["COMPLETE"] * 4


def test_looking_only_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal-0.log"
    points = Journal(path, TPE, SPACE, keep=False).points([], 4)
    assert not list(tmp_path.iterdir())
    assert Journal(path, TPE, SPACE).points([], 4) == points


def test_every_arm_and_floor_has_the_same_budget_and_small_spaces_are_tried_whole(
    content: dict[str, Any],
) -> None:
    from burnish.benchmarks.harness.grid import look_ahead

    tune = {**content["tune"], "arms": {"big": {"learning_rate": [0.1, 0.2], "reg_weight": [0.0]}}}
    floors = {"EASE": {"tune": {"reg_weight": {"low": 1.0, "high": 1000.0, "log": True}}}}
    lines = {
        one.arm: one.trials for one in look_ahead(make_plan({**content, "tune": tune, "floors": floors}))
    }
    assert lines == {"EASE": 7, "plain": 7, "big": 2}


def test_a_floor_is_searched(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "tune": {"method": "tpe", "trials": 4}, "seeds": 1}
    content["floors"] = {"EASE": {"tune": {"reg_weight": {"low": 1.0, "high": 1000.0, "log": True}}}}
    records = run_plan(make_plan(content), quiet=True)
    assert sum(one.trial is not None for one in records) == 4
    rows = summarise(Path(content["runs"]), metrics="ndcg@10")
    (line,) = rows.tuning
    assert line.startswith(
        "Tuning of floors, by validation. EASE: 4 trials (tpe) over reg_weight 1 to 1000 (log)"
    )


def test_two_workers_search_alike_though_one_is_killed(content: dict[str, Any], tmp_path: Path) -> None:
    content["tune"] |= {"arms": {}, "trials": 5}
    alone, two = ({**content, "runs": str(tmp_path / name)} for name in ("alone", "two"))
    run_plan(make_plan(alone), quiet=True)
    victims: list[int] = []

    def kill_once(event: Any) -> None:
        others = psutil.Process().children()
        if event.kind in ("done", "pruned") and not victims and others:
            victims.append(others[0].pid)
            os.kill(others[0].pid, signal.SIGKILL)

    records = run_plan(make_plan(two), quiet=True, on_event=kill_once, workers=2)
    assert victims
    assert {one.status for one in records} <= {"done", "kept", "pruned"}
    assert choices(Path(two["runs"])) == choices(Path(alone["runs"]))
    journals = {
        runs: {path.parent.name: journal_states(path) for path in Path(runs).rglob("journal-*.log")}
        for runs in (alone["runs"], two["runs"])
    }
    assert journals[two["runs"]] == journals[alone["runs"]]
    assert {len(states) for states in journals[two["runs"]].values()} == {5}


def test_a_pruned_trial_is_never_chosen_even_where_an_older_run_of_it_was_the_best(
    content: dict[str, Any],
) -> None:
    plan = make_plan({**content, "arms": {}, "tune": {**content["tune"], "arms": {}}})
    spec = spec_of(plan, plan.backbones[0], "plain", 2020)

    def kept(trial: RunSpec) -> RunRecord:
        last = trial.trial == 6
        curve = ((1, 0.1), (2, 0.95), (3, 0.9)) if last else ((1, 0.3), (2, 0.4), (3, 0.5))
        who = (trial.dataset, trial.label, trial.arm, trial.seed, trial.trial, Path("of-before"))
        valid = {"ndcg@10": curve[-1][1]}
        return RunRecord(*who, "kept", valid=valid, valid_metric="ndcg@10", curve=curve)

    chosen, records = tune_arm(spec, plan, kept)
    (said,) = choices(plan.runs).values()
    assert [one["state"] for one in said["trials"]] == ["done"] * 6 + ["pruned"]
    assert said["trials"][-1]["epochs"] == 1
    assert chosen == said["chosen"] == said["trials"][0]["settings"]
    assert max(record.valid["ndcg@10"] for record in records) == 0.9
    assert space_of(plan, "plain").keys() == {"learning_rate", "reg_weight"}


def test_a_data_sets_own_search_is_looked_at(plan_content: dict[str, Any]) -> None:
    content = {name: value for name, value in plan_content.items() if name != "dataset"}
    own = {"trials": 3, "space": {"learning_rate": RATE}}
    content["datasets"] = {"one": {"name": "tiny"}, "two": {"name": "tiny", "tune": own}}
    with pytest.raises(
        ConfigurationError, match=r"data set 'two'.*learning_rate = .* is a range, .*method: tpe"
    ):
        make_plan(content)
    content["datasets"]["two"]["tune"] = {**own, "method": "tpe"}
    (first, second) = make_plan(content).parts()
    assert (first.tune, second.tune and second.tune.method) == (None, "tpe")
