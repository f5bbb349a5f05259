"""What is shown to people holds nothing that a terminal or a browser obeys instead of showing it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from burnish import html_tables
from burnish.enhancers.paths.names import catalogue_title
from burnish.explanation import Explanation, Reason
from burnish.files.pages import render
from burnish.files.svg import svg_text
from burnish.readable import readable
from burnish.trained.card.card import ModelCard, Section
from burnish.trained.explanation_sentences import sentence

BAD = "\x1b[31mRed\x1b[0m\u202e<b>\x9b"
SHOWN = "\u241b[31mRed\u241b[0m\ufffd<b>\ufffd"


def test_by_unicode_itself() -> None:
    """Controls, and what sets a direction: all that Unicode has, and nothing else (joiners are parts of words)."""
    directions = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    for code in range(0x3000):
        letter = chr(code)
        control = unicodedata.category(letter) == "Cc" and letter not in "\t\n"
        turns = unicodedata.bidirectional(letter) in directions or code in (0x200E, 0x200F, 0x061C)
        assert (readable(letter) != letter) is (control or turns), hex(code)
        assert readable(letter).isprintable() or not (control or turns)


def reason() -> Reason:
    return Reason("interaction", f"item {BAD}", 1.0, evidence={"item": "7", "title": BAD}, method="leave-out")


def test_sentences_and_titles() -> None:
    assert catalogue_title(BAD) == SHOWN
    one = Explanation("u", "i", 1.0, (reason(),), title=BAD)
    assert SHOWN in sentence(one)
    assert not set(sentence(one)) & set(BAD) & set("\x1b\u202e\x9b")


def texts(folder: Path) -> dict[str, str]:
    (folder / "page.html").write_text('<title>{{ title }}</title><p class="{{ title }}">{{ style }}')
    (folder / "page.css").write_text("p { color: red }")
    card = ModelCard(BAD, (Section(BAD, (BAD,), (BAD,), ((BAD,),)),))
    return {
        "page": render(folder, title=BAD),
        "svg": svg_text([], width=1, height=1, title=BAD, font_size=9),
        "notebook": html_tables.page(BAD, html_tables.table([BAD], [[BAD]], title=BAD), notes=[BAD]),
        "card": card.html(),
        "markdown": card.markdown(),
    }


@pytest.mark.parametrize("kind", ["page", "svg", "notebook", "card", "markdown"])
def test_pages_and_pictures(tmp_path: Path, kind: str) -> None:
    text = texts(tmp_path)[kind]
    assert "\u241b[31mRed\u241b[0m\ufffd" in text
    assert not set(text) & set("\x1b\u202e\x9b")
    assert kind == "markdown" or "<b>" not in text
