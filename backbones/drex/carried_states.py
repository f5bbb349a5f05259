"""The states that a batch of interactions leaves for the next."""

from __future__ import annotations

import torch
from torch import Tensor


def neighbours(owners: Tensor) -> tuple[Tensor, Tensor]:
    """The event before and the event after each in the history of its owner, -1 for none; two `[n]`.

    owners: whose event each is, in the order of time, `[n]`.
    """
    order = torch.argsort(owners, stable=True)
    same = owners[order[1:]] == owners[order[:-1]]
    before, after = torch.full_like(order, -1), torch.full_like(order, -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


class Carried:
    """The last known state before each event of one side; no gradient goes through it.

    previous, next: the neighbouring events of the same user (or item), `[n]`, -1 for none.
    Events in the order of time find here what the batch before them left, exact but for the steps of the optimizer in
    between; events in another order find what the epoch before left.
    """

    def __init__(self, previous: Tensor, after: Tensor, lanes: int, size: int) -> None:
        self.previous, self.next = previous, after
        self._lanes, self._size = lanes, size
        self._states: Tensor | None = None
        self._known: Tensor | None = None

    def covers(self, events: Tensor) -> bool:
        """Whether the state before each of these events is known, or follows from others of them.

        events: different ones, ascending.
        """
        self._place(events.device)
        assert self._known is not None
        earlier = self.previous[events]
        at = torch.searchsorted(events, earlier).clamp(max=max(0, len(events) - 1))
        return bool(((earlier < 0) | (events[at] == earlier) | self._known[events]).all())

    def before(self, events: Tensor, dtype: torch.dtype) -> Tensor:
        """The states, `[n, lanes, size]`."""
        self._place(events.device)
        assert self._states is not None
        return self._states[events].to(dtype)

    def keep(self, events: Tensor, after: Tensor) -> None:
        """Keep the states after these events for the ones that follow them."""
        self._place(events.device, after.dtype)
        assert self._states is not None
        assert self._known is not None
        following = self.next[events]
        has = following >= 0
        self._states[following[has]] = after[has]
        self._known[following[has]] = True

    def _place(self, device: torch.device, dtype: torch.dtype | None = None) -> None:
        """Make room where the model is, in its precision."""
        states = self._states
        if states is None or self._known is None or states.device != device:
            self.previous, self.next = self.previous.to(device), self.next.to(device)
            states = torch.zeros(len(self.previous), self._lanes, self._size, device=device)
            self._known = torch.zeros(len(self.previous), dtype=torch.bool, device=device)
        self._states = states if dtype is None else states.to(dtype)
