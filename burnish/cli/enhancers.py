"""`burnish enhancers`: what can be attached, and with which options."""

from __future__ import annotations

from collections.abc import Iterable
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from .screen import Screen
from .shared import NamesOnly

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from rich.table import Table

    from burnish.enhancers.registry import EnhancerInfo

EPILOG = "Example: burnish enhancers rvrec"


def enhancers(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="Only this one, with its full description. Your own: FILE.py:Class."),
    ] = None,
    quiet: NamesOnly = False,
) -> None:
    """List the enhancers: what each does, its options with their defaults, and the package that brings it."""
    from burnish.enhancers.registry import find_enhancer, list_enhancers

    screen = Screen.of(context, quiet)
    if name is not None:
        name = find_enhancer(name).name  # raises with the nearest name
    known = list_enhancers()
    if name is not None:
        known = {name: known[name]}
    if screen.quiet:
        screen.write("\n".join(known))
        return
    for info in known.values():
        show(screen, info, full=name is not None)


def show(screen: Screen, info: EnhancerInfo, *, full: bool) -> None:
    """Name, source, description and options.  A plug-in that does not load is named with its error."""
    try:
        cls = info.load()
    except Exception as error:
        from burnish.installation import broken_library

        if broken_library(error) is not None:  # nothing else would load either
            raise
        screen.results.print(f"{info.name} (from {info.source})", style="bold")
        screen.results.print(f"  cannot be loaded: {type(error).__name__}: {error}\n")
        return
    screen.results.print(f"{info.name} (from {info.source})", style="bold")
    text = info.description if full else info.summary
    screen.results.print(text)
    screen.results.print(option_table(cls.Config.model_fields))
    screen.results.print()


def option_table(fields: dict[str, FieldInfo]) -> Table:
    """One row an option: name, default, type with its limits, description."""
    from rich.table import Table

    table = Table("option", "default", "type", "meaning")
    for name, field in fields.items():
        table.add_row(name, default_of(field), type_of(field), field.description or "")
    return table


def default_of(field: FieldInfo) -> str:
    """The default as one would type it, here or in YAML, or "required"."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def type_of(field: FieldInfo) -> str:
    """The type of an option and its limits: `float, >= 0`, `int | null`, `user | item | both`."""
    return ", ".join([type_name(field.annotation), *_limits(field.metadata)])


def _limits(rules: Iterable[Any]) -> list[str]:
    """Limits of numbers, of pydantic's rules and of those that a `Field` within a type has."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    single = [part for rule in rules for part in (getattr(rule, "metadata", None) or [rule])]
    return [
        f"{sign} {getattr(rule, attribute):g}"
        for rule in single
        for attribute, sign in signs.items()
        if getattr(rule, attribute, None) is not None
    ]


def type_name(annotation: Any) -> str:
    """A type in the words of YAML; the choices of a Literal; Python's words where neither fits."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (Union, UnionType):
        return " | ".join(type_name(part) for part in arguments)
    if origin is Annotated:
        return ", ".join([type_name(arguments[0]), *_limits(arguments[1:])])
    if origin is tuple and arguments[1:] == (...,):
        return f"list of {type_name(arguments[0])}"
    if annotation is type(None):
        return "null"
    plain = isinstance(annotation, type) and origin is None
    return annotation.__name__ if plain else str(annotation).replace("typing.", "")
