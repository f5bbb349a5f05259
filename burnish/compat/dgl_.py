"""KGAT builds its attention matrix with a dgl that no current Python can install."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from . import hook
from .mend import mend, release


class RelationGraph:
    """What KGAT asks of a dgl graph: edges with data, filtered by relation, as a scipy matrix.

    source, target: `[n_edges]` integer tensors of node indices.
    """

    def __init__(self, source: Any, target: Any, n_nodes: int | None = None) -> None:
        self.source, self.target = source, target
        self.n_nodes = int(max(source.max(), target.max())) + 1 if n_nodes is None else n_nodes
        self.edata: dict[str, Any] = {}

    def filter_edges(self, predicate: Callable[[Any], Any]) -> Any:
        """Indices `[k]` of the edges for which `predicate`, a function of `.data`, gives True."""
        return predicate(SimpleNamespace(data=self.edata)).nonzero().flatten()

    def adjacency_matrix(self, transpose: bool = False, scipy_fmt: str = "coo") -> Any:
        """A scipy sparse matrix `[n_nodes, n_nodes]`: rows are sources, or targets with `transpose`."""
        import numpy as np
        import scipy.sparse

        ends = (self.target, self.source) if transpose else (self.source, self.target)
        entries = (np.ones(len(self.source)), tuple(end.cpu().numpy() for end in ends))
        return scipy.sparse.coo_matrix(entries, shape=(self.n_nodes, self.n_nodes)).asformat(scipy_fmt)


def _dgl_module() -> ModuleType:
    dgl = ModuleType("dgl")
    dgl.graph = lambda edges: RelationGraph(*edges)  # type: ignore[attr-defined]
    dgl.edge_subgraph = _edge_subgraph  # type: ignore[attr-defined]
    return dgl


def _edge_subgraph(graph: RelationGraph, edges: Any, preserve_nodes: bool = True) -> RelationGraph:
    return RelationGraph(graph.source[edges], graph.target[edges], graph.n_nodes)


def _old_dgl_missing() -> bool:
    # dgl 1.0 changed what adjacency_matrix returns, so a new one serves KGAT no better than none
    return not release("dgl") or release("dgl") >= (1, 0) or hook.import_works("dgl") is not None


@mend(
    "dgl-absent",
    library="dgl",
    versions="dgl absent, broken, or >= 1.0",
    symptom="KGAT does not build: it needs the adjacency_matrix of dgl < 1.0",
    modules=("recbole.model.knowledge_aware_recommender.kgat",),
    applies=_old_dgl_missing,
)
def stand_in_for_dgl(kgat: ModuleType) -> None:
    """Let KGAT, and nobody else, see a small stand-in under the name dgl while it is constructed."""
    construct = kgat.KGAT.__init__
    if hasattr(construct, "__wrapped__"):
        return

    @functools.wraps(construct)
    def with_stand_in(self: Any, config: Any, dataset: Any) -> None:
        with hook.stand_ins({"dgl": _dgl_module()}):
            construct(self, config, dataset)

    kgat.KGAT.__init__ = with_stand_in
