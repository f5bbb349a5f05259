"""EMF against loops, its neighbours, its reasons, and EMF in RecBole."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from review_world import NAME, build, rows_of, write_reviews

import burnish
from burnish.backbones import neighbours
from burnish.backbones.emf import EMF
from burnish.backbones.neighbours import nearest_rows, rating_matrix
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, DataError

OPTIONS = {"n_neighbours": 3, "explain_weight": 0.3, "reg_weight": 0.2}


def world_of(folder: Path, rows: Any = None, **options: Any) -> Any:
    made = build("EMF", write_reviews(folder, rows), **{**OPTIONS, **options})
    made.model.double()
    with torch.no_grad():
        for table in (made.model.user_embedding, made.model.item_embedding):
            table.weight.normal_(generator=torch.Generator().manual_seed(3))
    return made


# ---------------------------------------------------------------------- loops


def training(world: Any) -> dict[int, dict[int, float]]:
    """Ratings by user and item."""
    frame, found = world.train.dataset.inter_feat, {}
    for user, item, rating in zip(
        *(frame[c].tolist() for c in ("user_id", "item_id", "rating")), strict=True
    ):
        found.setdefault(user, {}).setdefault(item, []).append(rating)
    return {user: {item: sum(r) / len(r) for item, r in rated.items()} for user, rated in found.items()}


def cosine(one: dict[int, float], other: dict[int, float]) -> float:
    product = sum(rating * other.get(item, 0) for item, rating in one.items())
    sizes = [math.sqrt(sum(rating**2 for rating in rated.values())) for rated in (one, other)]
    return product / (sizes[0] * sizes[1])


def neighbours_of(ratings: dict[int, dict[int, float]], user: int, most: int) -> list[int]:
    similar = {v: cosine(ratings[user], ratings[v]) for v in ratings if v != user}
    kept = [v for v in similar if round(similar[v], 12) > 0]
    return sorted(kept, key=lambda v: (-round(similar[v], 12), v))[:most]


def explainability(ratings: dict[int, dict[int, float]], user: int, item: int, most: int) -> float:
    near = neighbours_of(ratings, user, most)
    return sum(ratings[v].get(item, 0) for v in near) / len(near) if near else 0


def objective(world: Any, batch: Any, most: int, theta: float) -> float:
    """J over the rows of a batch, divided by their number."""
    model, ratings = world.model, training(world)
    total = 0.0
    for user, item, r in zip(*(batch[c].tolist() for c in ("user_id", "item_id", "rating")), strict=True):
        p, q = model.user_embedding.weight[user].tolist(), model.item_embedding.weight[item].tolist()
        w = explainability(ratings, user, item, most)
        w = w if w > theta else 0
        found = model.centre + sum(a * b for a, b in zip(p, q, strict=True))
        total += (r - found) ** 2
        total += model.reg_weight / 2 * (sum(a * a for a in p) + sum(b * b for b in q))
        total += model.explain_weight / 2 * sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) * w
    return total / len(batch)


@pytest.mark.parametrize(("centre", "theta"), [(False, 0.0), (True, 1.5)])
def test_the_loss_is_that_of_loops(centre: bool, theta: float, tmp_path: Path) -> None:
    world = world_of(tmp_path, centre=centre, explain_threshold=theta)
    batch = world.batch()
    expected = objective(world, batch, 3, theta)
    assert float(world.model.calculate_loss(batch)) == pytest.approx(expected, rel=1e-6)
    assert world.model.centre == pytest.approx(world.model.mean * centre)
    weights = world.model.closeness
    assert bool((weights > 0).any())
    assert bool((weights == 0).any())
    assert bool(((weights == 0) | (weights > theta)).all())


def test_neighbours_in_blocks_are_those_of_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(tmp_path)
    ratings, n_items = training(world), world.model.n_items
    whole = world.model.explainability
    for part in (1, 40):
        monkeypatch.setattr(neighbours, "PART", part)
        again = world_of(tmp_path).model
        torch.testing.assert_close(again.explainability, whole)
        for user in ratings:
            first, last = again._near.indptr[user : user + 2]
            assert again._near.indices[first:last].tolist() == neighbours_of(ratings, user, 3)
    for pair, found in zip(world.model.pairs.tolist(), whole.tolist(), strict=True):
        expected = explainability(ratings, pair // n_items, pair % n_items, 3)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_repeated_ratings_count_by_their_mean_and_a_rating_of_nought_is_one() -> None:
    made = rating_matrix([1, 1, 1, 2], [1, 1, 2, 2], [1.0, 4.0, 0.0, 2.0], (3, 3))
    assert made.nnz == 3
    assert made[1, 1] == 2.5
    assert nearest_rows(made, 5).nnz == 0  # (2.5, 0) and (0, 2) have nothing in common
    near = nearest_rows(rating_matrix([0, 1, 2, 2], [0, 0, 0, 1], [5, 1, 3, 4], (4, 2)), 1)
    assert near.toarray().argmax(1).tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(near.data, [1, 1, 0.6])


def test_predictions_are_products_and_read_no_rating(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    model, batch = world.model.eval(), next(iter(world.test))[0]
    before = model.predict(batch)
    batch["rating"] = 6 - batch["rating"]
    assert torch.equal(model.predict(batch), before)
    users = torch.arange(1, model.n_users)
    every = model.rate_all(users)
    expected = model.user_embedding.weight[1:] @ model.item_embedding.weight.T
    torch.testing.assert_close(every, expected)
    torch.testing.assert_close(super(EMF, model).rate_all(users), every)


def test_test_ratings_change_nothing(tmp_path: Path) -> None:
    rows = rows_of()
    first = world_of(tmp_path / "a", rows)
    held = {
        (part.dataset.id2token("user_id", int(u)), part.dataset.id2token("item_id", int(i)))
        for part in (first.test, first.valid)
        for u, i in zip(part.dataset.inter_feat["user_id"], part.dataset.inter_feat["item_id"], strict=True)
    }
    changed = [(u, i, 6 - r if (u, i) in held else r, t, text) for u, i, r, t, text in rows]
    assert changed != rows
    other = world_of(tmp_path / "b", changed)
    assert torch.equal(first.model.explainability, other.model.explainability)
    assert float(first.model.calculate_loss(first.batch())) == float(
        other.model.calculate_loss(other.batch())
    )


# ---------------------------------------------------------------------- reasons


def test_reasons_count_the_neighbours_ratings(tmp_path: Path) -> None:
    world = world_of(tmp_path, n_neighbours=5)
    model, ratings = world.model, training(world)
    users, items = (world.dataset.field2id_token[f] for f in ("user_id", "item_id"))
    some = 0
    for user in ratings:
        near = neighbours_of(ratings, user, 5)
        for item in range(1, model.n_items):
            reasons = model.explain(user, item)
            given = {v: ratings[v][item] for v in near if item in ratings[v]}
            assert sum(r.contribution for r in reasons) == pytest.approx(len(given) / len(near))
            assert [r.contribution for r in reasons] == sorted(
                (r.contribution for r in reasons), reverse=True
            )
            for reason in reasons:
                some += 1
                mine = [v for v in near if given.get(v) == reason.evidence["rating"]]
                assert reason.kind == "neighbour"
                assert reason.evidence["neighbours"] == [users[v] for v in mine]
                assert reason.evidence["similarities"] == pytest.approx(
                    [cosine(ratings[user], ratings[v]) for v in mine]
                )
                assert reason.evidence["expected_rating"] == pytest.approx(sum(given.values()) / len(near))
                assert reason.text.startswith(f"{len(mine)} of the {len(near)} people")
                assert reason.text.endswith(f"rated item {items[item]} {reason.evidence['rating']:g}.")
    assert some > 50


def test_nobody_to_ask_means_no_reasons(tmp_path: Path) -> None:
    rows = rows_of()
    rows += [("alone", "odd", 4.0, k, "") for k in range(5)]
    model = world_of(tmp_path, rows).model
    user, item = (
        list(tokens).index(name) for tokens, name in zip(model._tokens, ("alone", "odd"), strict=True)
    )
    assert model.explain(user, item) == model.explain(user, 1) == model.explain(1, item) == []
    assert model.no_reason(user, 1) == "no other user has rated what this user has rated"
    assert str(model.no_reason(1, item)).startswith("none of the 3 users")
    rated = next(i for i in range(1, model.n_items) if model.explain(1, i))
    assert model.no_reason(1, rated) is None
    assert bool((model.closeness_of(torch.tensor([user]), torch.tensor([item])) == 0).all())


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (99, 1), (1, -1)])
def test_ids_that_are_none(pair: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="internal ids"):
        world_of(tmp_path).model.explain(*pair)


@pytest.mark.parametrize("option", [{"n_neighbours": 0}, {"explain_weight": -1.0}, {"embedding_size": 2.5}])
def test_options_that_cannot_be(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        world_of(tmp_path, **option)


# ---------------------------------------------------------------------- in RecBole


def options(folder: Path) -> dict[str, Any]:
    return {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "epochs": 3,
        "embedding_size": 8,
    }


def test_run_and_quick_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.quick_start import run_recbole

    assert find_backbone("EMF") is EMF
    write_reviews(tmp_path)
    result = burnish.run("EMF", NAME, config=options(tmp_path), show_progress=False)
    assert 0 < result.test_result["rmse"] < 3
    assert result.model.explain(1, 1) is not None
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.chdir(tmp_path)
    found = run_recbole("EMF", NAME, config_dict=options(tmp_path) | {"show_progress": False})
    assert set(found["test_result"]) == {"rmse", "mae"}


def test_it_begins_at_the_mean_and_learns(tmp_path: Path) -> None:
    model = build("EMF", write_reviews(tmp_path), embedding_size=64).model
    users = torch.arange(1, model.n_users)
    torch.testing.assert_close(model.rate_all(users)[:, 1:].mean().item(), model.mean, rtol=0.03, atol=0)
    result = burnish.run(
        "EMF", NAME, config=options(tmp_path) | {"epochs": 40, "learning_rate": 0.02}, show_progress=False
    )
    assert result.losses[-1] < 0.5 * result.losses[0]


def test_an_enhancer_attaches(tmp_path: Path) -> None:
    from burnish import RVRec, enhance

    write_reviews(tmp_path)
    plain = build("EMF", tmp_path)
    enhanced = build(enhance("EMF", RVRec()), tmp_path)
    tables = {table.name: table.side for table in enhanced.model.enhancers.anatomy.tables}
    assert tables == {"user_embedding.weight": "user", "item_embedding.weight": "item"}
    users = torch.arange(1, plain.model.n_users)
    assert torch.equal(plain.model.rate_all(users), enhanced.model.eval().rate_all(users))
    enhanced.model.train()
    loss = enhanced.model.calculate_loss(enhanced.batch())
    assert bool(torch.isfinite(torch.as_tensor(sum(loss) if isinstance(loss, tuple) else loss)))


def test_what_is_kept_goes_where_the_model_goes(tmp_path: Path) -> None:
    model = world_of(tmp_path).model.to("meta")
    assert {model.pairs.device.type, model.closeness.device.type} == {"meta"}
    assert not {"pairs", "closeness", "explainability"} & set(model.state_dict())
