"""Measures of generated sentences: against references, among each other, and by the features that they name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Sequence

import numpy as np

from .scale import FloatArray

Words = Sequence[str]


def bleu(candidates: Sequence[Words], references: Sequence[Words], n: int) -> float:
    """BLEU-n of a corpus with one reference a candidate, 0 to 1; NaN for none.

    The geometric mean of the clipped precisions of 1-grams to n-grams, summed over the corpus, times
    exp(1 - reference words / candidate words) where that is below 1.  Not smoothed: without a common n-gram it is 0.

    Source: Papineni, Roukos, Ward, Zhu, "BLEU: a method for automatic evaluation of machine translation", ACL 2002.
    """
    if not candidates:
        return math.nan
    logs = 0.0
    for size in range(1, n + 1):
        common = total = 0
        for candidate, reference in zip(candidates, references, strict=True):
            found = ngrams(candidate, size)
            common += sum((found & ngrams(reference, size)).values())
            total += sum(found.values())
        if not common:
            return 0.0
        logs += math.log(common / total) / n
    written, wanted = sum(map(len, candidates)), sum(map(len, references))
    return math.exp(min(0.0, 1 - wanted / written) + logs)


def rouge_n(candidate: Words, reference: Words, n: int) -> float:
    """ROUGE-N of a pair as F1 of clipped n-grams, 0 to 1; 0 where one has none.

    Source: Lin, "ROUGE: a package for automatic evaluation of summaries", 2004; words as they are, without stemming.
    """
    found, wanted = ngrams(candidate, n), ngrams(reference, n)
    return _f1(sum((found & wanted).values()), sum(found.values()), sum(wanted.values()))


def rouge_l(candidate: Words, reference: Words) -> float:
    """ROUGE-L of a pair as F1 of the longest common subsequence, 0 to 1."""
    before = np.zeros(len(reference) + 1, dtype=np.int64)
    for word in candidate:
        now = before.copy()
        for place, other in enumerate(reference, 1):
            now[place] = before[place - 1] + 1 if word == other else max(before[place], now[place - 1])
        before = now
    return _f1(int(before[-1]), len(candidate), len(reference))


def ngrams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    """How often each run of n words stands in a sentence."""
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def unique_ratio(sentences: Sequence[Hashable]) -> float:
    """USR: different sentences / sentences; NaN for none."""
    return len(set(sentences)) / len(sentences) if sentences else math.nan


def feature_match(named: Sequence[Collection[str]], wanted: Sequence[Collection[str]]) -> FloatArray:
    """FMR row by row: 1 where a sentence names a feature of its reference, 0 where it names none of them.

    NaN where the reference names none.
    """
    rows = [
        float(not set(of_reference).isdisjoint(of_sentence)) if of_reference else math.nan
        for of_sentence, of_reference in zip(named, wanted, strict=True)
    ]
    return np.array(rows, dtype=np.float64)


def feature_coverage(named: Sequence[Collection[str]], n_features: int) -> float:
    """FCR: different features in all sentences / all features that there are; NaN where there are none."""
    return len({word for words in named for word in words}) / n_features if n_features else math.nan


def feature_overlap(named: Sequence[Collection[str]]) -> float:
    """DIV: features that two sentences have in common, a mean over all pairs of sentences (less is more diverse).

    Each feature in m of n sentences is common to m (m - 1) / 2 of the n (n - 1) / 2 pairs.  NaN below two sentences.
    """
    n = len(named)
    if n < 2:
        return math.nan
    counts = Counter(word for words in named for word in set(words))
    return sum(m * (m - 1) for m in counts.values()) / (n * (n - 1))


def _f1(common: int, found: int, wanted: int) -> float:
    return 2 * common / (found + wanted) if common else 0.0
