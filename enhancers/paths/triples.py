"""Edges as files hold them, by texts, and as arrays of numbers; what is told of them on the way."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from burnish.errors import warn

from .graph import ITEM, USER
from .graph_files import Cells, Numbers, Texts

logger = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
#: Numbers of types.
ITEM_TYPE, ENTITY_TYPE = 1, 2  # 0: users


@dataclass(frozen=True)
class Triples:
    """Edges of one source.  origin: what messages call it.  relations: `[e]`.

    knowledge: whether it is the `.kg`, whose relations are filtered and may be twins.
    """

    origin: str
    relations: Cells
    source: str
    sources: Cells
    target: str
    targets: Cells
    knowledge: bool = False


@dataclass
class Told:
    """What was left out or decided on the way, for people: warnings where data went, else lines of the log."""

    notes: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Of something that may be amiss."""
        self.notes.append(message)
        warn(f"graph: {message}")

    def note(self, message: str) -> None:
        """Of a decision."""
        self.notes.append(message)
        logger.info("graph: %s", message)


@dataclass(frozen=True)
class Links:
    """Entities that are items: pairs of an entity's text and an item's id."""

    entities: Texts
    items: Numbers

    @classmethod
    def none(cls) -> Links:
        """No entity is an item."""
        return cls(np.empty(0, dtype=object), np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class Ends:
    """One end of edges: types `[e]` by number, and there ids of users and items, or numbers of texts."""

    types: NDArray[np.int16]
    codes: Numbers

    def at(self, rows: NDArray[np.generic]) -> Ends:
        return Ends(self.types[rows], self.codes[rows])

    def texts(self) -> Numbers:
        """Numbers of texts; 0 for users and items."""
        return np.where(self.types >= ENTITY_TYPE, self.codes, 0)


@dataclass(frozen=True)
class Edges:
    relations: NDArray[np.int32]
    sources: Ends
    targets: Ends
    knowledge: Mask

    def at(self, rows: NDArray[np.generic]) -> Edges:
        return Edges(self.relations[rows], self.sources.at(rows), self.targets.at(rows), self.knowledge[rows])

    def having(self, side: str, ends: Ends) -> Edges:
        """The same with other `sources` or `targets`."""
        return replace(self, sources=ends) if side == "sources" else replace(self, targets=ends)

    def __len__(self) -> int:
        return len(self.relations)


def joined(parts: Iterable[Edges]) -> Edges:
    parts = list(parts)
    empty = Ends(np.empty(0, dtype=np.int16), np.empty(0, dtype=np.int64))
    parts.append(Edges(np.empty(0, dtype=np.int32), empty, empty, np.empty(0, dtype=bool)))
    sources, targets = (
        Ends(
            np.concatenate([getattr(one, side).types for one in parts]),
            np.concatenate([getattr(one, side).codes for one in parts]),
        )
        for side in ("sources", "targets")
    )
    return Edges(
        np.concatenate([one.relations for one in parts]),
        sources,
        targets,
        np.concatenate([one.knowledge for one in parts]),
    )


def sorted_texts(triples: Iterable[Triples]) -> pd.Index[str]:
    """All texts of nodes that are no users and no items, in order."""
    columns = [
        cells.texts
        for one in triples
        for kind, cells in ((one.source, one.sources), (one.target, one.targets))
        if kind not in (USER, ITEM)
    ]
    together = np.concatenate([np.empty(0, dtype=object), *columns])
    return pd.Index(sorted(pd.unique(together)), dtype=object)


def numbers_of(ids: Texts, texts: Texts) -> Numbers:
    """The internal id of each text among those of users or items; -1 for others.

    Padding, at 0, is none of them, and its name may be the id of one.
    """
    places = pd.Index(ids[1:]).get_indexer(pd.Index(texts, dtype=object)).astype(np.int64)
    return np.where(places >= 0, places + 1, -1)


def rows_by(keys: NDArray[np.generic]) -> dict[int, Numbers]:
    """The rows of each key, in order of the keys."""
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    return (
        {int(key): rows for key, rows in zip(distinct, np.split(order, starts[1:]), strict=True)}
        if len(distinct)
        else {}
    )


def distinct(values: Numbers) -> Numbers:
    """Each once, ascending: by sorting, which is many times faster than what `np.unique` does with millions."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def digest_of(begin: Numbers, end: Numbers) -> bytes:
    """Of a set of edges, in whatever order and however often each."""
    pairs = np.stack([begin, end], axis=1)[np.lexsort((end, begin))]
    first = np.ones(len(pairs), dtype=bool)
    first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return hashlib.sha256(np.ascontiguousarray(pairs[first]).tobytes()).digest()


def written_name(name: str) -> str:
    """A relation's name as meta-paths can write it."""
    return "_".join(name.split())
