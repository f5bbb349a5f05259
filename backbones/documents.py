"""All reviews of a user, or of an item, one after the other, as one text."""

from __future__ import annotations

import torch
from torch import Tensor


class Documents:
    """The words of the reviews of each user (or of each item), newest first.

    Several reviews of one pair stand together, at the place of its newest.

    n: how many users (items) there are.
    owners: whose each event is, others: the other side of each event, `[n_events]`, events in the order of time.
    texts: which text is the event's, -1 for none, `[n_events]`.
    words: numbers of the words of all texts, one text after the other.  0 is not a word.
    offsets: where each text's words begin and end in `words`, `[n_texts + 1]`.
    All on one device, where the documents are then too.
    """

    def __init__(
        self, n: int, owners: Tensor, others: Tensor, texts: Tensor, words: Tensor, offsets: Tensor
    ) -> None:
        device = owners.device
        known = texts.clamp(min=0)
        sizes = torch.where(texts >= 0, offsets[known + 1] - offsets[known], 0)
        pairs, order = _newest_first(owners, others)
        starts = sizes[order].cumsum(0) - sizes[order]
        begins = torch.empty_like(starts)
        begins[order] = starts
        events = torch.repeat_interleave(order, sizes[order])
        within = torch.arange(len(events), device=device) - begins[events]
        # One more, so that there is always something to look up.
        self._stream = torch.cat([words[offsets[known[events]] + within], words.new_zeros(1)])
        self._last = _sums(sizes, owners, n).cumsum(0)
        self._first = self._last - _sums(sizes, owners, n)
        n_pairs = int(pairs.max()) + 1 if len(pairs) else 0
        pair_begins = begins.new_full((n_pairs,), len(events)).scatter_reduce(0, pairs, begins, "amin")
        # Of each event, the part of the stream that its pair's reviews are.
        self._begins, self._sizes = pair_begins[pairs], _sums(sizes, pairs, n_pairs)[pairs]

    def take(self, owners: Tensor, length: int, without: Tensor | None = None) -> Tensor:
        """The first `length` words of documents, 0 after the last one, `[n, length]`.

        owners: whose documents, `[n]`.  without: an event of the owner; the reviews of its pair are left out, as if
            they had never been written (what follows moves up), `[n]`; -1 to leave out none.
        """
        at = self._first[owners].unsqueeze(1) + torch.arange(length, device=owners.device)
        if without is not None:
            begins, sizes = self._begins[without].unsqueeze(1), self._sizes[without].unsqueeze(1)
            gone = (without.unsqueeze(1) >= 0) & (at >= begins)
            at = torch.where(gone, at + sizes, at)
        inside = at < self._last[owners].unsqueeze(1)
        return torch.where(inside, self._stream[at.clamp(max=len(self._stream) - 1)], 0)


def _newest_first(owners: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """The pair that each event is of, `[n]`; and the events by owner, then from the newest pair on, `[n]`."""
    n = len(owners)
    width = int(others.max()) + 1 if n else 1
    pairs = torch.unique(owners * width + others, return_inverse=True)[1]
    place = torch.arange(n, device=owners.device)
    newest = place.new_zeros(n).scatter_reduce(0, pairs, place, "amax", include_self=False)[pairs]
    order = place.flip(0)
    order = order[torch.argsort(newest[order], descending=True, stable=True)]
    return pairs, order[torch.argsort(owners[order], stable=True)]


def _sums(values: Tensor, groups: Tensor, n: int) -> Tensor:
    """Sums of the values of each group, `[n]`."""
    return values.new_zeros(n).index_add(0, groups, values)
