"""What makes numbers repeat: the streams that RecBole draws from, forked, read and put back, and the order of sums."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def forked_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch, numpy and random inside the block and put all three streams back afterwards."""
    devices = [device] if device.type == "cuda" else []
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=devices, enabled=True):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


@contextlib.contextmanager
def in_fixed_order(device: torch.device, wanted: bool = True) -> Iterator[None]:
    """Let a GPU add in the same order each time inside the block, so that a seed means the same numbers there.

    torch adds rows by `index_add`, and in gradients of `index_select`, in whatever order its threads come to unless it
    is asked for `use_deterministic_algorithms`.  Operations that have no such form warn.  On a processor the order is
    fixed anyway, and nothing is changed.

    wanted: RecBole's `reproducibility`; False changes nothing.
    """
    if device.type != "cuda" or not wanted:
        yield
        return
    # cuBLAS takes its workspace from it when it is first used, and torch asks for it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    settings: Any = torch.utils.deterministic
    mode, fill = torch.get_deterministic_debug_mode(), settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # a look for mistakes, which costs time
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        settings.fill_uninitialized_memory = fill


def stream_positions(device: torch.device) -> tuple[Any, ...]:
    """Where Python's, numpy's, torch's and the device's streams are: equal before and after where nothing was drawn."""
    numpy_state: Any = np.random.get_state()
    positions = (
        random.getstate(),
        (numpy_state[1].tobytes(), *numpy_state[2:]),
        torch.get_rng_state().numpy().tobytes(),
    )
    if device.type == "cuda":
        return (*positions, torch.cuda.get_rng_state(device).numpy().tobytes())
    return positions


def random_state() -> dict[str, Any]:
    """The states of the streams that RecBole draws from: Python's, numpy's, torch's on the CPU and on each GPU."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (str(kind), np.asarray(keys).astype(np.int64), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the streams where they were at `random_state`."""
    random.setstate(state["python"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
