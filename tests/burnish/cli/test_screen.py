"""Results and remarks go to different streams, and pipes get whole lines."""

from __future__ import annotations

import pytest
from rich.table import Table

from burnish.cli.screen import PIPE_WIDTH, Screen


def test_remarks_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.say("a remark with [brackets]")
    screen.write("a result with [brackets]")
    shown = capsys.readouterr()
    assert shown.err == "a remark with [brackets]\n"
    assert shown.out == "a result with [brackets]\n"


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
