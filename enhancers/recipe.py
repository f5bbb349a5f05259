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


def _reduce(cls: RecipeType) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return cls.recipe


copyreg.pickle(RecipeType, _reduce)
