"""Names and settings of splits, what they are among RecBole's options, and what is refused."""

from __future__ import annotations

import warnings
from datetime import date, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from burnish.cli.main import app
from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError
from burnish.splits import as_option, eval_args_of, with_split
from burnish.training.request import make_config
from burnish.training.train import train


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("random", {"random": {"valid": 0.1, "test": 0.1}}),
        ("Leave_One_Out", {"leave-one-out": {}}),
        ("leave one out", {"leave-one-out": {}}),
        ({"time": None}, {"time": {"valid": 0.1, "test": 0.1}}),
        ({"time": {"test": 0.25}}, {"time": {"valid": 0.1, "test": 0.25}}),
        (
            {"time": {"valid_from": date(1998, 3, 1), "test_from": datetime(1998, 4, 1, 12)}},
            {"time": {"valid_from": "1998-03-01", "test_from": "1998-04-01T12:00:00"}},
        ),
        ({"time": {"valid_from": "5", "test_from": 7}}, {"time": {"valid_from": 5.0, "test_from": 7.0}}),
    ],
)
def test_ways_to_say_it(value: Any, written: dict[str, Any]) -> None:
    assert as_option(value) == written
    assert as_option(written) == written


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("tme", "split 'tme' is not known. Did you mean 'time'? Known: leave-one-out, random, time"),
        ({"time": {"tets": 0.2}}, "split: time: setting 'tets' is not known. Did you mean 'test'?"),
        ({"time": {"valid_fro": 1, "test_from": 2}}, "'valid_fro' is not known. Did you mean 'valid_from'?"),
        ({"time": {"test": 0}}, "split: time: test = 0: Input should be greater than 0"),
        ({"time": {"test": 0.6, "valid": 0.4}}, "valid = 0.4 and test = 0.6 leave nothing to train on"),
        ({"time": {"test_from": 3}}, "split: time: 'valid_from' is missing"),
        ({"time": {"valid_from": "soon", "test_from": "1998"}}, "'soon' is no date; write one as 1998-03-01"),
        (
            {"time": {"valid_from": "1998-04-01", "test_from": "1998-03-01"}},
            "valid_from = 1998-04-01 is not before test_from = 1998-03-01",
        ),
        ({"leave-one-out": {"test": 0.1}}, "split: leave-one-out has no settings; leave out 'test'"),
        ({"time": 0.1}, "split: time = 0.1: give settings, as in {valid: 0.1, test: 0.1}"),
        ({"time": {}, "random": {}}, "give random, leave-one-out, time, or one of them with its settings"),
        (5, "split = 5: give random, leave-one-out, time"),
    ],
)
def test_what_is_refused(value: Any, says: str) -> None:
    with pytest.raises(BurnishError) as caught:
        as_option(value)
    assert says in str(caught.value)


def test_what_they_are_in_recboles_words() -> None:
    by_time = {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "TO", "group_by": "none"}
    assert eval_args_of({"time": {"test": 0.2}}, None) == by_time
    assert eval_args_of("leave-one-out", {"mode": "uni100"}) == {
        **{"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"},
        "mode": "uni100",
    }
    assert eval_args_of("random", {"order": "RO", "group_by": "user"})["split"] == {"RS": [0.8, 0.1, 0.1]}
    # Of RecBole's own words those that say the same may stay.
    assert eval_args_of("time", {"group_by": None, "split": {"RS": [0.8, 0.1, 0.1]}})["group_by"] == "none"


@pytest.mark.parametrize(
    ("args", "key"),
    [
        ({"order": "RO"}, "order"),
        ({"split": {"LS": "valid_only"}}, "split"),
        ({"group_by": "user"}, "group_by"),
    ],
)
def test_two_things_at_once(args: dict[str, Any], key: str, small: dict[str, Any]) -> None:
    with pytest.raises(BurnishError, match=rf"split = 'time' and eval_args.{key} = .* say different things"):
        train("BPR", "tiny", options={**small, "split": "time", "eval_args": args})
    with pytest.raises(BurnishError, match="say different things"):
        with_split({"split": "random"}, "time")


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_recbole_is_told(model: str, small: dict[str, Any]) -> None:
    """Whatever the kind of model says of evaluation by default; and the mode that was given stays."""
    options = {"data_path": small["data_path"], "train_neg_sample_args": None} if model == "SASRec" else small
    for name, order in (("time", "TO"), ("leave-one-out", "TO"), ("random", "RO")):
        if (model, order) == ("SASRec", "RO"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = make_config(find_backbone(model), "tiny", {}, {**options, "split": name})
        assert config["eval_args"]["order"] == order
        assert {key: config["eval_args"][key] for key in ("split", "group_by")} == {
            key: value for key, value in eval_args_of(name, None).items() if key != "order"
        }
        if order == "TO":
            assert "timestamp" in config["load_col"]["inter"]


def test_files_of_parts_are_no_place_for_it(small: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = {"benchmark_filename": ["train", "valid", "test"], "split": "time"}
        make_config(find_backbone("BPR"), "tiny", {}, {**small, **parts}, files=False)
    assert any("has no effect where benchmark_filename names" in str(one.message) for one in caught)


def test_on_the_command_line(small: dict[str, Any]) -> None:
    words = [
        "run",
        "--model",
        "BPR",
        "--dataset",
        "tiny",
        "--data_path",
        str(small["data_path"]),
        "--epochs",
        "1",
    ]
    done = CliRunner().invoke(app, [*words, "--split", "tim"])
    assert done.exit_code == 2
    assert "Did you mean 'time'" in done.output
    done = CliRunner().invoke(app, [*words, "--split", "{time: {test: 0.3}}", "--format", "json"])
    assert done.exit_code == 0, done.output
