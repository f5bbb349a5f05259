"""Edges by texts become relations between typed nodes.

Everything is computed by arrays, without a loop over edges.  Nodes are numbered by their texts in order, so that the
graph is the same on every machine and whatever the order of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from burnish.checks import short
from burnish.errors import ConfigurationError, unknown_name

from .graph import ITEM, RATED, USER, Graph, Relation, merged
from .graph_files import Cells, Numbers, Texts
from .graph_options import ENTITY, GraphConfig
from .triples import (
    ENTITY_TYPE,
    ITEM_TYPE,
    Edges,
    Ends,
    Links,
    Told,
    Triples,
    digest_of,
    distinct,
    joined,
    numbers_of,
    rows_by,
    sorted_texts,
    written_name,
)


class GraphMaker:
    """Makes a graph of triples.

    ids: of users and of items, their texts by internal id, with padding at 0.
    """

    def __init__(self, ids: Mapping[str, Texts], config: GraphConfig, told: Told) -> None:
        self.ids, self.config, self.told = ids, config, told
        self.types: list[str] = [USER, ITEM, ENTITY]
        self.relations: list[str] = []
        self.texts: pd.Index[str] = pd.Index([], dtype=object)

    def make(
        self,
        rated: Relation,
        triples: Sequence[Triples],
        links: Links,
    ) -> tuple[Graph, dict[str, Texts], set[str]]:
        """The graph without labels, the texts of its nodes by type, and the types that entities are of."""
        triples = [self._wanted(one) if one.knowledge else one for one in triples]
        self.texts = sorted_texts(triples)
        edges = joined([self._numbered(one) for one in triples])
        edges = self._linked(edges, links)
        edges = self._without_loops(edges)
        given = self._types_by_relation(edges)
        edges = self._without_twins(edges)
        edges, entity_types = self._typed(edges, given)
        relations, counts, texts = self._relations(rated, edges)
        return Graph(counts, relations), texts, entity_types

    # ------------------------------------------------------------------ texts to numbers

    def _wanted(self, triples: Triples) -> Triples:
        """The triples of the relations that the options ask for."""
        wanted = self.config.relations
        names = triples.relations.texts
        for name in wanted or ():
            if name not in set(names):
                raise unknown_name(f"relations: relation of {triples.origin}", name, map(str, names))
        if wanted is None:
            return triples
        kept = np.flatnonzero(
            np.isin(triples.relations.codes, np.flatnonzero(pd.Index(names).isin(list(wanted))))
        )
        left_out = len(names) - len(set(wanted))
        if left_out:
            self.told.note(
                f"{triples.origin}: {left_out:,} relations are not among `relations` and were left out"
            )
        return Triples(
            triples.origin,
            triples.relations.of_rows(kept),
            triples.source,
            triples.sources.of_rows(kept),
            triples.target,
            triples.targets.of_rows(kept),
            True,
        )

    def _type(self, name: str) -> int:
        if name not in self.types:
            self.types.append(name)
        return self.types.index(name)

    def _numbered(self, triples: Triples) -> Edges:
        """Its whole edges with known ends; those that are not are counted and told."""
        names = [written_name(str(name)) for name in triples.relations.texts]
        for name in sorted(names):
            if name and name not in self.relations:
                self.relations.append(name)
        place = {name: number for number, name in enumerate(self.relations)}
        renumbered = np.array([place.get(name, -1) for name in names], dtype=np.int32)
        # A name of nothing but white space is none.
        named = np.append(np.array([bool(name) for name in names], dtype=bool), False)[
            triples.relations.codes
        ]
        whole = named & (triples.sources.codes >= 0) & (triples.targets.codes >= 0)
        if not whole.all():
            self.told.warn(f"{triples.origin}: {(~whole).sum():,} rows with an empty cell were left out")
        sources = self._end(triples.source, triples.sources)
        targets = self._end(triples.target, triples.targets)
        sides = (
            (triples.source, triples.sources, sources),
            (triples.target, triples.targets, targets),
        )
        for kind in dict.fromkeys((triples.source, triples.target)):
            unknown, example = np.zeros(len(whole), dtype=bool), ""
            for at, cells, ends in sides:
                here = whole & (ends.codes < 0)
                if at == kind and here.any():
                    unknown |= here
                    example = example or short(str(cells.texts[cells.codes[here.argmax()]]))
            if unknown.any():
                self.told.warn(
                    f"{triples.origin}: {unknown.sum():,} of {len(whole):,} edges are of {kind}s that the data do not "
                    f"have, such as {example}, and were left out"
                )
        rows = np.flatnonzero(whole & (sources.codes >= 0) & (targets.codes >= 0))
        if not len(rows):
            self.told.warn(f"{triples.origin} gives no edge")
        knowledge = np.full(len(rows), triples.knowledge)
        relations = renumbered[triples.relations.codes[rows]] if len(rows) else np.empty(0, dtype=np.int32)
        return Edges(relations, sources.at(rows), targets.at(rows), knowledge)

    def _end(self, kind: str, cells: Cells) -> Ends:
        """Numbers of nodes; -1 for users and items that the data do not have."""
        if kind in self.ids:
            known = numbers_of(self.ids[kind], cells.texts)
        else:
            known = self.texts.get_indexer(pd.Index(cells.texts, dtype=object)).astype(np.int64)
        codes = np.append(known, -1)[cells.codes]
        return Ends(np.full(len(codes), self._type(kind), dtype=np.int16), codes)

    # ------------------------------------------------------------------ entities

    def _linked(self, edges: Edges, links: Links) -> Edges:
        """Edges in which entities that are items are these items; an entity that is several has the edges of each."""
        if not len(self.texts):
            return edges
        entities = self.texts.get_indexer(pd.Index(links.entities, dtype=object))
        items = links.items[entities >= 0]
        entities = entities[entities >= 0]
        order = np.lexsort((items, entities))
        entities, items = entities[order], items[order]
        counts = np.bincount(entities, minlength=len(self.texts))
        starts = counts.cumsum() - counts
        for side in ("sources", "targets"):
            ends: Ends = getattr(edges, side)
            n_items = np.where(ends.types == ENTITY_TYPE, counts[ends.texts()], 0)
            repeats = np.maximum(n_items, 1)
            rows = np.repeat(np.arange(len(edges)), repeats)
            within = np.arange(len(rows)) - (repeats.cumsum() - repeats)[rows]
            is_item = n_items[rows] > 0
            ends = ends.at(rows)
            codes, types = ends.codes.copy(), ends.types.copy()
            codes[is_item] = items[starts[ends.codes[is_item]] + within[is_item]]
            types[is_item] = ITEM_TYPE
            edges = edges.at(rows).having(side, Ends(types, codes))
        return edges

    def _without_loops(self, edges: Edges) -> Edges:
        loops = (edges.sources.types == edges.targets.types) & (edges.sources.codes == edges.targets.codes)
        if loops.any():
            self.told.note(f"{loops.sum():,} edges from a node to itself were left out")
        return edges.at(np.flatnonzero(~loops))

    def _types_by_relation(self, edges: Edges) -> Numbers | None:
        """For each text the type that `entity_types` gives to its entity, else `entity`; None without such types."""
        asked = self.config.entity_types
        if not isinstance(asked, dict):
            return None
        known = [self.relations[number] for number in np.unique(edges.relations[edges.knowledge])]
        types = np.full(len(self.texts), ENTITY_TYPE)
        for name, kind in reversed(asked.items()):
            if written_name(name) not in known:
                raise unknown_name("entity_types: relation", name, known)
            here = edges.knowledge & (edges.relations == self.relations.index(written_name(name)))
            side = edges.targets if (edges.targets.types[here] == ENTITY_TYPE).any() else edges.sources
            types[side.codes[here & (side.types == ENTITY_TYPE)]] = self._type(kind)
        return types

    def _without_twins(self, edges: Edges) -> Edges:
        """Less relations of the `.kg` that another one holds already, along or against it."""
        if self.config.twins == "keep" or not edges.knowledge.any():
            return edges
        width = max(len(self.texts), *(len(one) for one in self.ids.values())) + 1
        begin, end = (
            ends.types.astype(np.int64) * width + ends.codes for ends in (edges.sources, edges.targets)
        )
        of_relation = rows_by(np.where(edges.knowledge, edges.relations, -1))
        groups: dict[bytes, list[tuple[int, str]]] = {}
        for number, rows in of_relation.items():
            if number >= 0:
                along, against = (digest_of(begin[rows], end[rows]), digest_of(end[rows], begin[rows]))
                from_items = int((edges.sources.types[rows] == ITEM_TYPE).sum())
                groups.setdefault(min(along, against), []).append((-from_items, self.relations[number]))
        dropped: dict[str, str] = {}
        for group in groups.values():
            first, *others = sorted(group)
            dropped |= {name: first[1] for _, name in others}
        if dropped:
            shown = ", ".join(f"{name} ({kept})" for name, kept in sorted(dropped.items()))
            self.told.note(
                f"relations that hold the edges of another one, or the same the other way round, were left out: "
                f"{shown}; twins: keep takes all"
            )
        gone = [self.relations.index(name) for name in dropped]
        return edges.at(np.flatnonzero(~(edges.knowledge & np.isin(edges.relations, gone))))

    def _typed(self, edges: Edges, given: Numbers | None) -> tuple[Edges, set[str]]:
        """Edges with the entities' types, and these types."""
        if given is None and self.config.entity_types == "inferred":
            given = self._inferred(edges)
        if given is not None and len(given):
            for side in ("sources", "targets"):
                ends: Ends = getattr(edges, side)
                types = np.where(ends.types == ENTITY_TYPE, given[ends.texts()], ends.types).astype(np.int16)
                edges = edges.having(side, Ends(types, ends.codes))
        used = {ENTITY_TYPE} if given is None else {ENTITY_TYPE, *np.unique(given).tolist()}
        return edges, {self.types[number] for number in used}

    def _inferred(self, edges: Edges) -> Numbers:
        """For each text a type of its own where a relation's ends have no other place in the graph, else `entity`."""
        types = np.full(len(self.texts), ENTITY_TYPE)
        slots, codes = [], []
        for side, ends in enumerate((edges.sources, edges.targets)):
            here = ends.types == ENTITY_TYPE
            slots.append(edges.relations[here].astype(np.int64) * 2 + side)
            codes.append(ends.codes[here])
        slot, code = np.concatenate(slots), np.concatenate(codes)
        if not len(slot):
            return types
        pairs = distinct(slot * len(self.texts) + code)
        slot, code = pairs // len(self.texts), pairs % len(self.texts)
        shared = np.bincount(code, minlength=len(self.texts))[code] > 1
        pure = np.setdiff1d(slot, slot[shared])
        mixed = np.unique(edges.relations[edges.targets.types != ENTITY_TYPE])
        alone = [int(one) for one in pure if one % 2 == 1 and one // 2 not in mixed]  # where a relation leads
        named = {one: self._name(self.relations[one // 2]) for one in alone}
        tails = {one: re.split(r"[./#:]", name.rstrip("./#:"))[-1] or name for one, name in named.items()}
        type_of = np.full(2 * len(self.relations), ENTITY_TYPE)
        for one in alone:
            ways = (tails[one], named[one], f"{named[one]}_{ENTITY}")
            first = 0 if list(tails.values()).count(tails[one]) == 1 else 1
            type_of[one] = self._type(next((way for way in ways[first:] if way not in self.types), ways[-1]))
        types[code] = np.where(np.isin(slot, alone), type_of[slot], types[code])
        return types

    def _name(self, relation: str) -> str:
        names = {written_name(old): new for old, new in self.config.names.items()}
        return names.get(relation, relation)

    # ------------------------------------------------------------------ relations

    def _relations(
        self, rated: Relation, edges: Edges
    ) -> tuple[list[Relation], dict[str, int], dict[str, Texts]]:
        """Relations, numbers of nodes by type, and the texts of nodes that are no users and no items."""
        for old in self.config.names:
            if written_name(old) not in self.relations:
                raise unknown_name("names: relation", old, self.relations)
        counts = {kind: len(texts) for kind, texts in self.ids.items()}
        texts: dict[str, Texts] = {}
        ids: dict[int, Numbers] = {}
        for number, kind in enumerate(self.types):
            if kind in self.ids:
                continue
            used = np.zeros(len(self.texts), dtype=bool)
            for ends in (edges.sources, edges.targets):
                used[ends.codes[ends.types == number]] = True
            if used.any():
                ids[number] = used.cumsum() - 1
                texts[kind] = self.texts.to_numpy()[used]
                counts[kind] = int(used.sum())
        n_types = len(self.types)
        kinds = (
            edges.relations.astype(np.int64) * n_types + edges.sources.types
        ) * n_types + edges.targets.types
        parts: list[Relation] = []
        doubled: list[str] = []
        for combined, rows in rows_by(kinds).items():
            relation, source, target = (
                combined // n_types**2,
                combined // n_types % n_types,
                combined % n_types,
            )
            sides = [
                torch.from_numpy(ids[kind][ends.codes[rows]] if kind in ids else ends.codes[rows])
                for kind, ends in ((source, edges.sources), (target, edges.targets))
            ]
            name = self._name(self.relations[relation])
            one = Relation.of(name, self.types[source], self.types[target], *sides)
            if len(one) < len(rows):
                doubled.append(f"{name} ({len(rows) - len(one):,})")
            parts.append(one)
        if doubled:
            self.told.note(f"edges that came more than once are one: {', '.join(doubled)}")
        return self._told_apart(rated, parts, counts), counts, texts

    def _told_apart(
        self, rated: Relation, parts: list[Relation], counts: Mapping[str, int]
    ) -> list[Relation]:
        """Relations of the parts, each with a name that stands between two types only."""
        ends: dict[str, set[tuple[str, str]]] = {}
        for one in parts:
            ends.setdefault(one.name, set()).add((one.source, one.target))
        if RATED in ends:
            raise ConfigurationError(
                f"a relation of the files is called {RATED!r}, as the training interactions are; give it another name "
                f"(names: {{{RATED}: ...}})"
            )
        several = sorted(name for name, kinds in ends.items() if len(kinds) > 1)
        if several:
            self.told.note(
                "relations between several types of nodes are one for each, called name:from:to: "
                + ", ".join(several)
            )
        named = [
            Relation(
                f"{one.name}:{one.source}:{one.target}", one.source, one.target, one.sources, one.targets
            )
            if one.name in several
            else one
            for one in parts
        ]
        together = merged(counts, named)
        without = set(self.config.without)
        known = {*(one.name for one in together), *several}
        for name in self.config.without:
            if name not in known:
                raise unknown_name("without: relation", name, known)
        without |= {
            f"{name}:{begin}:{end}" for name in without.intersection(several) for begin, end in ends[name]
        }
        return [rated, *(one for one in together if one.name not in without)]
