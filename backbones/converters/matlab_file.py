"""Variables of a MATLAB file of version 5 (also -v6, -v7): numbers, texts, cells and sparse matrices.

scipy's reader crashes on some damaged files; this one looks at every length and index first.  It knows no classes, no
functions and no objects, so that nothing in a file can be executed.  Format: MathWorks, "MAT-File Format", 1999-2024.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import DataError

_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _TEXT, _SPARSE = 1, 4, 5
_CLASSES = {2: "structure", 3: "object", 16: "function", 17: "object"}
#: Bytes that one variable may unpack to, and cells within cells.
_MOST, _DEEPEST = 2**31, 4


@dataclass(frozen=True)
class Cell:
    """A cell array: its shape, and its values by columns."""

    shape: tuple[int, ...]
    values: list[Any]


@dataclass(frozen=True)
class Sparse:
    """A sparse matrix: its shape, and rows, columns and values `[n]` of what is stored."""

    shape: tuple[int, ...]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[Any]


@dataclass(frozen=True)
class Other:
    """What is not read: a structure, complex numbers, several lines of text."""

    kind: str


def read_matlab(file: Path, wanted: Collection[str]) -> dict[str, Any]:
    """Some variables of a file: arrays of numbers, texts, `Cell`, `Sparse`, `Other`.

    Raises `DataError` for a file of another version, and for one that is damaged.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    if len(raw) < 128 or raw[126:128] not in (b"IM", b"MI"):
        raise DataError(f"{file} is no MATLAB file of version 5; in MATLAB save it with -v7")
    order = "<" if raw[126:128] == b"IM" else ">"
    version = raw[125] if order == "<" else raw[124]
    if version != 1:
        raise DataError(
            f"{file} is of another version{' (7.3, HDF5)' if version == 2 else ''}; in MATLAB save it with -v7"
        )
    found: dict[str, Any] = {}
    try:
        stream = _Stream(memoryview(raw)[128:], order)
        while stream.left():
            kind, content = stream.element(padded=False)
            if kind == _COMPRESSED:
                kind, content = _Stream(memoryview(_unpacked(content.view)), order).element(padded=False)
            if kind == _MATRIX:
                name, value = _variable(content, wanted)
                if name in wanted:
                    found[name] = value
    except (ValueError, zlib.error, MemoryError, OverflowError) as error:
        raise DataError(f"{file} is damaged ({error}); give the file as released, whole") from error
    return found


class _Stream:
    """The elements in some bytes."""

    def __init__(self, view: memoryview, order: str) -> None:
        self.view, self.order, self.at = view, order, 0

    def left(self) -> bool:
        return self.at < len(self.view)

    def element(self, *, padded: bool = True) -> tuple[int, _Stream]:
        """The next one: its type and its bytes."""
        first, size = self._numbers(2)
        begin = self.at + 8
        if first >> 16:  # a short one, within its tag
            first, size, begin = first & 0xFFFF, first >> 16, self.at + 4
            if size > 4:
                raise ValueError(f"an element of {size} bytes stands where 4 have room")
            self.at += 8
        else:
            self.at = begin + size
            if padded:
                self.at += -size % 8
        if begin + size > len(self.view):
            raise ValueError(f"it ends within an element of {size:,} bytes")
        return first, _Stream(self.view[begin : begin + size], self.order)

    def _numbers(self, n: int) -> list[int]:
        if self.at + 4 * n > len(self.view):
            raise ValueError("it ends within the head of an element")
        return np.frombuffer(self.view, f"{self.order}u4", n, self.at).tolist()

    def array(self) -> NDArray[Any]:
        """The next element's numbers."""
        kind, content = self.element()
        if kind not in _KINDS:
            raise ValueError(f"an element of type {kind} stands where numbers belong")
        dtype = np.dtype(f"{self.order}{_KINDS[kind]}")
        if len(content.view) % dtype.itemsize:
            raise ValueError("numbers are cut off")
        return np.frombuffer(content.view, dtype).astype(dtype.newbyteorder("="))


def _unpacked(packed: memoryview) -> bytes:
    machine = zlib.decompressobj()
    raw = machine.decompress(packed, _MOST)
    if machine.unconsumed_tail:
        raise ValueError(f"a variable unpacks to more than {_MOST:,} bytes")
    if not machine.eof:
        raise ValueError("a packed variable is cut off")
    return raw


def _variable(stream: _Stream, wanted: Collection[str] | None, depth: int = 0) -> tuple[str, Any]:
    """One array with its name; others than the wanted ones are not looked into."""
    if not stream.left():  # an empty cell
        return "", np.empty((0, 0))
    flags = stream.array()
    if len(flags) != 2:
        raise ValueError(f"an array has {len(flags)} flags in the place of 2")
    kind, is_complex = int(flags[0]) & 0xFF, bool(int(flags[0]) & 0x0800)
    shape = tuple(stream.array().tolist())
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"an array is of shape {shape}")
    name = stream.array().astype(np.uint8).tobytes().decode("latin-1")
    if wanted is not None and name not in wanted:
        return name, None
    if kind in _CLASSES:
        return name, Other(_CLASSES[kind])
    if is_complex:
        return name, Other("complex array")
    if kind == _CELL:
        return name, _cell(stream, shape, depth)
    if kind == _TEXT:
        return name, _text(stream, shape)
    if kind == _SPARSE:
        return name, _sparse(stream, shape)
    numbers = stream.array()
    if len(numbers) != math.prod(shape):
        raise ValueError(f"an array of shape {shape} has {len(numbers):,} numbers")
    return name, numbers.reshape(shape, order="F")


def _cell(stream: _Stream, shape: tuple[int, ...], depth: int) -> Cell:
    if depth == _DEEPEST:
        raise ValueError(f"cells are nested more than {_DEEPEST} deep")
    values = []
    for _ in range(math.prod(shape)):  # ends with the bytes, whatever the shape says
        kind, content = stream.element()
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} stands where an array belongs")
        values.append(_variable(content, None, depth + 1)[1])
    return Cell(shape, values)


def _text(stream: _Stream, shape: tuple[int, ...]) -> str | Other:
    kind, content = stream.element()
    if kind not in _ENCODINGS:
        raise ValueError(f"an element of type {kind} stands where a text belongs")
    encoding = _ENCODINGS[kind]
    if encoding.startswith("utf-") and encoding != "utf-8":
        encoding += "-le" if stream.order == "<" else "-be"
    text = bytes(content.view).decode(encoding)  # a UnicodeDecodeError is a ValueError
    return text if len(shape) == 2 and (shape[0] == 1 or not text) else Other("text of several lines")


def _sparse(stream: _Stream, shape: tuple[int, ...]) -> Sparse:
    rows, starts = stream.array().astype(np.int64), stream.array().astype(np.int64)
    values = stream.array()
    if len(shape) != 2 or len(starts) != shape[1] + 1:
        raise ValueError(f"a sparse matrix of shape {shape} has {len(starts) - 1:,} columns")
    stored = int(starts[-1])
    if starts[0] != 0 or (np.diff(starts) < 0).any() or stored > min(len(rows), len(values)):
        raise ValueError("where the columns of a sparse matrix begin is not in order")
    rows, values = rows[:stored], values[:stored]
    if stored and not (rows.min() >= 0 and rows.max() < shape[0]):
        raise ValueError(f"a sparse matrix of {shape[0]:,} rows has row {int(rows.max()):,}")
    return Sparse(shape, rows, np.repeat(np.arange(shape[1]), np.diff(starts)), values)
