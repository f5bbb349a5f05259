"""Classes that are made at run time and yet can be pickled: by the call that makes them.

RecBole's checkpoint pickles its Config with the model class in it, so an enhanced class must survive pickling.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any


class RecipeType(type):
    """Metaclass of classes made at run time.  `recipe` is the function and the arguments that make the class."""

    recipe: tuple[Callable[..., Any], tuple[Any, ...]]


def is_made(cls: type) -> bool:
    """Whether a class was itself made from a recipe; one that somebody derived from it was not."""
    return isinstance(cls, RecipeType) and "recipe" in vars(cls)


def _reduce(cls: RecipeType) -> str | tuple[Callable[..., Any], tuple[Any, ...]]:
    return cls.recipe if is_made(cls) else cls.__qualname__


copyreg.pickle(RecipeType, _reduce)
