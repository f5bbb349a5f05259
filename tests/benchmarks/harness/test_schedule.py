"""Which run is next: by rank, past what others have in hand, and again where steps wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import Event, make_plan, run_plan
from burnish.benchmarks.harness.runs import carry_out
from burnish.benchmarks.harness.schedule import Schedule, Wanted
from burnish.benchmarks.harness.specs import RunSpec, spec_of
from burnish.files.lock import locked
from burnish.training.first import InHandError


def steps(log: list[Any], name: str, *stages: list[tuple[int, ...]]) -> Any:
    for ranks in stages:
        sent = yield Wanted(ranks, [f"{name}{rank}" for rank in ranks])
        log.append((name, sent))


def test_runs_come_by_rank_and_steps_begin_at_theirs() -> None:
    log: list[Any] = []
    done: list[str] = []

    def perform(spec: Any, floor: bool) -> str:
        done.append(spec)
        return spec.upper()

    schedule = Schedule(perform)
    schedule.add(steps(log, "b", [(2,), (4,)], [(6,)]), (2,))
    schedule.add(steps(log, "a", [(1,), (5,)], [(3,)]), (0,))
    schedule.run()
    assert done == ["a(1,)", "b(2,)", "b(4,)", "a(5,)", "a(3,)", "b(6,)"]
    assert log == [
        ("b", ["B(2,)", "B(4,)"]),
        ("a", ["A(1,)", "A(5,)"]),
        ("a", ["A(3,)"]),
        ("b", ["B(6,)"]),
    ]


def test_what_another_has_in_hand_is_passed_over_and_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    held = {"a(0,)": 3}
    done: list[str] = []
    idle: list[int] = []

    def perform(spec: Any, floor: bool) -> str | None:
        if held.get(spec, 0):
            held[spec] -= 1
            return None
        done.append(spec)
        return spec

    schedule = Schedule(perform, idle=lambda: idle.append(1))
    schedule.add(steps([], "a", [(0,), (1,)], [(2,)]), (0,))
    schedule.run()
    assert done == ["a(1,)", "a(0,)", "a(2,)"]
    assert len(idle) == 2


def test_steps_may_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    ready: list[int] = []

    def waiting() -> Any:
        while not ready:
            yield None
        yield Wanted([(1,)], ["after"])

    def first() -> Any:
        yield Wanted([(5,)], ["before"])
        ready.append(1)

    done: list[str] = []
    schedule = Schedule(lambda spec, floor: done.append(spec) or spec)
    schedule.add(waiting(), (0,))
    schedule.add(first(), (1,))
    schedule.run()
    assert done == ["before", "after"]


def test_shares_begin_elsewhere_and_do_all() -> None:
    orders = []
    for share in range(3):
        done: list[str] = []
        schedule = Schedule(lambda spec, floor, done=done: done.append(spec) or spec, share=(share, 3))
        schedule.add(steps([], "a", [(n,) for n in range(6)]), (0,))
        schedule.run()
        assert sorted(done) == [f"a({n},)" for n in range(6)]
        orders.append(done[0])
    assert orders == ["a(0,)", "a(2,)", "a(4,)"]


def test_what_breaks_closes_the_steps() -> None:
    closed = []

    def guarded() -> Any:
        try:
            yield Wanted([(1,)], ["x"])
        finally:
            closed.append(1)

    def perform(spec: Any, floor: bool) -> None:
        raise KeyboardInterrupt

    schedule = Schedule(perform)
    schedule.add(guarded(), (0,))
    with pytest.raises(KeyboardInterrupt):
        schedule.run()
    assert closed


# ---------------------------------------------------------------------- what another process trains first


def base_lock(plan: Any, spec: RunSpec) -> Path:
    """The lock of the base of a run, made as another process that trains it would hold it."""
    seen: list[Path] = []
    with pytest.raises(InHandError) as caught, patched_free(seen):
        carry_out(spec, plan.runs, wait=False)
    return caught.value.lock


@contextmanager
def patched_free(seen: list[Path]) -> Iterator[None]:
    """While this is open, every run that is trained first is in another's hand."""

    @contextmanager
    def taken(lock: Path) -> Iterator[bool]:
        seen.append(lock)
        yield False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("burnish.training.first.free", taken)
        yield


def test_what_waits_for_a_base_is_passed_over(
    plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain run and `aggregate` share a base that somebody else trains: `softmax` is done meanwhile."""

    def waits(*_: Any, **__: Any) -> None:
        raise AssertionError("it waits instead, and would forever")

    monkeypatch.setattr("burnish.training.first.locked", waits)
    arms = {"aggregate": "aggregate", "softmax": "softmax"}
    plan = make_plan({**plan_content, "arms": arms, "seeds": [3]})
    spec = spec_of(plan, plan.backbones[0], "aggregate", 3)
    lock = base_lock(plan, spec)
    assert not list(
        spec.folder(plan.runs).parent.glob("*")
    )  # neither a note of a failure nor a part of a run
    events: list[tuple[str, str]] = []
    with ExitStack() as stack:
        stack.enter_context(locked(lock))

        def told(event: Event) -> None:
            events.append((event.kind, event.key))
            if event.kind == "done" and "softmax" in event.key:
                stack.close()  # the other process is done, or gives up

        records = run_plan(plan, quiet=True, on_event=told)
    done = [key for kind, key in events if kind == "done"]
    assert done == ["BPR / softmax / seed 3", "BPR / plain / seed 3", "BPR / aggregate / seed 3"]
    assert {record.status for record in records} == {"done"}
