"""Values of a path model's edges, against finite differences in float64."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.paths.edge_effects import hidden_loss, path_edge_values
from burnish.enhancers.paths.graph import Graph
from burnish.enhancers.paths.lists import Pairs
from burnish.enhancers.paths.metapaths import parse_all
from burnish.enhancers.paths.path_model import PathModel
from burnish.enhancers.shapley.edge_values import dealt
from burnish.errors import ConfigurationError, UnsupportedError
from tests.support.path_world import METAPATHS, N_ITEMS, metapaths, world

FOLDS = 3
STEP = 1e-6


def model_of(graph: Graph, **options: object) -> PathModel:
    model = PathModel(graph, metapaths(graph), **options).double()  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw, dtype=torch.float64) / model.rate
    return model


def losses(model: PathModel, fold_of: torch.Tensor) -> list[float]:
    """The loss of each fold when it is hidden from everybody's walks."""
    rated = model.graph.relation("rated")
    users, rows = rated.sources.unique(return_inverse=True)
    known = Pairs(rows, rated.targets, N_ITEMS)
    with torch.no_grad():
        return [float(hidden_loss(model, users, known, fold_of == fold)) for fold in range(FOLDS)]


@pytest.mark.parametrize(
    "options",
    [
        {"normalise": "walk", "returns": False, "rate": 4.0},
        {"normalise": "propagated"},
        {"normalise": "walk", "tied": False},
        {"normalise": "walk", "most": 1000, "mixture": "user"},
    ],
    ids=str,
)
def test_against_finite_differences(options: dict[str, object]) -> None:
    graph = world()
    model = model_of(graph, **options)
    values = path_edge_values(model, folds=FOLDS, seed=2)
    rated = graph.relation("rated")
    fold_of = dealt(rated.sources, FOLDS, torch.Generator().manual_seed(2))
    assert set(values) == {"rated", "friend", "genre", "directed_by", "acted_in", "sequel"}
    largest = max(float(one.abs().max()) for one in values.values())
    assert largest > 0.05
    for relation, found in values.items():
        own = {number for step, number in model._parameter.items() if step.relation == relation}
        for edge in range(0, len(found), 1 if model.most is None else 7):
            changed = []
            for sign in (1, -1):
                kept = [model.theta[number].data.clone() for number in own]
                for number in own:  # a becomes a (1 + sign * STEP)
                    theta = model.rate * model.theta[number].data[edge]
                    raised = torch.nn.functional.softplus(theta) * (1 + sign * STEP)
                    model.theta[number].data[edge] = torch.log(torch.expm1(raised)) / model.rate
                changed.append(losses(model, fold_of))
                for number, before in zip(own, kept, strict=True):
                    model.theta[number].data = before
            slopes = [-(up - down) / (2 * STEP) for up, down in zip(*changed, strict=True)]
            if relation == "rated":
                slopes[fold_of[edge]] = 0.0
                slopes = [slope * FOLDS / (FOLDS - 1) for slope in slopes]
            assert float(found[edge]) == pytest.approx(sum(slopes), rel=1e-4, abs=2e-7), (relation, edge)


def test_sum_is_the_change_when_a_relations_edges_are_lowered_together() -> None:
    graph = world()
    model = model_of(graph, normalise="propagated")
    values = path_edge_values(model, folds=FOLDS, seed=2)
    fold_of = dealt(graph.relation("rated").sources, FOLDS, torch.Generator().manual_seed(2))
    own = model._parameter[parse_all([METAPATHS[2]], graph)[0].steps[0]]
    before = sum(losses(model, fold_of))
    a = torch.nn.functional.softplus(model.theta[own].data)
    model.theta[own].data = torch.log(torch.expm1(a * (1 - STEP)))
    change = (sum(losses(model, fold_of)) - before) / STEP
    assert float(values["friend"].sum()) == pytest.approx(change, rel=1e-3)
    # With "walk" a node's edges share what is there: lowering all of them changes nothing.
    walk = path_edge_values(model_of(graph, normalise="walk"), folds=FOLDS, seed=2)
    assert float(walk["genre"].abs().max()) > 1e-3


def test_parts_and_seeds() -> None:
    model = model_of(world(), normalise="walk")
    whole = path_edge_values(model, folds=2, seed=1)
    parts = path_edge_values(model, folds=2, seed=1, users_at_once=2)
    for one, other in zip(whole.values(), parts.values(), strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.allclose(whole["genre"], path_edge_values(model, folds=2, seed=9)["genre"])


def test_refuses() -> None:
    graph = world()
    model = model_of(graph)
    with pytest.raises(ConfigurationError, match="folds"):
        path_edge_values(model, folds=1)
    rest = Graph(graph.counts, [one for one in graph.relations if one.name != "rated"])
    model.graph = rest
    with pytest.raises(UnsupportedError, match="no relation 'rated'"):
        path_edge_values(model)
