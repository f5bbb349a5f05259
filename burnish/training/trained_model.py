"""A trained model with the data that it was trained on: what `load_run` gives, and what verbs on models work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Splits(NamedTuple):
    """The parts of a data set: RecBole data sets, None where the split has none."""

    training: Any
    validation: Any
    test: Any


@dataclass
class TrainedModel:
    """A trained model with its data.

    Attributes
    ----------
    config
        RecBole's config, with all options of the run.
    dataset
        RecBole's whole data set, after the split.
    train, valid, test
        RecBole's loaders of the three parts; None where the split has no such part.
    model
        The trained model.
    seconds
        How long it took to train it, where it was trained first for another run; else None.
    """

    config: Any
    dataset: Any
    train: Any
    valid: Any
    test: Any
    model: Any
    seconds: float | None = None

    @property
    def splits(self) -> Splits:
        """The data sets behind the loaders."""
        return Splits(*(getattr(loader, "_dataset", None) for loader in (self.train, self.valid, self.test)))

    @property
    def sequential(self) -> bool:
        """Whether a prediction starts from a sequence of items."""
        from recbole.utils import ModelType

        return self.config["MODEL_TYPE"] == ModelType.SEQUENTIAL

    def tokens(self, field: str, ids: Any) -> list[str]:
        """The original ids behind internal ones."""
        return [str(token) for token in self.dataset.id2token(field, ids)]
