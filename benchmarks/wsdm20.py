"""The protocol of the WSDM 2020 paper on distilled knowledge: its split, and its measures of finished runs.

python -m burnish.benchmarks.wsdm20 split yelp-graph --out data/yelp-wsdm20 [--seed 7]
python -m burnish.benchmarks.wsdm20 measure RUN [RUN ...] [--data-path FOLDER] [--output FILE]

`split` divides the data set that `burnish data mat` wrote: of each user with five interactions or more, 60% are for
training, 20% for validation and 20% for the test, by chance; ratings are left out.  Runs take the parts by
`benchmark_filename: [train, valid, test]`.

`measure` ranks, for each user of the test part, the items that occur in training, without those of the user's
training and validation interactions: Hit@20, Recall@20 (over no more than 20 items) and NDCG@100, means over users.
Runs of one model and the same enhancers (seeds) are averaged in one row.

Zhang, Xu, Zhou and Zhang, WSDM 2020 (arXiv 1912.08422), and its released code.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from burnish.benchmarks.harness.tables import markdown_table
from burnish.benchmarks.slices import check_once, label_of, listed_items, ndcg
from burnish.errors import BurnishError, ConfigurationError, DataError
from burnish.files.whole import write_text
from burnish.files.whole_folder import folder_written_whole
from burnish.notices import told_once
from burnish.trained.open import open_trained
from burnish.trained.prediction_inputs import interactions

if TYPE_CHECKING:
    from burnish.training.trained_model import TrainedModel

#: Interactions that a user must have, and the shares of training and of both validation and training.
FEWEST, TRAINING, KNOWN = 5, 0.6, 0.8
PARTS = ("train", "valid", "test")
MEASURES = ("Hit@20", "Recall@20", "NDCG@100")


def split(source: Path, out: Path, *, seed: int = 7) -> dict[str, int]:
    """Write the three parts of a data set's interactions, with its other files beside them.

    Parameters
    ----------
    source : Path
        The folder of the data set, with `NAME.inter` and what there is of `.net`, `.item`, `.user`, `.kg`, `.link`.
    out : Path
        A new folder, which names the new data set.
    seed : int, default 7
        Of the users' shuffles.

    Returns
    -------
    dict
        Interactions of each part, and the number of users.

    Raises
    ------
    DataError
        For a source without interactions.
    ConfigurationError
        For an `out` that is there.
    """
    file = source / f"{source.name}.inter"
    if not file.is_file():
        raise DataError(f"{file} is not there; give the folder of a data set that `burnish data mat` wrote")
    if out.exists():
        raise ConfigurationError(f"{out} is there; give the name of a new folder, or remove it")
    parts, users = _parts(file, seed)
    with folder_written_whole(out, lambda folder: (folder / f"{out.name}.test.inter").is_file()) as folder:
        for ending in ("net", "item", "user", "kg", "link"):
            beside = source / f"{source.name}.{ending}"
            if beside.is_file():
                shutil.copyfile(beside, folder / f"{out.name}.{ending}")
        for part, rows in parts.items():
            lines = ["user_id:token\titem_id:token", *("\t".join(row) for row in rows)]
            (folder / f"{out.name}.{part}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**{part: len(rows) for part, rows in parts.items()}, "users": users}


def _parts(file: Path, seed: int) -> tuple[dict[str, list[tuple[str, str]]], int]:
    """Rows (user, item) by part, and how many users they are of."""
    # Ids may hold what `splitlines` takes for the end of a line.
    heads, *lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    names = [head.partition(":")[0] for head in heads.split("\t")]
    if names[:2] != ["user_id", "item_id"]:
        raise DataError(f"{file}: its first columns are {', '.join(names[:2])}, not user_id and item_id")
    by_user: dict[str, list[str]] = {}
    for line in lines:
        user, item, *_ = line.split("\t")
        by_user.setdefault(user, []).append(item)
    random = np.random.default_rng(seed)
    parts: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    users = 0
    for user, items in by_user.items():
        if len(items) < FEWEST:
            continue
        users += 1
        ends = [int(TRAINING * len(items)), int(KNOWN * len(items))]
        shuffled = random.permutation(np.array(items, dtype=object))
        for part, chosen in zip(PARTS, np.split(shuffled, ends), strict=True):
            parts[part] += [(user, item) for item in chosen]
    return parts, users


def measures_of(trained: TrainedModel) -> np.ndarray:
    """Hit@20, Recall@20 and NDCG@100 of every user with a test interaction: `[n, 3]`."""
    data = trained.dataset
    test = trained.splits.test
    if test is None or not len(test.inter_feat):
        raise DataError("the run has no test data; make one with a test part")
    targets = interactions(test, (data.user_num, data.item_num)).tocsr()
    users = np.flatnonzero(np.diff(targets.indptr))
    found = np.zeros((len(users), len(MEASURES)))
    lists = listed_items(trained, users, 100, include_unseen=False)
    for place, (user, listed) in enumerate(zip(users, lists, strict=True)):
        wanted = set(targets[user].indices.tolist())
        gains = [item in wanted for item in listed]
        hits = sum(gains[:20])
        found[place] = hits > 0, hits / min(len(wanted), 20), ndcg(gains, len(wanted), 100)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Split data, or measure runs; 1, with the reason on standard error, where that cannot be."""
    chosen = _parser().parse_args(arguments)
    sys.argv = sys.argv[:1]  # RecBole's Config would read them
    try:
        if chosen.what == "split":
            counts = split(chosen.source, chosen.out, seed=chosen.seed)
            print(", ".join(f"{name} {count:,}" for name, count in counts.items()))
            return 0
        check_once(chosen.runs)
        groups: dict[str, list[np.ndarray]] = {}
        with told_once():
            for folder in chosen.runs:
                trained = open_trained(folder, data_path=chosen.data_path)
                groups.setdefault(label_of(folder), []).append(measures_of(trained).mean(0))
        rows = [
            [label, str(len(means)), *(f"{value:.4f}" for value in np.mean(means, axis=0))]
            for label, means in groups.items()
        ]
        text = markdown_table(["model", "runs", *MEASURES], rows)
        if chosen.output is not None:
            write_text(chosen.output, text + "\n")
    except BurnishError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m burnish.benchmarks.wsdm20",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="what", required=True)
    splitting = verbs.add_parser("split", help="divide a data set as the paper did")
    splitting.add_argument("source", type=Path, help="folder that `burnish data mat` wrote")
    splitting.add_argument("--out", type=Path, required=True, help="the new data set's folder")
    splitting.add_argument("--seed", type=int, default=7, help="of the split (default: 7)")
    measuring = verbs.add_parser("measure", help="measure finished runs as the paper did")
    measuring.add_argument("runs", type=Path, nargs="+", help="folders of finished runs with checkpoints")
    measuring.add_argument("--data-path", type=Path, help="where the data set's folder is now")
    measuring.add_argument("--output", type=Path, help="also write the table to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
