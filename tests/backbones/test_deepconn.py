"""DeepCoNN against loops, what it must not see, hidden reviews, and DeepCoNN in RecBole."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from review_world import NAME, Row, build, rows_of, write_reviews

import burnish
from burnish.backbones import deepconn
from burnish.backbones.deepconn import DeepCoNN, PairMachine
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, DataError, UnsupportedError

SMALL = {
    "word_width": 4,
    "filters": 5,
    "embedding_size": 3,
    "fm_factors": 2,
    "document_length": 9,
    "dropout_prob": 0.0,
}


@cache
def word_vector(word: str, width: int = 4) -> torch.Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))


def stand_in_words(texts: Sequence[str], config: Any) -> SimpleNamespace:
    """What `StaticWords` has; the vector of a word depends on the word alone."""
    words = [[word for word in text.split() if word != "the"] for text in texts]
    numbers: dict[str, int] = {}
    ids = [numbers.setdefault(word, len(numbers) + 1) for text in words for word in text]
    width = int(config["word_width"])
    vectors = [torch.zeros(width)]
    vectors += [word_vector(word, width) for word in numbers]
    offsets = torch.tensor([0, *map(len, words)]).cumsum(0)
    return SimpleNamespace(
        vectors=torch.stack(vectors),
        ids=torch.tensor(ids, dtype=torch.int32),
        offsets=offsets,
        numbers=numbers,
    )


@pytest.fixture(autouse=True)
def without_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepconn, "open_words", stand_in_words)


def world_of(folder: Path, rows: Sequence[Row] | None = None, **options: Any) -> Any:
    """In double precision, with parameters that all matter."""
    made = build("DeepCoNN", write_reviews(folder, rows), **SMALL, **options)
    made.model.double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
    return made


# ---------------------------------------------------------------------- loops


def training(world: Any) -> list[tuple[int, int, str, int]]:
    """User, item, text and number of the training rows, the newest first."""
    frame, data = world.train.dataset.inter_feat, world.train.dataset
    rows = list(zip(*(frame[c].tolist() for c in ("user_id", "item_id", "interaction_row")), strict=True))
    rows.sort(key=lambda row: -data.time_rank[row[2]])
    return [(user, item, data.texts[row], row) for user, item, row in rows]


def words_of(rows: list[tuple[int, int, str, int]], side: int, who: int, other: int | None) -> list[str]:
    return [
        word
        for row in rows
        if row[side] == who and row[1 - side] != other
        for word in row[2].split()
        if word != "the"
    ]


def vector_of(model: Any, side: str, words: list[str]) -> torch.Tensor:
    """Convolution, maximum over time and dense layer, number by number."""
    network = getattr(model, f"{side}_network")
    cnn, nothing = network.convolution, torch.zeros(SMALL["word_width"], dtype=torch.float64)
    vectors = [word_vector(word).double() for word in words[: model.length]]
    around = [nothing, *vectors, nothing]
    features = []
    for f in range(SMALL["filters"]):
        values = [
            float(cnn.bias[f] + sum(around[t + j] @ cnn.kernel[j, :, f] for j in range(3)))
            for t in range(len(vectors))
        ]
        features.append(max(0.0, *values) if values else 0.0)
    dense = network.dense
    return torch.relu(dense.weight @ torch.tensor(features, dtype=torch.float64) + dense.bias)


def machine_of(model: Any, x: torch.Tensor, y: torch.Tensor) -> float:
    z, w, v = torch.cat([x, y]), model.machine.linear.flatten(), model.machine.factors.flatten(0, 1)
    total = float(model.machine.base + w @ z)
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            total += float((v[i] @ v[j]) * z[i] * z[j])
    return total


def rating_of(world: Any, user: int, item: int, *, own: bool) -> float:
    """own: whether the pair's own reviews are read."""
    rows = training(world)
    x = vector_of(world.model, "user", words_of(rows, 0, user, None if own else item))
    y = vector_of(world.model, "item", words_of(rows, 1, item, None if own else user))
    return machine_of(world.model, x, y)


@torch.no_grad()
def test_training_reads_everything_but_the_pairs_own_reviews(tmp_path: Path) -> None:
    rows = rows_of()
    rows += [
        (rows[0][0], rows[0][1], 2.0, 77, "again love noise"),
        (rows[3][0], rows[3][1], 5.0, 20_000, "the"),
    ]
    world = world_of(tmp_path, rows)
    differs = 0
    assert len(training(world)) > len({row[:2] for row in training(world)})
    for batch in list(world.train)[:2]:
        expected = [
            rating_of(world, user, item, own=False)
            for user, item in zip(batch["user_id"].tolist(), batch["item_id"].tolist(), strict=True)
        ]
        loss = (torch.tensor(expected) - batch["rating"]).square().mean()
        assert float(world.model.calculate_loss(batch)) == pytest.approx(float(loss), rel=1e-6)
        own = rating_of(world, int(batch["user_id"][0]), int(batch["item_id"][0]), own=True)
        differs += own != pytest.approx(expected[0])
    assert differs


@torch.no_grad()
def test_predictions_read_all_training_reviews(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    model = world.model.eval()
    users = torch.arange(model.n_users)
    every = model.rate_all(users)
    for user in (0, 1, 5, model.n_users - 1):
        for item in range(model.n_items):
            assert float(every[user, item]) == pytest.approx(rating_of(world, user, item, own=True))
    torch.testing.assert_close(super(DeepCoNN, model).rate_all(users), every)


def test_gradients_are_those_of_the_loop(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    model, batch, rows = world.model, world.batch(), training(world)
    model.calculate_loss(batch).backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    total = 0
    for user, item, rating in zip(
        *(batch[c].tolist() for c in ("user_id", "item_id", "rating")), strict=True
    ):
        z = []
        for side, who, other in (("user", user, item), ("item", item, user)):
            network, words = getattr(model, f"{side}_network"), words_of(rows, side == "item", who, other)
            numbers = [stand_in_words(model.texts, world.config).numbers[w] for w in words[: model.length]]
            vectors = network.convolution.vectors[torch.tensor([0, *numbers, 0])]
            windows = vectors.unfold(0, 3, 1)  # [n, width, 3]
            kernel = network.convolution.kernel
            values = torch.einsum("twj,jwf->tf", windows, kernel) + network.convolution.bias
            pooled = torch.relu(values).amax(0) if words else values.new_zeros(kernel.shape[2])
            z.append(torch.relu(network.dense(pooled)))
        joined, v = torch.cat(z), model.machine.factors.flatten(0, 1)
        pairs = torch.triu((v @ v.T) * torch.outer(joined, joined), diagonal=1).sum()
        total = total + (model.machine.base + model.machine.linear.flatten() @ joined + pairs - rating) ** 2
    (total / len(batch)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, msg=name)
        assert bool(parameter.grad.any()), name


def test_the_machine_sums_over_pairs() -> None:
    torch.manual_seed(0)
    machine = PairMachine(4, 3, 2.0).double()
    users, items = torch.randn(5, 4).double(), torch.randn(6, 4).double()
    every = machine.all_pairs(users, items)
    for i in range(5):
        for j in range(6):
            assert float(every[i, j]) == pytest.approx(
                machine_of(SimpleNamespace(machine=machine), users[i], items[j])
            )
    torch.testing.assert_close(machine(users, items[:5]), every.diagonal())


# ---------------------------------------------------------------------- what it must not see


def changed(rows: list[Row], which: Callable[[str, str], bool], text: str) -> list[Row]:
    made = [(u, i, r, t, text if which(u, i) else old) for u, i, r, t, old in rows]
    assert made != rows
    return made


@pytest.mark.parametrize(
    "text", ["", "love", "noise tuner love battery pedal broke warm cheap cable tone strings love"]
)
def test_a_training_prediction_does_not_know_its_own_review(text: str, tmp_path: Path) -> None:
    rows = rows_of()
    first = world_of(tmp_path / "a", rows)
    data, differs = first.dataset, 0
    batch = first.batch()
    for at in range(4):
        row = batch[at : at + 1]
        names = data.id2token("user_id", int(row["user_id"])), data.id2token("item_id", int(row["item_id"]))
        other = world_of(tmp_path / f"b{at}", changed(rows, lambda *pair, names=names: pair == names, text))
        assert float(other.model.calculate_loss(row)) == float(first.model.calculate_loss(row))
        differs += not torch.equal(
            first.model.eval().rate_all(row["user_id"]), other.model.eval().rate_all(row["user_id"])
        )
    assert differs  # others may read it


def test_predictions_do_not_know_test_reviews_and_ratings(tmp_path: Path) -> None:
    rows = rows_of()
    first = world_of(tmp_path / "a", rows)
    held = {
        (part.dataset.id2token("user_id", int(u)), part.dataset.id2token("item_id", int(i)))
        for part in (first.test, first.valid)
        for u, i in zip(part.dataset.inter_feat["user_id"], part.dataset.inter_feat["item_id"], strict=True)
    }
    turned = [
        (u, i, 6 - r if (u, i) in held else r, t, "love warm tone" if (u, i) in held else text)
        for u, i, r, t, text in rows
    ]
    assert turned != rows
    other = world_of(tmp_path / "b", turned)
    users = torch.arange(first.model.n_users)
    expected = first.model.eval().rate_all(users)
    assert torch.equal(other.model.eval().rate_all(users), expected)
    batch = next(iter(other.test))[0]
    torch.testing.assert_close(other.model.predict(batch), expected[batch["user_id"], batch["item_id"]])


# ---------------------------------------------------------------------- missing reviews, what is kept


@torch.no_grad()
def test_hidden_reviews_are_as_if_never_written(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    model, batch = world.model.eval(), world.batch()
    users = torch.arange(model.n_users)
    before, loss = model.rate_all(users), model.calculate_loss(batch)
    model.hide_reviews(0.5, seed=1)
    data = world.train.dataset
    frame = data.inter_feat
    hidden = [int(row) for row in frame["interaction_row"] if not model.shown[model.event_of_row[row]]]
    kept = dict(enumerate(data.texts))
    for row in hidden:
        data.texts[row] = ""
    assert len(hidden) > 10
    assert not torch.equal(model.rate_all(users), before)
    assert float(model.rate_all(users)[1, 2]) == pytest.approx(rating_of(world, 1, 2, own=True))
    assert model.calculate_loss(batch) != loss
    for row in hidden:
        data.texts[row] = kept[row]
    model.hide_reviews(1.0)
    assert float(model.rate_all(users)[1, 2]) == pytest.approx(
        machine_of(model, vector_of(model, "user", []), vector_of(model, "item", []))
    )
    model.hide_reviews(0)
    assert torch.equal(model.rate_all(users), before)


@torch.no_grad()
def test_what_is_kept_is_dropped_when_parameters_change(tmp_path: Path) -> None:
    model = world_of(tmp_path).model
    users = torch.arange(model.n_users)
    before, state = model.eval().rate_all(users), {k: v.clone() for k, v in model.state_dict().items()}
    assert model.final_vectors() is model.final_vectors()
    model.train()
    model.user_network.dense.bias += 1
    assert not torch.equal(model.rate_all(users), before)  # in training nothing is kept
    assert not torch.equal(model.eval().rate_all(users), before)
    model.load_state_dict(state)
    assert torch.equal(model.rate_all(users), before)
    model.hide_reviews(0)
    model.to("meta")
    assert model._final is None
    assert not model._documents
    assert not [
        name for name in model.state_dict() if "vectors" in name or "word" in name or "offsets" in name
    ]


def test_a_user_without_reviews_gets_a_rating(tmp_path: Path) -> None:
    rows = [(u, i, r, t, "" if u == "u3" else "the" if u == "u4" else text) for u, i, r, t, text in rows_of()]
    world = world_of(tmp_path, rows)
    model = world.model.eval()
    three, four = (world.dataset.token2id("user_id", name) for name in ("u3", "u4"))
    every = model.rate_all(torch.arange(model.n_users))
    assert bool(torch.isfinite(every).all())
    torch.testing.assert_close(every[three], every[four])
    assert bool(torch.isfinite(model.train().calculate_loss(world.batch())))


@pytest.mark.parametrize(("text", "says"), [("", "no training interaction"), ("the the", "stop_words")])
def test_nothing_to_read(text: str, says: str, tmp_path: Path) -> None:
    rows = [(*row[:4], text) for row in rows_of()]
    with pytest.raises(DataError, match=says):
        build("DeepCoNN", write_reviews(tmp_path, rows), **SMALL, **({} if text else {"review_file": "none"}))


@pytest.mark.parametrize("option", [{"filters": 0}, {"kernel_size": 1.5}, {"dropout_prob": 2}])
def test_options_that_cannot_be(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        build("DeepCoNN", write_reviews(tmp_path), **(SMALL | option))


# ---------------------------------------------------------------------- in RecBole


def options(folder: Path) -> dict[str, Any]:
    return {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "epochs": 3,
        "train_batch_size": 16,
        **SMALL,
    }


def test_run_and_quick_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.quick_start import run_recbole

    assert find_backbone("DeepCoNN") is DeepCoNN
    write_reviews(tmp_path)
    result = burnish.run("DeepCoNN", NAME, config=options(tmp_path), show_progress=False)
    assert 0 < result.test_result["rmse"] < 3
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.chdir(tmp_path)
    found = run_recbole("DeepCoNN", NAME, config_dict=options(tmp_path) | {"show_progress": False})
    assert set(found["test_result"]) == {"rmse", "mae"}


def test_a_saved_run_predicts_as_before(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_reviews(tmp_path)
    result = burnish.run("DeepCoNN", NAME, config=options(tmp_path), folder=folder, show_progress=False)
    again = burnish.load_run(folder).model.eval()
    users = torch.arange(1, again.n_users)
    torch.testing.assert_close(again.rate_all(users), result.model.eval().rate_all(users))


def test_it_learns(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    more = {"epochs": 30, "learning_rate": 0.02, "stopping_step": 40, "filters": 20}
    result = burnish.run("DeepCoNN", NAME, config=options(tmp_path) | more, show_progress=False)
    assert result.losses[-1] < 0.8 * result.losses[0]


def test_there_is_no_table_to_enhance(tmp_path: Path) -> None:
    from burnish import RVRec, enhance

    write_reviews(tmp_path)
    with pytest.raises(UnsupportedError, match="DeepCoNN has no table"):
        build(enhance("DeepCoNN", RVRec()), tmp_path, **SMALL)
