"""The one look at the test set: a winner against plain and the best floor, on seeds that the search has not used."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.benchmarks.harness.grid import run_plan
from burnish.benchmarks.harness.plan import PLAIN, Plan, make_plan
from burnish.benchmarks.harness.report import summarise
from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.specs import RunSpec
from burnish.errors import BurnishError

from .families import Family
from .outcome import WINNER, Improvement, verdict, write_winner
from .search import MOST_SEEDS, Search
from .tried import News, Tried, named

if TYPE_CHECKING:
    from burnish.benchmarks.harness.progress import Event

#: Seeds of the test at least; more, up to `MOST_SEEDS`, as the time allows: each has a winner, a plain run and a floor.
FEWEST_SEEDS = 2


def plan_of(plain: RunSpec, seeds: list[int], place: Path, threads: int | None, **more: Any) -> Plan:
    """A plan in the folder of a search, of plain alone so far.  more: what is added to it."""
    return make_plan(
        {
            "name": f"{plain.label} on {plain.dataset}",
            "dataset": plain.dataset,
            "backbones": [{"name": plain.backbone, "label": plain.label}],
            "options": dict(plain.options),
            "seeds": seeds,
            "runs": place / "test",
            "threads": threads,
            "keep_checkpoints": True,
            "floors": [],
            **more,
        },
        origin="",
    )


def tested(search: Search, winner: Tried, best_plain: Tried, plain: RunSpec, place: Path) -> Improvement:
    """The winner on the test set, beside plain and the best floor; writes the winner.  place: of the search."""
    family = next(one for one in search.families if one.name == winner.family)
    floor = search.best_floor()
    shown = named(winner.family, winner.settings)
    search.say("test", f"the test set, once: {shown}, plain and the best floor")

    def test(n_seeds: int) -> list[RunRecord]:
        seeds = [plain.seed + 1 + number for number in range(n_seeds)]
        plan = _final_plan(plain, family, winner, best_plain, floor, seeds, place, search.hands.threads)
        records = run_plan(
            plan, quiet=True, on_event=lambda event: _pass_on(search, event), workers=search.hands.n
        )
        failed = [record for record in records if record.status == "failed"]
        if failed:
            raise BurnishError(f"the test of the winner failed: {failed[0].error}")
        return records

    records = test(FEWEST_SEEDS)
    more = int(search.decide("time: seeds", lambda: _more_seeds(search, records)))
    if more and MOST_SEEDS > FEWEST_SEEDS:
        records = test(min(MOST_SEEDS, FEWEST_SEEDS + more))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [
            row for row in summarise(place / "test", metrics=[search.metric]) if row.metric == search.metric
        ]
    block = write_winner(search, plain, family, winner, records, place)
    helped, text = verdict(rows, winner, floor, search)
    return Improvement(helped, text, winner.family, dict(winner.settings), rows, search.metric, place, block)


def _more_seeds(search: Search, records: Sequence[RunRecord]) -> int:
    """How many seeds more than the fewest there is time for.  records: of the fewest."""
    took = [record.seconds or 0.0 for record in records if record.trial is None]
    left = search.clock.left

    def fit(more: int) -> bool:
        return max(search.together(took) * more / FEWEST_SEEDS, max(took, default=0.0)) <= left

    return max((more for more in range(1, MOST_SEEDS - FEWEST_SEEDS + 1) if fit(more)), default=0)


def _final_plan(
    plain: RunSpec,
    family: Family,
    winner: Tried,
    best_plain: Tried,
    floor: Tried | None,
    seeds: list[int],
    place: Path,
    threads: int | None,
) -> Plan:
    """The comparison on the test set; what was chosen is all that there is to choose."""
    floors: Any = []
    if floor is not None:
        floors = {floor.family: {"tune": {name: [value] for name, value in floor.settings.items()} or None}}
    single = {
        arm: {name: [value] for name, value in one.settings.items()}
        for arm, one in ((PLAIN, best_plain), (WINNER, winner))
    }
    return plan_of(
        plain,
        seeds,
        place,
        threads,
        arms={WINNER: {"enhancers": {name: dict(block) for name, block in family.enhancers.items()}}},
        floors=floors,
        tune={"trials": 1, "arms": single, "seed": plain.seed},
    )


def _pass_on(search: Search, event: Event) -> None:
    if event.kind == "done":  # the time of a test that is interrupted counts
        search.keep()
    if event.kind in ("epoch", "stage", "start", "done", "kept", "failed", "lost", "left out"):
        search.tell(News(event.kind, event.message, search.clock.now(), event.epoch))
