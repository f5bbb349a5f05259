"""Games by their definitions, and histories through real backbones against lists written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from burnish import RVRec, enhance
from burnish.enhancers.conformance.world import World, build_world
from burnish.enhancers.shapley.estimators import enumeration, permutation
from burnish.enhancers.shapley.games import Game, checked
from burnish.enhancers.shapley.history_games import HistoryGame, log_likelihood, margin, tail_share
from burnish.enhancers.shapley.score_game import ScoreGame
from burnish.enhancers.shapley.value_history import value_history
from burnish.errors import ConfigurationError, DataError, NonFiniteError, UnknownNameError, UnsupportedError

SEQUENTIAL = [
    "SASRec",
    "GRU4Rec",
    "NARM",
    "STAMP",
    "BERT4Rec",
    "Caser",
    "SRGNN",
    "FDSA",
    "GRU4RecF",
    "FPMC",
    "SHAN",
]
AUTOENCODERS = ["MultiVAE", "MultiDAE", "CDAE", "RecVAE", "MacridVAE", "DiffRec"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


def a_user(world: World, least: int = 3) -> str:
    """The token of a user with some training interactions."""
    data, field = world.train.dataset, world.config["USER_ID_FIELD"]
    users, counts = data.inter_feat[field].unique(return_counts=True)
    return str(data.id2token(field, int(users[counts >= least][0])))


def game_of(name: Any, folder: Path, **options: Any) -> tuple[World, HistoryGame]:
    world = build_world(name, folder)
    return world, HistoryGame.of_user(world.model, world.train.dataset, a_user(world), **options)


class SumGame:
    """The sum of what the members bring, in float32."""

    outputs = ("x",)

    def __init__(self, brought: Tensor) -> None:
        self.brought = brought
        self.n_players = len(brought)

    def __call__(self, masks: Tensor) -> Tensor:
        return masks.float() @ self.brought


def test_checked_names_what_is_wrong() -> None:
    game = SumGame(torch.full((2, 1), 3e38))  # finite alone, not together
    assert isinstance(game, Game)
    torch.testing.assert_close(checked(game, torch.tensor([[False, True]])), torch.tensor([[3e38]]))
    with pytest.raises(
        NonFiniteError, match=r"as 'x' of the coalition of 2 players \[0, 1\] \(mask 0 of 1\)"
    ):
        checked(game, torch.tensor([[True, True]]))
    with pytest.raises(ConfigurationError, match=r"takes bool \[n_masks, 2\]"):
        checked(game, torch.ones(1, 2))


def test_objectives_by_hand() -> None:
    scores = torch.tensor([[9.0, 1.0, 2.0, 3.0, 4.0]])
    share = torch.tensor([1.0, 2.0, 3.0, 4.0]).softmax(0)
    held = torch.tensor([4, 1])
    torch.testing.assert_close(log_likelihood(held)(scores), (share[3].log() + share[0].log()).view(1) / 2)
    torch.testing.assert_close(margin(torch.tensor([4]))(scores), torch.tensor([1.5 / 1.25**0.5]))
    popularity = torch.tensor([0, 5, 1, 9, 2])
    torch.testing.assert_close(tail_share(popularity)(scores), (share[1] + share[3]).view(1))


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_members_are_the_history_of_a_sequential_model(name: str, folder: Path) -> None:
    world, game = game_of(name, folder)
    model = world.model.eval()
    n = game.n_players
    kept = [place for place in range(n) if place != n - 2] if n > 1 else [0]
    mask = torch.zeros(1, n, dtype=torch.bool)
    mask[0, kept] = True
    row = {key: value.unsqueeze(0).clone() for key, value in game.row.items()}
    for key in (k for k in row if k.endswith(world.config["LIST_SUFFIX"])):
        lists = torch.zeros_like(row[key])
        lists[0, : len(kept)] = row[key][0, kept]
        row[key] = lists
    row[model.ITEM_SEQ_LEN] = torch.tensor([len(kept)])
    with torch.no_grad():
        expected = model.full_sort_predict(Interaction(row)).view(1, -1)
        torch.testing.assert_close(game.scores(mask), expected)
    every = checked(game, torch.stack([torch.ones(n), torch.zeros(n)]).bool())
    assert every.shape == (2, 3)
    assert n == 1 or not torch.equal(every[0], every[1])


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_shorter_lists_give_the_same_scores(name: str, folder: Path) -> None:
    """Lists are cut where the model takes no notice: never those of Caser, and never the empty one of SASRec."""
    world, game = game_of(name, folder)
    n = game.n_players
    masks = torch.rand(40, n, generator=torch.Generator().manual_seed(0)) < torch.linspace(
        0, 1, 40
    ).unsqueeze(1)
    masks[0] = False
    with torch.no_grad():
        world.model.eval()
        expected = torch.stack([value(game.scores(masks)) for value in game.objectives.values()], dim=1)
    found = game(masks)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert game.shorter == {"SASRec": True, "GRU4Rec": True, "Caser": False}.get(name, game.shorter)


def test_lists_that_a_transform_makes_are_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SHAN is trained on lists with the padding in front, and RecBole ranks by others; here it ranks by the former."""
    world, _ = game_of("SHAN", folder)
    model, data = world.model, world.train.dataset
    monkeypatch.setattr(
        type(model),
        "full_sort_predict",
        lambda self, rows: (
            self.forward(rows["Inverse_item_id_list"], rows["user_id"]) @ self.item_embedding.weight.T
        ),
    )
    with torch.no_grad():
        model.item_embedding.weight[1:] += torch.randn(
            model.n_items - 1, 1, generator=torch.Generator().manual_seed(0)
        )
    user = a_user(world)
    judged, asked = HistoryGame.of_user(model, data, user), ScoreGame.for_item(model, data, user, "i9")
    for game in (judged, asked):
        n, longest = game.n_players, len(game.row["item_id_list"])
        mask = torch.arange(n).unsqueeze(0) > 0
        lists = torch.zeros(1, longest, dtype=torch.long)
        lists[0, longest - n + 1 :] = game.history[1:]
        with torch.no_grad():
            scores = model.eval()(lists, game.row["user_id"].view(1)) @ model.item_embedding.weight.T
            wanted = [float(value(scores)) for value in game.objectives.values()]
        assert n > 1
        assert game(mask)[0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_a_history_is_scored_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, game = game_of("SASRec", folder, batch=4)
    real, scored = world.model.full_sort_predict, []
    monkeypatch.setattr(game, "_scorer", lambda rows: scored.append(rows[world.model.ITEM_SEQ]) or real(rows))
    game.shorter = True
    n = game.n_players
    masks = torch.cat([~torch.eye(n, dtype=torch.bool), torch.ones(3, n, dtype=torch.bool)])
    first = game(masks)
    assert sum(map(len, scored)) == n + 1
    assert all(int((rows != 0).sum(1).max()) == rows.shape[1] for rows in scored)
    again = game(torch.cat([torch.zeros(1, n, dtype=torch.bool), masks.flip(0)]))
    torch.testing.assert_close(again[1:], first.flip(0), rtol=0, atol=0)
    assert sum(map(len, scored)) == n + 2
    assert scored[-1].shape[1] == len(game.row[world.model.ITEM_SEQ])


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_members_are_the_row_of_an_autoencoder(name: str, folder: Path) -> None:
    world, game = game_of(name, folder)
    model = world.model
    data = world.train.dataset
    user = game.row[model.USER_ID]
    items = data.inter_feat[model.ITEM_ID][data.inter_feat[model.USER_ID] == user].unique()
    assert game.held_out is not None
    assert torch.equal(torch.cat([game.history, game.held_out]).sort().values, items)
    # With the held-out items as players too, everybody together is what the model itself predicts.
    whole = HistoryGame(model, game.row, items, {"first": lambda scores: scores[:, 1]})
    model.eval()
    from burnish.randomness import forked_randomness

    with torch.no_grad(), forked_randomness(0, torch.device("cpu")):
        scores = model.full_sort_predict(Interaction({model.USER_ID: user.view(1)})).view(-1)
    torch.testing.assert_close(whole(torch.ones(1, len(items), dtype=torch.bool))[0, 0], scores[1])
    assert "get_rating_matrix" not in vars(model)
    ends = checked(game, torch.stack([torch.ones(game.n_players), torch.zeros(game.n_players)]).bool())
    assert not torch.equal(ends[0], ends[1])


def test_values_of_a_history_and_nothing_else_changes(folder: Path) -> None:
    world, game = game_of(enhance("SASRec", RVRec()), folder, batch=3)
    world.model.train()
    state = {key: value.clone() for key, value in world.model.state_dict().items()}
    before = torch.random.get_rng_state()
    valuation = enumeration.estimate(game) if game.n_players <= 8 else permutation.estimate(game)
    ends = game(torch.stack([torch.zeros(game.n_players), torch.ones(game.n_players)]).bool())
    torch.testing.assert_close(valuation.values.sum(0), (ends[1] - ends[0]).double(), rtol=1e-4, atol=1e-5)
    assert world.model.training
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in world.model.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", ["SASRec", "MultiVAE"])
def test_the_score_of_one_recommendation(name: str, folder: Path) -> None:
    world = build_world(name, folder)
    data, user = world.train.dataset, a_user(world)
    item = str(data.id2token(world.config["ITEM_ID_FIELD"], 2))
    game = ScoreGame.for_item(world.model, data, user, item)
    model = world.model.eval()
    mine = data.inter_feat[model.USER_ID] == data.token2id(model.USER_ID, user)
    longest = world.config["MAX_ITEM_LIST_LENGTH"] if name == "SASRec" else 10**6
    assert game.n_players == min(len(_all_items(data, model, mine)), longest)
    assert game.outputs == ("score",)
    valuation = permutation.estimate(game, budget=300, seed=0)
    everybody, nobody = (torch.full((1, game.n_players), value, dtype=torch.bool) for value in (True, False))
    gain = (game(everybody) - game(nobody))[0].double()
    torch.testing.assert_close(valuation.values.sum(0), gain, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(game(everybody)[0, 0], game.scores(everybody)[0, 2].detach())


@pytest.mark.parametrize("name", ["SASRec", "MultiVAE"])
def test_a_history_is_valued_by_its_games(name: str, folder: Path) -> None:
    world = build_world(name, folder)
    data, user = world.train.dataset, a_user(world)
    game = HistoryGame.of_user(world.model, data, user, seed=3)
    valued = value_history(world.model, data, user, estimator="permutation", budget=300, seed=3)
    torch.testing.assert_close(valued.values, permutation.estimate(game, budget=300, seed=3).values)
    assert valued.outputs == ("accuracy", "margin", "tail")
    assert valued.players is not None
    assert valued.players["user"].unique().tolist() == [user]
    item_field = world.config["ITEM_ID_FIELD"]
    assert [data.token2id(item_field, item) for item in valued.players["item"]] == game.history.tolist()
    # One recommendation, by all coalitions where the history is short; the values sum to what the history adds.
    item = str(data.id2token(item_field, 2))
    score = ScoreGame.for_item(world.model, data, user, item)
    valued = value_history(world.model, data, user, item)
    assert valued.outputs == ("score",)
    assert valued.evaluations == 2**score.n_players if score.n_players <= 10 else valued.evaluations <= 2048
    ends = score(torch.tensor([[False], [True]]).expand(2, score.n_players)).double()
    torch.testing.assert_close(valued.values.sum(0), ends[1] - ends[0], rtol=1e-4, atol=1e-5)
    assert valued.summary().most["item"][0] in set(valued.players["item"])


def test_what_cannot_be_valued_is_refused(folder: Path) -> None:
    world = build_world("SASRec", folder)
    data, user = world.train.dataset, a_user(world)
    with pytest.raises(UnknownNameError, match=r"'permutaton' is not known. Did you mean 'permutation'"):
        value_history(world.model, data, user, estimator="permutaton")
    with pytest.raises(UnknownNameError, match=r"^item 'nothing'"):
        value_history(world.model, data, user, "nothing")
    with pytest.raises(ConfigurationError, match="smallest that works"):
        value_history(world.model, data, user, estimator="multilinear", budget=1)


def _all_items(data: Any, model: Any, mine: Tensor) -> set[int]:
    items = set(data.inter_feat[model.ITEM_ID][mine].tolist())
    if hasattr(model, "ITEM_SEQ"):
        items |= set(data.inter_feat[model.ITEM_SEQ][mine].flatten().tolist()) - {0}
    return items


def test_what_has_no_history_is_refused(folder: Path) -> None:
    world = build_world("BPR", folder)
    with pytest.raises(UnsupportedError, match="BPR does not encode a user's history"):
        HistoryGame.of_user(world.model, world.train.dataset, a_user(world))
    world = build_world("MultiVAE", folder)
    data, user = world.train.dataset, a_user(world)
    with pytest.raises(UnknownNameError, match="nobody"):
        HistoryGame.of_user(world.model, data, "nobody at all")
    with pytest.raises(ConfigurationError, match="held_out = 2"):
        HistoryGame.of_user(world.model, data, user, held_out=2)
    row = {world.model.USER_ID: torch.tensor(1)}
    with pytest.raises(DataError, match="history is empty"):
        HistoryGame(world.model, row, torch.tensor([], dtype=torch.long), {"x": margin(torch.tensor([1]))})
    with pytest.raises(ConfigurationError, match="objectives is empty"):
        HistoryGame(world.model, row, torch.tensor([1]), {})
    with pytest.raises(DataError, match="item = 0"):
        ScoreGame(world.model, row, torch.tensor([1]), 0)
