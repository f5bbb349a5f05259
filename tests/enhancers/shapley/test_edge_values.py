"""Values of the edges of a graph backbone, against finite differences of the loss in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import propagation as propagated
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.shapley.edge_values import (
    PairGraph,
    VectorGraph,
    dealt,
    edge_values,
    unknown_items,
)
from burnish.enhancers.weights.propagation import GRAPH_BACKBONES, Propagation, _put, _sparse_matrices
from burnish.errors import ConfigurationError, NonFiniteError, UnsupportedError

STEP = 1e-5


def in_float64(name: str, folder: Path) -> tuple[Any, Any]:
    """A backbone on the conformance data, in float64 with its graph, and the training split."""
    write_data(folder, n_users=12, n_items=16)
    built = build_world(name, folder)
    model = built.model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    for container, key, matrix in list(_sparse_matrices(model)):
        _put((container, key), matrix.double().coalesce())
    return model, built.train._dataset


def scorer(model: Any) -> Any:
    from recbole.data.interaction import Interaction

    def scores(users: Tensor, items: Tensor) -> Tensor:
        np.random.seed(0)
        torch.manual_seed(0)  # KGIN and MCCLK leave out edges by chance, in evaluations too
        return model.predict(Interaction({"user_id": users, "item_id": items}))

    return scores


def way(model: Any) -> VectorGraph | PairGraph:
    call = propagated(model)
    return PairGraph(scorer(model), at_once=1500) if call is None else VectorGraph(lambda: call()[:2])


def loss(model: Any, users: Tensor, items: Tensor, drawn: Tensor) -> float:
    """BPR's loss by the model's own scores."""
    with torch.no_grad():
        scored = torch.cat([items.unsqueeze(1), drawn], dim=1)
        scores = scorer(model)(users.repeat_interleave(scored.shape[1]), scored.flatten()).view(scored.shape)
    return float(torch.log(1 + torch.exp(scores[:, 1:] - scores[:, :1])).mean(dim=1).sum())


@pytest.mark.parametrize("name", GRAPH_BACKBONES)
def test_against_finite_differences(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model, train = in_float64(name, tmp_path)
    graph = Propagation(model, train)
    users, items = train.inter_feat["user_id"], train.inter_feat["item_id"]
    judges = torch.arange(0, len(users), 2)
    found = edge_values(graph, way(model), users[judges], items[judges], folds=3, negatives=2, seed=4)
    edge_users, edge_items, edge_of_row = graph.edges
    assert len(found) == len(edge_users) == len(set(zip(users.tolist(), items.tolist(), strict=True)))
    generator = torch.Generator().manual_seed(4)
    fold_of = dealt(edge_users, 3, generator)
    keys = edge_users * graph.n_items + edge_items
    drawn = unknown_items(users[judges], keys, graph.n_items, 2, generator)
    edges = range(len(found)) if name == "LightGCN" else range(0, len(found), 9)
    for edge in edges:
        mine = fold_of[edge_of_row[judges]] != fold_of[edge]
        change = []
        for sign in (1, -1):
            weights = torch.ones(len(users), dtype=torch.float64)
            weights[edge_of_row == edge] += sign * STEP
            graph.apply(weights)
            change.append(loss(model, users[judges][mine], items[judges][mine], drawn[mine]))
        graph.restore()
        expected = -(change[0] - change[1]) / (2 * STEP) * 3 / 2
        assert float(found[edge]) == pytest.approx(expected, rel=1e-4, abs=1e-7), (name, edge)
