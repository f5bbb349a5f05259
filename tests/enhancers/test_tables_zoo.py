"""Reading refined tables in every model: the same as a plain model whose tables hold the refined rows."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
import zoo_tables
from torch import Tensor, nn
from zoo_worlds import batch_of, build

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.subject import loss_of, scores
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.randomness import forked_randomness

MODELS = sorted(set(zoo_tables.EXPECTED) - {"LR"})


class Tilt(Enhancer[EnhancerConfig]):
    """Rows times a learned number, plus a little that depends on the id and the side."""

    name = "tilt"

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.factor = nn.Parameter(torch.tensor(1.25))

    def refines(self, table: Any) -> bool:
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        return rows * self.factor + tilt(ids, table.side)


def tilt(ids: Tensor, side: str) -> Tensor:
    return (torch.sin(ids.float()) * (0.02 if side == "user" else 0.03)).unsqueeze(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    write_data(folder)
    return folder


@torch.no_grad()
def write_tilted(model, tables):
    """The tables of a plain model, written as `Tilt` would refine them."""
    for table in tables:
        owner = model.get_submodule(table.name.rpartition(".")[0])
        stored = owner._parameters[table.parameter]
        rows = stored.t() if table.transposed else stored
        ids = torch.arange(1, table.count)
        mine = rows[table.first + 1 : table.first + table.count]
        mine.copy_(mine * 1.25 + tilt(ids, table.side))


@pytest.mark.parametrize("model", MODELS)
def test_scores_and_loss_are_those_of_a_plain_model_with_refined_rows(model, folder):
    plain, enhanced = build(model, folder), build(enhance(model, Tilt()), folder)
    write_tilted(plain.model, enhanced.model.enhancers.anatomy.tables)
    wanted, got = scores(plain), scores(enhanced)
    assert wanted.keys() == got.keys()
    for name, one in wanted.items():
        torch.testing.assert_close(got[name], one, rtol=1e-4, atol=1e-5)
    losses = []
    for world in (plain, enhanced):
        batch = batch_of(world)
        world.model.train()
        with forked_randomness(5, torch.device("cpu")):
            losses.append(loss_of(world.model, batch).sum())
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_lookup_is_the_row_of_the_whole_table(model, folder):
    world = build(enhance(model, Tilt()), folder)
    state = world.model.enhancers.state
    for table in world.model.enhancers.anatomy.tables:
        refinement = state.refinements[table.name]
        whole = refinement.whole()
        whole = whole.t() if table.transposed else whole
        assert whole.shape[1] == table.width
        refinement.forget()
        ids = torch.tensor([[3, 0], [table.count - 1, 3]])
        rows = state.refined(table, ids)
        torch.testing.assert_close(rows, whole[table.first + ids])
        if isinstance(table.owner, nn.Embedding):
            torch.testing.assert_close(table.owner(table.first + ids), whole[table.first + ids])
        assert torch.equal(rows[0, 1], table.raw()[0])  # padding
        inside = set()
        for other in world.model.enhancers.anatomy.tables:
            if other.name == table.name:
                inside |= set(range(other.first, other.first + other.count))
        raw = table.stored.t() if table.transposed else table.stored
        others = [row for row in range(len(raw)) if row not in inside]
        assert torch.equal(whole[others], raw[others])


@pytest.mark.parametrize("model", ["BPR", "FM", "GCMC", "MultiVAE", "DMF", "KGAT"])
def test_gradients_are_those_of_refining_by_hand(model, folder):
    """Backward through a lookup, a whole read and a transposed read: d/d raw is 1.25 where a row is read."""
    world = build(enhance(model, Tilt()), folder)
    for table in world.model.enhancers.anatomy.tables:
        world.model.zero_grad()
        ids = torch.tensor([2, 5, 5, 0])
        world.model.enhancers.state.refined(table, ids).sum().backward()
        grad = table.stored.grad.t() if table.transposed else table.stored.grad
        wanted = torch.zeros_like(grad)
        wanted[table.first + 2] += 1.25
        wanted[table.first + 5] += 2.5
        wanted[table.first] += 1.0
        torch.testing.assert_close(grad, wanted)
        factor = world.model.enhancers["tilt"].factor
        torch.testing.assert_close(factor.grad, table.raw()[torch.tensor([2, 5, 5])].sum())


def test_a_table_that_comes_back_unchanged_is_read_as_it_is_stored(folder):
    class Same(Tilt):
        name = "same"

        def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
            return rows

    world = build(enhance("BPR", Same()), folder)
    embedding = world.model.item_embedding
    assert embedding.weight is embedding._parameters["weight"]


@pytest.mark.parametrize("change", ["write", "replace", "enhancer", "load"])
def test_evaluation_notices_changed_parameters(change, folder):
    world = build(enhance("LightGCN", Tilt()), folder)
    world.model.eval()
    with torch.no_grad():
        before = world.model.item_embedding.weight
        assert world.model.item_embedding.weight is before  # kept while nothing changes
        stored = world.model.item_embedding._parameters["weight"]
        if change == "write":
            stored.add_(1.0)
        elif change == "replace":
            stored.data = stored.data + 1.0
        elif change == "enhancer":
            world.model.enhancers["tilt"].factor.add_(1.0)
        else:
            world.model.load_state_dict(
                {name: value + 1.0 for name, value in world.model.state_dict().items()}
            )
        after = world.model.item_embedding.weight
        assert not torch.allclose(before[1:], after[1:])


def test_the_old_encoder_of_recvae_is_the_refined_one(folder):
    """Its prior compares with the encoder of the last epoch as that one was read."""
    world = build(enhance("RecVAE", Tilt()), folder)
    world.model.update_prior()
    old = world.model.prior.encoder_old
    assert torch.equal(old.fc1.weight, world.model.encoder.fc1.weight)
    assert not torch.equal(old.fc1.weight, world.model.encoder.fc1._parameters["weight"])
    assert torch.equal(old.fc2.weight, world.model.encoder.fc2.weight)


@pytest.mark.parametrize("model", MODELS)
def test_owners_of_refined_tables_pickle(model, folder):
    """RecBole puts whole modules of some models (DIN, FDSA) into its checkpoints."""
    world = build(enhance(model, "rvrec"), folder)
    for table in world.model.enhancers.anatomy.tables:
        loaded = pickle.loads(pickle.dumps(table.owner))
        assert type(loaded) is type(table.owner)
        read, wanted = getattr(loaded, table.parameter), getattr(table.owner, table.parameter)
        assert torch.equal(read, wanted)


def test_lr_takes_what_needs_no_table(folder):
    class Constant(Enhancer[EnhancerConfig]):
        name = "constant"

        def loss(self, batch: Any) -> dict[str, Tensor]:
            return {"constant": torch.full((len(batch),), 0.5)}

    plain, world = build("LR", folder), build(enhance("LR", Constant()), folder)
    batch = plain.batch()
    torch.testing.assert_close(world.model.calculate_loss(batch), plain.model.calculate_loss(batch) + 0.5)
