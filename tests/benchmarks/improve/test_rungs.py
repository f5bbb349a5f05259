"""The rungs with several runs at once, on runs whose values and time are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_search import RATES, WAYS, by_way, rate_of, usual_seconds

from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.specs import RunSpec, with_settings
from burnish.benchmarks.improve import crew
from burnish.benchmarks.improve.families import Family
from burnish.benchmarks.improve.rungs import _Rungs, halve
from burnish.benchmarks.improve.search import MOST_SEEDS, Search
from burnish.benchmarks.improve.tried import Job, Tried
from burnish.errors import ConfigurationError
from burnish.files.lock import free

VALUE = by_way({"softmax": 0.5, "aggregate": 0.4, "plain": 0.3})
TIED = [
    *WAYS,
    Family("distil", "", {"distil": {}}, {"learning_rate": RATES}, instead_of="compress"),
    Family("line", "", {"compress": {}}, {"learning_rate": RATES}, as_well_as="compress"),
]


def results(search: Search) -> list[tuple[str, Any, int, float | None]]:
    return [(one.family, one.settings, one.epochs, one.value) for one in search.tried]


def slow_first(spec: RunSpec) -> float:
    """What is asked for first ends last."""
    return usual_seconds(spec) * {"plain": 5.0, "prior": 3.0, "softmax": 2.0}.get(spec.arm, 1.0)


@pytest.mark.parametrize("seconds", [usual_seconds, slow_first])
@pytest.mark.parametrize("n", [2, 3])
def test_what_is_tried_and_chosen_does_not_depend_on_how_many_are_at_work(
    n: int, seconds: Callable[[RunSpec], float], made: Callable[..., Any], tmp_path: Path
) -> None:
    # All settings of a way are equal: the order decides.
    flat = {"softmax": 0.5, "aggregate": 0.5, "plain": 0.3}
    alone, _ = made(lambda spec: flat.get(spec.arm, 0.1))
    halve(alone)
    chosen = alone.winner()
    spent = alone.clock.now()
    several, _ = made(lambda spec: flat.get(spec.arm, 0.1), n=n, seconds=seconds, place="several")
    halve(several)
    assert results(several) == results(alone)
    assert (several.winner() or chosen).settings == chosen.settings
    if seconds is usual_seconds:
        assert several.clock.now() < 1.2 * spent / n + 2.0


def test_a_free_hand_does_something_else_while_a_way_waits_for_another(made: Callable[..., Any]) -> None:
    def value(spec: RunSpec) -> float:
        if spec.arm == "compress":
            raise ConfigurationError("the score is no product")
        return by_way({"softmax": 0.5})(spec)

    ways = [WAYS[0], WAYS[4], *TIED[6:], WAYS[2], WAYS[3]]  # plain, compress, distil, line, softmax, average
    search, _ = made(
        value, ways=ways, n=2, seconds=lambda spec: 9.0 if spec.arm == "compress" else usual_seconds(spec)
    )
    halve(search)
    log = search.hands.log
    assert search.left_out == dict.fromkeys(["compress", "line"], "the score is no product")
    assert ("begin", "line") not in log
    # Both wait for the first run of compress; softmax and average do not.
    known = log.index(("end", "compress"))
    assert log.index(("begin", "average")) < known < log.index(("begin", "distil"))
    assert log.count(("begin", "compress")) == 1


def test_a_way_that_does_not_go_is_tried_once(made: Callable[..., Any]) -> None:
    """In a rung with several settings of each way, the first run of a way is waited for."""

    def value(spec: RunSpec) -> float:
        if spec.arm == "average":
            raise ConfigurationError("no")
        return VALUE(spec)

    search, done = made(value, n=4)
    rungs = [family for family in WAYS if family.name in ("plain", "average")]
    search.families = rungs
    one = _Rungs(search)
    one.begin()
    one.more = 3
    search.carry_out([one.lane(place, family) for place, family in enumerate(one.alive)])
    assert [spec.arm for spec in done].count("average") == 1


def test_nothing_is_begun_before_anything_is_known_of_its_price(made: Callable[..., Any]) -> None:
    search, done = made(VALUE, budget=0.2, n=4)
    halve(search)
    assert {spec.arm for spec in done} == {"plain"}  # a look at it alone takes half of the time
    assert set(search.no_time) == {way.name for way in WAYS} - {"plain"}


def test_a_rung_is_planned_for_all_hands(made: Callable[..., Any], tmp_path: Path) -> None:
    spent, tried = {}, {}
    for n in (1, 2, 4):
        search, _ = made(VALUE, budget=4.0, n=n, reserve=0.2, place=str(n))
        halve(search)
        spent[n], tried[n] = search.clock.now(), sum(one.epochs for one in search.tried)
    assert tried[2] > 1.5 * tried[1]
    assert tried[4] > 1.3 * tried[2]
    assert max(spent.values()) < 0.8 * 4.0 + 0.9  # one run of 90 epochs too many at most


def test_a_run_of_which_another_trains_a_part_is_passed_over(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    search, _ = made(VALUE, n=2)
    search.hands.in_hand = {"softmax": tmp_path / ".teacher.lock"}
    whole, _ = made(VALUE, place="whole")
    with free(
        tmp_path / ".teacher.lock"
    ):  # for good: it is waited for as soon as there is nothing else to do
        halve(search)
    log, waits = search.hands.log, search.hands.waits
    begun = [place for place, one in enumerate(entry for entry in log if entry[0] == "begin")]
    names = [name for what, name in log if what == "begin"]
    first, again = (place for place in begun if names[place] == "softmax" and place < len(WAYS) + 3)
    assert names.index("aggregate") < again
    assert not waits[first]
    assert waits[again]
    halve(whole)
    assert results(search) == results(whole)


def test_floors_side_by_side_keep_to_their_share(made: Callable[..., Any], tmp_path: Path) -> None:
    counts = {}
    for n in (1, 2):
        search, _ = made(
            lambda spec: 0.1 + 1e-5 * spec.options.get("reg_weight", 0.0), budget=60.0, n=n, place=str(n)
        )
        search.look_at_floors({"topk": [10]})
        counts[n] = sum(len(tries) for tries in search.floors.values())
        assert search.clock.now() <= 0.15 * 60.0 + 1.0
        assert [one.settings for one in search.floors["EASE"]][:1] == [{"reg_weight": 250.0}]
    assert counts[2] > 1.4 * counts[1]


def test_time_for_the_test_is_what_the_most_seeds_take_and_its_share_at_most(
    made: Callable[..., Any],
) -> None:
    for n in (1, 2):
        search, _ = made(VALUE, budget=100.0, n=n)
        assert search.left_for_runs() == pytest.approx(100.0, abs=1e-3)  # nothing to be tested
        both = [
            Tried(name, {}, value, 10, seconds, ended=True)
            for name, value, seconds in (("plain", 0.3, 1.0), ("softmax", 0.5, 2.0))
        ]
        search.tried = both
        search.floors = {"EASE": [Tried("EASE", {}, 0.2, 1, 0.5)]}
        assert search.left_for_runs() == pytest.approx(100.0 - MOST_SEEDS * 3.5 / n, abs=1e-3)
        # One that had not ended may take all of its epochs, here nine times as many: more than the share.
        search.tried = [both[0], Tried("softmax", {}, 0.5, 10, 2.0)]
        assert search.left_for_runs() == pytest.approx(65.0 if n == 1 else 100.0 - 5 * 19.5 / 2, abs=20)
        search.tried = [both[0], Tried("softmax", {}, 0.5, 1, 2.0)]
        assert search.left_for_runs() == pytest.approx(65.0, abs=1e-3)


def test_a_way_has_several_settings_under_way_at_once(made: Callable[..., Any]) -> None:
    """As soon as it is known that it goes at all."""
    plain, _, softmax, *_ = WAYS
    search, _ = made(VALUE, ways=[plain, softmax], n=4)
    one = _Rungs(search)
    one.more = 3
    search.carry_out([one.lane(1, softmax)])
    assert [what for what, name in search.hands.log if name == "softmax"] == [
        *("begin", "end"),  # the first alone
        *("begin", "begin", "end", "end"),
    ]


def test_settings_that_take_longer_than_there_is_time_are_not_planned(made: Callable[..., Any]) -> None:
    plain, _, softmax, *_ = WAYS
    search, _ = made(VALUE, ways=[plain, softmax], n=4)
    one = _Rungs(search)
    search.tried = [Tried("softmax", {}, 0.5, 90, 3.0)]
    assert one._room([softmax], 90, 2.9) == (0, 0.0)  # all hands together would do it in less
    assert one._room([softmax], 90, 3.1) == (4, 0.0)


def test_a_run_that_is_there_counts_with_what_it_took(
    made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[Any] = []
    for n in (1, 2):
        search, _ = made(VALUE, n=n, tell=told.append)
        job = Job(search.spec_of(WAYS[2], 90), "softmax", {"learning_rate": 0.01}, 90, [])
        folder = replace(with_settings(job.spec, job.settings), trial=1).folder(search.hands.runs)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "DONE").touch()
        kept = RunRecord("tiny", "BPR", "softmax", 7, 1, folder, "kept", valid={"ndcg@10": 0.5}, seconds=40.0)
        monkeypatch.setattr(crew, "carry_out", lambda *_, kept=kept, **__: kept)
        assert [one.seconds for one in search.results([job])] == [40.0]
    assert [news.kind for news in told] == ["kept", "kept"]


def test_a_way_that_is_tried_after_all_did_not_lack_time(made: Callable[..., Any]) -> None:
    plain, _, softmax, *_ = WAYS
    search, _ = made(VALUE, ways=[plain, softmax])
    one = _Rungs(search)
    search.no_time = ["average", "softmax"]
    search.carry_out([one.lane(1, softmax)])
    assert search.no_time == ["average"]


def test_several_runs_take_as_long_as_the_longest_at_least(made: Callable[..., Any]) -> None:
    alone, _ = made(VALUE)
    four, _ = made(VALUE, n=4, place="four")
    for each, expected in (([], (0.0, 0.0)), ([1.0, 1.0, 4.0], (6.0, 4.0)), ([2.0] * 8, (16.0, 4.0))):
        assert (alone.together(each), four.together(each)) == expected


def test_the_epochs_of_several_runs_are_one_line(made: Callable[..., Any]) -> None:
    from burnish.training.result import Epoch

    told: list[Any] = []
    search, _ = made(VALUE, n=2, tell=told.append)
    taken = search.hands.next

    def with_epochs(on_epoch: Any, on_lost: Any) -> Any:
        for number in search._under_way:
            on_epoch(number, Epoch(3, 10))
        return taken(on_epoch, on_lost)

    search.hands.next = with_epochs
    halve(search)
    lines = [news.message for news in told if news.kind == "epoch"]
    assert "plain 3/10, prior 3/10" in lines
    assert rate_of(search.base) == 0.001
