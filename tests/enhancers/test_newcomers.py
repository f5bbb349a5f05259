"""Users of whom training knows nothing are scored as the mean of the others: softmax, rvrec's objective, compress, and
aggregate from such a base."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import LightGCN

import burnish
from burnish.enhancers.aggregate.aggregate import Aggregate
from burnish.enhancers.attach import enhance
from burnish.enhancers.compress.compress import Compress
from burnish.enhancers.newcomers import have_mean_of_others, newcomers, with_mean_of_others
from burnish.enhancers.softmax.softmax import Softmax
from burnish.enhancers.wasserstein.rvrec import Euclid2d, RVRec

BY_TIME = {"eval_args": {"order": "TO", "split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "none", "mode": "full"}}


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    """A data set of 40 users, the last of whom came late, and options that split it by time."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(3)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(40):
        items = draw.sample(range(15) if user % 2 else range(15, 30), 8)
        lines += [
            f"u{user}\ti{item}\t{(user if user < 30 else 1000 + user) * 10 + place}"
            for place, item in enumerate(items)
        ]
    (tmp_path / "data" / "late").mkdir(parents=True)
    (tmp_path / "data" / "late" / "late.inter").write_text("\n".join(lines) + "\n")
    options = {
        "data_path": str(tmp_path / "data"),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "epochs": 5,
        "embedding_size": 8,
        "learning_rate": 0.05,
        "train_batch_size": 64,
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "use_gpu": False,
        "eval_args": {"order": "TO", "split": {"RS": [0.75, 0.1, 0.15]}, "group_by": "none", "mode": "full"},
    }
    return "late", options


def split_by_time(world: Any, model: type, **options: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """A world, who is new in it, and who is not; padding is neither."""
    made = world(model, embedding_size=4, **BY_TIME, **options)
    known = np.zeros(made.model.n_users, dtype=bool)
    known[made.train._dataset.inter_feat["user_id"].numpy()] = True
    new = ~known
    new[0] = False
    assert new.sum() > 5
    assert known.sum() > 5
    return made, new, known


def scores(made: Any, users: np.ndarray) -> np.ndarray:
    made.model.eval()
    with torch.no_grad():
        found = made.model.full_sort_predict(Interaction({"user_id": torch.from_numpy(users)}))
    return found.reshape(len(users), -1).double().numpy()


def units(rows: torch.Tensor) -> np.ndarray:
    rows = rows.detach().double().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


def test_who_is_new() -> None:
    assert newcomers(torch.tensor([1, 2, 2, 4]), 5).tolist() == [False, False, False, True, False]
    assert newcomers(torch.tensor([1, 2]), 3) is None
    assert newcomers(torch.tensor([], dtype=torch.long), 3) is None
    rows = torch.tensor([[9.0], [1.0], [3.0], [7.0]])
    new = torch.tensor([False, False, False, True])
    assert with_mean_of_others(rows, new).tolist() == [[9.0], [1.0], [3.0], [2.0]]


@pytest.mark.parametrize("cosine", [True, False])
def test_a_newcomers_scores_are_the_mean_of_the_others(world: Any, cosine: bool) -> None:
    made, new, known = split_by_time(world, enhance("BPR", Softmax(cosine=cosine)))
    made.trainer.fit(made.train, None, saved=False, show_progress=False)
    users, items = made.model.user_embedding.weight, made.model.item_embedding.weight
    users, items = (
        (units(users), units(items)) if cosine else (users.detach().numpy(), items.detach().numpy())
    )
    wanted = users[known].mean(0) @ items.T
    for row in [*scores(made, np.flatnonzero(new)[:2]), *scores(made, np.flatnonzero(new))]:
        np.testing.assert_allclose(row[1:], wanted[1:], atol=1e-5)
    np.testing.assert_allclose(
        scores(made, np.flatnonzero(known))[:, 1:], (users[known] @ items.T)[:, 1:], atol=1e-5
    )


def test_of_propagated_rows(world: Any) -> None:
    made, new, known = split_by_time(world, enhance(LightGCN, Softmax()))
    made.model.eval()
    with torch.no_grad():
        users, items = (units(rows) for rows in LightGCN.forward(made.model))
    wanted = users[known].mean(0) @ items.T
    for row in scores(made, np.flatnonzero(new)):
        np.testing.assert_allclose(row[1:], wanted[1:], atol=1e-5)


def test_training_is_what_it_was(world: Any) -> None:
    tables = []
    for how in ("mean", "own"):
        made, _, _ = split_by_time(world, enhance("BPR", Softmax(newcomers=how)))
        made.trainer.fit(made.train, made.valid, saved=False, show_progress=False)
        tables.append([rows.detach().clone() for rows in made.model.parameters()])
    for one, other in zip(*tables, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("enhancer", [Softmax(), Softmax(cosine=False), RVRec(objective=True)], ids=str)
def test_baked(world: Any, enhancer: Any) -> None:
    made, new, _ = split_by_time(world, enhance("BPR", enhancer))
    made.trainer.fit(made.train, None, saved=False, show_progress=False)
    wanted = scores(made, np.flatnonzero(new))
    assert np.ptp(wanted, axis=0).max() == pytest.approx(0.0, abs=1e-6)
    made.model = burnish.bake(made.model)
    np.testing.assert_allclose(scores(made, np.flatnonzero(new)), wanted, atol=1e-6)


def test_the_direction_is_that_of_all_refinements(world: Any) -> None:
    """What another enhancer makes of rows counts in the mean, whatever the order."""
    from burnish.enhancers.conformance.probes import Probe

    made, new, known = split_by_time(world, enhance("BPR", Softmax(), Probe()))
    made.model.eval()
    everybody = torch.arange(made.model.n_users)
    with torch.no_grad():
        rows = made.model.user_embedding(everybody).double().numpy()
    np.testing.assert_allclose(rows[new], np.broadcast_to(rows[known].mean(0), rows[new].shape), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows[known], axis=1), 1.0, atol=1e-5)


W2 = [
    (RVRec, {"spread": "free", "spread_role": "distance"}),
    (RVRec, {"spread": "count", "spread_role": "distance"}),
    (RVRec, {"spread": "count", "spread_role": "both"}),
    (Euclid2d, {}),
]


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN"])
@pytest.mark.parametrize(("enhancer", "options"), W2, ids=str)
def test_distances(world: Any, enhancer: Any, options: dict[str, Any], backbone: str) -> None:
    """Ranked by W2, newcomers have the mean of the others' spreads, too: their scores are the mean of the others' but
    for a number that all items share."""
    apart = {}
    for how in ("mean", "own"):
        made, new, known = split_by_time(
            world,
            enhance(backbone, enhancer(objective=True, score="w2", newcomers=how, **options)),
            learning_rate=0.05,
        )
        made.trainer.fit(made.train, None, saved=False, show_progress=False)
        mean = scores(made, np.flatnonzero(known))[:, 1:].mean(0)
        found = scores(made, np.flatnonzero(new))[:, 1:] - mean
        apart[how] = np.ptp(found, axis=1)
        n = len(mean)
        users = torch.from_numpy(np.repeat(np.flatnonzero(new), n))
        pairs = {"user_id": users, "item_id": torch.arange(1, n + 1).repeat(int(new.sum()))}
        with torch.no_grad():
            single = made.model.predict(Interaction(pairs)).double().numpy().reshape(-1, n)
        np.testing.assert_allclose(single - mean, found, atol=1e-5)
    assert apart["mean"].max() < 1e-5
    assert apart["own"].min() > 1e-3


def test_compress(world: Any) -> None:
    found = {}
    for how in ("mean", "own"):
        made, new, known = split_by_time(
            world, enhance("BPR", Compress(newcomers=how, ranks=(2,), ridge=50.0))
        )
        made.model.enhancers["compress"].try_candidate(0)
        found[how] = made.model.user_embedding.weight.detach().numpy().copy()
    np.testing.assert_array_equal(found["own"][new], 0)
    np.testing.assert_array_equal(found["mean"][known], found["own"][known])
    wanted = np.broadcast_to(found["own"][known].mean(0), found["mean"][new].shape)
    np.testing.assert_allclose(found["mean"][new], wanted, atol=1e-6)
    assert (found["mean"][0] == 0).all()


@pytest.mark.parametrize("sides", ["users", "both"])
@pytest.mark.parametrize("held", ["mean", "own"])
@pytest.mark.parametrize("how", ["base", "mean", "own"])
@torch.no_grad()
def test_aggregate(world: Any, how: str, held: str, sides: str) -> None:
    """Hops move all others; newcomers, who get none, follow where the base has them at the mean, or if asked to."""
    hops = {"hops": (2,), "neighbour": (-0.5,), "own": (0.0,), "sides": sides}
    made, new, known = split_by_time(world, enhance("BPR", Aggregate(newcomers=how, **hops)))
    users = made.model.user_embedding.weight.detach()
    began = users.clone()
    if held == "mean":
        began[torch.from_numpy(new)] = began[torch.from_numpy(known)].mean(0)
        users.copy_(began)
    enhancer = made.model.enhancers["aggregate"]
    enhancer.try_candidate(0)
    before = users.double().numpy().copy()
    at_start = began.double().numpy()
    np.testing.assert_array_equal(before[known], at_start[known])
    if how != "mean":
        np.testing.assert_array_equal(before, at_start)
    enhancer.try_candidate(1)
    after = users.double().numpy()
    assert np.abs(after[known] - before[known]).min() > 0
    mean = np.broadcast_to(after[known].mean(0), after[new].shape)
    follows = how == "mean" or (how == "base" and held == "mean")
    np.testing.assert_allclose(after[new], mean if follows else at_start[new], atol=1e-6)


def test_aggregate_from_a_base(late: tuple[str, dict[str, Any]]) -> None:
    name, options = late
    block = {"base": "softmax", "hops": [1], "own": [-0.5], "neighbour": [0.0], "sides": "users"}
    made = burnish.run("BPR", name, enhancers={"aggregate": block}, config=options, seed=1)
    known = torch.bincount(made.trained.splits.training.inter_feat["user_id"], minlength=41) > 0
    new = ~known
    new[0] = False
    assert 5 < int(new.sum()) < 20
    users = made.model.user_embedding.weight.detach()
    with torch.no_grad():
        made.model.enhancers["aggregate"].try_candidate(0)
        began = users.clone()
        made.model.enhancers["aggregate"].try_candidate(1)
    assert not torch.equal(began[known], users[known])
    torch.testing.assert_close(users[new], users[known].mean(0).expand_as(users[new]), atol=1e-6, rtol=0)


def test_a_row_of_ones_own_is_not_taken_for_the_mean() -> None:
    rows = torch.randn(30, 4)
    new = torch.zeros(30, dtype=torch.bool)
    new[20:] = True
    assert not have_mean_of_others(rows, new)
    mean = with_mean_of_others(rows, new)
    assert have_mean_of_others(mean, new)
    mean[25] *= 1.001
    assert not have_mean_of_others(mean, new)


def test_digests_of_aggregate_are_those_of_before_where_results_are() -> None:
    def told(**options: Any) -> bool:
        return "newcomers" in Aggregate(**options).config.decisive()

    assert not told()
    assert not told(base="plain")
    assert not told(base="softmax", newcomers="own")
    assert told(newcomers="mean")
    assert told(base="softmax")
    assert told(base="./out")


def test_nobody_is_new_where_everybody_has_a_row(world: Any) -> None:
    made = world(enhance("BPR", Softmax(cosine=False)), embedding_size=4)
    assert made.model.enhancers["softmax"]._newcomers is None
    assert not any(
        made.model.enhancers["softmax"].refines(table) for table in made.model.enhancers.anatomy.tables
    )
