"""`detach`: take enhancers off a model and leave the backbone as it would be without them, bit for bit."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

from burnish.errors import ConfigurationError, UnsupportedError

from .attach import enhanced_class, is_enhanced, split_enhanced
from .enhancer import Enhancer
from .host import Host
from .kept_embeddings import clear_kept
from .recipe import is_made
from .table_places import TablePlaces
from .tables import plain_class, refined_names, refined_owners, release_owner

ModelT = TypeVar("ModelT", bound=nn.Module)


def host_of(model: nn.Module, verb: str) -> Host:
    """The host of an enhanced model.

    verb: what was asked for, for the message of the `ConfigurationError` that a plain model gets.
    """
    host = model._modules.get("enhancers") if is_enhanced(model) else None
    if not isinstance(host, Host):
        raise ConfigurationError(
            f"{verb}: no enhancer is attached to this {type(model).__name__}; make one with "
            f"`enhance({type(model).__name__!r}, ...)`"
        )
    return host


def detach(model: ModelT, name: str | None = None) -> ModelT:
    """Take every enhancer off a model, in place, and give the model back.

    Afterwards its class is the backbone's own, its parameters are the raw tables as training left them, its
    state dict has the plain keys in the plain order, and nothing of burnish is left in it.  What the enhancers
    had learned is gone: `save_pretrained` keeps it, `bake` writes it into the tables of a copy.
    An optimizer made for the enhanced model still holds the enhancers' parameters: make a new one.

    Parameters
    ----------
    model
        An enhanced model.
    name
        Take off only that enhancer; the others stay as they are, trained or not.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    ConfigurationError
        For a model without enhancers.
    UnknownNameError
        For a name that is not attached.
    UnsupportedError
        For a class that a user derived from an enhanced one, which leaves no plain class to go back to.

    Examples
    --------
    >>> result = burnish.run("BPR", "ml-100k", enhancers="rvrec")  # doctest: +SKIP
    >>> burnish.detach(result.model)  # doctest: +SKIP
    """
    host = host_of(model, "detach")
    enhanced = plain_class(type(model))
    if not is_made(enhanced):
        raise UnsupportedError(
            f"detach: {enhanced.__name__} was derived from an enhanced class, so there is no plain class to go back "
            f"to; derive it from {split_enhanced(enhanced)[0].__name__} and enhance the result"
        )
    if name is not None:
        enhancer = host[name]
        if len(host.enhancers()) > 1:
            _detach_one(model, host, enhancer)
            return model
    host.weigher.drop()
    for owner in refined_owners(model):
        release_owner(owner)
    model.__class__ = split_enhanced(enhanced)[0]
    del model._modules["enhancers"]
    clear_kept(model)
    return model


def _detach_one(model: nn.Module, host: Host, enhancer: Enhancer[Any]) -> None:
    host.drop(enhancer)
    base, recipe = split_enhanced(type(model))
    left = enhanced_class(base, tuple(part for part in recipe if part[0].name != enhancer.name))
    tables = [table for one in host.state.refinements.values() for table, _ in one.spans]
    read = {(id(table.owner), table.parameter) for table in tables}
    for owner in {id(module): module for module in (model, *refined_owners(model))}.values():
        unread = [name for name in refined_names(owner) if (id(owner), name) not in read]
        release_owner(owner, unread, left if owner is model else None)
    host.places = TablePlaces(model, tables)
    clear_kept(model)
