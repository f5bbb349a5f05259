"""Negative samples checked all at once, where RecBole looks each one up in a Python set.

The numbers drawn, their order and what is drawn again are RecBole's: a sample that the user knows already is
drawn anew, together with all others of its kind, until none is left.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from burnish.compat import after_import

from .switches import replace_method

if TYPE_CHECKING:
    import numpy as np

#: Cells of a yes-or-no matrix, one byte each; beyond this pairs are kept as sorted numbers.
LARGEST_MATRIX = 64 * 2**20

_known: weakref.WeakKeyDictionary[Any, tuple[Any, Known]] = weakref.WeakKeyDictionary()
_alias: weakref.WeakKeyDictionary[Any, tuple[Any, tuple[Any, Any, Any]]] = weakref.WeakKeyDictionary()


def install() -> None:
    """Register the change to `recbole.sampler`."""
    after_import("recbole.sampler.sampler", _change)


def _change(module: ModuleType) -> None:
    replace_method("sampling", module.AbstractSampler, "sample_by_key_ids", sample_by_key_ids)
    replace_method("sampling", module.AbstractSampler, "_pop_sampling", sample_by_popularity)
    replace_method("sampling", module.RepeatableSampler, "sample_by_user_ids", sample_other_items)


class Known:
    """Which (key, value) pairs are taken.

    used: `[n_keys]` object array of sets of non-negative integers, as RecBole's samplers hold them.
    largest: the matrix is used up to this number of cells.
    """

    def __init__(self, used: Any, largest: int | None = None) -> None:
        import numpy as np

        counts = np.fromiter((len(one) for one in used), dtype=np.int64, count=len(used))
        values = np.fromiter(itertools.chain.from_iterable(used), dtype=np.int64, count=int(counts.sum()))
        keys = np.repeat(np.arange(len(used)), counts)
        if len(values) and values.min() < 0:
            raise ValueError("negative ids")
        self.n_keys, self.width = len(used), int(values.max()) + 1 if len(values) else 1
        cells = self.n_keys * self.width
        self.matrix: Any = None
        if cells <= (LARGEST_MATRIX if largest is None else largest):
            self.matrix = np.zeros((self.n_keys, self.width), dtype=bool)
            self.matrix[keys, values] = True
        else:
            self.pairs = np.sort(np.append(keys * self.width + values, -1))  # never empty

    def contains(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """`[n]` booleans: is `values[i]` taken for `keys[i]`?  Raises `IndexError` for a key out of range.

        Keys count from the end where they are negative, as in the array that this was made from.
        """
        import numpy as np

        inside = (values >= 0) & (values < self.width)
        safe = np.where(inside, values, 0)
        if self.matrix is not None:
            return self.matrix[keys, safe] & inside
        keys = np.asarray(keys)
        if len(keys) and (keys.min() < -self.n_keys or keys.max() >= self.n_keys):
            raise IndexError("key out of range")
        wanted = np.where(keys < 0, keys + self.n_keys, keys) * self.width + safe
        place = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return (self.pairs[place] == wanted) & inside


def _known_of(sampler: Any) -> Known | None:
    """The sampler's taken pairs, made once; None where they are not sets of ids."""
    import numpy as np

    used = sampler.used_ids
    entry = _known.get(sampler)
    if entry is not None and entry[0] is used:
        return entry[1]
    if not (isinstance(used, np.ndarray) and used.dtype == object and used.ndim == 1 and len(used)):
        return None
    try:
        known = Known(used)
    except (TypeError, ValueError):
        return None
    _known[sampler] = (used, known)
    return known


def _draw(sampler: Any, total: int, taken: Callable[[Any, Any], Any]) -> Any:
    """`[total]` samples; those for which `taken(positions, values)` says yes are drawn again, all at once."""
    import numpy as np
    import torch

    values = sampler.sampling(total)
    positions = np.flatnonzero(taken(np.arange(total), values))
    while len(positions):
        values[positions] = fresh = sampler.sampling(len(positions))
        positions = positions[taken(positions, fresh)]
    return torch.tensor(values, dtype=torch.long)


def sample_by_key_ids(original: Callable[..., Any], self: Any, key_ids: Any, num: int) -> Any:
    """`num` values for each key, none of them taken: `[num * n_keys]`, key by key within each of `num` rounds."""
    import numpy as np

    keys = np.asarray(key_ids)
    known = _known_of(self) if keys.ndim == 1 and keys.dtype.kind == "i" and len(keys) else None
    if known is None:
        return original(self, key_ids, num)
    tiled = np.tile(keys, num)
    return _draw(self, len(tiled), lambda positions, values: known.contains(tiled[positions], values))


def sample_other_items(
    original: Callable[..., Any], self: Any, user_ids: Any, item_ids: Any, num: int
) -> Any:
    """`num` items for each row, each another than the row's own item."""
    import numpy as np

    items = np.asarray(item_ids)
    if items.ndim != 1 or items.dtype.kind != "i" or not len(items) or len(items) != len(user_ids):
        return original(self, user_ids, item_ids, num)
    tiled = np.tile(items, num)
    return _draw(self, len(tiled), lambda positions, values: tiled[positions] == values)


def sample_by_popularity(original: Callable[..., Any], self: Any, sample_num: int) -> Any:
    """`[sample_num]` values from RecBole's alias table, looked up in arrays."""
    import numpy as np

    entry = _alias.get(self)
    if entry is None or entry[0] is not self.prob:
        keys = list(self.prob)
        columns = (keys, [self.prob[key] for key in keys], [self.alias[key] for key in keys])
        entry = (self.prob, (np.array(columns[0]), np.array(columns[1]), np.array(columns[2])))
        _alias[self] = entry
    values, chance, other = entry[1]
    places = np.random.randint(0, len(values), sample_num)
    draws = np.random.random(sample_num)
    return np.where(chance[places] > draws, values[places], other[places])
