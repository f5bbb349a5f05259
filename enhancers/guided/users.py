"""Where users' attributes start: the shrunk mean of the items of their training history."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_of_items(users: Tensor, items: Tensor, guided: Tensor, n_users: int, shrinkage: float) -> Tensor:
    """`[n_users, m]`: sum of the guided rows of a user's items over (their number + shrinkage); 0 for none.

    users, items: `[n]` ids of training interactions.  guided: `[n_items, m]`, standardised, so 0 is an average item
    and shrinkage counts as so many average items.  The free alternative to scores by a language model (ours).
    """
    total = torch.zeros(n_users, guided.shape[1], dtype=torch.float64, device=guided.device)
    total.index_add_(0, users, guided[items].double())
    count = torch.bincount(users, minlength=n_users).double()
    return (total / (count + shrinkage).clamp_min(1e-12).unsqueeze(1)).to(guided.dtype)
