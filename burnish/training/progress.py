"""One bar for the epochs of a run that is started from Python, and of what is trained before it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from burnish.telling import summaries_told_to

from .result import Epoch


@contextmanager
def epochs_shown(wanted: bool) -> Iterator[Callable[[Epoch], None] | None]:
    """Gives what shows an epoch, for `on_epoch`; None where nothing is to be shown.

    The bar is drawn where somebody watches: a terminal, or a notebook.  It is removed in the end.
    """
    if not wanted:
        yield None
        return
    bar = _Bar() if _watched() else None
    try:
        with summaries_told_to(bar.say if bar is not None else _say):
            yield None if bar is None else bar.show
    finally:
        if bar is not None:
            bar.close()


def _watched() -> bool:
    """Whether standard error is a terminal, or the output of a notebook's cell."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


class _Bar:
    """A bar for the run that is under way; one that is trained first has its turn before it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._of: tuple[str, int] | None = None

    def show(self, epoch: Epoch) -> None:
        """Move on."""
        from tqdm import tqdm

        of = (epoch.of, epoch.total)
        if self._bar is None or self._of != of:
            self.close()
            self._bar, self._of = tqdm(total=epoch.total, desc=epoch.of, unit="", leave=False), of
        self._bar.update(epoch.number - self._bar.n)
        if epoch.valid_score is not None:
            self._bar.set_postfix_str(f"validation {epoch.valid_score:.4f}")

    def say(self, text: str) -> None:
        """A line above the bar."""
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None
