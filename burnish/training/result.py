"""What a training run reports while it goes on, and its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from burnish.html_tables import facts, page, table

from .trained_model import Splits, TrainedModel


@dataclass(frozen=True)
class Epoch:
    """Where training is: epoch `number` (from 1) of at most `total`; `valid_score` once it was validated.

    what: "epoch"; "pre-training epoch" where a model's stage is that; or "candidate" where nothing is trained and
    candidates are tried; these have no loss.
    run: which run it is of, where that is one that is trained first, such as "the base"; empty for the run itself.
    """

    number: int
    total: int
    loss: float | None = None
    valid_score: float | None = None
    seconds: float = 0.0
    what: str = "epoch"
    run: str = ""

    @property
    def of(self) -> str:
        """What is counted, in words: `epoch`, `the teacher 'softmax', epoch`."""
        return f"{self.run}, {self.what}" if self.run else self.what


@dataclass
class TrainingResult:
    """The outcome of one training run.  Metric names are RecBole's, in lower case: "ndcg@10", "auc".

    Attributes
    ----------
    model_name, dataset_name, seed
        What was trained, on what.
    enhancers
        Options that differ from the defaults, by name of the enhancer.
    valid_metric
        The metric that the best epoch was chosen by.
    best_valid_score, best_valid_result, rounded_test_result
        RecBole's own figures, rounded by it to `metric_decimal_place`.
    valid_result, test_result
        The same without rounding: the best epoch on validation, and the test set.
    per_user
        One line a test row (see `per_user_frame`); None where the metrics have no value a user.
    n_epochs, best_epoch, losses
        Epochs trained, the best one (from 1; None where validation chose none), and the loss of each.
    seconds
        Wall-clock seconds: "train", "valid", "test", "total" and, apart from it, those of runs that were trained
        first: "base" and "teacher NAME".
    peak_memory_mb
        Highest memory of the device, in units of 2^20 bytes; on a CPU, of the whole process so far.  None where it
        cannot be read.
    n_parameters, flops
        Trainable numbers of the model, and RecBole's count of operations for one test row.
    checkpoint
        RecBole's checkpoint, None where it is not kept.
    config
        All of RecBole's options, as JSON holds them.
    trained
        The trained model with its data, which `recommend` and the like take.
    valid_scores
        The value of `valid_metric` by epoch, as RecBole rounds it.
    beyond
        Of the lists of a test in the whole catalogue: "itemcoverage@10", "giniindex@10", "averagepopularity@10",
        "novelty@10"; empty for other tests.
    popularity_deciles
        Test items, hits and places in lists by tenths of the items' popularity; see `beyond.popularity_deciles`.
    deciles_by_row
        Of these, test items and hits of each line of `per_user`; see `beyond.counts_by_row`.
    data
        Counts of the data set, and digests of it and of the parts of its split.
    """

    model_name: str
    dataset_name: str
    seed: int
    enhancers: dict[str, dict[str, Any]]
    valid_metric: str
    best_valid_score: float
    best_valid_result: dict[str, float]
    rounded_test_result: dict[str, float]
    valid_result: dict[str, float]
    test_result: dict[str, float]
    per_user: pd.DataFrame | None
    n_epochs: int
    best_epoch: int | None
    losses: list[float]
    seconds: dict[str, float]
    peak_memory_mb: float | None
    n_parameters: int
    flops: float | None
    checkpoint: Path | None
    config: dict[str, Any]
    trained: TrainedModel = field(repr=False)
    valid_scores: dict[int, float] = field(default_factory=dict, repr=False)
    beyond: dict[str, float] = field(default_factory=dict)
    popularity_deciles: dict[str, list[int]] = field(default_factory=dict, repr=False)
    deciles_by_row: dict[str, Any] = field(default_factory=dict, repr=False)
    data: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> Any:
        """The trained model."""
        return self.trained.model

    @property
    def counted(self) -> str:
        """What the epochs were: epochs, or candidates where an enhancer tries them and nothing is trained."""
        from burnish.enhancers.host import Host

        host = getattr(self.trained.model, "enhancers", None)
        return "candidates" if isinstance(host, Host) and host.trying is not None else "epochs"

    @property
    def edges(self) -> list[str]:
        """What enhancers chose at the edge of candidates tried, as in "compress: no lower ridge was tried"."""
        from burnish.enhancers.chosen import chosen_edges
        from burnish.enhancers.host import Host

        host = getattr(self.trained.model, "enhancers", None)
        return chosen_edges(host.enhancers()) if isinstance(host, Host) else []

    @property
    def dataset(self) -> Any:
        """RecBole's whole data set."""
        return self.trained.dataset

    @property
    def splits(self) -> Splits:
        """The parts of the data set: training, validation, test."""
        return self.trained.splits

    def _repr_html_(self) -> str:
        valid = self.valid_result or self.best_valid_result
        names = dict.fromkeys([*self.test_result, *valid])
        nan = float("nan")
        rows = [(name, valid.get(name, nan), self.test_result.get(name, nan)) for name in names]
        best = "" if self.best_epoch is None else f", best {self.best_epoch} by {self.valid_metric}"
        known = {
            "attached:": ", ".join(self.enhancers) or "nothing",
            f"{self.counted}:": f"{self.n_epochs}{best}",
            "parameters:": self.n_parameters,
        }
        title = f"{self.model_name} on {self.dataset_name}, seed {self.seed}"
        return page(title, table(("metric", "validation", "test"), rows), facts(known))

    def summary(self) -> dict[str, Any]:
        """Everything but the tables and the objects, ready for JSON."""
        left_out = {"trained", "per_user", "config", "deciles_by_row"}
        shown = {name: value for name, value in vars(self).items() if name not in left_out}
        shown["checkpoint"] = str(self.checkpoint) if self.checkpoint else None
        shown["edges"] = self.edges
        return shown


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON can hold them: what is not a number, text, list or mapping becomes text."""
    return json.loads(json.dumps(dict(options), default=str))
