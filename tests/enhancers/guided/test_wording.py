"""Attributes in the words of a person."""

from __future__ import annotations

import pytest

from burnish.enhancers.guided.wording import attribute_words


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
