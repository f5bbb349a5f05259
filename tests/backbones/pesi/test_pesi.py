"""PESI in RecBole: what it computes, what must not leak, and its sentences as reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from review_world import NAME, Row, build, rows_of, write_reviews

import burnish
from burnish.backbones.pesi.pesi import PESI
from burnish.backbones.rating_model import RatingModel
from burnish.errors import ConfigurationError, DataError

SMALL = {
    "word_size": 8,
    "layers": 1,
    "heads": 2,
    "sentence_length": 5,
    "review_sentences": 2,
    "read_features": 2,
    "dropout_prob": 0.0,
    "rating_scale": [1, 5],
}


def telling_rows() -> list[Row]:
    """Reviews of two sentences, in which each item has a word of its own."""
    return [
        (user, item, rating, time, f"{text}. My part{item} is here. I like it" if text else "")
        for user, item, rating, time, text in rows_of(24, 9, 6, seed=2)
    ]


def world_of(folder: Path, rows: list[Row] | None = None, **options: Any) -> Any:
    return build("PESI", write_reviews(folder, telling_rows() if rows is None else rows), **SMALL | options)


def spread(model: Any) -> None:
    """Parameters that all matter."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)


def trained(world: Any, epochs: int = 3) -> dict[str, torch.Tensor]:
    for epoch in range(epochs):
        world.trainer._train_epoch(world.train, epoch)
    world.model.eval()
    return world.model.state_dict()


def every_pair(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    users = torch.arange(1, model.n_users).repeat_interleave(model.n_items - 1)
    return users, torch.arange(1, model.n_items).repeat(model.n_users - 1)


def rows_by_part(world: Any) -> dict[str, set[tuple[str, str]]]:
    found = {}
    for part in ("train", "valid", "test"):
        frame = getattr(world, part).dataset.inter_feat
        users, items = (
            world.dataset.id2token(field, frame[field].numpy()) for field in ("user_id", "item_id")
        )
        found[part] = set(zip(users.tolist(), items.tolist(), strict=True))
    return found


# ---------------------------------------------------------------------- what is computed


def test_ratings_agree_with_loops(tmp_path: Path) -> None:
    model = world_of(tmp_path).model.double().eval()
    spread(model)

    def features(layer: Any, vector: torch.Tensor) -> np.ndarray:
        return np.tanh(layer.weight.detach().numpy() @ vector.detach().numpy() + layer.bias.detach().numpy())

    def factors(side: str, number: int) -> np.ndarray:
        of = model.views[side].of
        tables = getattr(model, f"{side}_embedding"), getattr(model, f"{side}_review_embedding")
        own, said = (table.weight[number] for table in tables)
        parts = [features(of[name], own) for name in ("rating_shared", "rating_private")]
        parts.append(features(of["review_shared"], said))
        layer = model.factors[side]
        return layer.weight.detach().numpy() @ np.concatenate(parts) + layer.bias.detach().numpy()

    users = torch.arange(model.n_users)
    with torch.no_grad():
        every = model.rate_all(users)
        torch.testing.assert_close(every, RatingModel.rate_all(model, users))
        left, right = (vectors.numpy() for vectors in model.output_vectors())
    for u in range(model.n_users):
        for i in range(model.n_items):
            x, y = factors("user", u), factors("item", i)
            np.testing.assert_allclose(left[u], x)
            np.testing.assert_allclose(right[i], y)
            score = float(model.output.weight[0].detach().numpy() @ (x * y)) + model.mean
            score += float(model.user_bias.weight[u] + model.item_bias.weight[i])
            assert float(every[u, i]) == pytest.approx(score)


def test_the_loss_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    from burnish.backbones.pesi.views import contrast

    world = world_of(tmp_path, review_sentences=1, reg_weight=0.2, bias_shrinkage=4.0)
    model = world.model.train()
    spread(model)
    model.weights |= {"sentence": 0.9, "context": 0.5, "words_rating": 0.4, "contrast": 0.3, "entropy": 0.6}
    batch = world.batch()
    users, items, ratings = (batch[name] for name in ("user_id", "item_id", "rating"))
    with torch.no_grad():
        found = float(model.calculate_loss(batch))
        expected = float((model.rate(users, items) - ratings).square().mean())
        left, right = (
            vectors[ids] for vectors, ids in zip(model.output_vectors(), (users, items), strict=True)
        )
        expected += 0.2 * float((left.square().sum(1) + right.square().sum(1)).mean())
        squares = model.user_bias.weight.square().sum() + model.item_bias.weight.square().sum()
        expected += 4.0 / model.n_events * float(squares)
        tables = {"user": (users, model.user_embedding, model.user_review_embedding)}
        tables["item"] = (items, model.item_embedding, model.item_review_embedding)
        for side, (ids, one, other) in tables.items():
            different = torch.tensor(sorted(set(ids.tolist())))
            of_ratings, of_reviews = (
                model.views[side].rating(one(different)),
                model.views[side].review(other(different)),
            )
            both = tuple(zip(of_ratings, of_reviews, strict=True))
            expected += 0.15 * float(contrast(*both, model.temperature))
        views = [model.views[side].review(other(ids)) for side, (ids, _, other) in tables.items()]
        shared, private = (torch.cat(part, dim=1) for part in zip(*views, strict=True))
        classes = (ratings - 1).long()
        assert model.levels.tolist() == [1, 2, 3, 4, 5]
        expected += float(model.reader.error(shared, classes)) + 0.6 * float(model.reader.certainty(private))
        events = model.events_of(batch)
        has = model.event_texts[events] >= 0
        texts = model.event_texts[events[has]]
        assert 0 < len(texts) < len(events), "a batch with and without reviews"
        given = [
            model.given[side](torch.cat(views[n], dim=1))[has] for n, side in enumerate(("user", "item"))
        ]
        words = model._feature_words(users, items)[has]
        said, context, rated = model.generator.losses(*given, words, model.codes[model.of_text[texts, 0]])
        expected += 0.9 * float(said) + 0.5 * float(context)
        expected += 0.4 * float((rated + model.mean - ratings[has]).square().mean())
    assert found == pytest.approx(expected, rel=1e-5)


def test_each_of_a_reviews_sentences_is_learned(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    seen: set[tuple[int, ...]] = set()
    losses = world.model.generator.losses

    def noted(users: Any, items: Any, features: Any, codes: torch.Tensor) -> Any:
        seen.update(map(tuple, codes.tolist()))
        return losses(users, items, features, codes)

    world.model.generator.losses = noted
    trained(world, 12)
    of_events = world.model.of_text[world.model.event_texts[world.model.event_texts >= 0]]
    wanted = {tuple(world.model.codes[number].tolist()) for number in of_events[of_events >= 0].tolist()}
    assert seen == wanted


# ---------------------------------------------------------------------- what must not leak


def test_reviews_of_validation_and_test_rows_are_never_read(tmp_path: Path) -> None:
    rows = telling_rows()
    first = world_of(tmp_path / "a", rows)
    parts = rows_by_part(first)
    assert len(first.model.written.features), (
        "words of items, which would be found in the texts of test rows too"
    )

    def rewritten(which: set[tuple[str, str]]) -> list[Row]:
        other = "My partner is here. A new broken noise. Partner of noise"
        return [(*row[:4], other) if row[:2] in which else row for row in rows]

    states = [trained(first)]
    second = world_of(tmp_path / "b", rewritten(parts["valid"] | parts["test"]))
    states.append(trained(second))
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert first.model.written.words == second.model.written.words
    assert first.model.written.features.names == second.model.written.features.names
    pairs = every_pair(first.model)
    assert first.model.write(*pairs) == second.model.write(*pairs)
    # A text of the training split is read: the same change there is seen.
    third = world_of(tmp_path / "c", rewritten(set(sorted(parts["train"])[:20])))
    assert third.model.written.words != first.model.written.words


def test_the_generator_is_not_given_words_of_the_pairs_own_review(tmp_path: Path) -> None:
    rows = [
        (user, item, rating, time, text and f"{text} about part{user}{item}")
        for user, item, rating, time, text in telling_rows()
    ]
    # A word of one user and item alone, in six of their reviews: chance would have it on more than one item.
    rows += [("u1", "i1", 3.0, 20_000 + n, "A secret gadget.") for n in range(8)]
    world = world_of(tmp_path, rows)
    model, names = world.model, world.model.written.features.names
    assert "gadget" in names
    user, item = (
        torch.tensor([world.dataset.token2id(field, token)])
        for field, token in (("user_id", "u1"), ("item_id", "i1"))
    )
    model.feature_weights[names.index("gadget")] = 1000.0
    assert names.index("gadget") not in model.given_features(user, item)
    other = torch.tensor([world.dataset.token2id("user_id", "u2")])
    assert names.index("gadget") in model.given_features(other, item)


def test_hidden_reviews_are_not_counted(tmp_path: Path) -> None:
    model = world_of(tmp_path).model.eval()
    users, items = every_pair(model)
    before = model.given_features(users, items)
    assert (before >= 0).any()
    ratings = model.rate_all(torch.arange(model.n_users))
    model.hide_reviews(1.0)
    assert (model.given_features(users, items) == -1).all()
    assert torch.equal(model.rate_all(torch.arange(model.n_users)), ratings), "ratings read no texts"
    model.train().calculate_loss(world_of(tmp_path).batch()).backward()
    model.hide_reviews(0.0)
    assert (model.given_features(users, items) == before).all()


# ---------------------------------------------------------------------- in RecBole and in burnish


def test_it_learns_what_is_said_of_items_and_repeats_itself(tmp_path: Path) -> None:
    options = {"learning_rate": 0.02, "word_size": 16, "review_sentences": 1}
    first = world_of(tmp_path, **options)
    states = [trained(first, 25), trained(world_of(tmp_path, **options), 25)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    model = first.model
    assert set(states[0]) == {name for name, _ in model.named_parameters()}
    items = torch.arange(1, model.n_items)
    written = model.write(torch.ones_like(items), items)
    right = [
        f"part{model.item_tokens[item]}" in sentence.words
        for item, sentence in zip(items.tolist(), written, strict=True)
    ]
    assert sum(right) >= 7
    assert all(0 < sentence.certainty <= 1 and sentence.words for sentence in written)
    again = world_of(tmp_path, **options).model.eval()
    again.load_state_dict(states[0])
    assert again.write(torch.ones_like(items), items) == written


def test_a_reason_is_the_sentence(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    trained(world, 2)
    model = world.model.train()
    user, item = 2, world.dataset.token2id("item_id", "i3")
    (reason,) = model.explain(user, item)
    assert model.training, "put back"
    (sentence,) = model.write(torch.tensor([user]), torch.tensor([item]))
    assert reason.kind == "review"
    assert (reason.contribution, reason.evidence["item"]) == (sentence.certainty, "i3")
    assert reason.evidence["generated"] is True
    assert reason.evidence["sentence"] in reason.text
    assert reason.evidence["sentence"].lower().split()[0] == sentence.words[0]
    assert reason.evidence["given_features"] == list(sentence.given)
    assert reason.evidence["words_rating"] == pytest.approx(
        float(model.eval().words_ratings(torch.tensor([user]), torch.tensor([item])))
    )


def test_run_recommend_and_explain(tmp_path: Path) -> None:
    folder = write_reviews(tmp_path, telling_rows())
    settings: dict[str, Any] = {
        **SMALL,
        "embedding_size": 8,
        "data_path": str(folder),
        "epochs": 3,
        "show_progress": False,
        "metrics": ["NDCG", "Recall"],
        "valid_metric": "NDCG@10",
        "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "user", "mode": "full"},
    }
    result = burnish.run("PESI", NAME, config=settings, folder=tmp_path / "run")
    assert 0 <= result.test_result["ndcg@10"] <= 1
    assert result.config["eval_step"] == 3, "ten epochs to the first validation, or all that there are"
    run = burnish.load_run(tmp_path / "run")
    table = burnish.recommend(run, ["u3"], k=2)
    assert len(table) == 2
    (explanation,) = burnish.explain(run, "u3", "i2")
    assert explanation.reasons[0].kind == "review"
    users = torch.arange(run.model.n_users)
    assert torch.equal(run.model.eval().rate_all(users), result.model.eval().rate_all(users))


@pytest.mark.parametrize("options", [{"review_file": "none"}, {"drop_reviews": 1.0}])
def test_a_data_set_without_reviews_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"PESI: none of the .* has a review.*such as EMF"):
        world_of(tmp_path, **options)


def test_reviews_without_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sentence of the 1 training reviews has a word"):
        world_of(tmp_path, [(*row[:4], "...") for row in telling_rows()])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("sentence_length", 0, "sentence_length = 0"),
        ("read_features", -1, "read_features = -1"),
        ("heads", 3, "word_size = 8, heads = 3"),
        ("temperature", 0.0, "temperature = 0"),
        ("contrast_weight", "much", "contrast_weight = 'much'"),
        ("dropout_prob", 2, "dropout_prob = 2"),
    ],
)
def test_impossible_options_are_refused(option: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        world_of(tmp_path, **{option: value})


@pytest.mark.parametrize("loss", ["absolute", "ordinal"])
def test_other_losses_of_ratings(loss: str, tmp_path: Path) -> None:
    world = world_of(tmp_path, rating_loss=loss)
    trained(world, 1)
    assert set(world.trainer.evaluate(world.test, load_best_model=False)) == {"rmse", "mae"}


def test_it_is_one_of_ours() -> None:
    assert burnish.backbones.PESI is PESI
