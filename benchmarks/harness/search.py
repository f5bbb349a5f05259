"""Which settings are tried next, and which trials end early: optuna's samplers and pruners as plain functions.

Everything is decided by the rules, the space, the seed and the outcomes of earlier batches of trials, so that every
process at a plan, and one that comes after a killed one, comes to the same.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from burnish.training.identity import digest

from .ranges import Tried, tried
from .schema import Pruning, Tune
from .space_checks import check_installed

#: Trials of a search by TPE that are drawn at random before it has something to go by: half of them, and at most these
#: (optuna's own number).
STARTUP = 10
#: A median of fewer finished trials says little.
_FEWEST = 3
#: So often another point is asked for where one was tried already; the first tries are the sampler's, then random ones.
_TRIES, _OWN_TRIES = 500, 20
#: Epochs and scores of validation, in order.
Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.  value, curve: larger is better.  marks: the pruner's own notes."""

    settings: Mapping[str, Any]
    state: Literal["done", "pruned", "failed"]
    value: float | None = None
    curve: Curve = ()
    marks: Mapping[str, Any] = field(default_factory=dict)


def batches(tune: Tune) -> Iterator[int]:
    """How many trials are asked for at once: those that depend on no other first, then `tune.at_once`."""
    alike = tune.trials if tune.method == "random" and tune.pruning is None else startup(tune.trials)
    left = tune.trials
    while left > 0:
        size = min(left, alike if left == tune.trials else tune.at_once)
        yield size
        left -= size


def startup(trials: int) -> int:
    """How many trials of a search are drawn at random, and never pruned."""
    return min(STARTUP, (trials + 1) // 2)


def next_points(
    tune: Tune, space: Mapping[str, Any], known: Sequence[Outcome], count: int
) -> list[dict[str, Any]]:
    """The settings of the next trials of a search, each another than those before.

    known: of all trials so far.  Raises `NotInstalledError` without optuna.
    """
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction="maximize")
        study.add_trials([frozen(one, space) for one in known])
        seen = [dict(one.settings) for one in known]
        found = []
        for number in range(len(known), len(known) + count):
            for attempt in range(_TRIES):
                study.sampler = _sampler(optuna, tune, number, attempt)
                asked = study.ask()
                point = _suggested(asked, space)
                if point not in seen or attempt == _TRIES - 1:
                    break
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
            seen.append(point)
            found.append(point)
    return found


def _sampler(optuna: Any, tune: Tune, number: int, attempt: int) -> Any:
    seed = int(digest([tune.seed, number, attempt]), 16) % 2**31
    if tune.method == "random" or attempt >= _OWN_TRIES:
        return optuna.samplers.RandomSampler(seed=seed)
    # Together, and as if the others of a batch were bad: what optuna 5 does anyway.
    as_fifth = {"multivariate": True, "constant_liar": True} if optuna.__version__.startswith("4.") else {}
    return optuna.samplers.TPESampler(
        n_startup_trials=startup(tune.trials), group=True, seed=seed, **as_fifth
    )


def _suggested(trial: Any, space: Mapping[str, Any]) -> dict[str, Any]:
    """A point, options in the space's order."""
    point: dict[str, Any] = {}
    for option, one in tried(space).items():
        if not one.active(point):
            continue
        if one.values is not None:
            labels = _labels(one.values)
            point[option] = one.values[labels.index(trial.suggest_categorical(option, labels))]
        elif one.whole:
            point[option] = trial.suggest_int(option, int(one.low), int(one.high), log=one.log)
        else:
            point[option] = trial.suggest_float(option, one.low, one.high, log=one.log)
    return {option: point[option] for option in space if option in point}


def _labels(values: Sequence[Any]) -> list[Any]:
    """What optuna calls listed values: it takes plain ones only."""
    plain = all(value is None or isinstance(value, str | int | float | bool) for value in values)
    return list(values) if plain else [json.dumps(value, sort_keys=True) for value in values]


def _distribution(distributions: Any, one: Tried) -> Any:
    if one.values is not None:
        return distributions.CategoricalDistribution(_labels(one.values))
    if one.whole:
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return distributions.FloatDistribution(one.low, one.high, log=one.log)


def frozen(outcome: Outcome, space: Mapping[str, Any], *, running: bool = False, **notes: Any) -> Any:
    """A trial as optuna keeps it.  running: without its outcome.  notes: kept beside it."""
    from optuna import distributions, trial

    known = {option: one for option, one in tried(space).items() if option in outcome.settings}
    params = {
        option: outcome.settings[option]
        if one.values is None
        else _labels(one.values)[one.values.index(outcome.settings[option])]
        for option, one in known.items()
    }
    states = {"done": trial.TrialState.COMPLETE, "pruned": trial.TrialState.PRUNED}
    state = trial.TrialState.RUNNING if running else states.get(outcome.state, trial.TrialState.FAIL)
    return trial.create_trial(
        state=state,
        value=outcome.value if state == trial.TrialState.COMPLETE else None,
        params=params,
        distributions={option: _distribution(distributions, one) for option, one in known.items()},
        intermediate_values={} if running else dict(outcome.curve),
        system_attrs=dict(outcome.marks),
        user_attrs=notes,
    )


class Stop:
    """Whether a trial ends early, by its validation curve and those of earlier batches."""

    def __init__(
        self,
        pruning: Pruning,
        space: Mapping[str, Any],
        known: Sequence[Outcome],
        number: int,
        *,
        epochs: int,
        sign: int,
    ) -> None:
        """number: of the trial.  epochs: it has at most.  sign: -1 where a smaller score is better."""
        self._pruning, self._space, self._known = pruning, space, known
        self._number, self._epochs, self._sign = number, epochs, sign
        self._trial: Any = None
        self._told = 0

    def __call__(self, curve: Curve) -> bool:
        """Whether it ends after the last point of the curve; asked point by point, as the curve grows."""
        if self._trial is None or self._told >= len(curve):
            self._trial, self._told = self._begun(), 0
        end = False
        with quiet_optuna():
            for epoch, score in curve[self._told :]:
                self._trial.report(self._sign * score, epoch)
                end = bool(self._trial.should_prune())
        self._told = len(curve)
        return end

    def ends(self, curve: Curve) -> int | None:
        """After how many points of a whole curve it ends; None where it does not."""
        self._trial, self._told = None, 0
        return next((n for n in range(1, len(curve) + 1) if self(curve[:n])), None)

    def marks(self, curve: Curve) -> dict[str, Any]:
        """What the pruner notes of a trial with this curve, for later ones."""
        self.ends(curve)
        return {} if self._trial is None else dict(self._trial.study.trials[-1].system_attrs)

    def _begun(self) -> Any:
        with quiet_optuna() as optuna:
            # The name is part of what hyperband divides its trials by.
            study = optuna.create_study(
                direction="maximize", study_name="tuning", pruner=_pruner(optuna, self._pruning, self._epochs)
            )
            study.add_trials([frozen(one, self._space) for one in self._known])
            for _ in range(
                self._number - len(self._known)
            ):  # those of the same batch, of which nothing is known
                study.add_trial(frozen(Outcome({}, "failed"), self._space))
            return study.ask()


def _pruner(optuna: Any, pruning: Pruning, epochs: int) -> Any:
    if pruning.method == "median":
        return optuna.pruners.MedianPruner(
            n_startup_trials=_FEWEST, n_warmup_steps=pruning.after, n_min_trials=1
        )
    return optuna.pruners.HyperbandPruner(
        min_resource=max(1, pruning.after), max_resource=max(epochs, pruning.after, 1), reduction_factor=3
    )


def finite(value: float | None) -> bool:
    """Whether a trial has a value that it can be judged by."""
    return value is not None and math.isfinite(value)


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """The package, which says nothing meanwhile."""
    check_installed()
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)
