"""Reasons from a user's history for any trained model, whether or not anything on it explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from burnish.enhancers.guided.vector_parts import attribute_evidence
from burnish.enhancers.guided.wording import spoken_words
from burnish.explanation import Reason

from .folded_users import FoldedUsers
from .history_contributions import HistoryContributions, HistoryScorer
from .masked_histories import MaskedHistories, reads_histories

if TYPE_CHECKING:
    from .recommend import Recommender

#: What `enhancer` says for these reasons.
HISTORY = "history"


class HistoryReasons:
    """Shapley values of the items of a user's history in the model's scores, as reasons.

    By leaving items out of the history of models that read one (`MaskedHistories`: sequential models, autoencoders);
    of others by folding the user in from the history (`FoldedUsers`).  `method` and `reasons_about` say which.

    recommender: of the trained model; its state decides what the history is.  budget: coalitions a user, for games
    that are estimated.  seed: of what is drawn.  of: whether contributions are of the score or the standing (`WORTH`).

    For measures of faithfulness: `contributions(user, items)` gives the signed values over `history(user, item)`, and
    `scores(user, items, masks)` what the game gives for histories with items left out; ids are internal.
    """

    def __init__(
        self, recommender: Recommender, *, budget: int | None = None, seed: int = 0, of: str | None = None
    ) -> None:
        self.recommender = recommender
        self.scorer: HistoryScorer
        if reads_histories(recommender):
            self.scorer = MaskedHistories(recommender, budget=budget, seed=seed, of=of)
        else:
            self.scorer = FoldedUsers(recommender, seed=seed, of=of)
        data = recommender.trained.dataset
        self._tokens = [str(token) for token in data.field2id_token[data.iid_field]]
        self._n_users = max(int(np.sum(recommender.seen_users)), 1)
        self._kept: dict[tuple[int, int], HistoryContributions | None] = {}

    @property
    def method(self) -> str:
        """How contributions come about, in two words."""
        return self.scorer.method

    @property
    def valued(self) -> str:
        """What contributions are of, one of `WORTH`."""
        return self.scorer.of

    @property
    def reasons_about(self) -> str:
        """What the contributions are, in a sentence for readers."""
        return self.scorer.about

    @property
    def tells_attributes(self) -> bool:
        """Whether reasons say which attributes an item of the history speaks about."""
        return self.scorer.tells_attributes

    def history(self, user: int, item: int) -> Tensor:
        """The items `[n]` that are players in the score of an item, which is never among them."""
        return self.scorer.history(user, item)

    def scores(self, user: int, item: int, masks: Tensor) -> Tensor:
        """The scores `[n_masks]` of an item by histories with items left out.

        masks: bool `[n_masks, n]` over `history(user, item)`, True for an item that stays.
        """
        return self.scorer.scores(user, [item], masks)[:, 0]

    def contributions(self, user: int, items: Sequence[int]) -> list[HistoryContributions | None]:
        """Signed contributions to the score or standing of each item; None where no other item is in the history."""
        missing = [item for item in dict.fromkeys(items) if (user, item) not in self._kept]
        if missing:
            found = self.scorer.contributions(user, missing)
            self._kept |= {(user, item): one for item, one in zip(missing, found, strict=True)}
        return [self._kept[user, item] for item in items]

    def prepare(self, user: int, items: Sequence[int]) -> None:
        """Compute what is to be asked of a user's items at once, and forget other users."""
        self._kept = {}
        self.contributions(user, items)

    def explain(self, user: int, item: int) -> list[Reason] | None:
        """One reason an item of the history, the largest contribution first; None for an empty history."""
        (found,) = self.contributions(user, [item])
        if found is None:
            return None
        chosen_by = self.recommender.item_counts
        reasons = []
        for place in np.argsort(-found.values, kind="stable").tolist():
            other, adds = int(found.history[place]), float(found.values[place])
            token = self._tokens[other]
            evidence = {
                "item": token,
                "item_id": other,
                **({"place": place + 1} if self.recommender.trained.sequential else {}),
                "of": len(found.history),
                "chosen_by": float(chosen_by[other]) / self._n_users,
                "explains": self.valued,
                **({"average": found.average} if self.valued == "standing" else {}),
                "base": found.average + found.base,
                "whole": found.average + found.whole,
                "exact": found.exact,
                "budget": found.budget,
            }
            if found.by_attribute is not None:
                parts = found.by_attribute[place].tolist()
                evidence |= attribute_evidence(found.attributes, parts, adds)
            about = spoken_words(evidence, adds)
            side = "for" if adds >= 0 else "against"
            text = f"You chose item {token}, which speaks {side} item {self._tokens[item]}"
            text += f", {about}." if about else "."
            error = float(found.standard_error[place])
            reasons.append(Reason("interaction", text, adds, evidence, error, self.method))
        return reasons
