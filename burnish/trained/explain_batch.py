"""Explanations of many users as one table, shard after shard: what is finished is kept when it is interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from burnish._version import __version__
from burnish.checks import whole_number
from burnish.errors import ConfigurationError
from burnish.explanation import Explanation, as_frame
from burnish.files.tables import TableFile, part_of

from .explanation_sentences import sentence
from .finished_shards import FinishedFrames, digest_of, shards_folder

if TYPE_CHECKING:
    from .explain import Explainer

#: Users of a shard: about so many are explained again after an interruption.
SHARD = 64


def explain_batch(
    explainer: Explainer,
    output: Path | str,
    users: Iterable[str | int] | None = None,
    *,
    share: tuple[int, int] | None = None,
    shard: int = SHARD,
    progress: Callable[[int, int, bool], None] | None = None,
) -> tuple[Path, int]:
    """Explain the best items of many users into a parquet file, a row a reason.

    Parameters
    ----------
    explainer
        Of the model, with how many items and reasons.
    output
        Ends in .parquet; it is there when all is finished, and not before.  Until then finished shards are kept in a
        folder beside it, from which the same call goes on.
    users
        Original ids; by default all users of the data.
    share
        Which of how many equal shares of the users to explain, from 0, in a file of its own (`part_of`), for
        several processes or machines.  Where there are fewer users than shares, those without users have heads alone.
    shard
        Users that are explained at a time.
    progress
        Called after each shard with how many are done, of how many, and whether it was finished already.

    Returns
    -------
    tuple of Path and int
        The file, and how many recommendations it explains.  Columns are those of `burnish.explanation.as_frame`, and
        `sentence`.  A user without a recommendation has one row without an item, and the note says why.

    Raises
    ------
    ConfigurationError
        For another suffix, and where nothing can be written.
    UnknownNameError
        For a user that is not in the data.
    """
    whole_number("shard", shard)
    output = Path(output)
    if output.suffix.lower() not in (".parquet", ".pq"):
        raise ConfigurationError(
            f"{output}: many users are explained into a parquet file; give a name ending in .parquet"
        )
    target = output if share is None else part_of(output, share)
    tokens = explainer.recommender.all_users() if users is None else list(explainer.users(users))
    if share is not None:
        number, of = share
        tokens = tokens[number * len(tokens) // of : (number + 1) * len(tokens) // of]
    finished = FinishedFrames(shards_folder(target), _fingerprint(explainer, tokens, shard))
    starts = range(0, len(tokens), shard)
    for number, start in enumerate(starts):
        kept = finished.read(number)
        if kept is None:
            finished.write(number, _table(explainer, tokens[start : start + shard]))
        if progress is not None:
            progress(number + 1, len(starts), kept is not None)
    explained = 0
    with TableFile(target, "parquet") as file:
        for number, start in enumerate(starts):
            frame = finished.read(number)
            if frame is None:  # somebody removed it meanwhile
                frame = _table(explainer, tokens[start : start + shard])
            explained += int(frame.loc[frame["item"].notna(), ["user", "item"]].drop_duplicates().shape[0])
            file.write(frame)
        if not tokens:
            file.write(_table(explainer, []))
    finished.remove()
    return target, explained


def _table(explainer: Explainer, users: Sequence[str]) -> pd.DataFrame:
    found: list[Explanation] = []
    for user in users:  # in their order, whoever can be recommended something
        why = explainer.nothing_for(user)
        found += [Explanation(user, "", math.nan, note=why)] if why else []
    good = [user for user in users if not explainer.nothing_for(user)]
    found += list(explainer.explanations(good)) if good else []
    frame = as_frame(found)
    frame["item"] = frame["item"].replace("", pd.NA)
    said = {(one.user, one.item): sentence(one) for one in found}
    pairs = zip(frame["user"], frame["item"].fillna(""), strict=True)
    frame["sentence"] = pd.array([said[pair] or None for pair in pairs], dtype="string")
    return frame


def _fingerprint(explainer: Explainer, users: Sequence[str], shard: int) -> str:
    """Of all that the tables depend on: the model, what is known of users, settings, names and who is asked about."""
    state: dict[str, Any] = dict(explainer.trained.model.state_dict())
    known = explainer.recommender.known
    state |= {
        "known.indices": torch.from_numpy(known.indices),
        "known.indptr": torch.from_numpy(known.indptr),
    }
    settings = [__version__, explainer.settings(), list(users), shard, sorted(explainer.titles.items())]
    return digest_of(settings, state)
