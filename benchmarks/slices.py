"""Where a model is good: users by activity, items by popularity, and whether spreads say where it errs.

python -m burnish.benchmarks.slices RUN [RUN ...] [--k 10] [--parts 10] [--data-path FOLDER] [--output FILE]

Each RUN is the folder of a finished run, given once.  Runs of one model and the same enhancers (seeds) are averaged in
one row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from burnish.benchmarks.harness.tables import markdown_table
from burnish.checks import whole_number
from burnish.enhancers.wasserstein.spread_note import rank_correlation
from burnish.errors import BurnishError, ConfigurationError, DataError
from burnish.files.whole import write_text
from burnish.notices import told_once
from burnish.trained.open import open_trained
from burnish.trained.prediction_inputs import interactions
from burnish.trained.recommend import Recommender
from burnish.training.beyond import equal_parts, item_parts

if TYPE_CHECKING:
    from burnish.training.trained_model import TrainedModel


@dataclass(frozen=True)
class PerId:
    """What a model does for single users or items of the test data, in the order of `ids`.

    ids: internal, `[n]`.  interactions: training interactions of each, `[n]`.  quality: NDCG of a user, `[n]`, or the
    share of an item's test interactions that are in the users' lists.  weights: test interactions, `[n]`.  spread: of
    the Gaussian, `[n]`, None where the model has none.
    """

    ids: np.ndarray
    interactions: np.ndarray
    quality: np.ndarray
    weights: np.ndarray
    spread: np.ndarray | None

    def calibration(self) -> tuple[float | None, float | None]:
        """Rank correlations with the error, 1 - quality: of spreads, and of the number of interactions.

        The second is what a spread must be more than: an id seen less is uncertain without any Gaussian.
        """
        error = torch.from_numpy(1.0 - self.quality)
        counted = rank_correlation(torch.from_numpy(self.interactions.astype(np.float64)), error)
        if self.spread is None:
            return None, counted
        return rank_correlation(torch.from_numpy(self.spread.astype(np.float64)), error), counted


@dataclass(frozen=True)
class Slices:
    """A model by users and by items.

    user_parts, item_parts: which part, from 0 for the least active or popular, each of the ids is in, `[n]`.
    """

    users: PerId
    items: PerId
    user_parts: np.ndarray
    item_parts: np.ndarray
    parts: int

    def ndcg_by_activity(self) -> np.ndarray:
        """Mean NDCG of each part of the users, `[parts]`; NaN for an empty part."""
        return _means(self.users.quality, np.ones(len(self.users.ids)), self.user_parts, self.parts)

    def recall_by_popularity(self) -> np.ndarray:
        """Share of each part's test interactions that are in the users' lists, `[parts]`; NaN without any."""
        return _means(self.items.quality, self.items.weights, self.item_parts, self.parts)


def slices_of(trained: TrainedModel, *, k: int = 10, parts: int = 10) -> Slices:
    """Divide a trained model's test users and items into parts of equal size, and measure each.

    Parameters
    ----------
    trained : TrainedModel
        What `burnish.load_run` gives.
    k : int, default 10
        How long the users' lists are.
    parts : int, default 10
        How many parts.  Users are those of the test data, by their training interactions; items are all that occur in
        training, by theirs.  Ties go by id.

    Returns
    -------
    Slices
        The values by user and item, and their parts.

    Raises
    ------
    DataError
        For a model without test data.
    """
    whole_number("k", k)
    whole_number("parts", parts)
    data = trained.dataset
    shape = (data.user_num, data.item_num)
    training, _, test = trained.splits
    if test is None or not len(test.inter_feat):
        raise DataError("slices: the run has no test data; make one with a test split")
    targets = interactions(test, shape).tocsr()
    seen = interactions(training, shape)
    by_user = np.asarray(seen.sum(axis=1)).ravel()
    by_item = np.asarray(seen.sum(axis=0)).ravel()
    users = np.flatnonzero(np.asarray(targets.sum(axis=1)).ravel())
    found = np.zeros(len(users))
    hits = np.zeros(shape[1])
    for place, (user, listed) in enumerate(zip(users, listed_items(trained, users, k), strict=True)):
        wanted = set(targets[user].indices.tolist())
        gains = [item in wanted for item in listed]
        found[place] = ndcg(gains, len(wanted), k)
        hits[[item for item, hit in zip(listed, gains, strict=True) if hit]] += 1
    tested = np.asarray(targets.sum(axis=0)).ravel()
    items = np.flatnonzero(tested)
    spreads = _spreads(trained.model)
    return Slices(
        PerId(users, by_user[users], found, np.ones(len(users)), _of(spreads.get("user"), users)),
        PerId(
            items, by_item[items], hits[items] / tested[items], tested[items], _of(spreads.get("item"), items)
        ),
        equal_parts(by_user[users], parts),
        item_parts(by_item, parts)[items],
        parts,
    )


def listed_items(
    trained: TrainedModel, users: np.ndarray, k: int, *, include_unseen: bool = True
) -> Iterable[list[int]]:
    """Each user's first k items, as RecBole's test evaluation ranks: all items, without those known before.

    include_unseen: also items without a training interaction, as RecBole does.
    """
    data = trained.dataset
    recommender = Recommender(trained, k=k, state="test", include_unseen=include_unseen, missing="row")
    for frame in recommender.chunks(trained.tokens(data.uid_field, users)):
        for _, rows in frame.groupby("user", sort=False):
            tokens = rows.loc[rows["status"] == "ok", "item"].tolist()
            yield data.token2id(data.iid_field, tokens).tolist() if tokens else []


def ndcg(gains: Sequence[bool], n_wanted: int, k: int) -> float:
    """NDCG as RecBole computes it."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    return float((discounts[: len(gains)] * np.asarray(gains)).sum() / discounts[: min(n_wanted, k)].sum())


def _means(values: np.ndarray, weights: np.ndarray, which: np.ndarray, parts: int) -> np.ndarray:
    sums = np.bincount(which, values * weights, minlength=parts)
    totals = np.bincount(which, weights, minlength=parts)
    return np.divide(sums, totals, out=np.full(parts, np.nan), where=totals > 0)


def _spreads(model: Any) -> dict[str, Any]:
    """Spreads by side, of the enhancer that has Gaussians; nothing where none has."""
    host = getattr(model, "enhancers", None)
    for enhancer in [] if host is None else host.enhancers():
        if hasattr(enhancer, "spread_of"):
            found = {side: enhancer.spread_of(side) for side in ("user", "item")}
            return {side: spread for side, spread in found.items() if spread is not None}
    return {}


def _of(spread: Any, ids: np.ndarray) -> np.ndarray | None:
    return None if spread is None else spread.detach().double().cpu().numpy()[ids]


# ---------------------------------------------------------------------- the tables


def to_markdown(measured: Sequence[tuple[str, Slices]]) -> str:
    """Tables of runs by label, those of one label averaged."""
    groups: dict[str, list[Slices]] = {}
    for label, slices in measured:
        groups.setdefault(label, []).append(slices)
    parts = next(iter(measured))[1].parts
    numbers = [str(part + 1) for part in range(parts)]
    blocks = [
        ("NDCG by users' activity, 1 the least active", numbers, _by(groups, Slices.ndcg_by_activity)),
        (
            "Recall of test interactions by items' popularity, 1 the least",
            numbers,
            _by(groups, Slices.recall_by_popularity),
        ),
    ]
    text = [
        f"## {title}\n\n{markdown_table(['model', 'runs', *names], rows)}" for title, names, rows in blocks
    ]
    heads = ["model", "runs", "users: spread", "users: interactions", "items: spread", "items: interactions"]
    text.append(
        "## Is the spread larger where the error is?\n\nRank correlations with a user's 1 - NDCG and an item's "
        f"1 - recall.\n\n{markdown_table(heads, _by(groups, _calibrations))}"
    )
    return "\n\n".join(text) + "\n"


def _calibrations(slices: Slices) -> np.ndarray:
    values = [*slices.users.calibration(), *slices.items.calibration()]
    return np.array([np.nan if value is None else value for value in values])


def _by(groups: dict[str, list[Slices]], measure: Callable[[Slices], np.ndarray]) -> list[list[str]]:
    rows = []
    for label, found in groups.items():
        values = np.array([measure(one) for one in found])
        known = ~np.isnan(values)
        means = np.divide(
            np.where(known, values, 0.0).sum(0),
            known.sum(0),
            out=np.full(values.shape[1], np.nan),
            where=known.any(0),
        )
        cells = ["–" if np.isnan(value) else f"{value:.3f}" for value in means]
        rows.append([label, str(len(found)), *cells])
    return rows


def label_of(folder: Path) -> str:
    """A run's model with its enhancers and their options, as in `BPR rvrec(objective=True)`."""
    from burnish.training.record import read_run

    saved = read_run(folder)
    parts = [saved.model.rpartition(".")[2].rpartition(":")[2]]
    for name, options in saved.enhancers.items():
        shown = ", ".join(f"{option}={value}" for option, value in options.items())
        parts.append(f"{name}({shown})" if shown else name)
    return " ".join(parts)


def check_once(folders: Sequence[Path]) -> None:
    """Raise `ConfigurationError` for a folder that is given twice, by whatever name: it would count as two runs."""
    known: dict[Path, Path] = {}
    for folder in folders:
        place = folder.resolve()
        if place in known:
            also = "" if folder == known[place] else f" (the other time as {str(known[place])!r})"
            raise ConfigurationError(
                f"slices: the run {str(folder)!r} is given twice{also} and would count as two; give each run once"
            )
        known[place] = folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure runs and print the tables.

    1, with the reason on standard error, where a run cannot be read or is given twice.
    """
    chosen = _parser().parse_args(arguments)
    sys.argv = sys.argv[:1]  # RecBole's Config would read them
    try:
        check_once(chosen.runs)
        measured = []
        with told_once():
            for folder in chosen.runs:
                trained = open_trained(folder, data_path=chosen.data_path)
                measured.append((label_of(folder), slices_of(trained, k=chosen.k, parts=chosen.parts)))
        text = to_markdown(measured)
        if chosen.output is not None:
            write_text(chosen.output, text)
    except BurnishError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m burnish.benchmarks.slices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--k", type=int, default=10, help="how long the users' lists are (default: 10)")
    parser.add_argument("--parts", type=int, default=10, help="how many parts (default: 10)")
    parser.add_argument("--data-path", type=Path, help="where the data set's folder is now")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
