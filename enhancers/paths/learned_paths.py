"""A path model as options describe it, and how it learns: what `paths` and the backbone of walks share."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.errors import warn

from .graph import USER, Graph
from .metapaths import MetaPath, parse_all
from .mining import mine
from .options import WalkConfig
from .path_model import PathModel


def metapaths_of(config: WalkConfig, graph: Graph, seed: int) -> list[MetaPath]:
    """The meta-paths that options give, or those that are found in the graph."""
    if config.metapaths is not None:
        return parse_all(config.metapaths, graph, "metapath")
    return [one.metapath for one in mine(graph, longest=config.longest, keep=config.keep, seed=seed)]


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


def drawn_hidden(known: Tensor, hide: float, generator: torch.Generator) -> Tensor | None:
    """Which of the known items `[b, n_items]` a step hides; None where it hides nothing."""
    if not hide:
        return None
    return known & (torch.rand(known.shape, generator=generator, device=known.device) < hide)


def cross_entropy(probabilities: Tensor, known: Tensor, hidden: Tensor | None) -> Tensor:
    """Mean of -log of a path model's probabilities over the items that it is asked for: `[b]`.

    Where some are hidden it is asked for these, among all but the others; else for all, as in the paper.  A user of
    whom it is asked for none has 0.

    probabilities: `[b, n_items]`, from walks without the hidden items.  known: bool, what the users interacted with.
    """
    asked, tiny = known, torch.finfo(probabilities.dtype).tiny
    if hidden is not None:
        asked = hidden
        probabilities = probabilities.masked_fill(known & ~hidden, 0.0)
        probabilities = probabilities / probabilities.sum(1, keepdim=True).clamp_min(tiny)
    logs = torch.where(asked, probabilities.clamp_min(tiny).log(), torch.zeros_like(probabilities))
    return -logs.sum(1) / asked.sum(1).clamp_min(1)
