"""Scores of drawn items by a model's own `predict`, with gradients and before any sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from burnish.enhancers.interactions import n_interactions
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.enhancers.unchanged import evaluating, unchanged
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

_SIGMOIDS = {torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit, torch.nn.functional.sigmoid}


class _Sigmoids(TorchFunctionMode):
    """Remembers what went into sigmoids, so that a score that ends in one can be had without."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _SIGMOIDS:
            self.seen.append((result, args[0] if args else kwargs["input"]))
        return result

    def logits(self, scores: Tensor) -> Tensor:
        """What the scores are the sigmoid of; the scores themselves where they are not one's."""
        for after, before in reversed(self.seen):
            if after.data_ptr() == scores.data_ptr() and after.numel() == scores.numel():
                return before.reshape(scores.shape)
        return scores


class PairScores:
    """Scores items for the rows of a batch as the backbone itself does.

    dataset: the training split, for the features of items.  asks: the name of the enhancer, for messages.
    """

    def __init__(
        self, dataset: Dataset, item_field: str, device: torch.device, asks: str = "softmax"
    ) -> None:
        self.item_field, self._asks = item_field, asks
        features = dataset.item_feat
        self._features = None if features is None else features.to(device)
        # RecBole gives drawn negatives a prefix.
        self._prefix = dataset.config["NEG_PREFIX"]

    def check(self, model: Any, dataset: Dataset) -> None:
        """Raise `UnsupportedError` for a model that cannot score drawn items for training rows; it stays as it is."""
        rows = torch.arange(min(2, len(dataset)))
        device = next(model.parameters()).device
        with forked_randomness(0, device), unchanged(model), evaluating(model), torch.no_grad():
            clear_kept(model)
            try:
                items = torch.ones(len(rows), 1, dtype=torch.long, device=device)
                self.of(model, dataset[rows].to(device), rows.to(device), items)
            finally:
                clear_kept(model)

    def of(self, model: Any, batch: Interaction, rows: Tensor, items: Tensor) -> Tensor:
        """Scores `[n, C]` of items `[n, C]` for rows `[n]` of a batch, before a sigmoid where the model ends in one.

        Raises `UnsupportedError` for a model that cannot score rows of a training batch, or whose scores have no
        gradient or are not one a row.
        """
        from recbole.data.interaction import Interaction

        n, count = items.shape
        flat = items.reshape(-1)
        repeated = rows.repeat_interleave(count)
        length = n_interactions(batch, self.item_field)
        columns = {
            name: column[repeated]
            for name, column in batch.interaction.items()
            if not name.startswith(self._prefix) and len(column) == length
        }
        if self._features is None:
            columns[self.item_field] = flat
        else:
            for name, column in self._features.interaction.items():
                columns[name] = column[flat]
        name = type(model).__name__
        try:
            with _Sigmoids() as sigmoids:
                scores = model.predict(Interaction(columns))
        except (KeyError, AssertionError, NotImplementedError) as error:
            why = f"needs the column {error}" if isinstance(error, KeyError) else "scores no single pairs"
            raise UnsupportedError(
                f"enhancer {self._asks!r} scores drawn items for rows of the training data by {name}.predict, which "
                f"{why}; leave it out here"
            ) from error
        if not isinstance(scores, Tensor) or scores.numel() != n * count:
            raise UnsupportedError(
                f"enhancer {self._asks!r}: {name}.predict gives no score for each of {n * count} rows"
            )
        scores = sigmoids.logits(scores)
        if torch.is_grad_enabled() and not scores.requires_grad:
            raise UnsupportedError(
                f"enhancer {self._asks!r}: the scores that {name}.predict gives have no gradient to train by"
            )
        return scores.reshape(n, count)
