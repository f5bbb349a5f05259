"""Whether a single value of an option can be used, whatever the others are: asked before anything is trained.

Every place that checks an option in words of its own offers the check of a value alone, and here they meet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from burnish.sequences.options import check_mode, checked_stride
from burnish.speed.evaluation import budget_bytes
from burnish.splits import OPTION as SPLIT
from burnish.splits import named, noisy_training
from burnish.stopping import OPTION as STOPPING_FROM
from burnish.stopping import first_counted

from . import beyond, cold
from .inputs import options
from .inputs.evaluation import check_metric_name
from .inputs.heads import BY_FILE, check_columns
from .inputs.needs import SHAPED, check_shape
from .inputs.sampling import check_sampling_shape
from .session import check_threads, literal
from .trust import SAVED_DATA, check_saved_data


def check_value(name: str, value: Any, model: type) -> None:
    """Raise for a value that cannot be used whatever the other options are.

    Parameters
    ----------
    name, value
        The option, as a file or a call gives it.
    model
        The class that is to be trained.

    Raises
    ------
    ConfigurationError, UnsupportedError
        As a run would: they name the option, its value and what may be given.
    """
    value = literal(value) if isinstance(value, str) else value
    options.check_value(name, value, model)
    if name in _OWN:
        _OWN[name](value)
    if name == "sequence_training":
        sequential = getattr(getattr(model, "type", None), "name", None) == "SEQUENTIAL"
        check_mode({name: value}, model.__name__, sequential=sequential)


def _stride(value: Any) -> None:
    if value is not None:
        checked_stride(value)


_OWN: dict[str, Callable[[Any], object]] = {
    "valid_metric": partial(check_metric_name, "valid_metric"),
    "train_neg_sample_args": check_sampling_shape,
    "threads": check_threads,
    "sequence_stride": _stride,
    beyond.OPTION: beyond.checked,
    STOPPING_FROM: lambda value: first_counted({STOPPING_FROM: value}),
    SPLIT: lambda value: None if value is None else named(value),
    noisy_training.OPTION: noisy_training.named,
    cold.OPTION: lambda value: cold.cold_limit({cold.OPTION: value}),
    "eval_memory_mib": lambda value: budget_bytes({"eval_memory_mib": value}),
    **{option: partial(check_shape, option) for option in SHAPED},
    **{option: partial(check_columns, option) for option in BY_FILE},
    **{option: partial(check_saved_data, option) for option in SAVED_DATA},
}
