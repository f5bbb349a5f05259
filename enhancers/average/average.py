"""A running mean of all parameters, which is evaluated and saved in place of them.

The exponential moving average of training (Szegedy et al., CVPR 2016, section 8; Polyak and Juditsky 1992 average
uniformly).  It forgets the noise of single steps, which a large learning rate or small batches bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import OptionsWithoutLoss

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class AverageConfig(OptionsWithoutLoss):
    """Options of `average`."""

    decay: float = Field(
        default=0.97,
        gt=0.0,
        lt=1.0,
        description="what the mean keeps of itself in a step: 0.97 averages over about the last 33 steps",
    )


class Average(Enhancer[AverageConfig]):
    """A running mean of the parameters, of the backbone's and of other enhancers', evaluated and saved in their place.

    Training goes on with the parameters themselves.  The mean after t steps keeps `min(decay, (1 + t) / (10 + t))` of
    itself, so the start is soon forgotten.

    Parameters
    ----------
    config
        The options as an `AverageConfig`; give either this or options.
    **options
        The fields of `AverageConfig`, each with its default and description there (`burnish enhancers average`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 8; the warm-up of
    the decay is that of tensorflow's ExponentialMovingAverage.

    Examples
    --------
    >>> burnish.enhance("BPR", "softmax", burnish.Average(decay=0.99))
    <class 'recbole.model.general_recommender.bpr.BPR[softmax, average]'>
    """

    name = "average"
    Config = AverageConfig

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Count no steps yet; `complete` makes the means."""
        self._steps = 0
        #: Whether the parameters hold the means and the buffers what is trained; whether a step's outcome is uncounted.
        self._swapped = self._pending = False
        self._trained: list[nn.Parameter] = []

    def complete(self, parameters: Sequence[nn.Parameter]) -> None:
        """Make room for means, at first of the parameters' values."""
        self._trained = [p for p in parameters if p.requires_grad and p.is_floating_point()]
        for number, parameter in enumerate(self._trained):
            self.register_buffer(f"other_{number}", parameter.detach().clone())

    def training_tensors(self) -> frozenset[str]:
        return frozenset({"_extra_state", *(f"other_{number}" for number in range(len(self._trained)))})

    def before_step(self) -> None:
        """Let the parameters be what is trained, and count what the step before made of them."""
        self._hold(means=False)
        if self._steps == 0 and not self._pending:
            self._begin()
        self._count()
        self._pending = True

    def on_mode(self, training: bool) -> None:
        """Evaluation looks at the means, training goes on with the parameters."""
        if not training and not self._swapped:
            self._count()
        self._hold(means=not training and self._steps > 0)

    @torch.no_grad()
    def _begin(self) -> None:
        """The means begin where training does: the parameters may be a base's by now."""
        for mean, parameter in self._pairs():
            mean.copy_(parameter)

    @torch.no_grad()
    def _count(self) -> None:
        if not self._pending:
            return
        decay = min(self.config.decay, (1 + self._steps) / (10 + self._steps))
        for mean, parameter in self._pairs():
            mean.lerp_(parameter.to(mean.dtype), 1.0 - decay)
        self._steps += 1
        self._pending = False

    @torch.no_grad()
    def _hold(self, *, means: bool) -> None:
        if self._swapped == means:
            return
        for other, parameter in self._pairs():
            kept = parameter.detach().clone()
            parameter.copy_(other)
            other.copy_(kept)
        self._swapped = means

    def _pairs(self) -> list[tuple[Tensor, nn.Parameter]]:
        return [(self.get_buffer(f"other_{number}"), p) for number, p in enumerate(self._trained)]

    def get_extra_state(self) -> Tensor:
        """Steps counted, whether the parameters hold the means, and whether a step is uncounted."""
        return torch.tensor([self._steps, int(self._swapped), int(self._pending)])

    def set_extra_state(self, state: Tensor) -> None:
        self._steps, self._swapped, self._pending = int(state[0]), bool(state[1]), bool(state[2])
