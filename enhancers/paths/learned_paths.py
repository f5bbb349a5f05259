"""A path model as options describe it, and how it learns: what `paths` and the backbone of walks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from burnish.errors import DataError, UnsupportedError, warn

from .graph import ITEM, RATED, USER, Graph, Relation
from .lists import MixedLists, Pairs
from .metapaths import MetaPath, parse_all
from .mining import mine
from .options import WalkConfig
from .path_model import PathModel
from .propagation import picked, summed_at_grad
from .sources import read_graph

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def walked(origin: str, config: WalkConfig, dataset: Dataset, seed: int) -> tuple[Graph, list[MetaPath]]:
    """The graph that is walked on, and the meta-paths that options give, or those that are found in it.

    Meta-paths are found before a control changes the graph, so that it has those of the model that it stands beside.

    Parameters
    ----------
    origin : str
        What messages call the options.
    config : WalkConfig
        Its `control` is obeyed.
    dataset : recbole.data.dataset.Dataset
        Of the training split.
    seed : int
        Of mining, and of the other order of a permuted graph.

    Raises
    ------
    DataError
        Where no meta-path that is looked for finds anything.
    UnsupportedError
        Where `control: collaborative` leaves no meta-path.
    """
    graph = read_graph(dataset, config.graph)
    if config.metapaths is not None:
        found = parse_all(config.metapaths, graph, "metapath")
    else:
        found = [one.metapath for one in mine(graph, longest=config.longest, keep=config.keep, seed=seed)]
        if not found:
            raise DataError(
                f"{origin}: of the graph's meta-paths of up to longest = {config.longest} steps none finds any of the "
                f"interactions that `burnish paths mine` hides; give metapaths, a larger longest, or a graph with more"
            )
    if config.control == "collaborative":
        found = [path for path in found if path.collaborative]
        if not found:
            raise UnsupportedError(
                f"{origin}: control = 'collaborative' leaves no meta-path; give one of interactions, such as "
                f"'user -{RATED}-> item <-{RATED}- user -{RATED}-> item'"
            )
    if config.control == "permuted":
        graph = permuted(graph, seed)
    return graph, found


def permuted(graph: Graph, seed: int) -> Graph:
    """The graph with its users and its items in another order, but for who interacted with what.

    So every relation keeps its degrees, and none knows anything of whom or what it is about any more.
    """
    generator = torch.Generator().manual_seed(seed)
    places = {}
    for kind in (ITEM, USER):
        if kind in graph.counts:  # 0 is padding
            order = torch.randperm(graph.counts[kind] - 1, generator=generator) + 1
            places[kind] = torch.cat([torch.zeros(1, dtype=torch.long), order])
    relations = [
        one
        if one.name == RATED
        else Relation.of(
            one.name,
            one.source,
            one.target,
            *(
                places[kind][ids] if kind in places else ids
                for kind, ids in ((one.source, one.sources), (one.target, one.targets))
            ),
        )
        for one in graph.relations
    ]
    return Graph(graph.counts, relations, graph.labels, graph.notes)


def warn_of_returns(origin: str, config: WalkConfig, metapaths: list[MetaPath]) -> None:
    """A `UserWarning` where walks come home and go on by the very items that a step hides from them.

    origin: what messages call the options.
    """
    home = next((path for path in metapaths if USER in path.types[1:-1]), None)
    if config.returns and config.hide and home is not None:
        warn(
            f"{origin}: returns = true gives away what hide = {config.hide:g} hides: a walk along {home} that comes "
            f"home to its user goes on by the hidden items, too, and the model learns to find these that way; leave "
            f"returns out, or say hide: 0, as in the paper"
        )


def path_model(
    config: WalkConfig, graph: Graph, metapaths: list[MetaPath], *, rate: float = 1.0
) -> PathModel:
    """The model on the graph's device."""
    return PathModel(
        graph,
        metapaths,
        normalise=config.normalise,
        tied=config.tied,
        mixture=config.mixture,
        most=config.most,
        returns=config.returns,
        rate=rate,
    )


def drawn_hidden(known: Pairs, hide: float, generator: torch.Generator) -> Tensor | None:
    """Which of the known pairs a step hides, bool `[m]`; None where it hides nothing."""
    if not hide:
        return None
    return torch.rand(len(known.rows), generator=generator, device=known.rows.device) < hide


def cross_entropy(walked: Tensor | MixedLists, known: Pairs, hidden: Tensor | None, b: int) -> Tensor:
    """Mean of -log of a path model's probabilities over the items that it is asked for: `[b]`.

    Where some are hidden it is asked for these, among all but the others; else for all, as in the paper.  A user of
    whom it is asked for none has 0.

    walked: `[n_items, b]`, or lists, from walks without the hidden items.  known: what the users interacted with.
    hidden: which of it is hidden, bool `[m]`.
    """
    asked, shown = (known, None) if hidden is None else (known.where(hidden), known.where(~hidden))
    rest = None
    if isinstance(walked, MixedLists):
        chances = walked.at(asked.rows, asked.items)
        if shown is not None:
            rest = walked.rest(shown)
    else:
        chances = walked[asked.items, asked.rows]
        if shown is not None:
            # Summed without the others: 1 less these would be nothing but rounding, where a walk leads nowhere else.
            rest = walked.index_put((shown.items, shown.rows), walked.new_zeros(())).sum(0)
    return mean_loss(chances, rest, asked, b)


def mean_loss(chances: Tensor, rest: Tensor | None, asked: Pairs, b: int) -> Tensor:
    """Mean over each row's asked pairs of -log of their chances `[m]`, among all that is left, `rest` `[b]`: `[b]`."""
    tiny = torch.finfo(chances.dtype).tiny
    if rest is not None:
        chances = chances / picked(rest.clamp_min(tiny), asked.rows)
    sums = summed_at_grad(asked.rows, -chances.clamp_min(tiny).log(), b)
    return sums / torch.bincount(asked.rows, minlength=b).clamp_min(1)
