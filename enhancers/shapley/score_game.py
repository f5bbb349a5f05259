"""The game of one recommendation: its score as a function of the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.errors import DataError

from .history_games import HistoryGame, Objective, internal_id, kind_of_history, scorer_of

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class ScoreGame(HistoryGame):
    """The score of one recommendation as a function of the history: which items speak for it, which against.

    item: its number.  The one output is `score`.  Other arguments are those of `HistoryGame`.
    """

    def __init__(
        self,
        model: nn.Module,
        row: Mapping[str, Tensor],
        history: Tensor,
        item: int,
        *,
        batch: int = 256,
        seed: int = 0,
        scorer: Callable[[Any], Tensor] | None = None,
    ) -> None:
        objectives = {"score": _score_of(model, item)}
        super().__init__(model, row, history, objectives, batch=batch, seed=seed, scorer=scorer)

    @staticmethod
    def for_item(
        model: nn.Module,
        dataset: Dataset,
        user: str | int,
        item: str | int,
        *,
        batch: int = 256,
        seed: int = 0,
    ) -> ScoreGame:
        """The game of a user's training history and an item, both by their original ids.

        The whole of the history takes part: for sequential models the longest list and the item that follows it
        (the most recent ones that the model's lists hold), for autoencoders every training item.
        """
        kind = kind_of_history(model)
        inner: Any = model
        base = HistoryGame.of_user(model, dataset, user, seed=seed)
        number = internal_id(dataset, "item", inner.ITEM_ID, item)
        assert base.held_out is not None
        history = torch.cat([base.history, base.held_out])
        row = base.row
        if kind == "sequential":
            longest = len(row[inner.ITEM_SEQ])
            row = _followed(inner, base, longest)
            history = history[-longest:]
        scorer = scorer_of(model, dataset)
        return ScoreGame(model, row, history, number, batch=batch, seed=seed, scorer=scorer)


def _followed(model: Any, base: HistoryGame, longest: int) -> dict[str, Tensor]:
    """The row as it is for the item after next: every list with the row's own entry at its end."""
    n, row = base.n_players, dict(base.row)
    suffix = model.ITEM_SEQ[len(model.ITEM_ID) :]
    for name in base.list_fields():
        entry = base.row.get(name.removesuffix(suffix))
        if entry is None:
            continue
        whole = torch.zeros_like(base.row[name])
        entries = torch.cat([base.row[name][:n], entry.to(whole.dtype).unsqueeze(0)])[-longest:]
        whole[: len(entries)] = entries
        row[name] = whole
    return row


def _score_of(model: Any, item: int) -> Objective:
    if not 0 < item < model.n_items:
        raise DataError(f"item = {item}; the model has items 1 to {model.n_items - 1}")
    return lambda scores: scores[:, item]
