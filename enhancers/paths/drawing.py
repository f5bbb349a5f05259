"""Paths as data, as plain text and as a small drawing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.svg import DARK, GREY, LIGHT, label, line, svg_path, write_svg
from burnish.readable import readable_html

from .best_paths import PathInstance
from .graph import ITEM, USER, Graph
from .names import printable

_BLUE = "#0969da"
_ROW, _BOX, _TALL, _MARGIN = 84, 150, 44, 20
#: Room between columns: at least and at most, and for each character of a relation's name.
_LEAST, _MOST, _CHARACTER = 80, 190, 6.5
#: Characters in a line of a box, and lines.
_WIDE, _LINES = 22, 2
#: What other users are called.
SOMEBODY = "another user"


def to_dict(
    graph: Graph, paths: Sequence[PathInstance] | PathInstance, score: float | None = None
) -> dict[str, Any]:
    """Paths as plain data, for JSON.

    Parameters
    ----------
    graph
        Which names the nodes.
    paths
        One, or a handful.
    score
        The model's score of the item, of which contributions are then shares as well.

    Returns
    -------
    dict
        `paths`, each with `metapath`, `contribution` (and `share of score`), `nodes` (`type`, `id`, the graph's own,
        and `label`) and `edges` (`relation`, `direction` along the relation or against it, `weight`, and `share`: the
        weight over what the model divides by at this hop); and the `contribution` of all together.
    """
    paths = [paths] if isinstance(paths, PathInstance) else list(paths)
    described = []
    for path in paths:
        one: dict[str, Any] = {
            "metapath": str(path.metapath),
            "metapath share": path.path_share,
            "contribution": path.contribution,
        }
        if score:
            one["share of score"] = path.contribution / score
        one["nodes"] = [
            {"type": kind, "id": int(node), "label": graph.label(kind, node)}
            for kind, node in zip(path.metapath.types, path.nodes, strict=True)
        ]
        one["edges"] = [
            {
                "relation": step.relation,
                "direction": "against" if step.inverse else "along",
                "weight": weight,
                "share": weight / divisor,
            }
            for step, weight, divisor in zip(path.metapath.steps, path.weights, path.divisors, strict=True)
        ]
        described.append(one)
    return {"paths": described, "contribution": sum(path.contribution for path in paths)}


def to_text(graph: Graph, path: PathInstance, *, name_others: bool = False) -> str:
    """A path on one line: `196 -rated-> Fargo (1996) -director-> Joel Coen <-director- Barton Fink (1991)`.

    name_others: also users other than the first, by their ids.
    """
    names = _names(graph, path, name_others)
    parts = [names[0]]
    for step, name in zip(path.metapath.steps, names[1:], strict=True):
        parts += [printable(str(step)), name]
    return " ".join(parts)


def draw(
    graph: Graph,
    paths: Sequence[PathInstance] | PathInstance,
    file: Path | str,
    *,
    name_others: bool = False,
) -> Path:
    """Draw paths of one user and one item as a small graph, a node on several paths once, to an SVG file.

    From left to right by how many steps a node is from the user; edges are as thick as the largest contribution of
    their paths, relative to the best one.

    Parameters
    ----------
    graph
        Which names the nodes.
    paths
        One, or a handful.
    file
        Ends in .svg; it is written whole, or not at all.
    name_others
        Write the ids of other users, too.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        For no path, or paths between different users and items.
    ConfigurationError
        For another suffix.
    """
    file = svg_path(file)
    paths = [paths] if isinstance(paths, PathInstance) else list(paths)
    if not paths:
        raise DataError("draw: there are no paths to draw")
    if len({(path.user, path.item) for path in paths}) > 1:
        raise DataError("draw: the paths are between different users and items; draw each pair by itself")
    columns = max(len(path.metapath) for path in paths)
    longest = max(len(str(step)) for path in paths for step in path.metapath.steps)
    column = _BOX + round(min(max(_LEAST, _CHARACTER * longest), _MOST))
    places, names = _places(graph, paths, columns, column, name_others)
    most = max(path.contribution for path in paths) or 1.0
    edges: dict[tuple[Any, Any, str], float] = {}
    for path in paths:
        keys = _keys(path, columns)
        for begin, end, step in zip(keys, keys[1:], path.metapath.steps, strict=False):
            edge = (begin, end, printable(str(step)))
            edges[edge] = max(edges.get(edge, 0.0), path.contribution / most)
    parts: list[str] = []
    between: dict[tuple[Any, Any], int] = {}
    for (begin, end, name), strength in edges.items():
        turn = between[begin, end] = between.get((begin, end), -1) + 1
        parts += _edge(places[begin], places[end], name, strength, turn)
    for key, (x, y) in places.items():
        parts += _node(x, y, names[key], key[1])
    width = 2 * _MARGIN + columns * column + _BOX
    height = round(2 * _MARGIN + max(y for _, y in places.values()) + _TALL / 2)
    title = f"Paths from {names[_keys(paths[0], columns)[0]]} to {names[_keys(paths[0], columns)[-1]]}"
    return write_svg(file, parts, width=width, height=height, title=title, font_size=12)


def _names(graph: Graph, path: PathInstance, name_others: bool) -> list[str]:
    """Labels of a path's nodes, on one line each, and nothing that a terminal obeys."""
    named = []
    for kind, node in zip(path.metapath.types, path.nodes, strict=True):
        if kind == USER and node != path.user and not name_others:
            named.append(SOMEBODY)
        else:
            named.append(printable(graph.label(kind, node)))
    return named


def _keys(path: PathInstance, columns: int) -> list[tuple[int, str, int]]:
    """Its nodes as they are drawn: column, type, id; the item stands in the last column."""
    types, last = path.metapath.types, len(path.metapath)
    return [
        (columns if layer == last else layer, kind, node)
        for layer, (kind, node) in enumerate(zip(types, path.nodes, strict=True))
    ]


def _places(
    graph: Graph, paths: Sequence[PathInstance], columns: int, width: int, name_others: bool
) -> tuple[dict[tuple[int, str, int], tuple[float, float]], dict[tuple[int, str, int], str]]:
    """The middle of each node's box, and its name; columns stand centred to each other."""
    names: dict[tuple[int, str, int], str] = {}
    for path in paths:
        for key, name in zip(_keys(path, columns), _names(graph, path, name_others), strict=True):
            names.setdefault(key, name)
    by_column = [[key for key in names if key[0] == column] for column in range(columns + 1)]
    tall = max(len(own) for own in by_column)
    places = {}
    for column, own in enumerate(by_column):
        for row, key in enumerate(own):
            x = _MARGIN + _BOX / 2 + column * width
            places[key] = x, _MARGIN + _TALL / 2 + (row + (tall - len(own)) / 2) * _ROW
    return places, names


def _edge(
    begin: tuple[float, float], end: tuple[float, float], step: str, strength: float, turn: int
) -> list[str]:
    left, right = begin[0] + _BOX / 2, end[0] - _BOX / 2
    thick = f" stroke-width='{round(1 + 2.5 * strength, 1)}'"
    x, y = (left + right) / 2, (begin[1] + end[1]) / 2
    parts = [line((left, right), (begin[1], end[1]), GREY, thick)] if turn == 0 else []
    shown = step if len(step) <= _MOST / _CHARACTER else f"{step[: int(_MOST / _CHARACTER) - 1]}…"
    # Several relations between the same two are written under each other; white around it keeps a line off the text.
    return [
        *parts,
        f"<text x='{round(x, 1)}' y='{round(y - 6 + 14 * turn, 1)}' text-anchor='middle' font-size='11' "
        f"paint-order='stroke' stroke='#ffffff' stroke-width='4'>{readable_html(shown)}</text>",
    ]


def _node(x: float, y: float, name: str, kind: str) -> list[str]:
    rows = textwrap.wrap(name, _WIDE)
    if len(rows) > _LINES:
        rows = [*rows[: _LINES - 1], f"{rows[_LINES - 1][: _WIDE - 1]}…"]
    edge = {USER: DARK, ITEM: _BLUE}.get(kind, GREY)
    parts = [
        f"<rect x='{x - _BOX / 2}' y='{y - _TALL / 2}' width='{_BOX}' height='{_TALL}' rx='6' fill='{LIGHT}' "
        f"stroke='{edge}'><title>{readable_html(f'{kind}: {name}')}</title></rect>"
    ]
    for number, text in enumerate(rows):
        parts.append(label(x, y + 4 + 14 * (number - (len(rows) - 1) / 2), readable_html(text)))
    return parts
