"""`burnish value --shard I/N`: the values of a part of the users, and all of them once every part is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .screen import Screen
from .shared import share_of

if TYPE_CHECKING:
    from burnish.trained.value import Valuer


def share_and_size(
    shard: str | None, at_once: int | None, output: Path | None, plot: Path | None
) -> tuple[tuple[int, int] | None, int | None]:
    """Which part of how many is to be valued (None for all), and how many interactions at a time (None: by default).

    Raises `ConfigurationError` for what does not go together with parts.
    """
    from burnish.errors import ConfigurationError

    if shard is None or shard.isdecimal():
        if shard is not None and at_once is not None:
            raise ConfigurationError(f"--shard {shard} and --at-once {at_once} say the same; give --at-once")
        return None, at_once if shard is None else int(shard)
    share = share_of(shard)
    if output is None:
        raise ConfigurationError(f"--shard {shard}: give --out, the file that all parts end up in")
    if plot is not None:
        raise ConfigurationError(
            f"--shard {shard} and --plot {plot}: a part has not all values to draw; leave --plot out, and give "
            f"the command without --shard once all parts are there"
        )
    return share, at_once


def value_share(screen: Screen, valuer: Valuer, share: tuple[int, int], output: Path, kind: str) -> None:
    """Value a part of the users; who is the last to end puts all parts into the file, as ranks are of all values."""
    from burnish.files.data_names import data_names
    from burnish.files.lock import lock_of, locked
    from burnish.files.refusals import make_folder
    from burnish.trained.finished_shards import shards_folder

    from .value_tables import shown, write

    number, of = share
    parts = shards_folder(output)
    own = len(valuer.shards_of(share))
    screen.say(f"valuing {own} of {valuer.n_shards} shards of users by {', '.join(shown(valuer.outputs))}")
    if not own:
        screen.say(
            f"nothing is left for part {number + 1} of {of}: a smaller --at-once than {valuer.shard}, the same for all "
            f"parts, divides the users further"
        )
    with screen.bar("shards", total=own) as move:
        valuer.run_share(parts, share, lambda *_: move(advance=1))
    make_folder(output.absolute().parent)
    with locked(lock_of(output)):
        missing = valuer.missing_in(parts)
        if not missing:
            valuation = valuer.run(parts)
            write(valuation, output, kind, parts, data_names(valuer.trained.config))
            screen.say(f"written: {output} ({valuation.n_players} interactions, of all parts)")
        elif missing == valuer.n_shards and output.is_file():
            screen.say(f"all parts are in {output}, which another job wrote")
        else:
            screen.say(f"{missing} of {valuer.n_shards} shards are still to come, from other parts: {parts}")
