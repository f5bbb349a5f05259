"""Retrain and check: without the interactions that are said to be the reasons, does the recommendation go?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from burnish.benchmarks.valuation.experiment import Experiment, train
from burnish.checks import whole_number
from burnish.errors import UnsupportedError
from burnish.files.whole import read_json
from burnish.randomness import forked_randomness
from burnish.trained.recommend import Recommender
from burnish.training.session import alone

from .measures import TOP
from .standing import Recommendation

if TYPE_CHECKING:
    from burnish.training.trained_model import TrainedModel

#: The arm that nothing is removed in: what goes there goes by chance.
NOTHING = "nothing removed"
#: How many interactions a user loses.
REMOVED = 5


@dataclass(frozen=True)
class Retrained:
    """What became of one recommendation in a model that was trained anew.

    standing, rank: among the same candidates as before, as in `Standings`, but by the spread of this model's scores.
    """

    user: int
    arm: str
    standing: float
    rank: int

    @property
    def left(self) -> bool:
        """Whether it is not recommended any more."""
        return self.rank > TOP


def retrained(
    trained: TrainedModel,
    explained: Sequence[Recommendation],
    orders: Mapping[str, Sequence[NDArray[np.int64]]],
    *,
    k: int = REMOVED,
    epochs: int,
    tell: Callable[[str], None] = lambda what: None,
) -> list[Retrained]:
    """Train once with all interactions, and once an arm without the first k of its order, of each explained user.

    All users lose their interactions in the same training (nobody else loses any), by the seed of the run; a user keeps
    one interaction at least.  The candidates stay those of `explained`: what was removed is not recommended instead.

    orders: by arm, one order over the history for each recommendation.
    Raises `UnsupportedError` for sequential models, whose training rows hold one another's items.
    """
    if trained.sequential:
        raise UnsupportedError(
            "retrain-and-check removes rows of the training data, and those of a sequential model hold the items of "
            "other rows; it is for models that are trained on single interactions"
        )
    experiment = experiment_of(trained)
    arms: dict[str, list[NDArray[np.int64]]] = {NOTHING: [np.empty(0, np.int64) for _ in explained]}
    arms |= {name: [order[:k] for order in each] for name, each in orders.items()}
    found = []
    for arm, places in arms.items():
        tell(f"retraining: {arm}")
        gone = np.zeros(len(experiment.users), bool)
        for one, which in zip(explained, places, strict=True):
            gone |= rows_to_remove(experiment, one.user, one.history[which])
        rows = np.flatnonzero(~gone)
        model = _trained_on(experiment, rows, epochs, type(trained.model))
        recommender = Recommender(replace(trained, model=model))
        found += [_after(recommender, one, arm) for one in explained]
    return found


def experiment_of(trained: TrainedModel) -> Experiment:
    """A run's data and settings as an experiment that can be trained on any of its training rows."""
    data, splits = trained.dataset, trained.splits
    columns = splits.training.inter_feat
    users, items = (np.asarray(columns[name]).astype(np.int64) for name in (data.uid_field, data.iid_field))
    return Experiment(
        trained.config,
        splits.training,
        trained.valid,
        trained.test,
        users,
        items,
        np.zeros(len(users), bool),
        int(data.user_num),
        int(data.item_num),
        [data, splits.validation, splits.test],
    )


def rows_to_remove(experiment: Experiment, user: int, items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The training rows of a user with these items, `[n]`; the last one stays where nothing else would be left."""
    own = experiment.users == user
    gone = own & np.isin(experiment.items, items)
    if gone.any() and gone.sum() == own.sum():
        gone[np.flatnonzero(own)[-1]] = False
    return gone


def epochs_of(source: Any, trained: TrainedModel, epochs: int | None) -> int:
    """How many epochs a retraining has: as asked for, else those to the run's best one, else as its options say."""
    if epochs is not None:
        return whole_number("retrain_epochs", epochs)
    if isinstance(source, str | Path) and (Path(source) / "result.json").is_file():
        best = read_json(Path(source) / "result.json", "train the run again").get("best_epoch")
        if isinstance(best, int) and best > 0:
            return best
    return int(trained.config["epochs"])


@alone()
def _trained_on(experiment: Experiment, rows: NDArray[np.int64], epochs: int, model_class: type) -> Any:
    config = experiment.config
    folder = config["checkpoint_dir"]
    try:
        with forked_randomness(0, torch.device(config["device"])):  # `train` sets the seed of the run
            return train(experiment, rows, epochs=epochs, seed=int(config["seed"]), model_class=model_class)
    finally:
        config["checkpoint_dir"] = folder


def _after(recommender: Recommender, one: Recommendation, arm: str) -> Retrained:
    scores = recommender.scores(np.array([one.user]))[0].double().cpu().numpy()[one.catalogue]
    own = scores[np.flatnonzero(one.catalogue == one.item)[0]]
    spread = max(float(scores.std()), 1e-12)
    return Retrained(one.user, arm, float((own - scores.mean()) / spread), int((scores > own).sum()) + 1)
