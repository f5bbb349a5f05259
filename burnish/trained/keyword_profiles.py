"""`burnish.keyword_profiles`: the words that a trained model's attention over reviews rests on, with original ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from burnish.checks import whole_number
from burnish.enhancers.attach import split_enhanced
from burnish.errors import UnsupportedError, unknown_name

from .open import open_trained

if TYPE_CHECKING:
    from burnish.enhancers.anatomy.table import Side
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel

SIDES = ("user", "item", "both")
FORMATS = ("parquet", "tsv", "csv", "json")


def keyword_profiles(
    source: TrainedModel | TrainingResult | Path | str,
    side: Literal["user", "item", "both"] = "both",
    top: int | None = None,
    *,
    weighting: str | None = None,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Give the keyword profiles of users and items, a row a word.

    Only reviews of the training split count; who has none there has no row.

    Parameters
    ----------
    source : TrainedModel, TrainingResult, Path or str
        What `burnish.load_run` or `burnish.run` returned, a run's folder, or, with `trust`, a RecBole checkpoint.
    side : {"user", "item", "both"}
        Whose profiles.
    top : int, optional
        Words a profile; by default the model's `keep_profile_words`.
    weighting : {"attention", "excess", "distinctive"}, optional
        What a word counts (`KeywordProfiles`); by default the model's `profile_weighting`.
    model : str or type, optional
        The class of the run's model, where it is neither RecBole's nor announced by a package, or where that is
        (`"mine.py:Tower"`).
    data_path : Path or str, optional
        Where the data set's folder is now, if it has been moved.
    trust : bool, default False
        Allow what can execute code: unpickling a checkpoint, importing the modules of the run's model and enhancers.

    Returns
    -------
    DataFrame
        Columns side ("user" or "item"), id, rank (from 1), word, mass (the sum of the word's weights; of attention at
        most the number of reviews), share (of the whole profile, 0 to 1), n_reviews (those with the word).

    Raises
    ------
    UnsupportedError
        For a model without keyword profiles.
    UnknownNameError
        For another side or weighting.

    References
    ----------
    DReX, arXiv 2602.19702: attention over words.  Profiles that are read off it: ours.

    Examples
    --------
    >>> burnish.keyword_profiles("out", "item", top=10)  # doctest: +SKIP
    """
    if side not in SIDES:
        raise unknown_name("side", side, SIDES)
    if top is not None:
        whole_number("top", top)
    trained = open_trained(source, model=model, data_path=data_path, trust=trust)
    if not hasattr(trained.model, "keyword_profiles"):
        own = split_enhanced(type(trained.model))[0].__name__
        raise UnsupportedError(
            f"{own} has no keyword profiles; DReX and DReXMLP have: "
            f"burnish run --model DReX --dataset NAME --output out"
        )
    from burnish.backbones.drex.profiles import profiles

    trained.model.eval()
    sides: tuple[Side, ...] = ("user", "item") if side == "both" else (side,)
    frames = []
    for one in sides:
        frame = profiles(trained.model, one, top, weighting)
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
