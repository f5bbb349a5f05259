"""Why an item for a user: the words that both profiles share, and the sentences that carry them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from burnish.explanation import Reason

from .modalities import ReviewModality
from .profiles import FloatArray, IntArray, KeywordProfiles, Side, weights_of
from .sentences import excerpt, places, readable, sentences

if TYPE_CHECKING:
    from burnish.backbones.review_model import ReviewModel
    from burnish.enhancers.saving.tokens import Tokens


@dataclass(frozen=True)
class Overlap:
    """A word in the profiles of a user and of an item, made without what the user wrote of that very item.

    word: its number.  masses, shares, ranks (from 1): in the user's profile and in the item's.
    rarity: how few items' reviews have it, 0 to 1, see `KeywordProfiles`.
    """

    word: int
    masses: tuple[float, float]
    shares: tuple[float, float]
    ranks: tuple[int, int]
    rarity: float

    @property
    def weight(self) -> float:
        """The smaller of the two shares times the rarity, 0 to 1."""
        return min(self.shares) * self.rarity


@dataclass(frozen=True)
class Sentence:
    """The sentence of somebody's reviews with the most attention on a word.

    text: an excerpt of at most `MOST` letters.  event: the training interaction that it belongs to.  mass: the
    attention on the word there.
    """

    text: str
    event: int
    mass: float


class Pair:
    """The profiles of one user and one item without their own training interactions with each other, if any.

    What the user wrote of this item would otherwise be in both profiles, and its words would be reasons by themselves.
    """

    def __init__(
        self, model: ReviewModel, part: ReviewModality, profiles: KeywordProfiles, user: int, item: int
    ) -> None:
        self._model, self._part, self._profiles = model, part, profiles
        shown = model.shown & (model.event_texts >= 0)
        by_user, by_item = model.event_users == user, model.event_items == item
        self.events: dict[Side, IntArray] = {
            "user": _where(shown & by_user & ~by_item),
            "item": _where(shown & by_item & ~by_user),
        }
        texts = model.event_texts.cpu().numpy()
        self.texts: dict[Side, IntArray] = {side: texts[events] for side, events in self.events.items()}

    def overlaps(self, k: int) -> list[Overlap]:
        """The words in both profiles by smaller share times rarity, the largest first; at most k.

        A word that every item's reviews have is none of them.
        """
        masses = [self._profiles.row(self.texts[side]) for side in ("user", "item")]
        shares = [mass / max(mass.sum(), np.finfo(float).tiny) for mass in masses]
        rarity = self._profiles.rarity
        return [
            Overlap(
                int(word),
                (float(masses[0][word]), float(masses[1][word])),
                (float(shares[0][word]), float(shares[1][word])),
                (_rank(masses[0], word), _rank(masses[1], word)),
                float(rarity[word]),
            )
            for word in self._profiles.largest(np.minimum(*shares) * rarity, k)
        ]

    def sentence(self, side: Side, word: int) -> Sentence:
        """The sentence of the user's (item's) reviews with the most attention on a word of their profile."""
        attention = self._profiles.attention
        texts = self.texts[side]
        column = np.asarray(attention[texts][:, [word]].todense(), dtype=np.float64).ravel()
        best: Sentence | None = None
        for place in np.argsort(-column, kind="stable"):
            # No sentence has more of the word than its whole review.
            if column[place] <= 0 or (best is not None and best.mass >= column[place]):
                break
            text, mass = self._within(int(texts[place]), word)
            if best is None or mass > best.mass:
                best = Sentence(text, int(self.events[side][place]), mass)
        assert best is not None  # a word of the profile stands in some review
        return best

    def _within(self, text: int, word: int) -> tuple[str, float]:
        """The sentence of one text with the most attention on a word, and how much that is."""
        store = self._part.store
        plain = readable(self._model.texts[text])
        spans = sentences(plain) or [(0, len(plain))]
        weights = weights_of(self._part, torch.tensor([text])).double().cpu().numpy()
        first = int(store.offsets[text])
        mine = store.words[first : first + len(weights)].cpu().numpy() == word
        at = np.array(places(plain, store.surface(text)), dtype=np.int64)
        starts = [start for start, _ in spans]
        owner = np.array([max(0, bisect_right(starts, place) - 1) for place in at], dtype=np.int64)
        sums = np.bincount(owner[mine], weights=weights[mine], minlength=len(spans))
        chosen = int(sums.argmax())
        inside = np.flatnonzero(mine & (owner == chosen))
        return excerpt(plain, spans[chosen], int(at[inside[0]])), float(sums[chosen])


@torch.no_grad()
def keyword_reasons(
    model: ReviewModel,
    part: ReviewModality,
    profiles: KeywordProfiles,
    tokens: Tokens,
    pair: tuple[int, int],
    k: int,
) -> list[Reason]:
    """The words that the profiles of a user and an item share, strongest first, with the sentences that carry them.

    model: a DReX.  part: its attention over reviews.  profiles: of its present parameters.  tokens: original ids.
    pair: user and item, internal ids.  k: how many words at most.
    A contribution is the smaller of the word's two shares times its rarity, 0 to 1: a weight, not part of the
    predicted rating.  (Rarity is ours: words such as "album" and "song" are in every profile and no reasons.)
    Empty where there is no such word.
    """
    user, item = pair
    both = Pair(model, part, profiles, user, item)
    reasons = []
    for overlap in both.overlaps(k):
        by_user, of_item = both.sentence("user", overlap.word), both.sentence("item", overlap.word)
        other = tokens.item[int(model.event_items[by_user.event])]
        writer = tokens.user[int(model.event_users[of_item.event])]
        this, word = tokens.item[item], profiles.vocabulary[overlap.word]
        text = (
            f"You write of “{word}”, and so do others of item {this}. You wrote of item {other}: “{by_user.text}” "
            f"Somebody wrote of item {this}: “{of_item.text}”"
        )
        evidence = {
            "word": word,
            "user_mass": overlap.masses[0],
            "item_mass": overlap.masses[1],
            "user_share": overlap.shares[0],
            "item_share": overlap.shares[1],
            "user_rank": overlap.ranks[0],
            "item_rank": overlap.ranks[1],
            "rarity": overlap.rarity,
            "user_sentence": by_user.text,
            "item": other,
            "item_sentence": of_item.text,
            "writer": writer,
            "weighting": profiles.weighting,
        }
        reasons.append(Reason("keyword", text, overlap.weight, evidence))
    return reasons


def missing_words(model: ReviewModel, user: int, item: int) -> str:
    """Why a pair has no word in common, in words."""
    shown = model.shown & (model.event_texts >= 0)
    by_user, by_item = model.event_users == user, model.event_items == item
    lacking = [
        name
        for name, has in (
            ("the user has no training review of another item", shown & by_user & ~by_item),
            ("the item has no training review by another user", shown & by_item & ~by_user),
        )
        if not bool(has.any())
    ]
    return " and ".join(lacking) or (
        "the reviews of the user and of the item have no word in common that is not in the reviews of every item"
    )


def _rank(mass: FloatArray, word: int) -> int:
    return 1 + int((mass > mass[word]).sum())


def _where(mask: torch.Tensor) -> IntArray:
    numbers: IntArray = mask.nonzero()[:, 0].cpu().numpy()
    return numbers
