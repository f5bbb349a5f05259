"""A graph of typed nodes in a MATLAB file, as it was released with the WSDM 2020 paper on distilled knowledge.

Zhang, Xu, Zhou and Zhang, "Distilling structured knowledge into embeddings for explainable and accurate
recommendation", WSDM 2020 (arXiv 1912.08422), and SemRec (CIKM 2015) before it: `entity` holds a list of names for each
type of node, `relation` a sparse matrix for each pair of types in `relationIdx`.  The first relation is that of users
and items.  Nothing in the file is executed: it holds texts, numbers and matrices, and all else is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish._version import __version__
from burnish.checks import short
from burnish.errors import DataError

from .folder import CARD, README, check_target, written_whole_folder
from .lines import check_file
from .matlab_file import Cell, Other, Sparse, read_matlab
from .record_values import decimal, token, token_cell
from .records import BrokenLineError

#: Columns of `NAME.inter`, which no other file may have for something else.
_OF_INTERACTIONS = ("user_id", "item_id", "rating")
_KEYS = ("entityName", "entity", "relationIdx", "relation")


@dataclass(frozen=True)
class GraphCard:
    """The record of one conversion.

    entities: nodes by type, in the file's names.  edges: by relation, `from-to`.  written: for each relation the file
    and column that hold it.
    """

    name: str
    source: str
    bytes: int
    users: int
    items: int
    entities: dict[str, int]
    edges: dict[str, int]
    written: dict[str, str]
    files: tuple[str, ...]

    def text(self) -> str:
        """For people."""
        rows = [
            f"{self.name}: a graph converted by burnish {__version__} from {self.source} ({self.bytes:,} bytes)",
            "",
            f"users: {self.users:,}; items: {self.items:,}",
            *(f"nodes of type {kind}: {n:,}" for kind, n in self.entities.items()),
            *(f"{name}: {n:,} edges, in {self.written[name]}" for name, n in self.edges.items()),
            f"edges in all: {sum(self.edges.values()):,}",
            "",
            f"files: {', '.join(self.files)}",
            "The terms of the release hold for this copy as well.",
        ]
        return "\n".join(rows) + "\n"

    def write(self, folder: Path) -> None:
        """Both files."""
        (folder / README).write_text(self.text(), encoding="utf-8")
        content = json.dumps({**asdict(self), "burnish": __version__}, indent=2)
        (folder / f"{self.name}{CARD}").write_text(content + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Edges:
    """One relation: numbers of types, and its edges' rows, columns and values `[e]`, by rows and then columns."""

    source: int
    target: int
    rows: Any
    columns: Any
    values: Any


@dataclass(frozen=True)
class _Content:
    """The file: names of types, ids of nodes by type, and relations."""

    types: list[str]
    ids: list[list[str]]
    relations: list[_Edges]

    def named(self, number: int) -> str:
        one = self.relations[number]
        return f"{self.types[one.source]}-{self.types[one.target]}"


def convert_matlab(file: Path | str, out: Path | str, *, force: bool = False) -> GraphCard:
    """Convert a MATLAB file (version 5) of typed nodes and sparse matrices.

    The first relation becomes the interactions, one between users `NAME.net`, and those to other nodes columns of
    `NAME.item` and `NAME.user`, in which every item and every user has a row.

    Parameters
    ----------
    file
        With the variables entityName, entity, relationIdx and relation.
    out
        The folder of the data set, which names it.
    force
        Replace a folder that was converted before.

    Returns
    -------
    GraphCard
        What was read and written.

    Raises
    ------
    DataError
        For a file that is not such a graph, and a full disk.
    ConfigurationError
        For an `out` that cannot be made.
    """
    file, out = Path(file), Path(out)
    check_target(out, force)
    size = check_file(file, "a MATLAB file", "the .mat file")
    content = _read(file)
    user, item = content.relations[0].source, content.relations[0].target
    places = _places(file, content)
    with written_whole_folder(out, force) as folder:
        stem = folder / out.name
        _write_interactions(stem, content)
        for one, (kind, _) in zip(content.relations, places, strict=True):
            if kind == "net":
                ends = [[content.ids[user][row] for row in side.tolist()] for side in (one.rows, one.columns)]
                _write(stem.with_name(f"{stem.name}.net"), ["source_id:token", "target_id:token"], ends)
        for side, own in (("user", user), ("item", item)):
            columns = [
                _column(content, number, own, name)
                for number, (kind, name) in enumerate(places)
                if kind == side
            ]
            heads = [f"{side}_id:token", *(head for head, _ in columns)]
            _write(
                stem.with_name(f"{stem.name}.{side}"),
                heads,
                [content.ids[own], *(cells for _, cells in columns)],
            )
        written = [f"{out.name}.{kind}" + (f", column {name}" if name else "") for kind, name in places]
        names = [content.named(number) for number in range(len(places))]
        card = GraphCard(
            name=out.name,
            source=file.name,
            bytes=size,
            users=len(content.ids[user]),
            items=len(content.ids[item]),
            entities={kind: len(ids) for kind, ids in zip(content.types, content.ids, strict=True)},
            edges={name: len(one.rows) for name, one in zip(names, content.relations, strict=True)},
            written=dict(zip(names, written, strict=True)),
            files=tuple(sorted(path.name for path in folder.iterdir())),
        )
        card.write(folder)
    return card


# ---------------------------------------------------------------------- reading


def _read(file: Path) -> _Content:
    """The file, checked.  Raises `DataError` for whatever is not such a graph."""
    found = read_matlab(file, _KEYS)
    missing = [name for name in _KEYS if name not in found]
    if missing:
        raise DataError(
            f"{file} has no variable {' and no '.join(missing)}; such a graph has {', '.join(_KEYS)}"
        )
    names = _cells(file, "entityName", found["entityName"])
    types = [_text(file, f"entityName{{{number}}}", name) for number, name in enumerate(names, 1)]
    if len(set(types)) < len(types):
        raise DataError(f"{file}: entityName holds a name twice: {types}")
    lists = _cells(file, "entity", found["entity"])
    if len(lists) != len(types):
        raise DataError(f"{file}: entityName has {len(types)} types and entity {len(lists)} lists of names")
    ids = [
        _ids(file, f"entity{{{number}}}", kind, value)
        for number, (kind, value) in enumerate(zip(types, lists, strict=True), 1)
    ]
    return _Content(types, ids, _relations(file, found, ids))


def _cells(file: Path, place: str, value: Any) -> list[Any]:
    """The values of a cell array with one row or one column."""
    if isinstance(value, Cell) and len(value.shape) == 2 and (1 in value.shape or not value.values):
        return value.values
    raise DataError(f"{file}: {place} is {_what(value)}; a cell array in one row or column belongs there")


def _text(file: Path, place: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise DataError(f"{file}: {place} is {_what(value)}; a text belongs there")


def _what(value: Any) -> str:
    """A value as messages call it."""
    if isinstance(value, str):
        return f"the text {short(value)}"
    if isinstance(value, Other):
        return f"a {value.kind}"
    kind = {Cell: "a cell array", Sparse: "a sparse matrix"}.get(type(value), "an array of numbers")
    return f"{kind} of {' x '.join(map(str, value.shape))}"


def _ids(file: Path, place: str, kind: str, value: Any) -> list[str]:
    ids = []
    for row, one in enumerate(_cells(file, f"{place} ({kind})", value), 1):
        here = f"{place}{{{row}}} ({kind})"
        try:
            ids.append(token({"id": _text(file, here, one)}, "id"))
        except BrokenLineError as error:
            raise DataError(f"{file}: {here}: {error}") from error
    twice = next((one for one, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{file}: {place} ({kind}) holds {short(twice)} twice")
    return ids


def _relations(file: Path, found: dict[str, Any], ids: Sequence[Sequence[str]]) -> list[_Edges]:
    matrices = _cells(file, "relation", found["relation"])
    if not matrices:
        raise DataError(f"{file}: relation is empty; its first matrix is that of users and items")
    pairs = found["relationIdx"]
    if not isinstance(pairs, np.ndarray) or pairs.shape != (len(matrices), 2):
        raise DataError(
            f"{file}: relationIdx is {_what(pairs)}; for {len(matrices)} relations it has as many rows, of two numbers "
            f"each"
        )
    if not np.isin(pairs, np.arange(1, len(ids) + 1)).all():
        raise DataError(
            f"{file}: relationIdx holds {pairs.tolist()}; give numbers of types from 1 to {len(ids)}"
        )
    return [
        _matrix(file, f"relation{{{number}}}", matrix, source, target, ids)
        for number, (matrix, (source, target)) in enumerate(
            zip(matrices, (pairs.astype(int) - 1).tolist(), strict=True), 1
        )
    ]


def _matrix(
    file: Path, place: str, matrix: Any, source: int, target: int, ids: Sequence[Sequence[str]]
) -> _Edges:
    if not isinstance(matrix, Sparse):
        raise DataError(f"{file}: {place} is {_what(matrix)}; a sparse matrix of numbers belongs there")
    shape = (len(ids[source]), len(ids[target]))
    if matrix.shape != shape:
        raise DataError(
            f"{file}: {place} is {_what(matrix)}, and relationIdx joins types of {shape[0]} and {shape[1]} nodes"
        )
    if not np.isfinite(matrix.values).all():
        raise DataError(f"{file}: {place} holds NaN or infinite values")
    keys = matrix.rows * shape[1] + matrix.columns
    if len(np.unique(keys)) < len(keys):
        raise DataError(f"{file}: {place} holds an entry twice; give the file as released")
    kept = np.flatnonzero(matrix.values != 0)
    order = kept[np.argsort(keys[kept])]
    return _Edges(source, target, matrix.rows[order], matrix.columns[order], matrix.values[order])


# ---------------------------------------------------------------------- writing


def _places(file: Path, content: _Content) -> list[tuple[str, str]]:
    """For each relation the file and the column that it goes to."""
    first = content.relations[0]
    if first.source == first.target:
        raise DataError(
            f"{file}: the first relation is {content.named(0)}; that of users and items comes first"
        )
    if not len(first.rows):
        raise DataError(
            f"{file}: relation{{1}}, {content.named(0)}, has no entry, so there is no interaction"
        )
    places: list[tuple[str, str]] = [("inter", "")]
    for number, one in enumerate(content.relations[1:], 1):
        ends = (one.source, one.target)
        own = [kind for kind in ends if kind in (first.source, first.target)]
        if ends == (first.source, first.source) and ("net", "") not in places:
            places.append(("net", ""))
        elif len(own) == 1:
            other = ends[1] if own[0] == ends[0] else ends[0]
            name = "_".join((content.types[other].removeprefix("a_") or content.types[other]).split())
            side = "user" if own[0] == first.source else "item"
            taken = {*_OF_INTERACTIONS, *(column for there, column in places if there == side)}
            places.append((side, _free(name, taken)))
        else:
            raise DataError(
                f"{file}: relation{{{number + 1}}} is {content.named(number)}; what can be converted are one relation "
                f"of users and items (the first), one among users, and those of users or items with other types"
            )
    return places


def _write_interactions(stem: Path, content: _Content) -> None:
    one = content.relations[0]
    users, items = content.ids[one.source], content.ids[one.target]
    columns = [[users[row] for row in one.rows.tolist()], [items[row] for row in one.columns.tolist()]]
    heads = ["user_id:token", "item_id:token"]
    if len(np.unique(one.values)) > 1:
        heads.append("rating:float")
        columns.append([decimal(value) for value in one.values.astype(float).tolist()])
    _write(stem.with_name(f"{stem.name}.inter"), heads, columns)


def _column(content: _Content, number: int, own: int, name: str) -> tuple[str, list[str]]:
    """A relation as a column with a cell for each node of its own type: its head, and the cells."""
    one = content.relations[number]
    rows, columns, other = one.rows, one.columns, one.target
    if one.source != own:
        rows, columns, other = one.columns, one.rows, one.source
    words = _words(content.ids[other])
    cells: list[list[str]] = [[] for _ in content.ids[own]]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        cells[row].append(words[column])
    kind = "token" if all(len(cell) <= 1 for cell in cells) else "token_seq"
    return f"{name}:{kind}", [" ".join(cell) for cell in cells]


def _words(names: Sequence[str]) -> list[str]:
    """Names as words of their own: blanks become underscores."""
    words: dict[str, None] = {}
    for name in names:
        words[_free("_".join(token_cell(name).split()), words)] = None
    return list(words)


def _free(name: str, taken: Container[str]) -> str:
    """The name, or the first of name_2, name_3, ... that is not taken."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    return found


def _write(file: Path, heads: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\t".join(heads) + "\n")
        stream.writelines("\t".join(cells) + "\n" for cells in zip(*columns, strict=True))
