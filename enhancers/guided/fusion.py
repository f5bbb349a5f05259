"""How a guided block and an embedding become one row of the embedding's own width.

Jia, Yuan, Wu, Zheng, arXiv 2504.11658: normalised scores are joined with a reduced base embedding.  Ours: the
principal components, the balance of both blocks, one non-negative factor an attribute, the one-stage form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Fusion(nn.Module):
    """One item table, and the user table that meets it in the score, with their guided blocks.

    Two stages (`reduced=True`): `[alpha * guided ; (row - centre) @ basis]`, the basis being the item table's
    principal components; users share basis and alpha.  One stage: `row + [alpha * guided ; 0]`, the identity while
    alpha is 0, where it starts.  alpha `[m]` is trained and counts as 0 where it is negative, so that the sign of
    what an attribute contributes is that of user and item together.
    """

    centre: Tensor
    basis: Tensor
    user_scale: Tensor

    def __init__(self, width: int, attributes: int, *, reduced: bool, learn: bool) -> None:
        super().__init__()
        self.reduced = reduced
        self.alpha = nn.Parameter(torch.zeros(attributes), requires_grad=learn)
        if reduced:
            self.register_buffer("centre", torch.zeros(width))
            self.register_buffer("basis", torch.eye(width)[:, : width - attributes].clone())
            self.register_buffer("user_scale", torch.ones(()))

    @property
    def strength(self) -> Tensor:
        """`[m]`, at least 0: how much each attribute counts.  Gradients reach a negative alpha, too."""
        return self.alpha + (self.alpha.clamp(min=0.0) - self.alpha).detach()

    def items(self, rows: Tensor, guided: Tensor) -> Tensor:
        """Refined item rows `[n, d]` of `rows` `[n, d]` with their guided block `[n, m]`."""
        block = self.strength.to(rows.dtype) * guided.to(rows.dtype)
        if self.reduced:
            return torch.cat([block, (rows - self.centre.to(rows.dtype)) @ self.basis.to(rows.dtype)], 1)
        return _added(rows, block)

    def users(self, rows: Tensor, guided: Tensor) -> Tensor:
        """The same for users.  Their rows are not centred: that would change scores by more than a constant a user."""
        block = self.strength.to(rows.dtype) * guided.to(rows.dtype)
        if self.reduced:
            block = block * self.user_scale.to(rows.dtype)
            return torch.cat([block, rows @ self.basis.to(rows.dtype)], 1)
        return _added(rows, block)

    @torch.no_grad()
    def start_from(
        self,
        centre: Tensor,
        basis: Tensor,
        items: tuple[Tensor, Tensor],
        users: tuple[Tensor, Tensor] | None,
        balance: float,
    ) -> None:
        """Set basis and balance by a trained base: both blocks as large as each other, times `balance`.

        items, users: their rows `[n, d]` and guided blocks `[n, m]`.  Sizes are root mean squares; users' blocks are
        balanced by one number for all of them (`user_scale`).
        """
        self.centre.copy_(centre)
        self.basis.copy_(basis)
        rows, guided = items
        alpha = balance * _ratio((rows - centre) @ basis, guided)
        self.alpha.fill_(alpha)
        if users is not None and alpha > 0:
            self.user_scale.fill_(balance * _ratio(users[0] @ basis, alpha * users[1]))


def _added(rows: Tensor, block: Tensor) -> Tensor:
    width = block.shape[1]
    return torch.cat([rows[:, :width] + block, rows[:, width:]], 1)


def _ratio(base: Tensor, guided: Tensor) -> float:
    """How many times as large base is as guided, by root mean square; 0 where guided is nothing."""
    size = float(guided.double().square().mean().sqrt())
    return float(base.double().square().mean().sqrt()) / size if size > 1e-12 else 0.0
