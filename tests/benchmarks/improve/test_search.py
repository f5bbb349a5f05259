"""Successive halving, on runs whose values are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_search import RATES, WAYS, by_way, rate_of

from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.improve import search as module
from burnish.benchmarks.improve.families import Family
from burnish.benchmarks.improve.rungs import halve
from burnish.benchmarks.improve.tried import News, Tried, in_words
from burnish.errors import BurnishError, ConfigurationError, DataError

#: With one in the place of `compress`, and one that goes where that goes.
TIED = [
    *WAYS,
    Family("distil", "", {"distil": {}}, {"learning_rate": RATES}, instead_of="compress"),
    Family("line", "", {"compress": {}}, {"learning_rate": RATES}, as_well_as="compress"),
]


def test_the_best_way_and_setting_win(made: Callable[..., Any]) -> None:
    search, _ = made(by_way({"softmax": 0.5, "aggregate": 0.4, "plain": 0.3}), budget=7.0, reserve=0.2)
    halve(search)
    winner = search.winner()
    assert winner is not None
    assert winner.family == "softmax"
    assert winner == search.best_of("softmax")
    assert (
        winner.settings["learning_rate"] != 0.001
    )  # another one than the first was tried, and is nearer to the best
    assert winner.epochs == 90  # it had all epochs in the end
    # Plain stays, the prior and the worse half do not.
    assert [one["ways"] for one in search.rungs] == [6, 3, 2]
    assert [one["epochs"] for one in search.rungs] == [11, 33, 90]


def test_plain_has_as_many_settings_as_the_winner(made: Callable[..., Any]) -> None:
    search, _ = made(by_way({"softmax": 0.5, "plain": 0.3}))
    halve(search)
    settings = {
        name: {str(one.settings) for one in search.tried if one.family == name}
        for name in ("plain", "softmax")
    }
    assert len(settings["plain"]) == len(settings["softmax"]) > 1
    best = search.best_of("plain")
    assert best is not None
    assert best.settings["learning_rate"] == 0.005


def test_fewer_ways_go_on_where_more_epochs_are_too_dear_for_all(made: Callable[..., Any]) -> None:
    """Thrice the epochs for the three ways that are left would take longer than there is time, for two they do not."""
    search, done = made(by_way({"softmax": 0.5, "average": 0.4, "plain": 0.3}), budget=2.0, reserve=0.2)
    halve(search)
    assert [(one["ways"], one["epochs"]) for one in search.rungs][:2] == [(6, 10), (2, 30)]
    assert {spec.arm for spec in done if spec.options["epochs"] == 30} == {"plain", "softmax"}
    again, _ = made(by_way({"softmax": 0.5, "average": 0.4, "plain": 0.3}), budget=2.0, reserve=0.2)
    halve(again)  # decided once, with how many ways
    assert again.rungs == search.rungs


def test_what_is_left_goes_into_more_settings(made: Callable[..., Any]) -> None:
    """Thrice the epochs are too dear for half of the ways, too; more settings with as many epochs are not."""
    search, _ = made(by_way({"softmax": 0.5, "plain": 0.3}), budget=1.35, reserve=0.2)
    halve(search)
    assert [one["epochs"] for one in search.rungs][:2] == [10, 10]
    settings = {
        name: {str(one.settings) for one in search.tried if one.family == name}
        for name in ("plain", "softmax")
    }
    assert len(settings["plain"]) == len(settings["softmax"]) > 1
    assert search.clock.left < 0.2 * 1.35 + 0.3


def test_runs_that_ended_by_themselves_are_not_trained_again(made: Callable[..., Any]) -> None:
    search, done = made(by_way({"softmax": 0.5, "plain": 0.3}), ends=8, budget=7.0, reserve=0.2)
    halve(search)
    assert len({one["epochs"] for one in search.rungs}) > 1
    assert all(one.ended for one in search.tried)
    assert len({(spec.arm, rate_of(spec)) for spec in done if spec.options["epochs"] > 3}) == len(
        search.tried
    )
    assert search.cost("softmax", 90) == pytest.approx(
        max(one.seconds for one in search.tried if one.family == "softmax")
    )


def test_a_slow_backbone_keeps_to_the_budget(made: Callable[..., Any]) -> None:
    """A look at every way would take ten times as long as there is time: what does not fit is left for another day."""
    told: list[News] = []
    search, done = made(by_way({"softmax": 0.5}), budget=0.36, reserve=0.2, tell=told.append)
    halve(search)
    assert {spec.arm for spec in done} == {"plain", "prior"}
    assert search.no_time == ["softmax", "average", "compress", "aggregate"]
    assert [news.message.partition(":")[0] for news in told if news.kind == "no time"] == search.no_time
    again, _ = made(by_way({"softmax": 0.5}), budget=0.36, reserve=0.2)
    halve(again)
    assert again.no_time == search.no_time  # decided once, whatever the clock says now


@pytest.mark.parametrize(("helps", "spent"), [(True, (1.0, 2.0)), (False, (3.5, 4.1))])
def test_time_for_a_test_is_kept_as_soon_as_there_is_something_to_test(
    helps: bool, spent: tuple[float, float], made: Callable[..., Any]
) -> None:
    search, _ = made(by_way({"softmax": 0.5 if helps else 0.05, "plain": 0.3}), budget=4.0, reserve=0.5)
    halve(search)
    search.winner()
    assert spent[0] < search.clock.spent <= spent[1]


def test_a_tight_budget_ends_after_a_look_at_every_way(made: Callable[..., Any]) -> None:
    search, done = made(by_way({"softmax": 0.5}), budget=1.2, reserve=0.3)
    halve(search)
    assert {spec.arm for spec in done} == {way.name for way in WAYS}
    assert all(one.epochs == 10 for one in search.tried)


def test_it_goes_on_with_the_same_decisions_and_trains_nothing_twice(made: Callable[..., Any]) -> None:
    value = by_way({"softmax": 0.5, "aggregate": 0.4, "plain": 0.3})

    class StopError(Exception):
        pass

    def stop(news: News) -> None:
        if news.kind == "done" and len(done) == 9:
            raise StopError

    search, done = made(value, tell=stop)
    with pytest.raises(StopError):
        halve(search)
    again, more = made(value)
    assert again.clock.spent == pytest.approx(search.clock.spent, abs=0.2)
    # What is there is read; here the values are made up, and so "read" by training again but for the count of news.
    halve(again)
    whole, _ = made(value)
    assert [one.settings for one in again.tried] == [one.settings for one in search.tried] + [
        one.settings for one in again.tried[len(search.tried) :]
    ]
    assert again.rungs[: len(search.rungs)] == search.rungs
    assert len(more) > 0
    assert whole.clock.spent >= again.clock.spent - 1


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"decided": 3, "spent": 1}', '{"decided": {}, "spent": "x"}']
)
def test_decisions_of_another_shape_are_damaged(
    content: str, made: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(DataError, match=r"state\.json is damaged .*remove the folder to begin anew"):
        made(by_way({}))


def test_more_time_makes_other_decisions(made: Callable[..., Any]) -> None:
    value = by_way({"softmax": 0.5, "plain": 0.3})
    short, _ = made(value, budget=1.0, reserve=0.3)
    short.lengthen(1.0)
    halve(short)
    longer, _ = made(value, budget=600.0)
    longer.lengthen(600.0)
    halve(longer)
    assert len(longer.tried) > len(short.tried)
    same, _ = made(value, budget=600.0)
    same.lengthen(600.0)
    halve(same)
    assert [one.settings for one in same.tried] == [one.settings for one in longer.tried]


def test_what_is_refused_is_left_out_with_the_reason(made: Callable[..., Any]) -> None:
    def value(spec: RunSpec) -> float:
        if spec.arm == "compress":
            raise ConfigurationError("the score is no product")
        return by_way({"softmax": 0.5})(spec)

    news: list[News] = []
    search, _ = made(value, ways=TIED, tell=news.append)
    halve(search)
    assert search.left_out == dict.fromkeys(["compress", "line"], "the score is no product")
    told = [one.message for one in news if one.kind == "left out"]
    assert told == ["compress: the score is no product", "line: as compress"]
    assert not any(one.family == "line" for one in search.tried)
    # What stands in its place is tried then, and only then.
    assert any(one.family == "distil" for one in search.tried)


def test_what_stands_in_the_place_of_another_way_is_tried_where_that_does_not_go(
    made: Callable[..., Any],
) -> None:
    search, done = made(by_way({"softmax": 0.5, "distil": 0.9}), ways=TIED)
    halve(search)
    assert {spec.arm for spec in done} == {way.name for way in TIED} - {"distil"}
    winner = search.winner()
    assert winner is not None
    assert winner.family == "softmax"


def test_a_way_that_fails_once_keeps_its_other_settings(made: Callable[..., Any]) -> None:
    def value(spec: RunSpec) -> float:
        return float("nan") if rate_of(spec) == 0.001 else by_way({"softmax": 0.5})(spec)

    search, _ = made(value)
    halve(search)
    best = search.best_of("softmax")
    assert best is None or best.settings["learning_rate"] != 0.001


def test_a_second_seed_decides_among_the_best(made: Callable[..., Any]) -> None:
    def value(spec: RunSpec) -> float:
        luck = 0.2 if spec.arm == "softmax" and spec.seed == 7 else 0.0
        return by_way({"softmax": 0.3, "aggregate": 0.4, "plain": 0.1})(spec) + luck

    search, done = made(value)
    halve(search)
    assert search.best_of("softmax").value > search.best_of("aggregate").value
    winner = search.winner()
    # .5 and .3 on average against .4 twice: equal on two seeds would be settled by the first.
    assert {spec.seed for spec in done} == {7, 8}
    assert winner is not None
    assert winner.family in ("softmax", "aggregate")
    assert len([spec for spec in done if spec.seed == 8]) == module.FINALISTS


def test_smaller_is_better_for_errors(made: Callable[..., Any]) -> None:
    search, _ = made(lambda spec: 1.0)
    search.metric = "rmse"
    record = replace(
        RunRecord("tiny", "BPR", "plain", 1, 0, Path(), "done"), valid={"rmse": 2.0}, seconds=1.0
    )
    assert search._value(record) == -2.0


def test_floors_share_their_time_and_the_middle_comes_first(made: Callable[..., Any]) -> None:
    search, done = made(lambda spec: 0.1 + 1e-5 * spec.options.get("reg_weight", 0.0), budget=60.0)
    search.look_at_floors({"topk": [10]})
    tried = {name: len(tries) for name, tries in search.floors.items()}
    # 9 seconds: Pop takes one, ItemKNN half of the rest, EASE what is left.
    assert tried["Pop"] == 1
    assert 2 <= tried["ItemKNN"] <= 5
    assert 3 <= tried["EASE"] <= 6
    assert search.floors["EASE"][0].settings == {"reg_weight": 250.0}
    best = search.best_floor()
    assert best is not None
    assert best.family == "EASE"
    assert best.settings["reg_weight"] >= 500.0
    assert all(spec.seed == 7 and spec.options["topk"] == [10] for spec in done)


def test_of_five_ways_three_go_on(made: Callable[..., Any]) -> None:
    ways = [*WAYS, Family("distil", "", {"distil": {}}, {"learning_rate": RATES})]
    value = by_way({"softmax": 0.5, "aggregate": 0.45, "average": 0.4, "plain": 0.3})
    search, done = made(value, ways=ways, budget=7.0, reserve=0.2)
    halve(search)
    assert [one["ways"] for one in search.rungs][:2] == [7, 4]  # plain beside them; the prior does not go on
    longer = {spec.arm for spec in done if spec.options["epochs"] == search.rungs[1]["epochs"]}
    assert longer == {"plain", "softmax", "aggregate", "average"}


def test_plain_does_not_go_on_alone(made: Callable[..., Any]) -> None:
    def value(spec: RunSpec) -> float:
        if spec.arm not in ("plain", "prior"):
            raise ConfigurationError("no")
        return by_way({})(spec)

    search, _ = made(value)
    halve(search)
    assert len(search.rungs) == 1
    assert {one.settings["learning_rate"] for one in search.tried if one.family == "plain"} == {0.001}
    assert search.winner() is None


def test_a_backbone_that_cannot_be_trained_is_told_at_once(made: Callable[..., Any]) -> None:
    tried: list[str] = []

    def value(spec: RunSpec) -> float:
        tried.append(spec.arm)
        raise ConfigurationError("no such loss")

    search, _ = made(value)
    with pytest.raises(BurnishError, match="the backbone cannot be trained: no such loss"):
        halve(search)
    assert tried == ["plain"]


def test_plain_and_the_prior_are_no_winners(made: Callable[..., Any]) -> None:
    search, _ = made(by_way({"plain": 0.6, "prior": 0.55, "softmax": 0.5}))
    halve(search)
    winner = search.winner()
    assert winner is not None
    assert winner.family == "softmax"


def test_a_way_without_a_value_is_no_winner(made: Callable[..., Any]) -> None:
    search, done = made(by_way({}))
    search.tried = [Tried("plain", {}, 0.1, 90, 1.0), Tried("softmax", {}, None, 90, 1.0, "no")]
    assert search.winner() is None
    assert not done


@pytest.mark.parametrize(
    ("second", "expected"),
    [({"softmax": 0.3, "aggregate": 0.45}, "aggregate"), ({"softmax": 0.35, "aggregate": 0.4}, "softmax")],
)
def test_the_mean_of_two_seeds_decides(
    second: dict[str, float], expected: str, made: Callable[..., Any]
) -> None:
    search, done = made(lambda spec: second[spec.arm])
    search.tried = [
        Tried("softmax", {"learning_rate": 0.01}, 0.5, 30, 0.3),
        Tried("aggregate", {"learning_rate": 0.01}, 0.4, 30, 0.3),
    ]
    winner = search.winner()
    assert winner is not None
    assert winner.family == expected
    assert {spec.seed for spec in done} == {8}


def test_a_setting_is_among_the_best_once_however_often_it_was_trained(made: Callable[..., Any]) -> None:
    search, done = made(lambda spec: 0.1)
    search.tried = [
        Tried("softmax", {"learning_rate": rate}, value, epochs, 0.1)
        for rate, value, epochs in ((0.01, 0.5, 30), (0.01, 0.5, 90), (0.005, 0.4, 30), (0.002, 0.3, 30))
    ]
    search.winner()
    assert sorted(rate_of(spec) for spec in done) == [0.002, 0.005, 0.01]
    # Of equal ones, that with more epochs.
    assert [spec.options["epochs"] for spec in done if rate_of(spec) == 0.01] == [90]


def test_a_way_is_left_out_only_where_all_of_its_settings_fail(made: Callable[..., Any]) -> None:
    def value(spec: RunSpec) -> float:
        if spec.arm in ("softmax", "average") and rate_of(spec) != 0.001:
            raise ConfigurationError("too fast")
        return by_way({"softmax": 0.5, "plain": 0.3})(spec)

    search, done = made(value)
    halve(search)
    assert search.left_out == {}
    tried = [rate_of(spec) for spec in done if spec.arm == "softmax"]
    assert {0.001} < set(tried)
    assert max(spec.options["epochs"] for spec in done if spec.arm == "softmax") == 90


def test_what_a_run_takes_with_more_epochs(made: Callable[..., Any]) -> None:
    search, _ = made(by_way({}))
    assert search.cost("softmax", 90) == 0.0
    search.tried = [Tried("softmax", {}, 0.5, 10, 2.0)]
    assert [search.cost("softmax", epochs) for epochs in (5, 10, 20, 30, 90)] == [2.0, 2.0, 4.0, 6.0, 6.0]
    search.tried = [Tried("softmax", {}, 0.5, 10, 2.0, ended=True)]
    assert search.cost("softmax", 90) == 2.0


def test_a_run_with_a_validation_at_its_last_epoch_has_not_ended_by_itself(made: Callable[..., Any]) -> None:
    value = by_way({"softmax": 0.5, "plain": 0.3})
    search, _ = made(value, ends=10**6)
    halve(search)
    assert not any(one.ended for one in search.tried)
    assert max(one.epochs for one in search.tried if one.family == "softmax") == 90


def test_the_prior_is_a_floor_on_the_backbone(made: Callable[..., Any]) -> None:
    search, _ = made(by_way({}))
    search.floors = {"Pop": [Tried("Pop", {}, 0.2, 1, 1.0)]}
    search.tried = [Tried("plain", {}, 0.9, 10, 1.0), Tried("prior", {}, 0.3, 10, 1.0)]
    floor = search.best_floor()
    assert floor is not None
    assert floor.family == "prior"


def test_settings_in_words() -> None:
    assert (
        in_words({"softmax.temperature": 0.2, "learning_rate": 0.005})
        == "temperature 0.2, learning_rate 0.005"
    )
    nested = {
        "compress.teacher_options": {"softmax+average": {"softmax.temperature": 0.1, "learning_rate": 0.002}}
    }
    assert in_words(nested) == "temperature 0.1, learning_rate 0.002"
    assert in_words({"aggregate.base_options": {"learning_rate": 0.01}}) == "learning_rate 0.01"
