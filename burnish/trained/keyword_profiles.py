"""`burnish.keyword_profiles`: the words that a trained model's attention over reviews rests on, with original ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from burnish.enhancers.attach import split_enhanced
from burnish.errors import UnsupportedError, unknown_name

from .recommend import check_number
from .source import Source, open_source

if TYPE_CHECKING:
    from burnish.enhancers.anatomy.table import Side
    from burnish.training.result import TrainingResult

SIDES = ("user", "item", "both")
FORMATS = ("parquet", "tsv", "csv", "json")


def keyword_profiles(
    source: Source | TrainingResult | Path | str,
    side: Literal["user", "item", "both"] = "both",
    top: int | None = None,
    *,
    weighting: str | None = None,
    model: type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """The keyword profiles of all users, all items, or both, as a frame with a row a word.

    source, model, data_path, trust: see `open_source`.
    top: words a profile; by default the model's `keep_profile_words`.
    weighting: what a word counts: "attention", "excess" or "distinctive" (`KeywordProfiles`); by default the model's
        `profile_weighting`.

    Columns: side ("user" or "item"), id, rank (from 1), word, mass (the sum of the words' weights; of
    attention at most the number of reviews), share (of the whole profile, 0 to 1), n_reviews (those with the word).
    Only reviews of the training split count; who has none there has no row.
    Raises `UnsupportedError` for a model that tells no words, `UnknownNameError` for another side
    or weighting.
    """
    if side not in SIDES:
        raise unknown_name("side", side, SIDES)
    if top is not None:
        check_number("top", top)
    opened = open_source(source, model=model, data_path=data_path, trust=trust)
    if not hasattr(opened.model, "keyword_profiles"):
        own = split_enhanced(type(opened.model))[0].__name__
        raise UnsupportedError(
            f"{own} has no keyword profiles; DReX and DReXMLP have: "
            f"burnish run --model DReX --dataset NAME --output out"
        )
    from burnish.backbones.drex.profiles import profiles

    opened.model.eval()
    sides: tuple[Side, ...] = ("user", "item") if side == "both" else (side,)
    frames = []
    for one in sides:
        frame = profiles(opened.model, one, top, weighting)
        frame.insert(0, "side", pd.Series([one] * len(frame), dtype="string"))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def save_profiles(profiles: pd.DataFrame, path: Path | str, format: str | None = None) -> Path:
    """Write profiles to one file: whole or not at all.

    format: parquet, tsv, csv or json (one object a line); by default what the suffix of `path` says.
    Raises `UnknownNameError` for another format.
    """
    from burnish.files.tables import TableFile, format_of

    target = Path(path)
    with TableFile(target, format_of(target, format, FORMATS)) as file:
        file.write(profiles)
    return target
