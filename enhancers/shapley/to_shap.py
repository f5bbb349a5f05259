"""A valuation as a `shap.Explanation`.  shap is loaded here and nowhere else, and only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from burnish.enhancers.errors import ConfigurationError, UnsupportedError

if TYPE_CHECKING:
    from .valuation import Valuation


def explanation(
    valuation: Valuation,
    row: int | None,
    *,
    output: str | None,
    base: float | Sequence[float],
    data: Any,
) -> Any:
    """See `Valuation.to_shap`."""
    if row is not None and output is not None:
        raise ConfigurationError(
            f"row = {row} and output = {output!r} leave a single number; give one of them"
        )
    if row is not None and not -valuation.n_players <= row < valuation.n_players:
        raise ConfigurationError(f"row = {row}: there are {valuation.n_players} players, counted from 0")
    values = valuation.values.detach().cpu().double().numpy()
    errors = valuation.standard_error.detach().cpu().double().numpy()
    names: list[str] = list(valuation.outputs)
    if output is not None:
        place = valuation.place(output)
        values, errors, names = values[:, place], errors[:, place], player_names(valuation)
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


def player_names(valuation: Valuation) -> list[str]:
    """What to call the players: the title, else the item's id, else `player 3`."""
    players = valuation.players
    if players is None:
        return [f"player {place}" for place in range(valuation.n_players)]
    column = next((name for name in ("title", "item") if name in players), None)
    if column is None:
        return [f"player {place}" for place in range(valuation.n_players)]
    items = players["item"] if "item" in players else players[column]
    names: list[str] = []
    for title, item in zip(players[column], items, strict=True):
        names.append(str(title) if isinstance(title, str) and title else str(item))
    return names


def load_shap() -> Any:
    """The module shap.  Raises `UnsupportedError` where it is not installed."""
    try:
        import shap
    except ImportError as error:
        raise UnsupportedError(f"shap cannot be imported ({error}); `pip install shap` adds it") from error
    return shap
