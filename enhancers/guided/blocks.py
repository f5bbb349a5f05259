"""The items' guided block: standardised scores, or one of the controls that they are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from burnish.errors import ConfigurationError, DataError, warn
from burnish.files.data_names import data_names

from .item_fields import beside, field_scores
from .normalising import FLAT, Axis, FloatArray
from .options import Control, GuidedConfig
from .scorers.protocol import Scores
from .scorers.shipped import load_scores, shipped_names

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


#: A share of items (or users) without scores above this is a warning.
TOLERATED = 0.05
#: The controls, and none, that are made of the scores.
_OF_SCORES = ("none", "permuted")


@dataclass(frozen=True)
class Block:
    """Guided rows of all item ids.

    values: `[n_items, m]`, 0 for the padding item and for what is unknown.  names: of the columns.
    known: how many items of the data set have a score.  axis: what scores of users are standardised by; None for
    controls that are not made of scores.
    """

    values: Tensor
    names: tuple[str, ...]
    known: int
    axis: Axis | None


def make_block(config: GuidedConfig, dataset: Dataset, seed: int) -> Block:
    """The block that the options ask for.  Raises `ConfigurationError` or `DataError` where scores do not fit."""
    scores = find_scores(config, dataset)
    tokens = [str(token) for token in dataset.field2id_token[dataset.iid_field]]
    rows = scores.rows(tokens[1:])
    known = int((~np.isnan(rows)).any(axis=1).sum())
    if known == 0 and set(scores.ids) & set(tokens[1:]):
        raise DataError(
            f"guided: {scores.source or 'the scores'} have no number at all for the items of "
            f"{dataset.dataset_name!r}: every cell of {', '.join(map(repr, scores.attributes))} is empty; fill them in"
        )
    if known == 0:
        raise DataError(
            f"guided: none of the {len(scores.ids)} ids of {scores.source or 'the scores'} (such as {scores.ids[0]!r}) "
            f"is an item of {dataset.dataset_name!r} (such as {tokens[1]!r}); score the items of this data set"
        )
    known_columns = np.atleast_1d(np.isfinite(rows).any(axis=0))
    unknown = [name for name, some in zip(scores.attributes, known_columns, strict=True) if not some]
    if unknown:
        raise DataError(
            f"guided: {scores.source or 'the scores'} have no number in column {unknown[0]!r} for any item of "
            f"{dataset.dataset_name!r}; fill the column in, or leave it out of attributes"
        )
    axis = Axis.of(rows, config.clip)
    if config.control in _OF_SCORES:
        say_coverage(scores, rows, f"items of {dataset.dataset_name!r}", "count as average")
        _check_spread(scores, axis, known)
    values = torch.zeros(len(tokens), len(scores.attributes))
    values[1:] = torch.from_numpy(axis.standardise(rows)).float()
    block = Block(values, scores.attributes, known, axis)
    return block if config.control == "none" else _control(config.control, block, dataset, seed, config.clip)


def say_coverage(scores: Scores, rows: FloatArray, what: str, instead: str) -> None:
    """Warn where more than `TOLERATED` of what is to be scored has no score.

    rows: `[n, m]`, NaN where unknown.  what: as in "items of 'd'".  instead: what becomes of those without.
    """
    without = np.isnan(rows).sum(axis=0)
    worst, n = int(without.argmax()), len(rows)
    if without[worst] <= TOLERATED * n:
        return
    column = f" on {scores.attributes[worst]!r}" if without.min() < without.max() else ""
    warn(
        f"guided: {without[worst]} of {n} {what} ({100 * without[worst] / n:.0f}%) have no score{column} in "
        f"{scores.source or 'the scores'} and {instead}; score them, too (burnish guide score), or check the ids"
    )


def _check_spread(scores: Scores, axis: Axis, known: int) -> None:
    """Scores that overflow, or say the same of all items, tell nothing of them."""
    source = scores.source or "the scores"
    finite = np.isfinite(axis.mean) & np.isfinite(axis.spread)
    if not finite.all():
        raise DataError(
            f"guided: {source}: the numbers of column {scores.attributes[int((~finite).argmax())]!r} are too large: "
            f"their mean and spread leave double precision; scale them down, as to 0..9"
        )
    flat = [name for name, spread in zip(scores.attributes, axis.spread, strict=True) if spread < FLAT]
    if len(flat) == len(scores.attributes):
        raise DataError(
            f"guided: {source}: every item has the same score (to 1e-9) on {', '.join(map(repr, flat))} ({known} "
            f"items are scored), so nothing tells them apart; give scores that differ"
        )
    if flat:
        warn(
            f"guided: {source}: every item has the same score (to 1e-9) on {', '.join(map(repr, flat))}, which has no "
            f"effect; leave it out of attributes"
        )


def find_scores(config: GuidedConfig, dataset: Dataset) -> Scores:
    """The scores that the options name, or the shipped ones of this data set, with columns of its item file."""
    return scores_beside(config, dataset.config)


def scores_beside(config: GuidedConfig, recbole: Any) -> Scores:
    """As `find_scores`, of a data set that is not read: recbole is RecBole's config of it."""
    more = field_scores(recbole, config.fields) if config.fields else None
    scores = beside(_judged(config.scores, recbole, needed=more is None), more)
    assert scores is not None  # one of them is there
    return scores if config.attributes is None else scores.only(config.attributes)


def _judged(source: str | None, recbole: Any, *, needed: bool) -> Scores | None:
    if source is None:
        name = recbole["dataset"]
        if name not in shipped_names():
            if not needed:
                return None
            raise ConfigurationError(
                f"guided: no scores come with data set {name!r} (only with "
                f"{', '.join(shipped_names())}); give a file (scores: my.tsv), which `burnish guide score` makes, "
                f"or columns of the item file (fields: [...])"
            )
        source = name
    return load_scores(source, id_column="item_id", names=data_names(recbole))


def _control(kind: Control, block: Block, dataset: Dataset, seed: int, clip: float) -> Block:
    n, m = block.values.shape
    generator = torch.Generator().manual_seed(seed)
    names = tuple(f"{kind}_{number + 1}" for number in range(m))
    values = torch.zeros(n, m)
    if kind == "random":
        values[1:] = torch.randn(n - 1, m, generator=generator)
    elif kind == "permuted":
        values[1:] = block.values[1:][torch.randperm(n - 1, generator=generator)]
        names = block.names
    elif kind == "text":
        values[1:] = text_components(dataset, m, seed)
    return Block(values.clamp(-clip, clip), names, block.known, None)


def text_components(dataset: Dataset, width: int, seed: int) -> Tensor:
    """Principal components `[n_items - 1, width]` of sentence vectors of the items' texts, standardised."""
    from .text_vectors import text_vectors
    from .texts import item_texts

    texts = item_texts(dataset)
    ids, vectors = text_vectors(texts, width, seed=seed)
    scores = Scores(tuple(ids), tuple(f"text_{number + 1}" for number in range(width)), vectors)
    tokens = [str(token) for token in dataset.field2id_token[dataset.iid_field]][1:]
    rows = scores.rows(tokens)
    return torch.from_numpy(Axis.of(rows, 1e9).standardise(rows)).float()
