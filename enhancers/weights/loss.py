"""Per-interaction weights on a loss that is not ours.

A backbone returns one number for a batch.  To let interaction b count w_b, the mean over the batch inside the
backbone must become a weighted mean.  Two ways:

1. its loss modules (BPRLoss, nn.CrossEntropyLoss, …) are asked for row losses, weighted and reduced by us;
2. reductions of rows are intercepted while the loss is computed (a `TorchFunctionMode`).

Each of RecBole's models has a rule that says which way and which rows (`weights/rules.py`).  For a model without
a rule a probe on its first batch tries them in this order.  A backbone whose loss has neither is refused: weights
are never silently without effect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from burnish.enhancers.unchanged import unchanged
from burnish.errors import UnsupportedError

from .modules import WeightedModules
from .plan import LossPlan
from .reductions import WeightedReductions
from .rules import RULES, Rule, rule_for, weighting_of

__all__ = ["RULES", "LossWeights", "NoPlaceForWeightsError", "Rule", "weighting_of"]


class NoPlaceForWeightsError(UnsupportedError):
    """A backbone's loss in which weights found nothing to enter."""


class LossWeights:
    """Weights the interactions of a batch in the loss of one backbone."""

    def __init__(self, model: nn.Module) -> None:
        self._backbone = type(model).__name__
        # In the instance dictionary of a plain object: no second registration of the model's modules.
        self._model = model
        self.rule: Rule | None = rule_for(type(model))
        self._modules: WeightedModules | None = None

    @property
    def known(self) -> bool:
        """Whether the way of weighting has been found."""
        return self.rule is not None

    @property
    def device(self) -> torch.device:
        """Where the backbone's parameters are."""
        return next(self._model.parameters()).device

    @property
    def takes_cells(self) -> bool:
        """Whether weights of single interactions can enter the loss of a batch of users, in the present stage."""
        rule = self.rule
        if rule is None or rule.cells == "none":
            return False
        return rule.cells_stage is None or getattr(self._model, "train_stage", None) == rule.cells_stage

    def plan(self, rows: Tensor | None, cells: Tensor | None, users: Tensor | None) -> LossPlan:
        """What is to be weighted: `rows` `[B]`, and for a batch of `users` `[B]` also `cells` `[B, n_items]`."""
        plan = LossPlan(rows=None if rows is None else rows.detach())
        if cells is None or self.rule is None:
            return plan
        cells = cells.detach()
        if self.rule.cells == "history":
            ids = self._model.history_item_matrix[users]  # type: ignore[index]
            plan.history = cells.gather(1, ids)
        else:
            order = getattr(getattr(self._model, "autoencoder", None), "category_idx", None)
            # LDiffRec compares items in the order of its categories.
            plan.cells = cells if not order else torch.cat([cells[:, index] for index in order], dim=-1)
        return plan

    @contextlib.contextmanager
    def applied(self, plan: LossPlan) -> Iterator[None]:
        """Within the block the backbone's loss is weighted as planned.

        `probe` comes first where the way is not `known`.  Raises `NoPlaceForWeightsError` when the loss computed in the
        block took no weights.
        """
        assert self.rule is not None
        if self.rule.route == "modules":
            modules = self._loss_modules()
            assert plan.rows is not None
            with modules.applied(plan.rows), self._plain(modules):
                yield
            fired = modules.fired > 0
        else:
            mode = WeightedReductions(plan, self.rule)
            with self._plain(mode), mode:
                yield
            fired = (plan.rows is None or mode.rows_fired > 0) and (
                (plan.cells is None and plan.history is None) or mode.cells_fired > 0
            )
        if not fired:
            raise NoPlaceForWeightsError(
                f"{self._backbone} has no loss for single interactions that weights could enter; "
                f"leave out the enhancer that weighs interactions, let it resample them "
                f"(weighs_by = 'loss or resampling'), or choose another backbone"
            )

    def probe(self, loss: Callable[[], Any], batch_size: int, device: torch.device) -> None:
        """Find out which way a backbone without a rule needs; `loss` computes it once and changes nothing."""
        modules = self._loss_modules(Rule("modules"))
        with unchanged(self._model), modules.applied(torch.ones(batch_size, device=device)):
            loss()
        self.rule = Rule("modules" if modules.fired else "reductions")

    def _loss_modules(self, rule: Rule | None = None) -> WeightedModules:
        if self._modules is None:
            known = rule or self.rule
            assert known is not None
            self._modules = WeightedModules(self._model, known.layout)
        return self._modules

    @contextlib.contextmanager
    def _plain(self, weighing: WeightedModules | WeightedReductions) -> Iterator[None]:
        """Within the block the methods that the rule names are left alone."""
        assert self.rule is not None
        changed: list[tuple[Any, str]] = []
        try:
            for path in self.rule.plain:
                *owners, name = path.split(".")
                owner: Any = reduce(getattr, owners, self._model)
                owner.__dict__[name] = _silenced(getattr(owner, name), weighing)
                changed.append((owner, name))
            yield
        finally:
            for owner, name in changed:
                del owner.__dict__[name]


def _silenced(
    method: Callable[..., Any], weighing: WeightedModules | WeightedReductions
) -> Callable[..., Any]:
    def plain(*args: Any, **kwargs: Any) -> Any:
        with weighing.silent():
            return method(*args, **kwargs)

    return plain
