"""NeighbourMeans and PathWalks against float64, and as runs."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction

import burnish
from burnish.backbones.neighbour_means import NeighbourMeans
from burnish.backbones.path_walks import PathWalks
from burnish.enhancers.paths.learned_paths import cross_entropy, drawn_hidden
from burnish.enhancers.paths.lists import Pairs
from burnish.enhancers.paths.sources import read_graph
from burnish.errors import ConfigurationError, UnknownNameError

ALIKE = "user -rated-> item <-rated- user -rated-> item"
GENRE = "user -rated-> item -class-> class <-class- item"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`made(class, **options)`: the model on RecBole's ml-100k, and its training split."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])

    def build(model: type, **options: Any) -> tuple[Any, Any]:
        settings = {"show_progress": False, "embedding_size": 4, "seed": 5, **options}
        config = Config(model=model, dataset="ml-100k", config_dict=settings)
        train = data_preparation(config, create_dataset(config))[0]
        torch.manual_seed(5)
        return model(config, train.dataset).to(config["device"]), train

    return build


def test_means_of_neighbours(made: Any) -> None:
    model, train = made(NeighbourMeans, graph={"kg": False})
    graph = read_graph(train.dataset)
    tables = {
        "user": model.user_embedding.weight.detach().double().numpy(),
        "item": model.item_embedding.weight.detach().double().numpy(),
    }
    for kind, table in model.node_embedding.items():
        tables[kind.removeprefix("_")] = table.weight.detach().double().numpy()
    with torch.no_grad():
        model.factors.copy_(torch.tensor([1.0, -0.5, 2.0, 0.25]))
    users, items = (rows.detach().double().numpy() for rows in model.forward())
    for kind, node, found in (("user", 3, users), ("item", 50, items), ("item", 242, items)):
        total = tables[kind][node].copy()
        for step in graph.steps_from(kind):
            if step.relation in {one.name for one in graph.relations} and "." not in step.relation:
                near, _ = graph.adjacency(step).row(node)
                if len(near):
                    total += tables[graph.ends(step)[1]][near.numpy()].mean(0)
        factors = model.factors.detach().double().numpy() if kind == "user" else 1.0
        np.testing.assert_allclose(found[node], np.tanh(total) * factors, rtol=1e-4, atol=1e-6)


FRIENDS = [("1", "2"), ("2", "1"), ("3", "1"), ("1", "3")]


@pytest.mark.parametrize("edges", [FRIENDS, FRIENDS[:3]])
def test_friendships_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edges: list[Any]) -> None:
    """Edges that all go both ways are one relation, as the paper's friends are; others have two directions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    folder = tmp_path / "dataset" / "small"
    folder.mkdir(parents=True)
    rows = [(user, item) for user in range(1, 9) for item in range(user, user + 5)]
    for suffix, lines in {
        "inter": ["user_id:token\titem_id:token", *(f"{user}\t{item}" for user, item in rows)],
        "net": ["source_id:token\ttarget_id:token", *("\t".join(edge) for edge in edges)],
    }.items():
        (folder / f"small.{suffix}").write_text("\n".join(lines) + "\n")
    config = Config(NeighbourMeans, "small", config_dict={"data_path": "dataset", "embedding_size": 4})
    train = data_preparation(config, create_dataset(config))[0]
    model = NeighbourMeans(config, train.dataset)
    graph = read_graph(train.dataset)
    steps = [step for step in graph.steps_from("user") if str(step) != "<-friend-" or edges != FRIENDS]
    assert len(steps) == (2 if edges == FRIENDS else 3)

    def wanted(times: int) -> np.ndarray:
        own = model.user_embedding.weight.detach().double().numpy()
        total = own.copy()
        tables = {"user": own, "item": model.item_embedding.weight.detach().double().numpy()}
        for step in steps:
            for user in range(1, train.dataset.user_num):
                near = graph.adjacency(step).row(user)[0].numpy()
                if len(near):
                    mean = tables[graph.ends(step)[1]][near].mean(0)
                    total[user] += mean * (times if step.relation == "friend" else 1)
        return np.tanh(total)

    np.testing.assert_allclose(model.forward()[0].detach(), wanted(1), rtol=1e-4, atol=1e-6)
    state = model.state_dict()
    del state["means_once"]  # a model of before had both, and is read as it was trained
    model.load_state_dict(state)
    np.testing.assert_allclose(
        model.forward()[0].detach(), wanted(2 if edges == FRIENDS else 1), rtol=1e-4, atol=1e-6
    )
    model.load_state_dict(NeighbourMeans(config, train.dataset).state_dict())
    np.testing.assert_allclose(model.forward()[0].detach(), wanted(1), rtol=1e-4, atol=1e-6)


def test_the_loss_is_a_softmax_over_all_items(made: Any) -> None:
    model, _ = made(NeighbourMeans, reg_weight=0.5)
    batch = Interaction({"user_id": torch.tensor([3, 3, 8]), "item_id": torch.tensor([50, 7, 1])})
    loss, rest = model.calculate_loss(batch)
    users, items = (rows.detach().double() for rows in model.forward())
    logs = torch.log_softmax(users[batch["user_id"]] @ items[1:].t(), 1)
    assert float(loss) == pytest.approx(-float(logs[[0, 1, 2], batch["item_id"] - 1].mean()), rel=1e-5)
    squares = sum(float((one.detach() ** 2).sum()) for one in model.parameters())
    assert float(rest) == pytest.approx(0.25 * squares, rel=1e-5)
    model.eval()
    scores = model.full_sort_predict(batch).reshape(3, -1)
    assert torch.allclose(scores[[0, 1, 2], batch["item_id"]], model.predict(batch), atol=1e-6)


def test_softmax_trains_it_by_users_and_paths_beside(tmp_path: Path) -> None:
    enhancers = {"softmax": {"cosine": False, "mask_known": False}, "paths": {"metapaths": [ALIKE, GENRE]}}
    settings = {"epochs": 2, "learning_rate": 0.02, "show_progress": False, "graph": {"kg": False}}
    result = burnish.run("NeighbourMeans", "ml-100k", enhancers=enhancers, config=settings, seed=1)
    assert result.test_result["ndcg@10"] > 0.05


def test_what_is_left_of_its_loss_is_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The regularisation alone, as when the softmax over all items counts nothing: the same numbers in a run."""
    settings = {"epochs": 1, "learning_rate": 0.02, "show_progress": False, "reg_weight": 0.01}
    settings["graph"] = {"kg": False}
    softmax = {"softmax": {"cosine": False, "mask_known": False}}

    def trained() -> Any:
        return burnish.run("NeighbourMeans", "ml-100k", enhancers=softmax, config=settings, seed=1).model

    found = trained()
    monkeypatch.delattr(NeighbourMeans, "loss_without_interactions")
    squares = NeighbourMeans.calculate_loss

    def whole(self: Any, interaction: Any) -> Any:
        self.loss_without_interactions = lambda: (
            0,
            self.reg_weight / 2 * sum((p**2).sum() for p in self.parameters()),
        )
        try:
            return squares(self, interaction)
        finally:
            del self.loss_without_interactions

    monkeypatch.setattr(NeighbourMeans, "calculate_loss", whole)
    for ours, theirs in zip(found.parameters(), trained().parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_walks_learn_what_the_loss_says(made: Any) -> None:
    model, _ = made(PathWalks, walks={"metapaths": [ALIKE, GENRE], "hide": 0.0, "returns": True})
    batch = Interaction({"user_id": torch.tensor([3, 8, 3]), "item_id": torch.tensor([50, 7, 1])})
    users = torch.tensor([3, 8])
    known = model.known.mask(users, torch.arange(model.n_items))
    logs = model.paths(users).clamp_min(1e-30).log()
    wanted = -torch.stack([logs[row][known[row]].mean() for row in range(2)]).mean()
    assert float(model.calculate_loss(batch).detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    scores = model.full_sort_predict(batch).reshape(3, -1).detach()
    assert torch.allclose(scores[0].exp().sum(), torch.tensor(1.0), atol=1e-5)
    assert torch.allclose(scores[[0, 1, 2], batch["item_id"]], model.predict(batch).detach())


def test_what_is_hidden_follows_from_the_stream_that_runs_resume_with(made: Any) -> None:
    model, _ = made(PathWalks, walks={"metapaths": ALIKE})
    batch = Interaction({"user_id": torch.tensor([3, 8]), "item_id": torch.tensor([50, 7])})
    torch.manual_seed(4)
    first = float(model.calculate_loss(batch).detach())
    state = torch.get_rng_state()
    second = float(model.calculate_loss(batch).detach())
    torch.set_rng_state(state)
    assert float(copy.deepcopy(model).calculate_loss(batch).detach()) == second != first


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Interaction]:
    """The batches whose losses PathWalks computes from here on."""
    seen: list[Interaction] = []
    inner = PathWalks.calculate_loss

    def watched(self: Any, interaction: Any) -> Any:
        seen.append(interaction)
        return inner(self, interaction)

    monkeypatch.setattr(PathWalks, "calculate_loss", watched)
    return seen


def epoch_of(seen: list[Interaction]) -> list[int]:
    """All users of some batches, which hold nothing else."""
    assert all(list(batch.interaction) == ["user_id"] for batch in seen)
    return torch.cat([batch["user_id"] for batch in seen]).tolist()


def test_an_epoch_goes_over_users_with_recboles_own_trainer(made: Any, batches: list[Interaction]) -> None:
    from recbole.trainer import Trainer

    model, train = made(PathWalks, walks={"metapaths": GENRE, "users": 100}, epochs=2)
    trainer = Trainer(train.dataset.config, model)
    trainer.fit(train, saved=False, show_progress=False)
    assert [len(batch) for batch in batches[:10]] == [*[100] * 9, 43]
    first, second = epoch_of(batches[:10]), epoch_of(batches[10:])
    everybody = sorted(set(train.dataset.inter_feat["user_id"].tolist()))
    assert sorted(first) == sorted(second) == everybody
    assert first != second


@pytest.mark.parametrize("enhancers", ["average", "paths", None])
def test_epochs_go_over_users_with_and_without_enhancers(
    batches: list[Interaction], enhancers: str | None
) -> None:
    block = None if enhancers is None else {enhancers: {} if enhancers == "average" else {"metapaths": GENRE}}
    walks = {"metapaths": GENRE, "graph": {"kg": False}, "hide": 0.0}
    settings = {"epochs": 1, "show_progress": False, "walks": walks, "stopping_step": 0}
    losses = [
        burnish.run("PathWalks", "ml-100k", enhancers=block, config=settings, seed=1).losses for _ in range(2)
    ]
    assert losses[0] == losses[1]
    half = len(batches) // 2
    assert half == 15
    assert sorted(epoch_of(batches[:half])) == list(range(1, 944))
    assert epoch_of(batches[half:]) == epoch_of(batches[:half])


def test_a_resumed_run_of_walks_is_as_one_that_was_never_interrupted(tmp_path: Path) -> None:
    settings = {"show_progress": False, "walks": {"metapaths": [ALIKE, GENRE], "graph": {"kg": False}}}
    whole = burnish.run("PathWalks", "ml-100k", config={**settings, "epochs": 2}, seed=3)
    burnish.run("PathWalks", "ml-100k", config={**settings, "epochs": 1}, seed=3, folder=tmp_path / "run")
    resumed = burnish.run(resume=tmp_path / "run", config={"epochs": 2})
    assert resumed.losses == whole.losses
    assert resumed.test_result == whole.test_result


def test_users_of_a_batch_count_alike_however_it_says_who_they_are(made: Any) -> None:
    model, _ = made(PathWalks, walks={"metapaths": GENRE})
    users = torch.tensor([3, 8])
    torch.manual_seed(0)
    of_users = model.calculate_loss(Interaction({"user_id": users}))
    torch.manual_seed(0)
    rows = {"user_id": torch.tensor([8, 3, 8, 8]), "item_id": torch.tensor([1, 2, 3, 4])}
    assert float(model.calculate_loss(Interaction(rows)).detach()) == float(of_users.detach())


def test_rows_a_batch_have_no_effect_where_users_are_trained() -> None:
    settings = {"epochs": 0, "show_progress": False, "walks": {"metapaths": GENRE}, "train_batch_size": 512}
    with pytest.warns(UserWarning, match="'train_batch_size' = 512 has no effect on PathWalks"):
        burnish.run("PathWalks", "ml-100k", config=settings, seed=1)


def test_users_of_whom_nothing_is_asked_have_no_loss(made: Any) -> None:
    model, _ = made(PathWalks, walks={"metapaths": ALIKE})
    nobody = Pairs(torch.tensor([]).long(), torch.tensor([]).long(), model.n_items)
    generator = torch.Generator().manual_seed(0)
    hidden = drawn_hidden(nobody, 0.3, generator)
    losses = cross_entropy(model.paths.columns(torch.tensor([3, 8]), nobody), nobody, hidden, 2)
    losses.sum().backward()
    assert losses.tolist() == [0, 0]
    assert all(torch.isfinite(one.grad).all() for one in model.paths.parameters())


def test_walks_under_the_controls(made: Any) -> None:
    as_is, other, alike = (
        made(PathWalks, walks={"metapaths": [ALIKE, GENRE], "control": control})[0].paths
        for control in ("none", "permuted", "collaborative")
    )
    assert [str(path) for path in alike.metapaths] == [ALIKE]
    users = torch.tensor([3, 5])
    with torch.no_grad():
        scores, moved = as_is.scores(users), other.scores(users)
    assert [str(path) for path in other.metapaths] == [ALIKE, GENRE]
    assert not torch.allclose(scores, moved)


def test_a_run_of_walks(tmp_path: Path) -> None:
    settings = {
        "epochs": 6,
        "show_progress": False,
        "walks": {"metapaths": [ALIKE, GENRE], "graph": {"kg": False}},
    }
    result = burnish.run("PathWalks", "ml-100k", config=settings, seed=1, folder=tmp_path / "run")
    assert result.test_result["ndcg@10"] > 0.2  # popularity: .14
    loaded = burnish.load_run(tmp_path / "run").model
    torch.testing.assert_close(loaded.paths.shares(), result.model.paths.shares())
    explained = burnish.explain(tmp_path / "run", "196", top=2)
    assert len(explained) == 2
    assert all(one.reasons[0].kind == "path" for one in explained)
    assert all(len(one.reasons) > 3 for one in burnish.explain(tmp_path / "run", "196", top=2, reasons=9))


@pytest.mark.parametrize(
    ("model", "options", "error", "match"),
    [
        (NeighbourMeans, {"graph": {"item_column": ["class"]}}, UnknownNameError, "item_columns"),
        (NeighbourMeans, {"reg_weight": -1}, ConfigurationError, "reg_weight"),
        (PathWalks, {"walks": {"hid": 0.3}}, UnknownNameError, "Did you mean 'hide'"),
        (PathWalks, {"walks": {"metapaths": "user -rated-> itm"}}, UnknownNameError, "Did you mean 'item'"),
    ],
)
def test_bad_options(
    made: Any, model: type, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        made(model, **options)
