"""Where the command line writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from burnish.readable import readable

#: Width of tables that go to a file or a pipe, where rich would otherwise fold them at 80 columns.
PIPE_WIDTH = 160


class _SafeConsole(Console):
    """A console on which text from data moves no cursor and changes no colour of any terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Before cells are measured: a sign takes room, and what it stands for takes none."""
        return super().render_str(readable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control is None:
                yield segment._replace(text=readable(segment.text))
            else:
                yield segment


#: Text is shown as it is, in tables too: ids and titles may hold `[b]` or `:star:`, which rich would take for its own.
plain_console = partial(_SafeConsole, markup=False, emoji=False, highlight=False)


def make_console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is, and folds at the terminal's width, hardly ever in a pipe or a file."""
    console = plain_console(stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = plain_console(stderr=stderr, width=PIPE_WIDTH)
    return console


@dataclass
class Screen:
    """The two streams of one command.  quiet: say nothing but results (errors are always shown)."""

    quiet: bool = False
    results: Console = field(default_factory=make_console)
    notes: Console = field(default_factory=lambda: make_console(stderr=True))

    @classmethod
    def of(cls, context: typer.Context, quiet: bool = False) -> Screen:
        """The screen of a command: `--quiet` counts before the verb and after it."""
        before = bool((context.obj or {}).get("quiet")) if isinstance(context.obj, dict) else False
        return cls(quiet=quiet or before)

    @property
    def watched(self) -> bool:
        """Whether somebody sees what is said while a command works."""
        return not self.quiet and self.notes.is_terminal

    def say(self, text: str) -> None:
        """One line of text for a person who watches; nothing when quiet.  Folded on a terminal only."""
        if not self.quiet:
            self.notes.print(text, soft_wrap=not self.notes.is_terminal)

    def write(self, text: str) -> None:
        """Plain text as it is (CSV, Markdown, JSON) to standard output, never folded or coloured.

        On a terminal people read it, and control characters are shown as anywhere else.
        """
        if self.results.is_terminal:
            self.results.print(text, soft_wrap=True)
            return
        self.results.file.write(f"{text}\n")
        self.results.file.flush()

    @contextmanager
    def bar(
        self,
        word: str = "{task.description}",
        *,
        total: int | None = None,
        note: str = "",
        of_bytes: bool = False,
        hidden: bool = False,
    ) -> Iterator[Callable[..., None]]:
        """A progress bar where somebody watches; gives what moves it, from any thread.

        word: what is counted, before the bar.  note: what stands behind it.  Both may show `{task.description}`.
        The call takes the arguments of rich's `Progress.update`: advance, completed, total, description.
        """
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        with Progress(
            TextColumn(word, markup=False),
            DownloadColumn() if of_bytes else MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            *([TextColumn(note, markup=False)] if note else []),
            console=self.notes,
            transient=True,
            disable=hidden or not self.watched,
        ) as progress:
            yield partial(progress.update, progress.add_task("", total=total))
