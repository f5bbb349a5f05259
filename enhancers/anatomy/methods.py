"""Methods that single backbones need when their tables are refined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from burnish.enhancers.tables import refined_parameters


def methods_of(base: type) -> dict[str, Callable[..., Any]]:
    """What an enhanced class of `base` overrides beyond what all enhanced classes do: by name."""
    return {"update_prior": _update_prior(base)} if hasattr(base, "update_prior") else {}


def _update_prior(base: Any) -> Callable[[nn.Module], None]:
    """RecVAE's prior compares with the encoder of the last epoch: as it was read, refined, not as it is stored.

    RecBole copies the encoder's state dict, which holds the stored tables.
    """

    def update_prior(self: Any) -> None:
        base.update_prior(self)
        places = {id(module): name for name, module in self.encoder.named_modules()}
        with torch.no_grad():
            for owner, parameter in refined_parameters(self.encoder):
                old = self.prior.encoder_old.get_submodule(places[id(owner)])
                old._parameters[parameter].copy_(getattr(owner, parameter))

    return update_prior
