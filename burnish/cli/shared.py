"""What the verbs share: how one is registered, options that several have, the format of their output."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from .compound import EitherWay, compound
from .failures import guarded

# ---------------------------------------------------------------------- verbs


def add_verb(
    app: typer.Typer,
    verb: Callable[..., None],
    epilog: str | None = None,
    *,
    recbole_options: bool = False,
    threads: bool = False,
    command: type[TyperCommand] | None = None,
) -> None:
    """Register a verb under its function's name, with - for _.

    A parameter that is a dataclass stands for one option a field.

    recbole_options: it also takes options that it does not declare, in `context.args`.
    threads: it also has --threads, and works with so many; one that trains has the option itself.
    """
    settings = {"allow_extra_args": True, "ignore_unknown_options": True} if recbole_options else None
    flat = with_threads(unfolded(verb)) if threads else unfolded(verb)
    app.command(verb.__name__.replace("_", "-"), cls=command, epilog=epilog, context_settings=settings)(
        guarded(flat)
    )


def with_threads(flat: Callable[..., None]) -> Callable[..., None]:
    """An unfolded verb with the option --threads: it works with so many torch threads."""
    own = inspect.signature(flat).parameters.values()
    option = inspect.Parameter("threads", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Threads)

    @functools.wraps(flat)
    def threaded(*, threads: int | None, **given: Any) -> None:
        if threads is None:
            flat(**given)
            return
        from burnish.training.session import torch_threads

        with torch_threads(threads):
            flat(**given)

    vars(threaded)["__signature__"] = inspect.Signature([*own, option])
    threaded.__annotations__ = {one.name: one.annotation for one in (*own, option)}
    return threaded


def unfolded(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb as typer wants it: in the place of a parameter that is a dataclass its fields, and so on inside it.

    In the place of one that can be given in several ways (`compound`) stand these.
    """
    hints = get_type_hints(verb, include_extras=True)
    own = inspect.signature(verb).parameters.values()
    defaults = {one.name: one.default for one in own}
    parameters = list(_unfolded(defaults.items(), hints))

    @functools.wraps(verb)
    def flat(**given: Any) -> None:
        verb(**{name: _folded(hints[name], name, default, given) for name, default in defaults.items()})

    vars(flat)["__signature__"] = inspect.Signature(parameters)
    flat.__annotations__ = {one.name: one.annotation for one in parameters}
    return flat


def _unfolded(defaults: Iterable[tuple[str, Any]], hints: Mapping[str, Any]) -> Iterator[inspect.Parameter]:
    for name, default in defaults:
        kind = hints[name]
        several = compound(kind)
        if several is not None:
            yield from several.parameters(name, required=_is_required(default))
        elif is_dataclass(kind):
            inside = ((field.name, field.default) for field in fields(kind))
            yield from _unfolded(inside, get_type_hints(kind, include_extras=True))
        else:
            default = inspect.Parameter.empty if default is MISSING else default
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _folded(kind: Any, name: str, default: Any, given: Mapping[str, Any]) -> Any:
    several = compound(kind)
    if several is not None:
        return several.value(name, given, required=_is_required(default))
    if not is_dataclass(kind):
        return given[name]
    group: Any = kind
    hints = get_type_hints(kind, include_extras=True)
    return group(**{one.name: _folded(hints[one.name], one.name, one.default, given) for one in fields(kind)})


def _is_required(default: Any) -> bool:
    return default is MISSING or default is inspect.Parameter.empty


# ---------------------------------------------------------------------- options


def quiet_option(help: str) -> Any:
    """The option that says less."""
    return typer.Option("--quiet", "-q", help=help)


def output_option(help: str) -> Any:
    """The option that names the file or folder to write."""
    return typer.Option("--output", "--out", "-o", help=help)


def out_option(help: str) -> Any:
    """As `output_option`; help shows the short name first, where a verb's examples have it."""
    return typer.Option("--out", "--output", "-o", help=help)


def format_option(help: str) -> Any:
    """The option that names a format."""
    return typer.Option("--format", "-f", help=help)


def data_path_option(help: str) -> Any:
    """The option that says where data lie."""
    return typer.Option("--data-path", "--data_path", help=help)


def config_files_option(help: str) -> Any:
    """The option that names RecBole's YAML files."""
    return typer.Option("--config-files", "--config_files", "-c", help=help)


def run_given(help: str) -> EitherWay:
    """The run that a verb reads: RUN, or --run RUN."""
    return EitherWay(("--run", "-r"), "RUN", help)


Run = Annotated[Path, run_given("Folder of a run (burnish run --output), or a checkpoint with --trust.")]
Dataset = Annotated[
    str | None, typer.Option("--dataset", "-d", help="Name of a RecBole data set, such as ml-100k.")
]
DataPath = Annotated[Path | None, data_path_option("Where the data set's folder is now.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Unpickle a checkpoint, or import a run's classes: can execute code.")
]
RunModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Your own model class of the run, which needs no --trust then: FILE.py:Class or package.module:Class.",
    ),
]
State = Annotated[
    str,
    typer.Option("--state", help="latest: after everything known; test: as the test evaluation sees a user."),
]
TitleField = Annotated[
    str | None, typer.Option("--title-field", help="Column of the .item file to show as the title.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Torch threads; by default as many as there are cores."),
]
Quiet = Annotated[bool, quiet_option("Print the result only.")]
NamesOnly = Annotated[bool, quiet_option("Names only, one a line.")]
Silent = Annotated[bool, quiet_option("Say nothing.")]


def share_of(shard: str) -> tuple[int, int]:
    """Which part, from 0, of how many `--shard I/N` stands for.  Raises `ConfigurationError` for anything else."""
    from burnish.errors import ConfigurationError

    number, _, of = shard.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ConfigurationError(f"--shard {shard!r}: say I/N, with I from 1 to N, such as 2/4")
    return int(number) - 1, int(of)


# ---------------------------------------------------------------------- output


def format_of_suffix(output: Path, by_suffix: Mapping[str, str]) -> str:
    """The format that the suffix of a file names; `ConfigurationError` for one that names none that can be written.

    by_suffix: the first suffix of a format is the one that people are told.
    """
    suffix = output.suffix.lower()
    if suffix not in by_suffix:
        from burnish.errors import ConfigurationError

        first: dict[str, str] = {}
        for one, format in by_suffix.items():
            first.setdefault(format, one)
        names = list(first.values())
        raise ConfigurationError(
            f"{output}: the suffix {output.suffix!r} names no format that can be written here; give "
            f"{', '.join(names[:-1])} or {names[-1]}, or say --format"
        )
    return by_suffix[suffix]


def choose_format(
    format: str | None, output: Path | None, *, shown: Sequence[str] = (), written: Sequence[str] = ()
) -> str:
    """The format asked for, else the one that the file's suffix names, else the first of those on the screen.

    Parameters
    ----------
    format
        What was asked for.
    output
        The file; None for the screen.
    shown, written
        The formats for the screen and for files.  Nothing to show and nothing asked for: the empty text.

    Raises
    ------
    typer.BadParameter
        For a format that needs a file.
    UnknownNameError
        For a format that does not exist.
    ConfigurationError
        For a suffix that says nothing.
    """
    if output is not None:
        from burnish.files.tables import format_of

        return format_of(output, format, written)
    if format is None:
        return next(iter(shown), "")
    if format in written and format not in shown:
        raise typer.BadParameter(f"{format} needs a file: give --out", param_hint="--format")
    if format not in shown:
        from burnish.errors import unknown_name

        raise unknown_name("format", format, dict.fromkeys([*shown, *written]))
    return format
