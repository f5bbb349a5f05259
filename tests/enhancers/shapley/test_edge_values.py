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


def small_graph(tmp_path: Path) -> tuple[Any, Any, Propagation]:
    torch.manual_seed(3)
    model, train = in_float64("LightGCN", tmp_path)
    return model, train, Propagation(model, train)


def test_sum_is_the_change_when_edges_are_lowered_together(tmp_path: Path) -> None:
    model, train, graph = small_graph(tmp_path)
    users, items = train.inter_feat["user_id"], train.inter_feat["item_id"]
    edge_users, edge_items, edge_of_row = graph.edges
    # Judges are of fold 0, so the other folds' edges have values, of which every second is lowered.
    generator = torch.Generator().manual_seed(4)
    fold_of = dealt(edge_users, 2, generator)
    judges = fold_of[edge_of_row] == 0
    found = edge_values(graph, way(model), users[judges], items[judges], folds=2, negatives=3, seed=4)
    assert not bool(found[fold_of == 0].any())  # their own fold is all that judges
    keys = edge_users * graph.n_items + edge_items
    drawn = unknown_items(users[judges], keys, graph.n_items, 3, generator)
    lowered = (torch.arange(len(found)) % 2 == 0) & (fold_of == 1)
    before = loss(model, users[judges], items[judges], drawn)
    weights = torch.ones(len(users), dtype=torch.float64)
    weights[lowered[edge_of_row]] -= STEP
    graph.apply(weights)
    change = (loss(model, users[judges], items[judges], drawn) - before) / STEP * 2
    assert float(found[lowered].sum()) == pytest.approx(change, rel=1e-3)
    # At other weights a value is of the whole weight: from what it is to 0.
    weights = torch.ones(len(users), dtype=torch.float64)
    weights[lowered[edge_of_row]] = 0.5
    graph.apply(weights)
    halved = edge_values(graph, way(model), users[judges], items[judges], folds=2, negatives=3, seed=4)
    before = loss(model, users[judges], items[judges], drawn)
    weights[lowered[edge_of_row]] -= STEP
    graph.apply(weights)
    change = (loss(model, users[judges], items[judges], drawn) - before) / STEP * 2
    assert float(halved[lowered].sum()) == pytest.approx(change * 0.5, rel=1e-3)


def test_pairs_are_scored_as_vectors_are(tmp_path: Path) -> None:
    model, train, graph = small_graph(tmp_path)
    users, items = train.inter_feat["user_id"], train.inter_feat["item_id"]
    one = edge_values(graph, way(model), users, items, seed=1)
    other = edge_values(graph, PairGraph(scorer(model), at_once=100), users, items, seed=1)
    torch.testing.assert_close(one, other)
    assert one.abs().max() > 1e-3


def test_folds_and_drawn_items() -> None:
    users = torch.tensor([3, 1, 1, 2, 1, 1, 3, 1, 5] * 20)
    fold_of = dealt(users, 4, torch.Generator().manual_seed(0))
    for user in (1, 2, 3, 5):
        counts = torch.bincount(fold_of[users == user], minlength=4)
        assert int(counts.max() - counts.min()) <= 1
    assert torch.equal(fold_of, dealt(users, 4, torch.Generator().manual_seed(0)))
    assert not torch.equal(fold_of, dealt(users, 4, torch.Generator().manual_seed(1)))
    keys = torch.tensor(
        [10 + item for item in range(1, 8)] + [23]
    )  # user 1 knows 1 to 7 of 9, user 2 knows 3
    drawn = unknown_items(torch.tensor([1, 2] * 50), keys, 10, 4, torch.Generator().manual_seed(0))
    assert set(drawn[::2].flatten().tolist()) <= {0, 8, 9}
    assert set(drawn[1::2].flatten().tolist()) == {1, 2, 4, 5, 6, 7, 8, 9}
    everything = torch.arange(11, 20)
    assert not bool(
        unknown_items(torch.tensor([1]), everything, 10, 4, torch.Generator().manual_seed(0)).any()
    )


def test_refuses(tmp_path: Path) -> None:
    model, train, graph = small_graph(tmp_path)
    users, items = train.inter_feat["user_id"], train.inter_feat["item_id"]
    with pytest.raises(ConfigurationError, match="folds"):
        edge_values(graph, way(model), users, items, folds=1)
    tables = model.user_embedding.weight, model.item_embedding.weight
    with pytest.raises(UnsupportedError, match="did not multiply by the matrix that it keeps"):
        edge_values(graph, VectorGraph(lambda: tables), users, items)
    with torch.no_grad():
        model.user_embedding.weight[1] = torch.nan
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        edge_values(graph, way(model), users, items)
