"""What checkpoints of knowledge-aware models lack, and what such models keep when other weights are loaded."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mend import mend


@mend(
    "kgat-attention",
    library="recbole",
    versions="1.2.1",
    symptom="silent: KGAT's attention (A_in) is in no checkpoint, so that a loaded KGAT propagates along the untrained "
    "graph wherever it does not score by what its last evaluation kept",
    modules=("recbole.model.knowledge_aware_recommender.kgat",),
    applies=lambda: True,
)
def keep_attention(module: ModuleType) -> None:
    """Let `A_in` be among KGAT's other parameters; from an older checkpoint it is computed, as after an epoch."""
    kgat = module.KGAT
    if hasattr(kgat.other_parameter, "__wrapped__"):
        return
    give, take = kgat.other_parameter, kgat.load_other_parameter

    @functools.wraps(give)
    def other_parameter(self: Any) -> dict[str, Any]:
        return {**give(self), "A_in": self.A_in}

    @functools.wraps(take)
    def load_other_parameter(self: Any, para: dict[str, Any] | None) -> None:
        import torch

        take(self, para)
        if para and "A_in" not in para and para.get("restore_entity_e") is not None:
            with torch.no_grad():
                self.update_attentive_A()

    kgat.other_parameter, kgat.load_other_parameter = other_parameter, load_other_parameter


@mend(
    "knowledge-kept-embeddings",
    library="recbole",
    versions="1.2.1",
    symptom="silent: KGIN and MCCLK score by what they propagated for their last evaluation, also after other weights "
    "are loaded: the test after training is of the last epoch that was evaluated, and not of the best",
    modules=(
        "recbole.model.knowledge_aware_recommender.kgin",
        "recbole.model.knowledge_aware_recommender.mcclk",
    ),
    applies=lambda: True,
)
def drop_kept(module: ModuleType) -> None:
    """Let `load_state_dict` drop what was propagated by other weights."""
    for name in ("KGIN", "MCCLK"):
        model = vars(module).get(name)
        if model is None or hasattr(model.load_state_dict, "__wrapped__"):
            continue
        _drop_on_load(model)


def _drop_on_load(model: Any) -> None:
    load = model.load_state_dict

    @functools.wraps(load)
    def load_state_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = load(self, *args, **kwargs)
        self.restore_user_e = self.restore_entity_e = None
        return result

    model.load_state_dict = load_state_dict
