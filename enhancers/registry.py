"""Names of enhancers: those that burnish ships, those that other packages announce, and places of one's own."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any

from torch import nn

from burnish.errors import BurnishError, ConfigurationError, UnknownNameError, unknown_name
from burnish.own.announced import entry_points
from burnish.own.classes import beside_as, find_own, is_place, place_of

from .enhancer import Enhancer
from .own_hooks import check_enhancer_class, warn_of_no_hook

#: Other packages add enhancers to this entry-point group: name = "package.module:EnhancerClass".
ENTRY_POINT_GROUP = "burnish.enhancers"

#: Where a section of a docstring begins: a heading, underlined.
_SECTION = re.compile(r"^\w[\w ]*\n-{3,}$", re.MULTILINE)

_registered: dict[str, type[Enhancer[Any]]] = {}
_looked_up: dict[str, EnhancerInfo] | None = None

Spec = str | Mapping[Any, Any] | Iterable["str | Enhancer[Any] | type[Enhancer[Any]]"] | None


@dataclass(frozen=True)
class EnhancerInfo:
    """One known enhancer: its name, the package that brings it, and how to load its class."""

    name: str
    source: str
    load: Callable[[], type[Enhancer[Any]]]

    @property
    def summary(self) -> str:
        """The first line of the class's docstring; empty where it has none."""
        return self.description.partition("\n")[0]

    @property
    def description(self) -> str:
        """The class's docstring up to its first section (Parameters, ...); empty where it has none."""
        return _SECTION.split(inspect.cleandoc(self.load().__doc__ or ""))[0].strip()


def register(cls: type[Enhancer[Any]]) -> type[Enhancer[Any]]:
    """Class decorator: make an enhancer known by its `name` in this process (notebooks, tests, scripts).

    Packages announce theirs by an entry point instead.  Raises `ConfigurationError` for a missing, ill-formed
    or taken name.
    """
    check_name(cls)
    name = cls.name
    taken = _registered.get(name)
    if taken is not None and taken.__qualname__ != cls.__qualname__:
        raise ConfigurationError(
            f"the enhancer name {name!r} is already taken by {taken!r}; choose another one"
        )
    _registered[name] = cls
    return cls


def check_name(cls: type[Enhancer[Any]]) -> None:
    """Raises `ConfigurationError` unless the class has a name that an enhancer can have, and is fit to be one."""
    check_enhancer_class(cls)
    name: Any = cls.name
    if (
        not isinstance(name, str)
        or not name.isidentifier()
        or name != name.lower()
        or hasattr(nn.ModuleDict, name)
    ):
        raise ConfigurationError(
            f"{cls.__name__}.name = {name!r}: an enhancer's name is a lower-case identifier, such as 'rvrec', and "
            f"no method of torch's ModuleDict"
        )


@contextmanager
def registered(classes: Iterable[type[Enhancer[Any]]]) -> Iterator[None]:
    """Make enhancers known by their names while the block runs, whatever had these names before."""
    before = dict(_registered)
    _registered.update({cls.name: cls for cls in classes})
    try:
        yield
    finally:
        _registered.clear()
        _registered.update(before)


@lru_cache(maxsize=256)
def _from_entry_point(point: EntryPoint) -> EnhancerInfo:
    source = point.dist.name if point.dist is not None else point.value.split(".")[0]
    return EnhancerInfo(point.name, source, point.load)


def _installed() -> dict[str, EnhancerInfo]:
    return {point.name: _from_entry_point(point) for point in entry_points(group=ENTRY_POINT_GROUP)}


@contextmanager
def looked_up_once() -> Iterator[None]:
    """While this is open, installed packages are looked through once, not at every name: that takes milliseconds."""
    global _looked_up
    before, _looked_up = _looked_up, _installed()
    try:
        yield
    finally:
        _looked_up = before


def list_enhancers() -> dict[str, EnhancerInfo]:
    """Every known enhancer by name.  A name registered in this process comes before an installed one."""
    known = dict(_installed() if _looked_up is None else _looked_up)
    for name, cls in _registered.items():
        known[name] = EnhancerInfo(name, cls.__module__, lambda cls=cls: cls)  # type: ignore[misc]
    return dict(sorted(known.items()))


def is_own(cls: type[Enhancer[Any]]) -> bool:
    """Whether a class is neither burnish's nor announced by a package."""
    if cls.__module__.partition(".")[0] == "burnish":
        return False
    announced = (_installed() if _looked_up is None else _looked_up).get(cls.name)
    return announced is None or announced.load() is not cls


def find_enhancer(name: str) -> type[Enhancer[Any]]:
    """The enhancer class of that name, or of that place: `package.module:Class` or `path/to/file.py:Class`.

    The module of a place is imported (see `burnish.own.classes`), and the class is known by its `name` from then on.

    Raises `UnknownNameError` with the nearest name, and `ConfigurationError` for a class that is no enhancer, or whose
    name another one has.
    """
    if is_place(name):
        return _own_enhancer(name)
    known = list_enhancers()
    if name not in known:
        place = beside_as(name)
        if place is not None:
            raise UnknownNameError(f"enhancer {name!r} is not known. Did you mean {place}?")
        raise unknown_name("enhancer", name, known, cure="`burnish enhancers` describes all of them.")
    return known[name].load()


def _own_enhancer(place: str) -> type[Enhancer[Any]]:
    cls = find_own(place, "enhancer", lambda one: issubclass(one, Enhancer))
    if not issubclass(cls, Enhancer):
        from recbole.model.abstract_recommender import AbstractRecommender

        cure = (
            f"it is a model: give it as the backbone (--model {place})"
            if issubclass(cls, AbstractRecommender)
            else "one derives from burnish.Enhancer (docs/attach.md)"
        )
        raise ConfigurationError(f"{place} is not an enhancer; {cure}")
    return _known_by_its_name(cls, place)


def _known_by_its_name(cls: type[Enhancer[Any]], place: str) -> type[Enhancer[Any]]:
    """Register a class that was not named by its name; `ConfigurationError` where another one has it."""
    check_name(cls)
    warn_of_no_hook(cls)
    known = list_enhancers().get(cls.name)
    # Of the same place: a cell of a notebook that was run again.
    if known is not None and place_of(other := known.load()) != place_of(cls):
        raise ConfigurationError(
            f"{place} has the name {cls.name!r}, which another enhancer has, {place_of(other)}; give it another `name`"
        )
    return register(cls)


def named_block(block: Mapping[Any, Any]) -> dict[Any, Any]:
    """A block of enhancers by their names: places and classes of one's own are imported, and stand by their `name`.

    Raises `ConfigurationError` for one that is given twice, and what `find_enhancer` raises for a place.
    """
    named: dict[Any, Any] = {}
    for key, options in block.items():
        name = key
        if is_place(key):
            name = find_enhancer(key).name
        elif isinstance(key, type) and issubclass(key, Enhancer):
            name = _known_by_its_name(key, place_of(key)).name
        if name in named:
            raise ConfigurationError(
                f"enhancer {name!r} is given twice; give it once, with all of its options"
            )
        named[name] = options
    return named


def make_enhancers(spec: Spec) -> list[Enhancer[Any]]:
    """Enhancers from what people write.

    spec: a YAML block `{"rvrec": {"weight": 0.1}}` (an empty value means defaults, false means leave it out),
        a string `"rvrec,guided"`, a list of names or of enhancers, or None.  A place of a class of one's own
        (`own.py:Gain`) or the class itself stands for a name.
    Raises `UnknownNameError` or `ConfigurationError` with the name of the enhancer and of the option.
    """
    if spec is None:
        return []
    if not isinstance(spec, str | Mapping | Iterable):
        raise ConfigurationError(
            f"enhancers = {spec!r}: give names, as in rvrec,guided, or a block {{rvrec: {{weight: 0.1}}}}"
        )
    if isinstance(spec, str):
        spec = [name.strip() for name in spec.split(",") if name.strip()]
    if not isinstance(spec, Mapping):
        enhancers = [item if isinstance(item, Enhancer) else _make(item, None) for item in spec]
    else:
        enhancers = [_make(name, options) for name, options in spec.items() if options is not False]
    names = [enhancer.name for enhancer in enhancers]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"enhancer {name!r} is given twice; give it once, with all of its options"
            )
    return enhancers


def _check_text(name: Any, where: str) -> None:
    """Names of enhancers and options are text, which YAML's 1, on and no are not."""
    if not isinstance(name, str):
        raise ConfigurationError(
            f"{where}: the name {name!r} is a {type(name).__name__}, not a text; write it as a name, such as rvrec"
        )


def _make(name: Any, options: Any) -> Enhancer[Any]:
    if isinstance(name, type) and issubclass(name, Enhancer):
        cls, name = _known_by_its_name(name, place_of(name)), name.name
    else:
        _check_text(name, "enhancers")
        cls = find_enhancer(name)
    if options is None or options is True:
        options = {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"enhancers: {name}: {options!r} is not a set of options; write `{name}: {{option: value}}` or `{name}:`"
        )
    for option in options:
        _check_text(option, f"enhancers: {name}")
    try:
        return cls(**dict(options))
    except BurnishError:
        raise
    except Exception as error:
        if not is_own(cls):
            raise
        raise _not_made(cls, name, options, error) from error


def _not_made(
    cls: type[Enhancer[Any]], name: str, options: Mapping[str, Any], error: Exception
) -> ConfigurationError | UnknownNameError:
    """What is wrong with an enhancer of one's own that cannot be made: an option that it has not, or its code."""
    taken = inspect.signature(cls).parameters.values()
    named = [one.name for one in taken if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if not any(one.kind is one.VAR_KEYWORD for one in taken):
        for option in options:
            if option not in named:
                return unknown_name(f"enhancer {name!r}: option", option, named)
    at = traceback.extract_tb(error.__traceback__)[-1]
    return ConfigurationError(
        f"enhancer {name!r} cannot be made: {type(error).__name__} in {at.filename}, line {at.lineno}: {error}; mend "
        f"{cls.__qualname__}.__init__, or its options"
    )
