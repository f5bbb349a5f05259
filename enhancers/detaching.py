"""`detach`: take enhancers off a model and leave the backbone as it would be without them, bit for bit."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from .attach import is_enhanced, split_enhanced
from .caches import clear_kept
from .errors import ConfigurationError, UnsupportedError
from .host import Host
from .recipe import is_made
from .tables import plain_class, refined_owners, release_owner

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


def detach(model: ModelT) -> ModelT:
    """Take every enhancer off a model, in place, and give the model back.

    Afterwards its class is the backbone's own, its parameters are the raw tables as training left them, its
    state dict has the plain keys in the plain order, and nothing of burnish is left in it.  What the enhancers
    had learned is gone: `save_pretrained` keeps it, `bake` writes it into the tables of a copy.
    An optimizer made for the enhanced model still holds the enhancers' parameters: make a new one.

    Raises `ConfigurationError` for a model without enhancers and `UnsupportedError` for a class that a user
    derived from an enhanced one, since there is no plain class to go back to.
    """
    host = host_of(model, "detach")
    enhanced = plain_class(type(model))
    if not is_made(enhanced):
        raise UnsupportedError(
            f"detach: {enhanced.__name__} was derived from an enhanced class, so there is no plain class to go back "
            f"to; derive it from {split_enhanced(enhanced)[0].__name__} and enhance the result"
        )
    release = getattr(host, "release", None)
    if release is not None:
        release()  # what weights and propagation changed goes back
    for owner in refined_owners(model):
        release_owner(owner)
    model.__class__ = split_enhanced(enhanced)[0]
    del model._modules["enhancers"]
    clear_kept(model)
    return model
