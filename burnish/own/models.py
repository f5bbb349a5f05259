"""What a model class of a person's own must have, looked at before anything is read or trained."""

from __future__ import annotations

import inspect
import os
import sys
from types import FunctionType
from typing import Any

from burnish.errors import ConfigurationError, UnsupportedError, nearest

from .classes import shown

#: What RecBole asks of a model, and what it is to give.
GIVES = {
    "calculate_loss": "the loss of a batch: a tensor of one number that gradients go back from, or a tuple of such",
    "predict": "the scores of the batch's users (or histories) with its items: a tensor of shape [batch]",
    "full_sort_predict": "the scores of all items for each row of the batch: a tensor of shape [batch, n_items]",
}
_WHOLE_CLASS = "docs/backbones.md (A model of your own) has whole classes"


def is_of_others(cls: type) -> bool:
    """Whether a class is neither RecBole's nor burnish's."""
    return cls.__module__.partition(".")[0] not in ("recbole", "burnish")


def home_of(cls: type, method: str | None = None) -> str:
    """` (mine.py, line 12)`: where a class, or a method of it, is written; empty where that is not known."""
    found: Any = cls if method is None else _function(inspect.getattr_static(cls, method, None))
    if isinstance(found, FunctionType):
        return _place(found.__code__.co_filename, found.__code__.co_firstlineno)
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    try:
        number = inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return "" if file is None else _place(file, None)
    return _place(inspect.getsourcefile(cls) or file, number)


def _place(file: str | None, number: int | None) -> str:
    if file is None or not os.path.isfile(file):  # a cell of a notebook
        return "" if number is None else f" (line {number} of its cell)"
    return f" ({shown(file)}{'' if number is None else f', line {number}'})"


def is_missing(cls: type, method: str) -> bool:
    """Whether a model has nothing but RecBole's placeholder for a method."""
    from recbole.model.abstract_recommender import AbstractRecommender

    return inspect.getattr_static(cls, method, None) is inspect.getattr_static(AbstractRecommender, method)


def check_model_class(cls: type) -> None:
    """Look at a class that a person gave as a backbone, without making it.

    Raises `UnsupportedError` for what is no model class of RecBole's, and `ConfigurationError` for a model of a
    person's own that lacks a method, has one that cannot be called as RecBole calls it, or an attribute of the wrong
    kind; all of them in one message, with file, line and cure.
    """
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.utils import ModelType

    if not issubclass(cls, AbstractRecommender):
        raise UnsupportedError(
            f"{cls.__module__}.{cls.__qualname__}{home_of(cls)} is not a RecBole model class; a backbone derives from "
            f"GeneralRecommender, SequentialRecommender or another class of recbole.model.abstract_recommender"
        )
    if not is_of_others(cls):
        return
    wrong = [*_wrong_attributes(cls)]
    if getattr(cls, "type", None) is not ModelType.DECISIONTREE:  # trees are trained outside of torch
        wrong += [*_missing_methods(cls), *_wrong_signatures(cls)]
    if wrong:
        raise ConfigurationError(
            f"{cls.__name__}{home_of(cls)} cannot be trained: {'; '.join(wrong)}. {_WHOLE_CLASS}"
        )


def _wrong_attributes(cls: type) -> list[str]:
    from recbole.utils import InputType, ModelType

    wrong = []
    kind = inspect.getattr_static(cls, "type", None)
    if not isinstance(kind, ModelType):
        named = ", ".join(f"ModelType.{one.name}" for one in ModelType if one.value <= 4)
        said = "it has no type" if kind is None else f"type = {kind!r} is a {type(kind).__name__}"
        wrong.append(
            f"{said}: derive it from GeneralRecommender, SequentialRecommender, ContextRecommender or "
            f"KnowledgeRecommender, or say one of {named} (from recbole.utils import ModelType)"
        )
    absent = object()
    given = inspect.getattr_static(cls, "input_type", absent)
    if given is not absent and not isinstance(given, InputType):
        meant = str(given).rpartition(".")[2].upper()
        cure = meant if meant in InputType.__members__ else "PAIRWISE (or POINTWISE)"
        wrong.append(
            f"input_type = {given!r} is a {type(given).__name__}, not one of RecBole's kinds: say input_type = "
            f"InputType.{cure} (from recbole.utils import InputType)"
        )
    return wrong


def _missing_methods(cls: type) -> list[str]:
    # MKR's trainer, which RecBole takes by the name of a class, asks for losses of another name.
    losses = ["calculate_loss"] if not hasattr(cls, "calculate_rs_loss") else []
    scores = ["predict"] if is_missing(cls, "full_sort_predict") else []
    own = [name for name, value in _members(cls).items() if isinstance(value, FunctionType)]
    wrong = []
    for method in (*losses, *scores):
        if is_missing(cls, method):
            guess = nearest(method, [name for name in own if not name.startswith("__") and name not in GIVES])
            meant = f" (is it {guess}?)" if guess else ""
            wrong.append(
                f"the method {method}(self, interaction) is missing{meant}, which gives {GIVES[method]}"
            )
    left = sorted(getattr(cls, "__abstractmethods__", ()))
    if left:
        wrong.append(f"its methods {', '.join(left)} are abstract")
    return wrong


def _members(cls: type) -> dict[str, Any]:
    """What a class and its parents have that is neither RecBole's nor torch's."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] not in ("recbole", "burnish", "torch", "builtins"):
            found |= vars(base)
    return found


def _wrong_signatures(cls: type) -> list[str]:
    wrong = []
    members = _members(cls)
    for method, arguments in (
        ("__init__", ("config", "dataset")),
        *((name, ("interaction",)) for name in GIVES),
    ):
        if method not in members:
            continue
        called = f"{method}({', '.join(arguments)})"
        value = members[method]
        function = _function(value)
        if not callable(value) and function is None:
            wrong.append(
                f"{method} is a {type(value).__name__}, and RecBole calls it: write def {method}(self, "
                f"{', '.join(arguments)})"
            )
            continue
        bound = () if isinstance(value, staticmethod) else (None,)
        try:
            signature = inspect.signature(value if function is None else function)
        except (ValueError, TypeError):
            continue
        if function is None:  # an object with __call__ is not bound to the model
            bound = ()
        try:
            signature.bind(*bound, *arguments)
        except TypeError as error:
            wrong.append(
                f"{method}{signature}{home_of(cls, method)} cannot be called as RecBole does, {called} ({error}): "
                f"write def {method}(self, {', '.join(arguments)})"
            )
        if function is not None and inspect.iscoroutinefunction(function):
            wrong.append(f"{method}{home_of(cls, method)} is asynchronous; write def without async")
    return wrong


def _function(value: Any) -> FunctionType | None:
    inner = getattr(value, "__func__", value)
    return inner if isinstance(inner, FunctionType) else None
