"""The graph of a data set: its training interactions, and what lies beside them.

Read are RecBole's `.kg` and `.link`, `.net`, columns of `.item` and `.user`, and lists of edges.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from burnish.checks import is_file, short
from burnish.enhancers.anatomy.describe import Fields
from burnish.enhancers.interactions import positives, training_items
from burnish.enhancers.options import warn_of_idle
from burnish.errors import DataError, warn
from burnish.files.data_names import OwnColumns, own_columns

from .columns import column_triples, free_name, titles
from .graph import ITEM, RATED, USER, Graph, Relation
from .graph_files import Cells, Numbers, Texts, Written, asked_file, column, find, head, read
from .graph_maker import GraphMaker
from .graph_options import ENTITY, EdgeList, GraphConfig
from .triples import Links, Told, Triples, numbers_of

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Columns of `.net` that say nothing of what is between the users.
_PLAIN_ENDS = re.compile(
    r"(source|target|head|tail|src|dst|from|to|user|friend)(_?user)?(_?\d)?(_?id)?", re.I
)
#: Names, in small letters, that are taken for types which there are.
_ALMOST = {f"{kind}{more}": kind for kind in (USER, ITEM) for more in ("", "s")} | dict.fromkeys(
    (ENTITY, "entities"), ENTITY
)
_ITEM_TEXTS = ("itemtext.tsv", "itemtext.tsv.gz")
#: Published files that join items to the entities of other items, by the SHA-256 of their bytes, with how it is seen.
MISLINKED = {
    "524dca2c3d62619688ab99b3ec53ea2acb9b64d38eafec3e02bdd0dc6bb7d948": "RecBole's example of ml-100k; by it the "
    "sequel of North by Northwest (1959) is It Takes Two (1995)",
}


def read_graph(dataset: Dataset, config: GraphConfig | None = None) -> Graph:
    """The graph of a training split and of the files beside it.

    Interactions are those of the split alone; the other files are read as they are, whatever of them RecBole loaded.
    Nothing in them is executed.

    Parameters
    ----------
    dataset
        RecBole's data set of the training split, of any class.
    config
        What to read; None for all that is there.

    Returns
    -------
    Graph
        Users and items by RecBole's internal ids, the other nodes in the order of their texts; `notes` says what was
        left out or decided.

    Raises
    ------
    DataError
        For a file that was asked for and is not there, or cannot be read.
    UnknownNameError
        For a column or a relation that is not there, with the nearest one.
    ConfigurationError
        For names that stand for two things.

    Warns
    -----
    UserWarning
        Once for each kind of thing that was left out: edges of unknown users and items, incomplete rows, empty
        relations.

    Examples
    --------
    >>> from burnish.enhancers.paths.sources import read_graph  # doctest: +SKIP
    >>> graph = read_graph(train_data._dataset)  # doctest: +SKIP
    >>> graph.table()  # doctest: +SKIP
    """
    config = config or GraphConfig()
    warn_of_idle("graph", config, config.idle())
    return _Reader(dataset, config).graph()


def graph_fingerprint(graph: Graph) -> str:
    """A hash of a graph's nodes and edges: graphs with the same one give the same numbers.

    Labels do not count, nor the device.

    Parameters
    ----------
    graph
        Any.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> graph_fingerprint(Graph({"user": 2, "item": 2}, []))
    'bea20dc5e076874cdf0d7de3ead74fb7'
    """
    digest = hashlib.sha256()

    def add(content: bytes) -> None:
        digest.update(len(content).to_bytes(8, "little") + content)

    for kind in sorted(graph.counts):
        add(f"{kind} {graph.counts[kind]}".encode("utf-8", "surrogatepass"))
    for relation in graph.relations:
        for text in (relation.name, relation.source, relation.target):
            add(text.encode("utf-8", "surrogatepass"))
        for ids in (relation.sources, relation.targets):
            add(ids.cpu().numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:32]


class _Reader:
    """What is read for one graph."""

    def __init__(self, dataset: Dataset, config: GraphConfig) -> None:
        self.options: Any = dataset.config
        self.own = own_columns(self.options)
        self.dataset, self.config, self.told = dataset, _by_written_names(config, self.own), Told()
        self.written = Written.of(self.options)
        self.stem = Path(self.options["data_path"]) / self.options["dataset"]
        self.user, self.item = dataset.uid_field, dataset.iid_field
        self.ids: dict[str, Texts] = {
            kind: np.array([str(token) for token in dataset.field2id_token[name]], dtype=object)
            for kind, name in ((USER, self.user), (ITEM, self.item))
        }

    def graph(self) -> Graph:
        rated = self._rated()
        net, kg = self._net(), self._kg()
        links = self._links(kg)
        columns = [*self._columns(ITEM), *self._columns(USER)]
        lists = [self._edge_list(one) for one in self.config.edges]
        triples = [*([] if net is None else [net]), *([] if kg is None else [kg]), *columns, *lists]
        maker = GraphMaker(self.ids, self.config, self.told)
        graph, texts, entity_types = maker.make(rated, triples, links)
        named = entity_types | {
            kind for one in self.config.edges for kind in (one.source_type, one.target_type)
        }
        labels = self._labels(texts, named)
        return Graph(graph.counts, graph.relations, labels, tuple(self.told.notes))

    # ------------------------------------------------------------------ interactions

    def _rated(self) -> Relation:
        """Each positive interaction of the training split once."""
        feat, options = self.dataset.inter_feat, self.options
        sequence = f"{self.item}{options['LIST_SUFFIX'] or '_list'}"
        length = options["ITEM_LIST_LENGTH_FIELD"]
        sequential = sequence in feat and length in feat
        fields = Fields(
            user=self.user,
            item=self.item,
            label=options["LABEL_FIELD"],
            sequence=sequence if sequential else None,
            sequence_length=length if sequential else None,
        )
        liked = positives(self.dataset, fields.label, self.config.positive_from, "graph")
        users, items = training_items(self.dataset, fields, liked)
        return Relation.of(RATED, USER, ITEM, users.cpu(), items.cpu())

    # ------------------------------------------------------------------ RecBole's files

    def _file(self, suffix: Literal["kg", "link", "net"], asked: bool | str | None) -> Path | None:
        """The file that an option stands for; None where there is none, and none must be."""
        if asked is False:
            return None
        if isinstance(asked, str):
            return self._asked(asked, suffix)
        path = self.stem.with_name(f"{self.stem.name}.{suffix}")
        found = find(path)
        if found is None and asked:
            raise DataError(
                f"graph: {suffix} = true, and {path} does not exist; put it there, or name another file"
            )
        return found

    def _asked(self, name: str, option: str) -> Path:
        """A file by its path, from the working folder or from the data set's."""
        found = asked_file(name, self.stem.parent)
        if found is None:
            there = sorted(path.name for path in self.stem.parent.iterdir() if path.is_file())
            raise DataError(
                f"graph: {option} = {name!r}: there is no such file, here or in {self.stem.parent}, which holds "
                f"{', '.join(there[:20]) or 'nothing'}; give its path"
            )
        return found

    def _named(self, path: Path, columns: dict[str, str], option: str, place: int) -> str:
        """The column that one of RecBole's options names, or else the one at a place."""
        asked = self.options[option]
        if asked is not None and (asked in columns or option in self.options.external_config_dict):
            return column(path, asked, columns, f"{option}: column")
        if place >= len(columns):
            raise DataError(
                f"{path}, line 1 names {len(columns)} columns ({', '.join(map(short, columns))}); at least "
                f"{place + 1} are needed"
            )
        return list(columns)[place]

    def _kg(self) -> Triples | None:
        path = self._file("kg", self.config.kg)
        if path is not None and self.config.kg is None and (wrong := self._mislinked()):
            self.told.warn(
                f"{path.name} was left out, since the .link beside it joins items to entities of other items "
                f"({wrong}); kg: true takes it all the same, kg: false says that it is known"
            )
            path = None
        if path is None:
            if self.config.relations is not None:
                warn("graph: relations has no effect, as there is no .kg")
            return None
        columns = head(path, self.written)
        names = [
            self._named(path, columns, option, place)
            for place, option in enumerate(
                ("HEAD_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD")
            )
        ]
        if len(set(names)) < 3:
            raise DataError(f"{path}: heads, relations and tails are columns {names}; name three")
        cells = read(path, self.written)
        begin, relations, end = (cells[name] for name in names)
        return Triples(path.name, relations, ENTITY, begin, ENTITY, end, knowledge=True)

    def _mislinked(self) -> str | None:
        """What is known to be wrong with the .link, if anything."""
        path = self._file("link", self.config.link)
        return None if path is None else MISLINKED.get(hashlib.sha256(path.read_bytes()).hexdigest())

    def _links(self, kg: Triples | None) -> Links:
        """Entities that are items."""
        edges = [kind for one in self.config.edges for kind in (one.source_type, one.target_type)]
        path = self._file("link", self.config.link)
        if kg is None and ENTITY not in edges:
            if path is not None:
                self.told.note(f"{path.name} was not read, as there is no .kg")
            return Links.none()
        if path is None:
            self.told.warn(
                "no .link joins items to entities, so that no path leads from one to the other by .kg"
            )
            return Links.none()
        columns = head(path, self.written)
        key = column(path, self.item, columns, "column of items (ITEM_ID_FIELD)")
        others = dict.fromkeys(name for name in columns if name != key)
        entity = self._named(path, dict.fromkeys(others, ""), "ENTITY_ID_FIELD", 0)
        cells = read(path, self.written, [key, entity])
        rows = np.flatnonzero((cells[key].codes >= 0) & (cells[entity].codes >= 0))
        items = numbers_of(self.ids[ITEM], cells[key].texts)[cells[key].codes[rows]]
        entities = cells[entity].codes[rows]
        self._tell_links(path, len(cells[key].codes) - len(rows), items, entities, cells[entity].texts, kg)
        pairs = np.unique(np.stack([entities, items], axis=1)[items > 0], axis=0)
        return Links(cells[entity].texts[pairs[:, 0]], pairs[:, 1])

    def _tell_links(
        self, path: Path, incomplete: int, items: Numbers, entities: Numbers, texts: Texts, kg: Triples | None
    ) -> None:
        told, n_items = self.told, len(self.ids[ITEM]) - 1
        if incomplete:
            told.warn(f"{path.name}: {incomplete:,} rows with an empty cell were left out")
        strangers = int((items <= 0).sum())
        if strangers:
            told.note(
                f"{path.name}: {strangers:,} of {len(items):,} rows are of items that the data do not have; their "
                f"entities stay entities"
            )
        pairs = np.unique(np.stack([entities, items], axis=1)[items > 0], axis=0)
        _, items_of = np.unique(pairs[:, 0], return_counts=True)
        _, entities_of = np.unique(pairs[:, 1], return_counts=True)
        if (items_of > 1).any():
            told.warn(
                f"{path.name}: {(items_of > 1).sum():,} entities are joined to more than one item; each of these "
                f"items has all of the entity's edges"
            )
        if (entities_of > 1).any():
            told.warn(
                f"{path.name}: {(entities_of > 1).sum():,} items are joined to more than one entity; they have the "
                f"edges of all of them"
            )
        n_linked = len(np.unique(pairs[:, 1]))
        if n_linked == 0:
            told.warn(f"{path.name} joins none of the {n_items:,} items to an entity; are ids written alike?")
        elif n_linked < n_items:
            told.note(f"{path.name}: {n_items - n_linked:,} of {n_items:,} items are joined to no entity")
        if kg is not None and len(pairs):
            linked = pd.Index(texts[pairs[:, 0]])
            if not any(linked.isin(_used(cells)).any() for cells in (kg.sources, kg.targets)):
                told.warn(f"none of the entities of {path.name} is in {kg.origin}; are ids written alike?")

    def _net(self) -> Triples | None:
        path = self._file("net", self.config.net)
        if path is None:
            for name in ("symmetric", "net_name"):
                if getattr(self.config, name) and self.config.net is not False:
                    warn(f"graph: {name} has no effect, as there is no .net")
            return None
        columns = head(path, self.written)
        source = self._named(path, columns, "NET_SOURCE_ID_FIELD", 0)
        target = self._named(path, columns, "NET_TARGET_ID_FIELD", 1)
        cells = read(path, self.written)
        begin, end = cells[source], cells[target]
        word = "_".join(re.sub(r"_?ids?$", "", target, flags=re.I).split())
        name = self.config.net_name or ("friend" if _PLAIN_ENDS.fullmatch(target) or not word else word)
        others = [one for one in columns if one not in (source, target)]
        if others:
            self.told.note(f"{path.name}: columns {', '.join(others)} were not read")
        if self.config.symmetric:
            begin, end = _side_by_side(begin, end), _side_by_side(end, begin)
        return Triples(path.name, _one(name, len(begin.codes)), USER, begin, USER, end)

    def _columns(self, kind: str) -> list[Triples]:
        asked = self.config.item_columns if kind == ITEM else self.config.user_columns
        option = f"{kind}_columns"
        path = self.stem.with_name(f"{self.stem.name}.{kind}")
        if not is_file(path):
            if asked:
                raise DataError(f"graph: {option} names columns, and {path} does not exist; put it there")
            return []
        key = self.item if kind == ITEM else self.user
        known = self.ids[kind][1:]
        return column_triples(path, self.written, key, kind, known, asked, option, self.told, self.own)

    # ------------------------------------------------------------------ other files

    def _edge_list(self, asked: EdgeList) -> Triples:
        path = self._asked(asked.file, "edges: file")
        written = self.written.like(path, asked.separator)
        columns = head(path, written)
        for kind in (asked.source_type, asked.target_type):
            meant = _ALMOST.get(kind.lower())
            if meant not in (None, kind):
                self.told.warn(
                    f"{path.name}: {kind!r} is a type of nodes of its own; did you mean {meant!r}, which the data have?"
                )
        begin, end = (column(path, name, columns, "column") for name in (asked.source, asked.target))
        if begin == end:
            raise DataError(f"{path}: source and target are both column {begin!r}; name two")
        relation = (
            None if asked.name else column(path, asked.relation or "relation", columns, "column of relations")
        )
        cells = read(path, written, [begin, end, *([] if relation is None else [relation])])
        relations = (
            cells[relation] if relation is not None else _one(str(asked.name), len(cells[begin].codes))
        )
        return Triples(path.name, relations, asked.source_type, cells[begin], asked.target_type, cells[end])

    # ------------------------------------------------------------------ names of nodes

    def _labels(self, texts: Mapping[str, Texts], named: set[str]) -> dict[str, list[str]]:
        """Users by id, items by title, others by their text or by the file of names."""
        labels = {USER: self.ids[USER].tolist(), ITEM: self._titles()}
        names: dict[str, str] = {}
        if self.config.entity_names is not None:
            path = self._asked(self.config.entity_names, "entity_names")
            written = self.written.like(path)
            columns = list(head(path, written))
            if len(columns) < 2:
                raise DataError(f"{path} has one column; give two, of entities and of their names")
            cells = read(path, written, columns[:2], plain=False)
            rows = np.flatnonzero((cells[columns[0]].codes >= 0) & (cells[columns[1]].codes >= 0))
            keys, values = (cells[name].texts[cells[name].codes[rows]] for name in columns[:2])
            names = dict(zip(keys, values, strict=True))
            if len(names) < len(keys):
                self.told.note(
                    f"{path.name}: {len(keys) - len(names):,} rows name an entity that another row names, too; the "
                    f"last one counts"
                )
            if not any(text in names for kind in named & texts.keys() for text in texts[kind]):
                self.told.warn(f"{path.name} names none of the graph's entities; are ids written alike?")
        for kind, own in texts.items():
            labels[kind] = [names.get(text, text) for text in own] if kind in named else own.tolist()
        return labels

    def _titles(self) -> list[str]:
        """Items' titles, of the texts beside the data set before those of the item file; else ids."""
        found: dict[str, str] = {}
        asked, seen = self.config.titles, dict[str, str]()
        for suffix in ("item", *_ITEM_TEXTS[::-1]):
            path = self.stem.with_name(f"{self.stem.name}.{suffix}")
            if is_file(path):
                written = self.written if suffix == "item" else replace(self.written.like(path))
                seen |= head(path, written)
                found |= titles(path, written, self.item, asked, plain=suffix != "item", own=self.own) or {}
        if asked is not None and self.own.written(asked, seen, ITEM) not in seen:
            known = self.own.shown(seen, ITEM)
            column(self.stem.with_name(f"{self.stem.name}.item"), asked, seen, "titles: column", known)
        return [found.get(token, token) for token in self.ids[ITEM].tolist()]


def _by_written_names(config: GraphConfig, own: OwnColumns) -> GraphConfig:
    """The options with relations of columns as the graph calls them, where the tables called them otherwise."""

    def relation(name: str) -> str:
        for kind in (ITEM, USER):
            written = own.files.get(kind, {}).get(name)
            if written is not None and written != name:
                return free_name(written)
        return name

    update: dict[str, Any] = {"without": tuple(relation(name) for name in config.without)}
    for option in ("names", "entity_types"):
        value = getattr(config, option)
        if isinstance(value, dict):
            update[option] = {relation(name): other for name, other in value.items()}
    return config.model_copy(update=update)


def _one(name: str, n: int) -> Cells:
    """One text in all rows."""
    return Cells(np.array([name], dtype=object), np.zeros(n, dtype=np.int64))


def _used(cells: Cells) -> Texts:
    return cells.texts[np.unique(cells.codes[cells.codes >= 0])]


def _side_by_side(first: Cells, second: Cells) -> Cells:
    """The rows of one and then those of the other."""
    behind = np.where(second.codes >= 0, second.codes + len(first.texts), -1)
    return Cells(np.concatenate([first.texts, second.texts]), np.concatenate([first.codes, behind]))
