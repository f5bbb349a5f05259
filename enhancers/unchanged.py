"""A block of code after which a model is as it was."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = (int, float, bool, str, bytes, type(None))


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode: no dropout.

    Modes are put back one by one: SGL's `train()` draws new graphs, and no run may differ by having been looked at.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def unchanged(model: nn.Module, apart: nn.Module | None = None) -> Iterator[None]:
    """Put back, after the block, whatever a forward pass may have changed besides parameters and random streams.

    That is: buffers (BatchNorm's statistics), and numbers, tensors, lists and dictionaries kept as attributes of
    the model and its parts (counters of updates, caches, histories of losses).  Random streams are the caller's.
    apart: a part of the model that keeps what happens to it.
    """
    left_out = set(apart.modules()) if apart is not None else set()
    kept = [(m, dict(m.__dict__), _copies(m)) for m in model.modules() if m not in left_out]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, attributes, copies in kept:
                for name in set(module.__dict__) - set(attributes):
                    del module.__dict__[name]
                module.__dict__.update(attributes)
                for name, (original, value) in copies.items():
                    _put_back(module, name, original, value)


def _copies(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    copies: dict[str, tuple[Any, Any]] = {}
    for name, value in module._buffers.items():
        if value is not None:
            copies[name] = (value, value.clone())
    for name, value in module.__dict__.items():
        if isinstance(value, Tensor) and value.layout is torch.strided and not value.requires_grad:
            copies[name] = (value, value.clone())
        elif isinstance(value, list | dict) and not name.startswith("_") and _is_plain(value):
            copies[name] = (value, copy.copy(value))
    return copies


def _is_plain(value: list[Any] | dict[Any, Any]) -> bool:
    items = value if isinstance(value, list) else value.values()
    return all(isinstance(item, _PLAIN) for item in items)


def _put_back(module: nn.Module, name: str, original: Any, value: Any) -> None:
    if isinstance(original, Tensor):
        original.copy_(value)
        if name in module._buffers:
            module._buffers[name] = original
    elif isinstance(original, list):
        original[:] = value
    else:
        original.clear()
        original.update(value)
