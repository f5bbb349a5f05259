"""From the text of an answer to valid scores, and what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..attributes import AttributeSchema
from .lenient import JsonObject, read_json

_NAMES = ("key", "id", "item", "user", "item_id", "user_id", "name")
_INSIDE = ("scores", "attributes", "ratings", "values")
_NUMBER = re.compile(r"\s*(-?\d+)(?:\.0*)?\s*")
_MOST_DIGITS = 18  # no scale has more


@dataclass
class Parsed:
    """What an answer holds: scores by attribute for each valid key, and the reason for each other key."""

    valid: dict[str, dict[str, int]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


class _NotValidError(ValueError):
    """The scores of one item cannot be used; the message says why."""


def parse_answer(text: str, keys: Sequence[str], schema: AttributeSchema) -> Parsed:
    """The scores in an answer to a request for `keys`.

    Taken: an object keyed by item, a list of objects that name their item, either of them inside other objects; for a
    single item its scores alone; fences and prose around; trailing commas; numbers as strings.  Kept: every item with
    all attributes of the schema, each a whole number of the scale, and the same wherever it is given more than once.
    """
    try:
        return _parsed(text, keys, schema)
    except RecursionError:
        return Parsed(wrong=dict.fromkeys(keys, "the answer is nested too deeply"))


def _parsed(text: str, keys: Sequence[str], schema: AttributeSchema) -> Parsed:
    records_of: dict[str, list[Any]] = {key: [] for key in keys}
    values = read_json(text)
    for value in values:
        for key, record in _records(
            value, records_of, single=keys[0] if len(keys) == 1 else None, schema=schema
        ):
            records_of[key].append(record)
    result = Parsed()
    for key, records in records_of.items():
        try:
            result.valid[key] = _agreed(records, schema, anything=bool(values))
        except _NotValidError as error:
            result.wrong[key] = str(error)
    return result


def _records(
    value: Any, keys: dict[str, list[Any]], *, single: str | None, schema: AttributeSchema, depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """The records of items anywhere in a value, with the item's key."""
    if depth > 4 or not isinstance(value, list):
        return
    if not isinstance(value, JsonObject):
        for element in value:
            yield from _records(element, keys, single=single, schema=schema, depth=depth + 1)
        return
    named = next((v for n, v in value if n.lower() in _NAMES and isinstance(v, str | int)), None)
    if named is not None and str(named) in keys:
        yield str(named), value
    elif any(name in keys for name, _ in value):
        yield from ((name, record) for name, record in value if name in keys)
    elif single is not None and named is None and any(_plain(name) in schema.attributes for name, _ in value):
        yield single, value
    else:
        for _, element in value:
            yield from _records(element, keys, single=single, schema=schema, depth=depth + 1)


def _agreed(records: list[Any], schema: AttributeSchema, *, anything: bool) -> dict[str, int]:
    """The valid record, where there is one, or several that are equal."""
    if not records:
        raise _NotValidError("it is missing" if anything else "there is no JSON")
    good: list[dict[str, int]] = []
    reason = ""
    for record in records:
        try:
            good.append(_scores(record, schema))
        except _NotValidError as error:
            reason = str(error)
    if not good:
        raise _NotValidError(reason)
    if any(other != good[0] for other in good[1:]):
        raise _NotValidError("it is given more than once, with different scores")
    return good[0]


def _scores(record: Any, schema: AttributeSchema) -> dict[str, int]:
    if not isinstance(record, JsonObject):
        raise _NotValidError("its scores are no object")
    given: dict[str, Any] = {}
    inside: list[tuple[str, Any]] = next(
        (v for n, v in record if n.lower() in _INSIDE and isinstance(v, JsonObject)), []
    )
    for name, value in (*record, *inside):
        plain = _plain(name)
        if plain in schema.attributes:
            if plain in given and given[plain] != value:
                raise _NotValidError(f"{plain} is given more than once, with different scores")
            given[plain] = value
    missing = [name for name in schema.names if name not in given]
    if missing:
        raise _NotValidError(f"{', '.join(missing)} missing")
    return {name: _number(name, given[name], schema) for name in schema.names}


def _number(name: str, value: Any, schema: AttributeSchema) -> int:
    low, high = schema.scale
    if isinstance(value, JsonObject) and len(value) >= 1 and value[0][0].lower() in ("score", "value"):
        value = value[0][1]
    number: int | None = None
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is not None:
            digits = match.group(1).lstrip("-0")  # any number of zeros may stand before
            size = int(digits or "0") if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
            number = -size if match.group(1).startswith("-") else size
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        number = int(value)
    if number is None:
        raise _NotValidError(f"{name} = {_short(value)} is no whole number")
    if not low <= number <= high:
        raise _NotValidError(f"{name} = {_short(value)} is outside {low} to {high}")
    return number


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _short(value: Any) -> str:
    text = repr(value[:31] if isinstance(value, str) else value)
    return text if len(text) <= 30 else text[:27] + "..."
