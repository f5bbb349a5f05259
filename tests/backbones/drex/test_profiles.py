"""Keyword profiles and their overlaps against loops over single tokens."""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from review_world import NAME, StandInStore, build, rows_of, write_reviews

from burnish.backbones.drex import configured_modalities
from burnish.backbones.drex import profiles as module
from burnish.backbones.drex.profiles import profiles
from burnish.errors import ConfigurationError, NonFiniteError, UnknownNameError, UnsupportedError

STOP = {"the", "it", "is", "and", "a"}


class Pieces(StandInStore):
    """Words in small letters without stop words, of several pieces where long, each piece with a vector of its own."""

    def __init__(self, texts: Any, width: int = 5) -> None:
        super().__init__(texts, width)
        found = [[word for word in re.findall(r"\w+", text) if word.lower() not in STOP] for text in texts]
        self._surface = [[word for word in words for _ in range(1 + len(word) // 5)] for words in found]
        self.vocabulary = list(dict.fromkeys(word.lower() for words in found for word in words))
        numbers = {word: place for place, word in enumerate(self.vocabulary)}
        tokens = [numbers[word.lower()] for words in self._surface for word in words]
        self.words = torch.tensor(tokens, dtype=torch.int32)
        self.offsets = torch.tensor([0, *map(len, self._surface)]).cumsum(0)
        self._tokens = torch.randn(len(tokens), width, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch, stand_in_tokens: None) -> None:
    monkeypatch.setattr(configured_modalities, "open_tokens", lambda texts, config: Pieces(texts))
    monkeypatch.setattr(module, "PART", 40)  # so that there are several parts


SENTENCES = (
    "The strings are warm and sturdy.",
    "Cable broke after a week!",
    "It is a Größe 5 pedal, naïve tuner; 吉他 is 好。",
    "Love it, the battery noise",
    "warm warm tone",
    "the",
)


def rows(seed: int = 1) -> list[Any]:
    """Reviews of several sentences, some equal, some missing, one of a stop word; user u3 writes none.

    Two of the sentences are never said of an item, so that words are rare to different degrees.
    """
    draw = random.Random(seed)
    return [
        (user, item, rating, time, "" if user == "u3" else _review(draw, int(item[1:])) if text else "")
        for user, item, rating, time, text in rows_of(seed=seed)
    ]


def _review(draw: random.Random, item: int) -> str:
    said = [sentence for place, sentence in enumerate(SENTENCES) if (place + item) % 3]
    return " ".join(draw.choices(said, k=draw.randint(1, 3)))


def tokens_of(model: Any, event: int) -> Iterator[tuple[int, str, float, int]]:
    """Place, word, weight and number of tokens of what an event shows: equation 2 by hand, in double precision."""
    text = int(model.event_texts[event])
    if text < 0 or not model.shown[event]:
        return
    part = model.modalities["review"]
    store, pooling = part.store, part.pooling
    first, last = int(store.offsets[text]), int(store.offsets[text + 1])
    project, bias = pooling.project.weight.double(), pooling.project.bias.double()
    logits = [
        float((project @ store._tokens[row].double() + bias) @ pooling.attention.double())
        for row in range(first, last)
    ]
    whole = sum(math.exp(logit) for logit in logits)
    for place, logit in enumerate(logits):
        yield place, store.vocabulary[int(store.words[first + place])], math.exp(logit) / whole, len(logits)


def by_hand(model: Any, side: str, weighting: str = "attention") -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    owners = model.event_users if side == "user" else model.event_items
    texts_with: dict[str, set[str]] = defaultdict(set)
    for event in range(model.n_events):
        for _, word, _, _ in tokens_of(model, event):
            texts_with[word].add(model.texts[int(model.event_texts[event])])
    some = len(set().union(*texts_with.values())) if texts_with else 0
    for event in range(model.n_events):
        for _, word, weight, n in tokens_of(model, event):
            more = {
                "attention": weight,
                "excess": weight - 1 / n,
                "distinctive": weight * math.log(some / len(texts_with[word])),
            }
            found[int(owners[event])][word] += more[weighting]
    return {owner: {w: m for w, m in row.items() if m > 1e-9} for owner, row in found.items()}


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = build("DReX", write_reviews(tmp_path, rows()))
    made.model.eval()
    return made


@pytest.mark.parametrize("weighting", ["attention", "excess", "distinctive"])
@pytest.mark.parametrize("side", ["user", "item"])
def test_profiles_agree_with_a_loop_over_tokens(side: Any, weighting: str, tmp_path: Path) -> None:
    model = build("DReX", write_reviews(tmp_path, rows()), profile_weighting=weighting).model.eval()
    wanted = by_hand(model, side, weighting)
    n = model.n_users if side == "user" else model.n_items
    for owner in range(n):
        found = dict(model.profile(side, owner, 1000))
        assert found == pytest.approx(wanted.get(owner, {}), rel=1e-5, abs=1e-7)
        masses = [mass for _, mass in model.profile(side, owner, 4)]
        assert masses == sorted(found.values(), reverse=True)[:4]
    assert sum(map(len, wanted.values())) > 40
    if weighting == "attention":
        reviews = {o: sum(any(tokens_of(model, e)) for e in owned(model, side, o)) for o in wanted}
        assert {o: sum(row.values()) for o, row in wanted.items()} == pytest.approx(reviews)


def owned(model: Any, side: str, owner: int) -> list[int]:
    owners = model.event_users if side == "user" else model.event_items
    return [event for event in range(model.n_events) if int(owners[event]) == owner]


@pytest.mark.parametrize("side", ["user", "item"])
def test_the_table_has_the_same_words(side: Any, world: Any) -> None:
    model = world.model
    table = profiles(model, side, 3)
    assert list(table.columns) == ["id", "rank", "word", "mass", "share", "n_reviews"]
    tokens = model.tokens.user if side == "user" else model.tokens.item
    wanted = by_hand(model, side)
    assert set(table["id"]) == {tokens[owner] for owner, row in wanted.items() if row}
    for token, rows_ in table.groupby("id"):
        owner = tokens.index(token)
        assert list(zip(rows_["word"], rows_["mass"], strict=True)) == [
            (word, pytest.approx(mass)) for word, mass in model.profile(side, owner, 3)
        ]
        assert list(rows_["rank"]) == [1, 2, 3][: len(rows_)]
        whole = sum(wanted[owner].values())
        for word, share, n in zip(rows_["word"], rows_["share"], rows_["n_reviews"], strict=True):
            assert share == pytest.approx(wanted[owner][word] / whole, rel=1e-5)
            assert n == sum(
                word in {w for _, w, _, _ in tokens_of(model, e)} for e in owned(model, side, owner)
            )
    assert len(profiles(model, side)) > len(table)


def test_the_words_of_users_without_reviews(world: Any) -> None:
    model = world.model
    silent = model.tokens.user.index("u3")
    assert model.profile("user", silent) == []
    assert model.explain(silent, 1) == []
    assert model.no_reason(silent, 1) == "the user has no training review of another item"
    assert "u3" not in set(profiles(model, "user")["id"])
    assert model.profile("user", 0) == []  # the padding row


def test_words_of_any_script(world: Any) -> None:
    words = set(profiles(world.model, "item", 1000)["word"])
    assert {"größe", "naïve", "吉他"} <= words
    assert "the" not in words


def test_hidden_reviews_are_in_no_profile(world: Any) -> None:
    model = world.model
    before = model.profile("item", 2, 1000)
    model.hide_reviews(0.5, seed=3)
    after = model.profile("item", 2, 1000)
    assert dict(after) == pytest.approx(by_hand(model, "item")[2], rel=1e-5)
    assert dict(after) != pytest.approx(dict(before))
    model.hide_reviews(1)
    assert model.profile("item", 2) == model.explain(1, 2) == []
    assert len(profiles(model, "user")) == 0
    assert " and the item has no training review by another user" in model.no_reason(1, 2)
    model.hide_reviews(0)
    assert model.profile("item", 2, 1000) == before


def test_profiles_are_of_the_present_parameters(world: Any) -> None:
    model = world.model
    before = model.profile("item", 2)
    assert model.keyword_profiles() is model.keyword_profiles()
    model.train()
    with torch.no_grad():
        model.modalities["review"].pooling.attention.mul_(-2)
    assert dict(model.profile("item", 2, 1000)) == pytest.approx(by_hand(model, "item")[2], rel=1e-5)
    assert model.profile("item", 2) != before


@pytest.mark.parametrize("part", ["valid", "test"])
def test_other_rows_reviews_are_in_no_profile_and_no_reason(part: str, tmp_path: Path) -> None:
    made = build("DReX", write_reviews(tmp_path / "a", rows()))
    others = getattr(made, part)._dataset
    pairs = {
        (made.dataset.id2token("user_id", int(u)), made.dataset.id2token("item_id", int(i)))
        for u, i in zip(others.inter_feat["user_id"], others.inter_feat["item_id"], strict=True)
    }
    changed = [
        (u, i, r, t, "wholly secret strings. Warm tuner" if (u, i) in pairs else text)
        for u, i, r, t, text in rows()
    ]
    assert changed != rows()
    again = build("DReX", write_reviews(tmp_path / "b", changed))
    again.model.load_state_dict(made.model.state_dict())
    for side in ("user", "item"):
        first, second = (profiles(world.model.eval(), side, 1000) for world in (made, again))
        assert not set(second["word"]) & {"wholly", "secret"}
        assert len(first) > 50
        pd.testing.assert_frame_equal(first, second)
    told = " ".join(r.text for u in range(1, 13) for i in range(1, 10) for r in again.model.explain(u, i))
    assert "secret" not in told
    assert "strings" in told


# ---------------------------------------------------------------- reasons


def without_each_other(model: Any, user: int, item: int) -> tuple[list[int], list[int]]:
    of_user = [e for e in owned(model, "user", user) if int(model.event_items[e]) != item]
    of_item = [e for e in owned(model, "item", item) if int(model.event_users[e]) != user]
    return of_user, of_item


def shares_of(model: Any, events: list[int]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for event in events:
        for _, word, weight, _ in tokens_of(model, event):
            found[word] += weight
    whole = sum(found.values())
    return {word: mass / whole for word, mass in found.items()}


def rarity_of(model: Any) -> dict[str, float]:
    """Of each word, over the items that show a text, by counting."""
    items: dict[str, set[int]] = defaultdict(set)
    for event in range(model.n_events):
        for _, word, _, _ in tokens_of(model, event):
            items[word].add(int(model.event_items[event]))
    n = len(set().union(*items.values()))
    return {word: math.log(n / len(some)) / math.log(n) for word, some in items.items()}


def test_reasons_are_the_overlap_of_the_profiles_by_rarity(world: Any) -> None:
    model = world.model
    rarity, told = rarity_of(model), 0
    assert len(set(rarity.values())) > 2
    known = {(int(u), int(i)) for u, i in zip(model.event_users, model.event_items, strict=True)}
    for user, item in [(1, 2), (5, 7), (2, 9), (8, 1), next(iter(known))]:
        of_user, of_item = (shares_of(model, events) for events in without_each_other(model, user, item))
        both = {
            word: min(of_user[word], of_item[word]) * rarity[word] for word in set(of_user) & set(of_item)
        }
        found = model.explain(user, item)
        assert len(found) == min(10, sum(weight > 0 for weight in both.values()))
        told += len(found)
        best = sorted(both.values(), reverse=True)[: len(found)]
        assert [reason.contribution for reason in found] == pytest.approx(best, rel=1e-5)
        for reason in found:
            word = reason.evidence["word"]
            assert reason.kind == "keyword"
            assert reason.contribution == pytest.approx(both[word], rel=1e-5)
            assert reason.evidence["user_share"] == pytest.approx(of_user[word], rel=1e-5)
            assert reason.evidence["item_share"] == pytest.approx(of_item[word], rel=1e-5)
            assert reason.evidence["rarity"] == pytest.approx(rarity[word])
            rank = 1 + sum(mass > of_item[word] * (1 + 1e-6) for mass in of_item.values())
            assert reason.evidence["item_rank"] == rank
            assert f"“{word}”" in reason.text
    assert told > 10


def test_sentences_carry_the_most_of_their_word(world: Any) -> None:
    """Against all sentences of all the reviews; the tests' sentences are known, so nothing has to be split."""
    model = world.model
    checked = 0
    for user, item in [(1, 2), (5, 7), (2, 9), (8, 1)]:
        of_user, of_item = without_each_other(model, user, item)
        for reason in model.explain(user, item):
            word = reason.evidence["word"]
            for events, told, who in (
                (of_user, "user_sentence", "item"),
                (of_item, "item_sentence", "writer"),
            ):
                best = max(
                    (
                        (mass, text, event)
                        for event in events
                        for text, mass in per_sentence(model, event, word)
                    ),
                    default=None,
                )
                assert best is not None
                wanted = [
                    (text, event)
                    for event in events
                    for text, mass in per_sentence(model, event, word)
                    if mass == pytest.approx(best[0], rel=1e-5)
                ]
                assert reason.evidence[told] in {text for text, _ in wanted}
                assert reason.evidence[told] in reason.text
                column = model.event_items if who == "item" else model.event_users
                names = model.tokens.item if who == "item" else model.tokens.user
                assert reason.evidence[who] in {names[int(column[event])] for _, event in wanted}
                checked += 1
    assert checked > 20


def per_sentence(model: Any, event: int, word: str) -> list[tuple[str, float]]:
    """The sentences of an event's review, as the test wrote them, with the attention on a word."""
    tokens = list(tokens_of(model, event))
    if not tokens:
        return []
    text, at, found = model.texts[int(model.event_texts[event])], 0, []
    while text:
        sentence = next(s for s in SENTENCES if text == s or text.startswith(f"{s} "))
        text = text[len(sentence) + 1 :]
        n = sum(1 + len(w) // 5 for w in re.findall(r"\w+", sentence) if w.lower() not in STOP)
        mass = sum(weight for place, w, weight, _ in tokens if w == word and at <= place < at + n)
        at += n
        found.append((sentence, mass))
    return joined(found)


def joined(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Sentences without a mark at their end go on in the next one; dots within one divide it."""
    merged: list[tuple[str, float]] = []
    for sentence, mass in found:
        if merged and merged[-1][0][-1] not in ".!。":
            merged[-1] = (f"{merged[-1][0]} {sentence}", merged[-1][1] + mass)
        else:
            merged.append((sentence, mass))
    return merged


def test_a_users_own_review_of_the_item_is_no_reason(tmp_path: Path) -> None:
    mine = [
        ("a", "x", 5.0, 1, "peculiar hum"),
        ("a", "y", 4.0, 2, "warm tone"),
        ("b", "x", 3.0, 3, "warm cable"),
        ("b", "z", 3.0, 4, "no strings"),
    ]
    model = build("DReX", write_reviews(tmp_path, mine), **ALL_TRAINING).model.eval()
    a, x, y = model.tokens.user.index("a"), model.tokens.item.index("x"), model.tokens.item.index("y")
    assert {word for word, _ in model.profile("user", a)} == {"peculiar", "hum", "warm", "tone"}
    assert [reason.evidence["word"] for reason in model.explain(a, x)] == ["warm"]
    assert model.no_reason(a, y) == "the item has no training review by another user"
    assert model.explain(a, y) == []
    reason = model.explain(a, x)[0]
    assert reason.evidence["user_sentence"] == "warm tone"
    assert reason.evidence["item"] == "y"
    assert reason.evidence["item_sentence"] == "warm cable"
    assert reason.evidence["writer"] == "b"


ALL_TRAINING = {"eval_args": {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": None, "mode": "labeled"}}


def test_what_every_items_reviews_have_is_no_reason(tmp_path: Path) -> None:
    """Records: all have "album", three of four "song", and "theremin" is of two alone, one of them the user's."""
    written = {
        "w": "album song theremin",
        "x": "album song theremin song song",
        "y": "album song drums",
        "z": "album guitar",
    }
    rows_ = [("b", item, 4.0, time, text) for time, (item, text) in enumerate(written.items())]
    rows_ += [("a", "w", 5.0, 9, "album song song theremin album song")]
    model = build("DReX", write_reviews(tmp_path, rows_), **ALL_TRAINING).model.eval()
    a, x = model.tokens.user.index("a"), model.tokens.item.index("x")
    assert {word for word, _ in model.profile("user", a)} == {"album", "song", "theremin"}
    reasons = model.explain(a, x)
    by_word = {reason.evidence["word"]: reason for reason in reasons}
    assert set(by_word) == {"theremin", "song"}
    assert by_word["theremin"].evidence["rarity"] == pytest.approx(math.log(4 / 2) / math.log(4))
    assert by_word["song"].evidence["rarity"] == pytest.approx(math.log(4 / 3) / math.log(4))
    for reason in reasons:
        shares = reason.evidence["user_share"], reason.evidence["item_share"]
        assert reason.contribution == pytest.approx(min(shares) * reason.evidence["rarity"])
    # The telling word is first although the other one has more of both profiles.
    with torch.no_grad():
        model.modalities["review"].pooling.attention.zero_()
    model.forget()
    reasons = model.explain(a, x)
    assert [reason.evidence["word"] for reason in reasons] == ["theremin", "song"]
    # Long words are of two pieces here.
    assert reasons[0].contribution == pytest.approx(min(2 / 9, 2 / 7) * 0.5)
    assert reasons[1].contribution == pytest.approx(min(3 / 9, 3 / 7) * math.log(4 / 3) / math.log(4))
    b = model.tokens.user.index("b")
    assert model.explain(b, x) == []
    assert model.no_reason(b, x) == "the item has no training review by another user"


def test_one_item_has_nothing_to_be_rare_among(tmp_path: Path) -> None:
    rows_ = [("a", "x", 5.0, 1, "warm tone"), ("b", "x", 4.0, 2, "warm"), ("a", "y", 4.0, 3, "")]
    model = build("DReX", write_reviews(tmp_path, rows_), **ALL_TRAINING).model.eval()
    assert model.keyword_profiles().rarity.tolist() == [1.0, 1.0]


def test_ratings_alone_have_no_words(tmp_path: Path) -> None:
    model = build("DReX", write_reviews(tmp_path, rows()), modalities=["rating"]).model.eval()
    assert not model.explains
    for ask in (
        lambda: model.profile("user", 1),
        lambda: model.explain(1, 1),
        lambda: profiles(model, "item"),
    ):
        with pytest.raises(UnsupportedError, match=r"modalities: \[review, rating\]"):
            ask()


def test_another_weighting_of_a_trained_model(world: Any) -> None:
    model = world.model
    before = profiles(model, "item")
    other = profiles(model, "item", 1000, "excess")
    mine = other[other["id"] == model.tokens.item[2]]
    assert dict(zip(mine["word"], mine["mass"], strict=True)) == pytest.approx(
        by_hand(model, "item", "excess")[2], abs=1e-6
    )
    pd.testing.assert_frame_equal(profiles(model, "item"), before)
    model.weigh_words("excess")
    assert dict(model.profile("item", 2, 1000)) == pytest.approx(
        by_hand(model, "item", "excess")[2], rel=1e-4
    )
    pairs = ((user, item) for user in range(1, 13) for item in range(1, 10))
    reason = next(reason for pair in pairs for reason in model.explain(*pair))
    assert reason.evidence["weighting"] == "excess"
    assert 0 < reason.contribution <= 1
    with pytest.raises(UnknownNameError, match="Did you mean 'excess'"):
        model.weigh_words("exces")
    with pytest.raises(UnknownNameError, match="profile_weighting"):
        profiles(model, "item", weighting="none")


def test_options_are_checked(tmp_path: Path) -> None:
    folder = write_reviews(tmp_path, rows())
    with pytest.raises(UnknownNameError, match="Did you mean 'distinctive'"):
        build("DReX", folder, NAME, profile_weighting="distinctiv")
    with pytest.raises(ConfigurationError, match="keep_profile_words = 0"):
        build("DReX", folder, NAME, keep_profile_words=0)
    model = build("DReXMLP", folder, NAME, keep_profile_words=2).model.eval()
    assert len(model.profile("item", 1)) == 2
    assert max(np.bincount(profiles(model, "user")["rank"])[3:], default=0) == 0
    with torch.no_grad():
        model.modalities["review"].pooling.attention.fill_(math.nan)
    model.train()
    with pytest.raises(NonFiniteError, match="training went wrong"):
        model.profile("item", 1)
