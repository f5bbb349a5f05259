"""A valuation as a `shap.Explanation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from burnish.errors import ConfigurationError
from burnish.explanation import load_shap


def explanation(
    values: np.ndarray,
    errors: np.ndarray,
    outputs: Sequence[str],
    players: pd.DataFrame | None,
    row: int | None,
    *,
    output: str | None,
    place: int | None,
    base: float | Sequence[float],
    data: Any,
) -> Any:
    """See `Valuation.to_shap`."""
    if row is not None and output is not None:
        raise ConfigurationError(
            f"row = {row} and output = {output!r} leave a single number; give one of them"
        )
    if row is not None and not -len(values) <= row < len(values):
        raise ConfigurationError(f"row = {row}: there are {len(values)} players, counted from 0")
    names: list[str] = list(outputs)
    if place is not None:
        names = player_names(players, len(values))
        values, errors = values[:, place], errors[:, place]
    elif row is not None:
        values, errors = values[row], errors[row]
    shown = values.copy() if data is None else np.asarray(data)
    if shown.shape != values.shape:
        raise ConfigurationError(
            f"data has the shape {list(shown.shape)}; the values have {list(values.shape)}"
        )
    samples = () if values.ndim == 1 else (len(values),)
    try:
        bases = np.broadcast_to(np.asarray(base, dtype=np.float64), samples).copy()
    except ValueError as error:
        raise ConfigurationError(
            f"base = {base!r}: give one number" + (" or one a player" if samples else "")
        ) from error
    shap = load_shap()
    return shap.Explanation(
        values,
        base_values=float(bases) if not samples else bases,
        data=shown,
        feature_names=names,
        error_std=errors if np.isfinite(errors).all() else None,
    )


def player_names(players: pd.DataFrame | None, n: int) -> list[str]:
    """What to call the players: the title, else the item's id, else `player 3`."""
    if players is None:
        return [f"player {place}" for place in range(n)]
    column = next((name for name in ("title", "item") if name in players), None)
    if column is None:
        return [f"player {place}" for place in range(n)]
    items = players["item"] if "item" in players else players[column]
    names: list[str] = []
    for title, item in zip(players[column], items, strict=True):
        names.append(str(title) if isinstance(title, str) and title else str(item))
    return names
