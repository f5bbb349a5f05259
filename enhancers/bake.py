"""`bake`: what enhancers have learned, written into the tables of a plain RecBole model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.errors import UnsupportedError

from .detach import detach, host_of
from .enhancer import Enhancer
from .host import Host
from .kept_embeddings import kept
from .saving.plain_checkpoint import write_plain_checkpoint
from .tables import refined_parameters

if TYPE_CHECKING:
    from recbole.config import Config


def bake(
    model: nn.Module,
    path: str | Path | None = None,
    *,
    config: Config | None = None,
    progress: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A plain RecBole model, independent of `model`, whose tables hold the refined rows.

    Its class is the backbone's own and nothing of burnish is in it.  Scores are those of the enhanced model: the
    same numbers wherever the backbone reads a table whole; where it looks up rows, a network that refines them
    may round differently in the last bits (relative difference about 1e-6 in float32).

    Parameters
    ----------
    model
        An enhanced model.  It stays as it is.
    path
        Also write a RecBole checkpoint, which RecBole reads without burnish (`load_data_and_model`).
    config
        RecBole's configuration for that checkpoint; by default the one that the model was made with.
    progress
        `epoch`, `cur_step` and `best_valid_score` for the checkpoint, as training left them; what is missing is as
        before training.

    Returns
    -------
    torch.nn.Module
        The plain model.

    Raises
    ------
    ConfigurationError
        For a model without enhancers, and a path that cannot be written.
    UnsupportedError
        For an enhancer whose effect no plain table can hold, with the option to change.
    UnknownNameError
        For other progress.

    Examples
    --------
    >>> result = burnish.run("BPR", "ml-100k", enhancers="rvrec")  # doctest: +SKIP
    >>> plain = burnish.bake(result.model, "plain.pth")  # doctest: +SKIP
    """
    host = host_of(model, "bake")
    _check(host)
    baked = detach(_write_refined(_independent_copy(model, host)))
    # As valid as they are in the enhanced model.  RecBole saves them, and KGAT cannot make them anew from a
    # checkpoint, which lacks the attention of its graph.
    for name, value in kept(model).items():
        setattr(baked, name, value.detach().clone())
    if path is not None:
        write_plain_checkpoint(baked, path, config or host.backbone_config, progress or {})
    return baked


def why_not_bakeable(enhancer: Enhancer[Any], backbone: str) -> str | None:
    """The reason for which an attached enhancer cannot be baked, with its cure; None where it can."""
    if enhancer.propagates:
        return (
            f"enhancer {enhancer.name!r} weighs the edges of the graph along which embeddings travel, and a plain "
            f"{backbone} builds its graph without weights; train without propagation weights"
        )
    if enhancer.bakeable and not enhancer.refines_output():
        return None
    if getattr(enhancer.config, "score", "mean") == "w2" and not enhancer.refines_output():
        return (
            f"enhancer {enhancer.name!r} ranks by -W2^2, a product of vectors of more columns than the tables of a "
            f"plain {backbone} have; train it with score: mean"
        )
    cure = "; train it with site: table" if getattr(enhancer.config, "site", None) == "output" else ""
    options = enhancer.extra_repr()
    named = f"enhancer {enhancer.name!r}{f' ({options})' if options else ''}"
    return f"{named} changes more than embedding tables, which is all that a plain {backbone} can hold{cure}"


def _check(host: Host) -> None:
    host.places.check()
    for enhancer in host.enhancers():
        reason = why_not_bakeable(enhancer, host.anatomy.backbone)
        if reason is not None:
            raise UnsupportedError(f"bake: {reason}")


def _independent_copy(model: nn.Module, host: Host) -> Any:
    """A deep copy, but for the configuration and the data set, which no model changes.

    Some models (MKR) keep tensors of the last batch with their graph, which cannot be copied: they are cut off it.
    """
    from recbole.data.dataset import Dataset

    memo: dict[int, Any] = {id(host.backbone_config): host.backbone_config}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Dataset):
                memo[id(value)] = value
        for tensor in _tensors_in(list(vars(module).values())):
            if not tensor.is_leaf:
                memo[id(tensor)] = tensor.detach().clone()
    return copy.deepcopy(model, memo)


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors_in(inner)


@torch.no_grad()
def _write_refined(model: nn.Module) -> nn.Module:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    # All are read before the first is written: an enhancer may look at more than the table that it refines.
    refined = [(owner, name, getattr(owner, name).clone()) for owner, name in refined_parameters(model)]
    for owner, name, values in refined:
        stored = owner._parameters[name]
        assert stored is not None
        stored.copy_(values)
    for module, mode in modes:
        module.training = mode
    return model
