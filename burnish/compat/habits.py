"""Contexts that keep two habits of RecBole in place: reading `sys.argv`, and writing TensorBoard files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def command_line(visible: bool) -> Iterator[None]:
    """Hide `sys.argv[1:]` unless `visible`: RecBole's Config takes every `--key=value` it finds there."""
    before = sys.argv
    if not visible:
        sys.argv = before[:1] or [""]
    try:
        yield
    finally:
        sys.argv = before


class _NoTensorBoard:
    """What trainers write to when no TensorBoard files are wanted."""

    def add_scalar(self, *_: Any, **__: Any) -> None:
        """Drop a number."""

    def add_hparams(self, *_: Any, **__: Any) -> None:
        """Drop a set of options."""


@contextmanager
def tensorboard_in(folder: Path | None) -> Iterator[None]:
    """Trainers made while this is open write TensorBoard files to `folder`, or nowhere when it is None.

    RecBole itself would write to ./log_tensorboard.
    """
    from recbole.trainer import trainer as module

    def writer(_: Any) -> Any:
        if folder is None:
            return _NoTensorBoard()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder))

    before = module.get_tensorboard
    module.get_tensorboard = writer
    try:
        yield
    finally:
        module.get_tensorboard = before
