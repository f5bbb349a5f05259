"""Reading what a comparison left: which runs belong together, and what each of them measured."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from burnish.errors import DataError
from burnish.files.near import did_you_mean
from burnish.files.tables import read_parquet
from burnish.files.whole import read_json
from burnish.training.beyond import PARTS

from .flags import RunFacts
from .runs import CURE, is_done

#: Added to the name of a damaged note that was set aside.
DAMAGED = ".damaged"
_NOTE_CURE = "run the plans of this folder again: each adds its arms, and finished runs are kept."


@dataclass(frozen=True)
class ArmRuns:
    """The finished runs of one arm of a comparison: test metrics and per-user tables by seed.

    tests: those of lists beside accuracy, too (`burnish.training.beyond`).  damaged: seeds of finished runs that
    cannot be read.  cases: digests of the test cases, of runs that noted them.  measured: all of metrics.json.
    folders: of the finished runs.  failure: the first error of runs, or of tuning trials where all failed; else empty.
    facts: of the training.  config: the config.json of one of them.
    """

    planned: int
    tests: dict[int, dict[str, float]] = field(default_factory=dict)
    users: dict[int, pd.DataFrame] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)
    cases: dict[int, str] = field(default_factory=dict)
    facts: dict[int, RunFacts] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    measured: dict[int, dict[str, Any]] = field(default_factory=dict)
    folders: dict[int, Path] = field(default_factory=dict)
    failure: str = ""


def find_notes(folder: Path) -> list[dict[str, Any]]:
    """The comparisons in a folder of runs, each with the `path` of its note; damaged ones are named in a warning.

    Raises `DataError` where there is none.
    """
    found: list[Path] = []
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [Path(place) / name for name in files if name.startswith("comparison-")]
    notes = []
    for path in sorted(found):
        if path.name.endswith(f".json{DAMAGED}"):
            warnings.warn(
                f"{path} is a damaged list of runs that belong together. Arms of other plans than the latest may be "
                f"missing here: run those plans again (finished runs are kept), and remove it.",
                stacklevel=3,
            )
        elif path.suffix == ".json":
            try:
                notes.append(read_note(path) | {"path": path})
            except DataError as error:
                warnings.warn(f"{error} It is left out here.", stacklevel=3)
    if not found:
        raise DataError(_no_runs(folder))
    if not notes:
        raise DataError(f"{folder}: every list of runs that belong together is damaged; {_NOTE_CURE}")
    return notes


def _no_runs(folder: Path) -> str:
    """Why a folder has nothing to report."""
    if not folder.exists():
        guess = did_you_mean(folder, Path.is_dir)
        return f"{str(folder)!r} does not exist; give the folder that a plan wrote into.{guess}"
    if (folder / "asked.json").is_file():
        own = f"{folder} is a folder of `burnish improve`"
        if (folder / "test").is_dir():
            return f"{own}; its comparison is in {folder / 'test'}"
        return f"{own} whose test set was not looked at: the same command goes on, or improve.json says why"
    return f"{folder} holds no runs of `burnish bench`; give the folder that a plan wrote into"


def read_note(path: Path) -> dict[str, Any]:
    """One `comparison-*.json`.  Raises `DataError` for a damaged one."""
    note = read_json(path, _NOTE_CURE)
    try:
        for name in ("dataset", "label", "comparison"):
            str(note[name])
        for runs in note["arms"].values():
            for seed, place in runs.items():
                int(seed), Path(place)
        _check_floors(note)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error!r}); {_NOTE_CURE}") from error
    return dict(note)


def _check_floors(note: dict[str, Any]) -> None:
    {str(name): Path(place) for name, place in (note.get("tuning") or {}).items()}
    for floor in note.get("floors", {}).values():
        for seed, place in floor.get("runs", {}).items():
            int(seed), Path(place)
        dict(floor.get("chosen", {})), list(floor.get("edge", [])), int(floor.get("trials", 0))
        str(floor.get("left_out")), str(floor.get("arm"))
        if "arm" in floor and floor["arm"] not in note["arms"]:
            raise ValueError(f"floors: {floor['arm']!r} is no arm")
    for remark in note.get("floor_remarks", []):
        str(remark)


def name_other_damage(folder: Path, notes: Iterable[Mapping[str, Any]]) -> None:
    """Warn of every damaged file below a folder that holds no figures of these comparisons, such as tuning trials'."""
    read = {
        (note["path"].parent / place).resolve()
        for note in notes
        for side in (
            *note["arms"].values(),
            *(one.get("runs", {}) for one in note.get("floors", {}).values()),
        )
        for place in side.values()
    }
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        if Path(place).resolve() in read:
            continue
        for name in sorted(files):
            if not name.endswith(".json") or name.startswith("comparison-"):
                continue
            try:
                read_json(Path(place) / name, CURE)
            except DataError as error:
                warnings.warn(f"{error}. The figures are not from this file.", stacklevel=3)


def load_arm(place: Path, runs: dict[str, str], name: str | None = None) -> ArmRuns:
    """The finished runs of an arm; damaged ones are named in a warning and left out.

    place: the folder that the names of `runs` are meant from.  name: the arm's, whose trials may all have failed.
    """
    arm = ArmRuns(len(runs), failure=_failure(place, runs, name))
    for seed, name in runs.items():
        folder = place / name
        if not is_done(folder):
            continue
        try:
            metrics, test, users = _read_run(folder)
        except DataError as error:
            warnings.warn(f"{error}. Until then the run is left out.", stacklevel=3)
            arm.damaged.append(int(seed))
            continue
        arm.tests[int(seed)] = test
        arm.measured[int(seed)], arm.folders[int(seed)] = metrics, folder
        if users is not None:
            arm.users[int(seed)] = users
        if metrics.get("test_cases") is not None:
            arm.cases[int(seed)] = metrics["test_cases"]
        config: dict[str, Any] = {}
        for other in ("config.json", "environment.json"):
            if not (folder / other).exists():
                continue
            try:
                content = read_json(folder / other, CURE)
            except DataError as error:
                warnings.warn(f"{error}. The figures are not from this file.", stacklevel=3)
            else:
                config = content if other == "config.json" and isinstance(content, dict) else config
        arm.facts[int(seed)] = RunFacts.of(metrics, config)
        arm = replace(arm, config=config or arm.config)
    return arm


def _failure(place: Path, runs: dict[str, str], arm: str | None) -> str:
    """The first error among runs that are not done; of tuning trials where there is no run."""
    notes = [
        folder.with_name(f"failed-{folder.name}.json")
        for folder in (place / name for name in runs.values())
        if not is_done(folder)
    ]
    if not runs and arm is not None:
        notes = sorted((place / arm / "tune").glob("failed-*.json"))
    for note in notes:
        with suppress(DataError, OSError, KeyError, TypeError):
            return str(read_json(note, CURE)["error"])
    return ""


def _read_run(folder: Path) -> tuple[dict[str, Any], dict[str, float], pd.DataFrame | None]:
    path = folder / "metrics.json"
    metrics = read_json(path, CURE)
    try:
        both = {**(metrics.get("beyond") or {}), **metrics["test_result"]}
        test = {str(name): float(value) for name, value in both.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error!r}); {CURE}") from error
    metrics = _of_shape(metrics, path)
    table = folder / "per_user.parquet"
    users = read_parquet(table, CURE, ("user", "row")) if table.exists() else None
    return metrics, test, users


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pairs(value: Any) -> bool:
    """Whether these are numbers by epoch, as a mapping or as pairs."""
    listed = list(value.items()) if isinstance(value, Mapping) else value
    try:
        return all(isinstance(float(epoch) + float(score), float) for epoch, score in listed)
    except (TypeError, ValueError):
        return False


def _counted(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        _number(value.get(name)) for name in ("users", "items", "interactions")
    )


def _by_parts(value: Any) -> bool:
    """Whether these are numbers of eleven parts, as `popularity_deciles` gives them."""
    return (
        isinstance(value, Mapping)
        and "wanted" in value
        and any(re.fullmatch(r"hits@\d+", str(name)) for name in value)
        and all(
            isinstance(one, list) and len(one) == PARTS + 1 and all(map(_number, one))
            for one in value.values()
        )
    )


#: What a page asks of metrics.json beside the figures, and whether a value can be one.
_SHAPES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("n_epochs", "best_epoch", "best_valid_score", "n_parameters", "peak_memory_mb"), _number
    ),
    **dict.fromkeys(("valid_metric", "test_cases"), lambda value: isinstance(value, str)),
    "seconds": lambda value: isinstance(value, Mapping) and all(map(_number, value.values())),
    "valid_scores": _pairs,
    "data": _counted,
    "popularity_deciles": _by_parts,
}


def _of_shape(metrics: dict[str, Any], path: Path) -> dict[str, Any]:
    """metrics.json without what has another shape than burnish writes, which is named in a warning."""
    other = [
        name
        for name, fits in _SHAPES.items()
        if metrics.get(name) not in (None, {}, []) and not fits(metrics[name])
    ]
    if other:
        warnings.warn(
            f"{path} is damaged ({', '.join(other)}: not what is written there); {CURE}. What needs it is left out.",
            stacklevel=4,
        )
    return {name: value for name, value in metrics.items() if name not in other}


def shortened(error: str, most: int = 240) -> str:
    """The first line of an error, without the stop at its end, cut where it is long."""
    line = next(iter(error.strip().splitlines()), "").rstrip(".")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def ended(sentence: str) -> str:
    """With a stop, unless it was cut."""
    return sentence if sentence.endswith("…") else f"{sentence}."
