"""The enhancer `guided` on a backbone: scores by hand, starts, what trains, what it may not see, shipping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guided_world import (
    guided_of,
    history,
    less_user_means,
    quiet_training,
    quiet_world,
    reduced_by_hand,
    write_world,
)

from burnish.enhancers.attach import attach, enhance, split_enhanced
from burnish.enhancers.conformance.reloading import read
from burnish.enhancers.conformance.subject import copied_state
from burnish.enhancers.conformance.suite import check_enhancer
from burnish.enhancers.detach import detach
from burnish.enhancers.guided.guided import Guided
from burnish.errors import ConfigurationError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def scores(folder: Path) -> str:
    return str(folder / "scores.tsv")


def every_pair(world: Any) -> torch.Tensor:
    """Scores `[n_users, n_items]`, by the model's own ranking of all items."""
    from recbole.data.interaction import Interaction

    users = torch.arange(world.dataset.user_num)
    with torch.no_grad():
        found = world.model.eval().full_sort_predict(Interaction({"user_id": users}))
    return found.view(len(users), -1).clone()


# ------------------------------------------------------------------ where users start


@pytest.mark.parametrize("model", ["BPR", "SASRec", "DeepFM"])
@pytest.mark.parametrize("shrinkage", [5.0, 1.5])
def test_users_start_at_the_shrunk_mean_of_their_training_items(
    model: str, shrinkage: float, folder: Path, scores: str
) -> None:
    world = quiet_world(model, folder, Guided(scores=scores, shrinkage=shrinkage))
    guided = guided_of(world)
    rows: dict[int, list[int]] = {user: [] for user in range(world.dataset.user_num)}
    for user, item in history(world):
        rows[user].append(item)
    assert max(map(len, rows.values())) > 3
    for user, own in rows.items():
        for k in range(2):
            total = math.fsum(float(guided.guided[item, k]) for item in own)
            assert float(guided.start[user, k]) == pytest.approx(total / (len(own) + shrinkage), abs=1e-6)
    if model == "BPR":
        assert torch.equal(guided.users, guided.start)


# ------------------------------------------------------------------ two stages


def test_scores_of_two_stages_before_the_first_step(folder: Path, scores: str) -> None:
    """A trained BPR gets `guided` with base: model; its scores are those that the formula gives by hand."""
    world = quiet_training(quiet_world("BPR", folder, options={"epochs": 3}))
    plain = every_pair(world)
    users = world.model.user_embedding.weight.detach().double().numpy().copy()
    items = world.model.item_embedding.weight.detach().double().numpy().copy()
    recipe = split_enhanced(enhance("BPR", Guided(scores=scores, base="model")))[1]
    attach(world.model, recipe, world.config, world.train._dataset)
    guided = guided_of(world)
    expected = reduced_by_hand(users[1:], items[1:], guided.start[1:].numpy(), guided.guided[1:].numpy())
    found = less_user_means(every_pair(world)[1:, 1:].numpy())
    assert np.allclose(found, expected, atol=1e-5)
    (fusion,) = guided.fusions.values()
    for side, rows in sizes_of(guided):
        assert ratio_of_sizes(fusion, rows) == pytest.approx(1, rel=1e-4), side
    assert (fusion.alpha == fusion.alpha[0]).all()
    # what is stored is untouched, so it can be taken off again
    detach(world.model)
    assert torch.equal(every_pair(world), plain)


def test_the_reduced_base_alone_is_the_plain_scores_but_for_two_directions(folder: Path, scores: str) -> None:
    enhancer = Guided(scores=scores, base="model", control="pca")
    world = quiet_world("BPR", folder, enhancer)
    users, items = (t.weight.detach()[1:] for t in (world.model.user_embedding, world.model.item_embedding))
    centred = items - items.mean(0)
    left, sizes, right = torch.linalg.svd(centred, full_matrices=False)
    kept = left[:, :6] * sizes[:6] @ right[:6]
    found = less_user_means(every_pair(world)[1:, 1:].numpy())
    assert np.allclose(found, less_user_means((users @ kept.t()).numpy()), atol=1e-5)


def test_histories_of_sequential_backbones_pass_through_the_same_table(folder: Path, scores: str) -> None:
    world = quiet_world("SASRec", folder, Guided(scores=scores, base="model"))
    guided, stored = guided_of(world), world.model.item_embedding
    (table,) = (t for t in guided._anatomy.tables if t.side == "item")
    raw = table.raw().detach()[1:].double()
    left, sizes, right = torch.linalg.svd(raw - raw.mean(0), full_matrices=False)
    rows = stored(torch.arange(world.dataset.item_num)).detach().double()
    (fusion,) = guided.fusions.values()
    freed, apart = fusion.freed.double(), rows[1:] - raw.mean(0)
    kept = apart - apart @ freed @ freed.t()
    assert torch.allclose(kept, (left * sizes)[:, :6] @ right[:6], atol=1e-5)
    alpha = float((kept.square().sum() / (6 * len(kept)) / guided.guided[1:].double().square().mean()).sqrt())
    assert torch.allclose(apart @ freed, alpha * guided.guided[1:].double(), rtol=1e-4, atol=1e-6)
    assert not guided._item_of
    assert [name for name, _ in guided.named_parameters()] == ["fusions.item_embedding-weight.alpha"]
    seen = torch.tensor([[3, 9, 0], [3, 0, 0]])
    assert torch.allclose(stored(seen)[:, 0].detach(), rows[[3, 3]].float(), atol=1e-7)


def sizes_of(guided: Guided) -> list[tuple[str, torch.Tensor]]:
    """Refined rows of both sides, items' less the centre of their stored ones."""
    found = []
    for table in guided._anatomy.tables:
        rows = read(table).detach()[1:].double()
        centre = table.raw().detach()[1:].double().mean(0) if table.side == "item" else 0.0
        found.append((table.side, rows - centre))
    return found


def ratio_of_sizes(fusion: Any, rows: torch.Tensor) -> float:
    """Root mean square a coordinate along the freed directions, over that along the others."""
    block = rows @ fusion.freed.double()
    m, width = block.shape[1], rows.shape[1]
    rest = (rows.square().sum() - block.square().sum()) / (len(rows) * (width - m))
    return float((block.square().mean() / rest).sqrt())


def test_balance_is_the_ratio_of_sizes(folder: Path, scores: str) -> None:
    world = quiet_world("BPR", folder, Guided(scores=scores, base="model", balance=0.3))
    (fusion,) = guided_of(world).fusions.values()
    for side, rows in sizes_of(guided_of(world)):
        assert ratio_of_sizes(fusion, rows) == pytest.approx(0.3, rel=1e-4), side


# ------------------------------------------------------------------ training


def test_the_anchor_is_the_squared_distance_of_the_batchs_users(folder: Path, scores: str) -> None:
    world = quiet_world("BPR", folder, Guided(scores=scores, weight=0.5))
    guided, batch = guided_of(world), world.batch()
    plain = float(world.model.train().calculate_loss(batch))  # alpha is 0, and nobody has moved
    assert plain == pytest.approx(float(quiet_world("BPR", folder).model.calculate_loss(batch)), rel=1e-6)
    with torch.no_grad():
        guided.users.add_(torch.randn(guided.users.shape, generator=torch.Generator().manual_seed(1)))
    users = batch["user_id"].tolist()
    expected = [
        math.fsum((float(guided.users[u, k]) - float(guided.start[u, k])) ** 2 for k in range(2))
        for u in users
    ]
    assert guided.loss(batch)["anchor"].tolist() == pytest.approx(expected, rel=1e-5)
    anchored = float(world.model.calculate_loss(batch))
    assert anchored - plain == pytest.approx(0.5 * math.fsum(expected) / len(users), rel=1e-4)


@pytest.mark.parametrize("base", [None, "model"])
def test_users_and_alpha_train_and_items_do_not(base: str | None, folder: Path, scores: str) -> None:
    world = quiet_world("BPR", folder, Guided(scores=scores, base=base), options={"epochs": 3})
    guided = guided_of(world)
    before = {name: value.clone() for name, value in guided.named_buffers()}
    alpha = {key: fusion.alpha.detach().clone() for key, fusion in guided.fusions.items()}
    raw = world.model.item_embedding.weight.detach().clone()
    quiet_training(world)
    for name, value in guided.named_buffers():
        assert torch.equal(value, before[name]), name
    seen = sorted({user for user, _ in history(world)})
    assert bool(((guided.users - guided.start).abs()[seen].sum(1) > 0).all())
    assert torch.equal(guided.users[0], guided.start[0])
    for key, fusion in guided.fusions.items():
        assert bool((fusion.alpha != alpha[key]).all())
    assert not torch.equal(world.model.item_embedding.weight, raw)  # the base goes on training


def test_a_strong_anchor_keeps_users_where_they_were(folder: Path, scores: str) -> None:
    def moved(weight: float) -> float:
        world = quiet_world("BPR", folder, Guided(scores=scores, base="model", weight=weight))
        guided = guided_of(quiet_training(world))
        return float((guided.users - guided.start).detach().norm())

    assert moved(10.0) < 0.5 * moved(0.0)


def test_users_can_be_left_alone(folder: Path, scores: str) -> None:
    world = quiet_world("BPR", folder, Guided(scores=scores, users=False))
    guided = guided_of(world)
    assert "users" not in dict(guided.named_parameters())
    refined = {table.name for table in guided._anatomy.tables if guided.refines(table)}
    assert refined == {"item_embedding.weight"}
    assert guided.loss(world.batch()) == {}
    assert set(guided.row_tensors()) == {"guided", "start"}
    quiet_training(world)


def test_alpha_can_be_held(folder: Path, scores: str) -> None:
    guided = guided_of(
        quiet_training(quiet_world("BPR", folder, Guided(scores=scores, base="model", learn_alpha=False)))
    )
    (fusion,) = guided.fusions.values()
    assert not fusion.alpha.requires_grad
    assert float(fusion.alpha[0]) == float(fusion.alpha[1]) > 0


def test_two_trainings_are_equal_bit_for_bit(folder: Path, scores: str) -> None:
    for control in ("none", "random", "permuted"):
        one, other = (
            quiet_training(quiet_world("BPR", folder, Guided(scores=scores, base="model", control=control)))
            for _ in range(2)
        )
        for name, value in copied_state(one.model).items():
            assert torch.equal(value, other.model.state_dict()[name]), (control, name)


# ------------------------------------------------------------------ what it may not see


@pytest.mark.parametrize("model", ["BPR", "SASRec", "LightGCN", "DeepFM"])
def test_other_splits_change_nothing(model: str, folder: Path, scores: str) -> None:
    """Validation and test rows are swapped for others before the model is built, and it is trained for an epoch."""
    from recbole.utils import init_seed

    states = []
    for change in (False, True):
        world = quiet_world(model, folder, Guided(scores=scores, base="model"))
        if change:
            for part in (world.valid, world.test):
                feat = part._dataset.inter_feat
                for column in feat.interaction.values():
                    if not column.is_floating_point():
                        column.copy_(column.flip(0))
                feat[world.config["ITEM_ID_FIELD"]].fill_(1)
        init_seed(world.config["seed"], world.config["reproducibility"])
        world.model = type(world.model)(world.config, world.train._dataset)
        guided = guided_of(world)
        start = {"start": guided.start.clone(), "guided": guided.guided.clone()}
        assert start["start"].abs().max() > 0
        optimizer = torch.optim.Adam([p for p in world.model.parameters() if p.requires_grad], 0.01)
        init_seed(world.config["seed"], world.config["reproducibility"])
        world.model.begin_epoch(0)
        for batch in world.train:
            optimizer.zero_grad()
            world.model.calculate_loss(batch).backward()
            optimizer.step()
        states.append({**start, **copied_state(world.model)})
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


# ------------------------------------------------------------------ the rest


def test_profiles_are_sorted_and_named(folder: Path, scores: str) -> None:
    guided = guided_of(quiet_training(quiet_world("BPR", folder, Guided(scores=scores))))
    for side, values in (("item", guided.guided), ("user", guided.users)):
        found = guided.profile(side, 4)
        assert found == {name: pytest.approx(float(values[4, k])) for k, name in enumerate(guided.attributes)}
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_a_loop_of_ones_own_cannot_train_a_base_and_says_what_can(folder: Path, scores: str) -> None:
    world = quiet_world("BPR", folder, Guided(scores=scores, base="auto"))
    with pytest.raises(ConfigurationError, match=r"base = 'auto' is trained or read where a run.*one stage"):
        world.model.begin_epoch(0)


def test_run_recbole_itself(
    folder: Path, scores: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging
    import sys

    from recbole.quick_start import run_recbole

    from burnish.enhancers.conformance.presets import preset

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    options = {**preset("BPR"), "data_path": str(folder), "enhancers": {"guided": {"scores": scores}}}
    try:
        found = run_recbole(model="BPR", dataset="conformance", config_dict=options, saved=False)
        assert found["test_result"]
        options["enhancers"] = {"guided": {"scores": scores, "base": "auto"}}
        found = run_recbole(model="BPR", dataset="conformance", config_dict=options, saved=False)
        assert found["test_result"]
    finally:
        logging.getLogger().setLevel(level)
        logging.getLogger().handlers[:] = handlers


# ------------------------------------------------------------------ promises


def promises() -> list[Any]:
    """Every promise, one stage and two; starting two processes takes seconds, so on one backbone only."""
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="burnish-guided-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = str(write_world(folder))
    one = check_enhancer(
        Guided(scores=file), backbones=["BPR", "LightGCN", "MultiVAE", "SASRec"], folder=folder
    )
    two = check_enhancer(
        Guided(scores=file, base="model"),
        backbones=["BPR", "SASRec"],
        folder=folder,
        expected_failed={"identity at start": "two stages begin with reduced tables"},
    )
    return [
        check
        for check in [*one, *two]
        if check.name != "two processes"
        or (check.subject.backbone.__name__ == "BPR" and check.subject.enhancers[0].config.base)
    ]


def _id(check: Any) -> str:
    """Without the folder, so that two processes that share the tests know them by the same names."""
    stages = "two stages" if check.subject.enhancers[0].config.base else "one stage"
    return f"{check.subject.backbone.__name__}-{stages}-{check.name}"


@pytest.mark.parametrize("check", promises(), ids=_id)
def test_promises(check: Any) -> None:
    assert check().status in ("passed", "not applicable", "expected failure")
