"""Meta-paths: kinds of paths from a user to an item, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from burnish.errors import ConfigurationError, unknown_name

from .graph import ITEM, RATED, USER, Graph, Step

_ARROW = re.compile(r"(?P<along>-(?P<name>\S+)->)|(?P<against><-(?P<back>\S+)-)")
_EXAMPLE = "user -rated-> item -director-> director <-director- item"


@dataclass(frozen=True)
class MetaPath:
    """Types of nodes, and the steps between them: one more type than steps.

    Build with `MetaPath.parse`, or with `MetaPath.of` from steps.
    """

    types: tuple[str, ...]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, graph: Graph, steps: Iterable[Step]) -> MetaPath:
        """From steps that fit together on a graph, wherever they begin and end; `ConfigurationError` for others."""
        steps = tuple(steps)
        if not steps:
            raise ConfigurationError(f"steps = []: give at least one, as in {_EXAMPLE!r}")
        types = [graph.ends(steps[0])[0]]
        for step in steps:
            begin, end = graph.ends(step)
            if begin != types[-1]:
                raise ConfigurationError(
                    f"step {step} begins at {begin!r}, and what is before it ends at {types[-1]!r}"
                )
            types.append(end)
        return cls(tuple(types), steps)

    @classmethod
    def parse(cls, text: str, graph: Graph, origin: str = "meta-path") -> MetaPath:
        """From a line such as `user -rated-> item -director-> director <-director- item`.

        `-name->` follows a relation and `<-name-` goes against it; white space stands between nodes and steps.

        Parameters
        ----------
        text
            From a user to an item.
        graph
            Whose types and relations it names.
        origin
            How messages call it.

        Raises
        ------
        UnknownNameError
            For a type or a relation that the graph does not have, with the nearest one.
        ConfigurationError
            For what is no such line; one that does not go from a user to an item; a step that does not lead from the
            type before it to the type behind it.
        """
        words = text.split()
        here = f"{origin} {text!r}"
        if len(words) < 3 or len(words) % 2 == 0:
            raise ConfigurationError(
                f"{here}: give types of nodes with a step between each two, as in {_EXAMPLE!r}"
            )
        types, steps = words[::2], []
        for kind in types:
            if _ARROW.fullmatch(kind):
                raise ConfigurationError(
                    f"{here}: two steps follow each other at {kind!r}; name the type between them"
                )
            if kind not in graph.counts:
                raise unknown_name(f"{here}: type of node", kind, graph.counts)
        for number, word in enumerate(words[1::2]):
            found = _ARROW.fullmatch(word)
            if found is None:
                name = word.strip("<->") or "name"
                raise ConfigurationError(
                    f"{here}: {word!r} is no step; write -{name}-> along a relation, or <-{name}- against it"
                )
            step = Step(found["name"] or found["back"], inverse=found["along"] is None)
            if step.relation not in {one.name for one in graph.relations}:
                raise unknown_name(f"{here}: relation", step.relation, [one.name for one in graph.relations])
            wanted, ends = (types[number], types[number + 1]), graph.ends(step)
            if ends != wanted:
                turned = f"; the other way it is {step.back()}" if graph.ends(step.back()) == wanted else ""
                raise ConfigurationError(
                    f"{here}: {step} goes from {ends[0]} to {ends[1]}, and stands between {wanted[0]} and "
                    f"{wanted[1]}{turned}"
                )
            steps.append(step)
        if types[0] != USER or types[-1] != ITEM:
            raise ConfigurationError(
                f"{here}: give one that begins with {USER!r} and ends with {ITEM!r}, as {_EXAMPLE!r}"
            )
        return cls(tuple(types), tuple(steps))

    def __str__(self) -> str:
        parts = [self.types[0]]
        for step, kind in zip(self.steps, self.types[1:], strict=True):
            parts += [str(step), kind]
        return " ".join(parts)

    def __len__(self) -> int:
        """How many steps it has."""
        return len(self.steps)

    @property
    def collaborative(self) -> bool:
        """Whether it knows of nothing but who interacted with what: users, items, and the interactions."""
        return all(step.relation == RATED for step in self.steps)


def parse_all(texts: Sequence[str], graph: Graph, origin: str = "meta-path") -> list[MetaPath]:
    """As `MetaPath.parse`, several; `ConfigurationError` for none, or for one that is there twice."""
    found = [MetaPath.parse(text, graph, origin) for text in texts]
    if not found:
        raise ConfigurationError(f"{origin}s = []: give at least one, as {_EXAMPLE!r}")
    for path in found:
        if found.count(path) > 1:
            raise ConfigurationError(f"{origin} {str(path)!r} is there twice; give each once")
    return found
