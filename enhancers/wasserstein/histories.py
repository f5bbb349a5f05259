"""The items that each user has in training: what stands for a user where a backbone has no row of users."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Histories(nn.Module):
    """Training items of every user, to draw one from and to average over.

    Buffers follow the module to its device and are not part of its state dict, since the data set has them.
    """

    _starts: Tensor
    _items: Tensor
    capped: Tensor
    log_chance: Tensor

    def __init__(
        self, users: Tensor, items: Tensor, n_users: int, n_items: int, *, cap: int, seed: int
    ) -> None:
        """users, items: `[n]` ids of the training interactions; repeated pairs count once, padding (0) not at all.

        n_users, n_items: how many ids there are, padding included.  cap: how many items stand for a user, at
        most; of longer histories a random subset, the same for equal seeds.
        """
        super().__init__()
        real = (users > 0) & (items > 0)
        pairs = torch.unique(users[real].long() * n_items + items[real].long())  # sorted by user
        # In random order within each user: a random subset is then the beginning of their list.
        generator = torch.Generator().manual_seed(seed)
        shuffled = pairs[torch.randperm(len(pairs), generator=generator).to(pairs.device)]
        shuffled = shuffled[torch.argsort(shuffled // n_items, stable=True)]
        owner, known = shuffled // n_items, shuffled % n_items
        listed = known.int() if len(known) else known.new_zeros(1, dtype=torch.int32)  # something to point at
        counts = torch.bincount(owner, minlength=n_users)
        starts = torch.zeros(n_users + 1, dtype=torch.long, device=pairs.device)
        torch.cumsum(counts, 0, out=starts[1:])
        place = torch.arange(len(owner), device=pairs.device) - starts[owner]
        width = min(cap, int(counts.max())) if len(owner) else 1
        capped = torch.zeros(n_users, width, dtype=torch.int32, device=pairs.device)
        kept = place < width
        capped[owner[kept], place[kept]] = known[kept].int()
        chance = torch.zeros(n_items, dtype=torch.double, device=pairs.device)
        chance.index_add_(0, known, 1.0 / counts[owner].double())
        least = float(chance[chance > 0].min()) if len(owner) else 1.0
        #: log of the chance `[n_items]` that `draw` gives an item, for a user drawn evenly; that of items which
        #: nobody has is the smallest that occurs, so that a correction stays finite.
        log_chance = (chance.clamp_min(least) / max(int((counts > 0).sum()), 1)).log().float()
        self.register_buffer("log_chance", log_chance, persistent=False)
        self.register_buffer("_starts", starts, persistent=False)
        self.register_buffer("_items", listed, persistent=False)
        #: `[n_users, at most cap]` item ids, 0 behind the last one of a user.
        self.register_buffer("capped", capped, persistent=False)

    def draw(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """One training item of each user `[B]`, all of theirs equally likely: `[B]` ids, 0 for a user without any."""
        begin = self._starts[users]
        count = self._starts[users + 1] - begin
        chance = torch.rand(len(users), generator=generator, device=users.device)
        place = (chance * count).long().clamp(max=count - 1).clamp(min=0)
        drawn = self._items[(begin + place).clamp(max=len(self._items) - 1)].long()
        return drawn.masked_fill(count == 0, 0)

    def of(self, users: Tensor, without: Tensor | None = None) -> Tensor:
        """Item ids `[B, at most cap]` of users `[B]`, 0 where there is none.

        without: `[B]`, an item that is left out of each user's list.
        """
        listed = self.capped[users].long()
        return listed if without is None else listed.masked_fill(listed == without.unsqueeze(1), 0)

    def has_any(self, users: Tensor) -> Tensor:
        """Bool, shape of `users`: whether a user has training items."""
        return self._starts[users + 1] > self._starts[users]

    def extra_repr(self) -> str:
        return f"users={len(self.capped)}, cap={self.capped.shape[1]}"
