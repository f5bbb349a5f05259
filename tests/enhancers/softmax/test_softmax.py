"""`softmax` on real backbones: its loss against loops, what stays of the backbone's own, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import BPR

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.compress.compress import Compress
from burnish.enhancers.epoch_batches import UserBatches
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.enhancers.softmax.pair_scores import PairScores
from burnish.enhancers.softmax.softmax import Softmax
from burnish.enhancers.wasserstein.rvrec import RVRec
from burnish.errors import ConfigurationError, NonFiniteError, UnsupportedError

TAU = 0.3
RATED = {
    "threshold": {"rating": 4},
    "train_neg_sample_args": None,
    "eval_args": {"mode": "labeled"},
    "metrics": ["AUC"],
    "valid_metric": "AUC",
}


def items_by_user(world: Any) -> dict[int, set[int]]:
    feat = world.train._dataset.inter_feat
    known: dict[int, set[int]] = {}
    for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
        known.setdefault(user, set()).add(item)
    return known


def cosine(one: list[float], other: list[float]) -> float:
    def norm(x: list[float]) -> float:
        return math.sqrt(sum(a * a for a in x))

    return sum(a * b for a, b in zip(one, other, strict=True)) / norm(one) / norm(other)


def row_loss(own: float, others: list[float]) -> float:
    return -math.log(math.exp(own / TAU) / (math.exp(own / TAU) + sum(math.exp(x / TAU) for x in others)))


def users_batch(*users: int) -> Interaction:
    return Interaction({"user_id": torch.tensor(users)})


@pytest.mark.parametrize("mask_known", [True, False])
@pytest.mark.parametrize("backbone", ["BPR", "LightGCN"])
def test_users_with_all_of_their_items(world: Any, backbone: str, mask_known: bool) -> None:
    made = world(enhance(backbone, Softmax(temperature=TAU, mask_known=mask_known)), embedding_size=4)
    softmax, known = made.model.enhancers["softmax"], items_by_user(made)
    assert softmax.users_a_batch() == 64
    if backbone == "BPR":
        users, items = made.model.user_embedding.weight, made.model.item_embedding.weight
    else:
        users, items = made.model.forward()
    users, items = users.detach().double().tolist(), items.detach().double().tolist()
    with made.model.enhancers.step():
        found = softmax.objective(users_batch(3, 5, 8))
    for user, loss in zip((3, 5, 8), found.tolist(), strict=True):
        similar = [cosine(users[user], item) if number else 0.0 for number, item in enumerate(items)]
        rows = []
        for item in known[user]:
            others = set(range(1, len(items))) - (known[user] if mask_known else {item})
            rows.append(row_loss(similar[item], [similar[other] for other in others]))
        assert loss == pytest.approx(sum(rows) / len(rows), rel=1e-4)


@pytest.mark.parametrize(
    "options", [{"topk": 3, "topk_temperature": 1e4}, {"negatives": 50_000}, {}], ids=str
)
def test_a_positive_is_no_negative_of_itself(world: Any, options: dict[str, Any]) -> None:
    """With known items among the negatives, too: in parts, and where negatives are drawn."""
    made = world(enhance("BPR", Softmax(temperature=TAU, mask_known=False, **options)), embedding_size=4)
    known = items_by_user(made)
    users, items = (made.model.user_embedding.weight, made.model.item_embedding.weight)
    users, items = users.detach().double().tolist(), items.detach().double().tolist()
    with made.model.enhancers.step():
        found = made.model.enhancers["softmax"].objective(users_batch(3, 5))
    for user, loss in zip((3, 5), found.tolist(), strict=True):
        similar = [cosine(users[user], item) if number else 0.0 for number, item in enumerate(items)]
        rows = [
            row_loss(similar[item], [similar[other] for other in range(1, len(items)) if other != item])
            for item in known[user]
        ]
        assert loss == pytest.approx(sum(rows) / len(rows), rel=0.01 if "negatives" in options else 1e-4)


def test_a_batch_without_a_positive_row_teaches_nothing(world: Any) -> None:
    """NNCF cannot score an empty batch, and half of a small batch may have no positive row."""
    made = world(enhance("NNCF", Softmax()), load_col={"inter": ["user_id", "item_id", "rating"]}, **RATED)
    batch = next(iter(made.train))
    label = made.model.LABEL
    batch = batch[batch[label] == 0]
    assert len(batch)
    loss = made.model.calculate_loss(batch)
    assert float(loss) == 0.0
    loss.backward()
    assert all(one.grad is None or not one.grad.any() for one in made.model.parameters())


def test_biases_that_begin_at_zero_are_seen(world: Any) -> None:
    """A score that will be more than a product, though it is one before training."""

    class Biased(BPR):
        def __init__(self, config: Any, dataset: Any) -> None:
            super().__init__(config, dataset)
            self.bias = torch.nn.Parameter(torch.zeros(self.n_items))

        def full_sort_predict(self, interaction: Any) -> torch.Tensor:
            scores = super().full_sort_predict(interaction).view(-1, self.n_items)
            return (scores + self.bias).view(-1)

    with pytest.raises(UnsupportedError, match="no such product"):
        world(enhance(Biased, Compress()), embedding_size=4)
    made = world(enhance(Biased, Softmax()), embedding_size=4)
    assert made.model.enhancers["softmax"].vectors is None
    assert not made.model.bias.any()


def test_weights_of_interactions(world: Any) -> None:
    made = world(enhance("BPR", Softmax(temperature=TAU)), embedding_size=4)
    softmax, known = made.model.enhancers["softmax"], items_by_user(made)
    feat = made.train._dataset.inter_feat
    weights = torch.rand(len(feat), generator=torch.Generator().manual_seed(0)) + 0.5
    of_pair = dict(
        zip(
            zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True),
            weights.tolist(),
            strict=True,
        )
    )
    users, items = made.model.user_embedding.weight.tolist(), made.model.item_embedding.weight.tolist()
    with made.model.enhancers.step():
        made.model.enhancers.state.interaction_weights = weights
        (found,) = softmax.objective(users_batch(7)).tolist()
    similar = [cosine(users[7], item) if number else 0.0 for number, item in enumerate(items)]
    left = [similar[item] for item in range(1, len(items)) if item not in known[7]]
    total = sum(of_pair[7, item] * row_loss(similar[item], left) for item in known[7])
    assert found == pytest.approx(total / sum(of_pair[7, item] for item in known[7]), rel=1e-4)


def test_rows_of_histories(world: Any) -> None:
    made = world(enhance("SASRec", Softmax(temperature=TAU)))
    softmax = made.model.enhancers["softmax"]
    made.model.eval()  # no dropout
    batch = next(iter(made.train))[torch.arange(6)]
    states = made.model.forward(batch["item_id_list"], batch["item_length"]).detach().double()
    items = made.model.item_embedding.weight.detach().double().tolist()
    feat = made.train._dataset.inter_feat
    known: dict[int, set[int]] = {}
    for number in range(len(feat["user_id"])):
        seen = known.setdefault(int(feat["user_id"][number]), set())
        seen |= {int(feat["item_id"][number])} | set(feat["item_id_list"][number].tolist())
    with made.model.enhancers.step():
        found = softmax.objective(batch)
    for number in range(6):
        target, user = int(batch["item_id"][number]), int(batch["user_id"][number])
        similar = [cosine(states[number].tolist(), item) if j else 0.0 for j, item in enumerate(items)]
        left = [similar[j] for j in range(1, len(items)) if j not in known[user]]
        assert float(found[number]) == pytest.approx(row_loss(similar[target], left), rel=1e-4)


def test_scored_pairs(world: Any) -> None:
    """NeuMF has no vectors: its own scores of drawn items, before the sigmoid, each standing for a share of all."""
    made = world(enhance("NeuMF", Softmax(negatives=5, rest="drop")))
    softmax = made.model.enhancers["softmax"]
    made.model.eval()
    batch = next(iter(made.train))
    with made.model.enhancers.step():
        found = softmax.objective(batch)
    positive = batch["label"] > 0
    assert (found[~positive] == 0).all()
    n = int(positive.sum())
    state = made.model.enhancers.state
    state.step, state._generators = 0, {}  # the same step draws the same items
    items = softmax._draw(n * 5).reshape(n, 5)
    known = items_by_user(made)
    for row in range(3):
        user, target = int(batch["user_id"][row]), int(batch["item_id"][row])

        def logit(item: int, user: int = user) -> float:
            pair = Interaction({"user_id": torch.tensor([user]), "item_id": torch.tensor([item])})
            return float(torch.logit(made.model.predict(pair).double()))

        n_items = made.model.n_items - 1
        total = sum(math.exp(logit(int(j))) * n_items / 5 for j in items[row] if int(j) not in known[user])
        expected = math.log1p(total / math.exp(logit(target)))
        assert float(found[row]) * n / len(found) == pytest.approx(expected, rel=1e-3)


def test_drawn_negatives_stand_for_all(world: Any) -> None:
    made = world(enhance("BPR", Softmax(temperature=TAU)), embedding_size=4)
    whole = made.model.enhancers["softmax"]
    with made.model.enhancers.step():
        exact = whole.objective(users_batch(3, 4))
    for drawn_by in ("uniform", "popularity"):
        with pytest.warns(
            UserWarning, match=r"negatives = 40000 are drawn with repetition, and there are \d+ items"
        ):
            some = world(
                enhance("BPR", Softmax(temperature=TAU, negatives=40_000, drawn_by=drawn_by)),
                embedding_size=4,
            )
        with some.model.enhancers.step():
            found = some.model.enhancers["softmax"].objective(users_batch(3, 4))
        torch.testing.assert_close(found, exact, rtol=0.02, atol=0.0)


def gradients(model: Any, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))


@pytest.mark.parametrize("own_loss", [0.0, 0.5, 1.0])
def test_the_rest_of_the_loss_stays(world: Any, own_loss: float) -> None:
    """LightGCN's regularisation is there, its BPR term as far as asked for."""
    made = world(enhance("LightGCN", Softmax(rows="interactions", own_loss=own_loss)), reg_weight=0.3)
    model = made.model
    batch = next(iter(made.train))
    ego = [model.user_embedding(batch["user_id"]), model.item_embedding(batch["item_id"])]
    ego.append(model.item_embedding(batch["neg_item_id"]))
    rest = 0.3 * model.reg_loss(*ego, require_pow=model.require_pow)
    users, items = model.forward()
    score = (users[batch["user_id"]] * items[batch["item_id"]]).sum(1)
    other = (users[batch["user_id"]] * items[batch["neg_item_id"]]).sum(1)
    with model.enhancers.step():
        objective = model.enhancers["softmax"].objective(batch).mean()
    expected = objective + rest.squeeze() + own_loss * model.mf_loss(score, other)
    found = model.calculate_loss(batch)
    torch.testing.assert_close(found.squeeze(), expected)
    for one, two in zip(gradients(model, found.sum()), gradients(model, expected), strict=True):
        torch.testing.assert_close(one, two)


def test_in_the_place_of_a_sum_the_objective_is_one(world: Any) -> None:
    """SGL adds a sum over rows to a sum over rows: a mean in its place would leave self-supervision alone."""
    made = world(enhance("SGL", Softmax(temperature=TAU)), embedding_size=4, ssl_weight=0.3, reg_weight=0.01)
    model, batch = made.model, next(iter(made.train))
    model.train()
    model.graph_construction()
    with model.enhancers.step():
        objective = model.enhancers["softmax"].objective(batch).mean()
    graphs = [model.train_graph, model.sub_graph1, model.sub_graph2]
    (users, items), (users1, items1), (users2, items2) = (model.forward(graph) for graph in graphs)
    ids = batch["user_id"], batch["item_id"], batch["neg_item_id"]
    ssl = model.calc_ssl_loss(ids[0], ids[1], users1, users2, items1, items2)
    regularised = model.calc_bpr_loss(users, items, *ids)
    scores = [(users[ids[0]] * items[ids[place]]).sum(1) for place in (1, 2)]
    regularised = regularised + torch.nn.functional.logsigmoid(scores[0] - scores[1]).sum()
    found = model.calculate_loss(batch)
    torch.testing.assert_close(
        found.squeeze(), len(batch) * objective + ssl + regularised.squeeze(), rtol=1e-4, atol=1e-4
    )


def test_nothing_is_left_of_bpr(world: Any) -> None:
    made = world(enhance("BPR", Softmax()))
    calls = []
    made.model.enhancers.replacement._weighted = lambda *args: calls.append(1)
    made.model.enhancers.replacement.rest = False
    assert len(UserBatches(made.train, "user_id", 64, 0)) == 1
    made.trainer._train_epoch(made.train, 0)
    assert not calls
    fresh = world(enhance("BPR", Softmax()))
    fresh.trainer._train_epoch(fresh.train, 0)
    assert fresh.model.enhancers.replacement.rest is False


@pytest.mark.parametrize("backbone", ["LightGCN", "NGCF", "DMF", "NeighbourMeans"])
@pytest.mark.parametrize("reg_weight", [0.0, 0.01])
def test_what_an_evaluation_kept_is_dropped_by_a_step(world: Any, backbone: str, reg_weight: float) -> None:
    """Backbones drop it in their own loss, which is not computed where nothing is left of it."""
    made = world(enhance(backbone, Softmax()), reg_weight=reg_weight)
    users = users_batch(3, 9)
    before = None
    for epoch in range(3):
        made.trainer._train_epoch(made.train, epoch)
        made.model.eval()
        with torch.no_grad():
            scores = made.model.full_sort_predict(users)
            if before is not None:
                assert not torch.equal(scores, before)
            before = scores
            clear_kept(made.model)
            torch.testing.assert_close(made.model.full_sort_predict(users), scores, rtol=0, atol=0)


def test_users_are_gone_over_once_an_epoch(world: Any) -> None:
    made = world(enhance("BPR", Softmax(users=7)))
    batches = UserBatches(made.train, "user_id", 7, seed=3)
    first = [batch["user_id"] for batch in batches]
    assert sorted(torch.cat(first).tolist()) == sorted(
        set(made.train._dataset.inter_feat["user_id"].tolist())
    )
    assert max(map(len, first)) == 7
    assert all(torch.equal(a, b["user_id"]) for a, b in zip(first, batches, strict=True))
    batches.epoch = 1
    assert not torch.equal(torch.cat(first), torch.cat([batch["user_id"] for batch in batches]))
    rows = batches.rows_of(users_batch(3, 9), step=4)
    assert set(rows["user_id"].tolist()) <= {3, 9}
    assert len(rows) == min(batches.step, sum(len(items_by_user(made)[user]) for user in (3, 9)))


@pytest.mark.parametrize("first", ["softmax", "rvrec"])
def test_unit_length_comes_last_in_any_order(world: Any, first: str) -> None:
    """What another enhancer makes of rows is within the cosine, not on top of it."""
    order = [RVRec(), Softmax()] if first == "rvrec" else [Softmax(), RVRec()]
    model = world(enhance("BPR", *order), embedding_size=4).model
    with torch.no_grad():
        model.enhancers["rvrec"].networks["item_embedding-weight"].shift[-1].weight.add_(0.3)
        lengths = model.item_embedding.weight[1:].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_plain_model_after_baking(world: Any) -> None:
    made = world(enhance("BPR", Softmax()))
    made.trainer.fit(made.train, made.valid, saved=False)
    baked = burnish.bake(made.model)
    lengths = baked.item_embedding.weight[1:].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    users = users_batch(*range(1, 20))
    torch.testing.assert_close(baked.full_sort_predict(users), made.model.full_sort_predict(users))


def test_training_sees_no_other_rows(tmp_path: Path, small: dict[str, Any]) -> None:
    """The files of validation and test rows are changed, and the trained tables stay the same in every bit."""
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
            every = [f"u{u}\ti{i}" for u, i in ((i % 2, i) for i in range(40))] if part == "train" else []
            text = "\n".join(["user_id:token\titem_id:token", *dict.fromkeys(rows + every)]) + "\n"
            (folder / f"split.{part}.inter").write_text(text, encoding="utf-8")
        options = small | {
            "data_path": str(tmp_path / str(other)),
            "load_col": {"inter": ["user_id", "item_id"]},
            "benchmark_filename": ["train", "valid", "test"],
            "stopping_step": 50,
            "epochs": 3,
        }
        result = burnish.run("BPR", "split", enhancers="softmax", config=options, seed=1)
        ran.append(result)
    assert ran[0].losses == ran[1].losses
    assert ran[0].valid_result != ran[1].valid_result


def test_same_seed_same_numbers_and_resume(tmp_path: Path, small: dict[str, Any]) -> None:
    options = small | {"epochs": 5, "stopping_step": 50}
    whole = burnish.run("BPR", "tiny", enhancers="softmax", config=options, seed=1)
    burnish.run("BPR", "tiny", enhancers="softmax", config=options | {"epochs": 2}, seed=1, folder=tmp_path)
    resumed = burnish.run(resume=tmp_path, config={"epochs": 5})
    assert resumed.losses == whole.losses
    assert resumed.test_result == whole.test_result


@pytest.mark.parametrize(
    ("objective", "cure"),
    [
        (Softmax(), "give softmax rows: interactions, or let"),
        (RVRec(objective=True), "all of their items; let"),
    ],
)
def test_batches_of_users_have_no_losses_of_interactions(
    small: dict[str, Any], objective: Any, cure: str
) -> None:
    """And it is the objective that makes them, not the backbone; the cures that are named work."""
    options = small | {"epochs": 2, "show_progress": False}
    in_run = burnish.Shapley(values="in-run", warmup_epochs=1)
    said = f"'shapley' looks at .*'{objective.name}' makes batches of users.*{cure} shapley .*profile"
    with pytest.raises(UnsupportedError, match=said):
        burnish.run("BPR", "tiny", enhancers=[objective, in_run], config=options, seed=1)
    if objective.name == "softmax":
        by_rows = Softmax(rows="interactions")
        burnish.run("BPR", "tiny", enhancers=[by_rows, in_run], config=options, seed=1)
    cross_fit = burnish.Shapley(values="cross-fit", warmup_epochs=1)
    burnish.run("BPR", "tiny", enhancers=[objective, cross_fit], config=options, seed=1)


@pytest.mark.parametrize(("own_loss", "kept"), [(0.0, ""), (0.5, ", with what it keeps of BPR's own loss,")])
def test_an_objective_that_is_not_finite_is_named(world: Any, own_loss: float, kept: str) -> None:
    class Broken(Softmax):
        name = "test_broken_objective"

        def objective(self, batch: Any) -> torch.Tensor:
            return super().objective(batch) * math.nan

    made = world(enhance("BPR", Broken(own_loss=own_loss, rows="interactions")))
    batch = next(iter(made.train))
    with pytest.raises(
        NonFiniteError,
        match=rf"^the objective of enhancer 'test_broken_objective'{kept} is \[nan\] at .*step 0",
    ):
        made.model.calculate_loss(batch)


def test_refusals(world: Any) -> None:
    for options, words in (
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"negatives": 0}, "negatives"),
        ({"loss": "bsl", "rows": "interactions"}, "loss = 'bsl'"),
        ({"topk": 5, "negatives": 9}, "topk = 5"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            Softmax(**options)
    for backbone, options, words in (
        ("MultiVAE", {}, "whole users with a likelihood"),
        ("NeuMF", {"rows": "users"}, "no product of two vectors"),
        ("NeuMF", {"negatives": "all"}, "negatives = 'all'"),
        ("SASRec", {"rows": "users"}, "what their histories say"),
        ("SASRec", {"loss": "psl"}, "needs batches of users"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            world(enhance(backbone, Softmax(**options)))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyError("neg_item_id_list"), "needs the column 'neg_item_id_list'"),
        (AssertionError(), "scores no single pairs"),
        (NotImplementedError(), "scores no single pairs"),
    ],
)
def test_models_that_cannot_score_pairs_of_training_rows(world: Any, error: Exception, says: str) -> None:
    """DIEN reads negatives that a prediction has and a training row lacks; the CPR models refuse single pairs."""

    class Refuses:
        def predict(self, _: Any) -> Any:
            raise error

    made = world("BPR")
    scores = PairScores(made.train._dataset, "item_id", torch.device("cpu"))
    with pytest.raises(
        UnsupportedError, match=rf"'softmax' scores drawn items .* Refuses.predict, which {says}"
    ):
        scores.of(Refuses(), next(iter(made.train)), torch.arange(2), torch.ones(2, 3, dtype=torch.long))


def test_columns_of_triples_beside_interactions_are_no_rows(world: Any) -> None:
    """A batch of a knowledge model may hold more triples than interactions."""

    class Sums:
        def predict(self, batch: Any) -> Any:
            assert set(batch.columns) == {"user_id", "item_id"}
            return batch["user_id"].double().requires_grad_()

    made = world("BPR")
    scores = PairScores(made.train._dataset, "item_id", torch.device("cpu"))
    columns = {"head_id": torch.arange(9), "user_id": torch.arange(1, 5), "item_id": torch.arange(1, 5)}
    found = scores.of(Sums(), Interaction(columns), torch.tensor([0, 2]), torch.ones(2, 3, dtype=torch.long))
    assert found.tolist() == [[1.0] * 3, [3.0] * 3]


def test_two_objectives(world: Any) -> None:
    class Other(Softmax):
        name = "test_other_objective"

    with pytest.raises(ConfigurationError, match="'softmax' and 'test_other_objective' both replace"):
        world(enhance("BPR", Softmax(), Other()))


def test_options_without_effect() -> None:
    with pytest.warns(UserWarning, match="topk_temperature = 0.5 has no effect without topk"):
        Softmax(topk_temperature=0.5)
    with pytest.warns(UserWarning, match="activation = 'relu' has no effect with loss: infonce"):
        Softmax(activation="relu")


def test_a_loop_of_ones_own_makes_no_base(world) -> None:
    made = world(enhance("BPR", Softmax(base="compress")))
    with pytest.raises(ConfigurationError, match=r"base = 'compress' is trained or read where a run"):
        made.model.begin_epoch(0)
