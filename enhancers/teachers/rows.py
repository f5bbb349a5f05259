"""Scores of a mixture of teachers for the users of a step: held for all users where that fits, else computed anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .given import TeacherScores
from .scores import BLOCK_BYTES, Mixture
from .sparse import blocks

#: Which items are left out for users `[b]`: bool `[b, n_items]`.
LeftOut = Callable[[Tensor], Tensor]


class TeacherRows:
    """A mixture's standardised scores, user by user.

    What is held follows from the training split and the options, so nothing of it is saved, and a copy shares it.

    teachers: whose scores.  shares: by teacher.  ridge: of EASE.  budget_bytes: for what is held of all users.
    """

    def __init__(
        self, teachers: TeacherScores, shares: Mapping[str, float], ridge: float, budget_bytes: int
    ) -> None:
        self.teachers, self.shares, self.ridge, self.budget_bytes = (
            teachers,
            dict(shares),
            ridge,
            budget_bytes,
        )
        self.forget()

    def forget(self) -> None:
        """Drop what is held."""
        self._dense: Tensor | None = None
        self._lists: dict[int, tuple[Tensor, Tensor]] = {}

    def __getstate__(self) -> dict[str, object]:
        names = ("teachers", "shares", "ridge", "budget_bytes")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.forget()

    def __deepcopy__(self, memo: dict[int, object]) -> TeacherRows:
        return self

    @property
    def _mixture(self) -> Mixture:
        parts = [self.teachers.of(name, self.ridge) for name in self.shares]
        return Mixture(parts, list(self.shares.values()))

    @torch.no_grad()
    def of(self, users: Tensor) -> Tensor:
        """Scores `[b, n_items]` of all items for users `[b]`."""
        anatomy = self.teachers.anatomy
        if 4 * anatomy.n_users * anatomy.n_items > self.budget_bytes:
            return self._computed(users)
        if self._dense is None:
            parts = [
                self._computed(torch.arange(block.start, block.stop, device=users.device))
                for block in self._blocks()
            ]
            self._dense = torch.cat(parts)
            self.teachers.forget()
        return self._dense[users]

    @torch.no_grad()
    def lists(self, users: Tensor, top: int, left_out: LeftOut) -> tuple[Tensor, Tensor]:
        """The best items of users `[b]`, and their scores, `[b, top]` each; -inf behind the end of a shorter list."""
        anatomy = self.teachers.anatomy
        top = min(top, anatomy.n_items - 1)
        if 12 * anatomy.n_users * top > self.budget_bytes:
            return self._best(users, top, left_out)
        if top not in self._lists:
            parts = [
                self._best(torch.arange(block.start, block.stop, device=users.device), top, left_out)
                for block in self._blocks()
            ]
            self._lists[top] = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
            self.teachers.forget()
        items, scores = self._lists[top]
        return items[users], scores[users]

    def _best(self, users: Tensor, top: int, left_out: LeftOut) -> tuple[Tensor, Tensor]:
        scores = self._computed(users).masked_fill(left_out(users), -math.inf)
        best = scores.topk(top, dim=1)
        return best.indices, best.values

    def _computed(self, users: Tensor) -> Tensor:
        return self._mixture.rows(users.to(self.teachers.anatomy.device))

    def _blocks(self) -> list[slice]:
        anatomy = self.teachers.anatomy
        return list(blocks(anatomy.n_users, 16 * anatomy.n_items, BLOCK_BYTES))
