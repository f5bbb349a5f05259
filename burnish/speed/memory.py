"""How much memory a piece of torch code takes, counted from the tensors that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _dense_parts(tensor: Any) -> tuple[torch.Tensor, ...]:
    """The tensors with a storage of their own: a sparse one consists of its indices and values."""
    if not isinstance(tensor, torch.Tensor):
        return ()
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()
    return (tensor,) if tensor.layout is torch.strided else ()


class CountedMemory(TorchDispatchMode):
    """Counts the bytes of storages that operations return while it is active, on any device.

    Deterministic, unlike a process's resident size.  What a kernel takes and gives back inside itself does
    not pass through here and is not counted, and neither is what existed before (give it as `known`).
    """

    def __init__(self, *known: torch.Tensor) -> None:
        super().__init__()
        self._known = {StorageWeakRef(tensor.untyped_storage()).cdata for tensor in known}
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        #: Bytes of the largest storage, and of all that were alive at once.
        self.largest = 0
        self.peak = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            for part in _dense_parts(tensor):
                self._count(part.untyped_storage())
        self._live = {key: entry for key, entry in self._live.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        reference = StorageWeakRef(storage)
        if reference.cdata not in self._known:
            self._live[reference.cdata] = (reference, storage.nbytes())
            self.largest = max(self.largest, storage.nbytes())
