"""Weights of attributes: what the training interactions are worth for each, and what that does to the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guided_world import guided_of, history, quiet_training, quiet_world, write_table, write_world

from burnish.enhancers.conformance.reloading import read
from burnish.enhancers.guided import worth
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.worth import attribute_weights, attribute_worth


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores by who chose an item, so that users' items are alike: in pace very much, in wit somewhat."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    world = quiet_world("BPR", folder)
    draw, pairs = np.random.default_rng(0), history(world)
    tokens = [str(token) for token in world.dataset.field2id_token["item_id"]][1:]
    chose = [[user for user, item in pairs if item == number] for number in range(1, len(tokens) + 1)]
    by = np.array([np.mean(users) if users else 20.0 for users in chose])
    table = {"pace": by, "wit": by + 2 * draw.normal(size=len(by))}
    write_table(folder / "scores.tsv", "item_id", tokens, table)
    return folder


def weighed(folder: Path, model: str = "BPR", **options: Any) -> Any:
    enhancer = Guided(scores=str(folder / "scores.tsv"), weigh_by_value=True, **options)
    return quiet_world(model, folder, enhancer)


def by_hand(pairs: list[tuple[int, int]], scores: np.ndarray) -> np.ndarray:
    """Mean value by attribute: each other interaction of the user judges in turn, by the formula of docs/values.md."""
    centre = np.mean([scores[item] for item in sorted({item for _, item in pairs})], axis=0)
    total = np.zeros(scores.shape[1])
    for place, (user, item) in enumerate(pairs):
        mine = [other for k, (owner, other) in enumerate(pairs) if owner == user and k != place]
        if not mine:
            continue
        n = len(mine)  # players, while one of the others judges
        harmonic = sum(1 / k for k in range(1, n + 1))
        for judge in range(n):
            others = [scores[other] for k, other in enumerate(mine) if k != judge]
            mean = np.mean(others, axis=0) if others else 0.0
            x = scores[item]
            value = (x + (harmonic - 1) * (x - mean)) / n if others else x
            total += (scores[mine[judge]] - centre) * value / n
    return total / len(pairs)


def test_worth_by_a_loop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = weighed(folder)
    guided, pairs = guided_of(world), history(world)
    wanted = by_hand(pairs, guided.guided.double().numpy())
    users, items = torch.tensor(pairs).T
    found = attribute_worth(users, items, guided.guided)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)
    monkeypatch.setattr(worth, "_AT_ONCE", 50)
    np.testing.assert_allclose(attribute_worth(users, items, guided.guided).numpy(), wanted, atol=1e-9)
    assert (wanted > 0).all()
    above = np.clip(wanted, 0, None)
    (fusion,) = guided.fusions.values()
    np.testing.assert_allclose(fusion.weights.numpy(), np.sqrt(above / above.mean()), rtol=1e-5)


def test_an_attribute_that_nobody_follows_counts_little() -> None:
    """Users choose by the first attribute, whatever the second is."""
    draw = np.random.default_rng(0)
    scores = torch.from_numpy(draw.normal(size=(200, 2))).float()
    high = np.flatnonzero(scores[:, 0] > 0.5)
    low = np.flatnonzero(scores[:, 0] < -0.5)
    pairs = [(user, int(item)) for user in range(40) for item in draw.choice(high if user % 2 else low, 10)]
    users, items = torch.tensor(pairs).T
    weights = attribute_weights(users, items, scores, ("followed", "ignored"))
    assert float(weights.square().mean()) == pytest.approx(1, rel=1e-5)
    assert float(weights[0]) > 5 * float(weights[1])


def test_rows_have_scores_times_alpha_times_the_weight(folder: Path) -> None:
    """In two stages with a factor that is not trained the block is weighed by value alone, and as large as before."""
    world = weighed(folder, base="model", learn_alpha=False)
    guided = guided_of(world)
    plain = guided_of(
        quiet_world("BPR", folder, Guided(scores=str(folder / "scores.tsv"), base="model", learn_alpha=False))
    )
    (fusion,), (other,) = guided.fusions.values(), plain.fusions.values()
    weights = fusion.weights.double().numpy()
    assert abs(weights[0] - weights[1]) > 0.05
    for side, own, scale in (
        ("item", guided.guided, 1.0),
        ("user", guided.users, float(fusion.user_scale)),
    ):
        table = next(one for one in guided._anatomy.tables if one.side == side)
        centre = fusion.centre.double().numpy() if side == "item" else 0.0
        block = (read(table).detach().double().numpy() - centre)[1:] @ fusion.freed.double().numpy()
        for k in range(2):
            wanted = scale * float(fusion.alpha[k]) * weights[k] * own[1:, k].detach().double().numpy()
            np.testing.assert_allclose(block[:, k], wanted, atol=1e-5)
    assert float(fusion.alpha[0]) == pytest.approx(float(other.alpha[0]), rel=0.02)
    np.testing.assert_allclose(guided.start, plain.start)  # profiles are in standard deviations, as ever


def test_weights_stay_and_belong_to_the_checkpoint(folder: Path) -> None:
    world = weighed(folder)
    (fusion,) = guided_of(world).fusions.values()
    before = fusion.weights.clone()
    assert [name for name in world.model.state_dict() if name.endswith(".weights")]
    quiet_training(world)
    assert torch.equal(fusion.weights, before)
    assert bool((fusion.alpha != 0).all())
    plain = quiet_world("BPR", folder, Guided(scores=str(folder / "scores.tsv")))
    assert not [name for name in plain.model.state_dict() if name.endswith(".weights")]


def test_where_nothing_is_worth_anything_all_count_one(tmp_path: Path) -> None:
    users, items = torch.arange(5), torch.arange(5)  # one interaction each
    with pytest.warns(
        UserWarning, match=r"weigh_by_value: .* say nothing of 'pace', 'wit'.*every attribute counts 1"
    ):
        weights = attribute_weights(users, items, torch.randn(5, 2), ("pace", "wit"))
    assert weights.tolist() == [1.0, 1.0]
    none = torch.zeros(0, dtype=torch.long)
    assert attribute_worth(none, none, torch.randn(5, 2)).tolist() == [0.0, 0.0]
