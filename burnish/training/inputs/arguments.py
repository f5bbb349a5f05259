"""Arguments of Python functions as people type them: one file for a list of files, a file for a mapping of options."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from burnish.checks import short
from burnish.errors import ConfigurationError, UnknownNameError, nearest
from burnish.files.near import did_you_mean
from burnish.files.yamls import is_yaml, read_yaml

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def listed_files(given: Any, argument: str = "config_files") -> list[str]:
    """The files of an argument that takes one file or several; none for None.

    A text is one file, or, where there is no such file, several with commas between, as on the command line.

    Raises
    ------
    ConfigurationError
        For what names no file, and for a file that does not exist, with the nearest one.
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        raise ConfigurationError(
            f"{argument} = {short(given)}: these are options, not files; give them as config={{...}}"
        )
    several = _split(given) if isinstance(given, str) else given
    if isinstance(several, PathLike) or not isinstance(several, Iterable):
        several = [several]
    files = []
    for one in several:
        if not isinstance(one, str | PathLike) or not str(one).strip():
            raise ConfigurationError(
                f"{argument} = {short(given)}: {one!r} is no file; give paths of YAML files"
            )
        path = Path(one)
        if not path.exists():
            raise ConfigurationError(
                f"{argument}: config file {str(path)!r} does not exist.{did_you_mean(path, is_yaml)}"
            )
        files.append(str(one))
    return files


def _split(text: str) -> list[str]:
    if Path(text).is_file() or "," not in text:
        return [text]
    return [part.strip() for part in text.split(",") if part.strip()]


def options_of(given: Any, argument: str = "config") -> dict[str, Any]:
    """The options of an argument that takes a mapping; a path stands for those in that YAML file.

    Raises
    ------
    ConfigurationError
        For anything else, and for a file that cannot be read.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str | PathLike):
        if not is_yaml(Path(given)) and not Path(given).exists():
            raise ConfigurationError(
                f"{argument} = {short(str(given))}: give a mapping, as in {argument}={{'epochs': 20}}, or the path of "
                f"a YAML file"
            )
        return read_yaml(Path(given))
    more = "; YAML files go into config_files=[...]" if isinstance(given, list | tuple) else ""
    raise ConfigurationError(
        f"{argument} = {short(given)}: give a mapping, as in {argument}={{'epochs': 20}}{more}"
    )


def either(first: Any, second: Any, names: tuple[str, str], nothing: Any = None) -> Any:
    """The value of an argument that has two names.

    nothing: what stands for an argument that is not given.
    Raises `ConfigurationError` where both are given and differ.
    """
    if second is None:
        return first
    if first != nothing and first is not None and first != second:
        raise ConfigurationError(
            f"{names[0]} = {short(first)} and {names[1]} = {short(second)} are the same argument; give one of them"
        )
    return second


def ids_of(given: Any) -> list[str]:
    """Original ids as text, each once; a single one stands for a list of one, None for none."""
    if given is None:
        return []
    single = isinstance(given, str | int | float) or getattr(given, "ndim", 1) == 0  # a number of numpy's
    return list(dict.fromkeys(str(one) for one in ([given] if single else given)))


def if_several(ids: Iterable[str], option: str = "--users") -> str:
    """The hint that belongs to an unknown id with commas: several may have been meant.

    option: what takes several on the command line.
    """
    one = next((token for token in ids if "," in token), None)
    if one is None:
        return ""
    parts = [part.strip() for part in one.split(",")]
    words = shlex.quote(",".join(parts))
    return f" {one!r} was taken for one id; give several as a list, {parts!r} (on the command line {option} {words})."


def keywords_checked(
    where: str,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """A decorator: a keyword that the function does not have is an error that says where it belongs.

    where: the argument that takes RecBole's options.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        known = inspect.signature(function).parameters

        @functools.wraps(function)
        def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            for name in kwargs:
                if name not in known:
                    raise _unknown(function.__name__, name, kwargs[name], known, where)
            return function(*args, **kwargs)

        return checked

    return decorate


def _unknown(function: str, name: str, value: Any, known: Iterable[str], where: str) -> UnknownNameError:
    from burnish.training.options import OWN_OPTIONS, recbole_options

    if name in recbole_options() | OWN_OPTIONS:
        return UnknownNameError(
            f"{function}() has no argument {name!r}, which is an option: say {where}={{{name!r}: {short(value)}}}"
        )
    guess = nearest(name, known)
    hint = f"Did you mean {guess!r}? " if guess else ""
    return UnknownNameError(
        f"{function}() has no argument {name!r}. {hint}Options of models and of RecBole go into {where}={{...}}"
    )
