"""How many users and items there are, and what their columns are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from .table import Side

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset


@dataclass(frozen=True)
class Numbers:
    """How many ids there are, padding included, and what their columns are called.

    entities: of a knowledge graph, whose first ones are the items; None for other models.
    sequential: whether the model reads item sequences.
    """

    users: int
    items: int
    entities: int | None
    user_field: str
    item_field: str
    sequential: bool

    def of(self, side: Side) -> int:
        """Number of ids of a side."""
        return self.users if side == "user" else self.items


def numbers_of(model: nn.Module, config: Config, dataset: Dataset) -> Numbers:
    """Read the numbers from the training split, and those of entities from a knowledge-aware model."""
    user_field, item_field = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    entities = getattr(model, "n_entities", None)
    return Numbers(
        users=int(dataset.num(user_field)),
        items=int(dataset.num(item_field)),
        entities=int(entities) if entities else None,
        user_field=user_field,
        item_field=item_field,
        sequential=getattr(model, "ITEM_SEQ", None) is not None,
    )


def fields_of_ffm(model: nn.Module) -> dict[str, int]:
    """FFM's grouping of features into fields, which number its copies of the table: by feature name."""
    numbered: dict[str, int] = model.feature2id  # type: ignore[assignment]
    grouped: dict[int, int] = model.feature2field  # type: ignore[assignment]
    return {name: grouped[number] for name, number in numbered.items() if number in grouped}
