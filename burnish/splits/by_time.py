"""The global time split: one point in time for all users, and everything from it on is validation or test.

RecBole's `order: TO` with `group_by: none` sorts by time and cuts by number of rows, so that rows of one instant lie on
both sides of a cut.  Here a cut is a time: what happened at it or later is on its later side.  Shares are those of all
interactions, whatever a model's rows are: a sequential model's, of which a user's first interaction is none, are cut at
the same times.
"""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import ConfigurationError, DataError

from .protocols import OPTION, TIME, Dates, Protocol, as_option, eval_args_of, named, seconds_of

#: Where a data set keeps the first instants of validation and test while it is built.
_CUTS = "_burnish_cuts"
#: Where it keeps its times as the files have them: RecBole scales columns to 0..1 by default.
_TIMES = "_burnish_times"
#: Below each of these, a number since 1970 is one of seconds, of milliseconds, of microseconds; others of nanoseconds.
_LIMITS = (1e11, 1e14, 1e17)
#: Largest times below this are no seconds since 1970: all would be before March 1973.
_TOO_EARLY = 1e8


def settle_split(config: Any) -> None:
    """Put what the option `split` decides among a config's `eval_args`; called before anything is settled by them."""
    value = {**config.internal_config_dict, **config.external_config_dict}.get(OPTION)
    if value is None:
        return
    if (
        OPTION in config.external_config_dict
    ):  # written out, so that a date that YAML read is text in a run's folder
        config.external_config_dict[OPTION] = as_option(value)
    given = config.external_config_dict.get("eval_args")
    # Into what was given, where something was: what is given replaces defaults as a whole.
    if isinstance(given, dict):
        config.external_config_dict["eval_args"] = eval_args_of(value, given)
        return
    own = config.internal_config_dict.get("eval_args")
    decided = eval_args_of(value, None)
    config.internal_config_dict["eval_args"] = {**(own if isinstance(own, dict) else {}), **decided}


def cut_by_time(module: ModuleType) -> None:
    """Let RecBole's data sets be cut at points in time where the config asks for `split: time`."""
    dataset = module.Dataset
    normalize, build, split_by_ratio = dataset._normalize, dataset.build, dataset.split_by_ratio

    @functools.wraps(normalize)
    def normalized(self: Any) -> None:
        if _protocol(self.config) is not None and self.time_field in self.inter_feat:
            setattr(self, _TIMES, self.inter_feat[self.time_field].to_numpy(copy=True))
        normalize(self)

    @functools.wraps(build)
    def built(self: Any) -> Any:
        protocol = _protocol(self.config)
        if protocol is None or self.benchmark_filename_list is not None:
            return build(self)
        setattr(self, _CUTS, _cuts(self, protocol))
        try:
            return build(self)
        finally:
            delattr(self, _CUTS)
            self.__dict__.pop(_TIMES, None)

    @functools.wraps(split_by_ratio)
    def split(self: Any, ratios: Any, group_by: Any = None) -> Any:
        cuts = getattr(self, _CUTS, None)
        if cuts is None:
            return split_by_ratio(self, ratios, group_by=group_by)
        times = self.inter_feat[self.time_field].numpy()
        times = times if times.ndim == 1 else times[:, 0]  # a numerical feature is a pair of value and place
        ends = [0, *(int(np.searchsorted(times, cut, side="left")) for cut in cuts), len(times)]
        self._drop_unused_col()
        parts = [self.inter_feat[range(start, end)] for start, end in pairwise(ends)]
        return [_copied(self, part) for part in parts]

    dataset._normalize = normalized
    dataset.build = built
    dataset.split_by_ratio = split


def _copied(dataset: Any, interactions: Any) -> Any:
    part = dataset.copy(interactions)
    for name in (_CUTS, _TIMES):
        part.__dict__.pop(name, None)
    return part


def _protocol(config: Any) -> Protocol | None:
    value = config[OPTION]
    protocol = None if value is None else named(value)
    return protocol if protocol is not None and protocol.name == TIME else None


def _cuts(dataset: Any, protocol: Protocol) -> tuple[Any, Any]:
    """The first instants of validation and test, in the numbers that the data set has while it is built.

    Raises `DataError` where a part would be empty, `ConfigurationError` for dates that cannot be told in these numbers.
    """
    now = dataset.inter_feat[dataset.time_field].to_numpy()
    written = getattr(dataset, _TIMES, now)
    written = written if len(written) == len(now) else now
    times = np.sort(written)
    place = f"{OPTION}: {TIME}"
    if isinstance(protocol.settings, Dates):
        cuts: tuple[Any, Any] = (
            _number(protocol.settings.valid_from, times, place),
            _number(protocol.settings.test_from, times, place),
        )
        wanted = True
    else:
        assert protocol.settings is not None
        shares = [1 - protocol.settings.valid - protocol.settings.test, protocol.settings.valid]
        starts = dataset._calcu_split_ids(tot=len(times), ratios=[*shares, protocol.settings.test])
        # Of no test rows at all, as of very few interactions, the last instant is taken.
        cuts = (times[min(starts[0], len(times) - 1)], times[min(starts[1], len(times) - 1)])
        wanted = protocol.settings.valid > 0
    bounds = np.searchsorted(times, cuts, side="left")
    sizes = np.diff([0, *bounds, len(times)])
    for what, size, needed in zip(
        ("training", "validation", "test"), sizes, (True, wanted, True), strict=True
    ):
        if needed and size <= 0:
            raise DataError(
                f"{place}: nothing is left for {what} in {dataset.dataset_name!r}: with validation from "
                f"{_shown(cuts[0], times)} and test from {_shown(cuts[1], times)}, {sizes[0]} interactions are for "
                f"training, {sizes[1]} for validation and {sizes[2]} for test; times go from {_shown(times[0], times)} "
                f"to {_shown(times[-1], times)} ({len(np.unique(times))} of them). Give other dates or shares"
            )
    # What is scaled keeps its order: the same rows are on each side.
    return cuts if written is now else (_scaled(cuts[0], written, now), _scaled(cuts[1], written, now))


def _scaled(cut: Any, written: NDArray[Any], now: NDArray[Any]) -> Any:
    later = written >= cut
    return now[later].min() if later.any() else np.inf


def _unit(times: NDArray[Any]) -> float | None:
    """What one second is in the numbers of the data, as far as these are since 1970; None where they are not."""
    largest = float(np.abs(times).max()) if len(times) else 0.0
    if largest < _TOO_EARLY:
        return None
    return next((1000.0**power for power, limit in enumerate(_LIMITS) if largest < limit), 1e9)


def _number(instant: float | str, times: NDArray[Any], place: str) -> Any:
    """A date in the numbers of the data; a number as it is."""
    if not isinstance(instant, str):
        return instant
    unit = _unit(times)
    if unit is None:
        raise ConfigurationError(
            f"{place}: {instant!r} is a date, and the times of the data, {times[0]:g} to {times[-1]:g}, are no numbers "
            f"since 1970; give numbers as they stand there"
        )
    number = seconds_of(instant) * unit
    return int(number) if times.dtype.kind == "i" else number


def _shown(instant: Any, times: NDArray[Any]) -> str:
    unit = _unit(times)
    if unit is None:
        return f"{instant:g}"
    return f"{datetime.fromtimestamp(float(instant) / unit, tz=timezone.utc):%Y-%m-%d %H:%M:%S}"
