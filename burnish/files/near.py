"""What somebody may have meant by the name of a file or folder that is not there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from burnish.errors import nearest

#: Names of one folder that are looked at: more would keep somebody waiting for a hint.
_MOST = 10_000


def did_you_mean(path: Path | str, fits: Callable[[Path], bool] | None = None) -> str:
    """`" Did you mean 'out/my.yaml'?"` for a path that is not there; empty where nothing beside it is like it.

    Of a path with several names the first that is not there is looked for; the others are taken over.
    fits: which of the paths beside it may be meant; None for all.
    """
    guess = near(Path(path), fits)
    return "" if guess is None else f" Did you mean {str(guess)!r}?"


def near(path: Path, fits: Callable[[Path], bool] | None = None) -> Path | None:
    """The path that may have been meant; see `did_you_mean`."""
    try:
        there, missing, rest = _split(path)
        if missing is None:
            return None
        beside = {one.name: one for one in islice(there.iterdir(), _MOST) if not one.name.startswith(".")}
    except (OSError, ValueError):  # a name that the system cannot take, a folder that cannot be listed
        return None
    fitting = {
        name: one.joinpath(*rest)
        for name, one in beside.items()
        if one.joinpath(*rest).exists() and (fits is None or fits(one.joinpath(*rest)))
    }
    same_stem = sorted(name for name in fitting if Path(name).stem.lower() == missing.lower())
    name = same_stem[0] if same_stem else nearest(missing, sorted(fitting))
    return None if name is None else fitting[name]


def _split(path: Path) -> tuple[Path, str | None, tuple[str, ...]]:
    """The last folder of a path that is there, the name in it that is not, and the names after that."""
    parents = [path, *path.parents]
    for place, one in enumerate(parents):
        if one.is_dir():
            if not place:
                return one, None, ()
            rest = [later.name for later in parents[: place - 1]]
            return one, parents[place - 1].name, tuple(reversed(rest))
    return path, None, ()
