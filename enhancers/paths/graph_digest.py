"""What tells graphs apart: before any data are read, the files; in saved weights, the edges."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burnish.checks import is_file
from burnish.errors import DataError
from burnish.files.data_names import OwnColumns, columns_beside

from .columns import likely_columns
from .graph import ITEM, USER, Graph
from .graph_files import Written, asked_file, blocks, find, head, read
from .graph_options import ENTITY, Columns, GraphConfig
from .sources import graph_fingerprint


def graph_digest(stem: Path, config: GraphConfig, options: Mapping[str, Any]) -> str | None:
    """A digest of everything beside the interactions that a graph's edges come from.

    Equal where the content is, wherever the files lie and whether they are packed (.gz).  Columns of the item and user
    files that become no relation do not count, nor names of nodes (`titles`, `entity_names`), which reasons read anew.

    Parameters
    ----------
    stem
        Folder and name of the data set: its files are called so, with a suffix.
    config
        Which files there are.
    options
        RecBole's options, which say how its files are written; one that is not there stands at its default.

    Returns
    -------
    str or None
        32 hexadecimal digits; None where there is no such file.
    """
    parts = dict(_of_recbole(stem, config))
    for kind, asked in ((ITEM, config.item_columns), (USER, config.user_columns)):
        found = _of_columns(stem.with_name(f"{stem.name}.{kind}"), kind, asked, options)
        if found is not None:
            parts[f"{kind} columns"] = found
    for number, one in enumerate(config.edges):
        path = asked_file(one.file, stem.parent)
        parts[f"edges {number}"] = "" if path is None else _of_file(path)
    if not parts:
        return None
    content = "\n".join(f"{name} {parts[name]}" for name in sorted(parts))
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _of_recbole(stem: Path, config: GraphConfig) -> list[tuple[str, str]]:
    """Digests of .kg, .net and, where entities are joined to anything, .link."""
    found: list[tuple[str, str]] = []
    entities = any(ENTITY in (one.source_type, one.target_type) for one in config.edges)
    for suffix in ("kg", "net", "link"):
        asked = getattr(config, suffix)
        if asked is False or (suffix == "link" and not (entities or any(name == "kg" for name, _ in found))):
            continue
        path = (
            asked_file(asked, stem.parent)
            if isinstance(asked, str)
            else find(stem.with_name(f"{stem.name}.{suffix}"))
        )
        if path is not None:
            found.append((suffix, _of_file(path)))
    return found


def _of_columns(path: Path, kind: str, asked: Columns, options: Mapping[str, Any]) -> str | None:
    if asked == () or not is_file(path):
        return None
    key = str(options.get(f"{kind.upper()}_ID_FIELD") or f"{kind}_id")
    written = Written(
        options.get("field_separator") or "\t",
        options.get("encoding") or "utf-8",
        options.get("seq_separator") or " ",
    )
    own = columns_beside(path.parent, path.stem)
    names = None
    if asked is not None:
        names = tuple(dict.fromkeys(own.written(one.column, file=kind) for one in asked))
    title = own.title if kind == ITEM else None
    changed = path.stat()
    return _columns(path.resolve(), written, key, kind, names, title, (changed.st_mtime_ns, changed.st_size))


@lru_cache(maxsize=256)
def _columns(
    path: Path,
    written: Written,
    key: str,
    kind: str,
    names: tuple[str, ...] | None,
    title: str | None,
    changed: tuple[int, int],
) -> str | None:
    """Of the columns that are or may become relations.

    title: of items, as a card says.  changed: makes an answer that is kept one of this content.
    """
    try:
        columns = head(path, written)
        if kind == ITEM:
            title = OwnColumns(title=title).title_of([name for name in columns if name != key])
        likely = likely_columns(columns, key, title) if names is None else names
        wanted = [name for name in likely if name in columns]
        if key not in columns or not wanted:
            return None
        cells = read(path, written, [key, *wanted])
    except DataError:  # whoever reads the graph says what is wrong
        return _of_file(path)
    digest = hashlib.sha256()
    for name in (key, *sorted(wanted)):
        one = cells[name]
        for text in (name, columns[name], *one.texts):
            raw = str(text).encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little") + raw)
        digest.update(one.codes.astype("<i8").tobytes())
    return digest.hexdigest()


def _of_file(path: Path) -> str:
    changed = path.stat()
    return _bytes(path.resolve(), (changed.st_mtime_ns, changed.st_size))


@lru_cache(maxsize=256)
def _bytes(path: Path, changed: tuple[int, int]) -> str:
    digest = hashlib.sha256()
    try:
        for block in blocks(path):
            digest.update(block)
    except (
        OSError,
        EOFError,
        zlib.error,
    ):  # not packed at all, or not whole: whoever reads the graph says so
        return "unreadable"
    return digest.hexdigest()


# ---------------------------------------------------------------------- once it is read


def graph_print(graph: Graph, device: Any) -> Tensor:
    """`graph_fingerprint` as bytes `[16]`, for a state dict."""
    return torch.frombuffer(bytearray.fromhex(graph_fingerprint(graph)), dtype=torch.uint8).to(device)


def check_graph_print(origin: str, saved: Tensor | None, own: Tensor) -> None:
    """Raise `DataError` for weights of another graph.  saved: None where a file of before does not say.

    origin: what messages call the model.
    """
    if saved is not None and not torch.equal(saved.cpu(), own.cpu()):
        raise DataError(
            f"{origin}: the weights that are read belong to the edges of another graph; put back the files that it was "
            f"made of (.kg, .link, .net, .item, .user, edge lists), or train anew"
        )
