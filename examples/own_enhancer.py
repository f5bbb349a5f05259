"""An enhancer of one's own: a learned gain for every user and item, attached to any backbone with tables.

python examples/own_enhancer.py
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

import burnish
from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.registry import register


class GainConfig(EnhancerConfig):
    """Options; an option that is not listed is an error that names the nearest one."""

    weight: float = Field(default=0.01, ge=0.0, description="how strongly gains are pulled to 1")


@register
class Gain(Enhancer[GainConfig]):
    """Multiplies every embedding by a learned number near 1."""

    name = "gain"
    Config = GainConfig

    def bind(self, anatomy: Anatomy, dataset: Any) -> None:
        self.user_field = anatomy.fields.user
        self.gains = nn.ParameterDict(
            {
                side: nn.Parameter(torch.zeros(n))
                for side, n in (("user", anatomy.n_users), ("item", anatomy.n_items))
            }
        )

    def row_tensors(self) -> dict[str, Side]:
        return {
            "gains.user": "user",
            "gains.item": "item",
        }  # so that saved gains find their users and items again

    def refines(self, table: Table) -> bool:
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        return rows * self.gains[table.side][ids].exp().unsqueeze(1)  # exp(0) = 1: the identity at the start

    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"near_one": self.gains["user"][batch[self.user_field]].square()}  # one number an interaction


if __name__ == "__main__":
    for enhancers in ({}, {"gain": {}}):
        result = burnish.run("BPR", "ml-100k", enhancers=enhancers, config={"epochs": 5}, show_progress=False)
        print(enhancers, {name: round(value, 4) for name, value in result.test_result.items()})
