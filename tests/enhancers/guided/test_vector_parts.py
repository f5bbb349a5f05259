"""What of items' vectors is attributes: against the formulas, a dense propagation, and where there is no such sum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guided_world import guided_of, quiet_world, write_world
from torch import Tensor

from burnish.enhancers.conformance.subject import copied_state
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.vector_parts import attribute_parts, parts_along
from burnish.enhancers.shapley.shapley import item_vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


ALPHA = (0.4, 0.7)


def world_of(model: str, folder: Path, **options: Any) -> Any:
    world = quiet_world(model, folder, Guided(scores=str(folder / "scores.tsv"), **options))
    for fusion in guided_of(world).fusions.values():
        fusion.alpha.data.copy_(torch.tensor(ALPHA))
    return world


def vectors_of(world: Any) -> Any:
    guided = guided_of(world)
    return lambda: item_vectors(guided._anatomy, guided.state, "guided")


@pytest.mark.parametrize("base", [None, "model"])
@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_a_table_has_its_scores_times_alpha(model: str, base: str | None, folder: Path) -> None:
    world = world_of(model, folder, base=base)
    guided = guided_of(world)
    found = attribute_parts(world.model, vectors_of(world))
    assert found is not None
    assert found.names == ("pace", "wit")
    wanted = np.array([[ALPHA[k] * float(row[k]) for k in range(2)] for row in guided.guided])
    np.testing.assert_allclose(found.amounts.numpy(), wanted, atol=1e-6)
    (fusion,) = guided.fusions.values()
    ways = fusion.freed if base else torch.eye(fusion.width)[:, :2]
    np.testing.assert_allclose(found.directions.numpy(), ways.double().numpy())


def test_a_graph_passes_attributes_on(folder: Path) -> None:
    """LightGCN: the mean over layers of the attributes of users and items, propagated by a dense matrix."""
    world = world_of("LightGCN", folder)
    guided = guided_of(world)
    found = attribute_parts(world.model, vectors_of(world))
    assert found is not None
    dense = world.model.norm_adj_matrix.to_dense().double().numpy()
    own = torch.cat([guided.users, guided.guided]).detach().double().numpy() * np.array(ALPHA)
    own[[0, world.dataset.user_num]] = 0.0
    layers, now = [own], own
    for _ in range(world.model.n_layers):
        now = dense @ now
        layers.append(now)
    wanted = np.mean(layers, axis=0)[world.dataset.user_num :]
    np.testing.assert_allclose(found.amounts.numpy(), wanted, atol=1e-6)
    assert np.abs(wanted - own[world.dataset.user_num :]).max() > 0.1


def test_there_are_none_where_vectors_are_no_sum(folder: Path) -> None:
    for model in ("NGCF", "NeuMF"):  # layers of its own; two tables side by side
        world = world_of(model, folder)
        assert attribute_parts(world.model, vectors_of(world)) is None, model
    for options in ({"control": "permuted"}, {"control": "random"}, {"base": "auto"}):
        world = world_of("BPR", folder, **options)
        assert attribute_parts(world.model, vectors_of(world)) is None, options
    world = world_of("BPR", folder)
    assert attribute_parts(world.model, lambda: None) is None
    assert attribute_parts(world.model, lambda: torch.full((61, 8), torch.nan)) is None
    rows = vectors_of(world)
    assert attribute_parts(world.model, lambda: rows().tanh()) is None
    assert attribute_parts(quiet_world("BPR", folder).model, rows) is None
    assert attribute_parts(None, rows) is None


def test_a_mixture_within_the_directions_is_none() -> None:
    """All that attributes add lies along the directions, and their shares alone tell that it is no sum over them."""
    scores = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))

    def product(factors: Tensor) -> Tensor:
        one, other = (scores * factors).T
        return torch.stack([one, one * other], dim=1)

    assert parts_along(("a", "b"), [torch.eye(2)], product) is None
    assert parts_along(("a", "b"), [torch.eye(2)], lambda factors: scores * factors) is not None
    assert parts_along(("a", "b"), [torch.eye(3)[:, :2]], lambda factors: scores * factors) is None


@pytest.mark.parametrize("model", ["BPR", "LightGCN"])
def test_the_model_is_as_it_was(model: str, folder: Path) -> None:
    world = world_of(model, folder)
    before, numbers = copied_state(world.model), torch.get_rng_state()
    world.model.train()
    rows = vectors_of(world)()
    attribute_parts(world.model, vectors_of(world))
    assert torch.equal(vectors_of(world)(), rows)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert world.model.training
    after = copied_state(world.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())

    def broken() -> Tensor:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        attribute_parts(world.model, broken)
    assert torch.equal(vectors_of(world)(), rows)
