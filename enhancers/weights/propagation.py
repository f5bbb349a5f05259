"""Weights in the graph: edges of a graph backbone propagate in proportion to the interactions' weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.enhancers.interactions import group_mean
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.errors import UnsupportedError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Graphs that a backbone draws anew again and again, for augmentation: left as they are drawn.
_DRAWN_ANEW = ("sub_graph1", "sub_graph2")


#: RecBole's backbones whose propagation can take weights.
GRAPH_BACKBONES = ("LightGCN", "NGCF", "NCL", "SGL", "SpectralCF", "GCMC", "KGIN", "MCCLK")


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
        edge = group_mean(weights, pair_of_row, len(self._keys))[edges.pair]
        of_user = group_mean(edge, edges.users, self.n_users)[edges.users]
        of_item = group_mean(edge, edges.items, self.n_items)[edges.items]
        if edges.by == "both":
            scale = (of_user * of_item).sqrt()
        else:
            scale = torch.where(edges.from_user, of_user, of_item)
        factor = torch.where(scale > 0, edge / scale.clamp(min=1e-300), torch.zeros_like(edge))
        values = original._values().detach().clone()
        values[edges.position] = (values[edges.position].double() * factor).to(values.dtype)
        changed = torch.sparse_coo_tensor(original._indices(), values, original.shape)
        return changed.coalesce() if original.is_coalesced() else changed


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
