"""KSR multiplies float32 states with relation vectors that its data set delivers in float64."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mend import mend


@mend(
    "ksr-float64",
    library="torch",
    versions="every",
    symptom="KSR fails in its first batch: its relation vectors are float64, everything else float32",
    modules=("recbole.model.sequential_recommender.ksr",),
    applies=lambda: True,
)
def relations_in_the_models_precision(ksr: ModuleType) -> None:
    """Convert the relation vectors, once, to the type of the model's parameters."""
    construct = ksr.KSR.__init__
    if hasattr(construct, "__wrapped__"):
        return

    @functools.wraps(construct)
    def construct_and_convert(self: Any, config: Any, dataset: Any) -> None:
        construct(self, config, dataset)
        self.relation_Matrix = self.relation_Matrix.to(self.item_embedding.weight.dtype)

    ksr.KSR.__init__ = construct_and_convert
