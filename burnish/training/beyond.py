"""What is listed, and for whom, beside how good it is: coverage, concentration, popularity, novelty, hits by decile.

Measured once, on the test set, and kept with a run: comparing runs by it later needs neither checkpoints nor data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from burnish.errors import ConfigurationError

from .cold import positives_of

#: burnish's own option: false leaves all of this out.
OPTION = "beyond_accuracy"
#: Parts of the items by popularity.
PARTS = 10
#: The column of per-user tables with the training interactions of a row's user.
ACTIVITY = "n_training"
#: What is measured, as RecBole calls what it has, too.
NAMES = ("itemcoverage", "giniindex", "averagepopularity", "novelty")


@dataclass(frozen=True)
class Beyond:
    """Of one run's lists.

    values: over all rows, {"itemcoverage@10": ...}.  rows: by row, {"averagepopularity@10": [n_rows], ...}.
    deciles: counts by popularity of items, ready for JSON; see `popularity_deciles`.  deciles_by_row: of these what is
    wanted and found, by row; see `counts_by_row`.
    """

    values: dict[str, float] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    deciles: dict[str, list[int]] = field(default_factory=dict)
    deciles_by_row: dict[str, np.ndarray] = field(default_factory=dict)


def wants_beyond(config: Any, trainer: Any) -> bool:
    """Whether lists are to be looked at: rankings of the whole catalogue, unless the option says no.

    Sampled candidates say nothing of what would be listed.  Raises `ConfigurationError` for an option that is neither
    true nor false.
    """
    ranks = checked(config[OPTION]) and config["eval_args"]["mode"]["test"] == "full"
    return ranks and bool(trainer.eval_collector.register.need("rec.topk"))


def checked(value: Any) -> bool:
    """The option `beyond_accuracy`, on where it is not given."""
    if value not in (None, True, False):
        raise ConfigurationError(f"{OPTION} = {value!r}: give true or false")
    return value is not False


def look_beyond(config: Any, struct: Any, loader: Any, training: Any) -> Beyond:
    """Measure the lists of a test; empty where there are none.

    struct: what RecBole's collector kept, with `rec.items`.  loader: of the test data.  training: the training split,
    whose interactions are counted.
    """
    if "rec.items" not in struct:
        return Beyond()
    items = np.asarray(struct.get("rec.items").cpu())
    seen = np.asarray(training.inter_feat[training.iid_field])
    counts = np.bincount(seen, minlength=training.item_num)
    n_users = int(training.user_num) - 1
    values: dict[str, float] = {}
    rows: dict[str, np.ndarray] = {}
    popularity, surprise = counts[items], self_information(counts, n_users)[items]
    for k in config["topk"]:
        values |= {
            f"itemcoverage@{k}": coverage(items[:, :k], len(counts)),
            f"giniindex@{k}": gini(items[:, :k], len(counts)),
        }
        rows[f"averagepopularity@{k}"] = popularity[:, :k].mean(axis=1)
        rows[f"novelty@{k}"] = surprise[:, :k].mean(axis=1)
    values |= {name: float(column.mean()) for name, column in rows.items()}
    wanted = positives_of(loader)
    deciles = popularity_deciles(items, wanted, counts, config["topk"])
    return Beyond(values, rows, deciles, counts_by_row(items, wanted, counts, min(config["topk"])))


def activity(training: Any, users: np.ndarray) -> np.ndarray:
    """Training interactions of each of these users (internal ids), `[n]`."""
    seen = np.asarray(training.inter_feat[training.uid_field])
    return np.bincount(seen, minlength=training.user_num)[users].astype(np.int32)


def coverage(items: np.ndarray, n_items: int) -> float:
    """The share of the catalogue that is in anybody's list, as RecBole counts it (`n_items` with its padding item).

    items: `[n_rows, k]`.
    """
    return len(np.unique(items)) / n_items


def gini(items: np.ndarray, n_items: int) -> float:
    """Gini's index of how often each item is listed: 0 where all are as often, near 1 where few fill all lists.

    items: `[n_rows, k]`.  As RecBole's GiniIndex: sum over items in increasing order of (2 i - n - 1) P(i), over n P.
    """
    listed = np.sort(np.bincount(items.ravel(), minlength=n_items))
    places = np.arange(1, n_items + 1)
    return float(((2 * places - n_items - 1) * listed).sum() / items.size / n_items)


def self_information(counts: np.ndarray, n_users: int) -> np.ndarray:
    """How surprising an item is, in bits: log2 of users over its training interactions (Zhou et al. 2010), `[n_items]`.

    An item without any counts as if it had one.
    """
    return np.log2(max(n_users, 1) / np.maximum(counts, 1))


def popularity_deciles(
    items: np.ndarray, wanted: list[np.ndarray], counts: np.ndarray, topk: list[int]
) -> dict[str, list[int]]:
    """By tenths of the items, the least popular first, and before these the items that training has not.

    items: `[n_rows, K]`.  wanted: test items of each row.  counts: training interactions of each item.
    Gives, of eleven numbers each: `items` in the part, their `interactions` in training, `wanted` (test interactions)
    and for each k `hits@k` (of these in the lists) and `listed@k` (places in lists).
    """
    parts = _parts_and_unseen(counts)
    real = np.arange(1, len(counts))  # 0 is RecBole's padding

    def by_part(ids: np.ndarray, weights: np.ndarray | None = None) -> list[int]:
        return np.bincount(parts[ids], weights, minlength=PARTS + 1).astype(int).tolist()

    asked, _, hits = _asked(items, wanted, len(counts))
    found = {
        "items": by_part(real),
        "interactions": by_part(real, counts[real]),
        "wanted": by_part(asked),
    }
    for k in topk:
        listed = items[:, :k]
        found |= {f"hits@{k}": by_part(listed[hits[:, :k]]), f"listed@{k}": by_part(listed.ravel())}
    return found


def counts_by_row(
    items: np.ndarray, wanted: list[np.ndarray], counts: np.ndarray, k: int
) -> dict[str, np.ndarray]:
    """`wanted` and `hits@k` of `popularity_deciles` row by row: {"wanted.0": [n_rows], ..., "hits@10.10": [n_rows]}."""
    parts = _parts_and_unseen(counts)
    asked, owner, hits = _asked(items, wanted, len(counts))
    rows, places = np.nonzero(hits[:, :k])
    found: dict[str, np.ndarray] = {}
    for name, of, what in (("wanted", owner, asked), (f"hits@{k}", rows, items[rows, places])):
        table = np.zeros((len(items), PARTS + 1), dtype=np.int32)
        np.add.at(table, (of, parts[what]), 1)
        found |= {f"{name}.{part}": table[:, part].copy() for part in range(PARTS + 1)}
    return found


def _parts_and_unseen(counts: np.ndarray) -> np.ndarray:
    """The tenth of each item, from 1 for the least popular; 0 for one that training has not."""
    parts = item_parts(counts) + 1
    parts[counts == 0] = 0
    return parts


def _asked(
    items: np.ndarray, wanted: list[np.ndarray], n_items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test items, the row of each, and which places of lists have one of their row: `[n]`, `[n]`, `[n_rows, K]`."""
    owner = np.repeat(np.arange(len(wanted)), [len(own) for own in wanted])
    asked = np.concatenate(wanted) if wanted else np.zeros(0, dtype=np.int64)
    hits = np.isin(np.arange(len(items))[:, None] * n_items + items, owner * n_items + asked)
    return asked, owner, hits


def equal_parts(values: np.ndarray, parts: int) -> np.ndarray:
    """Which of so many parts of equal size each of the values `[n]` is in, from 0 for the smallest; ties in order."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks * parts // max(1, len(values))


def item_parts(counts: np.ndarray, parts: int = PARTS) -> np.ndarray:
    """Parts of the items that occur in training, from 0 for the least popular; 0 for one that does not."""
    found = np.zeros(len(counts), dtype=np.int64)
    seen = np.flatnonzero(counts)
    found[seen] = equal_parts(counts[seen], parts)
    return found
