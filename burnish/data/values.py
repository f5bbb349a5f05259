"""Cells as ids, numbers and texts that RecBole's reader gives back as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from burnish.backbones.converters.record_values import _MISSING as READ_AS_MISSING
from burnish.checks import short
from burnish.compat.names_ import MISSING_NUMBERS
from burnish.errors import DataError

from .table import TEXT, Table, as_text, is_number, is_text

#: A number as text; a leading zero before another digit makes it a name such as 007.
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_NAME_OF_DIGITS = r"^[+-]?0\d"
#: What cannot stand inside a cell of an atomic file.
_BREAKS = r"[\t\r\n\x00]"
_UNFIT = re.compile(r"[\t\r\n\0]")
_LOOKS_MISSING = MISSING_NUMBERS | {word.lower() for word in READ_AS_MISSING}


@dataclass(frozen=True)
class Ids:
    """A column of ids.

    codes: `[n]` numbers of `names` in the order of first appearance, -1 where there is none.  missing: what stands in
    the first row without one.  note: what was found out.
    """

    codes: NDArray[np.int64]
    names: list[str]
    missing: str = ""
    note: str = ""

    def array(self, rows: Any) -> pa.Array:
        """The ids of some rows."""
        return pa.array(self.names, type=TEXT).take(pa.array(self.codes[rows]))

    def name(self, row: int) -> str:
        """The id of one row."""
        return self.names[self.codes[row]]


def ids_of(table: Table, column: str, missing: str) -> Ids:
    """A column of ids, kept as texts exactly.

    missing: "keep" takes words such as NA for ids, anything else for missing ones.  Raises `DataError` for ids that
    RecBole's reader would change, with row, value and cure.
    """
    texts, note = _id_texts(table, column)
    encoded = pc.dictionary_encode(texts, null_encoding="mask")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    if isinstance(encoded, pa.ChunkedArray):  # combining no chunks, or one
        encoded = encoded.chunk(0)
    names = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    gone = {number for number, name in enumerate(names) if _is_missing(name, missing)}
    for number, name in enumerate(names):
        why = "" if number in gone else _unfit(name)
        if why:
            row = int(np.argmax(codes == number))
            raise DataError(f"{table.at(row)}, column {column!r}: the id {short(name)} {why}")
    word = ""
    if gone:
        masked = np.isin(codes, list(gone))
        first = int(np.argmax(masked | (codes < 0)))
        word = names[codes[first]] if codes[first] >= 0 else ""
        renumbered = np.cumsum([number not in gone for number in range(len(names))]) - 1
        codes = np.where(masked | (codes < 0), -1, renumbered[codes])
        names = [name for number, name in enumerate(names) if number not in gone]
    return Ids(codes, names, word, note)


def _is_missing(name: str, missing: str) -> bool:
    return not name.strip() or (missing != "keep" and name.lower() in _LOOKS_MISSING)


def _unfit(name: str) -> str:
    """Why RecBole's reader would change an id, and the cure; empty for one that it gives back."""
    if name == "[PAD]":
        return "is RecBole's name for no id at all; call it otherwise"
    if name.startswith('"'):
        return (
            "begins with a quote, which RecBole's reader takes for the beginning of a quoted cell; remove the quotes "
            "around ids"
        )
    if _UNFIT.search(name):
        return (
            "holds a tab, a line end or a NUL, which no atomic file can hold; replace it, in all tables alike"
        )
    return ""


def _id_texts(table: Table, column: str) -> tuple[pa.ChunkedArray, str]:
    values = table.columns[column]
    kind = values.type
    if is_text(kind):
        texts = as_text(values)
        sample = texts.drop_null()
        if len(sample) and pc.all(pc.match_substring_regex(sample, r"^\d+\.0$")).as_py():
            return texts, (
                f"column {column!r} of {table.source} holds whole numbers with a decimal point, such as "
                f"{short(sample[0].as_py())}; as texts they are kept so"
            )
        return texts, ""
    if pa.types.is_integer(kind):
        return values.cast(TEXT), ""
    if pa.types.is_null(kind):
        return values.cast(TEXT), ""
    if pa.types.is_floating(kind):
        numbers = values.to_numpy().astype(np.float64)
        there = ~np.isnan(numbers)
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(there & ((numbers != np.floor(numbers)) | (np.abs(numbers) >= 2**53)))
        if len(wrong):
            at = wrong[0]
            raise DataError(
                f"{table.at(at)}, column {column!r}: {numbers[at]!r} is a floating-point number and no id that could "
                f"be kept exactly; store ids as text or whole numbers"
            )
        whole = pa.array(np.where(there, numbers, 0).astype(np.int64), mask=~there)
        note = (
            f"column {column!r} of {table.source} holds ids as floating-point numbers; they are whole and written "
            f"without a point, such as {int(numbers[there][0]) if there.any() else 0}"
        )
        return pa.chunked_array([whole.cast(TEXT)]), note
    raise DataError(
        f"{table.source}: column {column!r} is of the type {kind}, which holds no ids; name a column of texts or whole "
        f"numbers"
    )


# ---------------------------------------------------------------------- numbers


def is_numeric(values: pa.ChunkedArray) -> bool:
    """Whether every cell that is filled is a number; 007 is a name."""
    if is_number(values.type):
        return True
    if not is_text(values.type):
        return False
    filled = _filled(as_text(values)).drop_null()
    if not len(filled):
        return False
    numeric = pc.match_substring_regex(filled, _NUMBER)
    named = pc.match_substring_regex(filled, _NAME_OF_DIGITS)
    return bool(pc.all(numeric).as_py()) and not bool(pc.any(named).as_py())


#: A number, or one that is written otherwise: with a comma, a unit, of so many, infinite.
_NUMBER_LIKE = r"(?i)^[+-]?(?:\p{Sc}?\s*[.,]?\d|inf(?:inity)?$)"


def has_numbers(texts: pa.ChunkedArray) -> bool:
    """Whether any of these texts is a number, or one written otherwise, such as 3,5 or 4/5."""
    return bool(pc.any(pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _NUMBER_LIKE)).as_py())


def numeric_rows(values: pa.ChunkedArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which texts are numbers, which are names of digits such as 007, and which are filled: three of `[n]`."""
    filled = _filled(as_text(values))
    numeric = pc.fill_null(pc.match_substring_regex(filled, _NUMBER), False)
    named = pc.fill_null(pc.match_substring_regex(filled, _NAME_OF_DIGITS), False)
    return np.asarray(numeric) & ~np.asarray(named), np.asarray(named), np.asarray(pc.is_valid(filled))


def numbers_of(table: Table, column: str, *, cure: str) -> NDArray[np.float64]:
    """A column of numbers `[n]`, NaN where the cell is empty or a word for a missing number.

    cure: the end of the message for what is not a number.  Raises `DataError` with row and value.
    """
    values = table.columns[column]
    if is_number(values.type):
        numbers = values.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    elif is_text(values.type):
        filled = _filled(as_text(values))
        fits = pc.fill_null(pc.match_substring_regex(filled, _NUMBER), True)
        fits = np.asarray(fits)
        if not fits.all():
            row = int(np.argmin(fits))
            cell = values[row].as_py()
            comma = " (numbers have a point, not a comma)" if re.match(r"^\s*-?\d+,\d+\s*$", cell) else ""
            raise DataError(
                f"{table.at(row)}, column {column!r}: {short(cell)} is not a number{comma}; {cure}"
            )
        plain = pc.replace_substring_regex(filled, r"^\+", "")
        numbers = plain.cast(pa.float64()).to_numpy().astype(np.float64)
    elif pa.types.is_boolean(values.type):
        numbers = values.cast(pa.int8()).cast(pa.float64()).to_numpy().astype(np.float64)
    else:
        raise DataError(
            f"{table.source}: column {column!r} is of the type {values.type}, which holds no numbers; {cure}"
        )
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        row = infinite[0]
        raise DataError(
            f"{table.at(row)}, column {column!r}: {short(values[int(row)].as_py())} is not a finite number; {cure}"
        )
    return numbers


def _filled(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without blanks around, null where nothing stands or a word for nothing."""
    bare = pc.utf8_trim_whitespace(texts)
    gone = pc.is_in(pc.utf8_lower(bare), value_set=pa.array(sorted(MISSING_NUMBERS), type=TEXT))
    return pc.if_else(gone, pa.scalar(None, TEXT), bare)


def number_cells(numbers: NDArray[np.float64]) -> pa.Array:
    """The shortest texts that are these numbers; null for NaN."""
    there = ~np.isnan(numbers)
    whole = there & (np.abs(np.where(there, numbers, 0)) < 2**53)
    whole &= np.where(whole, numbers, 0.5) == np.floor(np.where(whole, numbers, 0.5))
    if whole.all() or (whole == there).all():
        return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~there).cast(TEXT)
    return pa.array(numbers, mask=~there).cast(TEXT)


# ---------------------------------------------------------------------- texts


@dataclass
class Cleaned:
    """How many cells of texts were changed, by what was in them."""

    breaks: int = 0
    quotes: int = 0
    blanks: int = 0
    repeated: int = 0
    missing: int = 0

    def __iadd__(self, other: Cleaned) -> Cleaned:
        self.breaks += other.breaks
        self.quotes += other.quotes
        self.blanks += other.blanks
        self.repeated += other.repeated
        self.missing += other.missing
        return self

    def sentences(self) -> list[str]:
        """What was done, for people."""
        told = (
            (self.breaks, "tabs and line ends in texts became a blank"),
            (self.quotes, "double quotes in texts became two apostrophes"),
            (self.blanks, "blanks inside the tokens of a list became underscores"),
            (self.repeated, "tokens that stand twice in a list stand there once"),
            (self.missing, "words for a missing number, such as NA, became empty"),
        )
        return [f"{what}, in {count:,} cell{'s' if count > 1 else ''}" for count, what in told if count]


def text_cells(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Cleaned]:
    """Texts as cells: tabs and line ends are blanks, a double quote is two apostrophes; null where there is none."""
    texts = as_text(values)
    broken = pc.match_substring_regex(texts, _BREAKS)
    quoted = pc.match_substring(texts, '"')
    cleaned = Cleaned(_count(broken), _count(quoted))
    if cleaned.breaks:
        texts = pc.replace_substring_regex(texts, f"{_BREAKS}+", " ")
    if cleaned.quotes:
        texts = pc.replace_substring(texts, '"', "''")
    # A cell of nothing but blanks says nothing.
    empty = pc.equal(pc.utf8_trim_whitespace(texts), pa.scalar("", TEXT))
    return pc.if_else(empty, pa.scalar(None, TEXT), texts), cleaned


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def list_cells(lists: list[list[Any] | None]) -> tuple[pa.Array, Cleaned]:
    """Lists as `token_seq` cells: each token once, in order, a blank between; blanks inside become underscores."""
    cleaned, cells = Cleaned(), []
    for row in lists:
        tokens: dict[str, None] = {}
        quoted = blank = repeated = False
        for one in row or ():
            text = "" if one is None else str(one).strip()
            quoted |= '"' in text
            words = text.replace('"', "''").split()
            blank |= len(words) > 1
            if words:
                repeated |= "_".join(words) in tokens
                tokens["_".join(words)] = None
        cleaned.quotes += quoted
        cleaned.blanks += blank
        cleaned.repeated += repeated
        cells.append(" ".join(tokens) or None)
    return pa.array(cells, type=TEXT), cleaned
