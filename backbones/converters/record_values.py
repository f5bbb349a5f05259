"""Values of records as numbers, ids and texts, and as cells of RecBole's atomic files."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable

from .records import BrokenLineError, Record

#: What pandas, and so RecBole, reads as a missing value.
_MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A")
) | frozenset(("NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
_UNFIT = re.compile(r'[\t\n\r"\0]')
_SPACE = re.compile(r"\s+")
_AMOUNT = r"\$?\s*(\d[\d,]*(?:\.\d+)?|\.\d+)"
_PRICE = re.compile(rf"(?:from\s+)?{_AMOUNT}(?:\s*(?:-|–|to)\s*{_AMOUNT})?", re.IGNORECASE)


def number(record: Record, field: str) -> float:
    """A finite number, also where it is written as text.  Raises `BrokenLineError`, which names the field."""
    value = record.get(field)
    if type(value) is float and math.isfinite(value):  # what nearly every line has
        return value
    if value is None:
        raise BrokenLineError(f"field {field!r} is missing")
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        result = float(value)
    except (ValueError, OverflowError) as error:
        raise BrokenLineError(f"field {field!r} is not a number: {str(value)[:40]!r}") from error
    if not math.isfinite(result):
        raise BrokenLineError(f"field {field!r} is not a finite number: {value!r}")
    return result


def stars(record: Record, field: str) -> float:
    """A rating from 1 to 5, the scale of every source here."""
    rating = number(record, field)
    if not 1 <= rating <= 5:
        raise BrokenLineError(f"field {field!r} is {rating:g}, outside the scale of 1 to 5 stars")
    return rating


def token(record: Record, field: str) -> str:
    """An id that RecBole reads back unchanged: no tab, line end, quote or surrounding blank, not empty, not "NA"."""
    value = record.get(field)
    if type(value) is str and len(value) > 4 and value.isascii() and value.isalnum():
        return value  # what nearly every line has: too long to be a missing value
    if value is None:
        raise BrokenLineError(f"field {field!r} is missing")
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int):
            raise BrokenLineError(f"field {field!r} is not an id: {str(value)[:40]!r}")
        value = str(value)
    if value in _MISSING or _UNFIT.search(value) or value != value.strip():
        raise BrokenLineError(f"field {field!r} is not an id that RecBole can read: {value[:40]!r}")
    return encodable(value)


def count(value: object) -> int | None:
    """A count such as 12, "12" or "1,234"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value.replace(",", "")) if isinstance(value, str) else int(value)
    except (ValueError, OverflowError):
        return None


def exact_text(value: object) -> str:
    """Any value as exact text; a missing one is empty, and a list is joined by blanks."""
    if value is None:
        return ""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, (list, tuple)):
        return " ".join(part for part in map(exact_text, value) if part)
    return encodable(str(value))


def encodable(value: str) -> str:
    """Text that can be written as UTF-8: halves of surrogate pairs are joined, single ones become U+FFFD."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def cell(value: object) -> str:
    """Text as a cell of an atomic file: one line, HTML entities resolved, a double quote as two apostrophes.

    RecBole's reader takes a double quote for the beginning of a quoted cell.
    """
    joined = _SPACE.sub(" ", html.unescape(exact_text(value)).replace("\0", " ")).strip()
    return joined.replace('"', "''")


def token_cell(value: object) -> str:
    """A cell for a `token` column, empty where RecBole's reader would find a missing value."""
    one_line = cell(value)
    return "" if one_line in _MISSING else one_line


def token_seq_cell(values: Iterable[object]) -> str:
    """A `token_seq` cell with one token a value, in order, each once: blanks inside become underscores."""
    tokens = dict.fromkeys(token_cell(value).replace(" ", "_") for value in values)
    tokens.pop("", None)
    return " ".join(tokens)


def price_cell(value: object) -> str:
    """A price as a number: 12.99, "$12.99", "from 12.99", the lower end of "$9 - $12"; else empty."""
    if isinstance(value, str):
        match = _PRICE.fullmatch(value.strip())
        return decimal(float(match[1].replace(",", ""))) if match else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return decimal(float(value))


def decimal(value: float) -> str:
    """The shortest text that is this number: 5 rather than 5.0."""
    return str(int(value)) if value.is_integer() else repr(value)
