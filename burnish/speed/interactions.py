"""Rows of an `Interaction`, taken with one tensor of indices where RecBole makes a Python list of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from burnish.compat import after_import

from .switches import replace_method


def install() -> None:
    """Register the change to `recbole.data.interaction`."""
    after_import("recbole.data.interaction", _change)


def _change(module: ModuleType) -> None:
    replace_method("indexing", module.Interaction, "__getitem__", take_rows)


def take_rows(original: Callable[..., Any], self: Any, index: Any) -> Any:
    """The rows at `index`, a one-dimensional array or tensor of integers in range; anything else is RecBole's."""
    import numpy as np
    import torch

    rows = index
    if isinstance(index, np.ndarray) and index.ndim == 1 and index.dtype.kind == "i":
        rows = torch.as_tensor(np.ascontiguousarray(index))
    elif not (isinstance(index, torch.Tensor) and index.dim() == 1):
        return original(self, index)
    columns = self.interaction
    if rows.dtype not in (torch.int64, torch.int32) or rows.numel() == 0 or not columns:
        return original(self, index)
    if int(rows.min()) < 0 or int(rows.max()) >= min(len(column) for column in columns.values()):
        return original(self, index)  # counts from the end, or raises as RecBole does
    columns_of_rows = {
        name: column.index_select(0, rows.to(column.device)) for name, column in columns.items()
    }
    chosen = object.__new__(type(self))
    chosen.interaction = columns_of_rows
    chosen.length = len(rows)
    return chosen
