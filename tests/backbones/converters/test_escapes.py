"""Escaped texts come back, and hold nothing that ends a field or a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_reviews import NASTY

from burnish.backbones.converters.escapes import escaped, unescaped


@given(st.text() | st.text("\\tnr0\t\n\r\0ab"))
def test_round_trip(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not set(escaped(text)) & set("\t\n\r\0")


@pytest.mark.parametrize("text", NASTY)
def test_round_trip_of_nasty_texts(text: str) -> None:
    assert unescaped(escaped(text)) == text


def test_the_escapes_themselves() -> None:
    assert escaped('a\tb\nc\rd\\e\0"f"') == r'a\tb\nc\rd\\e\0"f"'


def test_unknown_escapes_stay() -> None:
    assert unescaped(r"\x \" \\x a\ ".rstrip()) == r"\x \" \x a" + "\\"
