"""Sentences of a review: where they begin and end, which words stand in which, and excerpts of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from burnish.backbones.text.cleaning import plain_text

Span = tuple[int, int]

#: Letters of an excerpt.
MOST = 160

# Line breaks of web pages, as they stand in published reviews, also with their brackets written as entities.
_BREAK = re.compile(r"(?:<|&lt;)\s*/?\s*(?:br|p|div|li)\b[^<>&]{0,40}(?:>|&gt;)", re.IGNORECASE)
# Marks that end a sentence, with what closes quotes and brackets; the Latin ones before a space, or right before a
# capital letter, since published reviews have lost some of their line breaks.
_END = re.compile(
    r"""(?:[.!?\u2026]+["'”’)\]]*(?=\s|$))|(?:(?<=[a-z]{2})[.!?]+(?=[A-Z][a-z]|I\b))|(?:[。！？]+[」』”）]*)|\n+"""
)
_SHORT = re.compile(
    r"(?:^|[\s(])(?:(?-i:[A-HJ-Z])|[a-z](?:\.[a-z])+|mr|mrs|ms|dr|st|vs|approx|inc|ltd)\.$", re.IGNORECASE
)


def readable(text: str) -> str:
    """A review without markup: entities resolved, tags and web addresses left out, one line a paragraph."""
    lines = (" ".join(plain_text(line).split()) for line in _BREAK.sub("\n", text).splitlines())
    return "\n".join(line for line in lines if line)


def sentences(text: str) -> list[Span]:
    """Where the sentences of a readable text begin and end.

    A sentence ends at . ! ? … before a space or between a small letter and a capital one, at 。！？, and at the end of
    a line, but not at initials and a few usual abbreviations.  Every letter that is not a space belongs to one.
    """
    spans, start = [], 0
    for mark in _END.finditer(text):
        if mark[0] == "." and _SHORT.search(text, start, mark.end()):
            continue
        spans.append((start, mark.end()))
        start = mark.end()
    spans.append((start, len(text)))
    return [span for span in (_trimmed(text, *span) for span in spans) if span[0] < span[1]]


def places(text: str, surfaces: Sequence[str]) -> list[int]:
    """Where each token of a text stands.

    text: readable.  surfaces: the word that each token is a piece of, in order (so a word of three pieces comes three
        times).  A word that is not found stands where the last found one does.
    """
    starts: list[int] = []
    at, end, last = 0, 0, None
    for place, surface in enumerate(surfaces):
        next_at = _whole_word(text, surface, end)
        if surface == last and next_at >= 0:
            # Another piece of the word before, or the word again?  Again only if it comes before the next other word.
            other = next((word for word in surfaces[place + 1 :] if word != surface), None)
            limit = _whole_word(text, other, end) if other is not None else len(text)
            if 0 <= limit < next_at:
                next_at = -1
        if next_at >= 0:
            at, end = next_at, next_at + len(surface)
        starts.append(at)
        last = surface
    return starts


def excerpt(text: str, span: Span, at: int, most: int = MOST) -> str:
    """A sentence, or the part of it around `at`, of at most `most` letters; `…` stands for what is left out."""
    start, stop = span
    if stop - start <= most:
        return text[start:stop].replace("\n", " ")
    first = max(start, min(at - most // 2, stop - most))
    last = first + most
    if first > start:
        cut = text.find(" ", first + 1, at)
        first = cut + 1 if cut >= 0 else first + 1
    if last < stop:
        cut = text.rfind(" ", at, last)
        last = cut if cut > at else last - 1
    return ("…" if first > start else "") + text[first:last].replace("\n", " ") + ("…" if last < stop else "")


def _trimmed(text: str, start: int, stop: int) -> Span:
    part = text[start:stop]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _whole_word(text: str, word: str, start: int) -> int:
    """Where the word next stands by itself, -1 if nowhere."""
    at = text.find(word, start)
    while at >= 0:
        end = at + len(word)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not before.isalnum() and not after.isalnum():
            return at
        at = text.find(word, at + 1)
    return -1
