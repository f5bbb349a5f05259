"""What the data set itself says of its items, as further attributes: numbers as they are, words as yes or no.

Ours: years and genres are as interpretable as scores, and cost nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from burnish.errors import DataError

from .scorers.protocol import FloatArray, Scores
from .texts import item_texts

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Of a field with more words than this, the most frequent ones are taken.
MOST_WORDS = 24


def field_scores(dataset: Dataset | Path, fields: Sequence[str]) -> Scores:
    """Attributes `[n, m]` made of columns of the data set's item file.

    A column that holds nothing but numbers is one attribute of its own name.  Of any other each word is an attribute
    (`<column>_<word>`): 1 where the item has it, 0 where it has not; at most `MOST_WORDS`, those of a single item left
    out.  An empty cell is unknown.  Raises `UnknownNameError` for a column that is not there and `DataError`
    where nothing can be made of any.
    """
    texts = item_texts(dataset, fields, itemtext=False)
    names: list[str] = []
    columns: list[FloatArray] = []
    for field in fields:
        for name, values in _attributes(field, texts.fields[field]):
            taken = name in names  # two words may differ in their punctuation only
            names.append(f"{name}_{len(names)}" if taken else name)
            columns.append(values)
    if not columns:
        raise DataError(
            f"guided: fields = {list(fields)!r}: no number, and no word that two items share, is in these columns of "
            f"the item file; choose others"
        )
    return Scores(texts.ids, tuple(names), np.stack(columns, axis=1), source="the item file")


def _attributes(field: str, cells: Sequence[str]) -> list[tuple[str, FloatArray]]:
    numbers = _numbers(cells)
    if numbers is not None:
        return [(field, numbers)]
    words = [set(cell.split()) for cell in cells]
    counts = Counter(word for own in words for word in own)
    kept = [word for word, count in counts.most_common(MOST_WORDS) if count > 1]
    empty = np.array([not own for own in words])
    attributes = []
    for word in sorted(kept):
        values = np.array([float(word in own) for own in words])
        values[empty] = np.nan
        attributes.append((f"{field}_{_plain(word)}", values))
    return attributes


def _numbers(cells: Sequence[str]) -> FloatArray | None:
    """The cells as numbers, NaN where empty; None where one is not a number, or all are empty."""
    values = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        if cell.strip():
            try:
                values[place] = float(cell)
            except ValueError:
                return None
    return values if np.isfinite(values).any() else None


def _plain(word: str) -> str:
    return re.sub(r"\W+", "_", word.lower()).strip("_") or "other"


def beside(scores: Scores | None, more: Scores | None) -> Scores | None:
    """Both tables side by side, with a row for every id of either; NaN where one knows nothing."""
    if scores is None or more is None:
        return scores if more is None else more
    ids = tuple(dict.fromkeys((*scores.ids, *more.ids)))
    taken = set(scores.attributes)
    names = tuple(name if name not in taken else f"{name}_field" for name in more.attributes)
    values = np.concatenate([scores.rows(ids), more.rows(ids)], axis=1)
    return Scores(ids, (*scores.attributes, *names), values, source=scores.source)
