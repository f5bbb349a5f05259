"""Which pairs are known: masks of training interactions, and how often ids are sampled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError, DataError


class KnownPositives(nn.Module):
    """The set of training interactions, asked for a block of users by items at a time.

    The items of every user are held sorted, and where a bool table `[n_users, n_items]` fits `budget_bytes` it is, too;
    otherwise a block is filled from the pairs of its users only.  Buffers follow the module to its
    device and are not part of its state dict, since the data set has them.  Id 0 is padding and never known.
    """

    #: log of the share of interactions that an id takes part in, `[n_items]` and `[n_users]`.  Ids without
    #: interactions, padding among them, get the smallest share seen, so that a correction stays finite.
    log_q_items: Tensor
    log_q_users: Tensor

    def __init__(
        self, users: Tensor, items: Tensor, n_users: int, n_items: int, *, budget_bytes: int = 64 * 2**20
    ) -> None:
        """users, items: `[n]` integer ids of the training interactions; repeated pairs are one known pair.

        n_users, n_items: how many ids there are, padding included.  Raises `ConfigurationError` for arguments
        that do not fit and `DataError` where no interaction is left.
        """
        super().__init__()
        users, items = _checked(users, items, n_users, n_items)
        self.n_users, self.n_items = n_users, n_items
        self.register_buffer("log_q_items", log_shares(items, n_items), persistent=False)
        self.register_buffer("log_q_users", log_shares(users, n_users), persistent=False)
        pairs = torch.unique(users * n_items + items)
        users, items = pairs // n_items, pairs % n_items
        table = None
        if n_users * n_items <= budget_bytes:
            table = torch.zeros(n_users, n_items, dtype=torch.bool, device=pairs.device)
            table[users, items] = True
        starts = torch.zeros(n_users + 1, dtype=torch.long, device=pairs.device)
        torch.cumsum(torch.bincount(users, minlength=n_users), dim=0, out=starts[1:])
        self._table: Tensor | None
        self._starts: Tensor
        self._items: Tensor
        self._keys: Tensor | None
        self.register_buffer("_table", table, persistent=False)
        self.register_buffer("_starts", starts, persistent=False)
        self.register_buffer("_items", items, persistent=False)
        self.register_buffer("_keys", pairs if table is None else None, persistent=False)

    @property
    def dense(self) -> bool:
        """Whether the whole table is held."""
        return self._table is not None

    @property
    def items(self) -> Tensor:
        """The item of each known pair, `[n]`."""
        return self._items

    def mask(self, users: Tensor, items: Tensor) -> Tensor:
        """Bool `[B, N]` for users `[B]` and items `[N]`, True where the pair is a training interaction.

        Ids may repeat and come in any order.  On the device of the buffers, without a wait where the table is
        held; otherwise the number of pairs of these users has to be known first, which waits for the device.
        """
        if self._table is not None:
            # Rows first: a row is contiguous, so the second selection reads only what the first wrote.
            return self._table.index_select(0, users).index_select(1, items)
        return self._expand(users, items)

    def left_out(
        self, users: Tensor, *, known: bool = True, targets: Tensor | None = None
    ) -> Callable[[int, int], Tensor]:
        """What of the catalogue is no negative of users `[B]`: padding, what they know, and their targets `[B]`.

        A function of (lo, hi) as `log_sum_exp` takes it.  On a processor it gives pairs, since these are few and a mask
        costs what the logits do; elsewhere a mask, which waits for nothing where the table is held.

        known: False takes what a user knows for negatives.
        """
        if users.device.type == "cpu":
            return _LeftOut.of(self, users, known, targets)

        return partial(self._left_out_mask, users, known, targets)

    def _left_out_mask(self, users: Tensor, known: bool, targets: Tensor | None, lo: int, hi: int) -> Tensor:
        """Columns lo to hi as a mask, bool `[B, hi - lo]`."""
        items = torch.arange(lo, hi, device=users.device)
        result = (items == 0).expand(len(users), -1)
        if known:
            held = self._table
            own = self._expand(users, items) if held is None else held[:, lo:hi].index_select(0, users)
            result = result | own
        return result if targets is None else result | (items == targets.unsqueeze(1))

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Bool of one shape with `users` and `items`: whether each pair is a training interaction."""
        if self._table is not None:
            return self._table[users, items]
        assert self._keys is not None
        wanted = users * self.n_items + items
        place = torch.searchsorted(self._keys, wanted).clamp(max=len(self._keys) - 1)
        return self._keys[place] == wanted

    def _expand(self, users: Tensor, items: Tensor) -> Tensor:
        """The mask from sorted lists, in memory of `[B, N]` and of the pairs of these users."""
        result = torch.zeros(len(users), len(items), dtype=torch.bool, device=self._items.device)
        if result.numel() == 0:
            return result
        rows, known = self.pairs_of(users)
        # Every known item of a user meets the columns that hold it: columns sorted by item, repeats adjacent.
        ordered, columns = torch.sort(items)
        low = torch.searchsorted(ordered, known)
        count = torch.searchsorted(ordered, known, right=True) - low
        result[rows.repeat_interleave(count), columns[_ranges(low, count)]] = True
        return result

    def pairs_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """(position in `users`, item), one each for every known pair of these users, in ascending order."""
        begin = self._starts[users]
        count = self._starts[users + 1] - begin
        rows = torch.arange(len(users), device=users.device).repeat_interleave(count)
        return rows, self._items[_ranges(begin, count)]

    def extra_repr(self) -> str:
        return f"n_users={self.n_users}, n_items={self.n_items}, dense={self.dense}"


class _LeftOut:
    """Pairs of a row and an item that are left out, by item: the function that `KnownPositives.left_out` gives."""

    def __init__(self, rows: Tensor, items: Tensor, n_items: int) -> None:
        self.rows, self.items, self.n_items = rows, items, n_items
        self.sorted = False

    @classmethod
    def of(cls, known: KnownPositives, users: Tensor, of_users: bool, targets: Tensor | None) -> _LeftOut:
        all_rows = torch.arange(len(users))
        rows, items = [all_rows], [torch.zeros_like(all_rows)]
        if of_users:
            for parts, more in zip((rows, items), known.pairs_of(users), strict=True):
                parts.append(more)
        if targets is not None:
            rows.append(all_rows)
            items.append(targets)
        return cls(torch.cat(rows), torch.cat(items), known.n_items)

    def __call__(self, lo: int, hi: int) -> Tensor:
        if lo == 0 and hi >= self.n_items:
            return torch.stack([self.rows, self.items])
        if not self.sorted:
            self.items, order = torch.sort(self.items)
            self.rows, self.sorted = self.rows[order], True
        first, end = torch.searchsorted(self.items, torch.tensor([lo, hi])).tolist()
        return torch.stack([self.rows[first:end], self.items[first:end] - lo])


def log_shares(ids: Tensor, n_ids: int) -> Tensor:
    """log of the relative frequency of every id in `ids` `[n]`, `[n_ids]` float32.

    Ids that do not occur get the smallest frequency that does.  This is the in-batch sampling probability of
    Yi et al. (RecSys 2019) under uniformly drawn interactions, taken from counts.
    """
    counts = torch.bincount(ids, minlength=n_ids).double()
    smallest = counts[counts > 0].min()
    return (counts.clamp_min(float(smallest)) / len(ids)).log().float()


def _ranges(begin: Tensor, count: Tensor) -> Tensor:
    """begin[0], begin[0] + 1, ... (count[0] numbers), begin[1], ...: all ranges, one after another."""
    ends = count.cumsum(0)
    offsets = (begin - ends + count).repeat_interleave(count)
    return offsets + torch.arange(len(offsets), device=begin.device)


def _checked(users: Tensor, items: Tensor, n_users: int, n_items: int) -> tuple[Tensor, Tensor]:
    """The ids as int64 without the pairs that contain padding."""
    if users.dim() != 1 or users.shape != items.shape:
        raise ConfigurationError(
            f"users has shape {tuple(users.shape)}, items {tuple(items.shape)}: give two of the same length"
        )
    for name, ids, size in (("users", users, n_users), ("items", items, n_items)):
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise ConfigurationError(f"{name} has dtype {ids.dtype}: give integer ids")
        low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, 0)
        if low < 0 or high >= size:
            raise ConfigurationError(
                f"{name} has ids from {low} to {high}: n_{name}={size} allows 0 to {size - 1}"
            )
    real = (users != 0) & (items != 0)
    if not bool(real.any()):
        raise DataError(
            f"{len(users)} interactions, none with both a user and an item other than 0 (padding): "
            "give the training split"
        )
    return users[real].long(), items[real].long()
