"""Whether the reasons of a comparison's models are faithful: what `burnish explain-eval` wrote, for reports."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.errors import DataError
from burnish.files.whole import read_json

if TYPE_CHECKING:
    from rich.table import Table

#: What a study is written to, and the folder inside one of runs (or of one run) that reports look into by themselves.
FILE, FOLDER = "faithfulness.json", "faithfulness"
#: What our reasons are called, and random ones by the protocol that flatters.
OURS, WARNING = "burnish", "best of 11 random"
#: What reports show, where a study has it: the measure and its k.
SHOWN = (
    *(("DEL", 1), ("DEL", 5), ("INS", 1), ("INS", 5), ("POS", 5), ("NEG", 5), ("CDCG", 5), ("MOVE", 5)),
    *(("retrained: gone", 5), ("stability: Spearman", 0), ("sanity: Spearman", 0)),
)
#: A letter for what a verdict says of ours beside a reference.
MARKS = {"better": "+", "worse": "-", "same": "="}
LEGEND = (
    "Faithfulness: what masking reasons of the history does to the first recommendation of a user, by ours and by "
    "reference reasons. + ours are better than these by more than chance, - worse, = the same. For CDCG smaller is "
    "better, for sanity near 0."
)
_CURE = "run `burnish explain-eval ... --output FOLDER` again, or take the folder away"


@dataclass(frozen=True)
class Figure:
    """A mean, with the ends of its 95% interval where it has any, and a letter of `MARKS` beside a reference's."""

    mean: float | None
    low: float | None = None
    high: float | None = None
    mark: str = ""
    places: int = 3

    def __str__(self) -> str:
        if self.mean is None:
            return "-"
        wide = (
            "" if self.low is None or self.high is None else f" ±{(self.high - self.low) / 2:.{self.places}f}"
        )
        return f"{self.mean:.{self.places}f}{wide}{' ' if self.mark else ''}{self.mark}"


@dataclass(frozen=True)
class Study:
    """One `faithfulness.json`.

    users: how many recommendations were asked again.  methods: how contributions come about, by model.  figures: by
    model, measure and k, and sort of reasons.  warnings: what random reasons would score by a protocol that flatters.
    """

    path: Path
    users: int
    methods: dict[str, str]
    figures: dict[tuple[str, str, int], dict[str, Figure]]
    warnings: tuple[str, ...]

    @property
    def references(self) -> list[str]:
        """The sorts of reasons that ours are compared with, in their order."""
        named = (name for figures in self.figures.values() for name in figures)
        return [name for name in dict.fromkeys(named) if name not in (OURS, WARNING)]

    def lines(self) -> list[tuple[str, str, list[Figure | None]]]:
        """Model, measure, and the figures of ours and of each reference (None where there is none)."""
        found = []
        for model in self.methods:
            for measure, k in SHOWN:
                figures = self.figures.get((model, measure, k))
                if figures is not None and OURS in figures and figures[OURS].mean is not None:
                    shown = [figures.get(name) for name in (OURS, *self.references)]
                    sizes = [abs(one.mean) for one in shown if one is not None and one.mean is not None]
                    places = 5 if 1e-7 < max(sizes) < 0.01 else 3  # as explain-eval shows them
                    cells = [None if one is None else replace(one, places=places) for one in shown]
                    found.append((model, f"{measure}@{k}" if k else measure, cells))
        return found

    def head(self) -> str:
        """Whom it asked, and how reasons come about."""
        how = "; ".join(f"{model}: {method}" for model, method in self.methods.items())
        return f"{self.users} users ({self.path.parent}); {how}."


def find_studies(runs: Path, further: Sequence[Path | str] = ()) -> list[Study]:
    """The studies in folders `faithfulness` anywhere in a folder of runs, and those in `further` folders.

    A damaged one that was found is told in a warning and left out.
    Raises `DataError` for a further folder without a study, or with a damaged one.
    """
    studies: dict[Path, Study] = {}
    for path in sorted(runs.rglob(f"{FOLDER}/{FILE}")):
        try:
            studies[path.resolve()] = read_study(path)
        except DataError as error:
            warnings.warn(f"{error} It is left out here.", stacklevel=3)
    for folder in further:
        path = Path(folder) / FILE if Path(folder).name != FILE else Path(folder)
        studies[path.resolve()] = read_study(path)
    return list(studies.values())


def read_study(path: Path) -> Study:
    """One `faithfulness.json`.  Raises `DataError` for one that is missing or damaged."""
    content = read_json(path, _CURE)
    try:
        verdicts = {
            (*_key(row), str(row["reference"])): MARKS.get(str(row["verdict"]), "")
            for row in content["differences"]
        }
        figures: dict[tuple[str, str, int], dict[str, Figure]] = {}
        for row in content["summary"]:
            name = str(row["reasons"])
            ends = (_number(row["low"]), _number(row["high"])) if name == OURS else (None, None)
            figure = Figure(_number(row["mean"]), *ends, verdicts.get((*_key(row), name), ""))
            figures.setdefault(_key(row), {})[name] = figure
        return Study(
            path,
            int(content["users"]),
            {str(model): str(method) for model, method in content["methods"].items()},
            figures,
            tuple(str(line) for line in content["warnings"]),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not what explain-eval writes ({error!r}); {_CURE}") from error


def _key(row: Any) -> tuple[str, str, int]:
    return str(row["model"]), str(row["measure"]), int(row["k"])


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def faithfulness_tables(studies: Iterable[Study]) -> list[Table | str]:
    """For the terminal: a table a study, what it shows, and the warnings."""
    from rich.table import Table
    from rich.text import Text

    shown: list[Table | str] = []
    for study in studies:
        table = Table(
            box=None, pad_edge=False, padding=(0, 1, 0, 0), title=study.head(), title_justify="left"
        )
        for head in ("model", "measure"):
            table.add_column(head, overflow="fold")
        for head in ("ours", *study.references):
            table.add_column(head, justify="right", overflow="fold")
        before = ""
        for model, measure, cells in study.lines():
            row = [
                "" if model == before else model,
                measure,
                *("" if one is None else str(one) for one in cells),
            ]
            table.add_row(*map(Text, row))
            before = model
        shown += ["", table, *study.warnings]
    return [*shown, LEGEND] if shown else []
