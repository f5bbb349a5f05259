"""Paths of one shape that lead through the same entity, as one reason: "you rated A and B, both by P"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from .best_paths import PathInstance, PathSearch, Siblings, UserPaths
from .graph import ITEM, USER
from .metapaths import MetaPath
from .names import entity_name, says_nothing

#: Items that are tried beside the first where it is told who else interacted with both.
TRIED = 3
#: Least people who interacted with both.
LEAST_IN_COMMON = 2
#: Groups of a meta-path of which the best one is told first.
LOOKED_AHEAD = 3


@dataclass(frozen=True)
class PathGroup:
    """All paths along a meta-path that differ in one node alone.

    Attributes
    ----------
    families
        One; or two, for two items that the user knows, over the same other users.
    free
        The layer at which the paths differ; None for a single path.
    contribution
        Of all of them together.
    """

    families: tuple[Siblings, ...]
    free: int | None
    contribution: float

    @property
    def metapath(self) -> MetaPath:
        """The kind of path that all are."""
        return self.families[0].one.metapath

    @property
    def one(self) -> PathInstance:
        """A path like all of them, but for the nodes in which they differ."""
        return self.families[0].one

    def __len__(self) -> int:
        """How many paths there are."""
        return sum(len(family) for family in self.families)

    def at(self, layer: int) -> list[int]:
        """The different nodes at a layer, the largest contribution first."""
        if layer == self.free:
            return [int(node) for node in self.families[0].nodes]
        return list(dict.fromkeys(family.one.nodes[layer] for family in self.families))

    def paths(self, paths: UserPaths, most: int) -> list[PathInstance]:
        """Those with the largest contributions."""
        if self.free is None:
            return [self.one]
        pairs = [
            (float(value), family.one, int(node))
            for family in self.families
            for node, value in islice(zip(family.nodes, family.contributions, strict=True), most)
        ]
        pairs.sort(key=lambda pair: -pair[0])
        return [paths.through(one, self.free, node) for _, one, node in pairs[:most]]


def free_layer(path: MetaPath) -> int | None:
    """Where paths that are told together differ: the last other users, else the item that the user knows."""
    users = [layer for layer in range(1, len(path)) if path.types[layer] == USER]
    if users:
        return users[-1]
    return 1 if len(path) > 1 and path.types[1] == ITEM else None


def _fixed_layer(path: MetaPath, free: int | None) -> int | None:
    """What another group differs in: the last node that has a name, but for the one that is free."""
    named = [layer for layer in range(1, len(path)) if path.types[layer] != USER and layer != free]
    return named[-1] if named else None


def groups_of(paths: UserPaths, number: int, item: int) -> Iterator[PathGroup]:
    """Of one meta-path, by its number: the groups that its best paths belong to.

    Of the first `LOOKED_AHEAD` the one with the largest contribution comes first; the rest follow as they are found, by
    their best paths.  What leads through an entity whose name says nothing, such as "unknown", is left out.
    """
    found = _found(paths, number, item)
    first = list(islice(found, LOOKED_AHEAD))
    yield from sorted(first, key=lambda group: -group.contribution)
    yield from found


def _found(paths: UserPaths, number: int, item: int) -> Iterator[PathGroup]:
    path = paths.metapaths[number]
    free = free_layer(path)
    fixed = _fixed_layer(path, free)
    search = paths.search(number, item)
    # Two items that others interacted with, too, are told together.
    paired = path.types == (USER, ITEM, USER, ITEM) and path.steps[0] == path.steps[1].back()
    while (one := _telling(paths, search)) is not None:
        group = _whole(paths, one, free)
        if fixed is not None:
            search.block(fixed, one.nodes[fixed])
        yield _paired(paths, group, number, item, search) if paired else group
        if fixed is None:
            return


def _telling(paths: UserPaths, search: PathSearch) -> PathInstance | None:
    """The next path without an entity whose name says nothing."""
    labels = paths.graph.labels
    for one in search:
        silent = [
            (layer, node)
            for layer, (kind, node) in enumerate(zip(one.metapath.types, one.nodes, strict=True))
            if kind not in (USER, ITEM) and kind in labels and says_nothing(entity_name(labels[kind][node]))
        ]
        if not silent:
            return one
        for layer, node in silent:
            search.block(layer, node)
    return None


def _whole(paths: UserPaths, one: PathInstance, free: int | None) -> PathGroup:
    if free is None:
        alone = Siblings(one, 0, np.array([one.user]), np.array([one.contribution]))
        return PathGroup((alone,), None, one.contribution)
    family = paths.siblings(one, free)
    return PathGroup((family,), free, float(family.contributions.sum()))


def _paired(paths: UserPaths, first: PathGroup, number: int, item: int, search: PathSearch) -> PathGroup:
    """With the item beside it that most of the same people interacted with, of a few that count most."""
    others = paths.search(number, item)
    for layer, node in search.blocked:
        others.block(layer, node)
    (mine,) = first.families
    best = first
    for _ in range(TRIED):
        one = next(others, None)
        if one is None:
            break
        others.block(1, one.nodes[1])
        theirs = paths.siblings(one, 2)
        common = np.intersect1d(mine.nodes, theirs.nodes)
        if len(common) < LEAST_IN_COMMON:
            continue
        families = mine.among(common), theirs.among(common)
        contribution = float(sum(family.contributions.sum() for family in families))
        if len(best.families) == 1 or contribution > best.contribution:
            best = PathGroup(families, 2, contribution)
    if len(best.families) == 2:
        search.block(1, best.families[1].one.nodes[1])
    return best
