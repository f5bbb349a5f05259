"""`split: time` against a split by pandas, on data with many rows of one instant; what training sees of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import burnish
from burnish.errors import ConfigurationError, DataError
from burnish.training.load import load_run
from burnish.training.train import resume, train

#: 1998-01-01, in seconds.
BEGIN = 883_612_800


def table(seed: int, instants: int = 40, unit: int = 1, begin: int = 0) -> pd.DataFrame:
    """480 interactions, no pair twice, at few instants; in the order of time, and all users and items come early."""
    draw = np.random.default_rng(seed)
    pairs = draw.permutation([(user, item) for user in range(40) for item in range(30)])
    first = [(user, user % 30) for user in range(40)]
    rest = [tuple(pair) for pair in pairs.tolist() if tuple(pair) not in set(first)][:440]
    times = np.sort(draw.integers(0, instants, 480)) * unit + begin
    rows = [(f"u{user}", f"i{item}", time) for (user, item), time in zip([*first, *rest], times, strict=True)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def write(folder: Path, name: str, frame: pd.DataFrame) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    heads = ["user_id:token", "item_id:token", "timestamp:float"]
    frame.set_axis(heads, axis=1).to_csv(folder / name / f"{name}.inter", sep="\t", index=False)


def by_pandas(frame: pd.DataFrame, valid: float, test: float) -> list[pd.DataFrame]:
    """The latest rows for test, those before for validation; an instant belongs to its later side as a whole."""
    n_test, n_valid = int(test * len(frame)), int(valid * len(frame))
    test_from = frame.timestamp.nlargest(n_test).min()
    valid_from = frame.timestamp.nlargest(n_test + n_valid).min()
    return cut(frame, valid_from, test_from)


def cut(frame: pd.DataFrame, valid_from: float, test_from: float) -> list[pd.DataFrame]:
    times = frame.timestamp
    return [
        frame[times < valid_from],
        frame[(times >= valid_from) & (times < test_from)],
        frame[times >= test_from],
    ]


def rows(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(frame.user_id, frame.item_id, strict=True))


def parts(result: Any) -> list[set[tuple[str, str]]]:
    """Who interacted with what in each part, by token."""
    found = []
    for part in (result.splits.training, result.splits.validation, result.splits.test):
        users, items = (part.id2token(name, part.inter_feat[name].numpy()) for name in ("user_id", "item_id"))
        found.append(set(zip(users, items, strict=True)))
    return found


@pytest.fixture
def trained(small: dict[str, Any], tmp_path: Path) -> Any:
    """Trains BPR, or another model, on a table with a split."""

    def train_on(frame: pd.DataFrame, split: Any, model: str = "BPR", **more: Any) -> Any:
        write(tmp_path / "data", "d", frame)
        given = {name: value for name, value in small.items() if name != "load_col"}
        options = {**given, "data_path": str(tmp_path / "data"), "epochs": 1, "split": split}
        return train(model, "d", options={**options, **more.pop("options", {})}, **more)

    return train_on


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_those_of_pandas(seed: int, trained: Any) -> None:
    valid, test = [(0.1, 0.1), (0.2, 0.15), (0.05, 0.3), (0.0, 0.2)][seed]
    frame = table(seed)
    wanted = by_pandas(frame, valid, test)
    split = "time" if seed == 0 else {"time": {"valid": valid, "test": test}}
    options = {} if valid else {"eval_step": 0}
    result = trained(frame, split, options=options)
    if valid:
        assert parts(result) == [rows(part) for part in wanted]
        assert wanted[0].timestamp.max() < wanted[1].timestamp.min()
        assert wanted[1].timestamp.max() < wanted[2].timestamp.min()
    else:
        assert len(result.splits.training) == len(wanted[0])


def test_recboles_order_of_time_cuts_instants_in_two(trained: Any) -> None:
    """Why there is a cut of our own: the same shares by numbers of rows."""
    frame = table(0)
    args = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "none"}
    by_rows = parts(trained(frame, None, options={"eval_args": args}))
    when = {(user, item): time for user, item, time in frame.itertuples(index=False)}
    training, validation = ({when[pair] for pair in part} for part in by_rows[:2])
    assert max(training) == min(validation)


def test_without_equal_times_it_is_recboles(trained: Any) -> None:
    frame = table(1).assign(timestamp=np.arange(480) * 7)
    args = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "none"}
    one = trained(frame, "time")
    other = trained(frame, None, options={"eval_args": args})
    assert parts(one) == parts(other)
    assert one.losses == other.losses
    assert one.test_result == other.test_result


@pytest.mark.parametrize(
    ("unit", "begin"),
    [(86_400, BEGIN), (86_400_000, BEGIN * 1000), (86_400 * 10**9, BEGIN * 10**9)],
    ids=["seconds", "milliseconds", "nanoseconds"],
)
@pytest.mark.parametrize(
    "dates", [("1998-01-20", "1998-02-01"), ("1998-01-20T01:00+01:00", "1998-01-31T23:59:59")]
)
def test_dates(unit: int, begin: int, dates: tuple[str, str], trained: Any) -> None:
    frame = table(2, unit=unit, begin=begin)
    wanted = cut(frame, begin + 19 * unit, begin + 31 * unit)
    result = trained(frame, {"time": dict(zip(("valid_from", "test_from"), dates, strict=True))})
    assert parts(result) == [rows(part) for part in wanted]


def test_numbers_that_double_precision_merges(trained: Any) -> None:
    """Nanoseconds that differ by 100, of which float64 has steps of 256."""
    frame = table(3, unit=100, begin=1_600_000_000_000_000_000)
    wanted = by_pandas(frame, 0.1, 0.1)
    result = trained(frame, "time", options={"normalize_all": False})
    assert parts(result) == [rows(part) for part in wanted]


def test_numbers_as_they_stand_in_the_data(trained: Any) -> None:
    frame = table(3)
    result = trained(frame, {"time": {"valid_from": 30, "test_from": 35.5}})
    assert parts(result) == [rows(part) for part in cut(frame, 30, 35.5)]


def test_a_sequential_model_is_cut_at_the_same_times(trained: Any) -> None:
    """Its rows are targets with the history before them: those at or after a cut are on its later side."""
    frame = table(4)
    wanted = by_pandas(frame, 0.1, 0.1)
    result = trained(frame, "time", model="GRU4Rec", options={"train_neg_sample_args": None})
    first = frame.sort_values("timestamp", kind="stable").groupby("user_id").head(1)
    targets = [rows(part) - rows(first) for part in wanted]
    found = parts(result)
    assert [len(part) for part in found] == [len(part) for part in targets]
    # Of rows at one instant either may be a user's first.
    assert all(len(one - other) <= 2 for one, other in zip(found, targets, strict=True))
    latest = frame.set_index(["user_id", "item_id"]).timestamp
    assert max(latest[pair] for pair in found[0]) < min(latest[pair] for pair in found[1])
    assert max(latest[pair] for pair in found[1]) < min(latest[pair] for pair in found[2])


def test_training_knows_nothing_of_what_comes_after(trained: Any, tmp_path: Path) -> None:
    """With other items in all rows of validation and test, training rows, losses and weights are the same."""
    frame = table(5)
    before, *after = by_pandas(frame, 0.1, 0.1)
    later = pd.concat(after)
    # Items by the other end of the list, times in another order above the cut.
    other = later.assign(item_id=later.item_id.to_numpy()[::-1], timestamp=later.timestamp + 1000)
    changed = pd.concat([before, other])
    assert rows(changed) != rows(frame)
    options = {"epochs": 3, "eval_step": 3}
    one = trained(frame, "time", options=options)
    split = {"time": {"valid_from": after[0].timestamp.min(), "test_from": after[1].timestamp.min() + 1000}}
    two = trained(changed, split, options=options)
    assert parts(one)[0] == parts(two)[0] == rows(before)
    assert parts(one)[1:] != parts(two)[1:]
    assert one.losses == two.losses
    mine, theirs = one.model.state_dict(), two.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    # With other training rows they are not.
    third = pd.concat([before.iloc[1:], later])
    assert trained(third, "time", options=options).losses != one.losses


def test_a_run_is_read_and_goes_on_with_its_split(
    trained: Any, small: dict[str, Any], tmp_path: Path
) -> None:
    frame = table(6)
    split = {"time": {"valid": 0.2, "test": 0.2}}
    wanted = [rows(part) for part in by_pandas(frame, 0.2, 0.2)]
    with_mode = {"options": {"epochs": 2, "eval_args": {"mode": "uni5"}}}
    whole = trained(frame, split, **with_mode)
    run = trained(
        frame, split, folder=tmp_path / "run", save_every=1, options={"eval_args": {"mode": "uni5"}}
    )
    assert run.config["eval_args"]["mode"] == {"valid": "uni5", "test": "uni5"}
    assert parts(run) == wanted
    loaded = load_run(tmp_path / "run")
    assert [len(one) for one in (loaded.splits.training, loaded.splits.validation)] == [
        len(one) for one in wanted[:2]
    ]
    longer = resume(tmp_path / "run", options={"epochs": 2})
    assert longer.losses == whole.losses
    with pytest.raises(ConfigurationError, match="split"):
        resume(tmp_path / "run", options={"epochs": 3, "split": "random"})


def test_a_config_file_with_dates_as_yaml_reads_them(small: dict[str, Any], tmp_path: Path) -> None:
    frame = table(7, unit=86_400, begin=BEGIN)
    write(tmp_path / "data", "d", frame)
    file = tmp_path / "dated.yaml"
    file.write_text("split:\n  time: {valid_from: 1998-01-20, test_from: 1998-02-01}\n")
    given = {name: value for name, value in small.items() if name != "load_col"} | {
        "data_path": str(tmp_path / "data")
    }
    result = burnish.run("BPR", "d", config=given, config_files=[file], folder=tmp_path / "run")
    assert parts(result) == [rows(part) for part in cut(frame, BEGIN + 19 * 86_400, BEGIN + 31 * 86_400)]


def test_parts_that_would_be_empty(trained: Any) -> None:
    with pytest.raises(
        DataError, match=r"nothing is left for validation in 'd': .* from 0 to 2 \(3 of them\)"
    ):
        trained(table(8, instants=3), "time")
    with pytest.raises(DataError, match="nothing is left for training"):
        trained(table(8, instants=1), "time")
    frame = table(8, unit=86_400, begin=BEGIN)
    with pytest.raises(DataError, match=r"nothing is left for test .*test from 1999-01-01 00:00:00"):
        trained(frame, {"time": {"valid_from": "1998-01-20", "test_from": "1999-01-01"}})
    with pytest.raises(
        ConfigurationError, match="'1998-01-20' is a date, and the times of the data, 0 to 39"
    ):
        trained(table(8), {"time": {"valid_from": "1998-01-20", "test_from": "1999-01-01"}})
