"""In-run values: what a training step's rows do, to first order, for other training rows.

Wang, Mittal, Song, Jia: "Data Shapley in one training run", arXiv 2406.11011, first order: the Shapley value of row z
in the game "decrease of the judges' loss by the step on these rows" is the inner product of its gradient with the
judges', times the step.  Ours: judges are half of the batch's own rows, drawn anew; gradients are those in the
embedding tables; Adam's, Adagrad's or RMSprop's preconditioner stands in the place of a plain learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from burnish.errors import NonFiniteError, UnsupportedError


def first_order_values(
    rows: Tensor,
    judges: Tensor,
    parameters: Sequence[nn.Parameter],
    steps: Sequence[Tensor | float] | None = None,
) -> Tensor:
    """By how much a step on each row lowers the mean loss of the judges, to first order: `[B]`, 0 for judges.

    rows: `[B]`, each row's part of the training loss (the loss is their sum), with the graph down to `parameters`.
    judges: bool `[B]`.  steps: the size of an optimizer's step for a gradient of 1, for each parameter (its shape, or
    one number), see `step_sizes`; 1 by default.

    value(z) = Σ_parameters steps · gradient(rows[z]) · gradient(mean of the judges' row losses), where a judge's row
    loss is B times its part of the loss.  Values sum to the decrease that the step on all valued rows together brings,
    up to second order in the steps.

    Raises `UnsupportedError` where an operation of the backbone has no second derivative and `NonFiniteError` for
    values that are not finite.
    """
    valued = ~judges
    if not bool(judges.any()) or not bool(valued.any()):
        return torch.zeros_like(rows)
    judged = rows[judges].mean() * len(rows)
    wanted = torch.autograd.grad(judged, parameters, retain_graph=True, allow_unused=True)
    factors = torch.zeros_like(rows, requires_grad=True)
    try:
        # The slope of < gradient of Σ factors · rows, wanted > in a factor is < gradient of that row, wanted >.
        summed = torch.autograd.grad(
            rows, parameters, grad_outputs=factors, create_graph=True, allow_unused=True
        )
        products = [
            (own * (other * size)).sum()
            for own, other, size in zip(summed, wanted, steps or [1.0] * len(wanted), strict=True)
            if own is not None and other is not None and own.requires_grad
        ]
        if not products:
            return torch.zeros_like(rows)
        (slopes,) = torch.autograd.grad(torch.stack(products).sum(), factors)
    except (RuntimeError, NotImplementedError) as error:
        if "derivative" not in str(error) and "double backward" not in str(error):
            raise
        raise UnsupportedError(
            f"in-run values need second derivatives, and this backbone has an operation without them ({error}); let "
            f"shapley value interactions with values: profile"
        ) from error
    if not bool(torch.isfinite(slopes).all()):
        raise NonFiniteError(
            "an in-run value is NaN or infinite although the loss is finite; lower learning_rate, or take "
            "values: profile"
        )
    return slopes.detach() * valued


def step_sizes(
    optimizer: torch.optim.Optimizer | None, parameters: Sequence[nn.Parameter]
) -> list[Tensor | float]:
    """How far the optimizer moves each parameter for a gradient of 1: learning rate times its preconditioner.

    Adam, AdamW: lr / (sqrt(v / (1 - beta2^t)) + eps).  Adagrad: lr / (sqrt(sum) + eps).  RMSprop: lr / (sqrt(v) + eps).
    Others, and a parameter that has not been stepped yet: lr.  Without an optimizer: 1.  Momentum is left out: it
    carries over the gradients of other rows.
    """
    if optimizer is None:
        return [1.0] * len(parameters)
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    sizes: list[Tensor | float] = []
    for parameter in parameters:
        group = group_of.get(id(parameter))
        if group is None:
            sizes.append(0.0)  # not trained by this optimizer
            continue
        sizes.append(_step_size(optimizer.state.get(parameter, {}), group))
    return sizes


def _step_size(state: dict[str, Tensor], group: dict[str, float]) -> Tensor | float:
    rate, eps = group["lr"], group.get("eps", 0.0)
    if "exp_avg_sq" in state:
        beta2 = group["betas"][1]  # type: ignore[index]
        root = (state["exp_avg_sq"] / (1 - beta2 ** float(state["step"]))).sqrt()
        return rate / (root + eps)
    for name in ("sum", "square_avg"):
        if name in state:
            return rate / (state[name].sqrt() + eps)
    return rate
