"""A graph of typed nodes in a MATLAB file, as it was released with the WSDM 2020 paper on distilled knowledge.

Zhang, Xu, Zhou and Zhang, "Distilling structured knowledge into embeddings for explainable and accurate
recommendation", WSDM 2020 (arXiv 1912.08422), and SemRec (CIKM 2015) before it: `entity` holds a list of names for each
type of node, `relation` a sparse matrix for each pair of types in `relationIdx`.  The first relation is that of users
and items.  Nothing in the file is executed: it holds texts, numbers and matrices, and all else is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish._version import __version__
from burnish.checks import short
from burnish.errors import DataError

from .folder import CARD, README, check_target, written_whole_folder
from .lines import check_file
from .record_values import decimal, token, token_cell
from .records import BrokenLineError

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
    size = check_file(file)
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
    from scipy.io import loadmat

    before = os.stat(file)
    try:
        found = loadmat(file, variable_names=list(_KEYS), appendmat=False)
    except NotImplementedError as error:
        raise DataError(
            f"{file} is of version 7.3 (HDF5), which is not read here; in MATLAB save it with -v7"
        ) from error
    except (MemoryError, Exception) as error:  # whatever a damaged file makes the reader say
        raise DataError(
            f"{file} cannot be read as a MATLAB file ({type(error).__name__}: {' '.join(str(error).split())[:200]}); "
            f"give the file as released, whole"
        ) from error
    if os.stat(file).st_size != before.st_size:
        raise DataError(f"{file} changed while it was read; convert it again when it is complete")
    missing = [name for name in _KEYS if name not in found]
    if missing:
        raise DataError(
            f"{file} has no variable {' and no '.join(missing)}; such a graph has {', '.join(_KEYS)}"
        )
    types = [
        _text(file, f"entityName{{{n}}}", value)
        for n, value in enumerate(_cells(file, "entityName", found), 1)
    ]
    if len(set(types)) < len(types):
        raise DataError(f"{file}: entityName holds a name twice: {types}")
    lists = _cells(file, "entity", found)
    if len(lists) != len(types):
        raise DataError(f"{file}: entityName has {len(types)} types and entity {len(lists)} lists of names")
    ids = [
        _ids(file, kind, number, value)
        for number, (kind, value) in enumerate(zip(types, lists, strict=True), 1)
    ]
    return _Content(types, ids, _relations(file, found, ids))


def _cells(file: Path, name: str, found: dict[str, Any]) -> list[Any]:
    """The cells of a cell array with one row or one column."""
    value = found[name]
    if not isinstance(value, np.ndarray) or value.dtype != object or value.ndim != 2 or 1 not in value.shape:
        shape = "x".join(map(str, getattr(value, "shape", ())))
        raise DataError(
            f"{file}: {name} is a {type(value).__name__} of {shape}; a cell array in one row belongs there"
        )
    return list(value.ravel())


def _text(file: Path, place: str, value: Any) -> str:
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
        return str(value.item()).strip()
    raise DataError(f"{file}: {place} is {short(value)}; a text belongs there")


def _ids(file: Path, kind: str, number: int, value: Any) -> list[str]:
    if not isinstance(value, np.ndarray) or value.dtype != object or value.ndim != 2 or 1 not in value.shape:
        raise DataError(f"{file}: entity{{{number}}} ({kind}) is no list of texts")
    ids = []
    for row, one in enumerate(value.ravel(), 1):
        place = f"entity{{{number}}}{{{row}}} ({kind})"
        try:
            ids.append(token({"id": _text(file, place, one)}, "id"))
        except BrokenLineError as error:
            raise DataError(f"{file}: {place}: {error}") from error
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(one for one in ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        raise DataError(f"{file}: entity{{{number}}} ({kind}) holds {short(twice)} twice")
    return ids


def _relations(file: Path, found: dict[str, Any], ids: Sequence[Sequence[str]]) -> list[_Edges]:
    matrices = _cells(file, "relation", found)
    pairs = found["relationIdx"]
    if (
        not isinstance(pairs, np.ndarray)
        or pairs.dtype.kind not in "uif"
        or pairs.shape != (len(matrices), 2)
    ):
        raise DataError(
            f"{file}: relationIdx is {' x '.join(map(str, getattr(pairs, 'shape', ())))}; for {len(matrices)} "
            f"relations it has as many rows, of two numbers each"
        )
    if not np.isin(pairs, np.arange(1, len(ids) + 1)).all():
        raise DataError(
            f"{file}: relationIdx holds {pairs.tolist()}; give numbers of types from 1 to {len(ids)}"
        )
    if not matrices:
        raise DataError(f"{file}: relation is empty; its first matrix is that of users and items")
    return [
        _matrix(file, number, matrix, int(source) - 1, int(target) - 1, ids)
        for number, (matrix, (source, target)) in enumerate(zip(matrices, pairs.tolist(), strict=True), 1)
    ]


def _matrix(
    file: Path, number: int, matrix: Any, source: int, target: int, ids: Sequence[Sequence[str]]
) -> _Edges:
    from scipy import sparse

    place = f"relation{{{number}}}"
    shape = (len(ids[source]), len(ids[target]))
    if not sparse.issparse(matrix) or matrix.dtype.kind not in "uifb":
        raise DataError(
            f"{file}: {place} is {short(type(matrix).__name__)}; a sparse matrix of numbers belongs there"
        )
    if matrix.shape != shape:
        raise DataError(
            f"{file}: {place} is {matrix.shape[0]} x {matrix.shape[1]}, and relationIdx joins types of {shape[0]} and "
            f"{shape[1]} nodes"
        )
    try:
        matrix.check_format(full_check=True)  # or a damaged index would read other memory
    except ValueError as error:
        raise DataError(f"{file}: {place} is damaged ({error}); give the file as released") from error
    edges = matrix.tocoo()
    edges.sum_duplicates()
    rows, columns, values = (np.asarray(one) for one in (edges.row, edges.col, edges.data))
    if not np.isfinite(values).all():
        raise DataError(f"{file}: {place} holds NaN or infinite values")
    kept = values != 0
    order = np.lexsort((columns[kept], rows[kept]))
    return _Edges(source, target, rows[kept][order], columns[kept][order], values[kept][order])


# ---------------------------------------------------------------------- writing


def _places(file: Path, content: _Content) -> list[tuple[str, str]]:
    """For each relation the file and the column that it goes to."""
    first = content.relations[0]
    if first.source == first.target:
        raise DataError(
            f"{file}: the first relation is {content.named(0)}; that of users and items comes first"
        )
    places, taken = [("inter", "")], {"net": 0}
    for number, one in enumerate(content.relations[1:], 1):
        ends = (one.source, one.target)
        own = [kind for kind in ends if kind in (first.source, first.target)]
        if ends == (first.source, first.source) and not taken["net"]:
            taken["net"] = 1
            places.append(("net", ""))
        elif len(own) == 1:
            other = ends[1] if own[0] == ends[0] else ends[0]
            name = "_".join(content.types[other].removeprefix("a_").split())
            side = "user" if own[0] == first.source else "item"
            count = taken[f"{side} {name}"] = taken.get(f"{side} {name}", 0) + 1
            places.append((side, name if count == 1 else f"{name}_{count}"))
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
        word = base = "_".join(token_cell(name).split())
        count = 1
        while word in words:
            count += 1
            word = f"{base}_{count}"
        words[word] = None
    return list(words)


def _write(file: Path, heads: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\t".join(heads) + "\n")
        stream.writelines("\t".join(cells) + "\n" for cells in zip(*columns, strict=True))
