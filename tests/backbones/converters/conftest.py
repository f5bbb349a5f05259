"""A collection of each kind, converted."""

from __future__ import annotations

from pathlib import Path

import pytest
from published_reviews import SHAPES, write_lines

from burnish.backbones.converters import Options, convert_amazon, convert_yelp
from burnish.backbones.converters.card import Card


class Workshop:
    """Writes published files into a folder and converts them there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, kind: str, rows: list, name: str = "reviews.json.gz") -> Path:
        """The rows in the shape of one collection; text and dictionaries among them stay as they are."""
        shape = SHAPES[kind]
        lines = [row if isinstance(row, (str, dict)) else shape(row) for row in rows]
        return write_lines(self.folder / name, lines)

    def convert(
        self, kind: str, rows: list, *, out: str = "made", others: dict | None = None, **options
    ) -> Card:
        """Write and convert; `folder / out` is the data set."""
        verb = convert_yelp if kind == "yelp" else convert_amazon
        chosen = Options(**{"min_user": 1, "min_item": 1, **options})
        return verb(self.write(kind, rows), self.folder / out, options=chosen, **(others or {}))

    def left(self) -> list[str]:
        """The names in the folder, hidden ones too."""
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)
