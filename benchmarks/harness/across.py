"""One table across data sets: arms below each other, floors first, and a column for each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .metrics import sign
from .rows import Row

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

#: Kinds of lines in their order.
_KINDS = ("floor", "baseline", "arm")
_MARKS = {1: "+", -1: "-", 0: ""}


@dataclass(frozen=True)
class Cell:
    """A mean on one data set, and whether it is clearly better (1) or worse (-1) than the baseline's there."""

    mean: float
    direction: int = 0
    n_seeds: int = 0
    best: bool = False

    @property
    def text(self) -> str:
        return f"{self.mean:.4f}{_MARKS[self.direction]}"


@dataclass
class Line:
    """One floor or arm of one backbone, with a cell for each data set (column) that it was run on."""

    backbone: str
    name: str
    kind: str
    cells: dict[str, Cell] = field(default_factory=dict)


def lines_across(rows: Sequence[Row], metric: str) -> tuple[list[str], list[Line]]:
    """The columns and the lines of a metric's table; none where there is one data set only.

    A data set with several comparisons of a backbone, such as under two sets of options, has a column for each.  Means
    are those of the rows against the baseline: over the seeds that an arm shares with it.  The best mean of each
    backbone and column is marked.
    """
    own = [row for row in rows if row.metric == metric and row.kind in ("floor", "arm")]
    if len({row.dataset for row in own}) < 2:
        return [], []
    versions: dict[tuple[str, str], set[str]] = {}
    for row in own:
        versions.setdefault((row.dataset, row.backbone), set()).add(row.comparison)
    several = {dataset for (dataset, _), found in versions.items() if len(found) > 1}
    columns: list[str] = []
    lines: dict[tuple[str, str, str], Line] = {}
    for row in own:
        column = f"{row.dataset} #{row.comparison}" if row.dataset in several else row.dataset
        if column not in columns:
            columns.append(column)
        for kind, name, cell in _cells(row):
            line = lines.setdefault((row.backbone, kind, name), Line(row.backbone, name, kind))
            known = line.cells.get(column)
            if known is None or known.n_seeds < cell.n_seeds:
                line.cells[column] = cell
    backbones = list(dict.fromkeys(row.backbone for row in own))
    ordered = sorted(lines.values(), key=lambda one: (backbones.index(one.backbone), _KINDS.index(one.kind)))
    _mark_best(ordered, columns, sign(metric))
    return columns, ordered


def _cells(row: Row) -> Iterator[tuple[str, str, Cell]]:
    yield row.kind, row.arm, Cell(row.mean, row.direction, row.n_seeds)
    yield "baseline", row.baseline, Cell(row.baseline_mean, 0, row.n_seeds)


def _mark_best(lines: Sequence[Line], columns: Sequence[str], turn: int) -> None:
    for column in columns:
        for backbone in {line.backbone for line in lines}:
            there = [line for line in lines if line.backbone == backbone and column in line.cells]
            best = max((turn * line.cells[column].mean for line in there), default=None)
            for line in there:
                cell = line.cells[column]
                if turn * cell.mean == best:
                    line.cells[column] = Cell(cell.mean, cell.direction, cell.n_seeds, best=True)


def cells_across(rows: Sequence[Row], bold: str = "{}") -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Of each metric: its name, the heads of the columns, and the texts of the lines; nothing for one data set.

    bold: how the best of a column is written.
    """
    for metric in dict.fromkeys(row.metric for row in rows):
        columns, lines = lines_across(rows, metric)
        if not columns:
            continue
        alone = len({line.backbone for line in lines}) == 1
        heads = [*([] if alone else ["backbone"]), "arm", *columns]
        texts = []
        for line in lines:
            name = f"{line.name} (floor)" if line.kind == "floor" else line.name
            cells = [line.cells.get(column) for column in columns]
            values = [
                "-" if cell is None else bold.format(cell.text) if cell.best else cell.text for cell in cells
            ]
            texts.append([*([] if alone else [line.backbone]), name, *values])
        yield metric, heads, texts


def legend(rows: Sequence[Row]) -> str:
    """What the marks stand for."""
    baseline = next((row.baseline for row in rows if row.kind in ("floor", "arm")), "the baseline")
    return (
        f"Means on the test set; + clearly better, - clearly worse than {baseline} there (by the corrected p below); "
        f"the best of a column is bold."
    )


def to_table_across(rows: Sequence[Row]) -> Table | None:
    """For the terminal: a block for each metric; None for one data set."""
    from rich.table import Table
    from rich.text import Text

    table: Table | None = None
    for metric in dict.fromkeys(row.metric for row in rows):
        columns, lines = lines_across(rows, metric)
        if not columns:
            continue
        if table is None:
            table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
            table.add_column("backbone", overflow="fold")
            table.add_column("arm", overflow="fold")
            for column in columns:
                table.add_column(column, justify="right", overflow="fold")
        table.add_row(Text(metric, style="bold cyan"))
        for line in lines:
            texts = [_styled(line.cells.get(column)) for column in columns]
            name = f"{line.name} (floor)" if line.kind == "floor" else line.name
            table.add_row(Text(line.backbone), Text(name), *texts)
    return table


def _styled(cell: Cell | None) -> Text:
    from rich.text import Text

    if cell is None:
        return Text("-")
    colour = {1: "green", -1: "red", 0: ""}[cell.direction]
    return Text(cell.text, style=f"bold {colour}".strip() if cell.best else colour)
