"""What the tuning of an arm left in the folder of runs, for reports: how many trials, over what, what was chosen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.whole import read_json

from .ranges import at_edge, in_words
from .runs import CURE


@dataclass(frozen=True)
class TuningNote:
    """One `chosen-*.json`.  value: the validation value of what was chosen, in `metric`; None where nothing was tried.

    trials: made, with those that failed or were pruned.  edge: options whose chosen value is at an end of its space.
    """

    trials: int
    space: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, Any] = field(default_factory=dict)
    edge: tuple[str, ...] = ()
    method: str = "grid"
    failed: int = 0
    pruned: int = 0
    metric: str | None = None
    value: float | None = None

    @property
    def counted(self) -> str:
        """The trials in words: `20 trials (tpe; 6 pruned, 1 failed)`."""
        beside = [f"{n} {what}" for n, what in ((self.pruned, "pruned"), (self.failed, "failed")) if n]
        how = "; ".join(
            [*([self.method] if self.method != "grid" else []), *([", ".join(beside)] if beside else [])]
        )
        trials = f"{self.trials} trial{'' if self.trials == 1 else 's'}"
        return f"{trials} ({how})" if how else trials

    @property
    def over(self) -> str:
        """The space in words."""
        return in_words(self.space)

    @property
    def taken(self) -> str:
        """What was chosen, in words."""
        return ", ".join(f"{option} = {shown(value)}" for option, value in self.chosen.items())

    def __str__(self) -> str:
        if not self.space:
            return "no trials: nothing to choose"
        if not self.trials:
            return f"no trials: {self.taken} as given"
        return f"{self.counted} over {self.over}; chosen: {self.taken}"


def shown(value: Any) -> str:
    """A chosen value in words; a drawn one with four digits."""
    return f"{value:.4g}" if isinstance(value, float) and len(repr(value)) > 10 else str(value)


def read_tuning(path: Path) -> TuningNote:
    """The tuning that a `chosen-*.json` notes.  Raises `DataError` for a damaged one."""
    content = read_json(path, CURE)
    try:
        trials = list(content["trials"])
        chosen, space = dict(content["chosen"]), dict(content["space"])
        states = [str(one.get("state", "failed" if one.get("error") else "done")) for one in trials]
        values = [
            one.get("value")
            for one, state in zip(trials, states, strict=True)
            if one["settings"] == chosen and state == "done"
        ]
        return TuningNote(
            trials=int(content["trials_made"]),
            space=space,
            chosen=chosen,
            edge=tuple(at_edge(space, chosen)),
            method=str(content.get("method", "grid")),
            failed=states.count("failed"),
            pruned=states.count("pruned"),
            metric=content["metric"],
            value=next((float(value) for value in values if isinstance(value, int | float)), None),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error!r}); {CURE}") from error


def tuning_of(note: Mapping[str, Any], name: str, config: Mapping[str, Any] | None) -> TuningNote | None:
    """The tuning of an arm or floor of a comparison; None where nothing says.

    A note of an earlier burnish does not name the file: then it is the one in the arm's folder whose chosen values the
    runs have, unless there are several.

    note: of the comparison, with its `path`.  config: of one of the runs, as config.json holds it.
    """
    place = note["path"].parent
    floor = (note.get("floors") or {}).get(name) or {}
    named = (note.get("tuning") or {}).get(name) or floor.get("tuning")
    if named is not None:
        return _read(place / str(named))
    runs = list((note["arms"].get(name) or floor.get("runs") or {}).values())
    if not runs or config is None:
        return None
    known = [
        tuning
        for path in sorted((place / str(runs[0])).parent.glob("chosen-*.json"))
        if (tuning := _read(path)) is not None and _has(config, tuning.chosen)
    ]
    return known[0] if len(known) == 1 else None


def _read(path: Path) -> TuningNote | None:
    """None, with a warning, for a damaged one; None for one that is not there."""
    if not path.is_file():
        return None
    try:
        return read_tuning(path)
    except DataError as error:
        warnings.warn(f"{error}. The figures are not from this file.", stacklevel=4)
        return None


def _has(config: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    """Whether a run was made with these settings."""
    for option, value in chosen.items():
        first, dot, part = option.partition(".")
        enhancers, options = config.get("enhancers") or {}, config.get("options") or {}
        block = enhancers.get(first) if first in enhancers else options.get(first)
        held = block.get(part) if dot and isinstance(block, Mapping) else options.get(option)
        if held != value:
            return False
    return True
