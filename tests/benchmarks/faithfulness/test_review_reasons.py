"""Words, reviews and feature words as reasons that are masked: against models of data that lack them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from review_world import NAME, Row, StandInStore, rows_of, write_reviews
from slot_reference import StandInWords

import burnish
from burnish.benchmarks.faithfulness.checks import with_fresh_parameters
from burnish.benchmarks.faithfulness.evidence import EvidenceStudy
from burnish.benchmarks.faithfulness.references import REFERENCES, leave_one_out
from burnish.benchmarks.faithfulness.review_reasons import KeywordGames, ReviewGames, SentenceGames
from burnish.benchmarks.faithfulness.standing import Recommendation
from burnish.benchmarks.harness.faithful import OURS
from burnish.trained.open import open_trained
from burnish.trained.recommend import Recommender
from burnish.training.train import train

SMALL = {
    "threads": 1,
    "epochs": 2,
    "train_batch_size": 16,
    "embedding_size": 8,
    "eval_args": {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": None, "mode": "labeled"},
}
OF_MODEL: dict[str, dict[str, Any]] = {
    "PESI": {"word_size": 8, "layers": 1, "heads": 2, "sentence_length": 5, "read_features": 3},
    "NARRE": {"filters": 6, "reg_weight": 0.001},
    "HRDR": {"filters": 6, "reg_weight": 0.001},
}


def rows(name: str) -> list[Row]:
    """Two words of twelve are never said of an item; for PESI each item has words of its own."""
    found = []
    for user, item, rating, time, text in rows_of(14, 9, 6, seed=4):
        number = int(item[1:])
        said = [word for word in text.split() if (len(word) + ord(word[0])) % 9 != number]
        if name == "PESI" and text:
            said += [f"part{item}", "and", f"side{item}", "of", f"kind{item}"]
        found.append((user, item, rating, time, " ".join(said)))
    return found


@pytest.fixture(autouse=True, scope="module")
def stand_ins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        drex = "burnish.backbones.drex.configured_modalities.open_tokens"
        patch.setattr(drex, lambda texts, config: StandInStore(texts))
        patch.setattr("burnish.backbones.slot_model.open_words", lambda texts, config: StandInWords(texts))
        yield


def run(name: str, folder: Path, given: list[Row], seed: int = 1, **options: Any) -> Any:
    options = {**SMALL, **OF_MODEL.get(name, {}), "data_path": str(write_reviews(folder, given)), **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_trained(train(name, NAME, options={**options, "seed": seed}))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recommender]:
    kept: dict[str, Recommender] = {}

    def recommender(name: str) -> Recommender:
        if name not in kept:
            made = run(name, tmp_path_factory.mktemp(name), rows(name))
            spread(made.model)
            kept[name] = Recommender(made, k=1)
        return kept[name]

    return recommender


def spread(model: Any) -> None:
    """Parameters that all matter."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    model.forget()


def asked(games: Any, user: int, place: int = 0) -> Recommendation:
    catalogue = games.recommender.candidates(user)
    return Recommendation(games, user, int(catalogue[place]), catalogue)


def test_each_is_of_its_own_model(opened: Callable[[str], Recommender], tmp_path: Path) -> None:
    kinds = {"DReX": KeywordGames, "NARRE": ReviewGames, "PESI": SentenceGames}
    for name in kinds:
        found = {kind for kind in kinds.values() if kind.of(opened(name)) is not None}
        assert found == {kinds[name]}
    blind = run("DReX", tmp_path, rows("DReX"), modalities=["rating"])
    assert KeywordGames.of(Recommender(blind, k=1)) is None


# ---------------------------------------------------------------- words


@pytest.mark.parametrize("name", ["DReX", "DReXMLP"])
def test_a_masked_word_stands_in_no_review(
    name: str, opened: Callable[[str], Recommender], tmp_path: Path
) -> None:
    recommender = opened(name)
    games = KeywordGames.of(recommender)
    assert games is not None
    model, data = recommender.trained.model, recommender.trained.dataset
    moved = 0.0
    for user in (2, 9):
        one = asked(games, user, 1)
        names = [model.keyword_profiles().vocabulary[word] for word in games.words(user, one.item).words]
        masks = np.random.default_rng(user).random((3, len(one))) < 0.5
        masks[0] = True
        found = games.scores(user, one.catalogue.tolist(), torch.from_numpy(masks)).numpy()
        whole = recommender.scores(np.array([user]))[0].numpy()
        np.testing.assert_allclose(found[0], whole[one.catalogue], atol=1e-5)
        tokens = (
            data.id2token("user_id", user),
            data.id2token("item_id", one.item),
        )
        rated = {int(i) for u, i in zip(model.event_users, model.event_items, strict=True) if int(u) == user}
        assert len(set(names)) > 2
        for place, mask in enumerate(masks):
            gone = {word for word, stays in zip(names, mask, strict=True) if not stays}
            changed = [
                (u, i, r, t, " ".join(w for w in text.split() if w not in gone))
                if u == tokens[0] or i == tokens[1]
                else (u, i, r, t, text)
                for u, i, r, t, text in rows(name)
            ]
            other = run(name, tmp_path / f"{user}-{place}", changed).model
            other.load_state_dict(model.state_dict())
            other.eval()
            again = other.full_sort_predict({"user_id": torch.tensor([user])}).detach().numpy()
            at = one.catalogue.tolist().index(one.item)
            assert found[place, at] == pytest.approx(again[one.item], abs=1e-5)
            # An item that neither this user nor the changed reviews are of.
            for column, item in enumerate(one.catalogue.tolist()):
                if item not in rated and item != one.item:
                    assert found[place, column] == pytest.approx(again[item], abs=1e-5)
            moved = max(moved, abs(found[place, at] - found[0, at]))
    assert moved > 0.01


def test_values_are_the_reasons_that_the_model_gives(opened: Callable[[str], Recommender]) -> None:
    recommender = opened("DReX")
    games = KeywordGames.of(recommender)
    assert games is not None
    one = asked(games, 3, 0)
    told = {
        reason.evidence["word"]: reason for reason in recommender.trained.model.explain(3, one.item, 1000)
    }
    names = [games.model.keyword_profiles().vocabulary[word] for word in games.words(3, one.item).words]
    values = games.values(3, one.item)
    assert len(told) > 1
    assert dict(zip(names, values.tolist(), strict=True)) == {
        name: pytest.approx(told[name].contribution) if name in told else 0.0 for name in names
    }
    plain = {each.name: each.values(one) for each in games.references(["random"], 0)}["plain overlap"]
    for name, value in zip(names, plain.tolist(), strict=True):
        shares = [told[name].evidence[f"{side}_share"] for side in ("user", "item")] if name in told else [0]
        assert value == pytest.approx(min(shares))


def test_who_has_no_word_in_common_has_no_player(opened: Callable[[str], Recommender]) -> None:
    games = KeywordGames.of(opened("DReX"))
    assert games is not None
    games.model.hide_reviews(1)
    assert len(games.history(3, 2)) == 0
    games.model.hide_reviews(0)
    games._pair = None
    assert len(games.history(3, 2)) > 0


# ---------------------------------------------------------------- reviews


@pytest.mark.parametrize("name", ["NARRE", "HRDR"])
def test_a_masked_review_is_not_read(name: str, opened: Callable[[str], Recommender], tmp_path: Path) -> None:
    recommender = opened(name)
    games = ReviewGames.of(recommender)
    assert games is not None
    model, data = recommender.trained.model, recommender.trained.dataset
    user = 5
    one = asked(games, user, 2)
    item = str(data.id2token("item_id", one.item))
    events = model.slots("item").events[one.item][games._slots].tolist()
    writers = [str(data.id2token("user_id", int(model.event_users[event]))) for event in events]
    masks = np.array([[True] * len(one), [False] * len(one), [k % 2 == 0 for k in range(len(one))]])
    found = games.scores(user, one.catalogue.tolist(), torch.from_numpy(masks)).numpy()
    at = one.catalogue.tolist().index(one.item)
    for place, mask in enumerate(masks):
        gone = {writer for writer, stays in zip(writers, mask, strict=True) if not stays}
        changed = [(u, i, r, t, "" if i == item and u in gone else text) for u, i, r, t, text in rows(name)]
        other = run(name, tmp_path / str(place), changed).model
        other.load_state_dict(model.state_dict())
        other.eval()
        again = other.full_sort_predict({"user_id": torch.tensor([user])}).detach().numpy()
        np.testing.assert_allclose(found[place], again[one.catalogue], atol=1e-5)
    assert len(set(np.round(found[:, at], 4))) == 3
    told = {reason.evidence["event"]: reason.contribution for reason in model.explain(user, one.item)}
    assert dict(zip(events, games.values(user, one.item).tolist(), strict=True)) == pytest.approx(told)
    longest = {each.name: each.values(one) for each in games.references(["popularity"], 0)}["popularity"]
    assert longest.tolist() == [len(model.texts[int(model.event_texts[e])].split()) for e in events]


def test_a_users_own_review_is_always_read(opened: Callable[[str], Recommender]) -> None:
    games = ReviewGames.of(opened("NARRE"))
    assert games is not None
    model = games.model
    slots = model.slots("item")
    item = int((slots.events >= 0).sum(1).argmax())
    writer = int(slots.others[item][0])
    n = len(games.history(writer, item))
    assert n == int((slots.events[item] >= 0).sum()) - 1
    _, weights = model.review_attention("item", torch.tensor([item]))
    own = (slots.others[item] == writer).float()
    alone = games.scores(writer, [item], torch.zeros(1, n, dtype=torch.bool))
    expected = model.rate_by_reviews(writer, item, own.unsqueeze(0))
    assert float(alone) == pytest.approx(float(expected), abs=1e-6)
    assert float(weights[0] @ own) > 0


# ---------------------------------------------------------------- feature words


def test_a_masked_feature_word_is_not_given(opened: Callable[[str], Recommender]) -> None:
    recommender = opened("PESI")
    games = SentenceGames.of(recommender)
    assert games is not None
    model, generator = recommender.trained.model, recommender.trained.model.generator
    one = asked(games, 4, 1)
    assert len(one) > 1
    (written,) = model.write(torch.tensor([4]), torch.tensor([one.item]))
    code = [model.written.words.index(word) for word in written.words]
    masks = np.array([[True] * len(one), [False] * len(one), [True] + [False] * (len(one) - 1)])
    found = games.scores(4, one.catalogue.tolist(), torch.from_numpy(masks)).numpy()

    @torch.no_grad()
    def slow(item: int, stays: np.ndarray | None) -> float:
        """Word by word, as sentences are written."""
        pair = torch.tensor([4]), torch.tensor([item])
        given = [model.spoken[number] for number in model.given_features(*pair)[0] if number >= 0]
        given = [int(word) if stays is None or stays[place] else 0 for place, word in enumerate(given)]
        features = torch.tensor([given + [0] * (generator.n_features - len(given))])
        total = 0.0
        end = 2
        for place, word in enumerate([*code, end]):
            so_far = torch.tensor([code[:place]], dtype=torch.long)
            at = generator(*model.standing_for(*pair), features, so_far)[:, -1]
            total += float(torch.log_softmax(generator.scores(at), dim=1)[0, word])
        return total / (len(code) + 1)

    at = one.catalogue.tolist().index(one.item)
    for place, mask in enumerate(masks):
        assert found[place, at] == pytest.approx(slow(one.item, mask), abs=1e-5)
    others = [column for column in range(len(one.catalogue)) if column != at]
    assert len(others) > 1
    for column in others:
        item = int(one.catalogue[column])
        assert found[2, column] == pytest.approx(slow(item, None), abs=1e-5)
    assert len(set(np.round(found[:, at], 4))) == 3
    assert games.values(4, one.item).tolist() == list(range(len(one), 0, -1))


def test_a_rating_of_pesi_reads_no_word(opened: Callable[[str], Recommender]) -> None:
    """What the remark says: whatever reviews say, the rating stays."""
    recommender = opened("PESI")
    before = recommender.scores(np.array([4]))
    recommender.trained.model.hide_reviews(1)
    torch.testing.assert_close(recommender.scores(np.array([4])), before)
    recommender.trained.model.hide_reviews(0)


# ---------------------------------------------------------------- references, and the study

GAMES = {"DReX": KeywordGames, "NARRE": ReviewGames, "PESI": SentenceGames}


@pytest.mark.parametrize("name", GAMES)
def test_gradients_and_one_left_out(name: str, opened: Callable[[str], Recommender]) -> None:
    recommender = opened(name)
    games: Any = GAMES[name].of(recommender)
    one = asked(games, 7, 2)
    n = len(one)
    made = {each.name: each.values(one) for each in games.references(list(REFERENCES), 0)}
    assert set(made) == set(games.says)
    assert all(len(values) == n and np.isfinite(values).all() for values in made.values())
    np.testing.assert_allclose(made["leave-one-out"], leave_one_out(one))
    assert np.abs(made["similarity"]).max() <= 1 + 1e-9
    step = 0.03

    @torch.no_grad()
    def score(factors: torch.Tensor) -> float:
        if name == "DReX":
            return float(games.words(7, one.item).scores(factors)[0, one.item])
        return float(games._rated(7, factors)[0])

    if name != "PESI":
        for place in range(n):
            ends = [1 + step * torch.eye(n)[place : place + 1] * side for side in (1, -1)]
            slope = (score(ends[0]) - score(ends[1])) / (2 * step)
            assert made["gradient"][place] == pytest.approx(slope, abs=2e-3)
        assert np.abs(made["gradient"]).max() > 1e-3
    else:
        generator, pair = games.model.generator, (torch.tensor([7]), torch.tensor([one.item]))
        given = games.model.spoken[games.model.given_features(*pair)[0][:n]]
        for place, word in enumerate(given.tolist()):
            slope = slope_along(games, generator.words, word, step)
            said = word in games.model.written.code(games._written.words).tolist()
            assert said or made["gradient"][place] == pytest.approx(slope, abs=2e-3)
        assert np.abs(made["gradient"]).max() > 1e-3


@torch.no_grad()
def slope_along(games: Any, words: torch.nn.Embedding, word: int, step: float) -> float:
    """By moving the word's vector where it is looked up; the output's weights, which are the same, are put back."""
    kept = words.weight[word].clone()
    found = []
    for side in (1, -1):
        moved = torch.nn.Embedding.from_pretrained(words.weight.clone())
        moved.weight[word] = kept * (1 + side * step)
        hook = words.register_forward_hook(lambda module, given, output, moved=moved: moved(given[0]))
        found.append(float(games._likelihoods(torch.ones(1, len(games.values(*games._pair))))[0]))
        hook.remove()
    return (found[0] - found[1]) / (2 * step)


def test_they_are_in_the_study(opened: Callable[[str], Recommender]) -> None:
    runs = [opened(name).trained for name in GAMES]
    found = burnish.explain_eval(runs, users=2, reference_reasons=["random", "leave-one-out"])
    assert set(found.methods) >= {"DReX: keywords", "NARRE: reviews", "PESI: sentences"}
    summary = found.summary()
    for label, own in (("DReX: keywords", {"plain overlap"}), ("NARRE: reviews", set())):
        part = summary[summary["model"] == label]
        assert set(part["reasons"]) == {OURS, "random", "leave-one-out", "best of 11 random", *own}
        assert {"MOVE", "DEL", "stability: Spearman", "sanity: Spearman"} <= set(part["measure"])
        assert (part[part["measure"] == "stability: Spearman"]["mean"] == 1).all()
    assert "MOVE" not in set(summary[summary["model"] == "DReX"]["measure"])
    text = found.markdown()
    assert "DReX: keywords: plain overlap: the words with the largest smaller share" in text
    assert "the predicted rating of PESI reads no word" in text
    assert "different item" not in text
    games = ReviewGames.of(opened("NARRE"))
    assert games is not None
    study = EvidenceStudy(games, None, asked=12, there=10, items={3, 4})
    study.tell("NARRE", "out", found)
    assert found.notes[-2:] == [
        "NARRE: 2 of 12 recommendations of out have no reviews as reasons and are left out of their table",
        "NARRE: reviews: the 10 recommendations of out are of 2 different items: what reasons share by item, intervals "
        "over users do not show",
    ]
    # One figure from scores asked one by one.
    frame = found.per_user()
    chosen = frame[(frame["model"] == "NARRE: reviews") & (frame["measure"] == "MOVE") & (frame["k"] == 1)]
    recommender = opened("NARRE")
    data, model = recommender.trained.dataset, recommender.trained.model
    checked = 0
    for row in chosen[chosen["reasons"] == OURS].itertuples():
        user, item = int(data.token2id("user_id", row.user)), int(data.token2id("item_id", row.item))
        slots, (_, weights) = model.slots("item"), model.review_attention("item", torch.tensor([item]))
        factors = torch.ones(2, model.max_reviews)
        read = (slots.events[item] >= 0) & (slots.others[item] != user)
        factors[1, int(weights[0].masked_fill(~read, -1).argmax())] = 0
        rated = model.rate_by_reviews(user, item, factors)
        assert row.value == pytest.approx(abs(float(rated[0] - rated[1])), abs=1e-5)
        checked += 1
    assert checked == 2


def test_reasons_of_the_untrained_model(opened: Callable[[str], Recommender]) -> None:
    recommender = opened("DReX")
    fresh = KeywordGames.of(Recommender(with_fresh_parameters(recommender.trained, 3), k=1))
    games = KeywordGames.of(recommender)
    assert fresh is not None
    assert games is not None
    one = asked(games, 3, 0)
    np.testing.assert_array_equal(games.words(3, one.item).words, fresh.words(3, one.item).words)
    assert not np.allclose(games.values(3, one.item), fresh.values(3, one.item))
