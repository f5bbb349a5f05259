"""What is asked together: groups of texts, in every wording beside others.

An item's neighbours in a request, and its place among them, sway what a model says of it.  So every wording has an
order of its own: the mean over wordings is less of the neighbours, and their spread shows what is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Work:
    """Texts to be asked together.  tried: unusable answers so far.  failed: requests without an answer so far."""

    variant: int
    texts: tuple[str, ...]
    tried: int = 0
    failed: int = 0
    complaint: str = ""


def groups(pairs: Iterable[tuple[int, str]], size: int) -> Iterator[Work]:
    """Groups of `size` texts of one wording each, in order."""
    by_variant: dict[int, list[str]] = {}
    for variant, text in pairs:
        by_variant.setdefault(variant, []).append(text)
    for variant, texts in by_variant.items():
        rest = iter(texts)
        while part := tuple(islice(rest, size)):
            yield Work(variant, part)


def shuffled(texts: Iterable[str], variant: int, seed: int | None) -> list[str]:
    """The texts in an order of this wording's own, which depends on nothing but them, the wording and the seed."""

    def place(text: str) -> bytes:
        return hashlib.sha256(f"{seed or 0}/{variant}/{text}".encode()).digest()

    return sorted(texts, key=place)
