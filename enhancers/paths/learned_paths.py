"""A path model as options describe it, and how it learns: what `paths` and the backbone of walks share."""

from __future__ import annotations

import torch
from torch import Tensor

from .graph import Graph
from .metapaths import MetaPath, parse_all
from .mining import mine
from .options import WalkConfig
from .path_model import PathModel


def metapaths_of(config: WalkConfig, graph: Graph, seed: int) -> list[MetaPath]:
    """The meta-paths that options give, or those that are found in the graph."""
    if config.metapaths is not None:
        return parse_all(config.metapaths, graph, "metapath")
    return [one.metapath for one in mine(graph, longest=config.longest, keep=config.keep, seed=seed)]


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


def cross_entropy(
    model: PathModel, users: Tensor, known: Tensor, hide: float, generator: torch.Generator
) -> Tensor:
    """Mean of -log of the model's probabilities over the items that it is asked for: `[b]`.

    Where a share is hidden it is asked for these, from the others, among all but the others; else for all, as in the
    paper.  A user of whom it is asked for none has 0.

    known: bool `[b, n_items]`, what users `[b]` interacted with.
    """
    asked, hidden = known, None
    if hide:
        drawn = torch.rand(known.shape, generator=generator, device=known.device)
        asked = hidden = known & (drawn < hide)
    probabilities = model(users, hidden)
    tiny = torch.finfo(probabilities.dtype).tiny
    if hidden is not None:
        probabilities = probabilities.masked_fill(known & ~hidden, 0.0)
        probabilities = probabilities / probabilities.sum(1, keepdim=True).clamp_min(tiny)
    logs = torch.where(asked, probabilities.clamp_min(tiny).log(), torch.zeros_like(probabilities))
    return -logs.sum(1) / asked.sum(1).clamp_min(1)
