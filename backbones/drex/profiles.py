"""Keyword profiles of users and items: the words that the attention over their training reviews rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse

from burnish.enhancers.anatomy.table import Side
from burnish.errors import NonFiniteError, unknown_name

from .modalities import ReviewModality

if TYPE_CHECKING:
    from burnish.backbones.review_model import ReviewModel

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: How a word is weighed: see `KeywordProfiles`.
WEIGHTINGS = ("attention", "excess", "distinctive")

#: Masses that differ by less are equal, and words then stand in the order of the alphabet.
DIGITS = 12

#: So many tokens are weighed at a time, about 50 MB of them for an encoder of 384 numbers.
PART = 1 << 15


@dataclass(frozen=True)
class KeywordProfiles:
    """The attention that words get in the reviews which a model shows itself in training.

    vocabulary: the words (lemmas).
    attention: the sum of the weights (equation 2) of a word's tokens in a text, `[n_texts, V]`; a row sums to 1.
    mass: what a word's tokens add to a profile, `[n_texts, V]`, by the weighting:
        "attention": the attention itself, as in the paper.
        "excess": the attention less what the tokens would get if all tokens of the text got the same; a word that
            a profile gets less of than that is not part of it.  Ours.
        "distinctive": the attention times ln(texts / texts with the word), so that a word which stands in every text
            counts nothing.  Ours.
    owners, texts: of each training interaction that shows a text, `[n]`.
    rarity: ln(items / items with the word) / ln(items), over the items with such a text, `[V]`: 1 for a word that one
        item's texts have, 0 for one that all have (such as "album" and "song" of records).  1 where there is one item.

    A profile is the sum of the masses over the reviews of a user (item); its share divides by the sum over all words.
    """

    vocabulary: list[str]
    attention: sparse.csr_matrix
    mass: sparse.csr_matrix
    owners: dict[Side, IntArray]
    texts: IntArray
    rarity: FloatArray
    weighting: str = "attention"

    @classmethod
    def of(cls, model: ReviewModel, part: ReviewModality, weighting: str = "attention") -> KeywordProfiles:
        """The profiles that the model's present parameters give.

        part: the model's attention over reviews.
        Raises `UnknownNameError` for a weighting that is none, `NonFiniteError` where parameters are NaN.
        """
        if weighting not in WEIGHTINGS:
            raise unknown_name("profile_weighting", str(weighting), WEIGHTINGS)
        shown = (model.shown & (model.event_texts >= 0)).nonzero()[:, 0]
        owners: dict[Side, IntArray] = {
            "user": model.event_users[shown].cpu().numpy(),
            "item": model.event_items[shown].cpu().numpy(),
        }
        attention, even = _masses(part, len(model.texts))
        mass = attention
        if weighting == "excess":
            mass = sparse.csr_matrix(attention - even)
        elif weighting == "distinctive":
            texts = np.bincount(attention.indices, minlength=attention.shape[1])
            with_words = max(1, int((np.diff(attention.indptr) > 0).sum()))
            mass = sparse.csr_matrix(attention @ sparse.diags(np.log(with_words / np.maximum(texts, 1))))
        shown_texts = model.event_texts[shown].cpu().numpy()
        rarity = _rarity(attention, owners["item"], shown_texts)
        return cls(part.store.vocabulary, attention, mass, owners, shown_texts, rarity, weighting)

    def row(self, texts: IntArray) -> FloatArray:
        """The profile of whoever has these texts, `[V]`, never below 0."""
        summed = np.asarray(self.mass[texts].sum(axis=0), dtype=np.float64).ravel()
        return np.maximum(summed, 0.0)

    def texts_of(self, side: Side, owner: int) -> IntArray:
        """The texts of a user (item), one an interaction that shows its review."""
        return self.texts[self.owners[side] == owner]

    def top(self, side: Side, owner: int, k: int) -> list[tuple[str, float]]:
        """The k words of largest mass with their masses; fewer where there are no more."""
        row = self.row(self.texts_of(side, owner))
        return [(self.vocabulary[word], float(row[word])) for word in self.largest(row, k)]

    def largest(self, row: FloatArray, k: int) -> IntArray:
        """The places of the k largest positive numbers of `[V]`, largest first."""
        words = np.flatnonzero(row > 0)
        names = np.array([self.vocabulary[word] for word in words], dtype=object)
        return words[np.lexsort((names, -np.round(row[words], DIGITS)))[:k]]

    def frame(self, side: Side, n_owners: int, k: int) -> pd.DataFrame:
        """The k first words of everybody, a row a word, in the order of owners and ranks.

        Columns: owner (internal id), rank (from 1), word, mass, share (0 to 1), n_reviews (the owner's reviews with
        the word).  Who has no reviews has no row.
        """
        ones = np.ones(len(self.texts))
        members = sparse.csr_matrix(
            (ones, (self.owners[side], self.texts)), shape=(n_owners, self.mass.shape[0])
        )
        masses = sparse.coo_matrix(members @ self.mass)
        keep = masses.data > 0
        owner, word, mass = masses.row[keep], masses.col[keep], masses.data[keep]
        alphabet = np.empty(len(self.vocabulary), dtype=np.int64)
        alphabet[np.argsort(np.array(self.vocabulary, dtype=object), kind="stable")] = np.arange(
            len(alphabet)
        )
        order = np.lexsort((alphabet[word], -np.round(mass, DIGITS), owner))
        owner, word, mass = owner[order].astype(np.int64), word[order], mass[order]
        sizes = np.bincount(owner, minlength=n_owners)
        rank = np.arange(len(owner)) - (np.cumsum(sizes) - sizes)[owner]
        whole = np.bincount(owner, weights=mass, minlength=n_owners)
        first = rank < k
        owner, word, mass = owner[first], word[first], mass[first]
        holds = self.attention.copy()
        holds.data = np.ones_like(holds.data)
        counted = sparse.csr_matrix(members @ holds)
        # scipy gives a matrix, and no array, for no places at all.
        reviews = np.asarray(counted[owner, word]).ravel() if len(owner) else np.zeros(0)
        return pd.DataFrame(
            {
                "owner": owner,
                "rank": rank[first] + 1,
                "word": pd.array([self.vocabulary[place] for place in word], dtype="string"),
                "mass": mass,
                "share": mass / whole[owner],
                "n_reviews": np.round(reviews).astype(np.int64),
            }
        )


def profiles(model: Any, side: Side, k: int | None = None, weighting: str | None = None) -> pd.DataFrame:
    """The keyword profiles of all users or items of a trained DReX, a row a word, with original ids.

    k: words a profile; by default the model's `keep_profile_words`.  weighting: by default its `profile_weighting`.
    Columns: id, rank (from 1), word, mass, share (of the whole profile, 0 to 1), n_reviews (those with the word).
    From reviews of the training split only; who has none there has no row.
    Raises `UnsupportedError` for a model that reads no reviews, `UnknownNameError` for a weighting that is none.
    """
    tokens = model.tokens.user if side == "user" else model.tokens.item
    frame = model.keyword_profiles(weighting).frame(side, len(tokens), k or model.keep_profile_words)
    ids = pd.array([tokens[owner] for owner in frame.pop("owner")], dtype="string")
    frame.insert(0, "id", ids)
    return frame


@torch.no_grad()
def _masses(part: ReviewModality, n_texts: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Attention of words in texts, and what it would be if all tokens of a text got the same; two `[n_texts, V]`."""
    store = part.store
    weights = [weights_of(part, some) for some in _parts(store.offsets)]
    alphas = torch.cat(weights).double().cpu().numpy() if weights else np.zeros(0)
    if not np.isfinite(alphas).all():
        raise NonFiniteError("the attention over reviews is NaN: the model's training went wrong")
    lengths = np.diff(store.offsets.cpu().numpy())
    text = np.repeat(np.arange(n_texts), lengths)
    word = store.words.cpu().numpy()
    shape = (n_texts, len(store.vocabulary))
    attention, even = (
        sparse.coo_matrix((values, (text, word)), shape=shape).tocsr()  # which adds up equal places
        for values in (alphas, 1.0 / lengths[text])
    )
    return attention, even


def _rarity(attention: sparse.csr_matrix, items: IntArray, texts: IntArray) -> FloatArray:
    """How few of the items have a word in a text, `[V]`, see `KeywordProfiles.rarity`."""
    owners, place = np.unique(items, return_inverse=True)
    if len(owners) < 2:
        return np.ones(attention.shape[1])
    shape = (len(owners), attention.shape[0])
    members = sparse.csr_matrix((np.ones(len(texts)), (place.reshape(-1), texts)), shape=shape)
    with_word = np.bincount(sparse.csr_matrix(members @ attention).indices, minlength=attention.shape[1])
    return np.asarray(np.log(len(owners) / np.maximum(with_word, 1)) / np.log(len(owners)))


def weights_of(part: ReviewModality, texts: torch.Tensor) -> torch.Tensor:
    """The weight of each token of texts, text after text, `[T]`."""
    device = part.pooling.attention.device
    return part.pooling.weights(part.store.take(texts).to(device), part.store.counts(texts).to(device))


def _parts(offsets: torch.Tensor) -> Iterator[torch.Tensor]:
    """All texts in runs of about `PART` tokens."""
    start, n = 0, len(offsets) - 1
    while start < n:
        end = int(torch.searchsorted(offsets, offsets[start] + PART, right=True)) - 1
        stop = max(start + 1, min(n, end))
        yield torch.arange(start, stop)
        start = stop
