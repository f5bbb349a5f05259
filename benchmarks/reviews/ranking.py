"""The places of test items in rankings of one list of candidates or several, ties broken by seeded keys."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

#: Comparisons held at once: 2^22 x a few bytes.
_AT_ONCE = 1 << 22


def places(
    scores: Tensor, row: Tensor, item: Tensor, keys: Tensor, candidates: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """From 1: how many candidates of each list stand before a test item, and itself.

    scores: `[b, n_items]`, larger is better, no NaN.  row, item: `[t]`, which entries are asked for.
    keys: `[b, n_items]`; of equal scores, the smaller key stands first.
    candidates: name of a list -> bool `[b, n_items]`.  Returns int64 `[t]` a list.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in candidates}
    some = max(1, _AT_ONCE // max(1, scores.shape[1]))
    for rows, items in zip(row.split(some), item.split(some), strict=True):
        theirs = scores[rows]
        own = theirs.gather(1, items[:, None])
        before, equal = theirs > own, theirs == own
        if int(equal.sum()) > len(items):  # more than each with itself
            their_keys = keys[rows]
            before |= equal & (their_keys < their_keys.gather(1, items[:, None]))
        for name, mask in candidates.items():
            found[name].append((before & mask[rows]).sum(1) + 1)
    return {
        name: torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64, device=scores.device)
        for name, parts in found.items()
    }
