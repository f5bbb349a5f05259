"""Configuration that refuses what it does not know: strict pydantic models, and their errors as sentences."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from .errors import BurnishError, ConfigurationError, nearest, placed, unknown_name

ModelT = TypeVar("ModelT", bound=BaseModel)
#: pydantic's names of a fault: it would ask for "a valid tuple".
_LISTS = frozenset(("list_type", "tuple_type"))


class Strict(BaseModel):
    """Options: an unknown key is an error, and nothing is changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """pydantic would take true for 1."""
        place = _truth_for_number(_members(cls.model_fields[str(info.field_name)].annotation), value)
        if place is not None:
            where = f"{place}: " if place else ""
            raise ValueError(f"{where}give a number, not true or false")
        return value


def validated(
    model: type[ModelT],
    content: Mapping[str, Any],
    origin: str,
    *,
    kind: str = "option",
    secret: Sequence[str] = (),
) -> ModelT:
    """`content` as a `model`.

    Parameters
    ----------
    model
        The schema.
    content
        What a file, a call or the command line gave.
    origin
        What messages call the source: a file, "enhancer 'rvrec'".
    kind
        What messages call a key.
    secret
        Fields whose values are not shown, such as an address that may hold a password.

    Raises
    ------
    UnknownNameError
        For a key that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used: it names source, field, value and cure.

    Where several options are wrong, it is the first one's; the others' are its `others`.
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        found = faults(error, model, origin, kind=kind, secret=secret)
        first = found[0].error
        # A value that may be of several kinds has a fault for each of them: one is told.
        fields = {fault.place[:1]: fault.error for fault in reversed(found)}
        first.others = tuple(one for one in fields.values() if one is not first)[::-1]
        # A secret may stand in the original error too.
        raise first from (None if secret else error)


class CarriedError(ValueError):
    """An error of burnish's on its way out of a validator, where pydantic stops at what is no `ValueError`."""

    def __init__(self, error: BurnishError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def carried() -> Iterator[None]:
    """Within a validator: let an error of burnish's be one of the faults of the whole, with its class and its words."""
    try:
        yield
    except BurnishError as error:
        if isinstance(error, ValueError):
            raise
        raise CarriedError(error) from error


class KeysError(ValueError):
    """Several keys of one mapping that are wrong, each with why."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(next(iter(reasons.values())))
        self.reasons = dict(reasons)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, as pydantic tells it, and in words.

    meant: of a key that does not exist, the one that it is most like; None for other faults.
    missing: whether something is not there.
    """

    place: tuple[int | str, ...]
    error: BurnishError
    meant: str | None = None
    missing: bool = False


def faults(
    error: ValidationError, model: type[BaseModel], origin: str, *, kind: str, secret: Sequence[str] = ()
) -> list[Fault]:
    """All that is wrong, each in one sentence, keys that do not exist first; arguments as for `validated`."""
    listed = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    found: list[Fault] = []
    for one in listed:
        place = one["loc"]
        # A key that does not exist explains the missing one beside it.
        if one["type"] == "missing" and any(
            fault.place[:-1] == place[:-1] and fault.meant == place[-1] for fault in found
        ):
            continue
        found += _told(one, model, origin, kind, secret)
    return found


def _told(one: Any, model: type[BaseModel], origin: str, kind: str, secret: Sequence[str]) -> list[Fault]:
    """One of pydantic's errors in words: several, where it is of several keys."""
    place = one["loc"]
    field = ".".join(str(part) for part in place)
    if one["type"] == "extra_forbidden":
        inside = ".".join(str(part) for part in place[:-1])
        known = model_at(model, place[:-1]).model_fields
        key = str(place[-1])
        unknown = unknown_name(f"{origin}: {kind}{f' in {inside}' if inside else ''}", key, known)
        return [Fault(place, unknown, meant=nearest(key, known))]
    if one["type"] == "missing":
        text = f"{origin}: {field!r} is missing; it has no default, so give it"
        return [Fault(place, ConfigurationError(text), missing=True)]
    raised = one.get("ctx", {}).get("error")
    if isinstance(raised, CarriedError):
        return [Fault(place, placed(origin, raised.error))]
    value = one.get("input")
    shown = "" if isinstance(value, Mapping) or field in secret else f" = {value!r}"
    where = f"{origin}: {field}{shown}" if field else origin
    if isinstance(raised, KeysError):
        return [
            Fault((*place, key), ConfigurationError(f"{where}: {reason}"))
            for key, reason in raised.reasons.items()
        ]
    said = "give a list" if one["type"] in _LISTS else one["msg"].removeprefix("Value error, ")
    return [Fault(place, ConfigurationError(f"{where}: {said}"))]


def model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The schema of the part that a location in a pydantic error belongs to."""
    kinds: list[Any] = [model]
    for part in place:
        inner = [_step(kind, part) for kind in kinds]
        # A location also names the member of a union that was tried: not a step.
        kinds = [kind for steps in inner for kind in steps] or kinds
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return models[0] if models else model


def _step(kind: Any, part: int | str) -> list[Any]:
    """The types that may stand at one key or place of a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return [] if field is None else _members(field.annotation)
    origin, arguments = get_origin(kind), get_args(kind)
    if not isinstance(origin, type) or not arguments:  # a Literal's is no class
        return []
    if isinstance(part, int) and not issubclass(origin, Mapping):
        each = origin is tuple and arguments[-1] is not Ellipsis and part < len(arguments)
        return _members(arguments[part if each else 0])
    return _members(arguments[1]) if issubclass(origin, Mapping) else []


def _truth_for_number(kinds: list[Any], value: Any) -> str | None:
    """Where in a value true or false stands for a number, as in `ease = True`; empty for itself, None for nowhere.

    kinds: what the value may be.
    """
    if isinstance(value, bool):
        return "" if {int, float} & {*kinds} and bool not in kinds and Any not in kinds else None
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    for key, part in parts:
        # A schema looks by itself.
        inner = [one for kind in kinds if not _is_schema(kind) for one in _step(kind, key)]
        place = _truth_for_number(inner, part)
        if place is not None:
            return f"{key}.{place}" if place else f"{key} = {part!r}"
    return None


def _is_schema(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _members(kind: Any) -> list[Any]:
    """The members of a union, or the type alone."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [member for one in get_args(kind) for member in _members(one)]
    return [kind]
