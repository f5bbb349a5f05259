"""Reviews as sentences, the most telling of them, and the vocabulary."""

from __future__ import annotations

import numpy as np

from burnish.backbones.pesi.features import FeatureWords
from burnish.backbones.pesi.sentences import (
    BEGIN,
    END,
    PAD,
    UNKNOWN,
    SentenceReader,
    TrainingSentences,
    readable_sentence,
)
from burnish.backbones.text.cleaning import Cleaner


def reader(length: int = 6) -> SentenceReader:
    return SentenceReader(Cleaner(lemmatise=False), length)


def test_sentences_are_small_words_and_marks() -> None:
    found = reader().sentences("It don't hum!<br />I've got an SM57, and it's fine. ... 5 &amp; more")
    assert found == [
        ["it", "don't", "hum", "!"],
        ["i've", "got", "an", "sm57", ",", "and", "it's", "fine", "."],
        ["5", "more"],
    ]
    assert reader().lemmas(["it", "don't", "hum", "!", "sm57"]) == {"hum", "sm57"}


def test_the_most_telling_sentences_come_first() -> None:
    features = FeatureWords(["cable", "pedal", "strap"], np.array([1.0, 1.5, 2.0]))
    text = "Good. I like it here. My cable and pedal are fine. The strap is wide and my own pedal. A strap and a cable."
    first, second, third, fourth = reader().telling(text, features, 9)
    assert first == ["a", "strap", "and", "a", "cable", "."]
    assert second == ["my", "cable", "and", "pedal", "are", "fine"], "cut, and so the one below has no pedal"
    assert third == ["the", "strap", "is", "wide", "and", "my"]
    assert fourth == ["i", "like", "it", "here", "."], "the short one is left out"
    assert reader().telling("Good", features, 2) == [["good"]], "unless there is no other"
    assert reader().telling(" ... ", features, 2) == []


def test_training_sentences_have_a_vocabulary_of_their_own() -> None:
    texts = ["a strap holds . ", "A strap breaks!", "strap strap strap seldom"]
    found = TrainingSentences.of(texts, (np.array([0, 1, 2]), np.array([1, 1, 2])), reader(4), 2, 100)
    assert found.words == ["", "<begin>", "<end>", "<unknown>", "strap", "a"], "by sentences, not by words"
    assert (PAD, BEGIN, END, UNKNOWN) == (0, 1, 2, 3)
    assert found.codes.tolist() == [[5, 4, 3, 3, 2], [5, 4, 3, 3, 2], [4, 4, 4, 3, 2]]
    assert found.of_text.tolist() == [[0, -1], [1, -1], [2, -1]]
    assert found.sentence(found.codes[0]) == ["a", "strap", "<unknown>", "<unknown>"]
    assert found.reference("An unheard sentence. Here!") == ["an", "unheard", "sentence", "."]
    assert found.reference("") is None
    small = TrainingSentences.of(texts, (np.array([0, 1, 2]), np.array([1, 1, 2])), reader(4), 2, 1)
    assert small.words[4:] == ["strap"]


def test_features_are_spoken_by_their_most_frequent_form() -> None:
    texts = [f"{word} is here" for word in ("Straps", "strap", "straps") for _ in range(2)]
    texts += [f"other thing number {number}" for number in range(60)]
    items = np.array([1] * 6 + list(range(2, 62)))
    found = TrainingSentences.of(texts, (np.arange(66), items), SentenceReader(Cleaner(), 5), 1, 100)
    assert found.features.names == ["strap"]
    assert [found.words[number] for number in found.spoken()] == ["straps"]
    assert found.said(["Straps", "hold"]) == {"strap"}
    assert found.held.toarray()[:, 0].tolist() == [1] * 6 + [0] * 60


def test_words_as_one_reads_them() -> None:
    assert (
        readable_sentence(["i've", "a", "cable", ",", "and", "i", "like", "it", "!"])
        == "I've a cable, and I like it!"
    )
    assert readable_sentence([]) == ""
