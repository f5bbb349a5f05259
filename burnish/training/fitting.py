"""What a file may put in the place of a value: the same kind of value, and no text where text says what to do.

The state of a run and the weights of a model name attributes of objects that a program works with.  A name that the
program has not, a path, or a number in the place of a method would let whoever wrote the file decide what the program
does; so names must be there already, and what comes must be of the kind that stood there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from burnish.errors import DataError

#: What torch keeps in every module to work with: hooks and the like.
_OF_MODULES = frozenset(vars(nn.Module())) - {"training", "_parameters", "_buffers", "_modules"}
#: Kinds that may take each other's place: a count that starts as 0 becomes a tensor.
_NUMERIC = frozenset({"number", "tensor", "array"})
_NONE, _OTHER = "nothing", "an object"


def kind_of(value: Any) -> str:
    """The kind of a value, in a word for messages."""
    if value is None:
        return _NONE
    if isinstance(value, bool | int | float | complex | np.generic):
        return "number"
    kinds: list[tuple[Any, str]] = [
        (str, "text"),
        (Tensor, "tensor"),
        (np.ndarray, "array"),
        (torch.Generator, "generator"),
        (dict, "mapping"),
        (list | tuple | set | frozenset, "list"),
    ]
    for types, name in kinds:
        if isinstance(value, types):
            return name
    return "matrix" if scipy.sparse.issparse(value) else _OTHER


def check_fits(what: str, before: Any, after: Any, *, texts: bool = False, empty: bool = True) -> None:
    """Raise `DataError` where a value from a file must not take the place of another.

    what: the name of the place.  before: what stands there now.  texts: whether texts may come.
    empty: whether what stands there may become None.
    """
    old, new = kind_of(before), kind_of(after)
    if old == _OTHER or _holds(before, _OTHER):
        raise DataError(f"{what} is {type(before).__name__}, which no file may replace")
    fits = old in (new, _NONE) or (new == _NONE and empty) or {old, new} <= _NUMERIC
    if not fits:
        raise DataError(f"{what} is a {old}, and the file has a {new} for it")
    if not texts and (new == "text" or _holds(after, "text")):
        raise DataError(f"{what}: the file has a text for it, where only numbers change in training")


def check_name(what: str, holder: Any, name: Any) -> None:
    """Raise `DataError` where a file must not name this attribute of an object, whether it is there or not."""
    if not isinstance(name, str) or name.startswith("__") or name in _OF_MODULES:
        raise DataError(f"{what} is not something that training changes")
    stated = getattr(type(holder), name, None)
    if callable(stated) or hasattr(stated, "__get__"):
        raise DataError(f"{what} is a part of {type(holder).__name__}'s code, which no file may replace")


def _holds(value: Any, kind: str) -> bool:
    """Whether a container has a value of a kind in it; keys of mappings do not count."""
    if isinstance(value, Mapping):
        parts: Any = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        return kind == "text" and isinstance(value, np.ndarray) and value.dtype.kind in "OUS"
    return any(kind_of(part) == kind or _holds(part, kind) for part in parts)
