"""What each item of a user's history is worth: Shapley values of the games on histories."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
from torch import nn

from .estimators import estimate
from .history_games import HistoryGame
from .score_game import ScoreGame
from .valuation import Valuation

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Items up to which all coalitions are asked for, unless an estimator is named.
ENUMERATED = 10


def value_history(
    model: nn.Module,
    dataset: Dataset,
    user: str | int,
    item: str | int | None = None,
    *,
    estimator: str | None = None,
    budget: int | None = None,
    held_out: float = 0.2,
    seed: int = 0,
    batch: int = 256,
) -> Valuation:
    """What each item of a user's training history is worth: Shapley values by leaving items out of the history.

    Parameters
    ----------
    model
        A trained backbone that encodes histories, enhanced or not.  It is not changed.
    dataset
        Its training split (`train_data.dataset`); nothing else is read.
    user
        The original id.
    item
        The original id of an item: the value is what a history item adds to the score of that item ("why this
        recommendation?").  None: what it adds to the prediction of a slice of the user's own training items.
    estimator
        `enumeration` (exact, up to 16 items), `permutation`, `multilinear` or `banzhaf` (which gives Banzhaf values).
        By default `enumeration` for up to 10 items, else `permutation`.
    budget
        Histories that the model may be asked to score; the estimator's own default for None.
    held_out
        Share of an autoencoder user's items that judge, without `item`; at least one item.
    seed
        Of the estimator, the slice that judges, and of a backbone that draws random numbers to predict.
    batch
        Histories that the model scores at once.

    Returns
    -------
    Valuation
        Players are the items of the history: the columns `user` and `item` (original ids).  Outputs are `score`
        with `item`, else `accuracy`, `margin` and `tail` (see `HistoryGame.of_user`).

    Raises
    ------
    UnsupportedError
        For a backbone that keeps no history, and for enumeration of too many items.
    UnknownNameError
        For a user, item or estimator that does not exist.
    DataError
        For a user without training items to value or to judge by.
    ConfigurationError
        For a budget that is too small, naming the smallest that works.

    References
    ----------
    Removal of history items as a measure of what a recommendation rests on, and the games: ours.  Estimators: see
    `burnish.enhancers.shapley.estimators`.
    """
    game = (
        HistoryGame.of_user(model, dataset, user, held_out=held_out, seed=seed, batch=batch)
        if item is None
        else ScoreGame.for_item(model, dataset, user, item, seed=seed, batch=batch)
    )
    if estimator is None:
        estimator = "enumeration" if game.n_players <= ENUMERATED else "permutation"
    options = {} if budget is None else {"budget": budget}
    valuation = estimate(estimator, game, seed=seed, **options)
    items = [str(token) for token in dataset.id2token(game.model.ITEM_ID, game.history.cpu())]
    return replace(valuation, players=pd.DataFrame({"user": str(user), "item": items}))
