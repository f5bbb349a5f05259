"""Sentences that a model writes for the test rows, beside what they are compared with, and floors for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from .cases import IntArray
from .text_measures import (
    bleu,
    feature_coverage,
    feature_match,
    feature_overlap,
    rouge_l,
    rouge_n,
    unique_ratio,
)

#: Columns of the frame with sentences, by what the report calls them: the model's own, and what costs no model.
COMMONEST, RANDOM_SENTENCE = "item's commonest sentence", "random sentence"
TEXT_FLOORS = (COMMONEST, RANDOM_SENTENCE)
#: Metrics of sentences, in the order of reports.
TEXT_METRICS = ("bleu-1", "bleu-4", "rouge-1", "rouge-2", "rouge-l", "usr", "fmr", "fcr", "div")

Sentence = tuple[str, ...]


def generates(model: Any) -> bool:
    """Whether a model writes sentences, as PESI does: `write`, and how it read the training sentences (`written`)."""
    return hasattr(model, "write") and hasattr(model, "written")


def sentence_frame(model: Any, splits: Sequence[Any], seed: int) -> pd.DataFrame:
    """One line a test row whose review has a sentence: what it says, what the model writes, and the floors.

    Columns: `user`, `item` (tokens), `reference`, `written` and `TEXT_FLOORS` (words with blanks between), the feature
    words that each of these names (`... features`, with blanks between), and `n_features`, how many there are.

    model: see `generates`.  splits: its data sets (training, validation or None, test).
    The reference is the review's most telling sentence by the rule that the model's training sentences are chosen by.
    Only references are read from test rows: the model is shown ids.  Floors are of training sentences, by the same
    rule: the item's commonest, and one drawn at random (seeded).
    """
    train, _, test = splits
    written = model.written
    references = [written.reference(text) for text in test.training_texts()]
    has = np.array([reference is not None for reference in references], dtype=bool)
    users, items = (
        np.asarray(test.inter_feat[field]).astype(np.int64)[has] for field in (test.uid_field, test.iid_field)
    )
    # RecBole leaves the rows of a split in an order that depends on the mode of evaluation.
    wanted: list[Sentence] = [tuple(reference) for reference in references if reference is not None]
    order = sorted(range(len(wanted)), key=lambda row: (users[row], items[row], wanted[row]))
    users, items, wanted = users[order], items[order], [wanted[row] for row in order]
    own = model.write(torch.from_numpy(users), torch.from_numpy(items)) if len(users) else []
    known = _training_sentences(written, train)
    columns: dict[str, list[Sentence]] = {
        "reference": wanted,
        "written": [sentence.words for sentence in own],
        COMMONEST: commonest(known, items),
        RANDOM_SENTENCE: drawn(known, len(items), seed),
    }
    frame = pd.DataFrame(
        {
            "user": train.id2token(train.uid_field, users).astype(str) if len(users) else [],
            "item": train.id2token(train.iid_field, items).astype(str) if len(users) else [],
        }
    )
    for name, sentences in columns.items():
        frame[name] = [" ".join(words) for words in sentences]
        frame[f"{name} features"] = [" ".join(sorted(written.said(words))) for words in sentences]
    frame["n_features"] = len(written.features)
    return frame


def sentence_summary(frame: pd.DataFrame, column: str = "written") -> dict[str, float]:
    """`TEXT_METRICS` of a column of a `sentence_frame`.

    BLEU is of the corpus, ROUGE a mean of F1 over rows; FMR is over rows whose reference names a feature.
    """
    texts, wanted = (frame[name].str.split().tolist() for name in (column, "reference"))
    named, of_references = (frame[f"{name} features"].str.split().tolist() for name in (column, "reference"))
    pairs = list(zip(texts, wanted, strict=True))
    matches = feature_match(named, of_references)
    known = matches[~np.isnan(matches)]
    values = {
        "bleu-1": bleu(texts, wanted, 1),
        "bleu-4": bleu(texts, wanted, 4),
        "rouge-1": _mean([rouge_n(*pair, 1) for pair in pairs]),
        "rouge-2": _mean([rouge_n(*pair, 2) for pair in pairs]),
        "rouge-l": _mean([rouge_l(*pair) for pair in pairs]),
        "usr": unique_ratio(frame[column].tolist()),
        "fmr": _mean(known.tolist()),
        "fcr": feature_coverage(named, int(frame["n_features"].iloc[0]) if len(frame) else 0),
        "div": feature_overlap(named),
    }
    return {name: values[name] for name in TEXT_METRICS}


def commonest(known: dict[int, list[Sentence]], items: IntArray) -> list[Sentence]:
    """The most frequent training sentence of each of the items; that of all items for one without.

    Of equally frequent ones (most stand once) the one whose words stand in most of the item's sentences, on average.
    """
    every = [sentence for some in known.values() for sentence in some]
    of_all = _most_frequent(every)
    found = {item: _most_frequent(known[item]) if item in known else of_all for item in set(items.tolist())}
    return [found[item] for item in items.tolist()]


def drawn(known: dict[int, list[Sentence]], n: int, seed: int) -> list[Sentence]:
    """n training sentences, each drawn from all of them with equal probability."""
    every = [sentence for item in sorted(known) for sentence in known[item]]
    draws = np.random.default_rng([seed, 23]).integers(len(every), size=n)
    return [every[place] for place in draws.tolist()]


def _most_frequent(sentences: list[Sentence]) -> Sentence:
    times = Counter(sentences)
    holding = Counter(word for sentence in sentences for word in set(sentence))
    typical = {one: sum(holding[word] for word in set(one)) / len(set(one)) for one in times}
    return min(times, key=lambda one: (-times[one], -typical[one], one))


def _training_sentences(written: Any, train: Any) -> dict[int, list[Sentence]]:
    """The most telling sentence of each training review, by item."""
    known: dict[int, list[Sentence]] = {}
    items = np.asarray(train.inter_feat[train.iid_field]).astype(np.int64).tolist()
    for item, text in zip(items, train.training_texts(), strict=True):
        reference = written.reference(text)
        if reference is not None:
            known.setdefault(item, []).append(tuple(reference))
    return {item: sorted(some) for item, some in sorted(known.items())}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
