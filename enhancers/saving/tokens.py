"""User and item tokens in the order of their ids, and how rows move from one order to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

    from burnish.enhancers.anatomy.table import Side

Missing = Literal["error", "keep"]


@dataclass(frozen=True)
class Tokens:
    """The tokens of one data set; place k is internal id k, place 0 is padding."""

    user: tuple[str, ...]
    item: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Tokens:
        """The tokens of a RecBole data set; `ConfigurationError` for anything else."""
        if not hasattr(dataset, "field2id_token"):
            raise ConfigurationError(
                f"dataset={type(dataset).__name__}: give RecBole's data set, for example `train_data._dataset`"
            )
        user, item = (
            tuple(str(token) for token in dataset.field2id_token[field])
            for field in (dataset.uid_field, dataset.iid_field)
        )
        return cls(user, item)

    def side(self, side: Side) -> tuple[str, ...]:
        """The tokens of users or of items."""
        return self.user if side == "user" else self.item


def move_rows(
    saved: Tensor,
    current: Tensor,
    before: tuple[str, ...],
    now: tuple[str, ...],
    *,
    side: Side,
    missing: Missing,
) -> Tensor:
    """Rows of `saved` in the order of the tokens `now`: `[len(now), ...]`.

    saved: `[len(before), ...]`.  current: `[len(now), ...]`, taken where a token was not saved.
    missing: "error" raises `DataError` for such tokens and names the first five, "keep" takes `current`.
    Tokens that were saved and are not in `now` are left out.  Without any common token it is always an error.
    """
    places = {token: place for place, token in enumerate(before) if place}
    rows = [places.get(token, -1) for token in now]
    rows[0] = 0  # padding
    absent = [token for token, place in zip(now, rows, strict=True) if place < 0]
    if len(now) > 1 and len(absent) == len(now) - 1:
        raise DataError(
            f"no {side} of the data set ({_first(absent)}) is among those saved ({_first(list(before[1:]))}): "
            f"it is another data set, or its tokens are written in another way"
        )
    if absent and missing == "error":
        raise DataError(
            f"{len(absent)} of {len(now) - 1} {side}s of the data set have no saved row: {_first(absent)}. "
            f"Load with missing='keep' to let those start untrained."
        )
    index = torch.tensor(rows)
    known = index >= 0
    moved = current.detach().cpu().clone()
    moved[known] = saved[index[known]].to(moved.dtype)
    return moved


def _first(tokens: list[str]) -> str:
    shown = ", ".join(repr(token) for token in tokens[:5])
    return shown + (", …" if len(tokens) > 5 else "")
