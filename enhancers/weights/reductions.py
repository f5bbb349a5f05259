"""Weights by interception: sums and means of rows become weighted ones while a loss is computed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .plan import LossPlan, scaled, spread
from .rules import Rule

ROW_LOSSES = {
    F.binary_cross_entropy_with_logits,
    F.binary_cross_entropy,
    F.cross_entropy,
    F.nll_loss,
    F.mse_loss,
    F.margin_ranking_loss,
    F.triplet_margin_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.soft_margin_loss,
}
_MEANS = {torch.mean, torch.Tensor.mean}
_SUMS = {torch.sum, torch.Tensor.sum}
_PRODUCTS = {torch.mul, torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__, torch.multiply}


_running: list[WeightedReductions] = []


def plainly() -> contextlib.AbstractContextManager[None]:
    """A block that is not part of the backbone's loss, though it runs inside: an enhancer's refinement."""
    return _running[-1].silent() if _running else contextlib.nullcontext()


class WeightedReductions(TorchFunctionMode):
    """Multiplies rows by their weights wherever a tensor with gradient is reduced as the rule says.

    rows_fired, cells_fired: how many reductions or products took weights for rows, and for single interactions.
    """

    def __init__(self, plan: LossPlan, rule: Rule) -> None:
        super().__init__()
        self.plan, self.rule = plan, rule
        self.rows_fired = 0
        self.cells_fired = 0
        self._full = 0
        self._batch_sums = 0
        self._silent = 0

    def __enter__(self) -> WeightedReductions:
        super().__enter__()
        _running.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _running.remove(self)
        super().__exit__(*error)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Within the block nothing is weighted."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._silent:
            return func(*args, **kwargs)
        with self.silent():  # what runs inside a loss function is its own business
            if func in ROW_LOSSES:
                return self._row_loss(func, args, kwargs)
            if func in _MEANS or func in _SUMS:
                return self._reduction(func, args, kwargs)
            if func in _PRODUCTS and self.plan.cells is not None and self.rule.cells == "likelihood":
                return self._product(func, args, kwargs)
            return func(*args, **kwargs)

    def _row_loss(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        reduction = kwargs.get("reduction", "mean")
        if reduction not in ("mean", "sum"):
            return func(*args, **kwargs)
        rows = func(*args, **{**kwargs, "reduction": "none"})
        weighted = self._weighted(rows)
        if weighted is None:
            return func(*args, **kwargs)
        return weighted.mean() if reduction == "mean" else weighted.sum()

    def _reduction(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        tensor = args[0] if args else kwargs.get("input")
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            return func(*args, **kwargs)
        if len(args) == 1 and not kwargs:
            weighted = self._weighted(tensor)
            return func(*args, **kwargs) if weighted is None else func(weighted)
        replaced = self._partly_reduced(func, tensor, args, kwargs)
        return func(*args, **kwargs) if replaced is None else func(replaced, *args[1:], **kwargs)

    def _weighted(self, rows: Tensor) -> Tensor | None:
        """A tensor about to be reduced to one number, with its weights; None where it is not meant."""
        if not rows.requires_grad:
            return None
        index, self._full = self._full, self._full + 1
        if self.rule.only is not None and index not in self.rule.only:
            return None
        plan, result = self.plan, None
        single = self.rule.cells == "reduced" and plan.cells is not None and rows.shape == plan.cells.shape
        if single:
            result, self.cells_fired = scaled(rows, plan.cells), self.cells_fired + 1  # type: ignore[arg-type]
        elif plan.history is not None and rows.shape == plan.history.shape:
            result, self.cells_fired = scaled(rows, plan.history), self.cells_fired + 1
        if plan.rows is not None:
            factors = self._factors(rows)
            if factors is not None:
                self.rows_fired += 1
                result = scaled(rows if result is None else result, factors)
        return result

    def _factors(self, rows: Tensor) -> Tensor | None:
        assert self.plan.rows is not None
        if rows.dim() == 0 and len(self.plan.rows) == 1:  # a batch of one, squeezed
            return self.plan.rows[0]
        if not 1 <= rows.dim() <= 2:
            return None
        return spread(self.plan.rows, rows.shape[0], self.rule.layout)

    def _partly_reduced(self, func: Any, tensor: Tensor, args: Any, kwargs: dict[str, Any]) -> Tensor | None:
        dims = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if self.rule.batch_sums and func in _SUMS and dims == 0 and tensor.dim() == 3:
            index, self._batch_sums = self._batch_sums, self._batch_sums + 1
            if index in self.rule.batch_sums and self.plan.rows is not None:
                self.rows_fired += 1
                return scaled(tensor, self.plan.rows)
            return None
        cells = self.plan.cells
        if (
            self.rule.cells == "reduced"
            and cells is not None
            and tensor.shape == cells.shape
            and dims in (1, [1], (1,))
        ):
            self.cells_fired += 1
            return scaled(tensor, cells)
        return None

    def _product(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        cells = self.plan.cells
        assert cells is not None
        if result.shape == cells.shape and any(_is_log_softmax(a) for a in args):
            self.cells_fired += 1
            return scaled(result, cells)
        return result


def _is_log_softmax(value: Any) -> bool:
    return isinstance(value, Tensor) and value.grad_fn is not None and "LogSoftmax" in value.grad_fn.name()
