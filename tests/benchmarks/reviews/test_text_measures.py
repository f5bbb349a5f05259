"""BLEU, ROUGE and the measures of features: values by hand, and other implementations where they are installed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from burnish.benchmarks.reviews.text_measures import (
    bleu,
    feature_coverage,
    feature_match,
    feature_overlap,
    rouge_l,
    rouge_n,
    unique_ratio,
)

PAIRS = [
    ("the strap holds the guitar well .", "the strap holds my guitar ."),
    ("the the the", "the cable and the strap"),
    ("good", "a good cable that lasts ."),
]
WRITTEN, WANTED = ([pair[side].split() for pair in PAIRS] for side in (0, 1))


def test_bleu_by_hand() -> None:
    # 1-grams: 5 of 7 (the, strap, holds, guitar, .), 2 of 3 (clipped), 1 of 1; 11 words against 17.
    short = math.exp(1 - 17 / 11)
    assert bleu(WRITTEN, WANTED, 1) == pytest.approx(short * 8 / 11)
    # 2-grams: 2 of 6 (the strap, strap holds), none of 2, none of 0.
    assert bleu(WRITTEN, WANTED, 2) == pytest.approx(short * math.sqrt(8 / 11 * 2 / 8))
    assert bleu(WRITTEN, WANTED, 3) == pytest.approx(short * (8 / 11 * 2 / 8 * 1 / 6) ** (1 / 3))
    assert bleu(WRITTEN, WANTED, 4) == 0.0, "no common 4-gram"
    assert bleu(WANTED, WANTED, 4) == pytest.approx(1.0)
    longer = [["the", "strap", "holds", "well"]], [["the", "strap"]]
    assert bleu(*longer, 1) == pytest.approx(2 / 4), "no penalty for length"
    assert math.isnan(bleu([], [], 4))


def test_rouge_by_hand() -> None:
    written, wanted = WRITTEN[0], WANTED[0]
    assert rouge_n(written, wanted, 1) == pytest.approx(2 * 5 / (7 + 6))
    assert rouge_n(written, wanted, 2) == pytest.approx(2 * 2 / (6 + 5))
    assert rouge_l(written, wanted) == pytest.approx(2 * 5 / (7 + 6))
    assert rouge_n(WRITTEN[1], WANTED[1], 1) == pytest.approx(2 * 2 / (3 + 5)), "clipped"
    # The order counts: "holds strap" and "strap holds" have one word in common in order, two without.
    assert rouge_l(["holds", "strap"], ["strap", "holds"]) == pytest.approx(0.5)
    assert rouge_n(["holds", "strap"], ["strap", "holds"], 1) == 1.0
    assert rouge_n(["good"], WANTED[2], 2) == 0.0
    assert rouge_l([], WANTED[2]) == 0.0


def drawn(seed: int, n: int = 40) -> tuple[list[list[str]], list[list[str]]]:
    draw = np.random.default_rng(seed)
    words = np.array(["a", "the", "strap", "cable", "holds", "and", "well", "guitar", "is", "fine"])

    def sentence() -> list[str]:
        return [str(word) for word in words[draw.integers(len(words), size=draw.integers(1, 12))]]

    return [sentence() for _ in range(n)], [sentence() for _ in range(n)]


@pytest.mark.parametrize("n", [1, 2, 4])
def test_bleu_agrees_with_nltk(n: int) -> None:
    scores = pytest.importorskip("nltk.translate.bleu_score", reason="nltk is not installed")
    written, wanted = drawn(0)
    expected = scores.corpus_bleu([[one] for one in wanted], written, weights=[1 / n] * n)
    assert bleu(written, wanted, n) == pytest.approx(expected)


def test_bleu_agrees_with_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    written, wanted = drawn(1)
    texts = [[" ".join(words) for words in some] for some in (written, wanted)]
    found = sacrebleu.corpus_bleu(texts[0], [texts[1]], tokenize="none", smooth_method="none", force=True)
    assert bleu(written, wanted, 4) == pytest.approx(found.score / 100)


def test_rouge_agrees_with_rouge_score() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="rouge-score is not installed")
    reference = scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for written, wanted in zip(*drawn(2), strict=True):
        found = reference.score(" ".join(wanted), " ".join(written))
        assert rouge_n(written, wanted, 1) == pytest.approx(found["rouge1"].fmeasure)
        assert rouge_n(written, wanted, 2) == pytest.approx(found["rouge2"].fmeasure)
        assert rouge_l(written, wanted) == pytest.approx(found["rougeL"].fmeasure)


def test_measures_of_features_by_hand() -> None:
    named = [["strap"], ["strap", "cable"], [], ["cable", "tone"]]
    wanted = [["strap", "tone"], ["tone"], ["cable"], []]
    np.testing.assert_array_equal(feature_match(named, wanted), [1.0, 0.0, 0.0, np.nan])
    assert feature_coverage(named, 12) == pytest.approx(3 / 12)
    pairs = itertools.combinations(named, 2)
    assert feature_overlap(named) == pytest.approx(np.mean([len(set(a) & set(b)) for a, b in pairs]))
    assert feature_overlap(named) == pytest.approx(2 / 6)
    assert math.isnan(feature_coverage(named, 0))
    assert math.isnan(feature_overlap(named[:1]))


def test_the_share_of_different_sentences() -> None:
    assert unique_ratio(["a b", "a b", "c", "a b"]) == 0.5
    assert math.isnan(unique_ratio([]))
