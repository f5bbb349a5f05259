"""What the verbs share: options out of a dataclass, and the format of the output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from burnish.cli.shared import add_verb, choose_format
from burnish.errors import ConfigurationError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Options inside the others."""

    depth: Annotated[int, typer.Option("--depth", "-d", help="How deep.")] = 3
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    """The options of a verb."""

    source: Annotated[Path, typer.Argument(help="What is read.")]
    first: bool = False
    inner: Inner
    last: Annotated[float, typer.Option("--last")] = 0.5


class TestUnfolded:
    def call(self, *words: str) -> tuple[Any, list[Outer], list[str]]:
        options_given: list[Outer] = []
        rest: list[str] = []

        def verb(context: typer.Context, options: Outer) -> None:
            """What it does."""
            options_given.append(options)
            rest.extend(context.args)

        app = typer.Typer(add_completion=False)
        add_verb(app, verb, "An example.", recbole_options=True)
        return CliRunner().invoke(app, list(words)), options_given, rest

    def test_values_come_back_in_their_dataclasses(self) -> None:
        done, options, rest = self.call("here", "-d", "5", "--name", "x", "--first", "--epochs", "3")
        assert done.exit_code == 0, done.output
        assert options == [Outer(source=Path("here"), first=True, inner=Inner(depth=5, name="x"))]
        assert rest == ["--epochs", "3"]

    def test_defaults(self) -> None:
        done, options, _ = self.call("here")
        assert done.exit_code == 0, done.output
        assert options == [Outer(source=Path("here"), inner=Inner())]

    def test_a_required_one_stays_required(self) -> None:
        assert self.call()[0].exit_code == 2

    def test_help_keeps_their_order(self) -> None:
        shown = self.call("--help")[0].output
        places = [shown.index(word) for word in ("What it does", "--first", "--depth", "--name", "--last")]
        assert places == sorted(places)
        assert "How deep." in shown
        assert "An example." in shown


SHOWN, WRITTEN = ("table", "csv"), ("csv", "parquet")


@pytest.mark.parametrize(
    ("format", "output", "shown", "chosen"),
    [
        (None, None, SHOWN, "table"),
        ("csv", None, SHOWN, "csv"),
        (None, None, (), ""),
        (None, Path("a.parquet"), SHOWN, "parquet"),
        ("csv", Path("a.parquet"), SHOWN, "csv"),
    ],
)
def test_formats(format: str | None, output: Path | None, shown: tuple[str, ...], chosen: str) -> None:
    assert choose_format(format, output, shown=shown, written=WRITTEN) == chosen


@pytest.mark.parametrize(
    ("format", "output", "error", "says"),
    [
        ("parquet", None, typer.BadParameter, "parquet needs a file: give --out"),
        ("parqet", None, UnknownNameError, "Did you mean 'parquet'"),
        ("table", Path("a.csv"), UnknownNameError, "format 'table' is not known"),
        (None, Path("a.xlsx"), ConfigurationError, "suffix '.xlsx'"),
    ],
)
def test_formats_that_cannot_be(
    format: str | None, output: Path | None, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        choose_format(format, output, shown=SHOWN, written=WRITTEN)
