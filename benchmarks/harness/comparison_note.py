"""Writing down which runs belong together, for the report."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.lock import lock_of, locked
from burnish.files.refusals import make_folder
from burnish.files.whole import write_json
from burnish.training.identity import computing, digest

from .floor_runs import Standing, noted
from .notes import DAMAGED, read_note
from .plan import PLAIN, BackboneEntry, Plan
from .specs import PROTOCOL, RunSpec
from .split_notes import noise_note, split_note


def write_comparison(
    plan: Plan,
    entry: BackboneEntry,
    specs: dict[str, list[RunSpec]],
    standings: list[Standing],
    remarks: list[str],
    chosen: Mapping[str, Path],
) -> Path:
    """Note which runs belong together: same data, common options and tuning.  The report pairs only these.

    Arms and floors of an earlier plan with the same settings stay in the note, and two plans may write into it at once;
    not those of a backbone that reads files beside the interactions which were others then, or whose source was.
    A damaged one is set aside (`.damaged`), with a warning.

    chosen: of tuned arms, the file that says what was chosen.
    """
    options = computing(plan.options | entry.options)
    tune = None
    if plan.tune is not None:
        tune = {name: value for name, value in plan.tune.as_first().items() if name != "arms"}
    settings = {"protocol": PROTOCOL, "backbone": entry.name, "options": options, "tune": tune}
    name = digest({**settings, "dataset": plan.dataset})
    path = plan.runs / plan.home / entry.label / f"comparison-{name}.json"
    own = {
        arm: {str(run.seed): run.folder(plan.runs).relative_to(path.parent).as_posix() for run in runs}
        for arm, runs in specs.items()
    }
    floors = noted(standings, remarks, plan, path.parent)
    # Of the backbone itself: arms on another graph are no pairs of its plain runs.
    plain = RunSpec(plan.dataset, entry.name, entry.label, PLAIN, 0, {}, plan.options | entry.options)
    beside, source = plain.beside, plain.source
    split = split_note(plan, entry)
    make_folder(path.parent)
    with locked(lock_of(path)):
        before = _noted_before(path)
        now = {**({"beside": beside} if beside else {}), **source}
        if any(before.get(name, value) != value for name, value in now.items()):
            before = {"arms": {}}
        content = {**settings, "dataset": plan.home, "label": entry.label, "comparison": name}
        if plan.home != plan.dataset:
            content["data"] = plan.dataset
        content |= now
        if split:
            content["split"] = split
        noise = noise_note(plan, entry)
        if noise:
            content["noise"] = noise
        if plan.smallest_difference is not None:
            content["smallest_difference"] = plan.smallest_difference
        content["arms"] = {**before["arms"], **own}
        tuning = {arm: file.relative_to(path.parent).as_posix() for arm, file in chosen.items()}
        if tuning or before.get("tuning"):
            content["tuning"] = {**(before.get("tuning") or {}), **tuning}
        if floors["floors"] or before.get("floors"):
            content["floors"] = _with_runs(before.get("floors") or {}, floors["floors"])
            content["floor_remarks"] = floors["floor_remarks"] or before.get("floor_remarks") or []
        write_json(path, content)
    return path


def _with_runs(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The floors of both; one that is left out now keeps the runs that it had."""
    kept = {
        name: {**before[name], **one} for name, one in now.items() if name in before and "runs" not in one
    }
    return {**before, **now, **kept}


def _noted_before(path: Path) -> dict[str, Any]:
    """A note that is there; an empty one where there is none, or a damaged one, which is set aside."""
    if path.exists():
        try:
            return read_note(path)
        except DataError as error:
            aside = path.with_name(f"{path.name}{DAMAGED}")
            os.replace(path, aside)
            warnings.warn(
                f"{error} It was renamed to {aside.name}, and a new one lists this plan's arms.", stacklevel=2
            )
    return {"arms": {}}
