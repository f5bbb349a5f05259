"""RVRec on real backbones: its loss against a float64 loop, what it sees of the data, and its options."""

from __future__ import annotations

import math

import pytest
import torch

from burnish.enhancers.attach import enhance
from burnish.enhancers.wasserstein.rvrec import Euclid2d, RVRec
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError

EVERYTHING = {"sample": None, "negatives": None, "guard": 0.5, "temperature": 0.05, "strength": 1.0}


def training_batch(enhanced, n=12):
    return next(iter(enhanced.train))[torch.arange(n)]


def stir(enhanced):
    """Move every parameter of the enhancers, so that means differ from embeddings."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in enhanced.model.enhancers.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def train_pairs(enhanced):
    feat = enhanced.train._dataset.inter_feat
    return set(zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True))


def loop_loss(users, items, left, right, known, scale, share_user, share_item):
    """methods 1.3, item 3, written as loops: rows of -log softmax over [own positive, unknown others]."""

    def distance(a, b):
        return sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))

    rows = []
    for b, (user, item) in enumerate(zip(users, items, strict=True)):
        total = 0.0
        own = -scale * distance(left[b], right[b])
        terms = [math.exp(own - math.log(share_item[item]))]
        for k, other in enumerate(items):
            if (user, other) not in known:
                terms.append(math.exp(-scale * distance(left[b], right[k]) - math.log(share_item[other])))
        total -= math.log(terms[0] / sum(terms))
        terms = [math.exp(own - math.log(share_user[user]))]
        for k, other in enumerate(users):
            if (other, item) not in known:
                terms.append(math.exp(-scale * distance(left[k], right[b]) - math.log(share_user[other])))
        total -= math.log(terms[0] / sum(terms))
        rows.append(total / 2)
    return rows


def shares(enhanced, field):
    ids = enhanced.train._dataset.inter_feat[field].tolist()
    return {i: ids.count(i) / len(ids) for i in set(ids)}


def test_loss_is_the_formula(world):
    enhanced = world(enhance("BPR", RVRec(**EVERYTHING)))
    stir(enhanced)
    batch = training_batch(enhanced)
    users, items = batch["user_id"].tolist(), batch["item_id"].tolist()
    enhancer = enhanced.model.enhancers["rvrec"]
    double = {}
    for table in enhanced.model.enhancers.anatomy.tables:
        network = enhancer.networks[table.name.replace(".", "-")].double()
        ids = batch["user_id"] if table.side == "user" else batch["item_id"]
        double[table.side] = torch.cat(network(table.raw()[ids].double()), dim=1)
        network.float()
    got = enhancer.loss(batch)
    wanted = loop_loss(
        users,
        items,
        double["user"],
        double["item"],
        train_pairs(enhanced),
        float(enhancer.log_scale.detach().double().exp()),
        shares(enhanced, "user_id"),
        shares(enhanced, "item_id"),
    )
    torch.testing.assert_close(got["contrast"].double(), torch.tensor(wanted).double(), rtol=1e-4, atol=1e-5)
    assert set(got) == {"contrast", "guard"}


def test_guard_is_the_divergence(world):
    enhanced = world(enhance("BPR", RVRec(**EVERYTHING)))
    stir(enhanced)
    batch = training_batch(enhanced)
    enhancer = enhanced.model.enhancers["rvrec"]
    wanted = torch.zeros(len(batch))
    feat = enhanced.train._dataset.inter_feat
    for side, table in zip(("user", "item"), enhanced.model.enhancers.anatomy.tables, strict=True):
        network = enhancer.networks[table.name.replace(".", "-")]
        ids = batch[f"{side}_id"]
        counts = torch.bincount(feat[f"{side}_id"], minlength=table.count).float()
        median = counts[counts > 0].median()
        start = table.raw()[1:].var(0, correction=0).mean().sqrt()
        target = torch.distributions.Normal(
            0.0, start * (median / counts[ids].clamp(min=1)).sqrt().unsqueeze(1)
        )
        ours = torch.distributions.Normal(0.0, network.spread(table.raw()[ids]))
        wanted += torch.distributions.kl_divergence(ours, target).mean(1) / 2
    torch.testing.assert_close(enhancer.loss(batch)["guard"], 0.5 * wanted, rtol=1e-4, atol=1e-6)


def test_a_sample_estimates_the_whole_loss(world):
    """Means over many draws of the subsampled loss approach the loss with as many negatives of the whole batch."""
    full = dict(EVERYTHING, log_q=False, mask_known=False, guard=0.0)
    enhanced = world(enhance("BPR", RVRec(**full)))
    drawn = world(enhance("BPR", RVRec(**dict(full, sample=40))))
    for one in (enhanced, drawn):
        stir(one)
    batch = training_batch(enhanced, 64)
    exact = enhanced.model.enhancers["rvrec"].loss(batch)["contrast"].mean().item()
    values = []
    for step in range(60):
        drawn.model.enhancers.state.step = step
        values.append(drawn.model.enhancers["rvrec"].loss(batch)["contrast"].mean().item())
    # 40 negatives instead of 64 lower the log of their sum by about log(64 / 40); the level is compared, not that.
    shift = math.log(64 / 40)
    assert abs(torch.tensor(values).mean().item() + shift - exact) < 0.1
    assert len(set(values)) > 50


def test_strength_is_the_share_of_the_shift(world):
    """Rows go that share of the way that strength 1 would take them, in the table that scores see, too."""
    rows, tables = {}, {}
    for strength in (0.0, 0.3, 1.0):
        enhanced = world(enhance("BPR", RVRec(**dict(EVERYTHING, strength=strength))))
        stir(enhanced)
        host = enhanced.model.enhancers
        table = host.anatomy.of("item")[0]
        ids = torch.arange(table.count)
        rows[strength] = host.state.refined(table, ids).detach()
        tables[strength] = enhanced.model.item_embedding(ids).detach()
    for found in (rows, tables):
        shift = found[1.0] - found[0.0]
        assert shift.abs().mean() > 1e-3
        torch.testing.assert_close(found[0.3], found[0.0] + 0.3 * shift, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("enhancer", [RVRec, Euclid2d])
def test_distances_are_divided_by_the_temperature(world, enhancer):
    """Of two temperatures, the colder one's logits are as many times larger: the loss by hand, from the option."""
    options = {name: value for name, value in EVERYTHING.items() if name != "guard"}
    for temperature in (0.05, 0.4):
        enhanced = world(enhance("BPR", enhancer(**dict(options, temperature=temperature))))
        own = enhanced.model.enhancers[enhancer.name]
        batch = training_batch(enhanced)
        double = {}
        for table in enhanced.model.enhancers.anatomy.tables:
            network = own.networks[table.name.replace(".", "-")].double()
            ids = batch["user_id"] if table.side == "user" else batch["item_id"]
            double[table.side] = torch.cat(network(table.raw()[ids].double()), dim=1)
            network.float()
        wanted = loop_loss(
            batch["user_id"].tolist(),
            batch["item_id"].tolist(),
            double["user"],
            double["item"],
            train_pairs(enhanced),
            1 / temperature,
            shares(enhanced, "user_id"),
            shares(enhanced, "item_id"),
        )
        found = own.loss(batch)["contrast"].double()
        torch.testing.assert_close(found, torch.tensor(wanted).double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sample", [None, 7])
def test_weights_are_those_of_the_rows_that_were_drawn(world, sample):
    """`weighted: true`: an interaction of the sample counts what other enhancers say of it, not of another row."""
    options = dict(EVERYTHING, guard=0.0, sample=sample)
    rows, users = {}, []
    for weighted in (False, True):
        enhanced = world(enhance("BPR", RVRec(**options, weighted=weighted)))
        stir(enhanced)
        batch = training_batch(enhanced, 40)
        own = enhanced.model.enhancers["rvrec"]
        enhanced.model.enhancers.state.weights = 1.0 + batch["user_id"].float()
        columns = own._columns

        def noted(batch, of=columns):
            found = of(batch)
            users.append(found[0]["user_id"])
            return found

        own._columns = noted
        enhanced.model.enhancers.state.step = 3
        rows[weighted] = own.loss(batch)["contrast"].detach()
    assert torch.equal(*users)
    assert len(users[0]) == (sample or 40)
    assert len(set(users[0].tolist())) > 3
    torch.testing.assert_close(rows[True], rows[False] * (1.0 + users[0].float()), rtol=1e-5, atol=1e-6)


def test_sequences_are_barycentres_of_their_items(world):
    enhanced = world(enhance("SASRec", RVRec(**EVERYTHING)))
    stir(enhanced)
    batch = training_batch(enhanced)
    enhancer = enhanced.model.enhancers["rvrec"]
    user_rows, _ = enhancer._pairs[0]
    mean, spread = user_rows.of_batch(batch)
    table = enhanced.model.enhancers.anatomy.tables[0]
    network = enhancer.networks["item_embedding-weight"]
    for b in range(len(batch)):
        history = batch["item_id_list"][b][: int(batch["item_length"][b])]
        wanted = network(table.raw()[history])
        torch.testing.assert_close(mean[b], wanted[0].mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(spread[b], wanted[1].mean(0), rtol=1e-5, atol=1e-6)
    short, short_spread = user_rows._pooled(
        batch["item_id_list"],
        network.mean(table.raw()[batch["item_id_list"]]),
        network.spread(table.raw()[batch["item_id_list"]]),
    )
    torch.testing.assert_close(short, mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(short_spread, spread, rtol=1e-5, atol=1e-6)


def test_items_of_a_history_are_known(world):
    """The first item of a sequence is never a target, and yet no negative."""
    enhanced = world(enhance("SASRec", "rvrec"))
    feat = enhanced.train._dataset.inter_feat
    first = int((feat["item_length"] == 1).nonzero()[0])
    user, item = feat["user_id"][first], feat["item_id_list"][first, 0]
    known = enhanced.model.enhancers["rvrec"].known
    assert bool(known.mask(user.view(1), item.view(1))[0, 0])


def test_validation_and_test_pairs_are_unknown(world):
    enhanced = world(enhance("BPR", "rvrec"))
    known = enhanced.model.enhancers["rvrec"].known
    pairs = train_pairs(enhanced)
    held_out = 0
    for data in (enhanced.valid, enhanced.test):
        feat = data._dataset.inter_feat
        for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
            if (user, item) not in pairs:
                held_out += 1
                assert not bool(known.mask(torch.tensor([user]), torch.tensor([item])))
    assert held_out > 100


def test_only_positives_of_pointwise_batches_count(world):
    enhanced = world(enhance("NeuMF", RVRec(**dict(EVERYTHING, guard=0.0))))
    batch = next(iter(enhanced.train))
    label = batch["label"]
    assert 0 < label.sum() < len(label)
    rows = enhanced.model.enhancers["rvrec"].loss(batch)["contrast"]
    assert bool((rows[label == 0] == 0).all())
    assert bool((rows[label == 1] > 0).all())
    share = label.mean()
    torch.testing.assert_close(rows.mean(), (rows[label == 1] * share).mean())


@pytest.mark.parametrize("backbone", ["LightGCN", "SGL"])
def test_site_output_uses_the_propagation_of_the_step(world, backbone):
    enhanced = world(enhance(backbone, RVRec(site="output", **EVERYTHING)))
    if backbone == "SGL":
        enhanced.model.graph_construction()
    enhanced.model.train().calculate_loss(training_batch(enhanced)).sum().backward()
    enhancer = enhanced.model.enhancers["rvrec"]
    assert not enhancer.bakeable
    assert RVRec().bakeable
    for side in ("user", "item"):
        for part in (enhancer.networks[side].shift, enhancer.networks[side].widen):
            assert part[-1].weight.grad.abs().sum() > 0
    stored = enhanced.model.user_embedding
    assert type(stored).__name__ == "Embedding"
    assert "_burnish_refinement" not in vars(stored)


def test_weight_zero_adds_no_loss_and_strength_zero_no_shift(world):
    plain = world("BPR")
    silent = world(enhance("BPR", RVRec(weight=0.0, strength=0.0)))
    batch = training_batch(plain)
    stir(silent)
    assert torch.equal(plain.model.calculate_loss(batch), silent.model.calculate_loss(batch))


def test_euclid2d_is_the_same_without_gaussians(world):
    enhanced = world(enhance("BPR", "euclid2d"))
    enhancer = enhanced.model.enhancers["euclid2d"]
    stir(enhanced)
    batch = training_batch(enhanced, 200)
    assert set(enhancer.loss(batch)) == {"contrast"}
    network = enhancer.networks["user_embedding-weight"]
    with torch.no_grad():
        network.widen[-1].bias.fill_(-3.0)
    assert bool((network.spread(enhanced.model.enhancers.anatomy.tables[0].raw()) < 0).any())
    rvrec = world(enhance("BPR", "rvrec")).model.enhancers["rvrec"]
    assert [p.shape for p in rvrec.parameters()] == [p.shape for p in enhancer.parameters()]


def test_the_same_seed_gives_the_same_loss(world):
    values = []
    for _ in range(2):
        enhanced = world(enhance("BPR", RVRec(sample=20, negatives=5)))
        enhanced.trainer._train_epoch(enhanced.train, 0)
        values.append(enhanced.model.enhancers["rvrec"].loss(training_batch(enhanced, 100))["contrast"])
    assert torch.equal(values[0], values[1])


def test_bad_options_name_the_field_the_value_and_the_cure():
    with pytest.raises(UnknownNameError, match=r"'negative'.*Did you mean 'negatives'"):
        RVRec(negative=3)
    with pytest.raises(ConfigurationError, match=r"temperature = -1"):
        RVRec(temperature=-1)
    with pytest.raises(ConfigurationError, match=r"similarity = 'cosine'.*squared"):
        RVRec(similarity="cosine")
    with pytest.raises(UnknownNameError, match="'guard' is not known"):
        Euclid2d(guard=0.1)


def test_full_covariance_is_the_formula_with_pots_distance(world):
    import ot

    options = {"sample": None, "negatives": None, "guard": 0.5, "direction": "user", "log_q": False}
    enhanced = world(enhance("BPR", RVRec(covariance="full", experimental=True, **options)))
    stir(enhanced)
    batch = training_batch(enhanced, 6)
    users, items = batch["user_id"].tolist(), batch["item_id"].tolist()
    enhancer = enhanced.model.enhancers["rvrec"]
    got = enhancer.loss(batch)["contrast"]
    gaussians = {}
    for table in enhanced.model.enhancers.anatomy.tables:
        ids = batch[f"{table.side}_id"]
        with torch.no_grad():
            mean, factor = enhancer.networks[table.name.replace(".", "-")](table.raw()[ids])
        factor = factor.double().unflatten(1, (8, 8))
        gaussians[table.side] = [
            (m.double().numpy(), (f @ f.T).numpy()) for m, f in zip(mean, factor, strict=True)
        ]
    known, scale = train_pairs(enhanced), float(enhancer.log_scale.detach().exp())
    wanted = []
    for b, user in enumerate(users):

        def similarity(k, b=b):
            (m, s), (n, t) = gaussians["user"][b], gaussians["item"][k]
            return -scale * ot.gaussian.bures_wasserstein_distance(m, n, s, t) ** 2

        terms = [math.exp(similarity(b))]
        terms += [math.exp(similarity(k)) for k, item in enumerate(items) if (user, item) not in known]
        wanted.append(-math.log(terms[0] / sum(terms)))
    torch.testing.assert_close(got.double(), torch.tensor(wanted).double(), rtol=1e-3, atol=1e-5)
    enhanced.model.calculate_loss(batch).backward()
    head = enhancer.networks["user_embedding-weight"].widen.network[-1]
    assert torch.isfinite(head.weight.grad).all()
    assert head.weight.grad.abs().sum() > 0


def test_full_covariance_refuses_what_it_cannot_do(world):
    with pytest.raises(UnsupportedError, match=r"barycentre.*use covariance 'diagonal'"):
        world(enhance("SASRec", RVRec(covariance="full", experimental=True)))
    enhanced = world(enhance("BPR", RVRec(covariance="full", experimental=True, budget_mib=1)))
    with pytest.raises(ConfigurationError, match="use fewer keys"):
        enhanced.model.calculate_loss(training_batch(enhanced, 500))
