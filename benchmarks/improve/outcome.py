"""What `improve` found: in words, in figures, and as files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from burnish.benchmarks.harness.rows import Row
from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.specs import RunSpec, with_settings
from burnish.errors import UnsupportedError
from burnish.files.whole import write_json, write_text
from burnish.files.whole_folder import folder_written_whole

from .families import Family
from .search import Search
from .tried import Tried, named

#: The arm of the winner in its comparison.
WINNER = "winner"


@dataclass
class Improvement:
    """What `improve` found.

    Attributes
    ----------
    helped
        Whether the winner is clearly better than the plain backbone on the test set (Holm's p below 0.05).
    verdict
        The result in a sentence or two.
    winner, settings
        The way to train the backbone, by name, and its settings; None where nothing was better on validation.
    rows
        The comparison on the test set: the winner and the best floor against plain, and the winner against that floor.
    metric
        That all of this is judged by.
    folder
        Everything that was written: `winner` (the folder of a run), `winner.yaml`, `winner.pth` (a plain RecBole
        checkpoint), `improve.json`, and `test`, the folder of the comparison's runs (`burnish report`).
    """

    helped: bool
    verdict: str
    winner: str | None
    settings: dict[str, Any]
    rows: list[Row]
    metric: str
    folder: Path
    block: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.verdict


def nothing_helped(search: Search, winner: Tried | None, plain: Tried, place: Path) -> Improvement:
    forget_winner(place)
    enhancements = {family.name for family in search.families if not family.held_against}
    tried = len({one.family for one in search.tried if one.value is not None} & enhancements)
    best = "" if winner is None else f" (the best: {winner.family}, {abs(winner.value or 0.0):.4f})"
    text = (
        f"Nothing helped: none of {tried} ways is above the plain backbone on validation "
        f"({search.metric} {abs(plain.value or 0.0):.4f}){best}."
        if tried
        else "There was no time to try anything beside the plain backbone: the budget is too small."
    )
    text += f" The test set was not looked at. {_more_time(search)}"
    floor = search.best_floor()
    if floor is not None and (floor.value or 0.0) > (plain.value or 0.0):
        text += f" But {floor.family} alone is above it ({abs(floor.value or 0.0):.4f})."
    return Improvement(False, text, None, {}, [], search.metric, place)


def _more_time(search: Search) -> str:
    """What a larger budget would go into."""
    open_ = [
        family.name
        for family in search.families
        if not family.held_against
        and search.needed(family)
        and family.name not in (*search.left_out, *search.no_time)
        and len({str(one.settings) for one in search.tried if one.family == family.name})
        < len(family.settings(0))
    ]
    wanted = [f"a first look at {', '.join(search.no_time)}"] if search.no_time else []
    wanted += [f"more settings of {', '.join(open_[:4])}"] if open_ else []
    return f"With more time: {'; '.join(wanted)}." if wanted else "All settings were tried."


def verdict(rows: list[Row], winner: Tried, floor: Tried | None, search: Search) -> tuple[bool, str]:
    against_plain = next(row for row in rows if row.arm == WINNER and row.kind == "arm")
    over = next((row for row in rows if row.arm == WINNER and row.kind == "over"), None)
    helped = against_plain.direction > 0
    shown = named(winner.family, winner.settings)
    figures = (
        f"{search.metric} {against_plain.mean:.4f}, plain {against_plain.baseline_mean:.4f} "
        f"({against_plain.relative:+.1%}; {against_plain.low:+.4f} to {against_plain.high:+.4f}, "
        f"{against_plain.n_seeds} seeds)"
    )
    if helped:
        text = f"Better: {shown}. Test {figures}."
    elif against_plain.direction < 0:
        text = f"Nothing helped: what was best on validation, {shown}, is worse on the test set: {figures}."
    else:
        text = (
            f"Nothing helped clearly: what was best on validation, {shown}, is not clearly better on the test set: "
            f"{figures}. {_more_time(search)}"
        )
    if over is not None:
        word = {1: "clearly above", 0: "not clearly different from", -1: "clearly below"}[over.direction]
        text += (
            f" It is {word} the best floor, {over.baseline} ({over.baseline_mean:.4f}; "
            f"{over.low:+.4f} to {over.high:+.4f})."
        )
        if over.direction < 0:
            text += f" Take {over.baseline} itself, which needs no backbone."
    return helped, text


# ---------------------------------------------------------------------- what is written


def write_winner(
    search: Search, plain: RunSpec, family: Family, winner: Tried, records: Sequence[RunRecord], place: Path
) -> dict[str, Any]:
    """The winner of the first seed as the folder of a run, as a plain checkpoint, and as a block to copy."""
    from burnish.enhancers.bake import bake
    from burnish.training.load import load_run

    first = min((one for one in records if one.arm == WINNER), key=lambda one: one.seed)
    target = place / "winner"
    own = "config.json"  # has the run's settings: a longer search may have found another winner
    if not (target / own).is_file() or (target / own).read_bytes() != (first.folder / own).read_bytes():
        forget_winner(place)
        with folder_written_whole(target, lambda there: (there / "run.json").is_file()) as partial:
            shutil.copytree(first.folder, partial, dirs_exist_ok=True)
    spec = with_settings(RunSpec("", plain.backbone, "", "", 0, family.enhancers), winner.settings)
    block = {**dict(spec.options), "enhancers": {name: dict(one) for name, one in spec.enhancers.items()}}
    given = {name: value for name, value in plain.options.items() if name not in spec.options}
    text = as_yaml({"model": plain.backbone, "dataset": plain.dataset, **given, **block})
    write_text(place / "winner.yaml", f"# burnish run --config-files winner.yaml\n{text}")
    run = load_run(target)
    try:
        bake(run.model, place / "winner.pth", config=run.config)
    except UnsupportedError as error:
        search.say("left out", f"a plain checkpoint: {error}")
    return block


def in_plain_types(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them, whatever was given: tuples as lists, numbers of numpy as numbers, paths as texts."""

    def plain(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    found: dict[str, Any] = json.loads(json.dumps(settings, default=plain))
    return found


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Settings as a YAML file has them, in plain types."""
    return str(yaml.safe_dump(in_plain_types(settings), sort_keys=False, allow_unicode=True))


def forget_winner(place: Path) -> None:
    """Remove what an earlier, shorter search wrote of its winner."""
    shutil.rmtree(place / "winner", ignore_errors=True)
    for name in ("winner.yaml", "winner.pth"):
        (place / name).unlink(missing_ok=True)


def note(search: Search, found: Improvement, place: Path) -> None:
    write_json(
        place / "improve.json",
        {
            "verdict": found.verdict,
            "helped": found.helped,
            "metric": found.metric,
            "winner": found.winner,
            "settings": found.settings,
            "seconds": {"budget": search.clock.budget, "spent": search.clock.now()},
            "rungs": search.rungs,
            "tried": [_as_dict(one) for one in search.tried],
            "floors": {name: [_as_dict(one) for one in tries] for name, tries in search.floors.items()},
            "left_out": search.left_out,
            "test": [
                {
                    "arm": row.arm,
                    "against": row.baseline,
                    "mean": row.mean,
                    "baseline_mean": row.baseline_mean,
                    "difference": row.difference,
                    "low": row.low,
                    "high": row.high,
                    "p": row.p_holm,
                    "seeds": row.n_seeds,
                    "verdict": row.verdict,
                }
                for row in found.rows
            ],
        },
    )


def _as_dict(one: Tried) -> dict[str, Any]:
    return {
        "way": one.family,
        "settings": dict(one.settings),
        "validation": None if one.value is None else abs(one.value),
        "epochs": one.epochs,
        "seconds": round(one.seconds, 2),
        **({"error": one.error} if one.error else {}),
    }
