"""Results and remarks go to different streams, and pipes get whole lines."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from burnish import cli
from burnish.cli.screen import PIPE_WIDTH, Screen, plain_console
from burnish.telling import counted


def test_remarks_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.say("a remark with [brackets]")
    screen.write("a result with [brackets]")
    shown = capsys.readouterr()
    assert shown.err == "a remark with [brackets]\n"
    assert shown.out == "a result with [brackets]\n"


TEXTS = [
    "i1[x]",
    "Metropolis [restored] [/b]",
    "[bold]loud[/bold]",
    "[/]",
    "[link=x]y[/link]",
    "a :star: b",
    "\\\\[c]",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids and titles come from data, and rich would take parts of them for styles and pictures."""
    table = Table(text, title=text, caption=text)
    table.add_column(text)
    table.add_row(text, text)
    screen = Screen()
    screen.results.print(table)
    screen.results.print(text)
    screen.write(text)
    screen.say(text)
    shown = capsys.readouterr()
    assert shown.out.count(text) == 8
    assert shown.err == f"{text}\n"


@pytest.mark.parametrize("text", TEXTS)
def test_bars_show_text_as_it_is(text: str) -> None:
    terminal = io.StringIO()
    console = plain_console(file=terminal, force_terminal=True, width=120)
    with Screen(notes=console).bar("items", total=4, note="{task.description}") as move:
        move(advance=3, description=text)
    assert text in terminal.getvalue()


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_control_characters_are_shown_and_not_done(on_a_terminal: bool) -> None:
    """A title may move the cursor, clear the screen, turn the line, or set the title of the window."""
    text = "a\x1b[2Jb\x1b]0;c\x07d\x9bm\u202ee\u2066f\u200fg"
    shown = io.StringIO()
    console = plain_console(file=shown, force_terminal=on_a_terminal, color_system=None, width=120)
    table = Table(title=Text(text), box=None)
    table.add_column("name")
    table.add_row(text)
    console.print(table)
    console.print(text)
    assert shown.getvalue().count("a\u241b[2Jb\u241b]0;c") == 3
    assert shown.getvalue().count("m\ufffde\ufffdf\ufffdg") == 3
    assert not set(shown.getvalue()) & set("\x1b\x07\x9b\u202e\u2066\u200f")


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_data_are_written_as_they_are(on_a_terminal: bool) -> None:
    """CSV into a pipe keeps each character; on a terminal people look at it."""
    shown = io.StringIO()
    screen = Screen(results=plain_console(file=shown, force_terminal=on_a_terminal, color_system=None))
    screen.write("i1,\x1b[31mRed\t\x07\u202e")
    plain = "i1,\x1b[31mRed\t\x07\u202e\n"
    assert (shown.getvalue() == plain) is not on_a_terminal
    assert ("\x1b" in shown.getvalue()) is not on_a_terminal


def test_every_console_of_the_command_line_shows_text_as_it_is() -> None:
    for file in Path(cli.__file__).parent.glob("*.py"):
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "Console" not in calls, f"{file.name}: make_console or plain_console, not rich's Console"


def test_quiet_leaves_results(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    screen.say("a remark")
    screen.write("a result")
    assert capsys.readouterr() == ("a result\n", "")


def test_text_is_never_folded(capsys: pytest.CaptureFixture[str]) -> None:
    line = "word " * 200 + "end"
    Screen().write(line)
    assert capsys.readouterr().out == line + "\n"


def test_tables_in_a_pipe_are_wider_than_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = "x" * 120
    table = Table("wide")
    table.add_row(cell)
    monkeypatch.delenv("COLUMNS", raising=False)
    screen = Screen()
    assert screen.results.width == PIPE_WIDTH
    screen.results.print(table)
    assert cell in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "50")
    assert Screen().results.width == 50


@pytest.mark.parametrize(("quiet", "hidden"), [(False, False), (True, False), (False, True)])
def test_a_bar_only_where_somebody_watches(quiet: bool, hidden: bool) -> None:
    terminal = io.StringIO()
    screen = Screen(quiet=quiet, notes=Console(file=terminal, force_terminal=True, width=80))
    with screen.bar("items", total=4, note="{task.description}", hidden=hidden) as move:
        move(advance=3, description="so far")
    shown = terminal.getvalue()
    assert ("items" in shown and "3/4" in shown and "so far" in shown) is not (quiet or hidden)
    piped = io.StringIO()
    with Screen(notes=Console(file=piped)).bar(of_bytes=True) as move:
        move(description="a.json", completed=10, total=20)
    assert not piped.getvalue().strip()


def test_counts_with_their_nouns() -> None:
    assert [counted(one, "item") for one in (0, 1, 1200)] == ["0 items", "1 item", "1,200 items"]
    assert counted(2, "entity", "entities") == "2 entities"
