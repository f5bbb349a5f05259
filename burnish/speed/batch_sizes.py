"""How many users an evaluation batch holds: what was seen of the batches so far, and a budget of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: What `eval_memory_mib` is when nobody sets it.
DEFAULT_MIB = 256
#: A batch is at most this many times as large as the one before it.
_GROWTH = 16


class BatchSizes:
    """Sizes of the batches of one evaluation, which starts with RecBole's own.

    size: users in the next batch.  budget: bytes that the tensors of a batch may take together.

    A batch is watched until the size settles.  The most that a user was seen to take limits the next batch; what
    a model computes once, such as propagated embeddings, counts for less the more users share it.  A model that
    draws random numbers while it predicts keeps RecBole's size, because its draws may depend on it; unless they
    come with the first batch only.
    """

    def __init__(self, size: int, budget: int) -> None:
        self.first = self.size = size
        self.budget = budget
        self.settled = False
        self.draws = 0

    def learn(self, users: int, taken: int, drew: bool) -> None:
        """A batch of `users` took `taken` bytes, and drew random numbers or not."""
        if self.settled:
            return
        if drew:
            self.draws += 1
            self.size, self.settled = self.first, self.draws > 1
            return
        affordable = self.budget * users // max(taken, 1)
        before = self.size
        self.size = max(self.first, min(affordable, users * _GROWTH))
        self.settled = self.size <= before

    def shrink(self, users: int) -> None:
        """There was no memory for `users`: half of them from now on."""
        self.size, self.settled = max(1, users // 2), True


@contextmanager
def counted() -> Iterator[Any]:
    """Counts the bytes of tensors that are made in the block: `.peak` are those alive at once."""
    from .memory import CountedMemory

    with CountedMemory() as memory:
        yield memory


def out_of_memory(error: BaseException) -> bool:
    """Whether torch says, in one of its ways, that memory is used up."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
