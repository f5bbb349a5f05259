"""Tables of models that burnish has never seen: by their names, and by what their authors declare."""

from __future__ import annotations

import pytest
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.general_recommender import BPR, MultiVAE
from recbole.utils import InputType
from torch import nn

from burnish.enhancers.anatomy.describe import describe
from burnish.enhancers.anatomy.find import _named, find_tables
from burnish.enhancers.anatomy.numbers import Numbers
from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.world import build_world
from burnish.errors import ConfigurationError, UnknownNameError

UNEQUAL = Numbers(41, 61, 66, "user_id", "item_id", sequential=False)
EQUAL = Numbers(41, 41, 46, "user_id", "item_id", sequential=False)
SEQUENTIAL = Numbers(41, 41, None, "user_id", "item_id", sequential=True)


@pytest.mark.parametrize(
    ("name", "rows", "numbers", "found"),
    [
        ("user_embedding.weight", 41, EQUAL, [("user", 0)]),
        ("item_embedding.weight", 41, EQUAL, [("item", 0)]),
        ("tower.userFactors", 41, EQUAL, [("user", 0)]),
        ("user_tower.item_embedding.weight", 61, UNEQUAL, [("item", 0)]),  # the innermost name counts
        ("item_tower.embedding.weight", 41, EQUAL, [("item", 0)]),
        ("u_emb.weight", 41, EQUAL, [("user", 0)]),
        ("iid.weight", 41, EQUAL, [("item", 0)]),
        ("item_embedding.weight", 62, UNEQUAL, [("item", 0)]),  # a mask token
        ("user_embedding.weight", 43, UNEQUAL, [("user", 0)]),
        ("entity_embedding.weight", 66, UNEQUAL, [("item", 0)]),
        ("entity_embedding.weight", 46, EQUAL, [("item", 0)]),
        ("user_item_embedding.weight", 82, EQUAL, [("user", 0), ("item", 41)]),
        ("user_entity_embedding.weight", 107, UNEQUAL, [("user", 0), ("item", 41)]),
        ("embedding.weight", 102, UNEQUAL, [("user", 0), ("item", 41)]),
        ("embedding.weight", 61, UNEQUAL, [("item", 0)]),
        ("factors.weight", 41, UNEQUAL, [("user", 0)]),
        ("embedding.weight", 41, EQUAL, []),  # users or items: nothing says which
        ("embedding.weight", 41, SEQUENTIAL, [("item", 0)]),
        ("user_embedding.weight", 61, UNEQUAL, []),  # says users, and holds another number of rows
        ("item_embedding.weight", 41, UNEQUAL, []),
        ("occupation.weight", 50, UNEQUAL, []),
        ("position_embedding.weight", 61, UNEQUAL, []),
        ("item_pos_embedding.weight", 61, UNEQUAL, []),
        ("item_category_embedding.weight", 61, UNEQUAL, []),
        ("relation_embedding.weight", 41, UNEQUAL, []),
        ("prototypes.weight", 61, UNEQUAL, []),
        ("layer.token_seq_embedding_table.item.0.weight", 61, UNEQUAL, []),
    ],
)
def test_names(name, rows, numbers, found):
    assert _named(name, rows, True, numbers) == found


def test_a_matrix_without_a_name_that_is_no_embedding_is_no_table():
    assert _named("gnn.w_ih", 41, False, UNEQUAL) == []
    assert _named("user_factors", 41, False, UNEQUAL) == [("user", 0)]


def find(model, numbers=UNEQUAL):
    return [(t.name, t.side, t.first, t.count, t.width, t.transposed) for t in find_tables(model, numbers)]


class Strange(nn.Module):
    """A model whose names say nothing, or the wrong thing."""

    def __init__(self):
        super().__init__()
        self.left = nn.Embedding(200, 4)
        self.item_lookup = nn.Embedding(41, 4)
        self.scores = nn.Linear(61, 4)


def test_a_declaration_is_what_counts():
    class Declared(Strange):
        burnish_tables = (
            ("left.weight", "item", 100),
            ("left.weight", "user", 7),
            ("item_lookup.weight", "user"),
            ("scores.weight", "item columns"),
        )

    assert find(Declared()) == [
        ("left.weight", "user", 7, 41, 4, False),
        ("left.weight", "item", 100, 61, 4, False),
        ("item_lookup.weight", "user", 0, 41, 4, False),
        ("scores.weight", "item", 0, 61, 4, True),
    ]
    assert find(Strange()) == []


def test_a_declaration_may_be_a_method_and_may_be_empty():
    class Method(Strange):
        def burnish_tables(self):
            return [("left.weight", "item", self.left.num_embeddings - 61)]

    class Nothing(Strange):
        burnish_tables = ()

    assert find(Method()) == [("left.weight", "item", 139, 61, 4, False)]
    assert find(Nothing()) == []


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        (
            ("lefft.weight", "user"),
            UnknownNameError,
            r"'lefft.weight' is not known. Did you mean 'left.weight'",
        ),
        (("left.weight", "users"), ConfigurationError, r"Strange.*give 'user', 'item'"),
        (("left.weight",), ConfigurationError, r"give \(parameter name, side\)"),
        ("left.weight", ConfigurationError, r"give \(parameter name, side\)"),
        (
            ("item_lookup.weight", "item"),
            ConfigurationError,
            r"shape \(41, 4\), and 61 items from 0 on do not fit",
        ),
        (("left.weight", "user", 160), ConfigurationError, "41 users from 160 on do not fit its rows"),
        (("left.weight", "user", -1), ConfigurationError, "from -1 on do not fit"),
        (("scores.bias", "user"), ConfigurationError, "do not fit"),
        (("scores.weight", "user columns", 30), ConfigurationError, "do not fit its columns"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(entry, error, message):
    model = Strange()
    model.burnish_tables = [entry]
    with pytest.raises(error, match=message):
        find(model)


def test_tables_of_one_parameter_may_not_overlap():
    model = Strange()
    model.burnish_tables = [("left.weight", "item", 0), ("left.weight", "user", 60)]
    with pytest.raises(ConfigurationError, match="overlaps another table"):
        find(model)


class Unheard(GeneralRecommender):
    """A third party's model: one matrix for everybody, in an order of its own."""

    input_type = InputType.PAIRWISE
    burnish_tables = (("everybody.weight", "item", 1), ("everybody.weight", "user", 62))

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.everybody = nn.Embedding(1 + self.n_items + self.n_users, 6)

    def both(self, users, items):
        return self.everybody(users + 1 + self.n_items), self.everybody(items + 1)

    def calculate_loss(self, interaction):
        users, good = self.both(interaction[self.USER_ID], interaction[self.ITEM_ID])
        bad = self.everybody(interaction[self.NEG_ITEM_ID] + 1)
        return -torch.nn.functional.logsigmoid((users * (good - bad)).sum(1)).mean()

    def predict(self, interaction):
        users, items = self.both(interaction[self.USER_ID], interaction[self.ITEM_ID])
        return (users * items).sum(1)


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path)
    return tmp_path


def test_a_declared_model_can_be_enhanced(folder, tmp_path):
    torch.set_num_threads(1)
    (tmp_path / "empty.yaml").write_text("")
    world = build_world("BPR", folder)
    enhanced = enhance(Unheard, "rvrec")(world.config, world.train._dataset)
    plain = Unheard(world.config, world.train._dataset)
    plain.load_state_dict({name: enhanced.state_dict()[name] for name in plain.state_dict()})
    batch = world.batch()
    assert torch.equal(plain.predict(batch), enhanced.predict(batch))
    enhanced.calculate_loss(batch).backward()
    for network in enhanced.enhancers["rvrec"].networks.values():
        assert bool(network.shift[-1].weight.grad.abs().sum() > 0)
    assert [(u.first, i.first) for u, i in enhanced.enhancers.anatomy.pairs] == [(62, 1)]


def test_classes_derived_from_recboles_keep_its_rules_and_may_add_tables(folder):
    class Wider(MultiVAE):
        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            self.item_bonus = nn.Embedding(self.n_items, 3)

    class Deeper(BPR):
        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            self.user_second = nn.Embedding(self.n_users, 5)

    vae, bpr = build_world("MultiVAE", folder), build_world("BPR", folder)
    for cls, world, names in (
        (Wider, vae, ["encoder.0.weight", "decoder.2.weight", "item_bonus.weight"]),
        (Deeper, bpr, ["user_embedding.weight", "item_embedding.weight", "user_second.weight"]),
    ):
        model = cls(world.config, world.train._dataset)
        tables = describe(model, world.config, world.train._dataset).tables
        assert [table.name for table in tables] == names
