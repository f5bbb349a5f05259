"""RecBole does the same work in less time: data, batches, negative samples, evaluation and graphs.

`install()` registers one function a part; each runs when the RecBole module that it changes is imported.  Every
part draws the random numbers that RecBole draws, in the same order, and gives the same numbers back, but for
one thing: evaluation takes more users at a time, and a matrix product may round the last bit of a score
differently then.  docs/performance.md has the figures.  `BURNISH_SPEED=off` in the environment, or `without()`,
leaves RecBole as it is.
"""

from __future__ import annotations

from . import adjacency, evaluation, histories, interactions, loading, reading, sampling
from .switches import PARTS, enabled, read_environment, without

__all__ = ["PARTS", "enabled", "install", "without"]


def install() -> None:
    """Register every part, as the environment variable `BURNISH_SPEED` says.  Calling it again does nothing.

    Raises `UnknownNameError` when the variable names a part that does not exist.
    """
    read_environment()
    for part in (reading, interactions, loading, sampling, evaluation, histories, adjacency):
        part.install()
