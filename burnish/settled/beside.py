"""What lies in the folder of a data set, as far as options are settled by it: columns, features, a scale of ratings.

Nothing here raises for a file that is missing or cannot be read: `burnish.training.inputs` says that in words of its
own, once the options are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from burnish.speed.reading import numbered_rows

#: Rows that are looked at, from the first.
LOOKED_AT = 20_000
#: A column is a feature where at most this many of its values, to one row, are distinct: others are names or texts.
REPEATED = 2 / 3
#: More distinct numbers are no scale that somebody rated on.
MOST_LEVELS = 101


class Beside:
    """The files of one data set.

    Parameters
    ----------
    folder, name
        `<folder>/<name>.inter` and its fellows.
    separator, words, encoding
        Between columns, between the words of a `token_seq`, and of the text: RecBole's options.
    part
        The name of the first part where a split is given as files.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        separator: str = "\t",
        words: str = " ",
        encoding: str | None = None,
        part: str | None = None,
    ) -> None:
        self.folder, self.name = folder, name
        self.separator, self.words, self.encoding, self.part = separator, words, encoding, part

    def file(self, source: str) -> Path:
        """`source`: what `load_col` calls a file, such as "inter"."""
        part = f".{self.part}" if self.part and source == "inter" else ""
        return self.folder / f"{self.name}{part}.{source}"

    def columns(self, source: str) -> dict[str, str]:
        """Types of the columns of a file by name, in their order; empty for a file that is not there."""
        if source not in self._heads:
            cells = next(self._rows(source), [])
            named = (cell.rpartition(":") for cell in cells)
            self._heads[source] = {name: kind for name, colon, kind in named if colon and name}
        return self._heads[source]

    @cached_property
    def _heads(self) -> dict[str, dict[str, str]]:
        return {}

    def features(self, source: str, kinds: tuple[str, ...], keys: tuple[str | None, ...]) -> list[str]:
        """Columns of a file of users or items that describe them: of these types, with values that repeat.

        A title or a postcode, which hardly two have in common, tells a model no more than the id does; so columns are
        left out in which more than `REPEATED` distinct values (of a `token_seq`: words) come to a row, and those of one
        value.  keys: columns of ids.
        """
        found = [name for name, kind in self.columns(source).items() if kind in kinds and name not in keys]
        seen: dict[str, set[str]] = {name: set() for name in found}
        head, count = list(self.columns(source)), 0
        places = [(head.index(name), name, self.columns(source)[name] == "token_seq") for name in found]
        for row in islice(self._rows(source), 1, LOOKED_AT + 1):
            count += 1
            for place, name, several in places:
                cell = row[place] if place < len(row) else ""
                seen[name].update(filter(None, cell.split(self.words) if several else (cell,)))
        return [name for name in found if 1 < len(seen[name]) <= REPEATED * count]

    def levels(self, column: str) -> list[float]:
        """The distinct numbers of a column of interactions, sorted; empty where it is no scale."""
        found: set[float] = set()
        for cell in self._cells(column):
            try:
                found.add(float(cell))
            except ValueError:
                return []
            if len(found) > MOST_LEVELS:
                return []
        return sorted(found)

    def fewest(self, columns: tuple[str, ...], enough: int) -> int:
        """The least number of distinct values of several columns of interactions, counted no further than `enough`."""
        head = list(self.columns("inter"))
        if not all(column in head for column in columns):
            return enough
        places = [head.index(column) for column in columns]
        seen: list[set[str]] = [set() for _ in places]
        for row in islice(self._rows("inter"), 1, None):
            for values, place in zip(seen, places, strict=True):
                if place < len(row) and len(values) < enough:
                    values.add(row[place])
            if all(len(values) >= enough for values in seen):
                break
        return min(map(len, seen))

    def _cells(self, column: str) -> Iterator[str]:
        head = list(self.columns("inter"))
        if column not in head:
            return
        place = head.index(column)
        for row in islice(self._rows("inter"), 1, LOOKED_AT + 1):
            if place < len(row) and row[place]:
                yield row[place]

    def _rows(self, source: str) -> Iterator[list[str]]:
        """Rows as lists of cells, the head first; none where the file cannot be read."""
        try:
            for _, row in numbered_rows(self.file(source), self.separator, self.encoding):
                yield row
        except (OSError, ValueError, LookupError, TypeError):
            return
