"""A DReX that is asked again about a pair, with words taken out of the reviews of its user and of its item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .drex import DReX, Side
from .modalities import ReviewModality
from .profiles import IntArray
from .reasons import Pair


@dataclass(frozen=True)
class _Shown:
    """An event's review: its tokens `[T, width]`, e to the attention's logits `[T]`, and which word each token is.

    words: places among the words that can be taken out, `[T]`; -1 for any other word.
    """

    tokens: Tensor
    raised: Tensor
    words: Tensor


class MaskedWords:
    """Predictions for one user, in which words do not count that the reviews of user and item have in common.

    A word that is taken out has no attention in any review of the user or of the item, but for what the user wrote of
    this very item; the rest of a review shares its weight, and a review of which nothing is left is none.  The states
    of user and item are those after all their interactions with what is left.  What the encoder made of the words
    around is as it was: it has read the whole review.

    words: the words in question, numbers of the store's vocabulary, ascending, `[n]`.
    """

    def __init__(self, model: DReX, user: int, item: int) -> None:
        self._model, self._user, self._item = model, user, item
        self._part: ReviewModality = model._attention()
        profiles = model.keyword_profiles()
        pair = Pair(model, self._part, profiles, user, item)
        by_user, of_item = (profiles.attention[pair.texts[side]].indices for side in ("user", "item"))
        self.words: IntArray = np.intersect1d(by_user, of_item).astype(np.int64)
        self._asked: dict[Side, Tensor] = {
            "user": (model.event_users == user).nonzero()[:, 0],
            "item": (model.event_items == item).nonzero()[:, 0],
        }
        known = set(pair.events["user"].tolist()) | set(pair.events["item"].tolist())
        with torch.no_grad():
            self._reviews = {
                side: [self._review(int(event), int(event) in known) for event in events]
                for side, events in self._asked.items()
            }
            self._rest = {side: self._without_review(events) for side, events in self._asked.items()}

    def scores(self, factors: Tensor) -> Tensor:
        """What all items are ranked by, `[m, n_items]`.

        factors: how much of the attention on each word counts, `[m, n]`: 0 takes it out, 1 leaves it.
        """
        model = self._model
        with torch.no_grad():
            _, of_items = model.final_states()
        users, items = self._state("user", factors), self._state("item", factors)
        place = torch.tensor([self._item], device=of_items.device)
        rated = model.head_all(users, of_items).index_copy(1, place, model.head(users, items).unsqueeze(1))
        return model.ranking_scores(rated + model.user_bias[self._user] + model.item_bias)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The mean vector of each word's tokens, `[n, width]`, and that of all tokens of the item, `[width]`."""
        shown = [one for side in self._reviews.values() for one in side if one is not None]
        tokens, words = torch.cat([one.tokens for one in shown]), torch.cat([one.words for one in shown])
        mine = words >= 0
        n = len(self.words)
        sums = tokens.new_zeros(n, tokens.shape[1]).index_add(0, words[mine], tokens[mine])
        counts = torch.bincount(words[mine], minlength=n).clamp(min=1).unsqueeze(1)
        of_item = torch.cat([one.tokens for one in self._reviews["item"] if one is not None])
        return sums / counts, of_item.mean(0)

    # ------------------------------------------------------------------ reviews and states

    def _review(self, event: int, masked: bool) -> _Shown | None:
        """masked: whether words of this event can be taken out."""
        model, store = self._model, self._part.store
        text = int(model.event_texts[event]) if bool(model.shown[event]) else -1
        if text < 0:
            return None
        device = model.event_users.device
        some = torch.tensor([text], device=device)
        tokens = store.take(some).to(device)
        raised = self._part.pooling.weights(tokens, store.counts(some).to(device))
        first, last = int(store.offsets[text]), int(store.offsets[text + 1])
        numbers = store.words[first:last].cpu().numpy()
        at = np.searchsorted(self.words, numbers)
        known = masked & (at < len(self.words))
        known[known] = self.words[at[known]] == numbers[known]
        return _Shown(tokens, raised, torch.from_numpy(np.where(known, at, -1)).to(device))

    def _without_review(self, events: Tensor) -> Tensor:
        """z of events but for what reviews add to it, `[n_events, size]`."""
        model = self._model
        parts = [
            events.new_zeros(len(events), model.size, dtype=model.fuse.weight.dtype)
            if name == "review"
            else part(model, events)
            for name, part in model.modalities.items()
        ]
        z: Tensor = model.fuse(torch.cat(parts, dim=1))
        return z

    def _state(self, side: Side, factors: Tensor) -> Tensor:
        """The state of the user or item after all its interactions, `[m, size]`."""
        model = self._model
        owner = torch.tensor([self._user if side == "user" else self._item], device=factors.device)
        with torch.no_grad():
            state = model.initial(side, owner, training=False)[:, 0].expand(len(factors), -1)
        update = model.user_update if side == "user" else model.item_update
        for added, rest in zip(self._added(side, factors), self._rest[side], strict=True):
            state = update(rest + added, state)
        return state

    def _added(self, side: Side, factors: Tensor) -> Iterator[Tensor]:
        """What each event's review adds to its z, `[m, size]` an event."""
        model, pooling = self._model, self._part.pooling
        place = list(model.modalities).index("review")
        fuse = model.fuse.weight[:, place * model.size : (place + 1) * model.size]
        always = torch.cat(
            [factors, factors.new_ones(len(factors), 1)], dim=1
        )  # the last, -1, stands for other words
        for review in self._reviews[side]:
            if review is None:
                yield factors.new_zeros(len(factors), model.size)
                continue
            weights = review.raised * always[:, review.words]
            whole = weights.sum(1, keepdim=True)
            pooled = pooling.project(weights @ review.tokens / whole.clamp(min=torch.finfo(whole.dtype).tiny))
            yield (pooled * (whole > 0)) @ fuse.T
