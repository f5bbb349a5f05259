"""The tables that `burnish value` shows, and the file that it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from burnish.enhancers.shapley.valuation import Valuation
    from burnish.files.data_names import DataNames


#: Rows at either end of the tables of all interactions.
TOP = 5
#: What a part is called of the objectives whose parts mean something.
PARTS = {"axes": "axis", "prototypes": "prototype", "attributes": "attribute"}


def show(screen: Screen, valuation: Valuation, history: bool, top: int | None, names: DataNames) -> None:
    """The tables for people, one set an output; of the parts of a value their sum, and a row each.

    history: whether the values are of one user's history.  top: rows at either end of the tables; None for all items
    of a history, and for 5.
    """
    if history:
        show_history(screen, valuation, top, names)
    else:
        show_interactions(screen, valuation, TOP if top is None else top, names)
    say_unsettled(screen, valuation, "--budget" if history else "--repeats")


def say_unsettled(screen: Screen, valuation: Valuation, more: str) -> None:
    """Where values are not sure, which option makes them surer."""
    if not valuation.converged:
        screen.say(f"the standard errors are large beside the values, or unknown: raise {more}")


def show_edges(screen: Screen, valuation: Valuation, top: int | None, names: DataNames) -> None:
    """The most and the least valuable edges of each relation, with what all of its edges are worth together."""
    import pandas as pd

    frame, top = valuation.frame(), TOP if top is None else top
    columns = {"value.edges": "value", "standard_error.edges": "standard error"}
    for relation, edges in frame.groupby("relation", sort=False):
        shown = pd.DataFrame({side: edges[f"{side}_name"].fillna(edges[side]) for side in ("from", "to")})
        rows = pd.concat([shown, edges[["weight", *columns]].rename(columns=columns)], axis=1)
        rows = rows.sort_values("value", ascending=False)
        cut = top if len(rows) > 2 * top else 0
        if cut:
            rows = pd.concat([rows.head(cut), rows.tail(cut)])
        values = edges["value.edges"]
        head = f"{relation}: {len(edges):,} edges, {(values > 0).mean():.0%} of them worth more than 0"
        screen.results.print(as_table(head, rows, names, cut))
    say_unsettled(screen, valuation, "--repeats")


def show_history(screen: Screen, valuation: Valuation, top: int | None, names: DataNames) -> None:
    """The items of a history, the most valuable first, one table an output; top: only so many at either end."""
    import pandas as pd

    frame = valuation.frame()
    about = [name for name in ("item", "title") if name in frame]
    for output in valuation.outputs:
        columns = {f"value.{output}": "value", f"standard_error.{output}": "standard error"}
        rows = frame[[*about, *columns]].rename(columns=columns).sort_values("value", ascending=False)
        cut = top if top is not None and len(rows) > 2 * top else 0
        if cut:
            rows = pd.concat([rows.head(cut), rows.tail(cut)])
        screen.results.print(as_table(output, rows, names, cut))


def show_interactions(screen: Screen, valuation: Valuation, top: int, names: DataNames) -> None:
    """The extremes, and means by user, item and popularity; and for values in parts which part is worth most."""
    from burnish.enhancers.shapley.parts import MEANINGFUL, each_once, families
    from burnish.enhancers.shapley.summary import ends

    outputs = [name for name in valuation.outputs if "." not in name]
    for name in outputs or each_once(valuation.outputs):
        title = name if name in outputs else sum_of(name)
        spread = float(valuation.column(name).std(correction=0))
        for heading, frame in valuation.summary(top=top, output=name).tables(top):
            if heading == "by user" and (frame["mean"].abs() < 1e-6 * spread).all():
                continue  # standardised within user: all means are 0
            cut = top if heading in ("by user", "by item") and len(frame) == 2 * top else 0
            worth = "most" if heading.startswith("most") else "least"
            heads = {family: f"{part} worth {worth}" for family, part in PARTS.items()}
            screen.results.print(as_table(f"{title}: {heading}", frame.rename(columns=heads), names, cut))
    for name in families(valuation.outputs):
        frame, cut, note = valuation.by_part(name), 0, ""
        if name not in MEANINGFUL:
            note = ", which depends on the basis of the embedding"
            cut = top if len(frame) > 2 * top else 0
            frame = ends(frame, top)
        screen.results.print(as_table(f"{name}: by part{note}", frame, names, cut))


def sum_of(objective: str) -> str:
    """What the parts of an objective add up to, as a heading."""
    from burnish.enhancers.shapley.parts import value_of

    value = value_of(objective)
    return f"{objective}, all together" if value == objective else f"{value}, the sum of {objective}"


def as_table(title: str, frame: pd.DataFrame, names: DataNames, cut: int = 0) -> Any:
    """A table for people: numbers with four significant digits, to the right.  cut: rows before what is left out."""
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    formats: list[Callable[[Any], str]] = []
    heads = names.heads(frame.columns)
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        real = pd.api.types.is_float_dtype(frame[name])
        table.add_column(heads.get(name, str(name).replace("_", " ")), justify="right" if numeric else "left")
        formats.append((lambda cell: f"{cell:.4g}") if real else str)
    for place, row in enumerate(frame.itertuples(index=False)):
        if cut and place == cut:
            table.add_row(*("..." for _ in frame.columns))
        cells = ("" if pd.isna(cell) else as_text(cell) for cell, as_text in zip(row, formats, strict=True))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def write(valuation: Valuation, output: Path, kind: str, parts: Path, names: DataNames) -> None:
    """The file, and away with the shards that it was made from.

    The parquet file is what `Valuation.load` reads; the others have the data set's own names for users and items.
    """
    from burnish.files.tables import TableFile
    from burnish.trained.finished_shards import FinishedShards

    if kind == "parquet":
        valuation.save(output, kind)
    else:
        with TableFile(output, kind) as file:
            frame = valuation.frame()
            file.write(frame.rename(columns=names.heads(frame.columns)))
    FinishedShards(parts, "").remove()


def shown(outputs: tuple[str, ...]) -> list[str]:
    """The outputs, the middle of a long list left out."""
    return list(outputs) if len(outputs) <= 8 else [*outputs[:3], "...", outputs[-1]]
