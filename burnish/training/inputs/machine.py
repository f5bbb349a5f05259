"""Options that say where, in how many threads and processes, and into which folder a run goes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from burnish.checks import short
from burnish.errors import ConfigurationError, warn

from .declared import is_a

#: RecBole's options for several processes, with the values that change nothing.
_PROCESSES: dict[str, tuple[Any, ...]] = {
    "local_rank": (),
    "nproc": (None, 1),
    "world_size": (None, -1, 1),
    "group_offset": (None, 0),
    "offset": (None, 0),
    "ip": (None,),
    "port": (None,),
}
#: More threads, or more processes that read batches, than any machine has use for.
MOST_THREADS = 1024
_PACKAGES = {"log_wandb": "wandb", "tensorboard": "tensorboard"}


def check_machine(name: str, value: Any) -> None:
    """Raise `ConfigurationError` where the value of one of these options cannot be used; others pass."""
    if name in _PROCESSES and value not in _PROCESSES[name]:
        raise ConfigurationError(
            f"{name} = {short(value)}: a run trains in one process, so nothing is shared out; leave {name} out"
        )
    if name in ("threads", "worker") and is_a(value, "whole number") and value > MOST_THREADS:
        raise ConfigurationError(
            f"{name} = {value!r}: give {MOST_THREADS} at most; as many as there are cores will do"
        )
    if name == "device":
        warn(
            f"device = {short(value)} has no effect: RecBole decides where a run goes by use_gpu and gpu_id; say "
            f"{_how_to_say(value)}"
        )
    if name == "use_gpu" and value is True and not torch.cuda.is_available():
        warn("use_gpu = True: torch sees no GPU here, so the run goes on the processor")
    package = _PACKAGES.get(name)
    if package is not None and value is True and find_spec(package) is None:
        raise ConfigurationError(
            f"{name} = True: the package {package} is not installed; pip install {package}, or leave {name} out"
        )


def _how_to_say(device: Any) -> str:
    kind, _, number = str(device).partition(":")
    if kind == "cpu":
        return "use_gpu: false"
    return f"use_gpu: true and gpu_id: '{number}'" if number.isdigit() else "use_gpu: true"


def check_checkpoint_folder(folder: str) -> None:
    """Make the folder of RecBole's checkpoints, which RecBole would try to after it has read the data.

    Raises `ConfigurationError` where it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"checkpoint_dir = {short(folder)}: this folder cannot be made ({reason}); name one that can, or give the "
            f"run a folder of its own (--output)"
        ) from error
