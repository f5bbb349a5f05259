"""Weights in the graph: edges of a graph backbone propagate in proportion to the interactions' weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from burnish.enhancers.interactions import group_mean
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.errors import UnsupportedError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Graphs that a backbone draws anew again and again, for augmentation: left as they are drawn.
_DRAWN_ANEW = ("sub_graph1", "sub_graph2")


#: RecBole's backbones whose propagation can take weights.
GRAPH_BACKBONES = ("LightGCN", "NGCF", "NCL", "SGL", "SpectralCF", "GCMC", "KGIN", "MCCLK")
#: What a product of a sparse matrix and a dense one is called.
_PRODUCTS = (torch.sparse.mm, torch.mm, torch.matmul, Tensor.mm, Tensor.matmul, Tensor.__matmul__)
#: Numbers that the gradient of a matrix's values holds at a time.
_AT_ONCE = 1 << 24


@dataclass
class _Edges:
    """One propagation matrix: where it is kept, and its user-item entries.

    places: modules with the attribute's name in each, and lists with the index.  position: which of the matrix's
    values are edges; users, items, pair: of each edge, pair numbering the distinct training interactions.
    by: "both" where the matrix is D_u^-1/2 A D_i^-1/2, "rows" where it is D^-1 A; from_user: whether an edge's row
    is its user.
    """

    original: Tensor
    places: list[tuple[Any, Any]]
    position: Tensor
    users: Tensor
    items: Tensor
    pair: Tensor
    by: str
    from_user: Tensor


class Propagation:
    """The propagation matrices of one graph backbone, whose edges can be weighted and put back.

    The weight of an edge multiplies its value, which is renormalised by the mean weights of its user and item, so
    that the result is the normalised adjacency matrix of weighted counts (ours; for weights of 1, the original).

    Raises `UnsupportedError` for a backbone that keeps no normalised sparse matrix of users and items.
    """

    def __init__(self, model: nn.Module, dataset: Dataset) -> None:
        self.n_users, self.n_items = int(dataset.user_num), int(dataset.item_num)
        users = dataset.inter_feat[dataset.uid_field].numpy().astype(np.int64)
        items = dataset.inter_feat[dataset.iid_field].numpy().astype(np.int64)
        self._rights = {self.n_items, int(getattr(model, "n_entities", self.n_items))}
        self._model = model
        self._keys, self._pair_of_row = np.unique(users * self.n_items + items, return_inverse=True)
        edges_of: dict[int, _Edges] = {}
        for container, key, matrix in _sparse_matrices(model):
            if id(matrix) in edges_of:
                edges_of[id(matrix)].places.append((container, key))
                continue
            edges = self._edges(matrix)
            if edges is not None:
                edges.places.append((container, key))
                edges_of[id(matrix)] = edges
        if not edges_of:
            raise UnsupportedError(
                f"{type(model).__name__} keeps no normalised sparse matrix of users and items, so weights cannot enter "
                f"its propagation. They can in {', '.join(GRAPH_BACKBONES)}; set "
                f"propagates = False to weigh the loss only"
            )
        self._matrices = list(edges_of.values())
        self._applied: Tensor | None = None

    def apply(self, weights: Tensor) -> None:
        """Weigh the edges by `weights` `[n]`, one for each training interaction, from the original values."""
        if self._applied is not None and torch.equal(self._applied, weights):
            return
        self._applied = weights.detach().clone()
        for edges in self._matrices:
            changed = self._weighted(edges, weights.detach())
            for place in edges.places:
                _put(place, changed)
        clear_kept(self._model)

    @property
    def applied(self) -> Tensor | None:
        """The weights `[n]` of the training interactions that the edges have now; None for the original ones."""
        return self._applied

    @property
    def device(self) -> torch.device:
        """Where the graph is."""
        return self._matrices[0].original.device

    @property
    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Users and items `[e]` of the edges, each once, and the edge of every training interaction `[n]`."""
        keys = torch.from_numpy(self._keys)
        return keys // self.n_items, keys % self.n_items, torch.from_numpy(self._pair_of_row)

    @contextmanager
    def weighed(self, edge_weights: Tensor) -> Iterator[None]:
        """While it lasts, what the backbone propagates has a gradient in the weights of the edges.

        edge_weights: `[e]` in the order of `edges`, on the graph's device; those that are applied to interactions do
        not count.  Memory for the gradient is linear in the edges.

        Raises `UnsupportedError` at the end, where no product with the backbone's matrices was computed.
        """
        watched = {}
        for edges in self._matrices:
            values = self._values(edges, edge_weights)
            for container, key in edges.places:
                matrix = container[key] if isinstance(container, list) else getattr(container, key)
                watched[id(matrix)] = (edges.original, values)
        with _Watched(watched) as seen:
            yield
        if not seen.products:
            raise UnsupportedError(
                f"{type(self._model).__name__} did not multiply by the matrix that it keeps, so what an edge of its "
                f"graph changes cannot be told"
            )

    def restore(self) -> None:
        """Put the original matrices back: the same objects."""
        if self._applied is None:
            return
        self._applied = None
        for edges in self._matrices:
            for place in edges.places:
                _put(place, edges.original)
        clear_kept(self._model)

    def _edges(self, matrix: Tensor) -> _Edges | None:
        height, width = matrix.shape
        # Knowledge models have entities to the right of the users, of which the first are the items.
        square = height == width and height in {self.n_users + n for n in self._rights}
        if not square and not (height == self.n_users and width in self._rights):
            return None
        rows, columns = matrix._indices().cpu().numpy()
        shift = self.n_users if square else 0
        forward = (rows < self.n_users) & (columns >= shift)
        backward = (rows >= self.n_users) & (columns < self.n_users) if square else np.zeros_like(forward)
        position = np.flatnonzero(forward | backward)
        row, column, from_user = rows[position], columns[position], forward[position]
        users = np.where(from_user, row, column)
        items = np.where(from_user, column, row) - shift
        keys = users * self.n_items + items
        pair = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        others = len(rows) - len(position) - int(((rows == columns) & square).sum())  # a graph's other edges
        if (
            len(position) == 0
            or others
            or items.max() >= self.n_items
            or not np.array_equal(self._keys[pair], keys)
        ):
            return None
        values = np.abs(matrix._values().detach().cpu().numpy()[position].astype(np.float64))
        by = self._normalisation(values, row, column)
        if by is None:
            return None
        tensors = (torch.as_tensor(array, device=matrix.device) for array in (position, users, items, pair))
        position_, users_, items_, pair_ = tensors
        return _Edges(
            matrix, [], position_, users_, items_, pair_, by, torch.as_tensor(from_user, device=matrix.device)
        )

    @staticmethod
    def _normalisation(values: Any, row: Any, column: Any) -> str | None:
        of_row, of_column = np.bincount(row)[row], np.bincount(column)[column]
        if np.allclose(values, 1 / np.sqrt(of_row * of_column), rtol=1e-3):
            return "both"
        return "rows" if np.allclose(values, 1 / of_row, rtol=1e-3) else None

    def _weighted(self, edges: _Edges, weights: Tensor) -> Tensor:
        original = edges.original
        weights = weights.to(original.device, torch.float64)
        pair_of_row = torch.as_tensor(self._pair_of_row, device=original.device)
        values = self._values(edges, group_mean(weights, pair_of_row, len(self._keys)))
        changed = torch.sparse_coo_tensor(original._indices(), values, original.shape)
        return changed.coalesce() if original.is_coalesced() else changed

    def _values(self, edges: _Edges, edge_weights: Tensor) -> Tensor:
        """The values of a matrix for these weights of the edges, with a gradient in them."""
        original = edges.original
        edge = edge_weights.to(original.device, torch.float64)[edges.pair]
        of_user = group_mean(edge, edges.users, self.n_users)[edges.users]
        of_item = group_mean(edge, edges.items, self.n_items)[edges.items]
        if edges.by == "both":
            scale = (of_user * of_item).clamp(min=1e-300).sqrt()
        else:
            scale = torch.where(edges.from_user, of_user, of_item)
        factor = torch.where(scale > 1e-150, edge / scale.clamp(min=1e-150), torch.zeros_like(edge))
        values = original._values().detach()
        weighted = (values[edges.position].double() * factor).to(values.dtype)
        return values.index_put((edges.position,), weighted)


class _Watched(TorchFunctionMode):
    """Takes products with some sparse matrices, by their identity, for products with other values.

    matrices: by `id`, the matrix whose places count and the values `[nnz]`.
    """

    def __init__(self, matrices: dict[int, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._matrices, self.products = matrices, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if len(args) == 2 and id(args[0]) in self._matrices and func in _PRODUCTS:
            self.products += 1
            return _Product.apply(self._matrices[id(args[0])][1], args[1], self._matrices[id(args[0])][0])
        return func(*args, **(kwargs or {}))


class _Product(torch.autograd.Function):
    """A sparse matrix times a dense one.  torch's own gradient in the values makes a dense matrix of the nodes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, dense: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(values, dense, places)
        return torch.mm(
            torch.sparse_coo_tensor(places._indices(), values, places.shape, check_invariants=False), dense
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        values, dense, places = ctx.saved_tensors
        (gradient,) = gradients
        rows, columns = places._indices()
        of_values, of_dense = None, None
        if ctx.needs_input_grad[0]:
            of_values = torch.empty_like(values)
            step = max(1, _AT_ONCE // max(1, dense.shape[1]))
            for first in range(0, len(values), step):
                here = slice(first, first + step)
                of_values[here] = (gradient[rows[here]] * dense[columns[here]]).sum(1)
        if ctx.needs_input_grad[1]:
            back = torch.sparse_coo_tensor(
                torch.stack([columns, rows]), values, places.shape[::-1], check_invariants=False
            )
            of_dense = torch.mm(back, gradient)
        return of_values, of_dense, None


def _put(place: tuple[Any, Any], matrix: Tensor) -> None:
    container, key = place
    if isinstance(container, list):
        container[key] = matrix
    else:
        setattr(container, key, matrix)


def _sparse_matrices(model: nn.Module) -> Iterator[tuple[Any, Any, Tensor]]:
    """Every sparse tensor kept by the model or its parts, with the container and key it is kept under."""
    seen: set[int] = set()
    for module in model.modules():
        for attributes in (module.__dict__, module._buffers):
            for key, value in list(attributes.items()):
                if isinstance(value, Tensor) and value.layout is torch.sparse_coo and key not in _DRAWN_ANEW:
                    yield module, key, value
                elif isinstance(value, list) and id(value) not in seen:
                    seen.add(id(value))
                    for index, item in enumerate(value):
                        if (
                            isinstance(item, Tensor)
                            and item.layout is torch.sparse_coo
                            and key not in _DRAWN_ANEW
                        ):
                            yield value, index, item
