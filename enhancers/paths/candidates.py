"""The meta-paths that a graph has: typed walks from users to items that lead somewhere."""

from __future__ import annotations

from burnish.checks import whole_number
from burnish.errors import ConfigurationError, DataError

from .graph import ITEM, RATED, USER, Graph, Step
from .metapaths import MetaPath

#: No more meta-paths than these are tried.
MOST_CANDIDATES = 2000


def candidates(graph: Graph, longest: int = 3, most: int = MOST_CANDIDATES) -> list[MetaPath]:
    """All meta-paths from users to items of a graph, shorter ones first.  Ours.

    Left out are those that tell nothing new:

    - the interaction alone, which leads to known items only;
    - steps without edges, and two steps that no node joins;
    - a step and straight back, where that leads to the same node only, such as from a film to its title, which no other
      film has, and back, or from a year to its films, which have no other year, and back;
    - a step with the same edges as another one between the same types, such as `<-producer_of-` beside
      `-produced_by->`, or the other direction of a friendship that is mutual: the first one stands for both.

    Parameters
    ----------
    graph
        With users and items.
    longest
        How many steps they have at most.
    most
        How many there may be.

    Returns
    -------
    list of MetaPath
        May be empty.

    Raises
    ------
    DataError
        For a graph without users or items.
    ConfigurationError
        For more of them than `most`; says how many there are of each length.
    """
    whole_number("longest", longest)
    whole_number("most", most)
    for kind in (USER, ITEM):
        if graph.counts.get(kind, 0) < 2:
            raise DataError(f"the graph has no nodes of type {kind!r}, between which meta-paths would go")
    follows = _follows(graph)
    ways = _ways(graph, follows, longest)
    firsts = [step for step in follows if graph.ends(step)[0] == USER]
    numbers = [sum(ways[length][step] for step in firsts) for length in range(1, longest + 1)]
    if sum(numbers) > most:
        told = ", ".join(f"{n:,} of {length}" for length, n in enumerate(numbers, start=1) if n)
        raise ConfigurationError(
            f"longest = {longest}: the graph has {sum(numbers):,} meta-paths of up to so many steps ({told}), and no "
            f"more than {most:,} are tried; give a smaller one, or leave relations out of the graph"
        )
    found: list[tuple[Step, ...]] = []

    def go(steps: tuple[Step, ...], length: int) -> None:
        if len(steps) == length:
            found.append(steps)
            return
        for step in follows[steps[-1]] if steps else firsts:
            if ways[length - len(steps)][step]:
                go((*steps, step), length)

    for length in range(1, longest + 1):
        go((), length)
    return [MetaPath.of(graph, steps) for steps in found if steps != (Step(RATED),)]


def _follows(graph: Graph) -> dict[Step, list[Step]]:
    """What may come after each step; of steps with the same edges the first only."""
    alike = _alike(graph)
    own = [step for step, first in alike.items() if step == first]
    follows: dict[Step, list[Step]] = {step: [] for step in own}
    for step in own:
        arrived = graph.adjacency(step.back()).degrees()
        for after in own:
            if graph.ends(after)[0] != graph.ends(step)[1]:
                continue
            leave = graph.adjacency(after).degrees()[arrived > 0]
            returns = after == alike[step.back()] and bool((leave <= 1).all())
            if bool((leave > 0).any()) and not returns:
                follows[step].append(after)
    return follows


def _alike(graph: Graph) -> dict[Step, Step]:
    """For each step with edges the first one with the same edges; the interactions before all others."""
    names = [one.name for one in graph.relations if len(one)]
    steps = [
        Step(name, inverse)
        for name in sorted(names, key=lambda one: one != RATED)
        for inverse in (False, True)
    ]
    firsts: dict[Step, Step] = {}
    for step in steps:
        ends, view = graph.ends(step), graph.adjacency(step)
        firsts[step] = step
        for other in [one for one, first in firsts.items() if one == first and graph.ends(one) == ends]:
            theirs = graph.adjacency(other)
            if view.starts.equal(theirs.starts) and view.neighbours.equal(theirs.neighbours):
                firsts[step] = other
                break
    return firsts


def _ways(graph: Graph, follows: dict[Step, list[Step]], longest: int) -> list[dict[Step, int]]:
    """By length, how many walks of so many steps begin with each step and end at items."""
    ways = [dict.fromkeys(follows, 0), {step: int(graph.ends(step)[1] == ITEM) for step in follows}]
    for _ in range(longest - 1):
        ways.append({step: sum(ways[-1][after] for after in follows[step]) for step in follows})
    return ways
