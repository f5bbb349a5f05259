"""Embeddings that RecBole's models keep from their last evaluation: stale once an enhancer comes or goes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

#: Attributes of RecBole's models that hold such embeddings; None makes the model compute them anew.
_KEPT = ("restore_user_e", "restore_item_e", "restore_entity_e", "i_embedding")


def clear_kept(model: nn.Module, *, but: Collection[str] = ()) -> None:
    """Drop propagated embeddings (graph models) and item embeddings (DMF) of the last evaluation.

    but: attributes that stay, such as those that belong to the checkpoint (`model.other_parameter_name`).
    """
    for name in kept(model):
        if name not in but:
            setattr(model, name, None)


def kept(model: nn.Module) -> dict[str, Any]:
    """What a model keeps from its last evaluation, by attribute."""
    return {name: getattr(model, name) for name in _KEPT if getattr(model, name, None) is not None}
