"""What the tests of detach, bake and save share: all models in small worlds, an enhancer that is trained already."""

from __future__ import annotations

import contextlib
import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.enhancers.conformance.world import World
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.registry import register
from burnish.enhancers.zoo import OUTSIDE, list_backbones

#: RecBole's models that learn no embeddings at all.
WITHOUT_TABLES = {
    *("Pop", "Random", "ItemKNN", "AsymKNN", "EASE", "SLIMElastic", "ADMMSLIM", "NCEPLRec"),
    *("XGBoost", "LightGBM"),
}
LEARNING = sorted(
    name for name, kind in list_backbones().items() if name not in WITHOUT_TABLES and kind not in OUTSIDE
)
#: LR's tables have one column: biases, which no enhancer refines.
REFINABLE = [name for name in LEARNING if name != "LR"]


@register
class Rows(Enhancer[EnhancerConfig]):
    """Scales every row of a table by a number of its own user or item; has one such number a user and an item."""

    name = "rows"

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.of_user = nn.Parameter(torch.zeros(anatomy.n_users))
        self.of_item = nn.Parameter(torch.zeros(anatomy.n_items))

    def refines(self, table: Any) -> bool:
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        own = self.of_user if table.side == "user" else self.of_item
        return rows * (1 + own[ids]).unsqueeze(-1)

    def row_tensors(self) -> dict[str, Any]:
        return {"of_user": "user", "of_item": "item"}


@register
class Undeclared(Rows):
    """The same, but it does not say that its tensors have a row for each id."""

    name = "undeclared"

    def row_tensors(self) -> dict[str, Any]:
        return {}


@torch.no_grad()
def as_if_trained(model: Any) -> None:
    """Move every parameter of the enhancers, so that no refinement is the identity."""
    generator = torch.Generator().manual_seed(7)
    for parameter in model.enhancers.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def first_test_batch(world: World) -> Any:
    """The first batch of the test loader; get it once, since some loaders draw negatives anew."""
    first = next(iter(world.test))
    return (first[0] if isinstance(first, tuple | list) else first).to("cpu")


@torch.no_grad()
def scores(model: Any, batch: Any) -> list[Tensor]:
    """What `full_sort_predict` and `predict` give, each where the model has it, with equal random streams."""
    model.eval()
    found = []
    for way in ("full_sort_predict", "predict"):
        torch.manual_seed(0)  # KGIN and MCCLK drop edges when they predict, too
        np.random.seed(0)
        random.seed(0)
        asked = copy.copy(batch)
        if way == "predict" and "item_id" not in asked:
            asked.update(type(asked)({"item_id": torch.arange(1, len(asked) + 1)}))
        # RecBole's ways to say that a model does not score so.
        with contextlib.suppress(NotImplementedError, AssertionError):
            found.append(getattr(model, way)(asked).flatten().clone())
    assert found
    return found


def assert_scores_equal(one: list[Tensor], other: list[Tensor], **tolerance: float) -> None:
    """Bit for bit, or within `rtol` and `atol` where given."""
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, **(tolerance or {"rtol": 0.0, "atol": 0.0}), equal_nan=True)


def differ(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether any score is another one."""
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def folder_for(factory: Any) -> Path:
    """A folder for one module's worlds; the data are written into it once."""
    return factory.mktemp("worlds")
