"""Whether the reasons that models give are faithful: ours beside reference reasons."""

from __future__ import annotations

from collections.abc import Sequence

from ..faithful import LEGEND, Figure, Study
from .parts import Cell, Section, Table

_TONES = {"+": "gain", "-": "loss"}


def reasons(studies: Sequence[Study]) -> list[Section]:
    """A section with a table a study, and the warnings; none where there is no study."""
    if not studies:
        return []
    tables = []
    for study in studies:
        lines = tuple(
            (Cell(model), Cell(measure), *map(_cell, cells)) for model, measure, cells in study.lines()
        )
        heads = ("model", "measure", "ours", *study.references)
        tables.append(Table(heads, lines, 2, study.head(), grouped=True))
    said = tuple(line for study in studies for line in study.warnings)
    return [Section("reasons", "Faithfulness of reasons", (LEGEND,), (), tuple(tables), notes=said)]


def _cell(figure: Figure | None) -> Cell:
    """Green where ours are better than this reference."""
    if figure is None or figure.mean is None:
        return Cell("–", None, "muted")
    return Cell(str(figure), figure.mean, _TONES.get(figure.mark, ""))
