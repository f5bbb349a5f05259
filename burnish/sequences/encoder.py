"""One pass over a window in place of one over each of its prefixes, behind the model's own `forward`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .layout import PLACE_FIELD, WINDOW_FIELD


@dataclass(frozen=True)
class Windows:
    """The windows of one batch of N rows.

    last: `[W]`, of each window the row that is the latest in the batch, whose list holds all others'.
    window: `[N]`, which of the W windows a row is in.  position: `[N]`, where a row's own list ends in that list.
    """

    last: Tensor
    window: Tensor
    position: Tensor

    @classmethod
    def of(cls, batch: Any, length_field: str) -> Windows | None:
        """The windows of a batch; None where every row is alone in its own."""
        numbers, places, lengths = batch[WINDOW_FIELD], batch[PLACE_FIELD], batch[length_field]
        # The only place that waits for the device: the number of windows decides the sizes of what follows.
        distinct, window = torch.unique(numbers, return_inverse=True)
        n, w = len(numbers), len(distinct)
        if w == n:
            return None
        latest = places.new_zeros(w).scatter_reduce(0, window, places, "amax")
        rows = torch.arange(n, device=numbers.device)
        candidates = torch.where(places == latest[window], rows, n)
        last = rows.new_full((w,), n).scatter_reduce(0, window, candidates, "amin")
        position = lengths[last][window] - 1 - (latest[window] - places)
        return cls(last, window, position)


@dataclass
class Passes:
    """What happened in one computation of a loss: how often a window was encoded, and states were taken from it."""

    encoded: int = 0
    gathered: int = 0
    outputs: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)


@contextmanager
def encoding_windows(
    model: nn.Module, batch: Any, *, keep: bool = False, windows: bool = True
) -> Iterator[Passes]:
    """Within the block, `model.forward` of the batch's own item lists encodes windows, and gives rows all the same.

    Columns of the batch are cut down to the windows' latest rows, the model's forward runs on them, and
    `gather_indexes` takes each row's state from its window.  Whatever else `forward` is called with (another view
    of the sequences) is left alone.  Both are set on the instance, and taken away at the end.

    keep: collect what `forward` and `gather_indexes` gave.  windows: False only collects.
    """
    passes = Passes()
    shared = Windows.of(batch, model.ITEM_SEQ_LEN) if windows else None  # type: ignore[arg-type]
    # An `Interaction` gives the same tensor at each reading, so identity says what a model hands on.
    lists = batch[model.ITEM_SEQ]
    columns = {id(column) for column in batch.interaction.values()}
    forward, gather = model.forward, model.gather_indexes

    def cut(value: Any) -> Any:
        return value.index_select(0, shared.last) if shared is not None and id(value) in columns else value

    def forward_windows(*args: Any, **kwargs: Any) -> Any:
        if shared is None or not any(value is lists for value in (*args, *kwargs.values())):
            result = forward(*args, **kwargs)
        else:
            passes.encoded += 1
            result = forward(
                *[cut(value) for value in args], **{name: cut(value) for name, value in kwargs.items()}
            )
        if keep and isinstance(result, Tensor):
            passes.outputs.append(result)
        return result

    def gather_rows(output: Tensor, gather_index: Tensor) -> Tensor:
        if shared is None or output.dim() != 3 or len(output) != len(shared.last):
            states = gather(output, gather_index)  # type: ignore[operator]
        else:
            passes.gathered += 1
            flat = shared.window * output.shape[1] + shared.position
            states = output.flatten(0, 1).index_select(0, flat)
        if keep:
            passes.states.append(states)
        return states

    with _on_instance(model, forward=forward_windows, gather_indexes=gather_rows):
        yield passes


@contextmanager
def _on_instance(model: nn.Module, **methods: Callable[..., Any]) -> Iterator[None]:
    """Set methods on one model, which then has what it had before."""
    own = vars(model)
    before = {name: own[name] for name in methods if name in own}
    own.update(methods)
    try:
        yield
    finally:
        for name in methods:
            own.pop(name, None)
        own.update(before)
