"""Reading JSON as language models write it: in a fence, in the middle of prose, with trailing commas, cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_DEEPEST = 32
_BRACKET = re.compile(r"[{\[]")
_SCALAR = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OPEN, _CLOSED = "<think>", "</think>"
_MOST_DIGITS = (
    18  # Python converts no more than some thousands, and each of them costs more than the one before
)


class JsonObject(list[tuple[str, Any]]):
    """A JSON object as its pairs of name and value, so that a name that is there twice is seen."""


class _CutOffError(ValueError):
    """The text ends, or stops being JSON, at `place`; `value` is what was complete until there."""

    def __init__(self, place: int, value: Any = None) -> None:
        super().__init__(f"not JSON at {place}")
        self.place = place
        self.value = value


def load_json(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """`json.loads`, but a whole number of more than 18 digits stays the text that it is.

    pairs: what to make of objects.  Raises `ValueError` for what is not JSON, `RecursionError` for what is too deep.
    """
    return json.loads(text, object_pairs_hook=pairs, parse_int=_whole, strict=False)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def read_json(text: str) -> list[Any]:
    """The outermost JSON objects and lists in a text, objects as `JsonObject`.

    Prose, fences and a model's <think> part are skipped; trailing commas are taken; of a value that is cut off, the
    complete parts are kept.  An empty list where there is no JSON at all.
    """
    try:
        whole = load_json(text, JsonObject)
        return [whole] if isinstance(whole, list) else []
    except (ValueError, RecursionError):
        pass
    text = _without_thoughts(text)
    containers: list[Any] = []
    place = 0
    while (start := _first_bracket(text, place)) >= 0:
        try:
            value, place = _container(text, start, 0)
        except _CutOffError as cut:
            value, place = cut.value, cut.place
        if value:
            containers.append(value)
    return containers


def _without_thoughts(text: str) -> str:
    """The text without what stands between tags; each is looked at once, however many there are."""
    parts, place = [], 0
    while (start := text.find(_OPEN, place)) >= 0 and (end := text.find(_CLOSED, start)) >= 0:
        parts.append(text[place:start])
        place = end + len(_CLOSED)
    return " ".join([*parts, text[place:]])


def _first_bracket(text: str, start: int) -> int:
    match = _BRACKET.search(text, start)
    return match.start() if match else -1


def _blank(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _container(text: str, place: int, depth: int) -> tuple[Any, int]:
    """The object or list that begins at `place`, and where it ends."""
    if depth > _DEEPEST:
        raise _CutOffError(place + 1)
    is_object = text[place] == "{"
    container: Any = JsonObject() if is_object else []
    place += 1
    while True:
        place = _blank(text, place)
        while text[place : place + 1] == ",":
            place = _blank(text, place + 1)
        if text[place : place + 1] == ("}" if is_object else "]"):
            return container, place + 1
        try:
            if is_object:
                name, place = _string(text, place)
                place = _blank(text, place)
                if text[place : place + 1] != ":":
                    raise _CutOffError(place)
                place = _blank(text, place + 1)
            value, place = _value(text, place, depth + 1)
        except _CutOffError as cut:
            if isinstance(cut.value, list) and cut.value:
                container.append((name, cut.value) if is_object else cut.value)
            raise _CutOffError(cut.place, container) from None
        container.append((name, value) if is_object else value)


def _value(text: str, place: int, depth: int) -> tuple[Any, int]:
    first = text[place : place + 1]
    if first in ("{", "["):
        return _container(text, place, depth)
    if first == '"':
        return _string(text, place)
    match = _SCALAR.match(text, place)
    # a number at the very end of the text may have lost its last digits
    if match is None or match.end() == len(text):
        raise _CutOffError(place)
    try:
        return load_json(match.group()), match.end()
    except ValueError:  # zeros stand before it
        return match.group(), match.end()


def _string(text: str, place: int) -> tuple[str, int]:
    if text[place : place + 1] != '"':
        raise _CutOffError(place)
    # not the decoder's own search: its errors count the lines of all that stands before
    match = _STRING.match(text, place)
    if match is None:
        raise _CutOffError(place + 1)
    try:
        return str(load_json(match.group())), match.end()
    except ValueError:
        raise _CutOffError(place + 1) from None
