"""The two options, `sequence_training` and `sequence_stride`, checked."""

from __future__ import annotations

from typing import Any

from burnish.errors import ConfigurationError, UnsupportedError, nearest

#: What `sequence_training` may be.
MODES = ("prefix", "whole", "auto")

#: The `sequence_stride` at which histories longer than the maximum are trained exactly as prefixes are.
EXACT = "exact"


def mode_of(config: Any) -> str:
    """`sequence_training` of a config: one of `MODES`, "prefix" where it is not given.

    Raises `ConfigurationError` for any other value.
    """
    value = config["sequence_training"]
    if value is None:
        return "prefix"
    if isinstance(value, str) and value.lower() in MODES:
        return value.lower()
    guess = nearest(value, MODES) if isinstance(value, str) else None
    hint = f" Did you mean {guess!r}?" if guess else ""
    raise ConfigurationError(f"sequence_training = {value!r}: give one of {', '.join(MODES)}.{hint}")


def check_mode(config: Any, model: str, *, sequential: bool) -> None:
    """`sequence_training` on a backbone of this name; raises as `check` does."""
    if mode_of(config) == "whole" and not sequential:
        raise UnsupportedError(
            f"sequence_training = 'whole', and {model} trains on no sequences; leave the option out, or "
            f"give 'auto', which changes sequential backbones only"
        )


def stride_of(config: Any, longest: int) -> int:
    """`sequence_stride` of a config as a number from 1 to `longest`; half of `longest` where it is not given.

    longest: how many items a row's history has at most (MAX_ITEM_LIST_LENGTH).  "exact" is 1.
    Raises `ConfigurationError` for any other value.
    """
    value = config["sequence_stride"]
    if value is None:
        return max(1, longest // 2)
    return checked_stride(value, longest)


def checked_stride(value: Any, longest: int | None = None) -> int:
    """A given `sequence_stride` as a number; longest: as for `stride_of`, None where it is not known yet."""
    if isinstance(value, str):
        text = value.strip().lower()
        if text == EXACT:
            return 1
        if text.isdigit():
            value = int(text)
    most = "or more" if longest is None else f"to {longest} (MAX_ITEM_LIST_LENGTH)"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= (longest or value):
        guess = nearest(value, [EXACT]) if isinstance(value, str) else None
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise ConfigurationError(
            f"sequence_stride = {value!r}: give a whole number from 1 {most}, or {EXACT!r}.{hint}"
        )
    return value


def check(config: Any) -> None:
    """Both options of a config that was just made.

    Raises `ConfigurationError` for a value that cannot be used, and `UnsupportedError` for `whole` on a backbone
    that trains on no sequences.
    """
    from recbole.utils import ModelType

    sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    check_mode(config, config["model"], sequential=sequential)
    if sequential and config["MAX_ITEM_LIST_LENGTH"]:
        stride_of(config, int(config["MAX_ITEM_LIST_LENGTH"]))
