"""What is wrong with runs whose figures stand in a report, and the cure: each flag, with its thresholds and reasons.

`findings` looks at the runs of one comparison.  A healthy run has no flag: it was ended by early stopping, after its
first epochs, near its tuning trial and the other seeds, above the popularity floor, with values inside their spaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .metrics import sign
from .tuning_notes import TuningNote, shown

#: A run of early stopping whose best validation is no later than this one saw a plateau, or took too large steps: a
#: model that learns has gone over its data too few times by then.
FIRST_VALIDATIONS = 3
#: Where early stopping cannot end a run, the best epoch should not lie in this last part of it: a curve that is still
#: at its best there may well rise further.
LAST_PART = 0.1
#: Less than this part of what it should be near is far below.  Seeds, with their splits, differ by some percent, by ten
#: in small data; a third is no chance.
FAR = 2 / 3
#: The same for metrics whose smaller values are better: RMSE of the mean rating alone is 1.2 times a good model's.
FAR_LARGER = 1.15
#: Metrics that popularity has much of, and that more of is better: what `below popularity` is judged by.
_ACCURACY = ("ndcg", "recall", "mrr", "hit", "map", "precision")

#: Flags by their letters: what each says, and the cure.  Those in `COLLAPSED` make a comparison worthless.
SAYS = {
    "p": "below the popularity floor",
    "s": "far below the other seeds",
    "t": "far below their own tuning trial",
    "f": "stopped within the first epochs",
    "e": "stopped at the last epoch allowed",
    "g": "chosen value at the edge of what was tried",
}
CURES = {
    "p": "these did not learn, so differences to them mean little: read their log.txt, then a smaller learning_rate, "
    "or a larger stopping_step, for all arms",
    "s": "these did not learn: read their log.txt, then a smaller learning_rate, or a larger stopping_step, for all "
    "arms",
    "t": "these did not learn what the trial did: read their log.txt, then a larger stopping_step, or the trials' "
    "options for all runs",
    "f": "a plateau at the start, or too large steps: stopping_from, or a smaller learning_rate, for all arms",
    "e": "more epochs may change the figures: raise epochs, for all arms",
    "g": "better values may lie beyond: widen its space, and tune again",
}
COLLAPSED = "pst"


@dataclass(frozen=True)
class RunFacts:
    """What a finished run says of its training; None and empty where an older one does not.

    epochs, stopping_step, eval_step, stopping_from: as options of the run.  trains: whether there are epochs of
    training, rather than a table that is counted or candidates that are tried.  begun: whether an enhancer began it
    from a trained model.  edges: what an enhancer that tries candidates chose at the edge of them.
    """

    n_epochs: int | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    stopping_step: int | None = None
    eval_step: int | None = None
    stopping_from: int = 0
    trains: bool = True
    begun: bool = False
    valid: Mapping[str, float] = field(default_factory=dict)
    valid_metric: str | None = None
    edges: tuple[str, ...] = ()

    @classmethod
    def of(cls, metrics: Mapping[str, Any], config: Mapping[str, Any]) -> RunFacts:
        """From metrics.json and config.json of a run."""
        recbole = config.get("recbole")
        recbole = recbole if isinstance(recbole, Mapping) else {}
        losses, seconds, edges = metrics.get("losses"), metrics.get("seconds"), metrics.get("edges")
        valid = metrics.get("valid_result")
        numbers = {name: _whole(metrics.get(name)) for name in ("n_epochs", "best_epoch")}
        numbers |= {name: _whole(recbole.get(name)) for name in ("epochs", "stopping_step", "eval_step")}
        figures = valid.items() if isinstance(valid, Mapping) else ()
        return cls(
            **numbers,
            stopping_from=_whole(recbole.get("stopping_from")) or 0,
            trains=metrics.get("counted", "epochs") == "epochs"
            and (not isinstance(losses, list) or any(losses)),
            begun=isinstance(seconds, Mapping) and "base" in seconds and bool(config.get("enhancers")),
            valid={str(name): value for name, value in figures if isinstance(value, int | float)},
            valid_metric=metrics.get("valid_metric"),
            edges=tuple(map(str, edges)) if isinstance(edges, list) else (),
        )

    @property
    def at_last_epoch(self) -> bool:
        """Whether the epochs were used up before early stopping had waited as long as it does.

        Where it would wait for longer than there are epochs: whether the best epoch lies in the `LAST_PART`.
        """
        known = self._numbers
        if known is None:
            return False
        n, best, epochs, patience, every = known
        best = max(best, self.stopping_from)
        wait = patience * every
        if n < epochs:
            return False
        return n - best < max(every, LAST_PART * epochs) if wait >= epochs else n - best <= wait

    @property
    def at_first_epochs(self) -> bool:
        """Whether early stopping ended it with one of the `FIRST_VALIDATIONS` as its best.

        Not of a run that began from a trained model, which may be at its best at once.
        """
        known = self._numbers
        if known is None or self.begun:
            return False
        n, best, epochs, _, every = known
        return n < epochs and best <= FIRST_VALIDATIONS * every

    @property
    def _numbers(self) -> tuple[int, int, int, int, int] | None:
        """The numbers of epochs, in this order; None where no validation watched a training, as far as is known."""
        known = (self.n_epochs, self.best_epoch, self.epochs, self.stopping_step, self.eval_step)
        if not self.trains or not self.eval_step or any(one is None for one in known):
            return None
        return known  # type: ignore[return-value]


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def far_below(value: float, reference: float, metric: str) -> bool:
    """Whether a value is so much worse than what it should be near that no chance made it so."""
    if sign(metric) < 0:
        return reference > 0 and value > FAR_LARGER * reference
    return reference > 0 and value < FAR * reference


@dataclass(frozen=True)
class Side:
    """The runs of one arm or floor, by seed: what they say of their training, their test figures, and its tuning."""

    facts: Mapping[int, RunFacts]
    tests: Mapping[int, Mapping[str, float]]
    cases: Mapping[int, str] = field(default_factory=dict)
    tuning: TuningNote | None = None


@dataclass(frozen=True)
class Finding:
    """One flag of one arm or floor.  seeds: of the runs that have it.  of: how many there are.  words: what exactly."""

    letter: str
    seeds: tuple[int, ...]
    of: int
    words: str = ""


def findings(sides: Mapping[str, Side], popularity: str | None = None) -> dict[str, list[Finding]]:
    """The flags of every arm and floor of one comparison that has any.

    popularity: which of them is the popularity floor; None where there is none.
    """
    pop = None if popularity is None else sides.get(popularity)
    found = {}
    for name, side in sides.items():
        own = [
            *_below_popularity(side, pop if name != popularity else None),
            *_by_validation(side),
            *_by_epochs(side),
            *_at_edge(side),
        ]
        if own:
            found[name] = own
    return found


def _below_popularity(side: Side, pop: Side | None) -> Iterator[Finding]:
    """By the test set, where both were asked the same: the arms' validation may hold other rows than the floor's."""
    if pop is None:
        return
    below: dict[int, str] = {}
    for seed in (seed for seed in side.tests if seed in pop.tests):
        test, other, facts = side.tests[seed], pop.tests[seed], side.facts.get(seed)
        if len({side.cases.get(seed), pop.cases.get(seed)} - {None}) > 1:
            continue
        metric = _accuracy(None if facts is None else facts.valid_metric, test, other)
        if metric is not None and test[metric] < other[metric]:
            below[seed] = f"seed {seed}: {metric} {test[metric]:.4f}, popularity {other[metric]:.4f}"
    if below:
        yield Finding("p", tuple(below), len(side.tests), next(iter(below.values())))


def _accuracy(wished: str | None, *tests: Mapping[str, float]) -> str | None:
    """The metric that runs are compared with popularity by: the one they were stopped by, if it will do."""
    common = [
        name for name in tests[0] if name.split("@")[0] in _ACCURACY and all(name in one for one in tests)
    ]
    return wished if wished in common else common[0] if common else None


def _by_validation(side: Side) -> Iterator[Finding]:
    of = len(side.facts)
    known = {
        seed: facts.valid[facts.valid_metric]
        for seed, facts in side.facts.items()
        if facts.valid_metric is not None and facts.valid_metric in facts.valid
    }
    metric = next((facts.valid_metric for facts in side.facts.values() if facts.valid_metric), "") or ""
    low = {}
    for seed, value in known.items():
        others = [one for other, one in known.items() if other != seed]
        if others and far_below(value, median(others), metric):
            low[seed] = (
                f"seed {seed}: validation {metric} {value:.4f}, median of the others {median(others):.4f}"
            )
    if low:
        yield Finding("s", tuple(low), of, next(iter(low.values())))
    tuning = side.tuning
    if tuning is None or tuning.metric is None or tuning.value is None:
        return
    below = {}
    for seed, facts in side.facts.items():
        mine = facts.valid.get(tuning.metric)
        if mine is not None and far_below(mine, tuning.value, tuning.metric):
            below[seed] = f"seed {seed}: validation {tuning.metric} {mine:.4f}, trial {tuning.value:.4f}"
    if below:
        yield Finding("t", tuple(below), of, next(iter(below.values())))


def _by_epochs(side: Side) -> Iterator[Finding]:
    first = {seed: one for seed, one in side.facts.items() if one.at_first_epochs}
    if first:
        one = next(iter(first.values()))
        words = f"best epoch {one.best_epoch}, stopping_step {one.stopping_step}"
        yield Finding("f", tuple(first), len(side.facts), words)
    last = {seed: one for seed, one in side.facts.items() if one.at_last_epoch}
    if last:
        yield Finding("e", tuple(last), len(side.facts), f"epochs {next(iter(last.values())).epochs}")


def _at_edge(side: Side) -> Iterator[Finding]:
    """Of the plan's tuning, and of what enhancers chose in each run among candidates of their own."""
    words = []
    if side.tuning is not None:
        words += [f"{option} = {shown(side.tuning.chosen.get(option))}" for option in side.tuning.edge]
    inside = Counter(edge for facts in side.facts.values() for edge in facts.edges)
    words += [f"{edge}, {count} of {len(side.facts)} runs" for edge, count in inside.items()]
    if words:
        yield Finding("g", (), 0, ", ".join(words))


def lines(found: Iterable[tuple[str, Sequence[Finding]]]) -> list[str]:
    """A line for each kind of flag: whose runs have it, an example, and the cure.

    found: what to call an arm, as "BPR, plain", and its findings.
    """
    together: dict[str, list[tuple[str, Finding]]] = {}
    for name, flags in found:
        for one in flags:
            together.setdefault(one.letter, []).append((name, one))
    said = []
    for letter in SAYS:
        if letter not in together:
            continue
        whose = "; ".join(
            f"{name} ({_count(one)}{one.words})" for name, one in dict(together[letter]).items()
        )
        said.append(f"[{letter}] {SAYS[letter]}: {whose}. Cure: {CURES[letter]}.")
    return said


def _count(one: Finding) -> str:
    return f"{len(one.seeds)} of {one.of} runs, " if one.seeds else ""
