"""One number of popularity on top of a trained backbone: the floor that any gain has to be held against.

`score + gamma s log(1 + n_i)`: n_i counts the item's training interactions, s is the standard deviation of the
backbone's own scores.  Ours, as a control; gamma = 0 is the backbone itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.chosen import Choosing, edge
from burnish.enhancers.interactions import positives as find_positives
from burnish.enhancers.interactions import training_items
from burnish.enhancers.options import OptionsWithoutLoss, listed
from burnish.enhancers.unchanged import evaluating

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Training rows whose scores say how far scores spread.
LOOKED_AT = 256

Strength = Annotated[float, Field(allow_inf_nan=False)]


class PriorConfig(OptionsWithoutLoss):
    """Options of `prior`."""

    strengths: tuple[Strength, ...] = Field(
        default=(0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2),
        min_length=1,
        description="values of gamma that are tried, one an epoch; 0 is the backbone as it is",
    )
    base: str = Field(
        default="auto",
        description="the trained backbone: auto (trained first, same options) or a run's folder",
    )

    @field_validator("strengths", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One number is a list of it."""
        return listed(value)


class Prior(Choosing[PriorConfig]):
    """A popularity prior on a trained backbone's scores, its strength chosen on validation; nothing is trained.

    Parameters
    ----------
    config
        The options as a `PriorConfig`; give either this or options.
    **options
        The fields of `PriorConfig`, each with its default and description there (`burnish enhancers prior`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    Ours, as a floor for comparisons.

    Examples
    --------
    >>> burnish.enhance("BPR", "prior")
    <class 'recbole.model.general_recommender.bpr.BPR[prior]'>
    """

    name = "prior"
    Config = PriorConfig
    bakeable = False
    puts_into_own = True

    shift: Tensor
    _popularity: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Count the items' positive training interactions."""
        liked = find_positives(dataset, anatomy.fields.label, None, f"enhancer {self.name!r}", told=False)
        _, items = training_items(dataset, anatomy.fields, liked)
        counts = torch.bincount(items, minlength=anatomy.n_items).double()
        self.register_buffer("_popularity", (1.0 + counts).log(), persistent=False)
        self.register_buffer("shift", torch.zeros(anatomy.n_items))
        self.begin_choice()
        self._device, self._user, self._item = anatomy.device, anatomy.fields.user, anatomy.fields.item
        self._rows = dataset[torch.linspace(0, len(dataset) - 1, min(LOOKED_AT, len(dataset))).round().long()]

    def base_run(self) -> str:
        return self.config.base

    def row_tensors(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {"shift": "item"}

    def candidates(self) -> list[str]:
        return [f"popularity with strength {strength:g}" for strength in self.config.strengths]

    def try_candidate(self, number: int) -> None:
        """Add popularity at one strength, in units of the spread of the backbone's scores."""
        strength = self.config.strengths[number]
        self.shift.zero_()
        if strength:
            self.shift.copy_(strength * self._spread() * self._popularity)
            self.shift[0] = 0.0
        self.choose(number)

    def edges(self, number: int) -> list[str]:
        """Of strengths; 0, as the lowest, is the backbone itself and no edge."""
        tried = self.config.strengths
        found = edge("strength", tried[number], tried, least=0.0 if min(tried) == 0 else None, most=None)
        return [found] if found else []

    def _spread(self) -> float:
        """Standard deviation of the backbone's own scores, within a row where it scores the whole catalogue."""
        model: Any = self.state.backbone
        rows = self._rows.to(self._device)
        with evaluating(model), torch.no_grad():
            try:
                scores = model.full_sort_predict(rows).reshape(len(rows), -1)[:, 1:]
                return float(scores.double().std(dim=1).mean())
            except NotImplementedError:
                return float(model.predict(rows).double().std())

    def rescore(self, scores: Tensor, items: Tensor | None) -> Tensor:
        if items is not None:
            return scores + self.shift[items].to(scores.dtype).reshape(scores.shape)
        n = len(self.shift)
        return (scores.reshape(-1, n) + self.shift.to(scores.dtype)).reshape(scores.shape)
