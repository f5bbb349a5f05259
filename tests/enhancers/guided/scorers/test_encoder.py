"""The sentence encoder as a scorer: the packaged MiniLM itself, and the arithmetic against numpy by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from burnish.enhancers.guided.attributes import AttributeSchema, load_schema, make_schema
from burnish.enhancers.guided.scorers.encoder import EncoderScorer, as_text, without_examples
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.errors import DataError


class Words:
    """An encoder whose vectors are counts of words, scaled to length 1."""

    model_name = "words"

    def vectors(self, texts: list[str]) -> np.ndarray:
        words = ["funny", "grim", "long", "films", "lot", "x"]
        counts = np.array([[text.lower().count(word) for word in words] for text in texts], dtype=np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def scorer() -> Any:
    made = EncoderScorer()
    made._encoder = Words()  # type: ignore[assignment]
    return made


SCHEMA = make_schema(
    {
        "domain": "films",
        "instruction": "Score.",
        "scale": [1, 5],
        "attributes": {"humor": "funny (Airplane 9)", "length": "long"},
        "contrasts": {"humor": ["grim", "funny"]},
    }
)
TEXTS = Texts(
    ("a", "b", "none", "c", "d"),
    {
        "title": ("Funny x", "Grim x", " ", "Long films", "Long funny films"),
        "year": ("", "1995", "", "", ""),
    },
)


def test_scores_are_those_of_the_formula() -> None:
    scores = scorer().score(TEXTS, SCHEMA)
    unit = Words().vectors
    rows = unit(["Funny x", "Grim x. 1995", "Long films", "Long funny films"]).astype(float)
    described = unit(["films: humor, funny", "films: length, long"])
    much = unit(["a lot of humor: funny", "a lot of length: long"])
    high, low = unit(["funny", "long"]), unit(["grim", "films"])
    axes = [
        described - unit(["films"]),
        np.stack([high[0] - low[0], much[1] - much.mean(axis=0)]),
        high - high.mean(axis=0),
    ]
    judged = []
    for axis in axes:
        raw = rows @ axis.T.astype(float)
        judged.append((raw - raw.mean(axis=0)) / raw.std(axis=0))
    mean = np.mean(judged, axis=0)
    wanted = 3 + (mean - mean.mean(axis=0)) / mean.std(axis=0) * 2 / 3
    np.testing.assert_allclose(scores.values[[0, 1, 3, 4]], wanted.clip(1, 5), atol=1e-6)
    assert scores.uncertainty is not None
    np.testing.assert_allclose(
        scores.uncertainty[[0, 1, 3, 4]], np.std(judged, axis=0, ddof=1) * 2 / 3, atol=1e-6
    )
    assert scores.scale == (1.0, 5.0)


def test_an_id_without_text_is_unknown() -> None:
    scores = scorer().score(TEXTS, SCHEMA)
    assert np.isnan(scores.values[2]).all()
    assert scores.notes == {"none": "no text"}
    with pytest.raises(DataError, match="1 of 2 ids have a text"):
        scorer().score(Texts(("a", "b"), {"title": ("x", "")}), SCHEMA)


def test_extremes_stay_on_the_scale() -> None:
    """One text in a hundred that differs lies ten standard deviations away."""
    many = Texts(tuple(map(str, range(100))), {"title": ("Grim", *["Funny"] * 99)})
    values = scorer().score(many, SCHEMA).values[:, 0]
    assert values.min() == 1
    assert values[1:].min() > 3


def test_a_text_that_all_have_scores_in_the_middle() -> None:
    same = Texts(("a", "b"), {"title": ("Funny", "Funny")})
    assert (scorer().score(same, SCHEMA).values == 3).all()


def test_one_attribute_is_compared_with_the_domain() -> None:
    values = scorer().score(TEXTS, SCHEMA.only(["humor"])).values[:, 0]
    assert values[0] > values[4] > values[3]


def test_words_for_the_encoder() -> None:
    assert as_text({"title": "Who Framed Roger Rabbit.", "year": "1988"}) == "Who Framed Roger Rabbit. 1988"
    assert without_examples("pace (slow 1, fast 9) of it") == "pace of it"


@pytest.fixture(scope="module")
def films() -> tuple[Texts, AttributeSchema]:
    made_for = {
        "The Funniest Comedy of Jokes": "humor",
        "Love and Marriage, a Romance": "romance",
        "War: Blood, Killing and Gore": "violence",
        "The Puppy and the Children's Birthday": "family_friendliness",
    }
    return Texts(tuple(made_for.values()), {"title": tuple(made_for)}), load_schema("films")


def test_the_packaged_encoder_knows_a_comedy_from_a_war(films: tuple[Texts, AttributeSchema]) -> None:
    pytest.importorskip("sentence_transformers")
    texts, schema = films
    scores = EncoderScorer().score(texts, schema.only(texts.ids))
    assert scores.values.argmax(axis=0).tolist() == [0, 1, 2, 3]
    again = EncoderScorer(batch_size=1).score(texts, schema.only(texts.ids))
    np.testing.assert_allclose(again.values, scores.values, atol=1e-3)
