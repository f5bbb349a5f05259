"""Per-interaction weights on a loss that is not ours.

A backbone returns one number for a batch.  To let interaction b count w_b, the mean over the batch inside the
backbone must become a weighted mean.  Two ways, tried in this order on the backbone's first batch:

1. its loss modules (BPRLoss, nn.CrossEntropyLoss, …) are asked for row losses, weighted and reduced by us;
2. where none of them runs on rows of the batch, the full reductions of `[B]` tensors are intercepted while the
   loss is computed (a `TorchFunctionMode`).

A backbone whose loss has neither is refused: weights are never silently without effect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .errors import UnsupportedError

_ROW_LOSSES = {
    F.binary_cross_entropy_with_logits,
    F.binary_cross_entropy,
    F.cross_entropy,
    F.nll_loss,
    F.mse_loss,
    F.margin_ranking_loss,
    F.l1_loss,
    F.smooth_l1_loss,
}
#: Backbones whose loss has several rows an interaction, one after another (BERT4Rec: one a masked position).
_SEVERAL_ROWS = {"BERT4Rec"}
_MEANS = {torch.mean, torch.Tensor.mean}
_SUMS = {torch.sum, torch.Tensor.sum}


class LossWeights:
    """Weights the interactions of a batch in the loss of one backbone."""

    def __init__(self, model: nn.Module) -> None:
        self._backbone = type(model).__name__
        self._modules = [
            module
            for name, module in model.named_modules()
            if _is_row_loss(module) and "kg" not in name.lower()
        ]
        self._route: str | None = None
        self._fired = 0

    @contextlib.contextmanager
    def applied(self, weights: Tensor) -> Iterator[None]:
        """Within the block, row b of the batch counts `weights[b]` (`[B]`, mean 1) in the backbone's loss.

        `probe` comes first.  Raises `UnsupportedError` when the loss computed in the block took no weights.
        """
        weights = weights.detach()
        if self._route == "modules":
            self._fired = 0
            with self._weighted_modules(weights):
                yield
            fired = self._fired
        else:
            mode = _WeightedReductions(weights, several_rows=self._backbone in _SEVERAL_ROWS)
            with mode:
                yield
            fired = mode.fired
        if not fired:
            raise UnsupportedError(
                f"{self._backbone} has no loss for single interactions that weights could enter; "
                f"leave out the enhancer that weighs interactions, or choose another backbone"
            )

    def probe(self, loss: Callable[[], Any], batch_size: int, device: torch.device) -> None:
        """Find out which of the two ways this backbone needs; `loss` computes it once, without gradient."""
        weights = torch.ones(batch_size, device=device)
        with self._weighted_modules(weights):
            self._fired = 0
            loss()
        self._route = "modules" if self._fired else "reductions"

    @property
    def known(self) -> bool:
        """Whether the way of weighting has been found."""
        return self._route is not None

    @contextlib.contextmanager
    def _weighted_modules(self, weights: Tensor) -> Iterator[None]:
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
            if isinstance(module, nn.modules.loss._Loss):
                reduction, module.reduction = module.reduction, "none"
                try:
                    rows = original(module, *args, **kwargs)
                finally:
                    module.reduction = reduction
            else:  # RecBole's BPRLoss has no unreduced form; its formula, row by row
                reduction = "mean"
                gamma: float = module.gamma  # type: ignore[assignment]
                rows = -torch.log(gamma + torch.sigmoid(args[0] - args[1]))
            if rows.dim() == 0 or rows.shape[0] != len(weights):
                return rows.mean() if reduction == "mean" else rows.sum()
            self._fired += 1
            return _reduce(rows, weights, reduction)

        return forward


def _is_row_loss(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.loss._Loss):
        return module.reduction in ("mean", "sum")
    from recbole.model.loss import BPRLoss

    return type(module) is BPRLoss


def _reduce(rows: Tensor, weights: Tensor, reduction: str) -> Tensor:
    rows = rows * weights.to(rows.dtype).reshape(-1, *[1] * (rows.dim() - 1))
    return rows.mean() if reduction == "mean" else rows.sum()


class _WeightedReductions(TorchFunctionMode):
    """Multiplies rows by their weights wherever a `[B]` or `[B, k]` tensor with gradient is fully reduced.

    several_rows: whether `[k B]` tensors are met too, whose rows k b to k b + k - 1 belong to interaction b.
    """

    def __init__(self, weights: Tensor, *, several_rows: bool) -> None:
        super().__init__()
        self.weights = weights
        self.several_rows = several_rows
        self.fired = 0
        self._inside = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._inside:
            return func(*args, **kwargs)
        self._inside = True
        try:
            if func in _ROW_LOSSES:
                return self._row_loss(func, args, kwargs)
            if (func in _MEANS or func in _SUMS) and len(args) == 1 and not kwargs and self._is_rows(args[0]):
                self.fired += 1
                return _reduce(args[0], self._of(args[0]), "mean" if func in _MEANS else "sum")
            return func(*args, **kwargs)
        finally:
            self._inside = False

    def _row_loss(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        reduction = kwargs.get("reduction", "mean")
        if reduction not in ("mean", "sum"):
            return func(*args, **kwargs)
        rows = func(*args, **{**kwargs, "reduction": "none"})
        if not self._is_rows(rows):
            return rows.mean() if reduction == "mean" else rows.sum()
        self.fired += 1
        return _reduce(rows, self._of(rows), reduction)

    def _of(self, rows: Tensor) -> Tensor:
        return self.weights.repeat_interleave(rows.shape[0] // len(self.weights))

    def _is_rows(self, tensor: Any) -> bool:
        if not isinstance(tensor, Tensor) or not tensor.requires_grad or not 1 <= tensor.dim() <= 2:
            return False
        n, batch = tensor.shape[0], len(self.weights)
        return n == batch or (self.several_rows and n > batch and n % batch == 0)
