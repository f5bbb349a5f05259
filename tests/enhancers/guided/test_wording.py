"""Attributes in the words of a person."""

from __future__ import annotations

import pytest

from burnish.enhancers.guided.wording import attribute_words, spoken_about, spoken_words


@pytest.mark.parametrize(
    ("item", "user", "adds", "said"),
    [
        (2.2, 1.4, 1.2, "is very high in humor, and so is what you like"),
        (-1.4, -0.6, 0.2, "is low in humor, and so is what you like"),
        (-1.2, 0.3, -0.2, "is low in humor, unlike what you like"),
        (2.0, 0.1, 0.3, "is very high in humor, which counts for it with you"),
        (2.0, 0.1, -0.3, "is very high in humor, which counts against it with you"),
        # A contribution of a sign that likeness does not tell (one stage): the sign is what is said.
        (2.0, -1.0, 0.3, "is very high in humor, which counts for it with you"),
        (2.0, 1.0, -0.3, "is very high in humor, which counts against it with you"),
        (0.1, 1.0, 0.01, "is average in humor, which counts for it with you"),
    ],
)
def test_what_is_said(item: float, user: float, adds: float, said: str) -> None:
    assert attribute_words("humor", item, user, adds) == said


def test_numbers_behind_the_words() -> None:
    words = attribute_words("critical_acclaim", 1.5, 0.7, 0.3, numbers=True)
    assert words == "is very high in critical acclaim (+1.5 sd), and so is what you like (+0.7 sd)"


@pytest.mark.parametrize(
    ("parts", "beside", "contribution", "said"),
    [
        ({"humor": 0.6, "pace": 0.1}, 0.3, 1.0, ("mostly", ["humor"])),
        ({"humor": 0.5, "pace": 0.1}, 0.4, 1.0, ("mostly", ["humor"])),
        ({"pace": 0.3, "humor": 0.4}, 0.3, 1.0, ("mostly", ["humor", "pace"])),
        ({"pace": 0.2, "humor": 0.25}, 0.55, 1.0, ("partly", ["humor", "pace"])),
        ({"pace": 0.19, "humor": 0.25}, 0.56, 1.0, ("partly", ["humor"])),
        ({"pace": 0.1, "humor": 0.1}, 0.8, 1.0, ("", [])),
        # What is on the other side does not count.
        ({"humor": 0.6, "pace": -0.9}, 0.4, 0.1, ("mostly", ["humor"])),
        ({"humor": 0.3, "pace": -0.9}, 0.7, 0.1, ("partly", ["humor"])),
        ({"humor": 0.6, "pace": -0.9}, 0.1, -0.2, ("mostly", ["pace"])),
        ({"humor": 0.6, "pace": -0.1}, -0.9, -0.4, ("", [])),
        ({"humor": 0.0, "pace": 0.0}, 0.0, 0.0, ("", [])),
        ({}, 1.0, 1.0, ("", [])),
    ],
)
def test_which_attributes_a_chosen_item_speaks_about(
    parts: dict[str, float], beside: float, contribution: float, said: tuple[str, list[str]]
) -> None:
    assert spoken_about(parts, beside, contribution) == said


def test_what_a_chosen_item_says_in_words() -> None:
    evidence = {"by_attribute": {"dark_irony": 0.4, "pace": 0.3}, "beside_attributes": 0.3}
    assert spoken_words(evidence, 1.0) == "mostly by what it says about dark irony and pace"
    assert spoken_words(evidence, 1.0, by="for what they say about", numbers=True) == (
        "mostly for what they say about dark irony (+0.4000) and pace (+0.3000)"
    )
    assert spoken_words({"item": "5"}, 1.0) == ""
    assert spoken_words({**evidence, "beside_attributes": 9.0}, 9.7) == ""
