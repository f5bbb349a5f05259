"""The first reading of a file of reviews: ids and times of all rows as numbers, without the texts.

An id counts as its 64-bit hash, so that millions of ids need not be held as text; two ids with one hash are noticed
when the file is read again, as far as their rows stay.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from burnish.errors import DataError

from .filtering import Codes, Rows
from .formats import Format
from .lines import Progress
from .records import Broken, BrokenLineError, Record, records


@dataclass(frozen=True)
class Scan:
    """What the filter reads.  line: `[n]` line numbers, rising.  user, item: `[n]` numbers from 0.

    time: `[n]` seconds.
    """

    format: Format
    line: Rows
    user: Codes
    item: Codes
    time: NDArray[np.float64]
    n_users: int
    n_items: int


def scan(
    path: Path, recognise: Callable[[Record], Format], broken: Broken, progress: Progress | None = None
) -> Scan:
    """Read all heads of a file.

    recognise: the kind of file, from the first record.  broken: what to do about broken lines.
    Raises `DataError` for an unknown kind of file, and where no row can be used.
    """
    format: Format | None = None
    line, user, item, time = array("q"), array("q"), array("q"), array("d")
    for number, record in records(path, broken, progress):
        try:
            if format is None:
                format = _recognised(path, number, record, recognise, broken.skip)
            head = format.head(record)
        except BrokenLineError as error:
            broken.met(number, error)
            continue
        line.append(number)
        user.append(hash(head.user))
        item.append(hash(head.item))
        time.append(head.timestamp)
    if format is None or not line:
        reason = f"; the first of {broken.count} broken lines: {broken.first}" if broken.count else ""
        raise DataError(f"{path} has no review that can be used{reason}")
    users, n_users = _codes(user)
    items, n_items = _codes(item)
    return Scan(
        format, np.frombuffer(line, np.int64), users, items, np.frombuffer(time, np.float64), n_users, n_items
    )


def _recognised(
    path: Path, number: int, record: Record, recognise: Callable[[Record], Format], skip: bool
) -> Format:
    try:
        return recognise(record)
    except DataError as error:
        if skip:  # it may be the first record alone that is broken
            raise BrokenLineError(f"it is not a review that can be converted: {error}") from error
        raise DataError(f"{path}, line {number} is not a review that can be converted: {error}") from error


def _codes(hashes: array[int]) -> tuple[Codes, int]:
    """`[n]` hashes as numbers in order of first appearance, and how many there are."""
    codes, known = pd.factorize(np.frombuffer(hashes, np.int64))
    return codes.astype(np.int32), len(known)
