"""What attributes add to a score, against formulas, a dense propagation, and enumeration of coalitions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guided_world import N_ITEMS, guided_of, history, quiet_training, quiet_world, write_table, write_world
from torch import Tensor

from burnish.enhancers.conformance.reloading import read
from burnish.enhancers.conformance.world import World
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.reasons import AttributeGame, contributions
from burnish.errors import UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    draw = np.random.default_rng(4)
    many = {f"a{k}": draw.integers(0, 10, N_ITEMS) for k in range(12)}
    write_table(folder / "many.tsv", "item_id", [f"i{n}" for n in range(1, N_ITEMS + 1)], many)
    return folder


def trained(model: str, folder: Path, *, base: str | None = None, **more: Any) -> World:
    options = {"epochs": 4, "learning_rate": 0.05, **more.pop("options", {})}
    enhancer = Guided(**{"scores": str(folder / "scores.tsv"), "base": base, **more})
    world = quiet_training(quiet_world(model, folder, enhancer, options=options))
    world.model.eval()
    return world


def own_score(world: World, user: int, item: int) -> float:
    """The model's score for a row of the data's own, without the enhancer's rows."""
    from recbole.data.interaction import Interaction

    columns = {"user_id": torch.tensor([user]), "item_id": torch.tensor([item])}
    if hasattr(world.model, "ITEM_SEQ"):
        columns |= sequence(world, user)
    for name, feat in ((user, world.dataset.user_feat), (item, world.dataset.item_feat)):
        if feat is not None and not hasattr(world.model, "ITEM_SEQ"):
            columns |= {key: value[name : name + 1] for key, value in feat.interaction.items()} | {
                key: columns[key] for key in ("user_id", "item_id")
            }
    with torch.no_grad():
        return float(world.model.eval().predict(Interaction(columns)))


def sequence(world: World, user: int) -> dict[str, Tensor]:
    """A user's training items in time, as the validation rows have them."""
    feat = world.valid._dataset.inter_feat
    (row,) = (feat["user_id"] == user).nonzero().flatten().tolist()
    return {name: feat[name][row : row + 1] for name in ("item_id_list", "item_length")}


def some_pairs(world: World) -> list[tuple[int, int]]:
    """Pairs that are not in the training data, whose items nobody's short history hides."""
    seen = set(history(world))
    return [(user, item) for user, item in ((1, 5), (7, 30), (12, 44), (20, 9)) if (user, item) not in seen]


@pytest.mark.parametrize("base", [None, "model"])
def test_bpr_by_the_formula(base: str | None, folder: Path) -> None:
    """Each attribute adds its column of the item's row times the user's: in two stages alpha^2 c g_u z_i."""
    world = trained("BPR", folder, base=base)
    guided = guided_of(world)
    (fusion,) = guided.fusions.values()
    alpha = fusion.strength.detach().tolist()
    assert max(map(abs, alpha)) > 1e-3
    for user, item in some_pairs(world):
        found = guided.contributions(user, item)
        assert found is not None
        assert found.additive
        assert (found.standard_error == 0).all()
        for k in range(2):
            z, g = float(guided.guided[item, k]), float(guided.users[user, k])
            if base is None:
                own = stored_row(world, "user", user)[k] + alpha[k] * g
            else:
                own = float(fusion.user_scale) * alpha[k] * g
            assert float(found.values[k]) == pytest.approx(alpha[k] * z * own, rel=1e-3, abs=1e-6)
        assert found.score == pytest.approx(own_score(world, user, item), rel=1e-6)
        assert float(found.values.sum()) + found.rest == pytest.approx(found.score, abs=1e-6)
        whole = float(found.values.abs().sum())
        assert found.share == pytest.approx(whole / (whole + abs(found.rest)))


def table_of(world: World, side: str) -> Any:
    return next(t for t in guided_of(world)._anatomy.tables if t.side == side)


def directions(world: World) -> np.ndarray:
    """`[m, d]`: by what one unit of each attribute moves the row of an item, as it is read; orthogonal."""
    guided, table = guided_of(world), table_of(world, "item")
    before = read(table).detach().double().numpy()
    found = []
    for k in range(len(guided.attributes)):
        with torch.no_grad():
            kept = guided.guided.clone()
            guided.guided[:, k] += 1.0
            world.model.train(world.model.training)  # what was read before is forgotten
            way = (read(table).detach().double().numpy() - before)[1:].mean(0)
            guided.guided.copy_(kept)
            world.model.train(world.model.training)
        found.append(way)
    lengths = np.linalg.norm(found, axis=1)
    assert (lengths > 1e-6).all()
    assert np.allclose(
        (np.array(found) @ np.array(found).T) / np.outer(lengths, lengths), np.eye(2), atol=1e-4
    )
    return np.array(found)


def stored_row(world: World, side: str, number: int) -> list[float]:
    return table_of(world, side).raw()[number].detach().tolist()


def test_lightgcn_by_a_dense_propagation(folder: Path) -> None:
    """Users near the item get its attributes, too, in the directions of these alone: still a sum over attributes."""
    world = trained("LightGCN", folder, base="model", learn_alpha=False)
    guided, ways = guided_of(world), directions(world)
    n_users, n_items = world.dataset.user_num, world.dataset.item_num
    graph = np.zeros((n_users + n_items,) * 2)
    for user, item in history(world):
        graph[user, n_users + item] = graph[n_users + item, user] = 1
    degree = graph.sum(1) + 1e-7
    graph = graph / np.sqrt(degree)[:, None] / np.sqrt(degree)[None, :]
    tables = np.vstack([read(table_of(world, side)).detach().double().numpy() for side in ("user", "item")])

    def vectors(rows: np.ndarray, user: int, item: int) -> tuple[np.ndarray, np.ndarray]:
        layers = [rows]
        for _ in range(world.config["n_layers"]):
            layers.append(graph @ layers[-1])
        mean = np.mean(layers, axis=0)
        return mean[user], mean[n_users + item]

    for user, item in [*some_pairs(world), history(world)[0]]:
        found = guided.contributions(user, item)
        assert found is not None
        without = tables.copy()
        without[n_users + item] -= guided.guided[item].double().numpy() @ ways
        (u, i), (u_without, i_without) = vectors(tables, user, item), vectors(without, user, item)
        units = ways / np.linalg.norm(ways, axis=1, keepdims=True)
        expected = (units @ u) * (units @ i) - (units @ u_without) * (units @ i_without)
        assert found.additive
        assert found.values.tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)
        assert found.score == pytest.approx(float(u @ i), rel=1e-4, abs=1e-5)
        assert found.rest == pytest.approx(float(u_without @ i_without), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec"])
def test_sequential_backbones_by_the_history_times_the_items_row(model: str, folder: Path) -> None:
    world = trained(model, folder, base="model", learn_alpha=False)
    guided, ways = guided_of(world), directions(world)
    pairs = [
        (user, item)
        for user, item in ((1, 5), (7, 30), (12, 44), (20, 9))
        if item not in sequence(world, user)["item_id_list"]
    ]
    assert len(pairs) >= 2
    for user, item in pairs:
        found = guided.contributions(user, item)
        assert found is not None
        row = read(table_of(world, "item"))[item].detach().double().numpy()
        with torch.no_grad():
            seen = world.model(*sequence(world, user).values())[0].double().numpy()
        expected = guided.guided[item].double().numpy() * (ways @ seen)
        assert found.additive
        assert found.values.tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)
        assert found.score == pytest.approx(own_score(world, user, item), rel=1e-5)
        assert found.rest == pytest.approx(float(row @ seen - expected.sum()), abs=1e-4)


def shapley_by_loops(worth: Any, m: int) -> list[float]:
    """Average over all orders of what each player adds to those before."""
    found = [0.0] * m
    orders = list(itertools.permutations(range(m)))
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            found[player] += worth(before | {player}) - worth(before)
    return [value / len(orders) for value in found]


def test_where_scores_are_no_sum_all_coalitions_are_asked(folder: Path) -> None:
    chosen = ("a1", "a4", "a5", "a9")
    world = trained(
        "DeepFM",
        folder,
        scores=str(folder / "many.tsv"),
        attributes=chosen,
        options={"mlp_hidden_size": [16, 16]},
    )
    guided = guided_of(world)
    for user, item in ((3, 8), (11, 40)):
        kept: dict[frozenset[int], float] = {}

        def worth(coalition: frozenset[int], user: int = user, item: int = item, kept: Any = kept) -> float:
            if coalition not in kept:
                own = guided.guided[item].clone()
                for k in set(range(4)) - coalition:
                    guided.guided[item, k] = 0.0
                kept[coalition] = own_score(world, user, item)
                guided.guided[item] = own
            return kept[coalition]

        expected = shapley_by_loops(worth, 4)
        found = guided.contributions(user, item)
        assert found is not None
        assert not found.additive
        assert found.values.tolist() == pytest.approx(expected, abs=1e-6)
        assert max(map(abs, expected)) > 1e-4
        assert found.rest == pytest.approx(worth(frozenset()), abs=1e-7)
        assert (found.standard_error == 0).all()


def test_many_attributes_are_sampled_and_still_sum_to_the_score(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burnish.enhancers.guided.reasons.BUDGET", 96)
    world = trained("DeepFM", folder, scores=str(folder / "many.tsv"), options={"embedding_size": 16})
    guided = guided_of(world)
    found, again = guided.contributions(3, 8), guided.contributions(3, 8)
    assert found is not None
    assert again is not None
    assert not found.additive
    assert torch.equal(found.values, again.values)
    assert float(found.values.sum()) + found.rest == pytest.approx(found.score, abs=1e-6)
    assert bool((found.standard_error > 0).any())


def test_reasons_are_named_sorted_and_sum_to_the_score(folder: Path) -> None:
    world = trained("BPR", folder, base="model")
    guided = guided_of(world)
    reasons = guided.explain(4, 17)
    assert reasons is not None
    assert {reason.evidence["attribute"] for reason in reasons} == {"pace", "wit"}
    assert [r.contribution for r in reasons] == sorted((r.contribution for r in reasons), reverse=True)
    score = own_score(world, 4, 17)
    assert sum(r.contribution for r in reasons) + reasons[0].evidence["rest"] == pytest.approx(
        score, abs=1e-6
    )
    for reason in reasons:
        name = reason.evidence["attribute"]
        assert reason.evidence["item_score"] == guided.profile("item", 17)[name]
        assert reason.evidence["user_score"] == guided.profile("user", 4)[name]
        assert reason.evidence["item"] == world.dataset.field2id_token["item_id"][17]
        assert f" in {name}" in reason.text


# ------------------------------------------------------------------ nothing is left behind


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "SGL", "SASRec", "KTUP"])
def test_explaining_changes_nothing(model: str, folder: Path) -> None:
    world = trained(model, folder, options={"epochs": 1})
    guided, user = guided_of(world), 3
    own_score(world, user, 8)  # fills what is kept between evaluations
    score = own_score(world, user, 8)
    before = {name: value.clone() for name, value in world.model.state_dict().items()}
    kept = {
        name: value.clone()
        for name, value in vars(world.model).items()
        if isinstance(value, Tensor) and not value.is_sparse
    }
    for module in world.model.modules():  # not by train(), which is where SGL draws graphs
        module.training = True
    graph = vars(world.model).get("sub_graph1")
    streams = torch.get_rng_state(), np.random.get_state()[1].copy()
    found = guided.contributions(user, 8)
    assert found is not None
    assert all(module.training for module in world.model.modules())
    assert vars(world.model).get("sub_graph1") is graph
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert np.array_equal(np.random.get_state()[1], streams[1])
    for name, value in world.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    for name, value in kept.items():
        assert torch.equal(getattr(world.model, name), value), name
    if model != "KTUP":  # it draws random numbers to predict
        assert own_score(world, user, 8) == score == pytest.approx(found.score, rel=1e-6)


def test_scores_are_put_back_when_predicting_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = trained("BPR", folder, options={"epochs": 1})
    guided = guided_of(world)
    before = guided.guided.clone()
    calls = []

    def predict(row: Any) -> Tensor:
        calls.append(guided.guided[9].clone())
        if len(calls) == 3:
            raise RuntimeError("the third question")
        return torch.zeros(1)

    monkeypatch.setattr(world.model, "predict", predict)
    world.model.train()
    with pytest.raises(RuntimeError, match="the third question"):
        guided.contributions(2, 9)
    assert (calls[0] == 0).all()  # the rest is the item with average attributes
    assert torch.equal(guided.guided, before)
    assert world.model.training


@pytest.mark.parametrize("model", ["DIEN", "GRU4RecCPR", "SASRecCPR"])
def test_backbones_that_cannot_be_explained_say_so(model: str, folder: Path) -> None:
    world = quiet_world(model, folder, Guided(scores=str(folder / "scores.tsv")))
    guided = guided_of(world)
    before = guided.guided.clone()
    with pytest.raises(UnsupportedError, match=f"cannot explain recommendations of {model}.*such as BPR"):
        guided.explain(3, 4)
    assert torch.equal(guided.guided, before)


def test_shan_is_explained_with_its_histories_the_other_way_round(folder: Path) -> None:
    world = trained("SHAN", folder, base="model", learn_alpha=False, options={"epochs": 1})
    found = guided_of(world).contributions(3, 4)
    assert found is not None
    assert float(found.values.abs().max()) > 0
    assert float(found.values.sum()) + found.rest == pytest.approx(found.score, abs=1e-6)


def test_a_user_without_history_has_no_reasons(folder: Path) -> None:
    guided = guided_of(quiet_world("SASRec", folder, Guided(scores=str(folder / "scores.tsv"))))
    assert guided.explain(0, 4) is None


def test_a_game_of_one_attribute(folder: Path) -> None:
    world = trained("BPR", folder, base="model", attributes=("wit",))
    guided = guided_of(world)
    row = guided._rows.row(3, 8, torch.device("cpu"))
    found = contributions(AttributeGame(world.model, guided.guided, row, 8))
    assert found.additive
    assert float(found.values[0]) == pytest.approx(found.score - found.rest, abs=1e-7)
