"""The training interactions as pairs of ids, for masks, sampling probabilities and means over groups of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from burnish.errors import DataError, warn

from .anatomy.describe import Fields

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

#: Where a rating begins to be a positive one, on the way from the lowest to the highest: 4 of 1 to 5, 8 of 1 to 10,
#: and the same rows where RecBole has put ratings between 0 and 1.
POSITIVE_SHARE = 0.75

#: The option of enhancers that look at positive interactions.
PositiveFrom = Annotated[
    float | None,
    Field(
        allow_inf_nan=False,
        description="lowest label of a positive interaction, in the units of the loaded data (0 to 1 where RecBole "
        "normalises); null: labels 0 and 1 as they are, ratings from three quarters of the way up (4 of 1 to 5)",
    ),
]


@dataclass(frozen=True)
class Positives:
    """Which training interactions are positive.

    field: the column of labels, None where the training data have none: all are positive.
    level: the lowest label of a positive one; None for every label above 0.
    every: whether all labels are positive ones.
    sampled: whether a training batch's labels tell drawn negatives (0) from interactions (1), whatever the data say.
    """

    field: str | None
    level: float | None = None
    every: bool = True
    sampled: bool = False

    def among(self, labels: Tensor) -> Tensor:
        """Bool `[n]`, for labels `[n]` of the data."""
        return labels > 0 if self.level is None else labels >= self.level

    def in_batch(self, labels: Tensor) -> Tensor | None:
        """Bool `[B]`, for labels `[B]` of a training batch; None where all rows are positive."""
        if self.field is None or self.sampled:
            return labels > 0
        return None if self.every else self.among(labels)

    def rows(self, dataset: Dataset) -> Tensor | None:
        """Bool `[n]`, for the rows of the training split; None for all of them."""
        return None if self.field is None or self.every else self.among(_column(dataset, self.field))


def positives(
    dataset: Dataset, label: str | None, positive_from: float | None, origin: str, *, told: bool = True
) -> Positives:
    """What is positive in a training split.

    Labels that are 0 and 1 mean what they say.  Others are ratings: positive from `positive_from` on or, where that is
    None, from `POSITIVE_SHARE` of the way up the scale (option `rating_scale`, else the ratings that occur).

    Parameters
    ----------
    dataset
        The training split.
    label
        The column of labels; it need not be there.
    origin
        Who asks, in messages.
    told
        Whether to warn of what was decided.

    Raises
    ------
    DataError
        Where nothing is positive.

    Warns
    -----
    UserWarning
        Where ratings had to be divided without `positive_from`, and for a `positive_from` without labels.
    """
    config = dataset.config
    if label is None or label not in dataset.inter_feat:
        if positive_from is not None and told:
            warn(
                f"{origin}: positive_from = {positive_from:g} has no effect, since the training data hold no column "
                f"{label!r} (LABEL_FIELD names it, load_col loads it): every interaction counts as positive"
            )
        return Positives(None)
    labels = _column(dataset, label)
    binary = bool(((labels == 0) | (labels == 1)).all())
    low, high = _scale(config["rating_scale"], labels)
    level = positive_from
    if level is None and not binary:
        level = low + POSITIVE_SHARE * (high - low)
    if level is not None:
        level -= 1e-6 * (high - low)  # float32 rounds the ratings
    chosen = Positives(label, level).among(labels)
    if not bool(chosen.any()):
        wanted = "" if positive_from is None else f" from positive_from = {positive_from:g} on"
        cure = "" if positive_from is None else _in_other_units(high)
        raise DataError(
            f"{origin}: the training data hold no positive interaction{wanted}: labels in column {label!r} go from "
            f"{low:g} to {high:g}{cure}"
        )
    if positive_from is None and not binary and told:
        warn(
            f"{origin}: labels of the training data (column {label!r}) are ratings from {low:g} to {high:g}, not 0 "
            f"and 1; those from {float(labels[chosen].min()):.4g} on, {float(chosen.double().mean()):.0%} of the rows, "
            f"count as positive. positive_from sets another limit"
        )
    return Positives(label, level, bool(chosen.all()), _samples_labels(config))


def _samples_labels(config: Any) -> bool:
    """Whether RecBole draws negatives into the rows of a batch, and writes 0 and 1 over the labels."""
    arguments = config["train_neg_sample_args"] or {}
    drawn = arguments.get("distribution", "none") != "none" and arguments.get("sample_num") != "none"
    kind = getattr(config["MODEL_INPUT_TYPE"], "name", str(config["MODEL_INPUT_TYPE"]))
    return drawn and kind == "POINTWISE"


def _in_other_units(high: float) -> str:
    normalised = " (RecBole has normalised them: normalize_all, normalize_field)" if high == 1.0 else ""
    return f"{normalised}; give a positive_from that is not above {high:g}"


def _column(dataset: Dataset, name: str) -> Tensor:
    column = dataset.inter_feat[name]
    return column if isinstance(column, Tensor) else torch.as_tensor(column.to_numpy())


def _scale(wanted: object, labels: Tensor) -> tuple[float, float]:
    """Lowest and highest rating: as the option says where the ratings are within it, else those that occur."""
    real = labels[torch.isfinite(labels)]
    low, high = (float(real.min()), float(real.max())) if len(real) else (0.0, 0.0)
    if isinstance(wanted, list | tuple) and len(wanted) == 2 and wanted[0] <= low and high <= wanted[1]:
        return float(wanted[0]), float(wanted[1])
    return low, high


def moved_on(
    columns: Mapping[str, Tensor], *, suffix: str, length_field: str, longest: int
) -> dict[str, Tensor]:
    """Histories with each row's own target at their end: what is known of a user once it has happened.

    Parameters
    ----------
    columns
        Of a sequential data set: the targets `NAME` `[n, ...]`, the histories before them, `NAME` + `suffix`,
        `[n, longest, ...]`, and how many entries of them count, `length_field` `[n]`.
    longest
        How many entries a history has at most; the oldest make room.

    Returns
    -------
    dict
        The histories and their lengths.
    """
    lengths = columns[length_field]
    at, full = torch.arange(len(lengths)), lengths >= longest
    histories = {}
    for name in [name for name in columns if f"{name}{suffix}" in columns]:
        before = columns[f"{name}{suffix}"]
        room = torch.cat([before, torch.zeros_like(before[:, :1])], dim=1)
        room[at, lengths] = columns[name].to(room.dtype)
        shape = (-1, *[1] * (before.dim() - 1))
        histories[f"{name}{suffix}"] = torch.where(full.view(shape), room[:, 1:], room[:, :-1])
    histories[length_field] = torch.clamp(lengths + 1, max=longest)
    return histories


def n_interactions(batch: Interaction, field: str | None) -> int:
    """How many interactions a batch has: as many as there are users, or items, of `field`.

    The batch's own length may be another: beside interactions it may hold triples of a graph, and more of them.
    """
    return len(batch[field] if field is not None and field in batch.interaction else batch)


def training_pairs(dataset: Dataset, fields: Fields, liked: Positives) -> tuple[Tensor, Tensor]:
    """(users, items), each `[n]`: the positive interactions of the training split, as they are drawn."""
    feat = dataset.inter_feat
    users, items = feat[fields.user], feat[fields.item]
    rows = liked.rows(dataset)
    return (users, items) if rows is None else (users[rows], items[rows])


def with_first_items(dataset: Dataset, fields: Fields, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs and, for sequential data, those of items that only occur in histories.

    A sequence's first item is never a target; the item before each target covers it.
    """
    sequences = _sequences(dataset, fields)
    if sequences is None:
        return users, items
    lists, lengths = sequences
    last = (lengths - 1).clamp(min=0)
    before = lists.gather(1, last.unsqueeze(1)).squeeze(1)
    return torch.cat([users, dataset.inter_feat[fields.user]]), torch.cat([items, before])


def training_items(dataset: Dataset, fields: Fields, liked: Positives) -> tuple[Tensor, Tensor]:
    """(users, items), each `[n]`: every positive training interaction once.

    In sequential data a row is a prefix and its target; a user's first item is never a target, so it is taken from
    the prefix of length 1.
    """
    users, items = training_pairs(dataset, fields, liked)
    sequences = _sequences(dataset, fields)
    if sequences is None:
        return users, items
    lists, lengths = sequences
    first = lengths == 1
    return torch.cat([users, dataset.inter_feat[fields.user][first]]), torch.cat([items, lists[first][:, 0]])


def _sequences(dataset: Dataset, fields: Fields) -> tuple[Tensor, Tensor] | None:
    """Histories `[n, longest]` and their lengths `[n]` of sequential data; None of other data."""
    feat = dataset.inter_feat
    if fields.sequence is None or fields.sequence_length is None or fields.sequence not in feat:
        return None
    return feat[fields.sequence], feat[fields.sequence_length]


def group_mean(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Means `[n_groups, ...]` of `values` `[n, ...]` by group number `[n]`; 0 for an empty group."""
    sums = values.new_zeros(n_groups, *values.shape[1:]).index_add(0, group, values)
    counts = torch.bincount(group, minlength=n_groups).clamp(min=1).to(values.dtype)
    return sums / counts.view(-1, *[1] * (values.dim() - 1))


def transformed(dataset: Any, rows: Any) -> Any:
    """Rows as RecBole's option `transform` makes them for prediction: SHAN's lists with the padding in front.

    The other transforms only add columns for training, at random: there rows stay as they are.
    """
    if dataset.config["transform"] not in ("inverse_itemseq", "user_defined"):
        return rows
    from recbole.data.transform import construct_transform

    return construct_transform(dataset.config)(dataset, rows)
