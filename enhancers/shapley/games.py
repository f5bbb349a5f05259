"""Games: functions of coalitions, evaluated many coalitions at a time, with one or more outputs.

Those on a trained backbone are in `history_games`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, NonFiniteError


@runtime_checkable
class Game(Protocol):
    """What an estimator needs: how many players, what the outputs are called, and their values for coalitions.

    Called with masks, bool `[n_masks, n_players]`, True where a player takes part; returns `[n_masks, n_outputs]`
    floating-point numbers on the masks' device.  The same mask must give the same numbers every time.
    A game may have `device`, on which estimators then make their masks (the CPU otherwise).
    """

    @property
    def n_players(self) -> int: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    def __call__(self, masks: Tensor) -> Tensor: ...


def device_of(game: Game) -> torch.device:
    """Where masks for this game are to be made."""
    return torch.device(getattr(game, "device", "cpu"))


def checked(game: Game, masks: Tensor) -> Tensor:
    """The game's values for masks `[n_masks, n_players]`: `[n_masks, n_outputs]`, finite.

    Raises `ConfigurationError` for masks or values of the wrong shape, and `NonFiniteError` that names the coalition
    and the output for NaN and infinity.
    """
    if masks.dtype != torch.bool or masks.dim() != 2 or masks.shape[1] != game.n_players:
        raise ConfigurationError(
            f"masks are {masks.dtype} of shape {list(masks.shape)}; a game of {game.n_players} players takes bool "
            f"[n_masks, {game.n_players}]"
        )
    values = game(masks)
    if values.shape != (len(masks), len(game.outputs)):
        raise ConfigurationError(
            f"{type(game).__name__} gave values of shape {list(values.shape)} for {len(masks)} masks and the outputs "
            f"{game.outputs}; it must give [{len(masks)}, {len(game.outputs)}]"
        )
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        mask, output = (int(place) for place in (~finite).nonzero()[0])
        members = masks[mask].nonzero().squeeze(1).tolist()
        shown = f"{members[:12]}" + (f" and {len(members) - 12} more" if len(members) > 12 else "")
        raise NonFiniteError(
            f"{type(game).__name__} gave {float(values[mask, output])} as {game.outputs[output]!r} of the coalition of "
            f"{len(members)} players {shown} (mask {mask} of {len(masks)}); a game must be finite for every coalition, "
            "the empty one included"
        )
    return values
