"""The probability network: every embedding row becomes a Gaussian, a mean and a spread, in one width or another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError


class ProbabilityNetwork(nn.Module):
    """Means and spreads of diagonal Gaussians from embedding rows.

    For rows u of shape `[..., width]`:

        u* = ReLU(W1 u),   mean = u + strength f2(u*),   spread = softplus(f3(u*)) + epsilon

    with W1 one linear layer and f2, f3 fully connected networks of two layers each (the PEO module of RVRec,
    arXiv 2509.03130).  Ours: softplus and epsilon, which make the spread positive, and the start.  f2's last
    layer starts at zero, so the mean is bit-identical to u until training moves it.  f3 starts so that every
    spread is near `initial_spread`, with a variation over rows that is proportional to the rows.

    `gaussian=False` is the control "plain Euclid in twice the width": the second half is f3(u*) itself, any
    sign, with the same value and the same first-order variation at the start, so that a gain of the Gaussian
    reading over it is not a gain of size or of initial scale.

    f2 has no biases: one would move all users (or all items) by the same vector, which a dot-product backbone
    reads as plain popularity.
    """

    def __init__(
        self,
        width: int,
        hidden: int | None = None,
        *,
        epsilon: float = 1e-4,
        gaussian: bool = True,
        initial_spread: float = 0.1,
        strength: float = 1.0,
    ) -> None:
        """width: length of a row, at least 1.  hidden: inner width of all three parts, `width` by default.

        epsilon: the smallest possible spread, positive.  initial_spread: the spread at the start, above
        `epsilon`, in the units of the rows; use `calibrate` to set it from rows.  Raises
        `ConfigurationError`.
        """
        super().__init__()
        hidden = width if hidden is None else hidden
        if width < 1 or hidden < 1:
            raise ConfigurationError(f"width={width}, hidden={hidden}: give whole numbers of at least 1")
        if not 0.0 < epsilon < math.inf:
            raise ConfigurationError(f"epsilon={epsilon}: give a small positive number such as 1e-4")
        self.width = width
        self.epsilon = epsilon
        self.gaussian = gaussian
        self.strength = strength
        self.shared = nn.Linear(width, hidden, bias=False)
        self.shift = two_layers(hidden, width, bias=False)
        self.widen = two_layers(hidden, width)
        nn.init.zeros_(last(self.shift).weight)
        self._start_weight: Tensor
        self.register_buffer("_start_weight", last(self.widen).weight.detach().clone(), persistent=False)
        self._start(initial_spread)

    @torch.no_grad()
    def _start(self, spread: float) -> None:
        """Put f3 back to its start, with every spread near `spread`."""
        if not self.epsilon < spread < math.inf:
            raise ConfigurationError(
                f"initial_spread={spread}: give a finite number above epsilon={self.epsilon}, "
                "about as large as the rows vary"
            )
        above = spread - self.epsilon
        bias = above + math.log(-math.expm1(-above))  # inverse of softplus
        slope = -math.expm1(-above)  # derivative of softplus there
        head = last(self.widen)
        # The first bias would add a random constant far above what small rows contribute.
        first(self.widen).bias.zero_()
        head.bias.fill_(bias if self.gaussian else spread)
        head.weight.copy_(self._start_weight if self.gaussian else self._start_weight * slope)

    def calibrate(self, rows: Tensor, ratio: float = 1.0) -> float:
        """Restart f3 with an initial spread of `ratio` times the standard deviation of `rows` `[n, width]`.

        The deviation is taken within dimensions and averaged over them as a root mean square, so a common
        offset of the rows does not count.  Returns the spread that was set, never below 10 epsilon.
        """
        deviation = float(rows.detach().float().var(dim=0, correction=0).mean().sqrt()) if len(rows) else 0.0
        spread = max(ratio * deviation, 10.0 * self.epsilon)
        self._start(spread)
        return spread

    def hidden_state(self, rows: Tensor) -> Tensor:
        """u* of shape `[..., hidden]`."""
        return torch.relu(self.shared(rows))

    def mean(self, rows: Tensor) -> Tensor:
        """Enhanced embeddings, `[..., width]` like `rows`; bit-identical to `rows` before training."""
        return self._shifted(rows, self.hidden_state(rows))

    def spread(self, rows: Tensor) -> Tensor:
        """Standard deviations `[..., width]`, at least `epsilon`; any sign where `gaussian` is False."""
        return self._spread(self.hidden_state(rows))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, spread), each `[..., width]`, from one shared u*."""
        state = self.hidden_state(rows)
        return self._shifted(rows, state), self._spread(state)

    def _shifted(self, rows: Tensor, state: Tensor) -> Tensor:
        if self.strength == 0.0:
            return rows
        return torch.add(rows, self.shift(state), alpha=self.strength)

    def _spread(self, state: Tensor) -> Tensor:
        raw = self.widen(state)
        return nn.functional.softplus(raw) + self.epsilon if self.gaussian else raw

    def extra_repr(self) -> str:
        return f"width={self.width}, epsilon={self.epsilon}, gaussian={self.gaussian}"


class Projection(nn.Module):
    """A learned linear map A of diagonal Gaussians, `[..., inputs]` to `[..., outputs]`.

    The mean becomes A mean.  The covariance A diag(spread^2) A^T has the diagonal (A * A) spread^2, whose roots
    are the new spreads; what is beside the diagonal is left out, as everywhere with diagonal Gaussians.
    For plain points (`gaussian=False`) the second half is mapped as the first.  A starts semi-orthogonal, so
    that distances keep their size.
    """

    def __init__(self, inputs: int, outputs: int, *, gaussian: bool = True) -> None:
        super().__init__()
        self.gaussian = gaussian
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.orthogonal_(self.weight)

    def forward(self, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        projected = nn.functional.linear(mean, self.weight)
        if not self.gaussian:
            return projected, nn.functional.linear(spread, self.weight)
        variance = nn.functional.linear(spread.square(), self.weight.square())
        # A root has no finite slope at 0, where users without items are.
        return projected, (variance + torch.finfo(variance.dtype).eps ** 2).sqrt()


def two_layers(inputs: int, outputs: int, hidden: int | None = None, *, bias: bool = True) -> nn.Sequential:
    """A fully connected network of two layers, `[..., inputs]` -> `[..., outputs]`, with a ReLU between."""
    hidden = inputs if hidden is None else hidden
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, outputs, bias=bias)
    )


def first(network: nn.Sequential) -> nn.Linear:
    """The first layer of `two_layers`."""
    layer = network[0]
    assert isinstance(layer, nn.Linear)
    return layer


def last(network: nn.Sequential) -> nn.Linear:
    """The last layer of `two_layers`."""
    layer = network[-1]
    assert isinstance(layer, nn.Linear)
    return layer
