"""What a study of faithfulness found: figures a user, and tables of means and differences with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from burnish.benchmarks.harness.crossed import over_both
from burnish.benchmarks.harness.faithful import FILE, OURS, WARNING
from burnish.benchmarks.harness.tables import markdown_table
from burnish.errors import ConfigurationError
from burnish.files.whole import write_json, write_text, written_whole
from burnish.trained.finished_shards import check_writable
from burnish.training.record import MODEL_FILE, RUN_FILE

from .measures import MEASURES
from .references import REFERENCES

#: What paths are taken for.
PATHS_SAY = "the items of the history that the strongest paths of the enhancer to the item begin with"

#: Figures that stand alone: reasons of ours against ours by another seed, or of an untrained model.
CHECKS = {
    "stability: Spearman": "rank correlation with the contributions by another seed; 1 where they are exact",
    "stability: top-5 overlap": "share of the 5 strongest reasons that another seed has, too",
    "sanity: Spearman": "rank correlation with the contributions in the same model before training; near 0 expected",
    "sanity: top-5 overlap": "share of the 5 strongest reasons that the model before training has, too",
}
#: Measures after training anew, and whether larger is better.
RETRAINED = {
    "retrained: gone": (
        True,
        "share of users whose item left the top 10 when the model was trained without the k",
    ),
    "retrained: standing": (False, "the item's standing in the model that was trained without the k"),
}
FILES = (FILE, "faithfulness.md", "per_user.parquet")
#: What tells the folder of a run, of `burnish run` or of `burnish bench`.
_OF_RUNS = (RUN_FILE, MODEL_FILE, "result.json", "config.json", "metrics.json", "DONE")

#: Columns of the tables, also where there is nothing to compare with.
_MEANS = ["model", "measure", "k", "reasons", "mean", "low", "high", "users", "seeds"]
_DIFFERENCES = [
    "model",
    "measure",
    "k",
    "reference",
    "difference",
    "low",
    "high",
    "users",
    "seeds",
    "verdict",
]


@dataclass(eq=False)
class Faithfulness:
    """Figures of reasons: one a user, run, sort of reasons, measure and k.

    users: how many were sampled, of `asked`.  methods: how contributions come about, by model.
    said: by model what its references are, where they are not those of histories.  notes: remarks.
    rows: as `per_user` has them.
    """

    users: int
    asked: int
    seed: int
    methods: dict[str, str] = field(default_factory=dict)
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    #: Tables by name and number of rows: intervals over users and seeds take their time.
    _made: dict[tuple[str, int], pd.DataFrame] = field(default_factory=dict, repr=False)

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def per_user(self) -> pd.DataFrame:
        """One row a run, user, sort of reasons, measure and k: `value`; ids are those of the original data."""
        return pd.DataFrame(self.rows)

    def summary(self) -> pd.DataFrame:
        """Means over users and seeds with 95% intervals.

        Columns model, measure, k, reasons, mean, low, high, users, seeds.  The interval is for other users, and for
        other seeds where there are several runs of a model (`harness.crossed`).
        """
        return self._kept("summary", self._summary)

    def _kept(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        key = (name, len(self.rows))
        if key not in self._made:
            self._made[key] = make()
        return self._made[key].copy()

    def _summary(self) -> pd.DataFrame:
        rows = []
        for model, measure, k, tables in self._cells():
            for reasons, table in tables.items():
                rows.append(
                    {
                        "model": model,
                        "measure": measure,
                        "k": k,
                        "reasons": reasons,
                        **_with_interval(table, "mean"),
                    }
                )
        return pd.DataFrame(rows, columns=_MEANS)

    def differences(self) -> pd.DataFrame:
        """Ours less each reference, paired by user and seed, with 95% intervals.

        Columns model, measure, k, reference, difference, low, high, users, seeds and verdict: "better" or "worse" where
        the interval is clear of 0, "same" where no user differs, else "unclear".
        """
        return self._kept("differences", self._differences)

    def _differences(self) -> pd.DataFrame:
        rows = []
        for model, measure, k, tables in self._cells():
            if OURS not in tables:
                continue
            for reasons, table in tables.items():
                if reasons in (OURS, WARNING):
                    continue
                difference = tables[OURS] - table
                found = _with_interval(difference, "difference")
                rows.append(
                    {
                        "model": model,
                        "measure": measure,
                        "k": k,
                        "reference": reasons,
                        **found,
                        "verdict": _verdict(difference, found, larger=_larger(measure)),
                    }
                )
        return pd.DataFrame(rows, columns=_DIFFERENCES)

    def warnings(self) -> list[str]:
        """What random reasons would score if each measure could choose its best draw for each user, a line a model."""
        lines = []
        means = self.summary().set_index(["model", "measure", "k", "reasons"])["mean"]
        for model in self.methods:
            parts = []
            for measure, k in (("DEL", 1), ("DEL", 5), ("INS", 1), ("INS", 5)):
                here = {name: means.get((model, measure, k, name)) for name in (WARNING, "random", OURS)}
                one = f"{measure}@{k} {measured(here[WARNING])}"
                if here["random"] is not None:
                    one += f" (one random order: {measured(here['random'])}; ours: {measured(here[OURS])})"
                parts.append(one)
            lines.append(
                f"Warning: if each measure took the best of 11 random orders for each user, random reasons would "
                f"score in {model}: {', '.join(parts)}. Figures by such a protocol say nothing; here one explanation "
                f"is chosen before anything is scored."
            )
        return lines

    def markdown(self) -> str:
        """Everything as text: tables of means and of differences for each model, checks, warnings, remarks."""
        summary, differences = self.summary(), self.differences()
        parts = ["# Faithfulness of reasons", self.head(), *self.warnings()]
        for model, method in self.methods.items():
            parts.append(f"## {model} ({method})")
            parts += _means(summary[summary["model"] == model])
            parts += _paired(differences[differences["model"] == model])
        parts.append("## What the measures are")
        parts.append("\n".join(f"- {line}" for line in self._legend(summary)))
        if self.notes:
            parts += ["## Remarks", "\n".join(f"- {note}" for note in self.notes)]
        return "\n\n".join(parts) + "\n"

    def _legend(self, summary: pd.DataFrame) -> list[str]:
        """What measures and references are, a line each."""
        of_histories = summary[~summary["model"].isin(self.said)]
        lines = _legend(set(summary["measure"]), set(of_histories["reasons"]))
        for model, said in self.said.items():
            there = set(summary[summary["model"] == model]["reasons"])
            lines += [f"{model}: {name}: {says}" for name, says in said.items() if name in there]
        return lines

    def as_object(self) -> dict[str, Any]:
        """Everything but the figures a user, for JSON: NaN is null."""
        return {
            "users": self.users,
            "seed": self.seed,
            "methods": self.methods,
            "summary": records(self.summary()),
            "differences": records(self.differences()),
            "warnings": self.warnings(),
            "notes": self.notes,
        }

    def write(self, folder: Path | str) -> list[Path]:
        """Write `FILES` into a folder, each whole or not at all; gives their paths."""
        folder = Path(folder)
        check_folder(folder)
        places = [folder / name for name in FILES]
        write_json(places[0], self.as_object())
        write_text(places[1], self.markdown())
        with written_whole(places[2]) as beside:
            self.per_user().to_parquet(beside, index=False)
        return places

    def head(self) -> str:
        """Who was asked, in a sentence."""
        few = f" ({self.asked} were asked for)" if self.users < self.asked else ""
        frame = self.per_user()
        seeds = frame.groupby("model")["run_seed"].nunique() if len(frame) else pd.Series(dtype=int)
        over = "users and seeds" if len(seeds) and seeds.max() > 1 else "users"
        return (
            f"{self.users} users{few}, drawn with seed {self.seed}; the first recommendation of each. Intervals: 95%, "
            f"over {over}."
        )

    def _cells(self) -> Iterator[tuple[str, str, int, dict[str, NDArray[np.float64]]]]:
        """Model, measure, k, and by reasons the figures `[n_users, n_seeds]`, NaN where there is none."""
        frame = self.per_user()
        if not len(frame):
            return
        order = {name: place for place, name in enumerate((*MEASURES, *CHECKS, *RETRAINED))}
        parts: list[tuple[tuple[str, str, int], pd.DataFrame]] = [
            ((str(model), str(measure), int(str(k))), part)
            for (model, measure, k), part in frame.groupby(["model", "measure", "k"], sort=False)
        ]
        models = list(dict.fromkeys(frame["model"]))
        for (model, measure, k), part in sorted(
            parts, key=lambda pair: (models.index(pair[0][0]), order[pair[0][1]], pair[0][2])
        ):
            users = list(dict.fromkeys(part["user"]))
            seeds = list(dict.fromkeys(part["run_seed"]))
            tables = {}
            for reasons, own in part.groupby("reasons", sort=False):
                wide = own.pivot(index="user", columns="run_seed", values="value")
                tables[str(reasons)] = wide.reindex(index=users, columns=seeds).to_numpy(np.float64)
            yield model, measure, k, tables


def check_folder(folder: Path) -> None:
    """Raise `ConfigurationError`, before a study is made, where it cannot be written or a run's files are."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is a file; --output is the folder that {', '.join(FILES)} go into"
        )
    of_run = [name for name in _OF_RUNS if (folder / name).exists()]
    if not of_run and (folder / FILES[2]).exists() and not (folder / FILE).exists():
        of_run = [FILES[2]]  # what is left of a run, or somebody else's
    if of_run:
        raise ConfigurationError(
            f"{folder} holds a run ({', '.join(of_run[:3])}), and {FILES[2]} there would be lost; give another folder, "
            f"such as {folder / 'faithfulness'} (--output)"
        )
    for name in FILES:
        check_writable(folder / name)


def _with_interval(table: NDArray[np.float64], name: str) -> dict[str, Any]:
    there = np.isfinite(table)
    kept = there.any(axis=1)
    if not kept.any():
        return {name: np.nan, "low": np.nan, "high": np.nan, "users": 0, "seeds": 0}
    mean = float(np.nanmean(table[kept], axis=1).mean())
    low, high = over_both(table).interval(mean)
    return {
        name: mean,
        "low": low,
        "high": high,
        "users": int(kept.sum()),
        "seeds": int(there.any(axis=0).sum()),
    }


def _larger(measure: str) -> bool:
    return MEASURES[measure].larger if measure in MEASURES else RETRAINED.get(measure, (True, ""))[0]


def _verdict(difference: NDArray[np.float64], found: dict[str, Any], *, larger: bool) -> str:
    there = difference[np.isfinite(difference)]
    # Orders that differ by rounding alone are the same to a reader.
    if len(there) and np.abs(there).max() < 1e-9:
        return "same"
    low, high = (found["low"], found["high"]) if larger else (-found["high"], -found["low"])
    return "better" if low > 0 else "worse" if high < 0 else "unclear"


def measure_name(measure: str, k: int) -> str:
    """`DEL@3`, or the name alone where there is no k."""
    return f"{measure}@{k}" if k else measure


def measured(value: float | None, places: int = 3) -> str:
    """Rounded; `-` where there is no figure."""
    return "-" if value is None or np.isnan(value) else f"{value:.{places}f}"


def places_of(values: Iterable[float | None]) -> int:
    """Decimal places of the figures of one line: three, or five where all are small (but not rounding alone)."""
    sizes = [abs(value) for value in values if value is not None and np.isfinite(value)]
    return 5 if sizes and 1e-7 < max(sizes) < 0.01 else 3


def _means(summary: pd.DataFrame) -> list[str]:
    """Tables of means: one of what has references, one of what stands alone."""
    tables = []
    for chosen in (summary["measure"].isin(CHECKS), ~summary["measure"].isin(CHECKS)):
        part = summary[chosen]
        for retrained in (False, True):
            block = part[part["measure"].isin(RETRAINED) == retrained]
            if len(block):
                tables.append(
                    _table(
                        block,
                        "reasons",
                        "mean",
                        lambda row, places: f"{measured(row['mean'], places)} {_interval(row, places)}",
                    )
                )
    return tables[::-1] if len(tables) > 1 else tables


def _paired(differences: pd.DataFrame) -> list[str]:
    if not len(differences):
        return []
    return [
        "Ours less each reference, paired; better or worse where the interval is clear of 0:",
        _table(
            differences,
            "reference",
            "difference",
            lambda row, places: (
                "-"
                if row["difference"] is None
                else f"{row['difference']:+.{places}f} {_interval(row, places)} {_SHOWN[row['verdict']]}".rstrip()
            ),
        ),
    ]


#: Verdicts as tables show them.
_SHOWN = {"better": "better", "worse": "worse", "same": "same", "unclear": ""}


def _interval(row: dict[str, Any], places: int) -> str:
    return "" if row["low"] is None else f"[{row['low']:.{places}f}, {row['high']:.{places}f}]"


def _table(frame: pd.DataFrame, column: str, value: str, cell: Callable[[dict[str, Any], int], str]) -> str:
    """Measures down, reasons across; value: the column of the figures."""
    across = list(dict.fromkeys(frame[column]))
    lines: dict[str, dict[str, dict[str, Any]]] = {}
    for row in records(frame):
        lines.setdefault(measure_name(row["measure"], row["k"]), {})[row[column]] = row
    body = []
    for name, rows in lines.items():
        places = places_of(row[value] for row in rows.values())
        body.append([name, *(cell(rows[one], places) if one in rows else "-" for one in across)])
    return markdown_table(["measure", *across], body)


def _legend(shown: set[str], reasons: set[str]) -> list[str]:
    lines = [
        f"{name}: {one.says} ({'larger' if one.larger else 'smaller'} is better)"
        for name, one in MEASURES.items()
        if name in shown
    ]
    lines += [f"{name}: {says}" for name, says in CHECKS.items() if name in shown]
    lines += [
        f"{name}: {says} ({'larger' if larger else 'smaller'} is better)"
        for name, (larger, says) in RETRAINED.items()
        if name in shown
    ]
    lines.append(
        "standing: the item's score less the mean of all items that could be recommended, over their standard "
        "deviation by the whole history"
    )
    said = REFERENCES | {"paths": PATHS_SAY}
    return [*lines, *(f"{name}: {says}" for name, says in said.items() if name in reasons)]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows; None where there is no figure."""
    return [
        {
            str(name): None if isinstance(value, float) and np.isnan(value) else value
            for name, value in row.items()
        }
        for row in frame.to_dict(orient="records")
    ]
