"""Arguments that people give in more than one way: a run as RUN or --run RUN, ids as --users a,b or one by one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, get_args, get_origin

import typer


class Compound(Protocol):
    """In the annotation of a verb's parameter: it is several on the command line, of which its value is made."""

    def parameters(self, name: str, *, required: bool) -> Iterator[inspect.Parameter]:
        """What the command line has in the place of the parameter `name`."""
        ...

    def value(self, name: str, given: Mapping[str, Any], *, required: bool) -> Any:
        """The parameter's value, from theirs."""
        ...


def compound(annotation: Any) -> Compound | None:
    """The `Compound` in an annotation; None where there is none."""
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return next((part for part in parts[1:] if isinstance(part, EitherWay | Ids)), None)
    # Python 3.10 makes Optional[Annotated[...]] of a parameter whose default is None.
    inside = (compound(part) for part in parts if get_origin(part) is Annotated)
    return next((found for found in inside if found is not None), None)


@dataclass(frozen=True)
class EitherWay:
    """A path that is given by its place or by an option; twice only where both are the same.

    option: its long and, if it has one, its short name.  metavar, help: what the help shows.
    """

    option: tuple[str, ...]
    metavar: str
    help: str

    def parameters(self, name: str, *, required: bool) -> Iterator[inspect.Parameter]:
        """The argument and the option.  Neither is required of typer, which could not know that one will do."""
        metavar = self.metavar if required else f"[{self.metavar}]"
        by_place = typer.Argument(metavar=metavar, help=self.help, show_default=False)
        by_name = typer.Option(*self.option, help=f"The same as {self.metavar}, by name.")
        yield _parameter(name, Annotated[Path | None, by_place], None)
        yield _parameter(self._named(name), Annotated[Path | None, by_name], None)

    def value(self, name: str, given: Mapping[str, Any], *, required: bool) -> Path | None:
        """The path.

        Raises `typer.BadParameter` where none or two different ones are given.
        """
        first: Path | None = given[name]
        second: Path | None = given[self._named(name)]
        hint = f"{self.metavar} / {self.option[0]}"
        if first is not None and second is not None and first.resolve() != second.resolve():
            raise typer.BadParameter(
                f"{str(first)!r} and {str(second)!r} are two; give one of them", param_hint=hint
            )
        chosen = second if first is None else first
        if chosen is None and required:
            raise typer.BadParameter(f"give one: {self.help}", param_hint=hint)
        return chosen

    @staticmethod
    def _named(name: str) -> str:
        return f"{name}_by_name"


@dataclass(frozen=True)
class Ids:
    """Original ids of users or items: --users a,b and --users a --users b; --user takes an id whole, commas and all.

    one: "user" or "item".  short: the short name of the plural.  help: what the help shows.
    alone: why there can be one only, which is taken whole; empty where there can be several.
    """

    one: str
    short: str
    help: str
    alone: str = ""

    def parameters(self, name: str, *, required: bool) -> Iterator[inspect.Parameter]:
        """The plural, whose texts are split at commas, and the singular, whose texts are not."""
        if self.alone:
            names = (f"--{self.one}", f"--{self.one}s", self.short)
            option = typer.Option(*names, help=self.help, show_default=False)
            yield _parameter(name, Annotated[list[str] | None, option], None)
            return
        several = typer.Option(f"--{self.one}s", self.short, help=self.help, show_default=False)
        whole = typer.Option(
            f"--{self.one}",
            help=f"One {self.one}, whole: an id may have commas. Several times for several.",
            show_default=False,
        )
        yield _parameter(name, Annotated[list[str] | None, several], None)
        yield _parameter(self._whole(name), Annotated[list[str] | None, whole], None)

    def value(self, name: str, given: Mapping[str, Any], *, required: bool) -> list[str] | str | None:
        """The ids, each once; the one where there can be one only; None where neither option was given.

        Raises `typer.BadParameter` where none is named: for options without an id, and where there has to be one.
        """
        if self.alone:
            return self._only(given[name] or [])
        texts, whole = given[name] or [], given[self._whole(name)] or []
        # With the blanks around them, as some ids have.
        words = [word for text in texts for word in text.split(",")] + whole
        ids = list(dict.fromkeys(word for word in words if word.strip()))
        if not ids and (required or texts or whole):
            raise typer.BadParameter(
                f"no {self.one} is named; give original ids, such as --{self.one}s 196,186",
                param_hint=f"--{self.one}s",
            )
        return ids or None

    def _only(self, given: list[str]) -> str | None:
        if len(set(given)) > 1:
            raise typer.BadParameter(
                f"{', '.join(given)}: give one; {self.alone}", param_hint=f"--{self.one}"
            )
        return given[0] if given else None

    @staticmethod
    def _whole(name: str) -> str:
        return f"{name}_whole"


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
