"""Where users' attributes start: their own scores, else the shrunk mean of the items of their training history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from burnish.errors import DataError, warn
from burnish.files.data_names import data_names

from .blocks import Block, say_coverage
from .item_fields import field_scores
from .options import GuidedConfig
from .scorers.files import SPLIT
from .scorers.shipped import load_scores
from .split import training_fingerprint

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def own_scores(config: GuidedConfig, dataset: Dataset, block: Block) -> Tensor | None:
    """Users' own scores on the items' axis, `[n_users, m]`, NaN where unknown; None where there is no file."""
    if config.user_scores is None or block.axis is None:
        return None
    path = Path(config.user_scores)
    scores = load_scores(path, id_column="user_id", names=data_names(dataset.config))
    _check_split(path, scores.split, dataset)
    of_items = _attributes_of_items(config, dataset)
    judged = [name for name in block.names if name in scores.attributes or name not in of_items]
    tokens = [str(token) for token in dataset.field2id_token[dataset.uid_field]]
    rows = np.full((len(tokens), len(block.names)), np.nan)
    rows[:, [block.names.index(name) for name in judged]] = scores.only(judged).rows(tokens)
    unknown = torch.from_numpy(np.isnan(rows))
    if bool(unknown.all()):
        raise DataError(
            f"guided: none of the ids in user_scores = {str(path)!r} (such as {scores.ids[0]!r}) is a user of the data "
            f"set (such as {tokens[1]!r})"
        )
    say_coverage(
        scores.only(judged),
        rows[1:, [block.names.index(name) for name in judged]],
        "users",
        "start as the mean of their items",
    )
    values = torch.from_numpy(block.axis.standardise(rows)).float()
    values[unknown] = float("nan")
    return values


def _check_split(path: Path, split: str | None, dataset: Dataset) -> None:
    """Scores of users must not have seen what this run validates or tests on."""
    if split is None:
        warn(
            f"guided: user_scores = {str(path)!r} do not say which training rows made them (column {SPLIT!r}), so it "
            f"is not known whether they have seen interactions that this run validates or tests on; score the users "
            f"again (burnish guide score --users) to have it checked"
        )
        return
    here = training_fingerprint(dataset)
    if split != here:
        raise DataError(
            f"guided: user_scores = {str(path)!r} were made from other training rows than those of this run ({SPLIT} "
            f"{split[:8]}... there, {here[:8]}... here), so they may have seen what it validates or tests on; score "
            f"the users again with this run's data, options, seed and backbone (burnish guide score --users "
            f"--backbone ... --seed ...), or use the run's split that they were made with"
        )


def _attributes_of_items(config: GuidedConfig, dataset: Dataset) -> tuple[str, ...]:
    """Attributes that nobody is asked to score for users, since the item file has them."""
    return field_scores(dataset, config.fields).attributes if config.fields else ()


def mean_of_items(users: Tensor, items: Tensor, guided: Tensor, n_users: int, shrinkage: float) -> Tensor:
    """`[n_users, m]`: sum of the guided rows of a user's items over (their number + shrinkage); 0 for none.

    users, items: `[n]` ids of training interactions.  guided: `[n_items, m]`, standardised, so 0 is an average item
    and shrinkage counts as so many average items.  The free alternative to scores by a language model (ours).
    """
    total = torch.zeros(n_users, guided.shape[1], dtype=torch.float64, device=guided.device)
    total.index_add_(0, users, guided[items].double())
    count = torch.bincount(users, minlength=n_users).double()
    return (total / (count + shrinkage).clamp_min(1e-12).unsqueeze(1)).to(guided.dtype)
