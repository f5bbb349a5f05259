"""Where refined tables were when enhancers were attached, to notice that one was replaced.

New values in a table are fine, and so is a new parameter of the same shape (`load_state_dict(assign=True)`).
A new module in the place of a table's owner is not: it would be read unrefined, without a word.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from burnish.errors import UnsupportedError

from .anatomy.table import Table


class TablePlaces:
    """The place of every refined table in the model.  One check costs a few look-ups a table."""

    def __init__(self, model: nn.Module, tables: Sequence[Table]) -> None:
        self._model = model
        places = {id(module): name for name, module in model.named_modules()}
        self._places: list[tuple[Table, tuple[str, ...], torch.Size]] = []
        for table in tables:
            place = places.get(id(table.owner))
            stored = table.owner._parameters[table.parameter]
            if place is not None and stored is not None:
                self._places.append((table, tuple(place.split(".")) if place else (), stored.shape))

    def check(self) -> None:
        """Raise `UnsupportedError`, naming the table, if one is not what enhancers were attached to."""
        for table, place, shape in self._places:
            module: nn.Module | None = self._model
            for part in place:
                module = module._modules.get(part) if module is not None else None
            if module is not table.owner:
                raise UnsupportedError(
                    f"table {table.name!r}: the module {'.'.join(place)!r} was replaced after enhancers were "
                    f"attached, so the new one is not refined. Give the old one new values instead "
                    f"(`model.{table.name} = torch.nn.Parameter(values)`), or detach, replace it and attach again."
                )
            stored = table.owner._parameters.get(table.parameter)
            if stored is None or stored.shape != shape:
                now = "removed" if stored is None else f"replaced by one of shape {list(stored.shape)}"
                raise UnsupportedError(
                    f"table {table.name!r} of shape {list(shape)} was {now} after enhancers were attached. "
                    f"Use a parameter of the same shape, or detach, replace it and attach again."
                )
