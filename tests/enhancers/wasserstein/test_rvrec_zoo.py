"""RVRec on every model: the plain scores at the start, a finite loss, and gradients everywhere they should be."""

from __future__ import annotations

import pytest
import torch
import zoo_tables
from zoo_worlds import batch_of, build

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.subject import loss_of, scores
from burnish.enhancers.wasserstein.rows import HistoryRows, SequenceRows, TableRows
from burnish.enhancers.wasserstein.rvrec import Euclid2d, RVRec
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

MODELS = sorted(set(zoo_tables.EXPECTED) - {"LR"})
EVERYTHING = {"sample": None, "negatives": None, "guard": 0.0, "temperature": 0.05, "strength": 1.0}

#: Pairs of tables where a model has several of a side, or users are what their items say: written by hand.
PAIRS = {
    "BPR": [("user_embedding.weight", "item_embedding.weight")],
    "NeuMF": [
        ("user_mf_embedding.weight", "item_mf_embedding.weight"),
        ("user_mlp_embedding.weight", "item_mlp_embedding.weight"),
    ],
    "FM": [("token_embedding_table.embedding.weight", "token_embedding_table.embedding.weight[41:]")],
    "FFM": [("ffm.token_embeddings.1.weight", "ffm.token_embeddings.0.weight[41:]")],
    "GCMC": [("GcEncoder.weights_u.0", "GcEncoder.weights_u.0[41:]")],
    "DMF": [("item_linear.weight", "user_linear.weight")],
    "LINE": [("user_embedding.weight", "item_embedding.weight")],
    "NNCF": [("user_embedding.weight", "item_embedding.weight")],
    "CDAE": [("h_user.weight", "out_layer.weight")],
    "FISM": [("item_src_embedding.weight", "item_dst_embedding.weight")],
    "MultiVAE": [("encoder.0.weight", "decoder.2.weight")],
    "RecVAE": [("encoder.fc1.weight", "decoder.weight")],
    "CKE": [("user_embedding.weight", "item_embedding.weight")],
    "KGAT": [("user_embedding.weight", "entity_embedding.weight")],
    "MKR": [("user_embeddings_lookup.weight", "item_embeddings_lookup.weight")],
    "RippleNet": [("entity_embedding.weight", "entity_embedding.weight")],
    "FPMC": [("UI_emb.weight", "IU_emb.weight")],
    "HGN": [("user_embedding.weight", "item_embedding_for_prediction.weight")],
    "FOSSIL": [("item_embedding.weight", "item_embedding.weight")],
    "TransRec": [("item_embedding.weight", "item_embedding.weight")],
    "RepeatNet": [("item_matrix.weight", "item_matrix.weight")],
    "SASRec": [("item_embedding.weight", "item_embedding.weight")],
    "GRU4RecKG": [("item_embedding.weight", "item_embedding.weight")],
    "DIN": [
        ("embedding_layer.token_embedding_table.item.embedding.weight",) * 2,
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    write_data(folder)
    return folder


@pytest.mark.parametrize("model", MODELS)
def test_scores_at_the_start_are_the_plain_ones(model, folder):
    plain, enhanced = scores(build(model, folder)), scores(build(enhance(model, "rvrec"), folder))
    assert plain.keys() == enhanced.keys()
    for name, one in plain.items():
        assert torch.equal(one, enhanced[name]), name


@pytest.mark.parametrize("enhancer", [RVRec, Euclid2d])
@pytest.mark.parametrize("model", MODELS)
def test_training_moves_every_parameter_of_networks_and_tables(model, enhancer, folder):
    world = build(enhance(model, enhancer()), folder)
    own = world.model.enhancers[enhancer.name]
    before = {name: value.detach().clone() for name, value in world.model.named_parameters()}
    tables = {table.name for table in world.model.enhancers.anatomy.tables if not table.frozen}
    optimizer = torch.optim.SGD(world.model.parameters(), lr=1e-3)
    batch = batch_of(world)
    world.model.train()
    for step in range(4):
        optimizer.zero_grad()
        with forked_randomness(step, torch.device("cpu")):
            loss = loss_of(world.model, batch).sum()
        assert bool(torch.isfinite(loss))
        loss.backward()
        if step == 0:
            for user_rows, item_rows in own._pairs:
                for source in (user_rows, item_rows):
                    network = getattr(source, "items", source).network
                    assert bool(network.widen[-1].weight.grad.abs().sum() > 0)
                    assert bool(network.shift[-1].weight.grad.abs().sum() > 0)
        for parameter in world.model.parameters():  # normalised, so that small gradients show in float32
            if parameter.grad is not None:
                parameter.grad /= (step + 1) * parameter.grad.abs().max().clamp(min=1e-30)
        optimizer.step()
    now = dict(world.model.named_parameters())
    prefix = f"enhancers.attached.{enhancer.name}."
    still = [
        name
        for name, value in now.items()
        if (name in tables or (name.startswith(prefix) and value.requires_grad))
        and torch.equal(value, before[name])
    ]
    assert still == []


@pytest.mark.parametrize("model", sorted(PAIRS))
def test_pairs_are_those_that_score(model, folder):
    world = build(enhance(model, "rvrec"), folder)
    assert [(u.key, i.key) for u, i in world.model.enhancers.anatomy.pairs] == PAIRS[model]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("BPR", TableRows),
        ("CDAE", TableRows),
        ("FISM", HistoryRows),
        ("MultiVAE", HistoryRows),
        ("RippleNet", HistoryRows),
        ("SASRec", SequenceRows),
        ("TransRec", SequenceRows),
        ("DIN", SequenceRows),
    ],
)
def test_where_users_come_from(model, kind, folder):
    world = build(enhance(model, "rvrec"), folder)
    assert [type(users) for users, _ in world.model.enhancers["rvrec"]._pairs] == [kind]


def test_a_model_with_nothing_but_biases_is_refused(folder):
    with pytest.raises(UnsupportedError, match=r"'rvrec' needs item embeddings, and LR has no table"):
        build(enhance("LR", "rvrec"), folder)


# ---------------------------------------------------------------------- what a user is, by hand


def stir(world):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in world.model.enhancers.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def training_items(world):
    feat = world.train._dataset.inter_feat
    found: dict[int, set[int]] = {}
    for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
        found.setdefault(user, set()).add(item)
    return found


def test_without_rows_a_user_is_the_barycentre_of_her_other_items(folder):
    world = build(enhance("FISM", RVRec(**EVERYTHING)), folder)
    stir(world)
    enhancer = world.model.enhancers["rvrec"]
    users, _ = enhancer._pairs[0]
    batch = batch_of(world)[torch.arange(30)]
    mean, spread = users.of_batch(batch)
    known = training_items(world)
    network, table = users.items.network, users.items.table
    for b in range(len(batch)):
        others = sorted(known[int(batch["user_id"][b])] - {int(batch["item_id"][b])})
        wanted = network(table.raw()[torch.tensor(others)])
        torch.testing.assert_close(mean[b], wanted[0].mean(0), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(spread[b], wanted[1].mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", ["MultiVAE", "LDiffRec", "CDAE"])
def test_loss_of_a_batch_of_users_is_the_formula(model, folder):
    """Positives drawn from each user's items; equal widths, unequal ones, and a table of users."""
    world = build(enhance(model, RVRec(**EVERYTHING, direction="user")), folder)
    stir(world)
    enhancer = world.model.enhancers["rvrec"]
    batch = batch_of(world)
    assert "item_id" not in batch
    state = world.model.enhancers.state
    state.step = 1
    rows = enhancer.loss(batch)["contrast"]
    state.step = 2
    state.generator(torch.device("cpu"))
    state.step = 1  # the same step once more draws the same items
    columns, positive, counted, weights = enhancer._columns(batch)
    assert positive is None  # a user's own items are drawn
    assert weights is None  # nobody weighs here
    users, items = columns["user_id"].tolist(), columns["item_id"].tolist()
    known = training_items(world)
    assert all(item in known[user] for user, item in zip(users, items, strict=True) if user)
    (user_rows, item_rows) = enhancer._pairs[0]
    left = [t.double() for t in user_rows.of_batch(columns)]
    right = torch.cat([t.double() for t in item_rows.of_batch(columns)], 1)
    if model == "LDiffRec":
        matrix = enhancer.projections["0"].weight.double()
        covariance = [matrix @ torch.diag(s.square()) @ matrix.t() for s in left[1]]
        left = [left[0] @ matrix.t(), torch.stack([c.diagonal().sqrt() for c in covariance])]
    left = torch.cat(left, 1)
    active = [u for u in range(1, 41) if known.get(u)]
    chance = {
        item: sum((item in known[u]) / len(known[u]) for u in active) / len(active)
        for item in set(items) - {0}
    }
    scale = float(enhancer.log_scale.detach().double().exp())
    wanted = []
    for b, (user, item) in enumerate(zip(users, items, strict=True)):
        others = [k for k, other in enumerate(items) if other and other not in known.get(user, ())]
        if not user or not (known[user] - {item}):
            wanted.append(torch.zeros((), dtype=torch.double))
            continue
        own = -scale * (left[b] - right[b]).square().sum() - torch.tensor(chance[item]).log()
        terms = [
            -scale * (left[b] - right[k]).square().sum() - torch.tensor(chance[items[k]]).log()
            for k in others
        ]
        wanted.append(torch.logsumexp(torch.stack([own, *terms]), 0) - own)
    share = sum(1.0 for user in users if user and known.get(user)) / len(users)
    torch.testing.assert_close(rows.double(), torch.stack(wanted) / share, rtol=2e-4, atol=1e-4)
    assert float(rows[users.index(0)]) == 0.0
    assert counted.tolist() == [bool(user) for user in users]


def test_triples_beside_the_interactions_do_not_count(folder):
    """The last batch of an epoch has fewer interactions than triples."""
    world = build(enhance("CKE", RVRec(sample=16, negatives=8)), folder)
    batch = batch_of(world)
    short = {name: batch[name][:5] for name in ("user_id", "item_id", "neg_item_id")}
    mixed = type(batch)({**{name: batch[name] for name in ("head_id", "tail_id")}, **short})
    assert len(mixed) > 5
    enhancer = world.model.enhancers["rvrec"]
    alone = type(batch)(short)
    assert torch.equal(enhancer.loss(mixed)["contrast"], enhancer.loss(alone)["contrast"])


def test_full_covariance_is_refused_where_users_are_their_items_or_widths_differ(folder):
    with pytest.raises(UnsupportedError, match=r"'full' needs a table of users.*FISM.*diagonal"):
        build(enhance("FISM", RVRec(covariance="full", experimental=True)), folder)
