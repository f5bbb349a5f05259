"""The epochs of RecBole's trainers on windows of whole histories: whether a model can, and how it then trains."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from burnish.errors import UnsupportedError, warn

from .options import mode_of, stride_of

if TYPE_CHECKING:  # torch is slow to import, and `import burnish` does without it
    from .layout import Layout

ResultT = TypeVar("ResultT")

#: What was decided for a trainer and a loader.  Not on the trainer: its attributes are saved to resume from.
_decided: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Any], str, Layout | None]] = (
    weakref.WeakKeyDictionary()
)
_inside: weakref.WeakSet[Any] = weakref.WeakSet()


def train_by_windows(
    train: Callable[[Any], ResultT], trainer: Any, train_data: Any, loss_func: Any
) -> ResultT:
    """`train(loss)`, an epoch of a trainer: on windows where its config asks for them, else with the loss as given."""
    # A trainer's epoch may call its parent's: the outer one has done what is to do.
    layout = None if trainer in _inside else layout_for(trainer, train_data)
    if layout is None:
        return train(loss_func)
    from .batches import by_windows, rows_loader
    from .encoder import encoding_windows

    model, loss = trainer.model, loss_func or trainer.model.calculate_loss

    def loss_of_windows(batch: Any, *more: Any, **options: Any) -> Any:
        with encoding_windows(model, batch):
            return loss(batch, *more, **options)

    _inside.add(trainer)
    try:
        with by_windows(rows_loader(train_data), layout):
            return train(loss_of_windows)
    finally:
        _inside.discard(trainer)


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
        warn(f"{name} trains on prefixes (sequence_training = 'auto'): {unfit}")
        return None
