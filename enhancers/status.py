"""`status`: what is attached to a model, and what it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from burnish.html_tables import page
from burnish.html_tables import table as html_table

from .anatomy.table import Side, Table
from .attach import is_enhanced, split_enhanced
from .bake import why_not_bakeable
from .detach import host_of
from .enhancer import Enhancer
from .host import Host


@dataclass(frozen=True)
class TableStatus:
    """One embedding table of the backbone.

    rows: ids, padding included.  parameters: numbers in it, `rows * width`.  trained: whether training may change
    them.  refined_by: names of the enhancers that refine it, in their order.
    """

    name: str
    side: Side
    rows: int
    width: int
    transposed: bool
    parameters: int
    trained: bool
    refined_by: tuple[str, ...]


@dataclass(frozen=True)
class EnhancerStatus:
    """One attached enhancer.

    hooks: which of refine, refine_output, loss, weigh, interaction_weights and candidates are in use.
    note: what it says of itself; None for nothing.
    """

    name: str
    options: dict[str, Any]
    parameters: int
    hooks: tuple[str, ...]
    bakeable: bool
    note: str | None = None


@dataclass(frozen=True)
class Status:
    """What is attached to a model; `str` shows it as a table.

    weights: how weights enter the backbone's loss, "unknown" before the first batch; None where nothing weighs.
    step: training steps done with the enhancers attached.
    not_bakeable: why `bake` would refuse; None where it would not.
    """

    backbone: str
    tables: tuple[TableStatus, ...] = ()
    enhancers: tuple[EnhancerStatus, ...] = ()
    weights: str | None = None
    step: int = 0
    not_bakeable: str | None = None

    @property
    def attached(self) -> bool:
        """Whether anything is attached."""
        return bool(self.enhancers)

    def __str__(self) -> str:
        if not self.attached:
            return self._title()
        lines = [self._title(), ""]
        lines += [*_aligned([_ENHANCER, *self._enhancer_rows()]), ""]
        lines += _aligned([_TABLE, *self._table_rows()]) if self.tables else ["no embedding tables"]
        for note in self._notes():
            lines += ["", note]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = []
        if self.attached:
            parts = [html_table(_ENHANCER, self._enhancer_rows(), text=len(_ENHANCER))]
            parts += [html_table(_TABLE, self._table_rows(), text=len(_TABLE))] if self.tables else []
        return page(self._title(), *parts, notes=self._notes())

    def _title(self) -> str:
        if not self.attached:
            return f"{self.backbone}: nothing is attached"
        return f"{self.backbone}: {', '.join(e.name for e in self.enhancers)} attached, step {self.step}"

    def _enhancer_rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for e in self.enhancers:
            options = ", ".join(f"{name}={value!r}" for name, value in e.options.items()) or "defaults"
            hooks = ", ".join(e.hooks) or "none"
            rows.append((e.name, options, f"{e.parameters:,}", hooks, "yes" if e.bakeable else "no"))
        return rows

    def _table_rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for t in self.tables:
            width = f"{t.width}{' (transposed)' if t.transposed else ''}"
            numbers = f"{t.parameters:,}{'' if t.trained else ' (frozen)'}"
            refined = ", ".join(t.refined_by) or "nothing"
            rows.append((t.name, t.side, f"{t.rows:,}", width, numbers, refined))
        return rows

    def _notes(self) -> list[str]:
        if not self.attached:
            return []
        notes = [f"{e.name}: {e.note}" for e in self.enhancers if e.note]
        notes += [] if self.weights is None else [f"weights enter the loss by: {self.weights}"]
        return notes + ([] if self.not_bakeable is None else [f"cannot be baked: {self.not_bakeable}"])


_ENHANCER = ("enhancer", "options", "parameters", "hooks", "bakeable")
_TABLE = ("table", "side", "rows", "width", "parameters", "refined by")


def status(model: nn.Module) -> Status:
    """What is attached to a model; for a plain model, that nothing is.

    Parameters
    ----------
    model
        Any model of RecBole's, enhanced or not.

    Returns
    -------
    Status
        Tables, enhancers, how weights enter the loss, steps done, why `bake` would refuse; `str` shows it as a table.

    Raises
    ------
    UnsupportedError
        Where a refined table was replaced after attaching; it names the table.

    Examples
    --------
    >>> result = burnish.run("BPR", "ml-100k", enhancers="rvrec")  # doctest: +SKIP
    >>> print(burnish.status(result.model))  # doctest: +SKIP
    """
    if not is_enhanced(model):
        return Status(type(model).__name__)
    host = host_of(model, "status")
    host.places.check()
    reasons = [why_not_bakeable(enhancer, host.anatomy.backbone) for enhancer in host.enhancers()]
    return Status(
        backbone=split_enhanced(type(model))[0].__name__,
        tables=tuple(_table(table, host) for table in host.anatomy.tables),
        enhancers=tuple(_enhancer(enhancer, host) for enhancer in host.enhancers()),
        weights=_weights(host),
        step=host.state.step,
        not_bakeable=next(filter(None, reasons), None),
    )


def _table(table: Table, host: Host) -> TableStatus:
    stored = table.owner._parameters[table.parameter]
    return TableStatus(
        name=table.name,
        side=table.side,
        rows=table.count,
        width=table.width,
        transposed=table.transposed,
        parameters=table.count * table.width,
        trained=stored is not None and stored.requires_grad,
        refined_by=tuple(e.name for e in _refining(table, host)),
    )


def _refining(table: Table, host: Host) -> list[Enhancer[Any]]:
    refinement = host.state.refinements.get(table.name)
    spans = refinement.spans if refinement is not None else []
    return [
        e
        for span, enhancers in spans
        if (span.name, span.side) == (table.name, table.side)
        for e in enhancers
    ]


def _enhancer(enhancer: Enhancer[Any], host: Host) -> EnhancerStatus:
    hooks = ["refine"] if any(enhancer in _refining(table, host) for table in host.anatomy.tables) else []
    hooks += ["refine_output"] if enhancer.refines_output() else []
    # A loss of factor 0 is never asked for.
    if type(enhancer).loss is not Enhancer.loss and enhancer.loss_weight > 0:
        hooks.append("loss")
    hooks += [
        hook
        for hook in ("weigh", "interaction_weights")
        if getattr(type(enhancer), hook) is not getattr(Enhancer, hook)
    ]
    hooks += ["candidates"] if enhancer.candidates() is not None else []
    return EnhancerStatus(
        name=enhancer.name,
        options=enhancer.config.model_dump(exclude_defaults=True),
        parameters=sum(parameter.numel() for parameter in enhancer.parameters()),
        hooks=tuple(hooks),
        bakeable=why_not_bakeable(enhancer, host.anatomy.backbone) is None,
        note=enhancer.note(),
    )


def _weights(host: Host) -> str | None:
    loss = host.weigher.loss
    if loss is None:
        return None
    if host.weigher.resampling is not None and host.weigher.resampling.active:
        return "resampling"
    return loss.rule.route if loss.rule is not None else "unknown until the first batch"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
