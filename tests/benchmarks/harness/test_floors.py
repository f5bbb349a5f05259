"""Floors of a plan: how they are written, what is tuned for them, and errors with the nearest match."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stand_ins import Prior, Softmax
from tiny_data import Uneven

from burnish.benchmarks.harness import make_plan, n_floor_runs
from burnish.benchmarks.harness.floors import (
    DEFAULT,
    NAMES,
    SHARED,
    Floor,
    all_floors,
    arm_that_is,
    own_space,
)
from burnish.benchmarks.harness.ranges import at_edge
from burnish.enhancers.registry import list_enhancers, registered
from burnish.errors import ConfigurationError, UnknownNameError


@pytest.fixture
def stand_ins() -> Iterator[None]:
    with registered([Prior, Softmax]):
        yield


def floors(content: dict[str, Any], value: Any) -> dict[str, Floor]:
    return all_floors(make_plan({**content, "floors": value}).floors)


def test_default_holds_all_that_are_there(plan_content: dict[str, Any], stand_ins: None) -> None:
    del plan_content["floors"]
    plan = make_plan(plan_content)
    assert list(plan.floors) == [DEFAULT]
    assert list(all_floors(plan.floors)) == list(NAMES) == ["Pop", "ItemKNN", "EASE", "prior", "softmax"]


def test_default_without_an_enhancer_that_is_not_installed(
    plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: info for name, info in list_enhancers().items() if name not in ("prior", "softmax")}
    monkeypatch.setattr("burnish.enhancers.registry.list_enhancers", lambda: known)
    assert list(floors(plan_content, "default")) == list(SHARED)
    with pytest.raises(UnknownNameError, match="floor 'softmax': enhancer 'softmax' is not known"):
        make_plan({**plan_content, "floors": ["Pop", "softmax"]})


@pytest.mark.parametrize("value", [[], {}, "", {"default": False}, {"EASE": False}])
def test_none(value: Any, plan_content: dict[str, Any]) -> None:
    assert floors(plan_content, value) == {}
    assert n_floor_runs(make_plan({**plan_content, "floors": value})) == 0


def test_lists_texts_and_settings(plan_content: dict[str, Any], stand_ins: None) -> None:
    assert (
        list(floors(plan_content, "EASE, Pop"))
        == list(floors(plan_content, ["EASE", "Pop"]))
        == ["Pop", "EASE"]
    )
    own = {"tune": {"reg_weight": [1, 2]}, "options": {"metric_decimal_place": 3}, "trials": 2}
    mixed = floors(plan_content, {"default": None, "EASE": own})
    assert list(mixed) == list(NAMES)
    assert mixed["EASE"] == Floor(**own)
    assert mixed["Pop"] == Floor()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["EAES"], "floor 'EAES' is not known. Did you mean 'EASE'"),
        ("defautl", "floor 'defautl' is not known. Did you mean 'default'"),
        ({"EASE": {"tun": {}}}, "key in floors.EASE 'tun' is not known. Did you mean 'tune'"),
        ({"EASE": {"options": {"softmax.temperature": 1}}}, "floors.EASE: enhancer 'softmax'"),
        ({"softmax": {"tune": {"prior.strength": [1]}}}, "floors.softmax: enhancer 'prior'"),
        ({"softmax": {"tune": {"softmax.temperatur": [1]}}}, "'temperatur' .* mean 'temperature'"),
        ({"softmax": {"options": {"softmax.temperatur": 1}}}, "'temperatur' .* mean 'temperature'"),
    ],
)
def test_names_that_do_not_exist(
    value: Any, message: str, plan_content: dict[str, Any], stand_ins: None
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        make_plan({**plan_content, "floors": value})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "floors = None: give default, a list of Pop, "),
        (3, "floors = 3: give default"),
        ([["Pop"]], "give default, a list"),
        (["Pop", "Pop"], "'Pop' is listed twice"),
        ({"default": {"trials": 2}}, "default stands for a list and has no settings"),
        ({"EASE": {"tune": {"reg_weight": []}}}, "no values to try for 'reg_weight'"),
        ({"EASE": {"trials": 0}}, "floors.EASE.trials = 0"),
        ({"EASE": {"options": {"seed": 1}}}, "option 'seed' has no effect here"),
        ({"EASE": {"tune": {"enhancers": [1]}}}, "option 'enhancers' has no effect here"),
        ({"EASE": 3}, "floors.EASE = 3"),
        (
            {"Pop": {"options": {"eval_args": {"mode": "uni100"}}}},
            "Pop.options.*'eval_args' has no place here",
        ),
        ({"EASE": {"tune": {"eval_args": [{"mode": "full"}]}}}, "EASE.tune.*'eval_args' has no place here"),
        (
            {"EASE": {"tune": {"reg_weight": [1, "x"]}}},
            "plan: floors.EASE.tune: reg_weight = 'x': give a number",
        ),
        ({"ItemKNN": {"tune": {"k": [0.5]}}}, "floors.ItemKNN.tune: k = 0.5: give a whole number"),
        ({"softmax": {"tune": {"learning_rate": [0, 0.1]}}}, "floors.softmax.tune: learning_rate = 0"),
        *(
            (
                {"softmax": {"tune": {"softmax.temperature": values}}},
                "plan: floors.softmax.tune: .*temperature = 0: .*'softmax.temperature' is to try it; leave it out",
            )
            for values in ([0], [0, 0.2], [0.2, 0])
        ),
        ({"softmax": {"options": {"softmax.temperature": -1}}}, "floor 'softmax': .*temperature = -1"),
    ],
)
def test_values_that_cannot_be(
    value: Any, message: str, plan_content: dict[str, Any], stand_ins: None
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_plan({**plan_content, "floors": value})


WALK = "user -rated-> item <-rated- user -rated-> item"


def test_any_model_that_ranks_can_be_a_floor(plan_content: dict[str, Any], stand_ins: None) -> None:
    own = {"options": {"walks": {"metapaths": WALK}}, "tune": {"walks.hide": [0.1, 0.3]}}
    mixed = floors(plan_content, {"PathWalks": own, "default": None, "SLIMElastic": None})
    assert list(mixed) == [*NAMES, "PathWalks", "SLIMElastic"]
    assert own_space("PathWalks", mixed["PathWalks"]) == {"walks.hide": [0.1, 0.3]}
    assert own_space("SLIMElastic", mixed["SLIMElastic"]) == {}
    assert list(floors(plan_content, "LightGCN, Pop")) == ["Pop", "LightGCN"]
    assert "PathWalks" not in floors(plan_content, "default")
    plan = make_plan({**plan_content, "backbones": ["BPR", "LightGCN"], "floors": {"PathWalks": own}})
    assert n_floor_runs(plan) == 2


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (["PathWalk"], UnknownNameError, "floor 'PathWalk' is not known. Did you mean 'PathWalks'"),
        (["SASRec"], ConfigurationError, "floors.SASRec: a sequential model reads other rows .* `backbones`"),
        (["KGAT"], ConfigurationError, "floors.KGAT: a knowledge model"),
        (["EMF"], ConfigurationError, "floors.EMF: it predicts ratings"),
        (["BPR"], ConfigurationError, "floors.BPR: BPR is the plan's backbone"),
        (
            {"PathWalks": {"options": {"walks": {"hid": 0.1}}}},
            UnknownNameError,
            "floors.PathWalks.options: walks: option 'hid' is not known. Did you mean 'hide'",
        ),
        (
            {"PathWalks": {"options": {"walks": {"graph": {"item_column": []}}}}},
            UnknownNameError,
            "floors.PathWalks.options: walks: option in graph 'item_column'.*mean 'item_columns'",
        ),
        (
            {"PathWalks": {"tune": {"walks.hid": [0.1]}}},
            UnknownNameError,
            "floors.PathWalks.tune: walks: option 'hid'.*mean 'hide'",
        ),
        (
            {"PathWalks": {"options": {"walks.hide": 0.1}, "tune": {"walks.normalise": ["walk", "walks"]}}},
            ConfigurationError,
            "floors.PathWalks.tune: walks: normalise = 'walks'",
        ),
        (
            {"PathWalks": {"tune": {"walk.hide": [0.1]}}},
            UnknownNameError,
            "floors.PathWalks: option 'walk' is not known. Did you mean 'walks'",
        ),
        ({"PathWalks": {"options": {"walks": 3}}}, ConfigurationError, "walks = 3: give a mapping"),
        (
            {"PathWalks": {"tune": {"learning_rate": [0]}}},
            ConfigurationError,
            "floors.PathWalks.tune: learning_rate = 0",
        ),
    ],
)
def test_models_that_cannot_be_floors(
    value: Any, error: type[Exception], message: str, plan_content: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        make_plan({**plan_content, "floors": value})


def test_what_is_tried(stand_ins: None) -> None:
    assert own_space("Pop", Floor()) == {}
    assert (
        own_space("EASE", Floor())["reg_weight"][0]
        < 50
        < 5000
        <= own_space("EASE", Floor())["reg_weight"][-1]
    )
    assert list(own_space("ItemKNN", Floor())) == ["k", "shrink"]
    assert own_space("EASE", Floor(options={"reg_weight": 7})) == {}
    assert own_space("EASE", Floor(tune={})) == {}
    assert own_space("EASE", Floor(tune={"reg_weight": [3]})) == {"reg_weight": [3]}
    assert list(own_space("softmax", Floor())) == ["softmax.temperature"]
    with registered([type("Other", (Uneven,), {"name": "softmax"})]):  # an enhancer without that option
        assert own_space("softmax", Floor()) == {}


def test_an_arm_that_is_a_floor(plan_content: dict[str, Any], stand_ins: None) -> None:
    arms = make_plan(
        {
            **plan_content,
            "arms": {
                "own": {"softmax": {"temperature": 0.3}},
                "objective": "softmax",
                "prior": {"enhancers": {"prior": {}}, "options": {"epochs": 2}},
                "both": "prior,softmax",
            },
        }
    ).arms
    assert arm_that_is("softmax", arms) == "objective"
    assert arm_that_is("prior", arms) == "prior"
    assert arm_that_is("softmax", {"own": arms["own"], "both": arms["both"]}) is None


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({"tune": {"softmax.temperature": [0.1, 0.2]}}, "tune.softmax.temperature"),
        ({"tune": {"softmax.temperature": [0.1, 0.2, 0.5]}}, None),
        ({"tune": {"learning_rate": [0.01, 0.1], "softmax.temperature": [0.1, 0.2, 0.5]}}, None),
        ({"tune": {"learning_rate": [0.1]}}, "tune.learning_rate"),
        ({"tune": {"softmax.temperature": [0.5, 0.1, 0.2]}}, None),
        ({"tune": {"softmax.temperature": [0.5, 0.1, 0.2, 0.1]}}, None),
        ({"tune": {"softmax.temperature": [0.5, 0.1, 0.2, 0.3]}}, "tune.softmax.temperature"),
        ({"tune": {"learning_rate": ["1e-1", 0.01]}}, None),
        ({"options": {"epochs": "1"}}, None),
        ({"options": {"softmax.spread": "0.25"}}, None),
        ({"tune": {}}, None),
        ({"trials": 4}, None),
        ({"trials": 3}, "trials"),
        ({"options": {"softmax.spread": 0.25}}, None),
        ({"options": {"softmax.spread": 0.5}}, "options.softmax.spread"),
        ({"tune": {"softmax.spread": [0.25]}}, None),
        ({"tune": {"softmax.spread": [0.25, 1]}}, "tune.softmax.spread"),
        ({"options": {"epochs": 1}}, None),
        ({"options": {"epochs": 2}}, "options.epochs"),
        ({"options": {"weight_decay": 0.1}}, "options.weight_decay"),
        ({"options": {"softmax.temperature": 0.2}}, "options.softmax.temperature"),
    ],
)
def test_settings_of_a_floor_that_an_arm_stands_for(
    settings: dict[str, Any], idle: str | None, plan_content: dict[str, Any], stand_ins: None
) -> None:
    """They were dropped without a word, so that the arms were held against a weaker floor."""
    space = {"learning_rate": [0.01, 0.1], "softmax.temperature": [1, 2]}
    tune = {"trials": 4, "space": space, "arms": {"softmax": {"softmax.temperature": [0.1, 0.2, 0.5]}}}
    content = {**plan_content, "arms": {"softmax": {"softmax": {"spread": 0.25}}}, "tune": tune}
    content["floors"] = {"Pop": {}, "softmax": settings}
    if idle is None:
        make_plan(content)
        return
    with pytest.raises(
        ConfigurationError, match=rf"plan: floors\.softmax\.{idle} has no effect: the arm 'softmax'"
    ):
        make_plan(content)


@pytest.mark.parametrize(
    ("allowed", "trials", "same"), [(4, 2, True), (2, 4, True), (2, 2, True), (1, 2, False), (2, 1, False)]
)
def test_trials_that_are_no_limit(
    allowed: int, trials: int, same: bool, plan_content: dict[str, Any], stand_ins: None
) -> None:
    """Two values can be tried in two trials at most, whatever else is allowed."""
    tune = {"trials": allowed, "arms": {"softmax": {"softmax.temperature": [0.1, 0.2]}}}
    content = {**plan_content, "arms": {"softmax": "softmax"}, "tune": tune}
    content["floors"] = {"softmax": {"trials": trials}}
    if same:
        make_plan(content)
        return
    with pytest.raises(ConfigurationError, match=r"floors\.softmax\.trials has no effect"):
        make_plan(content)


def test_settings_of_a_floor_beside_an_arm_of_another_label(
    plan_content: dict[str, Any], stand_ins: None
) -> None:
    floor = {"softmax": {"tune": {"softmax.temperature": [0.1, 0.2, 0.5]}, "trials": 3}}
    words = r"floors\.softmax\.tune\.softmax\.temperature has no .* say it in tune\.arms\.my, or leave the arm out"
    with pytest.raises(ConfigurationError, match=words):
        make_plan({**plan_content, "arms": {"my": "softmax"}, "floors": floor})
    with pytest.raises(
        ConfigurationError, match=r"floors\.softmax\.trials has no effect.* say it in tune\.trials"
    ):
        make_plan({**plan_content, "arms": {"my": "softmax"}, "floors": {"softmax": {"trials": 3}}})
    make_plan({**plan_content, "arms": {"my": {"softmax": {"temperature": 0.3}}}, "floors": floor})


def test_edges() -> None:
    space = {"k": [20, 50, 100], "shrink": [0.0, 10.0, 100.0], "two": [1, 2], "words": ["a", "b", "c"]}
    assert at_edge(space, {"k": 100, "shrink": 0.0, "two": 1, "words": "a"}) == ["k"]
    assert at_edge(space, {"k": 50, "shrink": 100.0, "two": 2, "words": "c"}) == ["shrink"]


def test_runs_are_counted_once_for_backbones_with_the_same_data(
    plan_content: dict[str, Any], stand_ins: None
) -> None:
    backbones = [
        "BPR",
        {"name": "LightGCN", "options": {"n_layers": 1}, "seeds": [2020, 2021, 2022]},
        {"name": "BPR", "label": "less", "options": {"user_inter_num_interval": "[5,inf)"}},
    ]
    plan = make_plan({**plan_content, "backbones": backbones, "floors": "default"})
    # Pop, ItemKNN and EASE on three seeds and on two of other data; two floors of the backbones.
    assert n_floor_runs(plan) == 3 * (3 + 2) + 2 * (2 + 3 + 2)
    arms = {"softmax": "softmax"}
    assert n_floor_runs(make_plan({**plan_content, "arms": arms, "floors": ["Pop", "softmax"]})) == 2
