"""What a reader needs to run it all again, and whether it is there: filled in from the runs' own files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from burnish.errors import DataError
from burnish.files.whole import read_json

from ..notes import ArmRuns
from ..runs import CURE
from .parts import Cell, Place, Section, Table
from .tuned import choices, shown

_YES, _NO, _UNKNOWN = "gain", "loss", ""


def checklist(places: list[Place]) -> Section:
    """One line a question: what it asks, and what the runs say; then versions, data and settings as tables."""
    sides = [(place, name, kind, side) for place in places for name, kind, side in place.sides()]
    about = _environments(side for *_, side in sides)
    items = [
        _finished(sides),
        _seeds(sides),
        _same_cases(sides),
        _floors(places),
        _tuning(sides),
        _data(sides),
        _code(about),
        *(
            _same(about, what, field)
            for what, field in (
                ("Python", "python"),
                ("Machine", "platform"),
                ("Processor", "processor"),
                ("Cores", "cores"),
                ("Threads of each run", "torch_threads"),
                ("GPU", "cuda"),
            )
        ),
        _commands(about),
    ]
    return Section(
        "checklist",
        "Reproducibility",
        (
            "Filled in from the files of the runs: environment.json, metrics.json, config.json and the "
            "notes on tuning.",
        ),
        tables=(_versions(about), _digests(sides), _settings(places)),
        items=tuple(items),
    )


def _environments(sides: Iterable[ArmRuns]) -> list[dict[str, Any]]:
    found = []
    for side in sides:
        for folder in side.folders.values():
            try:
                content = read_json(folder / "environment.json", CURE)
            except (DataError, OSError):
                continue  # named by the report
            if isinstance(content, dict):
                found.append(content)
    return found


Sides = Sequence[tuple[Place, str, str, ArmRuns]]
Item = tuple[str, str, str]


def _finished(sides: Sides) -> Item:
    done = sum(len(side.tests) for *_, side in sides)
    most = {id(place): max(side.planned for one, *_, side in sides if one is place) for place, *_ in sides}
    planned = sum(side.planned or most[id(place)] for place, *_, side in sides)
    failed = list(dict.fromkeys(f"{place.name}: {name}" for place, name, _, side in sides if side.failure))
    if done == planned and not failed:
        return _YES, "All planned runs finished", f"{done} of {planned}"
    text = f"{done} of {planned}" + (f"; failed: {', '.join(failed)}" if failed else "")
    return _NO, "Not all planned runs finished", text


def _seeds(sides: Sides) -> Item:
    seeds = sorted({seed for *_, side in sides for seed in side.tests})
    listed = ", ".join(map(str, seeds))
    if len(seeds) >= 5:
        return _YES, "Seeds", f"{len(seeds)}: {listed}"
    return _NO, "Few seeds", f"{len(seeds)}: {listed}; five or more tell of other random starts"


def _same_cases(sides: Sides) -> Item:
    seen: dict[tuple[str, str, int], set[str]] = {}
    for place, _, _, side in sides:
        for seed, digest in side.cases.items():
            note = place.known.note
            seen.setdefault((note["dataset"], note["label"], seed), set()).add(digest)
    if not seen:
        return _UNKNOWN, "Test cases", "not noted by these runs"
    other = [key for key, digests in seen.items() if len(digests) > 1]
    if other:
        places = ", ".join(dict.fromkeys(f"{dataset}, {label}" for dataset, label, _ in other))
        return _NO, "Test cases differ between arms", places
    return _YES, "All arms of a seed were tested on the same cases", f"{len(seen)} digests agree"


def _floors(places: list[Place]) -> Item:
    names = list(
        dict.fromkeys(
            [
                *(n for p in places for n in p.known.floors),
                *(floor for p in places for floor in p.known.standing_in.values()),
            ]
        )
    )
    return (_YES, "Floors are compared", ", ".join(names)) if names else (_NO, "No floors were run", "")


def _tuning(sides: Sides) -> Item:
    budgets: dict[str, set[str]] = {}
    for place, name, kind, side in sides:
        for _, found in choices(place, name, side):
            if kind != "floor":
                made = found.get("trials_made", len(found["trials"]))
                budgets.setdefault(f"{made} of {found.get('trials_allowed', '?')}", set()).add(name)
    if not budgets:
        return _UNKNOWN, "Tuning", "none: options are the plan's"
    listed = "; ".join(f"{made}: {', '.join(sorted(names))}" for made, names in budgets.items())
    if len(budgets) == 1:
        return _YES, "All arms had as many trials, on validation alone", listed
    return _UNKNOWN, "Trials made differ (small spaces are tried whole)", listed


def _data(sides: Sides) -> Item:
    known: dict[str, set[str]] = {}
    for place, _, _, side in sides:
        for one in side.measured.values():
            if (one.get("data") or {}).get("digest"):
                known.setdefault(str(place.known.note["dataset"]), set()).add(one["data"]["digest"])
    if not known:
        return _UNKNOWN, "Data", "their digests are not noted by these runs (an earlier burnish)"
    return _YES, "Data", "; ".join(f"{name}: {', '.join(sorted(found))}" for name, found in known.items())


def _code(about: list[dict[str, Any]]) -> Item:
    commits = list(dict.fromkeys(str((one.get("git") or {}).get("burnish")) for one in about))
    versions = list(dict.fromkeys(str((one.get("packages") or {}).get("burnish")) for one in about))
    known = [commit for commit in commits if commit != "None"]
    text = f"burnish {', '.join(versions)}" + (f", commit {', '.join(known)}" if known else "")
    if any(commit.endswith("+changes") for commit in known):
        return _NO, "Code with changes that are not committed", text
    if len(known) > 1 or len(versions) > 1:
        return _NO, "Code differs between runs", text
    return (_YES if about else _UNKNOWN), "Code", text if about else "not noted"


def _same(about: list[dict[str, Any]], what: str, field: str) -> Item:
    values = list(dict.fromkeys(str(one.get(field)) for one in about if field in one))
    shown_ = ", ".join("none" if value == "None" else value for value in values)
    if len(values) > 1:
        return _NO, f"{what}: not the same for all runs", shown_
    return (_YES, what, shown_) if values else (_UNKNOWN, what, "not noted")


def _commands(about: list[dict[str, Any]]) -> Item:
    commands = list(dict.fromkeys(_command(one.get("command")) for one in about if one.get("command")))
    return (_YES if commands else _UNKNOWN), "Commands", "; ".join(commands) or "not noted"


def _command(words: Any) -> str:
    """As one would type it: the program by its name."""
    listed = [str(word) for word in words] if isinstance(words, list) else [str(words)]
    program = listed[0].replace("\\", "/").rpartition("/")[2]
    return shlex.join([program, *listed[1:]])


def _versions(about: list[dict[str, Any]]) -> Table:
    names = dict.fromkeys(name for one in about for name in one.get("packages") or {})
    lines = [
        (
            Cell(name),
            Cell(", ".join(dict.fromkeys(str((one.get("packages") or {}).get(name)) for one in about))),
        )
        for name in names
    ]
    return Table(("package", "version"), tuple(lines), 2, "Versions")


def _digests(sides: Sides) -> Table:
    """Of each data set and seed: counts, and digests of the parts of the split."""
    seen: dict[tuple[str, int, str], tuple[Cell, ...]] = {}
    for place, _, _, side in sides:
        for seed, one in side.measured.items():
            data: Mapping[str, Any] = one.get("data") or {}
            if not data:
                continue
            splits = tuple(str(data.get(part, "–")) for part in ("training", "validation", "test"))
            cells = [Cell(str(place.known.note["dataset"])), Cell(str(seed), float(seed))]
            cells += [Cell(f"{data[name]:,}", data[name]) for name in ("users", "items", "interactions")]
            key = (str(place.known.note["dataset"]), seed, "".join(splits))
            seen[key] = (*cells, *(Cell(text) for text in splits))
    heads = ("data set", "seed", "users", "items", "interactions", "training", "validation", "test")
    return Table(heads, tuple(seen[key] for key in sorted(seen)), 1, "Data and digests of their splits")


def _settings(places: list[Place]) -> Table:
    lines = []
    for place in places:
        note = place.known.note
        options = note.get("options") or {}
        lines += [
            (Cell(place.name), Cell(str(option)), Cell(_plain(value))) for option, value in options.items()
        ]
        tune = note.get("tune") or {}
        lines += [
            (Cell(place.name), Cell(f"tune.{option}"), Cell(_plain(value)))
            for option, value in tune.items()
            if value not in (None, {}, [])
        ]
    return Table(("place", "option", "value"), tuple(lines), 3, "What the plan sets", grouped=True)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else shown(value)
