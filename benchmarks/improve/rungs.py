"""Successive halving over ways to train a backbone, on validation, within a budget of time.

A rung trains the most promising setting of every way that is left, and some more of each, with at most so many epochs;
the better half of the ways goes on to the next rung, with three times the epochs.  Plain stays to the end, with as many
settings as any other: what is compared with has had the same chances.  After Karnin, Koren and Somekh (ICML 2013) and
Jamieson and Talwalkar (AISTATS 2016); what is halved, ways instead of single settings, is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from burnish.errors import BurnishError

from .families import PLAIN, Family
from .search import GROWTH, Search
from .tried import Job, Tried

#: Of the budget: what a first look at all ways may take.
FIRST_SHARE = 0.2
#: How much longer than plain an enhanced epoch is taken to be before it is measured.
DEARER = 2.0
#: Epochs of a first measurement; fewest epochs that say anything.
MEASURED, FEWEST = 3, 10
#: New settings of a way in a rung, at most.
MOST_NEW = 6


def halve(search: Search) -> None:
    """The rungs, into `search.tried`."""
    rungs = _Rungs(search)
    while rungs.alive and rungs.begin():
        before = len(search.tried)
        search.carry_out([rungs.lane(place, family) for place, family in enumerate(rungs.alive)])
        if len(search.tried) == before:  # nothing fitted, and nothing would in a further one
            return
        rungs.end()


class _Rungs:
    """Where the search is.

    alive: the ways that are left.  after: settings tried of each.  look: the first measurement.  rung, cap, more: the
    number of the rung, its epochs and its new settings of each way.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.alive = list(search.families)
        self.after = {family.name: 0 for family in self.alive}
        self.rung, self.more = 0, 1
        self.look = self._first_look()
        self.cap = self._first_epochs(len([one for one in self.alive if one.instead_of is None]))

    def begin(self) -> bool:
        """Decide on epochs and settings of the next rung; False where it is over."""
        if self.rung:
            coming = self._coming()
            if coming is None:
                return False
            self.cap, self.more, ways = coming
            self._keep(ways)
        sure = [one for one in self.alive if self.rung or one.instead_of is None]
        self.search.rungs.append({"ways": len(sure), "new": self.more, "epochs": self.cap})
        if self.rung:
            self.search.say(
                "rung",
                f"{len(self.alive)} ways go on: up to {self.cap} epochs, {self.more} more "
                f"setting{'s' if self.more != 1 else ''} each",
            )
        return True

    def end(self) -> None:
        """Let the better half go on; nobody where no enhancement is left."""
        search = self.search
        alive = [one for one in self.alive if not search.refused(one.name) and search.needed(one)]
        self.alive = alive
        self._keep(math.ceil(len(self._others()) / 2))
        if all(family.held_against for family in self.alive):
            self.alive = []
        self.rung += 1

    def _others(self) -> list[Family]:
        """The enhancements that are left, the best first."""
        others = [family for family in self.alive if not family.held_against]
        return sorted(others, key=lambda family: -self.search.score(family.name))

    def _keep(self, ways: int) -> None:
        """Go on with the best so many enhancements, and plain."""
        keep = {family.name for family in self._others()[:ways]}
        self.alive = [family for family in self.alive if family.name == PLAIN or family.name in keep]

    def lane(self, place: int, family: Family) -> Iterator[Job | None]:
        """The runs of a way in this rung, one after the other, each by what is known when it is asked for."""
        search, tried = self.search, self.search.tried
        while search.unsure(family.instead_of) or search.unsure(family.as_well_as):
            yield None
        if not search.needed(family):
            self._leave_out_with(family)
            return
        spec = search.spec_of(family, self.cap)
        best = search.best_of(family.name)
        if best is not None and self._wants_more(family, self.cap):
            yield Job(spec, family.name, best.settings, self.cap, tried, (self.rung, place, 0))
        begin = self.after[family.name]
        points = family.settings(search.base.seed)[begin : begin + self.more]
        for number, settings in enumerate(points, start=1):
            while search.unsure(family.name):  # one that does not go is tried once
                yield None
            if search.refused(family.name) or not self._fits(family):
                return
            self.after[family.name] += 1
            search.no_time = [name for name in search.no_time if name != family.name]
            yield Job(spec, family.name, settings, self.cap, tried, (self.rung, place, number))

    def _first_look(self) -> Tried:
        """A short run of plain, which says what an epoch takes."""
        search, plain = self.search, self.alive[0]
        spec, settings = search.spec_of(plain, MEASURED), plain.settings(search.base.seed)[0]
        [look] = search.results([Job(spec, PLAIN, settings, MEASURED, [])])
        if look.error is not None:
            raise BurnishError(f"the backbone cannot be trained: {look.error}")
        return look

    def _first_epochs(self, ways: int) -> int:
        """Epochs of the first rung: so that a look at every way takes its share of the budget."""
        search = self.search

        def epochs() -> int:
            seconds = max(self.look.seconds / MEASURED, 1e-3)
            time = FIRST_SHARE * search.clock.budget * search.hands.n
            return int(min(search.most, max(FEWEST, time / (ways * seconds * DEARER))))

        return int(search.decide("epochs", epochs))

    def _coming(self) -> tuple[int, int, int] | None:
        """Epochs and number of new settings of each way in the next rung, and of how many ways; None where it is over.

        More epochs come first, as long as the time for them leaves as much for each rung to come, each with half as
        many ways; if need be for no more than half of the ways, as an order by runs that have hardly begun says little.
        Then new settings with the epochs that there are; and what is left in the end is for one rung more.
        """
        search = self.search
        others, held = self._others(), [one for one in self.alive if one.held_against]
        longer = min(search.most, self.cap * GROWTH)

        def choose() -> list[int] | None:
            left = search.left_for_runs()
            fewer = range(len(others), math.ceil(len(others) / 2) - 1, -1)
            of_all = len(others)
            choices = [
                *((ways, _rungs_to_come(ways + len(held)), longer) for ways in fewer),
                (of_all, _rungs_to_come(of_all + len(held)), self.cap),
                *((ways, 1, longer) for ways in fewer),
                (of_all, 1, self.cap),
            ]
            for ways, rungs, epochs in choices:
                new, again = self._room([*held, *others[:ways]], epochs, left / rungs)
                # Fewer ways for the sake of more epochs, not of more settings.
                if (new > 0 and (ways == of_all or again > 0)) or (new == 0 and again > 0):
                    return [epochs, new, ways]
            return None

        # Another name than that of a number once.
        decided = search.decide(f"time: coming, {self.rung}", choose)
        if decided is None:
            return None
        epochs, new, *ways = (int(number) for number in decided)
        return epochs, new, ways[0] if ways else len(others)  # an earlier burnish went on with all of them

    def _room(self, ways: list[Family], epochs: int, seconds: float) -> tuple[int, float]:
        """New settings of each of these ways that so many seconds are enough for; seconds of what is trained again.

        The number is -1 where they are not enough for that alone.
        """
        search = self.search
        again = search.together(
            [search.cost(one.name, epochs) for one in ways if self._wants_more(one, epochs)]
        )
        open_ = {one.name: len(one.settings(0)) - self.after[one.name] for one in ways}
        prices = [search.cost(name, epochs) for name, number in open_.items() if number]
        room = seconds - again
        if room < 0:
            return -1, again
        # As many as all hands do, where even the longest fits.
        fit = max(prices, default=0.0) <= room
        most = room * search.hands.n / max(sum(prices), 1e-9) if fit else 0.0
        return int(min(MOST_NEW, max(open_.values()), most)), again

    def _fits(self, family: Family) -> bool:
        """Whether the time is enough for one more setting of a way, which somebody is free to begin now.

        Plain is always looked at once.
        """
        search, tried = self.search, self.after[family.name]
        if family.name == PLAIN and not tried:
            return True
        plain = search.cost(PLAIN, self.cap) or self.look.seconds * min(self.cap / MEASURED, GROWTH)
        price = search.cost(family.name, self.cap) or plain * DEARER
        enough = search.decide(
            f"time: rung {self.rung}, {family.name} {tried}", lambda: price <= search.left_for_runs()
        )
        if not enough and family.name not in search.no_time:
            search.say(
                "no time", f"{family.name}: a run takes about {price:.0f} s, longer than there is time"
            )
            if not tried:
                search.no_time.append(family.name)
        return bool(enough)

    def _wants_more(self, family: Family, cap: int) -> bool:
        """Whether the best setting of a way had fewer epochs than that, and was still at it."""
        best = self.search.best_of(family.name)
        # Without a space there is nothing that is trained.
        return best is not None and best.epochs < cap and not best.ended and bool(family.space)

    def _leave_out_with(self, family: Family) -> None:
        """Say that a way is left out for the same reason as another."""
        left_out = self.search.left_out
        if family.as_well_as in left_out and family.name not in left_out:
            left_out[family.name] = left_out[family.as_well_as]
            self.search.say("left out", f"{family.name}: as {family.as_well_as}")


def _rungs_to_come(ways: int) -> int:
    """How many rungs there are until one of so many ways is left, each with half of those before it."""
    return max(1, math.ceil(math.log2(max(2, ways))))
