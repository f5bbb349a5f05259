"""What a training run reports while it goes on, and what it gives at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from .trained_model import Splits, TrainedModel


@dataclass(frozen=True)
class Epoch:
    """Where training is: epoch `number` (from 1) of at most `total`; `valid_score` once it was validated."""

    number: int
    total: int
    loss: float | None = None
    valid_score: float | None = None
    seconds: float = 0.0


@dataclass
class TrainingResult:
    """What one training run gave.  Metric names are RecBole's, in lower case: "ndcg@10", "auc"."""

    model_name: str
    dataset_name: str
    seed: int
    #: Options that differ from the defaults, by name of the enhancer.
    enhancers: dict[str, dict[str, Any]]
    valid_metric: str
    #: RecBole's own figures, rounded by it to `metric_decimal_place`.
    best_valid_score: float
    best_valid_result: dict[str, float]
    rounded_test_result: dict[str, float]
    #: The same without rounding: the best epoch on validation, and the test set.
    valid_result: dict[str, float]
    test_result: dict[str, float]
    #: One line a test row (see `per_user_frame`), None where the metrics have no value a user.
    per_user: pd.DataFrame | None
    n_epochs: int
    best_epoch: int | None
    losses: list[float]
    #: Wall-clock seconds: "train", "valid", "test", "total".
    seconds: dict[str, float]
    #: Highest memory of the device; on a CPU, of the whole process so far.  None where it cannot be read.
    peak_memory_mb: float | None
    n_parameters: int
    flops: float | None
    checkpoint: Path | None
    config: dict[str, Any]
    trained: TrainedModel = field(repr=False)

    @property
    def model(self) -> Any:
        """The trained model."""
        return self.trained.model

    @property
    def dataset(self) -> Any:
        """RecBole's whole data set."""
        return self.trained.dataset

    @property
    def splits(self) -> Splits:
        """The parts of the data set: training, validation, test."""
        return self.trained.splits

    def summary(self) -> dict[str, Any]:
        """Everything but the tables and the objects, ready for JSON."""
        left_out = {"trained", "per_user", "config"}
        shown = {name: value for name, value in vars(self).items() if name not in left_out}
        shown["checkpoint"] = str(self.checkpoint) if self.checkpoint else None
        return shown


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON can hold them: what is not a number, text, list or mapping becomes text."""
    return json.loads(json.dumps(dict(options), default=str))
