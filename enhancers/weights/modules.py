"""Weights by replacement: a backbone's loss modules are asked for rows, which we weigh and reduce."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .plan import scaled, spread
from .rules import Layout

#: Parts of the names of loss modules that are not about interactions: knowledge graph, augmented views.
_NOT_ABOUT_INTERACTIONS = ("kg", "aug")


class WeightedModules:
    """The loss modules of one model that give a loss for rows.

    fired: how many of their calls took weights since `applied` began.
    """

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        self.layout = layout
        self.fired = 0
        self._silent = 0
        self._modules = [
            module
            for name, module in model.named_modules()
            if _is_row_loss(module) and not any(part in name.lower() for part in _NOT_ABOUT_INTERACTIONS)
        ]

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Within the block nothing is weighted."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    @contextlib.contextmanager
    def applied(self, weights: Tensor) -> Iterator[None]:
        """Within the block the modules weigh their rows by `weights`, `[B]`."""
        self.fired = 0
        for module in self._modules:
            # On the instance and only for this block: a patched module could be neither copied nor pickled.
            module.__dict__["forward"] = self._weighted_forward(module, weights)
        try:
            yield
        finally:
            for module in self._modules:
                module.__dict__.pop("forward", None)

    def _weighted_forward(self, module: nn.Module, weights: Tensor) -> Callable[..., Tensor]:
        original = type(module).forward

        def forward(*args: Any, **kwargs: Any) -> Tensor:
            if self._silent:
                return original(module, *args, **kwargs)
            rows = _rows(module, original, args, kwargs)
            factors = self._factors(rows, weights)
            if factors is None:
                return original(module, *args, **kwargs)
            self.fired += 1
            weighted = scaled(rows, factors)
            if getattr(module, "reduction", "mean") == "sum":
                return weighted.sum()
            return weighted.sum() / _denominator(module, rows, args)

        return forward

    def _factors(self, rows: Tensor, weights: Tensor) -> Tensor | None:
        if rows.dim() == 0:
            return weights[0] if len(weights) == 1 else None  # a batch of one, squeezed
        return spread(weights, rows.shape[0], self.layout)


def _is_row_loss(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.loss._Loss):
        return module.reduction in ("mean", "sum")
    from recbole.model.loss import BPRLoss

    return type(module) is BPRLoss


def _rows(module: nn.Module, original: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    if isinstance(module, nn.modules.loss._Loss):
        reduction, module.reduction = module.reduction, "none"
        try:
            return original(module, *args, **kwargs)
        finally:
            module.reduction = reduction
    gamma: float = module.gamma  # type: ignore[assignment]
    positive, negative = list(args) + list(kwargs.values())
    return -torch.log(gamma + torch.sigmoid(positive - negative))  # RecBole's BPRLoss, row by row


def _denominator(module: nn.Module, rows: Tensor, args: Any) -> Tensor | int:
    """What a module's mean divides by: the number of rows, or the class weights of the targets that count."""
    if (
        isinstance(module, nn.CrossEntropyLoss | nn.NLLLoss)
        and len(args) == 2
        and not args[1].is_floating_point()
    ):
        target = args[1]
        counts = target != module.ignore_index
        if module.weight is not None:
            return (module.weight[target.clamp(min=0)] * counts).sum()
        return counts.sum()
    return max(rows.numel(), 1)
