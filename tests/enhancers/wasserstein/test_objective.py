"""`rvrec` and `euclid2d` as the objective: against loops in float64, the softmax of cosines, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.softmax.softmax import Softmax
from burnish.enhancers.wasserstein.options import ContrastConfig, RVRecConfig
from burnish.enhancers.wasserstein.rvrec import Euclid2d, RVRec
from burnish.enhancers.wasserstein.spread_note import rank_correlation, spreads_by_count
from burnish.enhancers.wasserstein.spreads import negative_weights
from burnish.errors import ConfigurationError, UnsupportedError

TAU, USERS = 0.3, (3, 5, 8)
Rows = list[list[float]]


def users_batch(*users: int) -> Interaction:
    return Interaction({"user_id": torch.tensor(users)})


def items_by_user(world: Any) -> dict[int, set[int]]:
    feat = world.train._dataset.inter_feat
    known: dict[int, set[int]] = {}
    for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
        known.setdefault(user, set()).add(item)
    return known


def counts(world: Any, field: str, size: int) -> list[int]:
    ids = world.train._dataset.inter_feat[field].tolist()
    return [ids.count(i) for i in range(size)]


def stir(model: Any) -> None:
    """Move every parameter, so that nothing is equal by chance."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def unit(row: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def means_of(made: Any) -> tuple[Rows, Rows]:
    """Unit means, from stored tables or from what LightGCN propagates."""
    model = made.model
    if hasattr(model, "restore_user_e"):
        users, items = burnish.detach(model).forward()
    else:
        tables = {t.side: t.raw() for t in model.enhancers.anatomy.tables}
        users, items = tables["user"], tables["item"]
    return (
        [unit(row) if any(row) else row for row in users.detach().double().tolist()],
        [unit(row) if any(row) else row for row in items.detach().double().tolist()],
    )


def spreads_of(made: Any, enhancer: Any, width: int) -> dict[str, Rows]:
    """Spreads by the formulas, `[n, d]`: one vector a row."""
    found = {}
    for side in ("user", "item"):
        values = {name: p.detach().double() for name, p in enhancer.spreads[side].named_parameters()}
        if "weight" in values:
            rows = values["weight"].exp() if enhancer.name == "rvrec" else values["weight"]
            found[side] = rows.tolist()
        else:
            start, decay = float(values["log_start"].exp()), float(values["decay"])
            n = counts(made, f"{side}_id", made.model.n_users if side == "user" else made.model.n_items)
            found[side] = [[start * (c + 1) ** -decay] * width for c in n]
    return found


def w2(mean: list[float], spread: list[float], other: list[float], other_spread: list[float]) -> float:
    """The squared 2-Wasserstein distance of diagonal Gaussians."""
    return sum((a - b) ** 2 for a, b in zip(mean, other, strict=True)) + sum(
        (a - b) ** 2 for a, b in zip(spread, other_spread, strict=True)
    )


def geometric(row: list[float]) -> float:
    return math.exp(sum(math.log(x) for x in row) / len(row))


def guard(spread: list[float], n: int, base: float) -> float:
    target = base / math.sqrt(max(n, 1))
    parts = [0.5 * ((s / target) ** 2 - 1) - math.log(s / target) for s in spread]
    return sum(parts) / len(parts)


CASES: list[dict[str, Any]] = [
    {"spread": "free"},
    {"spread": "free", "guard": 0.5},
    {"spread": "free", "similarity": "distance", "guard": 0.0},
    {"spread": "count"},
    {"spread": "count", "similarity": "distance"},
    {"spread": "count", "mask_known": False},
    {"spread": "count", "spread_role": "negatives", "beta": 0.7},
    {"spread": "free", "spread_role": "both", "beta": 0.7, "guard": 0.0},
    {"spread": "count", "spread_role": "length"},
    {"spread": "free", "spread_role": "length", "guard": 0.0},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(f"{k}={v}" for k, v in case.items()))
@pytest.mark.parametrize("backbone", ["BPR", "LightGCN"])
def test_the_objective_is_the_formula(world: Any, backbone: str, case: dict[str, Any]) -> None:
    width = 4
    case = {"spread_role": "distance", **case}
    options = {"objective": True, "temperature": TAU, "initial_spread": 1.0, **case}
    made = world(enhance(backbone, RVRec(**options)), embedding_size=width)
    stir(made.model)
    enhancer, known = made.model.enhancers["rvrec"], items_by_user(made)
    assert enhancer.users_a_batch() == 64
    with made.model.enhancers.step():
        found = enhancer.objective(users_batch(*USERS)).tolist()
    spreads = spreads_of(made, enhancer, width)
    n_by_user = counts(made, "user_id", made.model.n_users)
    n_by_item = counts(made, "item_id", made.model.n_items)
    users, items = means_of(made)
    role = case["spread_role"]
    nothing = [0.0] * width

    def similarity(user: int, item: int) -> float:
        if role == "length":
            product = sum(a * b for a, b in zip(users[user], items[item], strict=True))
            for spread in (spreads["user"][user], spreads["item"][item]):
                product /= math.sqrt(1 + sum(s * s for s in spread))
            return product / TAU
        in_distance = role in ("distance", "both")
        squared = w2(
            users[user],
            spreads["user"][user] if in_distance else nothing,
            items[item],
            spreads["item"][item] if in_distance else nothing,
        )
        return -math.sqrt(squared) / TAU if case.get("similarity") == "distance" else -squared / (2 * TAU)

    weights = [1.0] * len(items)
    if role in ("negatives", "both"):
        weights = [geometric(row) ** -case["beta"] for row in spreads["item"]]
        mean = sum(weights[1:]) / (len(weights) - 1)
        weights = [w / mean for w in weights]
    for user, loss in zip(USERS, found, strict=True):
        mask = known[user] if case.get("mask_known", True) else set()
        others = sum(
            weights[j] * math.exp(similarity(user, j)) for j in range(1, len(items)) if j not in mask
        )
        rows = []
        for item in known[user]:
            own = math.exp(similarity(user, item))
            rows.append(-math.log(own / (own + others)))
        wanted = sum(rows) / len(rows)
        factor = case.get("guard", 0.01) if case["spread"] == "free" else 0.0
        if factor:
            start = 1.0 / math.sqrt(width)
            bases = {
                "user": start * math.sqrt(lower_median(n_by_user)),
                "item": start * math.sqrt(lower_median(n_by_item)),
            }
            of_items = [guard(spreads["item"][i], n_by_item[i], bases["item"]) for i in known[user]]
            own_guard = guard(spreads["user"][user], n_by_user[user], bases["user"])
            wanted += factor * (own_guard + sum(of_items) / len(of_items))
        assert loss == pytest.approx(wanted, rel=2e-4)


def lower_median(n: list[int]) -> float:
    seen = sorted(c for c in n if c > 0)
    return seen[(len(seen) - 1) // 2]


@pytest.mark.parametrize("spread", ["free", "count"])
def test_rows_of_one_user_have_their_mean_loss(world: Any, spread: str) -> None:
    """Batches of interactions, as knowledge models have them, and batches of users."""
    made = world(enhance("BPR", RVRec(objective=True, temperature=TAU, spread=spread)), embedding_size=4)
    stir(made.model)
    enhancer, items = made.model.enhancers["rvrec"], sorted(items_by_user(made)[7])
    rows = Interaction({"user_id": torch.full((len(items),), 7), "item_id": torch.tensor(items)})
    with made.model.enhancers.step():
        torch.testing.assert_close(enhancer.objective(rows).mean(), enhancer.objective(users_batch(7))[0])


def test_euclid2d_is_the_distance_of_plain_points(world: Any) -> None:
    made = world(enhance("BPR", Euclid2d(objective=True, temperature=TAU)), embedding_size=4)
    stir(made.model)
    enhancer, known = made.model.enhancers["euclid2d"], items_by_user(made)
    with made.model.enhancers.step():
        (found,) = enhancer.objective(users_batch(7)).tolist()
    users, items = means_of(made)
    halves = spreads_of(made, enhancer, 4)
    assert min(min(row) for row in halves["item"]) < 0
    similar = [
        math.exp(-w2(users[7], halves["user"][7], item, half) / (2 * TAU))
        for item, half in zip(items, halves["item"], strict=True)
    ]
    others = sum(similar[j] for j in range(1, len(items)) if j not in known[7])
    rows = [-math.log(similar[i] / (similar[i] + others)) for i in known[7]]
    assert found == pytest.approx(sum(rows) / len(rows), rel=1e-4)


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN"])
@pytest.mark.parametrize("spread", ["none", "count", "free"])
def test_equal_spreads_are_the_softmax_of_cosines(world: Any, backbone: str, spread: str) -> None:
    """The same loss, and the same gradients of the means."""
    plain = world(enhance(backbone, Softmax(temperature=TAU)), embedding_size=8)
    gauss = world(
        enhance(
            backbone,
            RVRec(objective=True, temperature=TAU, spread=spread, spread_role="distance", guard=0.0),
        )
        if spread == "free"
        else enhance(backbone, RVRec(objective=True, temperature=TAU, spread=spread, spread_role="distance")),
        embedding_size=8,
    )
    enhancer = gauss.model.enhancers["rvrec"]
    with torch.no_grad():
        for side in enhancer.spreads.values():
            for name, value in (("weight", -1.0), ("decay", 0.0), ("log_start", -1.0)):
                if hasattr(side, name):
                    getattr(side, name).fill_(value)
    ends = []
    for made, name in ((plain, "softmax"), (gauss, "rvrec")):
        with made.model.enhancers.step():
            loss = made.model.enhancers[name].objective(users_batch(*USERS)).mean()
        tables = [t.stored for t in made.model.enhancers.anatomy.tables]
        ends.append((loss, torch.autograd.grad(loss, tables)))
    torch.testing.assert_close(ends[0][0], ends[1][0])
    for one, two in zip(ends[0][1], ends[1][1], strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN"])
@pytest.mark.parametrize("spread", ["free", "count"])
def test_scores_by_distance(world: Any, backbone: str, spread: str) -> None:
    enhancer = RVRec(objective=True, spread=spread, spread_role="distance", score="w2", initial_spread=1.0)
    made = world(enhance(backbone, enhancer), embedding_size=4)
    stir(made.model)
    made.model.eval()
    n = made.model.n_items
    with torch.no_grad():
        whole = made.model.full_sort_predict(users_batch(*USERS)).reshape(len(USERS), n)
        pairs = Interaction(
            {
                "user_id": torch.tensor(USERS).repeat_interleave(n - 1),
                "item_id": torch.arange(1, n).repeat(len(USERS)),
            }
        )
        single = made.model.predict(pairs).reshape(len(USERS), n - 1)
    assert made.model.enhancers.state.scored_users is None
    torch.testing.assert_close(single, whole[:, 1:], rtol=1e-4, atol=1e-5)
    reason = burnish.status(made.model).not_bakeable
    assert reason is not None
    spreads = spreads_of(made, made.model.enhancers["rvrec"], 4)
    users, items = means_of(made)
    for row, user in enumerate(USERS):
        wanted = [-w2(users[user], spreads["user"][user], items[j], spreads["item"][j]) for j in range(1, n)]
        torch.testing.assert_close(
            whole[row, 1:].double(), torch.tensor(wanted).double(), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("spread", ["free", "count"])
def test_what_spreads_take_from_a_score_is_a_reason(world: Any, spread: str) -> None:
    options = {"objective": True, "spread": spread, "spread_role": "distance", "initial_spread": 1.0}
    made = world(enhance("BPR", RVRec(score="w2", **options)), embedding_size=4)
    stir(made.model)
    enhancer = made.model.eval().enhancers["rvrec"]
    spreads, (users, items) = spreads_of(made, enhancer, 4), means_of(made)
    user, item = USERS[0], 3
    pair, of_item, of_user = enhancer.explain(user, item)
    wanted = -w2([0.0], spreads["user"][user], [0.0], spreads["item"][item])
    assert pair.contribution == pytest.approx(wanted, rel=1e-4)
    with torch.no_grad():
        score = float(made.model.full_sort_predict(users_batch(user)).view(-1)[item])
    assert score - pair.contribution == pytest.approx(-w2(users[user], [0.0], items[item], [0.0]), abs=1e-4)
    n = {side: counts(made, f"{side}_id", len(spreads[side])) for side in ("user", "item")}
    for reason, side, number in ((of_item, "item", item), (of_user, "user", user)):
        sizes = [geometric(row) for row, seen in zip(spreads[side], n[side], strict=True) if seen]
        own = geometric(spreads[side][number])
        less = sum(size < own * (1 - 1e-6) for size in sizes) / len(sizes)
        assert reason.evidence["less_sure_than"] == pytest.approx(less)
        assert reason.evidence["interactions"] == n[side][number]
        assert reason.contribution == 0
    plain = (
        world(enhance("BPR", RVRec(**options)), embedding_size=4).model.enhancers["rvrec"].explain(user, item)
    )
    assert [one.evidence["about"] for one in plain] == ["item", "user"]
    none = world(enhance("BPR", RVRec(objective=True, spread="none"))).model.enhancers["rvrec"]
    assert not none.explains
    assert none.explain(user, item) is None


def test_what_can_be_baked(world: Any) -> None:
    for options in ({"spread_role": "distance"}, {"spread_role": "length"}, {"spread": "free"}):
        made = world(enhance("BPR", RVRec(objective=True, **options)))
        made.trainer.fit(made.train, made.valid, saved=False)
        baked = burnish.bake(made.model)
        users = users_batch(*range(1, 20))
        torch.testing.assert_close(baked.full_sort_predict(users), made.model.full_sort_predict(users))
    ranked = world(enhance("BPR", RVRec(objective=True, spread_role="distance", score="w2")))
    with pytest.raises(UnsupportedError, match=r"ranks by -W2\^2.*train it with score: mean"):
        burnish.bake(ranked.model)


def test_uncertain_negatives_count_less_and_their_spread_learns_nothing_of_it() -> None:
    logs = torch.tensor([9.0, -1.0, 0.0, 1.0], requires_grad=True)
    weights = negative_weights(logs, 0.5)
    assert not weights.requires_grad
    assert float(weights[1:].exp().mean()) == pytest.approx(1.0)
    assert float(weights[1] - weights[3]) == pytest.approx(1.0)
    torch.testing.assert_close(negative_weights(logs + 5.0, 0.5), weights)


def test_what_needs_no_gradient(world: Any) -> None:
    made = world(enhance("BPR", RVRec(objective=True, spread="count", spread_role="negatives")))
    assert not any(p.requires_grad for p in made.model.enhancers["rvrec"].spreads.parameters())


@pytest.mark.parametrize("spread", ["free", "count"])
def test_rows_of_spreads_are_saved_by_user_and_item(world: Any, spread: str) -> None:
    """Counts too: where a model is loaded beside other data, its scores stay."""
    made = world(enhance("BPR", RVRec(objective=True, spread=spread)))
    enhancer = made.model.enhancers["rvrec"]
    state, sides = enhancer.state_dict(), enhancer.row_tensors()
    sizes = {"user": made.model.n_users, "item": made.model.n_items}
    assert {name: len(state[name]) for name in sides} == {name: sizes[side] for name, side in sides.items()}
    assert set(sides.values()) == {"user", "item"}


def test_status_tells_of_spreads_by_count(world: Any) -> None:
    made = world(enhance("BPR", RVRec(objective=True, spread="count", spread_role="distance")))
    said = str(burnish.status(made.model))
    assert "spread of items: " in said
    assert "(rank correlation with interactions: -1.00)" in said
    free = world(enhance("BPR", RVRec(objective=True, spread="free")))
    found = free.model.enhancers["rvrec"].spread_of("item")
    weight = free.model.enhancers["rvrec"].spreads["item"].weight.detach().double()
    torch.testing.assert_close(found.double(), weight.exp().log().mean(1).exp())
    none = world(enhance("BPR", RVRec(objective=True, spread="none")))
    assert none.model.enhancers["rvrec"].note() is None


def test_rank_correlation_is_that_of_scipy() -> None:
    from scipy.stats import spearmanr

    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 9, (200,), generator=generator)
    y = x + torch.randint(0, 9, (200,), generator=generator)
    assert rank_correlation(x.double(), y.double()) == pytest.approx(spearmanr(x, y).statistic)
    assert rank_correlation(x, torch.ones(200)) is None
    assert spreads_by_count("items", torch.ones(1), torch.ones(1)) is None


@pytest.mark.parametrize(
    ("backbone", "options", "words"),
    [
        ("NeuMF", {}, "NeuMF scores every pair by itself.*softmax"),
        ("SASRec", {}, "SASRec makes a user's vector of their history, which has no spread of its own"),
        ("MultiVAE", {}, "whole users with a likelihood"),
    ],
)
def test_backbones_without_gaussians(world: Any, backbone: str, options: dict[str, Any], words: str) -> None:
    for cls in (RVRec, Euclid2d):
        with pytest.raises(UnsupportedError, match=words):
            world(enhance(backbone, cls(objective=True, **options)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"users": 0}, "users"),
        ({"beta": -1.0}, "beta"),
        ({"covariance": "full", "experimental": True}, "covariance = 'full'"),
        ({"spread": "free", "spread_role": "negatives"}, "would train no spread"),
        ({"score": "w2", "spread_role": "negatives"}, "not trained to be ranked by"),
        ({"score": "w2", "spread_role": "length"}, "not trained to be ranked by"),
        ({"spread": "counts"}, "spread"),
    ],
)
def test_refused_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RVRec(objective=True, **options)


def test_two_objectives(world: Any) -> None:
    with pytest.raises(ConfigurationError, match="'rvrec' and 'softmax' both replace"):
        world(enhance("BPR", RVRec(objective=True), Softmax()))


def test_options_of_before_mean_the_same() -> None:
    """The temperature and the spread at the start have a default in each mode; what was written down stays valid."""
    for config in (ContrastConfig, RVRecConfig):
        assert "newcomers" not in config(newcomers="own").decisive()
        old = config(temperature=0.3, initial_spread=1.0)
        assert old == config()
        assert old.model_dump(exclude_defaults=True) == {}
        assert (old.start_temperature, old.start_spread) == (0.3, 1.0)
        decisive = config().decisive()
        assert (decisive["temperature"], decisive["initial_spread"]) == (0.3, 1.0)
        assert not {"objective", "spread", "users", "score"} & decisive.keys()
        assert config(objective=True, temperature=0.3).start_temperature == 0.3
        assert config(objective=True).start_temperature == 0.2
        assert config(objective=True, temperature=0.3).decisive()["temperature"] == 0.3


def test_training_sees_no_other_rows(tmp_path: Path) -> None:
    """The files of validation and test rows are changed, and training stays the same in every bit."""
    ran = []
    for other in (0, 1):
        folder = tmp_path / str(other) / "split"
        folder.mkdir(parents=True)
        for part, first in (("train", 0), ("valid", 20 + 2 * other), ("test", 30 - 3 * other)):
            rows = [
                f"u{u}\ti{(u * 3 + j + first) % 40}"
                for u in range(30)
                for j in range(12 if part == "train" else 1)
            ]
            every = [f"u{i % 2}\ti{i}" for i in range(40)] if part == "train" else []
            text = "\n".join(["user_id:token\titem_id:token", *dict.fromkeys(rows + every)]) + "\n"
            (folder / f"split.{part}.inter").write_text(text, encoding="utf-8")
        options = {
            "data_path": str(tmp_path / str(other)),
            "load_col": {"inter": ["user_id", "item_id"]},
            "benchmark_filename": ["train", "valid", "test"],
            "embedding_size": 8,
            "show_progress": False,
            "topk": [10],
            "metrics": ["NDCG"],
            "valid_metric": "NDCG@10",
            "epochs": 3,
        }
        enhancers = {"rvrec": {"objective": True, "spread": "free", "spread_role": "both", "score": "w2"}}
        ran.append(burnish.run("BPR", "split", enhancers=enhancers, config=options, seed=1))
    assert ran[0].losses == ran[1].losses
    assert ran[0].valid_result != ran[1].valid_result


@pytest.mark.parametrize("spread", ["free", "count"])
def test_same_seed_same_numbers_and_resume(tmp_path: Path, spread: str) -> None:
    options = {
        **{"epochs": 4, "embedding_size": 8, "show_progress": False, "topk": [10], "metrics": ["NDCG"]},
        **{"valid_metric": "NDCG@10", "val_interval": {"user_id": [str(u) for u in range(1, 61)]}},
    }
    enhancers = {"rvrec": {"objective": True, "spread": spread, "spread_role": "distance", "score": "w2"}}
    whole = burnish.run("BPR", "ml-100k", enhancers=enhancers, config=options, seed=1)
    burnish.run(
        "BPR", "ml-100k", enhancers=enhancers, config=options | {"epochs": 2}, seed=1, folder=tmp_path
    )
    resumed = burnish.run(resume=tmp_path, config={"epochs": 4})
    assert resumed.losses == whole.losses
    assert resumed.test_result == whole.test_result
    loaded = burnish.load_run(tmp_path)
    users = users_batch(1, 2, 3)
    torch.testing.assert_close(
        loaded.model.full_sort_predict(users), resumed.model.full_sort_predict(users), rtol=0, atol=0
    )
