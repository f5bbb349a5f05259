"""The user-item graphs of seven models, built from arrays where RecBole fills a dictionary edge by edge.

Each model's own function still runs.  It sees other meanings of three names: `zip` of two arrays is a set of
edges, `dict` of edges keeps them as arrays, and `sp.dok_matrix` is a matrix that takes them in one go.  Edges
keep the order in which the dictionary would have held them, so the matrices are equal bit for bit.
"""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from burnish.compat import after_import
from burnish.compat.view import ModuleView

from .switches import replace_method

if TYPE_CHECKING:
    import numpy as np

#: Which function of which module's model builds the graph.
BUILDERS = {
    "recbole.model.general_recommender.gcmc": ("GCMC", "get_norm_adj_mat"),
    "recbole.model.general_recommender.lightgcn": ("LightGCN", "get_norm_adj_mat"),
    "recbole.model.general_recommender.ncl": ("NCL", "get_norm_adj_mat"),
    "recbole.model.general_recommender.ngcf": ("NGCF", "get_norm_adj_mat"),
    "recbole.model.general_recommender.spectralcf": ("SpectralCF", "get_laplacian_matrix"),
    "recbole.model.knowledge_aware_recommender.kgin": ("KGIN", "get_norm_inter_matrix"),
    "recbole.model.knowledge_aware_recommender.mcclk": ("MCCLK", "get_norm_inter_matrix"),
}


def install() -> None:
    """Register the change to each model's module."""
    for module in BUILDERS:
        after_import(module, _change)


def _change(module: ModuleType) -> None:
    name, function = BUILDERS[module.__name__]
    owner = getattr(module, name)
    if hasattr(vars(owner)[function], "_burnish_speed"):
        return
    fast = _seen_otherwise(vars(owner)[function])
    replace_method(
        "adjacency", owner, function, lambda _original, self, *args, **kwargs: fast(self, *args, **kwargs)
    )


def _seen_otherwise(function: Any) -> Any:
    """A copy of `function` for which the three names have the meanings above; nobody else sees them."""
    names = {**function.__globals__, "zip": _zip, "dict": _dict}
    names["sp"] = _Sparse(names["sp"])
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@dataclass
class Edges:
    """Rows, columns and values of a sparse matrix, each `[n]`, in the order of insertion."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray | None = None

    def update(self, other: Edges) -> None:
        """Append the edges of `other`."""
        import numpy as np

        self.rows = np.concatenate((self.rows, other.rows))
        self.columns = np.concatenate((self.columns, other.columns))
        assert self.values is not None
        assert other.values is not None
        self.values = np.concatenate((self.values, other.values))


def _zip(*parts: Any) -> Any:
    import numpy as np

    if len(parts) == 2 and all(isinstance(part, np.ndarray) for part in parts):
        return Edges(*parts)
    if len(parts) == 2 and isinstance(parts[0], Edges):
        return Edges(parts[0].rows, parts[0].columns, np.asarray(parts[1]))
    return zip(*parts)  # noqa: B905  (as the caller asked)


def _dict(*parts: Any, **items: Any) -> Any:
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Edges) else dict(*parts, **items)


class _Sparse(ModuleView):
    """scipy.sparse as it is, but for `dok_matrix`."""

    def dok_matrix(self, shape: tuple[int, int], dtype: Any = None) -> Any:
        """An empty matrix that is filled by its `_update`."""
        return _filled_later()(shape, dtype=dtype)


@functools.lru_cache(maxsize=1)
def _filled_later() -> type:
    """The class of such matrices, made when scipy is needed."""
    from scipy.sparse import csr_matrix

    class Graph(csr_matrix):
        """A CSR matrix that keeps the order of its entries when it is compared, as a dictionary would."""

        _update = _fill

        def __gt__(self, other: Any) -> Any:
            return csr_matrix(self, copy=True) > other  # which sorts

    return Graph


def _fill(matrix: Any, edges: Edges) -> None:
    """Put `edges` into an empty CSR matrix, as a dictionary of them would come out of `dok_matrix.tocsr()`."""
    import scipy.sparse

    rows, columns, values = without_repeats(edges, matrix.shape[1])
    entries = scipy.sparse.coo_matrix(
        (values.astype(matrix.dtype), (rows, columns)), shape=matrix.shape, dtype=matrix.dtype
    )
    entries.has_canonical_format = (
        True  # no repeats, so scipy need not sort them away; dok_matrix says so too
    )
    filled = entries.tocsr()
    matrix.data, matrix.indices, matrix.indptr = filled.data, filled.indices, filled.indptr


def without_repeats(edges: Edges, width: int) -> tuple[Any, Any, Any]:
    """Rows, columns and values as a dictionary keeps them: the place of the first, the value of the last."""
    import numpy as np

    assert edges.values is not None
    pairs = edges.rows.astype(np.int64) * width + edges.columns
    _, first = np.unique(pairs, return_index=True)
    if len(first) == len(pairs):
        return edges.rows, edges.columns, edges.values
    _, last = np.unique(pairs[::-1], return_index=True)
    last = len(pairs) - 1 - last
    order = np.argsort(first)
    return edges.rows[first[order]], edges.columns[first[order]], edges.values[last[order]]
