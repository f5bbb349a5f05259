"""DReX and DReX-MLP against a loop over single interactions; and what must not leak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from review_world import NAME, build, rows_of, write_reviews

from burnish.backbones.rating_model import RatingModel

MODELS = ("DReX", "DReXMLP")


def loop_states(model: Any, upto: int, lane: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """States of all users and items before event number `upto`, one interaction after the other."""
    training = lane is not None
    at = lane if lane is not None else 0
    users = model.initial("user", torch.arange(model.n_users), training=training)[:, at].clone()
    items = model.initial("item", torch.arange(model.n_items), training=training)[:, at].clone()
    for event in range(upto):
        z = model.interactions(torch.tensor([event]))
        user, item = int(model.event_users[event]), int(model.event_items[event])
        new = (
            model.user_update(z, users[user].unsqueeze(0))[0],
            model.item_update(z, items[item].unsqueeze(0))[0],
        )
        users, items = users.clone(), items.clone()
        users[user], items[item] = new
    return users, items


def loop_prediction(model: Any, event: int) -> torch.Tensor:
    """The rating of a training event, from the states before it."""
    lane = int(model.lanes_of(torch.tensor([event]))[0])
    users, items = loop_states(model, event, lane)
    user, item = model.event_users[event], model.event_items[event]
    rating = model.head(users[user].unsqueeze(0), items[item].unsqueeze(0))[0] + model.event_bias[event]
    return rating, users[user], items[item]


@pytest.mark.parametrize("name", MODELS)
def test_losses_of_an_epoch_agree_with_a_loop(name: str, tmp_path: Path) -> None:
    world = build(name, write_reviews(tmp_path), train_batch_size=13, state_penalty=0.01)
    model = world.model.double()
    model.train()
    seen = 0
    with torch.no_grad():
        for batch in world.train:
            found = model.calculate_loss(batch)
            errors, penalties = [], []
            for event in model.events_of(batch).tolist():
                rating, user, item = loop_prediction(model, event)
                errors.append((rating - model.event_ratings[event]) ** 2)
                penalties.append(user.square().sum() + item.square().sum())
            expected = torch.stack(errors).mean() + 0.01 * torch.stack(penalties).mean()
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
            seen += len(batch)
    assert seen == model.n_events


@pytest.mark.parametrize("name", MODELS)
def test_predictions_use_the_states_after_all_training(name: str, tmp_path: Path) -> None:
    model = build(name, write_reviews(tmp_path)).model.double().eval()
    with torch.no_grad():
        users, items = loop_states(model, model.n_events, None)
        found = model.final_states()
        torch.testing.assert_close(found[0], users)
        torch.testing.assert_close(found[1], items)
        some = torch.arange(1, model.n_users)
        torch.testing.assert_close(model.rate_all(some), RatingModel.rate_all(model, some))


@pytest.mark.parametrize("name", MODELS)
def test_order_and_repetition_in_a_batch_do_not_matter(name: str, tmp_path: Path) -> None:
    world = build(name, write_reviews(tmp_path), train_batch_size=200)
    batch = next(iter(world.train))
    world.model.train()
    whole = world.model.calculate_loss(batch)
    torch.testing.assert_close(world.model.calculate_loss(batch[torch.randperm(len(batch))]), whole)
    torch.testing.assert_close(world.model.calculate_loss(batch[torch.arange(len(batch)).repeat(2)]), whole)


def test_a_batch_from_the_middle_finds_its_states(tmp_path: Path) -> None:
    """Nothing was trained before: the states before the batch come from one pass over everything."""
    world = build("DReX", write_reviews(tmp_path), train_batch_size=200)
    model, batch = world.model.double(), next(iter(world.train))
    late = batch[(model.events_of(batch) >= 40).nonzero()[:, 0]]
    expected = torch.stack(
        [(loop_prediction(model, e)[0] - model.event_ratings[e]) ** 2 for e in model.events_of(late).tolist()]
    ).mean()
    model.state_penalty = 0.0
    torch.testing.assert_close(model.calculate_loss(late), expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ leaks


def changed_rows(world: Any, part: Any, *, text: str, rating: float) -> list[Any]:
    """All rows, with other reviews and ratings in one part of the split."""
    data, pairs = world.dataset, set()
    for user, item in zip(part.inter_feat["user_id"], part.inter_feat["item_id"], strict=True):
        pairs.add((data.id2token("user_id", int(user)), data.id2token("item_id", int(item))))
    return [
        (user, item, rating, time, text) if (user, item) in pairs else (user, item, old, time, before)
        for user, item, old, time, before in rows_of()
    ]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_nothing_of_a_test_row_enters(name: str, part: str, tmp_path: Path) -> None:
    first = build(name, write_reviews(tmp_path / "a"), rating_scale=[1, 5])
    rows = changed_rows(first, getattr(first, part)._dataset, text="strings broke broke noise", rating=1.0)
    second = build(name, write_reviews(tmp_path / "b", rows), rating_scale=[1, 5])
    for world in (first, second):
        world.trainer.fit(world.train, verbose=False, saved=False, show_progress=False)
        world.model.eval()
    everybody = torch.arange(1, first.model.n_users)
    assert torch.equal(first.model.rate_all(everybody), second.model.rate_all(everybody))
    assert not torch.equal(
        getattr(first, part)._dataset.inter_feat["rating"],
        getattr(second, part)._dataset.inter_feat["rating"],
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_training_rating_is_not_predicted_from_itself(name: str, tmp_path: Path) -> None:
    """Neither from its review nor from its rating; what comes later sees both."""
    model = build(name, write_reviews(tmp_path), rating_scale=[1, 5]).model.double()
    event = 20
    again = int((model.event_users[event + 1 :] == model.event_users[event]).nonzero()[0, 0]) + event + 1
    before = [loop_prediction(model, e)[0] for e in (event, again)]
    model.event_texts[event] = model.event_texts[(model.event_texts >= 0).nonzero()[0, 0]]
    model.event_ratings[event] = 6 - model.event_ratings[event] if model.event_ratings[event] != 3 else 1.0
    if name == "DReXMLP":
        model.shares[event] = model.event_ratings[event] / 5
    after = [loop_prediction(model, e)[0] for e in (event, again)]
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


# ------------------------------------------------------------------ reviews that are missing


def test_hidden_reviews_are_zero_vectors(tmp_path: Path) -> None:
    model = build("DReX", write_reviews(tmp_path)).model.eval()
    everybody, review = torch.arange(1, model.n_users), model.modalities["review"]
    shown = model.rate_all(everybody)
    have = (model.event_texts >= 0).nonzero()[:, 0]
    assert review(model, have).any(dim=1).all()
    missing = (model.event_texts < 0).nonzero()[:, 0]
    assert len(missing)
    assert not review(model, missing).any()
    model.hide_reviews(1.0)
    assert not review(model, have).any()
    assert not torch.equal(model.rate_all(everybody), shown)
    model.hide_reviews(0.5, seed=1)
    assert int((~model.shown).sum()) == round(len(have) / 2)
    model.hide_reviews(0)
    assert torch.equal(model.rate_all(everybody), shown)


@pytest.mark.parametrize("name", MODELS)
def test_ratings_alone(name: str, tmp_path: Path) -> None:
    write_reviews(tmp_path)
    (tmp_path / NAME / f"{NAME}.reviews.tsv").unlink()
    world = build(name, tmp_path, review_file="none", modalities=["rating"])
    assert list(world.model.modalities) == ["rating"]
    assert torch.isfinite(world.model.calculate_loss(next(iter(world.train))))


# ------------------------------------------------------------------ learning


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_what_users_and_items_are_like(name: str, tmp_path: Path) -> None:
    rows = rows_of(40, 12, 9, seed=3)
    world = build(name, write_reviews(tmp_path, rows), epochs=15, train_batch_size=64, learning_rate=0.003)
    world.trainer.fit(world.train, verbose=False, saved=False, show_progress=False)
    result = world.trainer.evaluate(world.test, load_best_model=False, show_progress=False)
    ratings = world.test._dataset.inter_feat["rating"]
    floor = float((ratings - world.model.mean).square().mean().sqrt())
    assert result["rmse"] < 0.85 * floor


@pytest.mark.parametrize("name", MODELS)
def test_it_begins_at_the_biases(name: str, tmp_path: Path) -> None:
    with_them, without = (
        build(name, write_reviews(tmp_path), biases=biases).model.eval() for biases in (True, False)
    )
    users, items = with_them.event_users, with_them.event_items
    expected = with_them.mean + with_them.user_bias[users] + with_them.item_bias[items]
    torch.testing.assert_close(with_them.rate(users, items), expected, rtol=0, atol=0.1)
    torch.testing.assert_close(
        without.rate(users, items), torch.full_like(expected, without.mean), rtol=0, atol=0.1
    )
    assert not without.user_bias.any()
    assert with_them.user_bias.any()
