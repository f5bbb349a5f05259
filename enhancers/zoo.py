"""Names of backbones: RecBole's own models, those that other packages announce, and places of classes of one's own."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path

from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError, unknown_name
from burnish.installation import missing_recbole
from burnish.own.announced import entry_points
from burnish.own.classes import beside_as, find_own, is_place, place_of
from burnish.own.models import check_model_class

from .enhancer import Enhancer

#: Other packages add backbones to this entry-point group: name = "package.module:ModelClass".
ENTRY_POINT_GROUP = "burnish.backbones"

#: Categories of backbones that are not RecBole's: burnish's own by what they read, and those of other packages.
OUTSIDE = ("ratings", "reviews", "graphs", "plug-in")

#: What a backbone of each category needs, in words.
NEEDS = {
    "general": "who interacted with what",
    "sequential": "interactions and when they were",
    "context": "labels of interactions; columns of users and items",
    "knowledge": "a knowledge graph beside the interactions",
    "exlib": "labels and columns, and a package of its own (xgboost, lightgbm)",
    "ratings": "ratings; burnish's own, trained by squared error",
    "reviews": "ratings and a file of reviews; burnish's own, trained by squared error",
    "graphs": "interactions, and what lies beside them: columns, .kg, .net; burnish's own",
    "plug-in": "what its package says",
}

_CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)


@lru_cache(maxsize=1)
def _recbole_models() -> dict[str, str]:
    spec = importlib.util.find_spec("recbole")
    if spec is None or spec.origin is None:
        raise missing_recbole()
    categories: dict[str, str] = {}
    for folder in sorted((Path(spec.origin).parent / "model").glob("*_recommender")):
        category = folder.name.removesuffix("_recommender").removesuffix("_aware")
        for file in sorted(folder.glob("*.py")):
            # RecBole finds a model by the lower-cased name of its module, so this is its own rule.
            for name in _CLASS.findall(file.read_text(encoding="utf-8")):
                if name.lower() == file.stem:
                    categories[name] = category
    return categories


def list_backbones() -> dict[str, str]:
    """Every backbone by name, with its category: general, sequential, context, knowledge, exlib, or one of `OUTSIDE`.

    `NEEDS` says what each category needs.
    """
    categories = dict(_recbole_models())
    for point in entry_points(group=ENTRY_POINT_GROUP):
        categories.setdefault(point.name, _category(point.name, point.value))
    return categories


def _category(name: str, place: str) -> str:
    """Of a backbone from outside RecBole, without importing it."""
    if not place.startswith("burnish.backbones."):
        return "plug-in"
    return {"EMF": "ratings", "NeighbourMeans": "graphs", "PathWalks": "graphs"}.get(name, "reviews")


def _packages(category: str, error: ImportError) -> str:
    # RecBole imports both as soon as one of them is asked for.
    return "lightgbm xgboost" if category == "exlib" else error.name or "it"


def find_backbone(name: str | type) -> type:
    """The model class of that name, or of that place: `package.module:Class` or `path/to/file.py:Class`.

    A class stands for itself.  The module of a place is imported (see `burnish.own.classes`).

    Raises `UnknownNameError` (with the nearest name), `UnsupportedError` when the model needs a package that is not
    installed or the class is not a RecBole model's, and `ConfigurationError` for an enhancer's class and for a class of
    a person's own that cannot be trained as it is (`burnish.own.models`).
    """
    if isinstance(name, type):
        if issubclass(name, Enhancer):
            raise ConfigurationError(
                f"{name.__name__} is an enhancer, not a backbone; attach it to one: enhancers={name.__name__}"
            )
        check_model_class(name)
        return name
    if not isinstance(name, str):
        raise ConfigurationError(
            f"model = a {type(name).__name__}: give the name of a backbone, its class (not a model that is made), or "
            f"where the class is, as in mine.py:Tower"
        )
    if is_place(name):
        return _own_backbone(name)
    known = list_backbones()
    if name not in known:
        place = beside_as(name)
        if place is not None:
            raise UnknownNameError(f"backbone {name!r} is not known. Did you mean {place}?")
        raise unknown_name("backbone", name, known, cure="`burnish models` lists all of them.")
    if known[name] in OUTSIDE:
        return next(p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name == name).load()
    from recbole.utils import get_model

    try:
        return get_model(name)
    except ImportError as error:
        raise UnsupportedError(
            f"backbone {name!r} needs a package that is not installed: {error}. "
            f"Install it and try again: pip install {_packages(known[name], error)}."
        ) from error


def backbone_name(cls: type) -> str:
    """How a plain backbone class is called: a known backbone's name, or `module:Class`."""
    if cls.__name__ in list_backbones() and find_backbone(cls.__name__) is cls:
        return cls.__name__
    return place_of(cls)


def _own_backbone(place: str) -> type:
    cls = find_own(place, "RecBole model class", is_model)
    if issubclass(cls, Enhancer):
        raise ConfigurationError(
            f"{place} is an enhancer, not a backbone; attach it to one: --enhancers {place} (enhancers={place!r})"
        )
    if not is_model(cls):
        raise UnsupportedError(
            f"{place} is not a RecBole model class; a backbone derives from GeneralRecommender, SequentialRecommender "
            f"or another class of recbole.model.abstract_recommender"
        )
    check_model_class(cls)
    return cls


def is_model(cls: type) -> bool:
    """Whether a class is a RecBole model's."""
    from recbole.model.abstract_recommender import AbstractRecommender

    return issubclass(cls, AbstractRecommender)
