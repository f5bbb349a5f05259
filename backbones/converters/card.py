"""What a conversion read, left out and wrote: for people (README.txt) and for programs (NAME.card.json)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from burnish._version import __version__

from .folder import CARD, README
from .formats import Body, Head
from .record_values import decimal


@dataclass(frozen=True)
class Size:
    """How large a data set is.  density: ratings by pairs of a user and an item."""

    users: int
    items: int
    ratings: int

    @property
    def density(self) -> float:
        return self.ratings / (self.users * self.items) if self.users and self.items else 0.0

    def summary(self) -> str:
        """One line for people."""
        return f"{self.users:,} users, {self.items:,} items, {self.ratings:,} ratings (density {self.density:.3%})"


@dataclass
class RowCounts:
    """Counts over the rows that were written.  stars: how often each rating occurs."""

    stars: Counter[float] = field(default_factory=Counter)
    first: float = float("inf")
    last: float = float("-inf")
    without_text: int = 0
    characters: int = 0

    def count(self, head: Head, body: Body) -> None:
        """Count one row."""
        self.stars[head.rating] += 1
        self.first, self.last = min(self.first, head.timestamp), max(self.last, head.timestamp)
        self.without_text += not body.review
        self.characters += len(body.review)


@dataclass(frozen=True)
class Card:
    """The record of one conversion.

    sources: (role, file name, bytes) of every file read.  before: all usable rows; `duplicates` of them were earlier
    ratings of the same pair and left out; after: what was written.  rounds: of the filter.  described: how many of
    the items (users) the metadata knew.  broken: lines skipped, by file name.  cut: how gzip files end too early, by
    file name; only what stands before is in the data set.
    """

    name: str
    kind: str
    sources: tuple[tuple[str, str, int], ...]
    min_user: int
    min_item: int
    dedupe: str
    before: Size
    duplicates: int
    rounds: int
    after: Size
    written: RowCounts
    described: dict[str, int]
    broken: dict[str, int]
    cut: dict[str, str]
    files: tuple[str, ...]

    def text(self) -> str:
        """For people."""
        stars = ", ".join(f"{decimal(star)}: {n:,}" for star, n in sorted(self.written.stars.items()))
        kept = self.after.ratings - self.written.without_text
        rows = [
            f"{self.name}: reviews converted by burnish {__version__} from {self.kind}",
            "",
            *(f"{role}: {file} ({size:,} bytes)" for role, file, size in self.sources),
            f"before: {self.before.summary()}",
            f"left out as earlier ratings of the same pair: {self.duplicates:,} (dedupe: {self.dedupe})",
            f"filter: users with {self.min_user} ratings or more, items with {self.min_item} or more; "
            f"{self.rounds} rounds",
            f"after: {self.after.summary()}",
            f"ratings: {stars}",
            f"timestamps: {decimal(self.written.first)} to {decimal(self.written.last)} (seconds since 1970)",
            f"reviews with text: {kept:,} of {self.after.ratings:,}; {self.written.characters:,} characters",
            *(f"{kind}s known to the metadata: {n:,}" for kind, n in self.described.items()),
            *(f"broken lines left out of {file}: {n:,}" for file, n in self.broken.items() if n),
            *(f"{file} is {wrong}" for file, wrong in self.cut.items()),
            "",
            f"files: {', '.join(self.files)}",
            "The .inter file and the file of reviews have the same rows in the same order.",
            "The reviews belong to their authors and publishers; their terms apply to this copy as well.",
        ]
        return "\n".join(rows) + "\n"

    def write(self, folder: Path) -> None:
        """Both files."""
        (folder / README).write_text(self.text(), encoding="utf-8")
        data = asdict(self)
        data["burnish"] = __version__
        data["sources"] = [{"role": role, "file": file, "bytes": size} for role, file, size in self.sources]
        for name, size in (("before", self.before), ("after", self.after)):
            data[name]["density"] = size.density
        data["written"]["stars"] = {decimal(star): n for star, n in sorted(self.written.stars.items())}
        file = folder / f"{self.name}{CARD}"
        file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
