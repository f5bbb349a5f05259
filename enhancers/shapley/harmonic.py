"""The two numbers of the closed form: Shapley values of a game on a mean."""

from __future__ import annotations

import torch
from torch import Tensor


def factors(
    sizes: Tensor, *, shrinkage: float = 0.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """`(own, rest)`, each of the shape of `sizes`, with value of player i = own * x_i - rest * sum of all x.

    The game is v(S) = sum of x over S / (|S| + shrinkage), v of nobody = 0, with n = sizes players.  A player who
    comes after s others, each s in 0..n-1 being equally likely, adds x_i / (s+1+c) and takes the share
    1/(s+c) - 1/(s+1+c) of what those others gave.  Averaged over s,

        a = 1/n sum 1/(s+1+c),   b = 1/n sum s (1/(s+c) - 1/(s+1+c)),
        value = a x_i - b (X - x_i) / (n-1) = (a + b/(n-1)) x_i - b/(n-1) X.

    For c = 0, a = H_n / n and b = (H_n - 1) / n with the harmonic number H_n.  One player keeps everything: (a, 0);
    no player at all has zeros.  The sums are taken in float64.  Source: derived here, checked by enumeration.
    """
    most = int(sizes.max()) if sizes.numel() else 0
    s = torch.arange(max(most, 1), dtype=torch.float64, device="cpu")
    gained = 1 / (s + 1 + shrinkage)
    taken = torch.zeros_like(s)  # nothing to take from where nobody came before
    taken[1:] = s[1:] * (1 / (s[1:] + shrinkage) - gained[1:])
    n = s + 1
    b = taken.cumsum(0) / n / (n - 1).clamp_min(1)
    own = torch.cat([s.new_zeros(1), gained.cumsum(0) / n + b]).to(sizes.device, dtype)
    rest = torch.cat([s.new_zeros(1), b]).to(sizes.device, dtype)
    return own[sizes], rest[sizes]
