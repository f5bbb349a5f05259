"""A model whose epochs are timed: with its data and RecBole's own trainer, built as RecBole builds them."""

from __future__ import annotations

import logging
import time
from typing import Any

import torch


class TimedModel:
    """One model on one data set, without a word in the log.

    model: a backbone's name or class, plain or enhanced.  options: RecBole options; `checkpoint_dir` among them where
    nothing may be left behind.
    """

    def __init__(self, model: str | type, dataset: str, options: dict[str, Any]) -> None:
        import burnish  # noqa: F401  (mends RecBole, and makes models and options known)
        from burnish.enhancers.conformance.world import world_of

        logging.disable(logging.WARNING)
        world = world_of(model, dataset, {"show_progress": False, "seed": 2020, **options})
        self.config = world.config
        self.train, self.valid = world.train, world.valid
        self.model, self.trainer = world.model, world.trainer
        self.epochs = 0
        self.loss: Any = None

    def first_batch(self) -> Any:
        """The first training batch, on the model's device."""
        return next(iter(self.train)).to(self.config["device"])

    def epoch(self) -> float:
        """Seconds of one more epoch; its loss is `loss` then."""
        start = time.perf_counter()
        self.loss = self.trainer._train_epoch(self.train, self.epochs)
        self.synchronise()
        self.epochs += 1
        return time.perf_counter() - start

    @staticmethod
    def synchronise() -> None:
        """Wait for an accelerator to finish."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
