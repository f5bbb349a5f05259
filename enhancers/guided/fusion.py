"""How a guided block and an embedding become one row of the embedding's own width.

Jia, Yuan, Wu, Zheng, arXiv 2504.11658: normalised scores are joined with a reduced base embedding.  Ours: the
principal components, the balance of both blocks, one factor an attribute, the one-stage form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from burnish.errors import DataError


class Fusion(nn.Module):
    """One item table, and the user table that meets it in the score, with their guided blocks.

    Two stages (`reduced=True`): the m directions `freed` `[d, m]` along which the trained item table varies least take
    the guided block, `row + (alpha * guided - (row - centre) @ freed) @ freed'`.  In coordinates of its principal
    components that is `[alpha * guided ; reduced row]`; written in its own, the base's other parameters, which read
    its rows, stay of use.  alpha `[m]` is trained and counts as 0 where it is negative.

    One stage: `row + [alpha * guided ; 0]`, the identity while alpha is 0, where it starts.  Here alpha has either
    sign: the columns that it is added to are random at the start, and an attribute that happens to meet them the
    wrong way round would be shut out otherwise.

    Users share directions and alpha, so that alpha^2 >= 0 is what an attribute counts where both meet.

    weights: `[m]`, fixed, what alpha is multiplied by; None for 1 each.
    """

    centre: Tensor
    freed: Tensor
    user_scale: Tensor
    weights: Tensor | None

    def __init__(
        self, width: int, attributes: int, *, reduced: bool, learn: bool, weights: Tensor | None = None
    ) -> None:
        super().__init__()
        self.width, self.reduced = width, reduced
        self.alpha = nn.Parameter(torch.zeros(attributes), requires_grad=learn)
        #: A part of the trained model, where there are some: of other data they would be others.
        self.register_buffer("weights", weights)
        if reduced:
            self.register_buffer("centre", torch.zeros(width))
            self.register_buffer("freed", torch.eye(width)[:, :attributes].clone())
            self.register_buffer("user_scale", torch.ones(()))

    @property
    def strength(self) -> Tensor:
        """`[m]`: how much each attribute counts.  Gradients reach an alpha that counts as 0, too."""
        alpha: Tensor = self.alpha
        if self.reduced:
            alpha = alpha + (alpha.clamp(min=0.0) - alpha).detach()
        return alpha if self.weights is None else self.weights * alpha

    @property
    def directions(self) -> Tensor:
        """`[d, m]`: where the guided block is added to a row, orthonormal."""
        if self.reduced:
            return self.freed
        return torch.eye(self.width, len(self.alpha), device=self.alpha.device)

    def items(self, rows: Tensor, guided: Tensor) -> Tensor:
        """Refined item rows `[n, d]` of `rows` `[n, d]` with their guided block `[n, m]`."""
        block = self.strength.to(rows.dtype) * guided.to(rows.dtype)
        if not self.reduced:
            return _added(rows, block)
        return self._freed_for(rows, rows - self.centre.to(rows.dtype), block)

    def users(self, rows: Tensor, guided: Tensor) -> Tensor:
        """The same for users, whose rows have no centre: their score with it is the same for every item."""
        block = self.strength.to(rows.dtype) * guided.to(rows.dtype)
        if not self.reduced:
            return _added(rows, block)
        return self._freed_for(rows, rows, self.user_scale.to(rows.dtype) * block)

    def _freed_for(self, rows: Tensor, from_centre: Tensor, block: Tensor) -> Tensor:
        freed = self.freed.to(rows.dtype)
        return rows + (block - from_centre @ freed) @ freed.t()

    @torch.no_grad()
    def start_from(
        self,
        centre: Tensor,
        directions: Tensor,
        items: tuple[Tensor, Tensor],
        users: tuple[Tensor, Tensor] | None,
        balance: float,
    ) -> None:
        """Set directions and balance by a trained base: both blocks as large as each other, times `balance`.

        directions: `[d, d]`, orthonormal, the last m of which are freed.  items, users: their rows `[n, d]` and guided
        blocks `[n, m]`.  Sizes are root mean squares a coordinate; users' blocks are balanced by one number for all of
        them (`user_scale`).
        """
        m = len(self.alpha)
        self.centre.copy_(centre)
        self.freed.copy_(directions[:, -m:])
        kept = directions[:, :-m]
        weights = 1.0 if self.weights is None else self.weights
        rows, guided = items
        alpha = balance * _ratio((rows - centre) @ kept, weights * guided)
        self.alpha.fill_(alpha)
        if users is not None and alpha > 0:
            self.user_scale.fill_(balance * _ratio(users[0] @ kept, alpha * weights * users[1]))


def _added(rows: Tensor, block: Tensor) -> Tensor:
    width = block.shape[1]
    return torch.cat([rows[:, :width] + block, rows[:, width:]], 1)


def _ratio(base: Tensor, guided: Tensor) -> float:
    """How many times as large base is as guided, by root mean square; 0 where guided is nothing."""
    size = float(guided.double().square().mean().sqrt())
    return float(base.double().square().mean().sqrt()) / size if size > 1e-12 else 0.0


def principal(rows: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The mean `[d]` of rows `[n, d]` and the `keep` directions `[d, keep]` along which they vary most.

    Directions are orthonormal, the widest first, each with its largest entry positive, so that equal rows give equal
    directions.  With fewer than `keep` rows the rest of the directions are any that are orthogonal to the others.
    Raises `DataError` for rows that are not finite.
    """
    if not bool(torch.isfinite(rows).all()):
        raise DataError("guided: the base's table holds NaN or infinite values; train the base again")
    exact = rows.detach().double()
    centre = exact.mean(0)
    scatter = (exact - centre).t() @ (exact - centre)
    _, directions = torch.linalg.eigh(scatter)  # ascending
    widest = directions.flip(1)[:, :keep]
    largest = widest.gather(0, widest.abs().argmax(0, keepdim=True))
    return centre.to(rows.dtype), (widest * largest.sign()).to(rows.dtype)
