"""A graph as RecBole's `.kg` and `.link`, so that its knowledge models train on what the path model walks on."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, DataError
from burnish.files.whole_folder import folder_written_whole
from burnish.telling import counted

from .graph import ITEM, USER, Graph, Relation

#: The relation of a triple that an item without any other gets, to itself: RecBole drops items without a triple, and
#: their interactions with them.
ITSELF = "itself"


def write_knowledge_files(graph: Graph, dataset: Any, folder: Path) -> list[str]:
    """A new data set: the files of another, with the graph as `NAME.kg` and `NAME.link` in the place of its own.

    Every item is an entity, those without an edge by a triple to themselves, so that RecBole keeps all interactions
    and splits them as it does without a graph.  Relations with users at an end stay out: `.kg` knows no users.

    Parameters
    ----------
    graph
        As `sources.read_graph` makes it.
    dataset
        RecBole's, of the same interactions; its files are read where RecBole found them.
    folder
        A new one, which names the new data set.

    Returns
    -------
    list of str
        What was written and what stayed out, a sentence each.

    Raises
    ------
    ConfigurationError
        For a `folder` that is there.
    DataError
        For a graph without relations between items and others, or one with another number of items than the data set.
    """
    check_new(folder)
    relations = [one for one in graph.relations if USER not in (one.source, one.target) and len(one)]
    if not relations:
        raise DataError(
            "the graph has no relation between items and other entities, so there is nothing to write; `burnish paths "
            "graph` shows what it has, and the option `graph` takes more"
        )
    items = [str(token) for token in dataset.field2id_token[dataset.iid_field]]
    if len(items) != graph.counts[ITEM]:
        raise DataError(f"the graph has {graph.counts[ITEM] - 1} items, and the data set {len(items) - 1}")
    separator = dataset.config["field_separator"] or "\t"
    names = {kind: entity_names(graph, kind) for kind in graph.counts if kind not in (USER, ITEM)}
    names[ITEM] = [f"{ITEM}:{token}" for token in items]
    told = _what_stays_out(graph, relations)
    alone = set(range(1, len(items)))
    source, name = Path(dataset.dataset_path), dataset.dataset_name
    with folder_written_whole(folder, lambda done: (done / f"{folder.name}.link").is_file()) as partial:
        for file in sorted(source.glob(f"{name}.*")):
            ending = file.name[len(name) :]
            if file.is_file() and ending not in (".kg", ".link"):
                shutil.copyfile(file, partial / f"{folder.name}{ending}")
        n_triples = 0
        for one in relations:
            for kind, ends in ((one.source, one.sources), (one.target, one.targets)):
                if kind == ITEM:
                    alone.difference_update(ends.tolist())
            n_triples += len(one)
        _write(partial / f"{folder.name}.kg", separator, _triples(relations, names, sorted(alone)))
        heads = (f"{dataset.iid_field}:token", "entity_id:token")
        links = zip(items[1:], names[ITEM][1:], strict=True)
        _write(partial / f"{folder.name}.link", separator, itertools.chain([heads], links))
    told.insert(
        0,
        f"{folder}: {counted(n_triples, 'triple')} of {counted(len(relations), 'relation')}, "
        f"{counted(len(items) - 1, 'item')} linked",
    )
    if alone:
        told.append(
            f"{counted(len(alone), 'item')} without an edge got a triple with the same at both ends ({ITSELF!r}), as "
            f"RecBole drops items without one"
        )
    return told


def check_new(folder: Path) -> None:
    """`ConfigurationError` for a folder that is there."""
    if folder.exists():
        raise ConfigurationError(f"{folder} is there; give the name of a new folder, or remove it")


def _triples(
    relations: Sequence[Relation], names: Mapping[str, Sequence[str]], alone: Iterable[int]
) -> Iterator[tuple[str, str, str]]:
    yield "head_id:token", "relation_id:token", "tail_id:token"
    for one in relations:
        for head, tail in zip(one.sources.tolist(), one.targets.tolist(), strict=True):
            yield names[one.source][head], one.name, names[one.target][tail]
    for item in alone:
        yield names[ITEM][item], ITSELF, names[ITEM][item]


def _write(file: Path, separator: str, rows: Iterable[Sequence[str]]) -> None:
    """As RecBole reads it: a cell that holds the separator or a quote is quoted."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(rows)


def entity_names(graph: Graph, kind: str) -> list[str]:
    """A name for each node of a type, `TYPE:label` where labels tell nodes apart and fit a cell, else `TYPE:number`."""
    labels = graph.labels.get(kind)
    if labels is None:
        return [f"{kind}:{node}" for node in range(graph.counts[kind])]
    often = Counter(labels)
    fits = [often[label] == 1 and label.isprintable() and label.strip() == label != "" for label in labels]
    # A number could be another node's label, so that none stays where one does not fit.
    return [f"{kind}:{label if all(fits) else node}" for node, label in enumerate(labels)]


def _what_stays_out(graph: Graph, relations: Sequence[Relation]) -> list[str]:
    others = [one.name for one in graph.relations if all(one is not taken for taken in relations)]
    return [f"not written, with users at an end or no edge: {', '.join(others)}"] if others else []
