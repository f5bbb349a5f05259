"""A valuation in a few tables: best and worst interactions, users, items, and deciles of popularity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from burnish.errors import ConfigurationError, DataError
from burnish.html_tables import page, table

from .parts import extreme_parts

DECILES = 10


@dataclass(frozen=True)
class Summary:
    """Five tables about the values of interactions.

    most, least: the most and the least valuable interactions, the extreme ones first: user, item, title (if there
        are titles), value, standard_error (NaN for a sum of outputs), and the part of the value that is largest
        (smallest) by axis, prototype and attribute, where there are such outputs.
    users, items: one row each, by mean value from the highest: interactions, mean, total.
    deciles: the interactions by the popularity of their item (its interactions among the players), from the least
        popular tenth of the interactions to the most popular: interactions, items, popularity_from, popularity_to,
        mean, standard_deviation, negative (the share of interactions with a value below 0).  An item is in one
        decile only, so that deciles can differ in size and be empty.
    output: the output summarised, None for the only one or the sum.
    """

    most: pd.DataFrame
    least: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame
    deciles: pd.DataFrame
    output: str | None

    def tables(self, top: int = 5) -> Iterator[tuple[str, pd.DataFrame]]:
        """The tables with headings, those by user and by item cut to the first and last few."""
        yield "most valuable interactions", self.most
        yield "least valuable interactions", self.least
        yield "by user", ends(self.users, top)
        yield "by item", ends(self.items, top)
        yield "by popularity of the item", self.deciles

    def _repr_html_(self) -> str:
        parts = [frame_table(frame, name) for name, frame in self.tables()]
        return page(f"values{'' if self.output is None else f' of {self.output}'}", *parts)

    def __str__(self) -> str:
        return "\n\n".join(f"{name}\n{table.to_string(index=False)}" for name, table in self.tables())


def frame_table(frame: pd.DataFrame, title: str) -> str:
    """A table for a notebook; a column without a known number (of standard errors) is left out."""
    known = frame.loc[:, [not frame[name].isna().all() for name in frame]]
    text = sum(name in ("user", "item", "title") for name in known)
    rows = (
        [cell.item() if isinstance(cell, np.generic) else cell for cell in row]
        for row in known.to_numpy(object)
    )
    return table([str(name).replace("_", " ") for name in known], rows, text=max(text, 1), title=title)


def ends(frame: pd.DataFrame, top: int) -> pd.DataFrame:
    """The first and the last rows, each once."""
    return frame if len(frame) <= 2 * top else pd.concat([frame.head(top), frame.tail(top)])


def summarise(
    players: pd.DataFrame | None,
    values: np.ndarray,
    errors: np.ndarray,
    *,
    top: int = 10,
    output: str | None = None,
    mostly: Mapping[str, tuple[np.ndarray, Sequence[str]]] | None = None,
) -> Summary:
    """See `Valuation.summary`.  values, errors: `[n]`, of the output.  mostly: parts `[n, k]`, and their names."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ConfigurationError(f"top = {top!r}: give a whole number, 1 or more")
    if players is None or "user" not in players or "item" not in players:
        raise DataError(
            "the players of this valuation have no user and item, so there is nothing to sum up by"
        )
    shown = [name for name in ("user", "item", "title") if name in players]
    frame = players[shown].reset_index(drop=True).assign(value=values, standard_error=errors)
    order = np.argsort(-values, kind="stable")
    most, least = order[:top], order[::-1][:top]
    parts = mostly or {}
    return Summary(
        most=frame.iloc[most].assign(**extreme_parts(parts, most, 1)).reset_index(drop=True),
        least=frame.iloc[least].assign(**extreme_parts(parts, least, -1)).reset_index(drop=True),
        users=_by(frame, "user"),
        items=_by(frame, "item"),
        deciles=_deciles(frame),
        output=output,
    )


def _by(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    groups = frame.groupby(column, sort=False)["value"]
    table = groups.agg(interactions="size", mean="mean", total="sum").reset_index()
    if column == "item" and "title" in frame:
        titles = frame.drop_duplicates("item").set_index("item")["title"]
        table.insert(1, "title", table["item"].map(titles))
    return table.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)


def decile_by_item(items: pd.Series) -> pd.Series:
    """The popularity decile of each item, 0 to 9, from the item of each interaction.

    Items from the least to the most popular, cut where a tenth of the interactions is reached; items that occur
    equally often are in the order of their ids.
    """
    counts = items.value_counts().sort_index().sort_values(kind="stable")
    before = counts.cumsum() - counts
    # The decile in which the middle of the item's interactions lies.
    return ((before + counts / 2) * DECILES / len(items)).astype("int64").clip(upper=DECILES - 1)


def _deciles(frame: pd.DataFrame) -> pd.DataFrame:
    counts = frame["item"].value_counts()
    place = decile_by_item(frame["item"])
    decile = frame["item"].map(place)
    popularity = frame["item"].map(counts)
    rows = []
    for number in range(DECILES):
        mine = (decile == number).to_numpy()
        values = frame["value"].to_numpy()[mine]
        size = int(mine.sum())
        rows.append(
            {
                "decile": number + 1,
                "interactions": size,
                "items": int((place == number).sum()),
                "popularity_from": int(popularity[mine].min()) if size else 0,
                "popularity_to": int(popularity[mine].max()) if size else 0,
                "mean": float(values.mean()) if size else np.nan,
                "standard_deviation": float(values.std()) if size else np.nan,
                "negative": float((values < 0).mean()) if size else np.nan,
            }
        )
    return pd.DataFrame(rows)
