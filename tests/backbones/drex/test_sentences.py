"""Where sentences begin and end, where words stand, and what is shown of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.backbones.drex.sentences import MOST, excerpt, places, readable, sentences


def parts(text: str) -> list[str]:
    return [text[start:stop] for start, stop in sentences(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Good tone. Bad cable! Why? ok", ["Good tone.", "Bad cable!", "Why?", "ok"]),
        ("It costs 4.5 dollars... no, 5.", ["It costs 4.5 dollars...", "no, 5."]),
        ('He said "never again." So did I. Then not.', ['He said "never again."', "So did I.", "Then not."]),
        (
            "Strings by J. S. Bach, e.g. the Mr. Brown set, vs. others.",
            ["Strings by J. S. Bach, e.g. the Mr. Brown set, vs. others."],
        ),
        ("It hums.I sent it back!The U.S.A model", ["It hums.", "I sent it back!", "The U.S.A model"]),
        ("first line\nsecond line", ["first line", "second line"]),
        ("很好。便宜！我喜欢", ["很好。", "便宜！", "我喜欢"]),
        ("   ", []),
        ("", []),
    ],
)
def test_sentences(text: str, wanted: list[str]) -> None:
    assert parts(text) == wanted


def test_markup_is_left_out() -> None:
    text = 'Fine &amp; "warm".<br /><br/>No&lt;br&gt;hum <b>at all</b> http://a.b/c?d it&#8217;s'
    assert readable(text) == 'Fine & "warm".\nNo\nhum at all it\'s'


@given(st.text(alphabet=st.sampled_from("ab. \n!?。\"'5É吉"), max_size=60))
def test_every_letter_belongs_to_one_sentence(text: str) -> None:
    spans = sentences(text)
    inside = [at for start, stop in spans for at in range(start, stop)]
    assert inside == sorted(set(inside))
    assert {at for at, letter in enumerate(text) if not letter.isspace()} <= set(inside)
    assert all(not text[start].isspace() and not text[stop - 1].isspace() for start, stop in spans)


def test_words_are_found_where_they_stand() -> None:
    text = "Playing starts; playing, playing! Art. The art starts"
    words = [
        "Playing",
        "Playing",
        "starts",
        "playing",
        "playing",
        "playing",
        "playing",
        "Art",
        "art",
        "starts",
    ]
    found = places(text, words)
    # Of "playing playing playing playing" nobody can tell which two are the first word's; both stand there.
    assert found[:4] == [0, 0, 8, 16]
    assert found[4:7] == [25, 25, 25]
    assert [text[at:] for at in found[7:]] == ["Art. The art starts", "art starts", "starts"]


def test_repeated_words_and_words_that_are_not_there() -> None:
    assert places("good. Good good stuff", ["good", "Good", "good", "stuff"]) == [0, 6, 11, 16]
    assert places("one two", ["one", "missing", "two"]) == [0, 0, 4]
    assert places("strings, strings", ["strings", "strings"]) == [0, 9]
    assert places("", ["x"]) == [0]


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "longword", "x."]), min_size=1, max_size=90), st.data())
def test_excerpts_are_short_and_hold_the_place(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    place = data.draw(st.integers(0, len(words) - 1))
    at = len(" ".join(words[:place])) + (place > 0)
    shown = excerpt(text, (0, len(text)), at)
    assert len(shown) <= MOST
    assert shown.strip("…") in text
    assert words[place] in shown
    if len(text) <= MOST:
        assert shown == text
    else:
        assert "…" in (shown[0], shown[-1])


def test_an_excerpt_of_one_endless_word() -> None:
    text = "x" * 1000
    shown = excerpt(text, (0, 1000), 0)
    assert shown == "x" * (MOST - 1) + "…"
