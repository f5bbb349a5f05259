"""Games: functions of coalitions, evaluated many coalitions at a time, with one or more outputs.

`MeanProfile` and `NeighbourGame` are here; games on a trained backbone are in `history_games`.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class MeanProfile:
    """A user's profile as the mean of her items' vectors, and how well it points where it should.

    v(S) = sum of x_i over S / (|S| + shrinkage), v of nobody = 0, for contributions x_i `[n_players, n_outputs]`:

    * direction `[d]`: x_i = direction * vectors_i elementwise, an output an embedding dimension.  Their sum over the
      outputs is the scalar product of profile and direction.
    * direction `[k, d]`: x_i = the scalar products of vectors_i with the k directions, an output an objective
      (accuracy, tail, an attribute).

    vectors: `[n_players, d]`.  shrinkage: at least 0; how many players of zeros the mean is taken with.
    outputs: names; by default `dimension 0`, ... or `objective 0`, ...
    `estimators.closed_form` has exact values of this game.
    """

    def __init__(
        self,
        vectors: Tensor,
        direction: Tensor,
        *,
        shrinkage: float = 0.0,
        outputs: Sequence[str] | None = None,
    ) -> None:
        if vectors.dim() != 2 or direction.dim() not in (1, 2) or direction.shape[-1] != vectors.shape[1]:
            raise ConfigurationError(
                f"vectors has the shape {list(vectors.shape)} and direction {list(direction.shape)}; give "
                "[n_players, d] and [d] (values by dimension) or [k, d] (values by objective)"
            )
        if not shrinkage >= 0 or shrinkage == float("inf"):
            raise ConfigurationError(f"shrinkage = {shrinkage}; give a finite number that is at least 0")
        bad = ~torch.isfinite(vectors).all(dim=1)
        if bool(bad.any()) or not bool(torch.isfinite(direction).all()):
            which = f"vectors of player {int(bad.nonzero()[0])}" if bool(bad.any()) else "direction"
            raise NonFiniteError(f"{which}: NaN or infinity; no mean can be taken with it")
        by_dimension = direction.dim() == 1
        #: What each player brings, `[n_players, n_outputs]`.
        self.contributions = vectors * direction if by_dimension else vectors @ direction.T
        self.shrinkage = float(shrinkage)
        kind = "dimension" if by_dimension else "objective"
        self._outputs = _names(outputs, kind, self.contributions.shape[1])

    @property
    def n_players(self) -> int:
        return len(self.contributions)

    @property
    def outputs(self) -> tuple[str, ...]:
        return self._outputs

    @property
    def device(self) -> torch.device:
        return self.contributions.device

    def __call__(self, masks: Tensor) -> Tensor:
        members = masks.to(self.contributions.dtype)
        size = members.sum(1, keepdim=True)
        # Nobody's sum is zero, so any positive divisor gives zero there.
        return members @ self.contributions / torch.where(size > 0, size + self.shrinkage, 1.0)


class NeighbourGame:
    """How well the nearest neighbours among the players answer queries: the game of KNN-Shapley.

    v(S) = mean over queries of 1/k sum of match over the min(k, |S|) players in S that are nearest to the query,
    by squared Euclidean distance; ties go to the player who comes first.

    vectors: `[n_players, d]`, for example of a user's items.  queries: `[n_queries, d]`, of held-out items.
    match: `[n_queries, n_players]`, what a neighbour is worth to a query: 1 where their labels agree, else 0, or any
        other finite number.  k: at least 1.
    `estimators.knn` has exact values of this game.
    """

    def __init__(self, vectors: Tensor, queries: Tensor, match: Tensor, *, k: int = 5) -> None:
        if (
            vectors.dim() != 2
            or queries.dim() != 2
            or vectors.shape[1] != queries.shape[1]
            or not len(queries)
        ):
            raise ConfigurationError(
                f"vectors has the shape {list(vectors.shape)} and queries {list(queries.shape)}; give "
                "[n_players, d] and [n_queries, d] with at least one query"
            )
        if match.shape != (len(queries), len(vectors)):
            raise ConfigurationError(
                f"match has the shape {list(match.shape)}; {len(queries)} queries and {len(vectors)} players need "
                f"[{len(queries)}, {len(vectors)}]"
            )
        if k < 1:
            raise ConfigurationError(f"k = {k}; give at least 1 neighbour")
        self.k = k
        squared = vectors.square().sum(1) - 2 * queries @ vectors.T  # less what is the same for all players
        #: `[n_queries, n_players]` players from the nearest to the farthest, and what they are worth in that order.
        self.nearest = squared.argsort(dim=1, stable=True)
        self.worth = match.to(vectors.dtype).gather(1, self.nearest)
        self.outputs: tuple[str, ...] = ("neighbours",)

    @property
    def n_players(self) -> int:
        return int(self.worth.shape[1])

    @property
    def device(self) -> torch.device:
        return self.worth.device

    def __call__(self, masks: Tensor) -> Tensor:
        total = self.worth.new_zeros(len(masks))
        for order, worth in zip(self.nearest, self.worth, strict=True):
            present = masks[:, order]
            among = present & (present.cumsum(1) <= self.k)
            total += among.to(worth.dtype) @ worth
        return (total / (self.k * len(self.worth))).unsqueeze(1)


def _names(given: Sequence[str] | None, kind: str, count: int) -> tuple[str, ...]:
    if given is None:
        return tuple(f"{kind} {place}" for place in range(count))
    if len(given) != count or len(set(given)) < count:
        raise ConfigurationError(f"outputs = {tuple(given)}: give {count} different names, one a {kind}")
    return tuple(given)
