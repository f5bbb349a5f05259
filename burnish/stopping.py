"""Early stopping that begins late: the option `stopping_from`, the first epoch whose validation counts against it.

RecBole stops after more than `stopping_step` validations in a row that are no better than the best so far, counted from
the first epoch, so that a plateau at the start ends a run.  With `stopping_from: 30` the first validation that counts
is that of epoch 30.  The best epoch is still the best of all.
"""

from __future__ import annotations

from typing import Any

from .checks import whole_number

#: burnish's own option.
OPTION = "stopping_from"
#: Validations that no run has.
_NEVER = 2**31


def first_counted(config: Any) -> int | None:
    """`stopping_from` of a config; None where it is not given, and all count.

    Raises `ConfigurationError` for anything but a whole number, 1 or more.
    """
    value = config[OPTION]
    return (
        None
        if value is None
        else whole_number(OPTION, value, what="the number of an epoch", more=", such as 30")
    )


def check_stopping(config: Any) -> None:
    """Raise what `first_counted` raises."""
    first_counted(config)


def let_stop(trainer: Any, epoch: int) -> None:
    """Before an epoch (from 0), set how many validations its trainer waits for: endlessly while too few have counted.

    As RecBole counts those since the best one, which may be of an epoch before `stopping_from`, it may stop once more
    than `stopping_step` have counted.  This follows from the epoch alone, so that a run that goes on does the same.
    """
    first = first_counted(trainer.config)
    if first is None:
        return
    patience, every = int(trainer.config["stopping_step"]), int(trainer.config["eval_step"])
    counted = 0 if every <= 0 else (epoch + 1) // every - (first - 1) // every
    trainer.stopping_step = patience if counted > patience else _NEVER
