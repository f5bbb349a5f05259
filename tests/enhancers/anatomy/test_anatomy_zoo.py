"""The tables of every RecBole model with learnable ones, against a list written by hand from the models' sources."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
import torch
from zoo_tables import EXPECTED, OTHER_ITEMS, OTHER_USERS

from burnish.enhancers.anatomy.describe import describe
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.world import build_world
from burnish.randomness import forked_randomness


def expected(model, n_users, n_items):
    spans = set()
    for entry in filter(None, EXPECTED[model].split(" | ")):
        module, side, width = entry.split()
        side, first, columns = re.fullmatch(r"(user|item)(?:@(\d+))?(T?)", side).groups()
        count = n_users if side == "user" else n_items
        name = module if module.startswith("GcEncoder") else f"{module}.weight"
        spans.add((name, side, int(first or 0), count, int(width), bool(columns)))
    return spans


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    unequal, equal = tmp_path_factory.mktemp("unequal"), tmp_path_factory.mktemp("equal")
    write_data(unequal, n_users=40, n_items=60)
    write_data(equal, n_users=40, n_items=40)
    return {60: unequal, 40: equal}


def build(model, folder, options=None):
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        return build_world(model, folder, options=options)


def test_the_list_has_every_model_with_learnable_tables():
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.utils import ModelType

    from burnish.enhancers.zoo import OUTSIDE, find_backbone, list_backbones

    trained = set()
    for name, category in list_backbones().items():
        if category not in (*OUTSIDE, "exlib"):
            cls = find_backbone(name)
            assert issubclass(cls, AbstractRecommender)
            if cls.type is not ModelType.TRADITIONAL:
                trained.add(name)
    assert trained - {"NCEPLRec"} == set(EXPECTED)  # NCEPLRec is solved in closed form
    assert len(EXPECTED) == 84


@pytest.mark.parametrize("items", [60, 40], ids=["unequal", "equal"])
@pytest.mark.parametrize("model", sorted(EXPECTED))
def test_tables_are_those_of_the_list(model, items, folders):
    world = build(model, folders[items])
    anatomy = describe(world.model, world.config, world.train._dataset)
    spans = [(t.name, t.side, t.first, t.count, t.width, t.transposed) for t in anatomy.tables]
    assert len(spans) == len(set(spans))
    assert set(spans) == expected(model, 41, items + 1)
    for table in anatomy.tables:
        assert table.raw().shape == (table.count, table.width)
    names = list(dict(world.model.named_parameters()))
    assert [names.index(t.name) for t in anatomy.tables] == sorted(
        names.index(t.name) for t in anatomy.tables
    )


@pytest.mark.parametrize(
    ("model", "users"),
    [
        *((model, 41) for model in ("BERT4Rec", "S3Rec", "SASRec")),  # as many users as items with a mask
        *(
            (model, 45) for model in ("CFKG", "CKE", "KGAT", "KGCN", "KTUP", "MKR", "RippleNet")
        ),  # as entities
    ],
)
def test_other_numbers_that_agree_by_chance(model, users, tmp_path):
    write_data(tmp_path, n_users=users, n_items=40)
    world = build(model, tmp_path)
    rows = world.model.n_entities if hasattr(world.model, "n_entities") else 42
    assert rows == users + 1
    anatomy = describe(world.model, world.config, world.train._dataset)
    spans = {(t.name, t.side, t.first, t.count, t.width, t.transposed) for t in anatomy.tables}
    assert spans == expected(model, users + 1, 41)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("MultiVAE", {"mlp_hidden_size": [61]}),  # layers from items to as many hidden numbers, and back
        ("MultiDAE", {"mlp_hidden_size": [61]}),
        ("MultiVAE", {"mlp_hidden_size": [24, 61]}),
        ("CDAE", {"embedding_size": 61}),
        ("RecVAE", {"hidden_dimension": 61}),
        ("MacridVAE", {"encoder_hidden_size": [61, 61]}),
        ("DiffRec", {"dims_dnn": [61]}),
        ("SASRec", {"hidden_size": 61, "n_heads": 1, "inner_size": 61, "MAX_ITEM_LIST_LENGTH": 61}),
        ("GRU4Rec", {"hidden_size": 61, "embedding_size": 61}),
        ("NeuMF", {"mlp_hidden_size": [61, 41]}),
    ],
)
def test_layers_as_wide_as_there_are_items_are_no_tables(model, options, folders):
    """The same parameters are found as with narrow layers, wherever these are in the longer stack."""
    narrow, wide = build(model, folders[60]), build(model, folders[60], options)
    spans = []
    for world in (narrow, wide):
        tables = describe(world.model, world.config, world.train._dataset).tables
        spans.append([(re.sub(r"\d+", "#", t.name), t.side, t.first, t.count, t.transposed) for t in tables])
    assert spans[0] == spans[1]
    if model in ("MultiVAE", "MultiDAE"):
        layers = [name for name, module in wide.model.named_modules() if isinstance(module, torch.nn.Linear)]
        assert [table.name for table in tables] == [f"{layers[0]}.weight", f"{layers[-1]}.weight"]


# ---------------------------------------------------------------------- what the loss says


def one_user(world):
    """Two rows or more of a batch, all of one user whose id is not among the item ids of these rows."""
    from recbole.utils import KGDataLoaderState

    if hasattr(world.train, "set_mode"):
        world.train.set_mode(KGDataLoaderState.RSKG)
    batch = world.batch()
    for user in range(1, 41):
        shortest = min(len(batch[column]) for column in batch.columns)  # triples of a graph may be fewer
        rows = (batch["user_id"][:shortest] == user).nonzero().flatten()
        if len(rows) == 0:
            continue
        own = batch[rows.repeat(2)[: max(2, len(rows))]]  # some models squeeze a single row
        if user not in items_of(world, own):
            return own
    raise AssertionError("every user id is also an item id of its rows")


def items_of(world, batch):
    """Item ids that rows of one user are about: own, negative, in sequences or their history, entities beside them."""
    names = ("item_id", "head_id", "tail_id")
    ids = set()
    for column in batch.columns:
        if any(name in column.lower() for name in names) or column in ("Pos_item_id", "Neg_item_id"):
            ids |= set(batch[column].flatten().tolist())
    feat = world.train._dataset.inter_feat
    ids |= set(feat["item_id"][feat["user_id"] == batch["user_id"][0]].tolist())
    return ids - {0}


def users_of(world, items):
    """Users who have any of these items."""
    feat = world.train._dataset.inter_feat
    return set(feat["user_id"][torch.isin(feat["item_id"], torch.tensor(sorted(items)))].tolist())


def loss_of(world, batch):
    model = world.model.eval()
    if type(model).__name__ == "SGL":
        model.graph_construction()
    if type(model).__name__ == "NCL":
        model.e_step()
    loss = getattr(model, "calculate_rs_loss", model.calculate_loss)
    extra = {"encoder_flag": True} if type(model).__name__ == "RecVAE" else {}
    total = torch.zeros(())
    for seed in range(4):  # LINE draws which of its tables a batch trains
        with forked_randomness(seed, torch.device("cpu")):
            value = loss(batch, **extra)
        total = total + (sum(value) if isinstance(value, tuple) else value).sum()
    return total


@pytest.mark.parametrize("model", sorted(set(EXPECTED) - {"LR"}))
def test_the_loss_of_an_interaction_moves_the_rows_of_its_user_and_items(model, folders):
    """With as many users as items, so that a table with its sides confused has gradients at the wrong rows."""
    world = build(model, folders[40])
    tables = describe(world.model, world.config, world.train._dataset).tables
    batch = one_user(world)
    about = {"user": {int(batch["user_id"][0])}, "item": items_of(world, batch)}
    world.model.requires_grad_(True)  # KSR keeps its vectors of entities as they are
    loss_of(world, batch).backward()
    for table in tables:
        grad = table.stored.grad
        assert grad is not None, table.key
        rows = (grad.t() if table.transposed else grad)[table.first : table.first + table.count]
        moved = set((rows.abs().sum(1) > 0).nonzero().flatten().tolist()) - {0}
        mine = about[table.side]
        if table.name in ("item_linear.weight", "item_neigh_embedding.weight"):
            mine = users_of(world, about["item"])  # DMF, NNCF: an item is the users who have it
        assert moved & mine, table.key
        if model not in (OTHER_USERS if table.side == "user" else OTHER_ITEMS):
            assert moved <= mine, table.key
