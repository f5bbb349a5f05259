"""Ratings of any scale, and what else an interaction may be made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from review_world import NAME, StandInStore, build, rows_of, write_reviews

from burnish.errors import ConfigurationError, DataError, UnknownNameError


def test_one_hot_ratings(tmp_path: Path) -> None:
    model = build("DReX", write_reviews(tmp_path)).model
    part = model.modalities["rating"]
    events = torch.arange(model.n_events)
    hot = torch.nn.functional.one_hot(model.event_ratings.long() - 1, 5).float()
    torch.testing.assert_close(part(model, events), hot @ part.vectors.weight + part.bias)


def other_ratings(kind: str) -> list[Any]:
    change = {
        "half stars": lambda r: r - 0.5,
        "hundred": lambda r: r * 19.7,
        "negative": lambda r: r - 3,
        "one level": lambda r: 4.0,
    }[kind]
    rows = rows_of(20)
    if kind == "hundred":  # all different: classes are parts of the scale
        return [(u, i, r * 19.7 + n / 1000, t, x) for n, (u, i, r, t, x) in enumerate(rows)]
    return [(u, i, change(r), t, x) for u, i, r, t, x in rows]


@pytest.mark.parametrize(
    ("kind", "levels"), [("half stars", 5), ("hundred", 50), ("negative", 5), ("one level", 1)]
)
def test_any_rating_scale(kind: str, levels: int, tmp_path: Path) -> None:
    world = build("DReX", write_reviews(tmp_path, other_ratings(kind)))
    part = world.model.modalities["rating"]
    assert len(part.levels) == levels
    for batch in world.train:
        assert torch.isfinite(world.model.calculate_loss(batch))
    low, high = world.model.scale
    assert low <= float(world.model.event_ratings.min()) <= float(world.model.event_ratings.max()) <= high


def test_ratings_outside_the_declared_scale(tmp_path: Path) -> None:
    rows = rows_of()
    rows[0] = (*rows[0][:2], 7.0, *rows[0][3:])
    user, item = rows[0][:2]
    write_reviews(tmp_path, rows)
    everything = {
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", "group_by": None, "mode": "labeled"}
    }
    with pytest.raises(
        DataError, match=rf"user '{user}' rated item '{item}' with rating = 7, outside .*\[1, 5\]"
    ):
        build("DReX", tmp_path, rating_scale=[1, 5], **everything)
    for scale in ([5, 1], "1-5", [1]):
        with pytest.raises(
            ConfigurationError, match=r"rating_scale = .*: give the lowest and the highest rating"
        ):
            build("DReX", tmp_path, rating_scale=scale)


def test_missing_ratings(tmp_path: Path) -> None:
    home = write_reviews(tmp_path) / NAME / f"{NAME}.inter"
    lines = home.read_text().splitlines()
    home.write_text(
        "\n".join(line.rsplit("\t", 2)[0] + "\t" + line.rsplit("\t", 1)[1] for line in lines) + "\n"
    )
    with pytest.raises(DataError, match="has no column 'rating' of ratings; RATING_FIELD names it"):
        build("DReX", tmp_path)


# ------------------------------------------------------------------ items and users


def write_items(folder: Path) -> None:
    lines = ["item_id:token\ttitle:token_seq\tprice:float"]
    lines += [f"i{number}\tred cable {number}\t{number}" for number in range(8)]  # nothing of i8
    (folder / NAME / f"{NAME}.item").write_text("\n".join(lines) + "\n")


def test_text_of_items(tmp_path: Path) -> None:
    write_items(write_reviews(tmp_path))
    world = build("DReX", tmp_path, modalities=["review", "rating", "item_text"], item_text_fields=["title"])
    model, part = world.model, world.model.modalities["item_text"]
    events = torch.arange(model.n_events)
    store = StandInStore([f"red cable {number}" for number in range(8)])
    for event, found in zip(events.tolist(), part(model, events), strict=True):
        number = int(world.dataset.id2token("item_id", int(model.event_items[event]))[1:])
        if number == 8:
            assert not found.any()
            continue
        text = torch.tensor([number])
        # Another vocabulary may hold other vectors: the words of all titles are the same here.
        torch.testing.assert_close(found, part.pooling(store.take(text), store.counts(text))[0])
    with pytest.raises(DataError, match=r"item_text_fields = \['titel'\].*has the item columns title, price"):
        build("DReX", tmp_path, modalities=["item_text"], item_text_fields=["titel"])


def write_vectors(folder: Path, side: str) -> dict[str, Any]:
    letter, n = side[0], 8
    lines = [f"{letter}id:token\tvector:float_seq"]
    lines += [f"{letter}{number}\t{number} {number + 1} 1" for number in range(n)]
    (folder / NAME / f"{NAME}.{side}vec").write_text("\n".join(lines) + "\n")
    return {
        "additional_feat_suffix": [f"{side}vec"],
        f"alias_of_{side}_id": [f"{letter}id"],
        "preload_weight": {f"{letter}id": "vector"},
        "modalities": ["rating", f"{side}_features"],
    }


@pytest.mark.parametrize("side", ["item", "user"])
def test_dense_features(side: str, tmp_path: Path) -> None:
    write_reviews(tmp_path)
    world = build("DReX", tmp_path, **write_vectors(tmp_path, side))
    model, data = world.model, world.dataset
    part = model.modalities[f"{side}_features"]
    events = torch.arange(model.n_events)
    owners = (model.event_items if side == "item" else model.event_users).tolist()
    spread = float(part.values.std())
    for event, found in zip(owners, part(model, events), strict=True):
        number = int(data.id2token(f"{side}_id", event)[1:])
        if number >= 8:
            assert not found.any()
            continue
        vector = torch.tensor([number, number + 1, 1.0])
        assert spread == pytest.approx(1.0, rel=1e-3)
        scale = float(vector[0]) / float(part.values[event][0]) if number else None
        if scale:
            torch.testing.assert_close(found, part.project(vector / scale))
    assert torch.isfinite(model.calculate_loss(next(iter(world.train))))
    with pytest.raises(
        DataError, match=f"{side}_features needs a vector a {side}.*preload_weight = {{}} names none"
    ):
        build("DReX", tmp_path, modalities=[f"{side}_features"])


def test_modalities_are_named(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    with pytest.raises(UnknownNameError, match=r"modality 'reveiw' is not known. Did you mean 'review'"):
        build("DReX", tmp_path, modalities=["reveiw"])
    for wrong in ([], ["rating", "rating"], 3):
        with pytest.raises(ConfigurationError, match=r"modalities = .*: name at least one, each once"):
            build("DReX", tmp_path, modalities=wrong)


def test_no_text_in_training_rows(tmp_path: Path) -> None:
    rows = [(user, item, rating, time, "") for user, item, rating, time, _ in rows_of()]
    rows[0] = (*rows[0][:4], " ")
    write_reviews(tmp_path, rows)
    with pytest.raises(
        DataError, match=r"no training interaction has a review; go on without .*modalities: \[rating\]"
    ):
        build("DReX", tmp_path)
