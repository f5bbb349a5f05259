"""Where whole-sequence training enters RecBole: its configs and the epochs of its trainers."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from burnish.errors import UnsupportedError

from .options import check, mode_of, stride_of

if TYPE_CHECKING:  # torch is slow to import, and `import burnish` does without it
    from .layout import Layout

#: What was decided for a trainer and a loader.  Not on the trainer: its attributes are saved to resume from.
_decided: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Any], str, Layout | None]] = (
    weakref.WeakKeyDictionary()
)
_inside: weakref.WeakSet[Any] = weakref.WeakSet()


def check_configs(module: ModuleType) -> None:
    """Let `Config` refuse values of the two options that cannot be used."""
    initialise = module.Config.__init__

    @functools.wraps(initialise)
    def initialise_and_check(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        check(self)

    module.Config.__init__ = initialise_and_check


def change_epochs(module: ModuleType) -> None:
    """Let every trainer's epochs take windows where its config asks for that."""
    for trainer in list(vars(module).values()):
        if isinstance(trainer, type) and "_train_epoch" in vars(trainer):
            trainer._train_epoch = _by_windows(trainer._train_epoch)  # type: ignore[attr-defined]


def _by_windows(train_epoch: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(train_epoch)
    def _train_epoch(
        self: Any, train_data: Any, epoch_idx: int, loss_func: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        # A trainer's epoch may call its parent's: the outer one has done what is to do.
        layout = None if self in _inside else layout_for(self, train_data)
        if layout is None:
            return train_epoch(self, train_data, epoch_idx, loss_func, *args, **kwargs)
        from .batches import by_windows, rows_loader
        from .encoder import encoding_windows

        model, loss = self.model, loss_func or self.model.calculate_loss

        def loss_of_windows(batch: Any, *more: Any, **options: Any) -> Any:
            with encoding_windows(model, batch):
                return loss(batch, *more, **options)

        _inside.add(self)
        try:
            with by_windows(rows_loader(train_data), layout):
                return train_epoch(self, train_data, epoch_idx, loss_of_windows, *args, **kwargs)
        finally:
            _inside.discard(self)

    return _train_epoch


def layout_for(trainer: Any, train_data: Any) -> Layout | None:
    """The windows that a trainer's epochs on a loader take; None for prefix training.

    Decided once for a trainer and a loader.  Raises `UnsupportedError` when `sequence_training` is "whole" and the
    model cannot; warns, in one line, when it is "auto".
    """
    mode = mode_of(trainer.config)
    if mode == "prefix":
        return None
    known = _decided.get(trainer)
    if known is not None and known[0]() is train_data and known[1] == mode:
        return known[2]
    layout = _decide(trainer, train_data, mode)
    _decided[trainer] = (weakref.ref(train_data), mode, layout)
    return layout


def _decide(trainer: Any, train_data: Any, mode: str) -> Layout | None:
    from recbole.utils import ModelType

    from .batches import rows_loader
    from .layout import lay_out, longest_of
    from .qualify import Unfit, check_backbone, check_model

    model, config = trainer.model, trainer.config
    if config["MODEL_TYPE"] != ModelType.SEQUENTIAL and mode == "auto":
        return None
    try:
        check_backbone(model, config)
        loader = rows_loader(train_data)
        layout = lay_out(loader._dataset, stride_of(config, longest_of(loader._dataset)))
        check_model(model, loader, layout)
        return layout
    except (Unfit, UnsupportedError) as unfit:
        name = type(model).__name__
        if mode == "whole":
            raise UnsupportedError(
                f"sequence_training = 'whole', and {name} cannot train on whole sequences: {unfit}. Give 'prefix', or "
                f"'auto' to use prefixes where whole sequences do not work"
            ) from unfit
        warnings.warn(f"{name} trains on prefixes (sequence_training = 'auto'): {unfit}", stacklevel=4)
        return None
