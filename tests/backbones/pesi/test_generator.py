"""What each place of the generator sees, its losses against loops, and sentences word by word."""

from __future__ import annotations

import math

import pytest
import torch

from burnish.backbones.pesi.generator import FIRST_FEATURE, ITEM, USER, SentenceGenerator
from burnish.backbones.pesi.sentences import BEGIN, END, PAD, UNKNOWN

N_FEATURES, LENGTH, SIZE, VOCABULARY = 2, 4, 8, 11


@pytest.fixture
def generator() -> SentenceGenerator:
    torch.manual_seed(0)
    found = SentenceGenerator(VOCABULARY, N_FEATURES, LENGTH, SIZE, 2, 2, 0.0).double().eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64) * 0.5)
    return found


def inputs(n: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    vectors = torch.randn(2, n, SIZE, dtype=torch.float64, generator=draw)
    features = torch.tensor([[5, 6], [7, PAD], [PAD, PAD]]).repeat(3, 1)[:n]
    return vectors[0], vectors[1], features


def test_each_place_sees_what_it_may(generator: SentenceGenerator) -> None:
    users, items, features = inputs(1)
    words = torch.tensor([[4, 8, 9]])
    before = generator(users, items, features, words)[0]

    def moved(*given: torch.Tensor) -> list[int]:
        after = generator(*given)[0]
        return [place for place in range(len(before)) if not torch.allclose(before[place], after[place])]

    places = list(range(FIRST_FEATURE + N_FEATURES + 1 + 3))
    other_user, other_item, _ = (part.flip(-1) for part in inputs(1))
    assert moved(other_user, items, features, words) == places
    assert moved(users, other_item, features, words) == places, "the user sees the item"
    assert moved(users, items, torch.tensor([[9, 6]]), words) == places[FIRST_FEATURE:]
    first = generator.first_word
    for number in range(3):
        other = words.clone()
        other[0, number] = 10
        assert moved(users, items, features, other) == places[first + 1 + number :], (
            "no place sees what comes"
        )


def test_empty_places_of_features_are_hidden(generator: SentenceGenerator) -> None:
    users, items, features = inputs()
    before = generator(users, items, features, features[:, :0])
    with torch.no_grad():
        generator.words.weight[PAD] = torch.arange(SIZE) ** 2
    after = generator(users, items, features, features[:, :0])
    first = generator.first_word
    torch.testing.assert_close(before[:, first], after[:, first])


def test_losses_agree_with_loops(generator: SentenceGenerator) -> None:
    users, items, features = inputs()
    codes = torch.tensor([[4, 8, 9, 10, END], [6, END, PAD, PAD, PAD], [UNKNOWN, 4, END, PAD, PAD]])
    said, context, rated = generator.losses(users, items, features, codes)
    each, any_order = [], []
    for row in range(3):
        words = [code for code in codes[row].tolist() if code != PAD]
        for number, word in enumerate(words):
            so_far = torch.tensor([words[:number]], dtype=torch.long)
            at = generator(users[[row]], items[[row]], features[[row]], so_far)[0]
            each.append(-math.log(torch.softmax(generator.scores(at[-1]), 0)[word].item()))
            any_order.append(-math.log(torch.softmax(generator.scores(at[ITEM]), 0)[word].item()))
            assert float(rated[row]) == pytest.approx(float(generator.rating(at[USER]).detach()))
    assert float(said) == pytest.approx(sum(each) / len(each))
    assert float(context) == pytest.approx(sum(any_order) / len(any_order))
    torch.testing.assert_close(rated, generator.ratings(users, items))


def test_sentences_are_the_likeliest_words_in_turn(generator: SentenceGenerator) -> None:
    users, items, features = inputs(9)
    features = torch.randint(4, VOCABULARY, features.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        generator.word_bias[[PAD, BEGIN, UNKNOWN]] = 50.0  # what must never be written
        generator.word_bias[END] = 0.8
    found = generator.write(users, items, features)
    lengths = set()
    for row in range(9):
        words: list[int] = []
        logs = []
        while len(words) < LENGTH:
            at = generator(
                users[[row]], items[[row]], features[[row]], torch.tensor([words], dtype=torch.long)
            )
            scores = generator.scores(at[0, -1])
            for never in (PAD, BEGIN, UNKNOWN, *([] if words else [END])):
                scores[never] = -math.inf
            best = int(scores.argmax())
            logs.append(float(torch.log_softmax(scores, 0)[best]))
            if best == END:
                break
            words.append(best)
        assert found.codes[row].tolist()[: len(words)] == words
        assert set(found.codes[row].tolist()[len(words) :]) <= {PAD}
        assert float(found.certainty[row]) == pytest.approx(math.exp(sum(logs) / len(logs)), rel=1e-5)
        lengths.add(len(words))
    assert len(lengths) > 1, "rows that end sooner and later"


def test_without_places_for_features() -> None:
    torch.manual_seed(0)
    found = SentenceGenerator(VOCABULARY, 0, LENGTH, SIZE, 1, 2, 0.0).eval()
    users = torch.randn(2, SIZE)
    none = torch.zeros(2, 0, dtype=torch.long)
    assert found.write(users, users, none).codes.shape[0] == 2
    assert found.ratings(users, users).shape == (2,)
