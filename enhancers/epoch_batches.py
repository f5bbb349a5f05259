"""Training batches that are no interactions: users, each with all of their items."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from recbole.data.interaction import Interaction


class UserBatches:
    """What a trainer goes over in an epoch in place of a loader's rows: every user that has any, once, in batches.

    A batch has the users' ids and nothing else.  Their order follows from the seed and the epoch; no random stream is
    touched.  In a distributed run each process goes over its share, as RecBole's sampler of rows does.  Everything
    else is the loader's.
    """

    def __init__(self, loader: Any, user_field: str, size: int, seed: int) -> None:
        self.loader = loader
        self.epoch = 0
        self._field, self._size, self._seed = user_field, size, seed
        self._users, self._counts = torch.unique(loader._dataset.inter_feat[user_field], return_counts=True)
        self.shuffle = False  # else the trainer would tell a sampler of rows the epoch

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not there yet, in a copy that is being made
            raise AttributeError(name)
        return getattr(self.loader, name)

    def _order(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + self.epoch) % 2**63)
        users = self._users[torch.randperm(len(self._users), generator=generator)]
        if self.loader.config["single_spec"]:
            return users
        rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
        share = -(-len(users) // processes)
        return users.repeat(2)[: share * processes][rank::processes]

    def __len__(self) -> int:
        return -(-len(self._order()) // self._size)

    def __iter__(self) -> Iterator[Interaction]:
        from recbole.data.interaction import Interaction

        for users in self._order().split(self._size):
            yield Interaction({self._field: users})

    @cached_property
    def _rows(self) -> torch.Tensor:
        """The loader's rows, user after user."""
        return torch.argsort(self.loader._dataset.inter_feat[self._field], stable=True)

    def made(self, batch: Interaction) -> bool:
        """Whether a batch is one of users."""
        return list(batch.interaction) == [self._field]

    def rows_of(self, batch: Interaction, step: int) -> Interaction:
        """RecBole's own batch of interactions of a batch of users: at most as many as it has, none of them twice."""
        place = torch.searchsorted(self._users, batch[self._field].cpu())
        ends = self._counts.cumsum(0)
        spans = zip((ends - self._counts)[place].tolist(), ends[place].tolist(), strict=True)
        rows = torch.cat([self._rows[start:end] for start, end in spans]).numpy()
        loader = getattr(self.loader, "general_dataloader", self.loader)
        if len(rows) > loader.step:
            rows = np.random.default_rng((self._seed, step)).choice(rows, loader.step, replace=False)
        made: Interaction = loader.collate_fn(rows.tolist())
        return made.to(batch[self._field].device)


def own_batches(model: Any, loader: Any, epoch: int) -> Any:
    """What an epoch of a backbone goes over: users, where its class has `users_a_batch`, else the loader's rows.

    model: plain or enhanced; `users_a_batch` says how many users a batch has, each with all of their items.
    """
    size = getattr(model, "users_a_batch", None)
    if size is None or isinstance(loader, UserBatches):
        return loader
    batches = UserBatches(loader, model.USER_ID, size, int(loader.config["seed"] or 0))
    batches.epoch = epoch
    return batches
