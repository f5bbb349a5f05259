"""Configuration that refuses what it does not know: strict pydantic models, and their errors as sentences."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from .errors import BurnishError, ConfigurationError, unknown_name

ModelT = TypeVar("ModelT", bound=BaseModel)


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
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        # A secret may stand in the original error too.
        raise readable(error, model, origin, kind=kind, secret=secret) from (None if secret else error)


def readable(
    error: ValidationError, model: type[BaseModel], origin: str, *, kind: str, secret: Sequence[str] = ()
) -> BurnishError:
    """The first thing that is wrong, in one sentence; arguments as for `validated`."""
    # A key that does not exist explains the missing one beside it.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = first["loc"]
    field = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        inside = ".".join(str(part) for part in place[:-1])
        known = model_at(model, place[:-1]).model_fields
        return unknown_name(f"{origin}: {kind}{f' in {inside}' if inside else ''}", str(place[-1]), known)
    if first["type"] == "missing":
        return ConfigurationError(f"{origin}: {field!r} is missing; it has no default, so give it")
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = "" if isinstance(value, Mapping) or field in secret else f" = {value!r}"
    return ConfigurationError(f"{origin}: {field}{shown}: {message}" if field else f"{origin}: {message}")


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
