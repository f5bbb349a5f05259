"""What a report can say while arms are still tuned: trials done, and the best validation so far; no test figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.whole import read_json

from .metrics import sign
from .ranges import in_words
from .specs import is_done
from .tuning_notes import read_tuning


@dataclass(frozen=True)
class UnderWay:
    """The tuning of one arm or floor.  trials: planned; done, pruned, failed: of these, pruned ones among those done.

    best: the best validation value so far, in `metric`; None where there is none.  chosen: in words, once it is.
    """

    dataset: str
    backbone: str
    arm: str
    trials: int
    done: int
    pruned: int
    failed: int
    metric: str
    best: float | None
    space: str
    chosen: str = ""

    def __str__(self) -> str:
        beside = [f"{n} {what}" for n, what in ((self.pruned, "pruned"), (self.failed, "failed")) if n]
        best = "" if self.best is None else f", best validation {self.metric} {self.best:.4f}"
        parts = f" ({', '.join(beside)})" if beside else ""
        chosen = f"; chosen: {self.chosen}" if self.chosen else ""
        return (
            f"{self.dataset}: {self.backbone}, {self.arm}: {self.done} of {self.trials} trials done{parts}{best}, over "
            f"{self.space}{chosen}."
        )


def under_way(folder: Path | str) -> list[UnderWay]:
    """Tunings in a folder of runs that are not done, and those done of which no comparison knows yet.

    What cannot be read is left out: it is written meanwhile.
    """
    root = Path(folder)
    found = []
    for path in sorted(root.glob("*/*/*/asked-*.json")):
        said = _read(path)
        if said is not None:
            found.append(said)
    for path in sorted(root.glob("*/*/*/chosen-*.json")):
        label = path.parents[1]
        compared = label if label.name != "floors" else label.parent / "*"
        if not [*root.glob(f"{compared.relative_to(root)}/comparison-*.json")]:
            found += [*_chosen(path)]
    return found


def _read(path: Path) -> UnderWay | None:
    """What a note of trials that were asked for, and their folders, say."""
    try:
        note: Mapping[str, Any] = read_json(path, "")
        metric, names = str(note["metric"]).lower(), [str(name) for name in note["asked"]]
        tune = path.parent / "tune"
        done = [name for name in dict.fromkeys(names) if is_done(tune / name)]
        pruned = [name for name in names if name not in done and (tune / f"pruned-{name}.json").is_file()]
        failed = [
            name
            for name in names
            if name not in (*done, *pruned) and (tune / f"failed-{name}.json").is_file()
        ]
        values = [value for name in done if (value := _value(tune / name, metric)) is not None]
        return UnderWay(
            str(note["dataset"]),
            str(note["label"]),
            str(note["arm"]),
            int(note["trials"]),
            len(done) + len(pruned) + len(failed),
            len(pruned),
            len(failed),
            metric,
            max(values, key=lambda value: sign(metric) * value, default=None),
            in_words(dict(note["space"])),
        )
    except (DataError, KeyError, TypeError, ValueError):
        return None


def _value(folder: Path, metric: str) -> float | None:
    try:
        value = float(read_json(folder / "metrics.json", "")["valid_result"][metric])
    except (DataError, KeyError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _chosen(path: Path) -> Iterator[UnderWay]:
    try:
        known = read_tuning(path)
    except DataError:
        return
    if known.space:
        dataset, label, arm = path.parts[-4:-1]
        yield UnderWay(
            dataset,
            label,
            arm,
            known.trials,
            known.trials,
            known.pruned,
            known.failed,
            known.metric or "",
            known.value,
            known.over,
            known.taken or "nothing",
        )
