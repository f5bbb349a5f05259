"""Random numbers for (seed, user, item), by a hash: the same on every device, in batches of any size.

Ours: the finaliser of SplitMix64 (Steele, Lea and Flood 2014) as a hash.  Keys break ties and draw candidates, and
must not depend on which users are scored together.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_WORD = 1 << 64


def _signed(value: int) -> int:
    """A number of 64 bits as torch's int64 holds it."""
    value %= _WORD
    return value - _WORD if value >= 1 << 63 else value


def _shifted(x: Tensor, by: int) -> Tensor:
    # torch shifts the sign in; a logical shift is meant.
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _signed(_FIRST)
    x = (x ^ _shifted(x, 27)) * _signed(_SECOND)
    return x ^ _shifted(x, 31)


def pair_keys(seed: int, purpose: int, users: Tensor, n_items: int) -> Tensor:
    """Random int64 for each user and item, `[n, n_items]`, uniform over all of int64.

    users: internal ids, `[n]`.  purpose: a small number that makes another, independent table of keys.
    """
    start = torch.tensor(
        _signed((seed * 2 + 1) * _GOLDEN + purpose * _SECOND), dtype=torch.int64, device=users.device
    )
    by_user = _mixed(_mixed(start) ^ (users.long() * _signed(_GOLDEN)))
    items = torch.arange(n_items, device=users.device) * _signed(_FIRST)
    return _mixed(_mixed(by_user[:, None] ^ items[None, :]))
