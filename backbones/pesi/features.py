"""Feature words: lemmas that tell items apart, found in training reviews, and how many reviews of whom have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: A feature word stands in at least so many training reviews, and in at most this share of them.
LEAST_REVIEWS, LARGEST_SHARE = 5, 0.2
#: Its reviews are of at most this share of the items that as many reviews, drawn at random, would be of.
SPREAD = 0.8


@dataclass(frozen=True)
class FeatureWords:
    """Words that reviews of some items have and those of others do not, such as "strap", "tuner" and "leather".

    names: the words (lemmas), in the order of the alphabet.  weights: ln(reviews / reviews with the word), `[F]`.

    The data have no annotated features; the rule is ours.  A lemma is a feature word if it stands in 5 training reviews
    or more, in a fifth of them at most, and if these are of at most four fifths of the items that as many reviews
    drawn at random would be of.  Words that are said of everything ("great", "buy", "month"; of music "album" and
    "song") lie on as many items as chance has it, and are none.
    """

    names: list[str]
    weights: FloatArray
    numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", {name: number for number, name in enumerate(self.names)})

    @classmethod
    def find(cls, reviews: Sequence[Collection[str]], items: Sequence[int]) -> FeatureWords:
        """The feature words of reviews, each given as its different lemmas; items: which item each is about."""
        owners = np.unique(np.asarray(items, dtype=np.int64), return_inverse=True)[1].reshape(-1)
        counts = Counter(word for words in reviews for word in words)
        most = LARGEST_SHARE * len(reviews)
        frequent = {word for word, n in counts.items() if LEAST_REVIEWS <= n <= most}
        seen: dict[str, set[int]] = {word: set() for word in frequent}
        for words, item in zip(reviews, owners.tolist(), strict=True):
            for word in frequent.intersection(words):
                seen[word].add(item)
        chance = expected_items(np.bincount(owners), sorted({counts[word] for word in frequent}))
        names = sorted(word for word in frequent if len(seen[word]) <= SPREAD * chance[counts[word]])
        weights = np.log(len(reviews) / np.array([counts[name] for name in names], dtype=np.float64))
        return cls(names, weights)

    def __len__(self) -> int:
        return len(self.names)

    def among(self, lemmas: Iterable[str | None]) -> set[int]:
        """The numbers of the feature words among lemmas."""
        return {self.numbers[lemma] for lemma in lemmas if lemma in self.numbers}


def expected_items(sizes: IntArray, draws: Iterable[int]) -> dict[int, float]:
    """Of how many different items n reviews are, on average over all sets of n reviews; by n.

    sizes: how many reviews each item has.  An item of s of N reviews is missed by C(N - s, n) of the C(N, n) sets.
    """
    kinds, times = np.unique(sizes[sizes > 0], return_counts=True)
    total = int(sizes.sum())
    expected = {}
    for n in draws:
        reached = np.ones(len(kinds))
        missable = total - kinds >= n
        rest = total - kinds[missable]
        logs = gammaln(rest + 1) - gammaln(rest - n + 1) - gammaln(total + 1) + gammaln(total - n + 1)
        reached[missable] -= np.exp(logs)
        expected[n] = float(times @ reached)
    return expected


class FeatureProfiles:
    """How many training reviews of each user and of each item have each feature word, and what a pair's reviews have.

    users, items: of the events that show a text, `[n]`.  held: which feature words each of these texts has, `[n, F]`
        of 0 and 1.
    """

    def __init__(
        self, users: IntArray, items: IntArray, held: sparse.csr_matrix, n_users: int, n_items: int
    ) -> None:
        def summed(rows: IntArray, n: int) -> sparse.csr_matrix:
            ones = np.ones(len(rows))
            return sparse.csr_matrix((ones, (rows, np.arange(len(rows)))), shape=(n, len(rows))) @ held

        self._n_items = n_items
        self._pairs, place = np.unique(users * n_items + items, return_inverse=True)
        self._own = summed(place.reshape(-1), len(self._pairs) + 1)  # the last row is that of all other pairs
        self._users, self._items = summed(users, n_users), summed(items, n_items)

    def strongest(self, users: IntArray, items: IntArray, weights: FloatArray, k: int) -> IntArray:
        """The k feature words of largest weight x (item's reviews) x (1 + user's reviews), -1 after the last: `[n, k]`.

        The reviews of the pair itself are counted on neither side.
        """
        found = np.full((len(users), k), -1, dtype=np.int64)
        if not k or not len(weights):
            return found
        keys = users * self._n_items + items
        at = np.searchsorted(self._pairs, keys)
        known = at < len(self._pairs)
        known[known] = self._pairs[at[known]] == keys[known]
        at[~known] = len(self._pairs)
        own = self._own[at]
        by_user = (self._users[users] - own).toarray()
        scores = (self._items[items] - own).toarray() * (1 + by_user) * weights
        best = np.argsort(-np.round(scores, 9), axis=1, kind="stable")[:, :k]
        positive = np.take_along_axis(scores, best, axis=1) > 0
        found[:, : best.shape[1]] = np.where(positive, best, -1)
        return found
