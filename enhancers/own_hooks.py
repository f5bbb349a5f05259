"""Enhancers of a person's own: what is looked at before one is made, and what a hook gives."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, NonFiniteError, nearest, warn
from burnish.own.models import home_of, is_of_others

from .enhancer import Enhancer
from .options import OptionsWithoutLoss

_GUIDE = "docs/attach.md has the hooks"


def _hooks() -> dict[str, FunctionType]:
    return {
        name: value
        for name, value in vars(Enhancer).items()
        if isinstance(value, FunctionType) and not name.startswith("_") and name != "extra_repr"
    }


def _own_members(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if is_of_others(base) and base.__module__.partition(".")[0] not in ("torch", "typing", "builtins"):
            found |= vars(base)
    return found


def check_enhancer_class(cls: type[Enhancer[Any]]) -> None:
    """Look at the class of an enhancer before it is made; those of burnish are left alone.

    Raises `ConfigurationError` for options of another kind than pydantic's strict ones, and for a hook or `__init__`
    that cannot be called as burnish calls it; all in one message, with file, line and cure.
    """
    if not is_of_others(cls):
        return
    wrong = []
    config = getattr(cls, "Config", None)
    if not (isinstance(config, type) and issubclass(config, OptionsWithoutLoss)):
        named = config.__name__ if isinstance(config, type) else repr(config)
        wrong.append(
            f"Config = {named}: derive it from EnhancerConfig (from burnish.enhancers.options import EnhancerConfig)"
        )
    members, hooks = _own_members(cls), _hooks()
    for name, hook in hooks.items():
        if name not in members:
            continue
        asked = inspect.signature(hook)
        number = len(asked.parameters) - 1
        wrong += _wrong_call(cls, name, members[name], number, str(asked).partition(" -> ")[0])
    if "__init__" in members:
        wrong += _wrong_call(cls, "__init__", members["__init__"], 1, "(self, config=None, **options)")
    if wrong:
        raise ConfigurationError(
            f"{cls.__name__}{home_of(cls)} is no enhancer yet: {'; '.join(wrong)}. {_GUIDE}"
        )


def _wrong_call(cls: type, name: str, value: Any, number: int, asked: str) -> list[str]:
    inner = getattr(value, "__func__", value)
    if not isinstance(inner, FunctionType):
        return [] if callable(value) else [f"{name} is a {type(value).__name__}: write def {name}{asked}"]
    bound = () if isinstance(value, staticmethod) else (None,)
    try:
        inspect.signature(inner).bind(*bound, *([None] * number))
    except TypeError as error:
        own = str(inspect.signature(inner)).partition(" -> ")[0]
        return [f"{name}{own}{home_of(cls, name)} cannot be called as {name}{asked} ({error})"]
    return []


def warn_of_no_hook(cls: type[Enhancer[Any]]) -> None:
    """Warn of an enhancer of a person's own that overrides no hook, and so changes nothing."""
    hooks = _hooks()
    if not is_of_others(cls) or any(getattr(cls, name, None) is not hook for name, hook in hooks.items()):
        return
    own = [name for name, value in _own_members(cls).items() if isinstance(value, FunctionType)]
    meant = {name: guess for name in own if not name.startswith("_") and (guess := nearest(name, hooks))}
    hint = "".join(f"; is {name} meant as {guess}?" for name, guess in meant.items())
    warn(
        f"enhancer {cls.name!r}{home_of(cls)} overrides no hook of Enhancer (refine, weigh, loss, ...), so it changes "
        f"nothing{hint}"
    )


def tensor_of(
    enhancer: Enhancer[Any], hook: str, given: Any, shape: tuple[int, ...] | None, wanted: str
) -> Tensor:
    """What a hook gave, where it is a tensor of this shape (None: of any).

    wanted: what it is to give, in words.  Raises `ConfigurationError` with enhancer, hook, file and line.
    """
    if isinstance(given, Tensor) and (shape is None or given.shape == shape):
        return given
    kind = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else _kind(given)
    raise ConfigurationError(
        f"enhancer {enhancer.name!r}: {hook} gave {kind}{home_of(type(enhancer), hook)}; {wanted}"
    )


def same_rows(enhancer: Enhancer[Any], hook: str, given: Any, rows: Tensor) -> Tensor:
    """What a hook made of rows, in their type; raises as `tensor_of` does where it is of another shape."""
    return tensor_of(
        enhancer, hook, given, rows.shape, f"give rows of the shape that came, {tuple(rows.shape)}"
    ).to(rows.dtype)


def other_scores(enhancer: Enhancer[Any], given: Any, scores: Tensor) -> Tensor:
    """What `rescore` made of scores, in their type.

    Raises as `tensor_of` does where it is of another shape or no floating-point numbers, and `NonFiniteError` for NaN
    and infinite values where the scores that came were finite.
    """
    tensor_of(
        enhancer, "rescore", given, scores.shape, f"give scores of the shape that came, {tuple(scores.shape)}"
    )
    if not given.is_floating_point():
        raise ConfigurationError(
            f"enhancer {enhancer.name!r}: rescore gave {given.dtype}{home_of(type(enhancer), 'rescore')}; give "
            f"floating-point numbers, as those that came ({scores.dtype})"
        )
    # The sum is quick, and where it is finite all are; it may overflow of itself.
    if not bool(torch.isfinite(given.detach().sum())):
        # Changed in place, they do not tell what they were; a backbone may rule items out itself.
        were = ~torch.isneginf(scores) if given is scores else torch.isfinite(scores)
        wrong = int((~torch.isfinite(given) & were).sum())
        if wrong:
            raise NonFiniteError(
                f"enhancer {enhancer.name!r}: rescore gave NaN or infinite values for {wrong:,} of {given.numel():,} "
                f"scores that were finite{home_of(type(enhancer), 'rescore')}; give finite ones, such as a very low "
                f"one for an item that is never to be recommended"
            )
    return given.to(scores.dtype)


def mapping_of(enhancer: Enhancer[Any], given: Any) -> Mapping[str, Any]:
    """What `loss` gave, where it is a mapping; raises as `tensor_of` does."""
    if isinstance(given, Mapping):
        return given
    raise ConfigurationError(
        f"enhancer {enhancer.name!r}: loss gave {_kind(given)}{home_of(type(enhancer), 'loss')}; give a dictionary of "
        f"losses by name, each a tensor of one value a row: {{'mine': rows}}, or {{}} for none"
    )


def _kind(value: Any) -> str:
    return "None (is there no return?)" if value is None else f"a {type(value).__name__}"
