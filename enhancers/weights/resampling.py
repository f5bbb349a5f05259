"""Weights by sampling: training interactions are drawn with probability proportional to their weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .interactions import TrainingInteractions


class Resampling:
    """Draws, for each epoch, which interactions are seen: as many as there are, with replacement.

    The mean loss over the drawn ones is, in expectation, the mean loss weighted by w (w with mean 1, drawn with
    probability w / n).  The seed and the epoch determine the draw; no global stream is touched.
    """

    def __init__(self, seed: int, backbone: str) -> None:
        self.seed, self.backbone = seed, backbone
        self.active = False

    def start(self) -> None:
        """Resample from the next epoch on."""
        self.active = True

    def draw(self, weights: Tensor, epoch: int) -> np.ndarray[Any, Any]:
        """Numbers `[n]` of the rows drawn for an epoch, from weights `[n]`."""
        probabilities = weights.detach().double().cpu().numpy()
        generator = np.random.default_rng((self.seed, epoch, 7919))
        return generator.choice(
            len(probabilities), size=len(probabilities), p=probabilities / probabilities.sum()
        )


@contextlib.contextmanager
def resampled(
    train_data: Any, resampling: Resampling, weights: Tensor, interactions: TrainingInteractions, epoch: int
) -> Iterator[None]:
    """Within the block RecBole's training loader makes its batches of drawn interactions.

    weights: `[n]`, of the rows of the training interactions.  A loader of users draws users, by the mean weight of
    their interactions.
    """
    loader = getattr(train_data, "general_dataloader", train_data)
    if isinstance(loader.collate_fn, _Drawn):
        yield  # a trainer that calls its parent's epoch: drawn already
        return
    if loader.sample_size == interactions.count:
        drawn = resampling.draw(weights, epoch)
    else:
        users = loader.user_list[interactions.user_field]
        drawn = resampling.draw(interactions.of_users(weights.cpu(), users), epoch)
    original = loader.collate_fn
    loader.collate_fn = _Drawn(original, drawn)
    try:
        yield
    finally:
        loader.collate_fn = original


class _Drawn:
    """A collate function that replaces each position by the row drawn for it."""

    def __init__(self, collate: Any, drawn: np.ndarray[Any, Any]) -> None:
        self.collate, self.drawn = collate, drawn

    def __call__(self, index: Sequence[int]) -> Any:
        return self.collate(self.drawn[np.asarray(index)].tolist())
