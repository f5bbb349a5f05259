"""Running floors: once for the data, tuned on validation, left out with a reason; old folders gain them and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from stand_ins import Prior, RefusingPrior, Softmax

from burnish.benchmarks.harness import Event, exit_status, make_plan, run_plan, summarise
from burnish.benchmarks.harness.floor_runs import Floors
from burnish.benchmarks.harness.rows import Row
from burnish.enhancers.registry import registered
from burnish.errors import UnknownNameError
from burnish.training.train import train

GRID = {"reg_weight": [1.0, 10.0, 100.0]}
FLOORS = {"Pop": {}, "EASE": {"tune": GRID}}
LAST = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
SEQUENTIAL = {
    "epochs": 1,
    "n_layers": 1,
    "n_heads": 1,
    "hidden_size": 8,
    "inner_size": 8,
    "MAX_ITEM_LIST_LENGTH": 5,
    "loss_type": "CE",
    "train_neg_sample_args": None,
}


@pytest.fixture
def stand_ins() -> Iterator[None]:
    with registered([Prior, Softmax]):
        yield


def carried_out(content: dict[str, Any]) -> tuple[list[Any], list[Event]]:
    events: list[Event] = []
    records = run_plan(make_plan(content), quiet=True, on_event=events.append)
    return records, events


def ended(events: list[Event]) -> list[str]:
    return [event.key for event in events if event.kind in ("done", "kept")]


def note_of(content: dict[str, Any], backbone: str = "BPR") -> dict[str, Any]:
    (path,) = (Path(content["runs"]) / "tiny" / backbone).glob("comparison-*.json")
    return json.loads(path.read_text())


def test_floors_come_first_and_once_for_all_backbones(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "backbones": ["BPR", "LightGCN"], "arms": {}, "floors": FLOORS}
    records, events = carried_out({**content, "options": {**content["options"], "n_layers": 1}})
    assert ended(events) == [
        *(f"floors / Pop / seed {seed}" for seed in (2020, 2021)),
        *(f"floors / EASE / seed 2020 / trial {number}" for number in (1, 2, 3)),
        *(f"floors / EASE / seed {seed}" for seed in (2020, 2021)),
        *(f"{label} / plain / seed {seed}" for label in ("BPR", "LightGCN") for seed in (2020, 2021)),
    ]
    assert exit_status(records) == 0
    for backbone in ("BPR", "LightGCN"):
        floors = note_of(content, backbone)["floors"]
        assert list(floors) == ["Pop", "EASE"]
        assert floors["EASE"]["runs"].keys() == {"2020", "2021"}
        assert (floors["EASE"]["trials"], floors["Pop"]["trials"]) == (3, 0)
        for run in floors["EASE"]["runs"].values():
            assert (Path(content["runs"]) / "tiny" / backbone / run / "DONE").is_file()


def test_the_value_that_is_best_on_validation_is_chosen(plan_content: dict[str, Any]) -> None:
    records, _ = carried_out({**plan_content, "floors": FLOORS})
    trials = [record for record in records if record.arm == "EASE" and record.trial is not None]
    assert all(not record.test for record in trials)
    best = max(range(3), key=lambda place: trials[place].valid["ndcg@10"])
    assert note_of(plan_content)["floors"]["EASE"]["chosen"] == {"reg_weight": GRID["reg_weight"][best]}
    # The same as the model trained by hand with that value.
    run = next(record for record in records if record.arm == "EASE" and record.trial is None)
    options = {key: value for key, value in plan_content["options"].items() if key != "epochs"}
    own = train("EASE", "tiny", options={**options, "reg_weight": GRID["reg_weight"][best]}, seed=run.seed)
    assert own.per_user is not None
    kept = pd.read_parquet(run.folder / "per_user.parquet")  # with hits by popularity of items, too
    pd.testing.assert_frame_equal(kept[own.per_user.columns], own.per_user)


def test_a_model_that_a_plan_names_is_a_floor(plan_content: dict[str, Any]) -> None:
    walks = {"walks.metapaths": "user -rated-> item <-rated- user -rated-> item", "learning_rate": 0.2}
    own = {"options": walks, "tune": {"walks.hide": [0.1, 0.2, 0.4]}}
    content = {**plan_content, "backbones": ["BPR", "LightGCN"], "arms": {}}
    content["floors"] = {"PathWalks": own, "Pop": None}
    content["options"] = {**content["options"], "n_layers": 1, "learning_rate": 0.01}
    records, events = carried_out(content)
    assert exit_status(records) == 0
    assert ended(events)[:7] == [
        *(f"floors / Pop / seed {seed}" for seed in (2020, 2021)),
        *(f"floors / PathWalks / seed 2020 / trial {number}" for number in (1, 2, 3)),
        *(f"floors / PathWalks / seed {seed}" for seed in (2020, 2021)),
    ]
    assert sum("PathWalks" in key for key in ended(events)) == 5  # once for both backbones
    note = note_of(content, "LightGCN")["floors"]
    assert list(note) == ["Pop", "PathWalks"]
    hide = note["PathWalks"]["chosen"]["walks.hide"]
    (run,) = {Path(content["runs"]) / "tiny" / "LightGCN" / note["PathWalks"]["runs"]["2020"]}
    config = json.loads((run / "config.json").read_text())
    expected = {"metapaths": walks["walks.metapaths"], "hide": hide}
    assert config["options"]["walks"] == expected
    assert (config["options"]["learning_rate"], config["options"]["epochs"]) == (0.2, 1)
    assert "train_neg_sample_args" not in config["options"]
    by_hand = train(
        "PathWalks",
        "tiny",
        options={**content["options"], "learning_rate": 0.2, "walks": expected},
        seed=2020,
    )
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test_result"]["ndcg@10"] == by_hand.test_result["ndcg@10"]
    table = [
        row.arm for row in summarise(content["runs"]) if row.metric == "ndcg@10" and row.backbone == "BPR"
    ]
    assert table[:2] == ["Pop", "PathWalks"]


def test_a_trained_floor_draws_negatives_and_is_trained_as_long_as_arms(plan_content: dict[str, Any]) -> None:
    tune = {"trials": 1, "options": {"epochs": 1, "embedding_size": 4}}
    floor = {"LightGCN": {"options": {"n_layers": 1}, "tune": {"reg_weight": [0.0, 0.1]}}}
    content = {**plan_content, "arms": {}, "floors": floor, "tune": tune, "seeds": 1}
    content["options"] = {**content["options"], "epochs": 2}
    records, _ = carried_out(content)
    assert exit_status(records) == 0
    of_floor = [record for record in records if record.arm == "LightGCN"]
    epochs = [len(json.loads((one.folder / "metrics.json").read_text())["losses"]) for one in of_floor]
    assert epochs == [1, 1, 2]
    options = json.loads((of_floor[-1].folder / "config.json").read_text())
    assert options["recbole"]["train_neg_sample_args"]["distribution"] == "uniform"
    assert "embedding_size" not in options["options"]


def test_a_floor_that_the_graph_refuses_is_left_out(plan_content: dict[str, Any]) -> None:
    floor = {"PathWalks": {"options": {"walks": {"metapaths": "user -rated-> item <-ratd- user"}}}}
    records, events = carried_out({**plan_content, "arms": {}, "floors": floor})
    assert exit_status(records) == 0
    (line,) = left_out(events)
    assert "PathWalks" in line
    assert "Did you mean 'rated'" in line


def test_a_floor_knows_the_training_split_only(small: dict[str, Any]) -> None:
    """EASE against its closed form in double precision, made of the training split by hand (Steck 2019, eq. 8)."""
    result = train(
        "EASE", "tiny", options={**small, "reg_weight": 5.0, "train_neg_sample_args": None}, seed=1
    )
    training = result.splits.training.inter_feat
    known = np.zeros((41, 31))
    np.add.at(known, (training["user_id"].numpy(), training["item_id"].numpy()), 1.0)
    inverse = np.linalg.inv(known.T @ known + 5.0 * np.eye(31))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(np.asarray(result.model.item_similarity), weights, atol=1e-4)
    np.testing.assert_array_equal(result.model.interaction_matrix.toarray(), known)


def test_floors_of_a_backbone_are_tuned_as_its_arms_are(
    plan_content: dict[str, Any], stand_ins: None
) -> None:
    content = {
        **plan_content,
        "arms": {"uneven": "uneven"},
        "floors": {"softmax": {}, "prior": {}},
        "tune": {
            "trials": 3,
            "seed": 7,
            "space": {"uneven.spread": [0.1, 0.2]},
            "arms": {"plain": {"learning_rate": [0.01, 0.02]}},
        },
        "seeds": 1,
    }
    _, events = carried_out(content)
    trials = {name: sum(f"/ {name} / seed 7 / trial" in key for key in ended(events)) for name in NAMED}
    assert trials == {"softmax": 3, "prior": 2, "plain": 2, "uneven": 2}
    final = [key for key in ended(events) if "trial" not in key]
    assert final == [f"BPR / {name} / seed 2020" for name in ("prior", "softmax", "plain", "uneven")]
    chosen = note_of(content)["floors"]["softmax"]["chosen"]
    assert set(chosen) == {"learning_rate", "softmax.temperature"}
    config = json.loads(
        next((Path(content["runs"]) / "tiny/BPR/softmax").glob("2020-*/config.json")).read_text()
    )
    assert config["enhancers"] == {"softmax": {"temperature": chosen["softmax.temperature"]}}
    assert config["options"]["learning_rate"] == chosen["learning_rate"]


NAMED = ("softmax", "prior", "plain", "uneven")


def test_a_floor_of_a_backbone_has_no_fewer_trials_than_own_values(
    plan_content: dict[str, Any], stand_ins: None
) -> None:
    content = {**plan_content, "floors": ["softmax"], "seeds": 1, "arms": {}}
    content["tune"] = {"trials": 1, "space": {"learning_rate": [0.01]}}
    _, events = carried_out(content)
    assert sum("softmax / seed 2020 / trial" in key for key in ended(events)) == 3
    told = [event.message for event in events if event.kind == "tuned"]
    assert told[0].startswith("BPR / softmax: learning_rate = 0.01, softmax.temperature = 0.")
    _, events = carried_out({**content, "floors": {"softmax": {"trials": 2}}})
    assert sum("softmax / seed 2020 / trial" in key for key in ended(events)) == 2


def test_without_tuning_only_floors_without_a_backbone_are_tuned(
    plan_content: dict[str, Any], stand_ins: None
) -> None:
    content = {**plan_content, "floors": {**FLOORS, "softmax": {}}, "seeds": 1}
    _, events = carried_out(content)
    assert [key for key in ended(events) if "trial" in key] == [
        f"floors / EASE / seed 2020 / trial {number}" for number in (1, 2, 3)
    ]
    content["floors"]["softmax"] = {
        "tune": {"softmax.temperature": [0.1, 0.2]},
        "options": {"learning_rate": 0.1},
    }
    _, events = carried_out(content)
    assert sum("softmax / seed 2020 / trial" in key for key in ended(events)) == 2


def test_an_arm_of_the_plan_stands_as_the_floor(plan_content: dict[str, Any], stand_ins: None) -> None:
    content = {
        **plan_content,
        "arms": {"softmax": {"softmax": {"spread": 0.9}}, "prior": "uneven"},
        "seeds": 1,
    }
    _, events = carried_out({**content, "floors": ["softmax", "prior"]})
    assert [key for key in ended(events) if "softmax" in key] == ["BPR / softmax / seed 2020"]
    assert note_of(content)["floors"] == {
        "prior": {"left_out": "the plan has another arm called prior; give that one another label"},
        "softmax": {"arm": "softmax"},
    }
    rows = summarise(content["runs"], metrics=["ndcg@10"])
    assert [(row.kind, row.arm, row.baseline) for row in rows] == [
        ("arm", "softmax", "plain"),
        ("arm", "prior", "plain"),
        ("over", "prior", "softmax"),
    ]


# ---------------------------------------------------------------- resuming


def stamps(runs: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in runs.rglob("metrics.json")}


def test_a_folder_without_floors_only_gains_them(plan_content: dict[str, Any]) -> None:
    run_plan(make_plan(plan_content), quiet=True)
    runs = Path(plan_content["runs"])
    before, note = stamps(runs), note_of(plan_content)

    def unmarked(row: Row) -> Row:
        """Whether an arm is below the popularity floor is seen once there is one."""
        return replace(row, strongest_floor="", marks="", arm_marks="", baseline_marks="", flags=())

    arms = {row.arm: unmarked(row) for row in summarise(runs, metrics=["ndcg@10"])}
    assert "floors" not in note
    _, events = carried_out({**plan_content, "floors": FLOORS})
    now = stamps(runs)
    assert {path: now[path] for path in before} == before
    assert {path.relative_to(runs).parts[1] for path in now.keys() - before.keys()} == {"floors"}
    assert note_of(plan_content)["arms"] == note["arms"]
    assert note_of(plan_content)["comparison"] == note["comparison"]
    rows = [row for row in summarise(runs, metrics=["ndcg@10"]) if row.kind == "arm"]
    assert {row.strongest_floor for row in rows} <= FLOORS.keys()
    after = {row.arm: unmarked(row) for row in rows}
    assert after == arms  # the figures, and p corrected for as many comparisons as before
    # And a plan without floors leaves them where they are.
    _, events = carried_out(plan_content)
    assert {event.kind for event in events} == {"start", "kept"}
    assert list(note_of(plan_content)["floors"]) == ["Pop", "EASE"]


def test_an_interrupted_plan_goes_on(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "floors": FLOORS}

    def interrupt(event: Event) -> None:
        if event.kind == "start" and event.key == "floors / EASE / seed 2021":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(make_plan(content), quiet=True, on_event=interrupt)
    before = stamps(Path(content["runs"]))
    _, events = carried_out(content)
    assert [event.key for event in events if event.kind == "kept"] == [
        *(f"floors / Pop / seed {seed}" for seed in (2020, 2021)),
        *(f"floors / EASE / seed 2020 / trial {number}" for number in (1, 2, 3)),
        "floors / EASE / seed 2020",
    ]
    assert {path: time for path, time in stamps(Path(content["runs"])).items() if path in before} == before
    assert [row.arm for row in summarise(content["runs"], metrics=["ndcg@10"])] == [
        "Pop",
        "EASE",
        "big",
        "big",
    ]


# ---------------------------------------------------------------- left out


def left_out(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.kind == "left out"]


def test_what_an_enhancer_refuses_is_left_out_and_the_plan_goes_on(plan_content: dict[str, Any]) -> None:
    with registered([RefusingPrior, Softmax]):
        content = {**plan_content, "floors": ["prior", "softmax"]}
        records, events = carried_out(content)
        tuned = {
            **content,
            "tune": {"trials": 2, "space": {"learning_rate": [0.1, 0.2]}},
            "runs": f"{content['runs']}2",
        }
        more, others = carried_out(tuned)
    for some, told in ((records, events), (more, others)):
        assert exit_status(some) == 0
        assert left_out(told) == ["BPR / prior: there is nothing here that a prior could be added to"]
        assert "prior" not in {record.arm for record in some}
    # The first trial that is refused is the last.
    assert sum(event.kind == "start" and " prior " in event.key for event in others) == 1
    (said,) = [text for text in summarise(content["runs"]).remarks if "prior" in text]
    assert said == "Left out for BPR: prior: there is nothing here that a prior could be added to."
    assert {row.arm for row in summarise(content["runs"])} == {"softmax", "big"}


def test_what_breaks_is_a_failure(plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.model.general_recommender.ease import EASE

    def broken(*_: Any) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr(EASE, "__init__", broken)
    records, events = carried_out({**plan_content, "floors": FLOORS})
    assert exit_status(records) == 1
    assert left_out(events) == ["BPR / EASE: all 3 tuning trials failed; the first: RuntimeError: oops"]
    assert sum(event.key.startswith("BPR") and event.kind == "done" for event in events) == 4


def test_no_memory_is_a_reason(plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.training.inputs import sizes

    monkeypatch.setattr(sizes, "available_bytes", lambda: 1000)
    records, events = carried_out({**plan_content, "floors": FLOORS})
    assert exit_status(records) == 0
    (told,) = left_out(events)
    assert told.startswith("BPR / EASE: EASE on tiny (30 items) needs about")
    assert "EASE" not in {record.arm for record in records}


def test_a_value_that_takes_too_much_memory_is_one_trial_less(
    plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.training.inputs import sizes

    monkeypatch.setattr(sizes, "available_bytes", lambda: 77 * 1000)
    content = {**plan_content, "floors": {"ItemKNN": {"tune": {"k": [1, 2, 500]}}}}
    records, events = carried_out(content)
    assert exit_status(records) == 0
    assert left_out(events) == []
    assert note_of(content)["floors"]["ItemKNN"]["chosen"]["k"] in (1, 2)
    (chosen,) = (Path(content["runs"]) / "tiny/floors/ItemKNN").glob("chosen-*.json")
    assert "GiB" in json.loads(chosen.read_text())["trials"][2]["error"]


def test_errors_of_ratings_have_no_floors(
    plan_content: dict[str, Any], data_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "rated").mkdir()
    lines = ["user_id:token\titem_id:token\trating:float"]
    lines += [
        f"u{user}\ti{(user * 3 + n) % 20}\t{1 + (user + n) % 5}" for user in range(20) for n in range(8)
    ]
    (tmp_path / "rated" / "rated.inter").write_text("\n".join(lines) + "\n")
    options = {
        "data_path": str(tmp_path),
        "load_col": {"inter": ["user_id", "item_id", "rating"]},
        "epochs": 1,
        "embedding_size": 4,
        "rating_scale": [1, 5],
    }
    content = {
        **plan_content,
        "dataset": "rated",
        "backbones": ["EMF"],
        "arms": {"slow": {"options": {"learning_rate": 1e-4}}},
    }
    content |= {"options": options, "floors": "default"}
    with registered([Prior, Softmax]):
        records, events = carried_out(content)
    assert exit_status(records) == 0
    (told,) = left_out(events)
    assert told.startswith("EMF / Pop, ItemKNN, EASE, prior, softmax: ")
    assert "judge labelled pairs one by one, and a floor ranks the catalogue" in told
    rows = summarise(content["runs"])
    assert {row.kind for row in rows} == {"arm"}
    assert any("Left out for EMF" in remark for remark in rows.remarks)


def test_data_that_are_not_there_are_told_before_a_floor_is_run(plan_content: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="'absent' is not known"):
        carried_out({**plan_content, "dataset": "absent", "floors": "default"})
    assert not Path(plan_content["runs"]).exists()


# ---------------------------------------------------------------- sequential backbones


def test_the_last_interaction_is_asked_of_all(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "backbones": ["SASRec"], "arms": {"wide": {"options": {"inner_size": 16}}}}
    content |= {"options": {**content["options"], **SEQUENTIAL, "eval_args": LAST}, "floors": FLOORS}
    records, events = carried_out(content)
    assert (exit_status(records), left_out(events)) == (0, [])
    rows = summarise(content["runs"], metrics=["ndcg@10"])
    assert [(row.kind, row.arm) for row in rows] == [
        ("floor", "Pop"),
        ("floor", "EASE"),
        ("arm", "wide"),
        ("over", "wide"),
    ]
    assert all((row.unit, row.n_users) == ("users", 40) for row in rows)
    for row in rows[:2]:
        tests = [one.test["ndcg@10"] for one in records if one.arm == row.arm and one.trial is None]
        assert row.mean == pytest.approx(np.mean(tests))
    assert any("leave known items out of their lists" in remark for remark in rows.remarks)
    for record in records:
        if record.trial is None:  # known items stay in a sequential backbone's lists, and not in a floor's
            config = json.loads((record.folder / "config.json").read_text())["recbole"]
            assert config["repeatable"] is (record.backbone == "SASRec")
    kept = list((Path(content["runs"]) / "tiny" / "floors").glob("cases-*.json"))
    assert len(kept) == 1
    kept[0].write_text("{")  # damaged: compared anew
    _, events = carried_out(content)
    assert left_out(events) == []
    assert {event.kind for event in events} == {"start", "kept", "tuned"}


def test_a_kind_of_backbones_has_its_own_split_and_floors_take_it(plan_content: dict[str, Any]) -> None:
    """RecBole's default for sequential models is to leave one out in the order of time, for others it is random."""
    content = {**plan_content, "backbones": ["SASRec", "BPR"], "arms": {}, "floors": ["Pop"], "seeds": 1}
    content["options"] = {**content["options"], "epochs": 1}
    content["backbones"] = [{"name": "SASRec", "options": SEQUENTIAL}, "BPR"]
    records, events = carried_out(content)
    assert left_out(events) == []
    pops = [record for record in records if record.arm == "Pop"]
    assert len({record.folder for record in pops}) == 2
    args = [
        json.loads((record.folder / "config.json").read_text())["recbole"]["eval_args"]["order"]
        for record in pops
    ]
    assert args == ["TO", "RO"]
    rows = summarise(content["runs"], metrics=["ndcg@10"])
    assert [(row.backbone, row.n_users) for row in rows] == [("BPR", 40), ("SASRec", 40)]


@pytest.mark.parametrize(
    ("split", "lengths"),
    [({"RS": [0.8, 0.1, 0.1]}, [20] * 8), ({"LS": "valid_and_test"}, [20] * 8 + [2])],
)
def test_other_cases_are_not_compared(
    split: dict[str, Any],
    lengths: list[int],
    plan_content: dict[str, Any],
    write_interactions: Any,
    tmp_path: Path,
) -> None:
    """Shares of histories; and a user with two interactions, of whom a sequential backbone has no test case."""
    rows = [
        (f"u{user}", f"i{(7 * user + n) % 60}", n)
        for user, length in enumerate(lengths)
        for n in range(length)
    ]
    write_interactions(tmp_path / "data", "tiny", rows)
    content = {**plan_content, "backbones": ["SASRec"], "arms": {"wide": {"options": {"inner_size": 16}}}}
    options = {**SEQUENTIAL, "eval_args": {**LAST, "split": split}, "data_path": str(tmp_path / "data")}
    content["options"] = {**content["options"], **options}
    with registered([Prior, Softmax]):
        records, events = carried_out({**content, "floors": "default"})
    assert exit_status(records) == 0
    (told,) = left_out(events)
    assert told.startswith("SASRec / Pop, ItemKNN, EASE: SASRec is tested on other cases under this split")
    assert not [record for record in records if record.arm in ("Pop", "ItemKNN", "EASE")]
    assert {row.arm for row in summarise(content["runs"]) if row.kind == "floor"} == {"prior", "softmax"}


def test_floors_are_only_counted_without_running(plan_content: dict[str, Any]) -> None:
    plan = make_plan({**plan_content, "floors": FLOORS})
    assert Floors(plan).count() == (4, 3)
