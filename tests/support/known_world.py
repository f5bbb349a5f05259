"""A small world of users and items: who knows what, with users and items that nobody knows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from burnish.enhancers.teachers.sparse import incidence


@pytest.fixture(scope="session")
def small_world() -> SimpleNamespace:
    """`known`: the sparse matrix; `dense`: the same in float64.  User 3 and item 5 have nothing; ids 0 are padding."""
    rng = np.random.default_rng(0)
    dense = rng.random((40, 23)) < np.concatenate([np.full(12, 0.5), np.full(11, 0.15)])
    dense[:, 5], dense[3], dense[0], dense[:, 0] = False, False, False, False
    users, items = (torch.as_tensor(ids) for ids in np.nonzero(dense))
    order = torch.randperm(len(users), generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(
        users=users[order],
        items=items[order],
        known=incidence(users[order], items[order], dense.shape),
        dense=dense.astype(float),
    )
