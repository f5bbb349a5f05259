"""Shapley values of a user's history in the scores of models that read histories: items are left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from burnish.checks import whole_number
from burnish.enhancers.shapley.estimators import enumeration, multilinear
from burnish.enhancers.shapley.estimators.surrogate import of_history
from burnish.enhancers.shapley.history_games import HistoryGame, kind_of_history
from burnish.errors import UnsupportedError

from .history_contributions import HistoryContributions, worth_of

if TYPE_CHECKING:
    from burnish.enhancers.shapley.games import Game
    from burnish.enhancers.shapley.valuation import Valuation

    from .recommend import Recommender

#: Coalitions that are asked for, unless a budget is given.
BUDGET = 1024
#: Items of a history up to which all coalitions are asked for.
ENUMERATED = 8
#: The smallest budget: two samples of a pair of nodes in either half, nobody and everybody.
LEAST = 18
#: Passes of `_towards`, which hardly change anything after the second.
_PASSES = 3


def reads_histories(recommender: Recommender) -> bool:
    """Whether a model predicts from a history that items can be left out of."""
    try:
        kind_of_history(recommender.trained.model)
    except UnsupportedError:
        return False
    return True


class MaskedHistories:
    """For sequential models and autoencoders: the game is what the model makes of a history with items left out.

    Every other item keeps its place (the list closes up), or the entry in the rating matrix is 0.  The base is the
    model's score of an empty history (of a list of one padding item).  Contributions are exact for up to `ENUMERATED`
    items, else estimated from `budget` coalitions, with standard errors; in both cases they and the base add up to the
    score of the whole history.  Of a standing, the mean over what can be recommended is taken of each such history.

    All items that are explained to one user share the coalitions, but for those in the history: an item is never
    among the reasons for itself, and not in the history that its score is asked of.
    """

    method = "masked history"
    tells_attributes = False  # a history's score is no sum over what its items are scored on

    def __init__(
        self, recommender: Recommender, *, budget: int | None = None, seed: int = 0, of: str | None = None
    ) -> None:
        """budget: coalitions a user, `BUDGET` by default.  of: one of `WORTH`, by default `DEFAULT`.

        Raises `UnsupportedError` for a model that reads no history, and for the standing where a model scores pairs
        alone: every history would have to be scored with every item.
        """
        self.recommender = recommender
        self.model: Any = recommender.trained.model
        self.kind = kind_of_history(self.model)
        self.budget = BUDGET if budget is None else whole_number("budget", budget, LEAST)
        self.seed = seed
        self.of = self._chosen(of)
        training = recommender.trained.splits.training
        self._rows = training.inter_matrix(form="csr") if self.kind == "autoencoder" else None
        self._item_columns = recommender.trained.dataset.get_item_feature()
        #: Whether the model reads lists shorter than its own; None until a game has tried.
        self._shorter: bool | None = None

    @property
    def about(self) -> str:
        """One sentence for readers of reasons."""
        what = "the score the model gives"
        if self.of == "standing":
            what = "the lead of the model's score over the average item's"
        return (
            f"A reason is what leaving that item out of the history takes from {what}, on average over which other "
            f"items are there (Shapley values)."
        )

    def _chosen(self, of: str | None) -> str:
        wanted = worth_of(of)
        if wanted == "score" or not self.recommender.scores_pairs_alone:
            return wanted
        raise UnsupportedError(
            f"{self.recommender.trained.config['model']} scores one item at a time, so that an average item would take "
            f"{self.recommender.trained.dataset.item_num - 1:,} scores of every history; explain its scores: "
            f"of = 'score' (--of score)"
        )

    def history(self, user: int, item: int) -> Tensor:
        """The items that are players for this recommendation, `[n]`, oldest first; the item itself is none."""
        history = self._row_of(user)[1]
        return history[history != item]

    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """The scores of items `[n_masks, n_items]` by histories whose other items are left out.

        masks: bool `[n_masks, n]`, over `history(user, item)`, which has to be the same for all the items.
        """
        return self._game(user, items, "score")(masks)

    def contributions(self, user: int, items: Sequence[int]) -> list[HistoryContributions | None]:
        """What each item of the history adds to each of the scores; None where nothing else is in the history."""
        _, history = self._row_of(user)
        mine = set(history.tolist())
        groups: list[list[int]] = [[item for item in items if item not in mine]]
        groups += [[item] for item in items if item in mine]
        average = self.recommender.average(user) if self.of == "standing" else 0.0
        found: dict[int, HistoryContributions | None] = {}
        for group in groups:
            if not group:
                continue
            if not len(self.history(user, group[0])):
                found |= dict.fromkeys(group)
                continue
            game = self._game(user, group, self.of)
            valuation, ends, exact = values_of(
                game, self.budget, self.seed, ordered=self.kind == "sequential"
            )
            self._shorter = game.shorter
            for place, item in enumerate(group):
                found[item] = HistoryContributions(
                    history=game.history.cpu().numpy(),
                    values=valuation.values[:, place].cpu().numpy(),
                    standard_error=valuation.standard_error[:, place].cpu().numpy(),
                    base=float(ends[0, place]),
                    whole=float(ends[1, place]),
                    exact=exact,
                    budget=valuation.evaluations,
                    average=average,
                )
        return [found[item] for item in items]

    # ------------------------------------------------------------------ the game

    def _row_of(self, user: int) -> tuple[dict[str, Tensor], Tensor]:
        """The fields of a user's prediction, and the items of their history, oldest first."""
        batch = self.recommender.inputs.rows(np.array([user]))
        row = {name: batch[name][0] for name in batch.columns}
        if self._rows is not None:
            items = np.unique(self._rows[user].indices)
            return row, torch.from_numpy(items.astype(np.int64))
        length = int(row[self.model.ITEM_SEQ_LEN])
        history = row[self.model.ITEM_SEQ][:length]
        return row, history[history != 0]

    def _game(self, user: int, items: Sequence[int], of: str) -> HistoryGame:
        row, history = self._row_of(user)
        kept = torch.ones(len(history), dtype=torch.bool)
        for item in items:
            kept &= history != item
        if self.kind == "sequential" and not bool(kept.all()):
            row = self._without(row, kept)
        objectives = {str(item): (lambda scores, item=item: scores[:, item]) for item in items}
        wanted = torch.tensor(list(items))
        others = None
        if of == "standing":
            others = torch.from_numpy(self.recommender.candidates(user)).to(
                next(self.model.parameters()).device
            )

        def scorer(rows: Any) -> Tensor:
            scores = self._scores(rows, wanted)
            return scores if others is None else scores - scores[:, others].mean(dim=1, keepdim=True)

        return HistoryGame(
            self.model,
            row,
            history[kept],
            objectives,
            seed=self.seed,
            scorer=scorer,
            shorter=self._shorter,
        )

    def _without(self, row: dict[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
        """The row with the other items out of every list."""
        places = kept.nonzero().squeeze(1)
        longest, row = len(row[self.model.ITEM_SEQ]), dict(row)
        suffix = self.model.ITEM_SEQ[len(self.model.ITEM_ID) :]
        for name, value in row.items():
            if name.endswith(suffix) and value.dim() and len(value) == longest:
                row[name] = torch.zeros_like(value)
                row[name][: len(places)] = value[places]
        row[self.model.ITEM_SEQ_LEN] = torch.tensor(
            max(len(places), 1), dtype=row[self.model.ITEM_SEQ_LEN].dtype
        )
        return row

    def _scores(self, rows: Any, wanted: Tensor) -> Tensor:
        """Scores of all items; only the wanted ones where the model scores pairs alone."""
        rows = self.recommender.inputs.transformed(rows)
        try:
            scores: Tensor = self.model.full_sort_predict(rows)
            return scores.view(len(rows), -1)
        except NotImplementedError:
            pass  # RecBole's answer of a model that scores pairs alone, as below
        except KeyError as error:
            raise UnsupportedError(
                f"{self.recommender.trained.config['model']} reads the column {error} of an interaction, which is not "
                f"known before it happens, so its scores cannot be explained by histories"
            ) from error
        device = rows[self.model.ITEM_SEQ_LEN].device
        scores = torch.zeros(len(rows), self.recommender.trained.dataset.item_num, device=device)
        for item in wanted.tolist():
            rows.update(self._item_columns[item : item + 1].to(device).repeat(len(rows)))
            scores[:, item] = self.model.predict(rows).view(-1)
        return scores


def values_of(game: Game, budget: int, seed: int, *, ordered: bool = False) -> tuple[Valuation, Tensor, bool]:
    """Shapley values that add up, the game's values of nobody and of everybody `[2, n_outputs]`, and whether exact.

    Up to `ENUMERATED` players all coalitions are asked for; else those of the multilinear extension, with what a sum
    over the items, their number and (ordered) the last of them tell taken out (`surrogate`).  That estimate is moved to
    add up to what everybody brings: each value by its part of all variances, which is the least change that does (a sum
    that is known lowers the errors, too).  Before that, what is sampled is moved, as far as its errors allow, towards
    what leaving out each item alone takes from the score, which needs no sampling (`_towards`).  The budget is for all
    of this, `LEAST` or more.
    """
    n = game.n_players
    device = getattr(game, "device", torch.device("cpu"))
    ends = game(torch.tensor([[False], [True]], device=device).expand(2, n)).double()
    if n <= ENUMERATED:
        return enumeration.estimate(game), ends, True
    near = of_history(n, ordered=ordered)
    alone = n if budget >= 4 * n else 0  # where they would take much of it, all are for sampling
    left = budget - alone
    valuation = multilinear.estimate(game, budget=left, seed=seed, nodes=_nodes(n, left), surrogate=near)
    if alone:
        without = game(~torch.eye(n, dtype=torch.bool, device=device)).double()
        _towards(valuation, ends[1] - without)
        valuation = replace(valuation, evaluations=valuation.evaluations + alone)
    variance = valuation.standard_error.square()
    share = variance / variance.sum(dim=0, keepdim=True).clamp_min(1e-30)
    lacking = ends[1] - ends[0] - valuation.values.sum(dim=0)
    flat = variance.sum(dim=0) <= 1e-30
    share[:, flat] = 1 / n
    valuation.values.add_(share * lacking)
    valuation.standard_error.mul_((1 - share).clamp_min(0).sqrt())
    return valuation, ends, False


def _towards(valuation: Valuation, known: Tensor) -> None:
    """Move estimates towards a line in what is known of each player, by as much as their errors allow.

    known: `[n, n_outputs]`, without error, such as what everybody loses with the player.  The line is fitted to the
    estimates, weighed by their errors; values are taken to lie about it with a variance that the estimates' own scatter
    tells, less what is error.  So values that have little to do with what is known stay where they are.
    Source: Efron and Morris, "Stein's estimation rule and its competitors" (JASA 1973), with a regression in the place
    of the mean (Fay and Herriot, JASA 1979).
    """
    for place in range(valuation.values.shape[1]):
        values, error = valuation.values[:, place], valuation.standard_error[:, place]
        variance = error.square().clamp_min(1e-30)
        features = torch.stack([known[:, place], torch.ones_like(values)], dim=1)
        spread = torch.zeros((), dtype=values.dtype, device=values.device)
        for _ in range(_PASSES):  # the weights depend on the spread, and it on the line
            weight = 1 / (variance + spread)
            inverse = torch.linalg.pinv(features.T @ (features * weight.unsqueeze(1)))
            line = features @ (inverse @ (features.T @ (weight * values)))
            squares = (values - line).square().sum() / max(len(values) - features.shape[1], 1)
            spread = (squares - variance.mean()).clamp_min(0.0)
        kept = spread / (spread + variance)
        of_line = ((features @ inverse) * features).sum(dim=1)
        values.copy_(line + kept * (values - line))
        error.copy_((kept * variance + (1 - kept).square() * of_line).sqrt())


def _nodes(n: int, budget: int) -> int:
    """Nodes of the quadrature: as many as are exact, or as a quarter of the budget has room for twice over."""
    exact = max(1, (n + 1) // 2)
    return max(2, min(exact, 32, budget // 32))
