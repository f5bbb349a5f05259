"""A language model on this machine as a scorer of users: zero-shot, or with adapters that were tuned before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from burnish.randomness import forked_randomness

from ..attributes import AttributeSchema
from ..scorers.protocol import Scores, Texts
from ..split import both_splits
from .model import LocalModel, adapter_split, load_adapter, load_language_model, pick_device
from .prompts import histories_of


class LocalUserScorer:
    """Scores users by their histories, expected digits read in one forward pass a user.

    Parameters
    ----------
    model
        A folder with a model and its tokenizer, or the name of one that was downloaded.
    adapter
        The folder `adapter` that tuning wrote, or None for the model as it came.
    max_tokens
        Longest prompt and answer; old history is left out.
    precision
        "float32" or "bfloat16", of the model.
    device
        "auto" is cuda where there is one, else cpu.
    batch
        Users in one pass.
    """

    name = "local"

    def __init__(
        self,
        model: str | Path,
        adapter: str | Path | None = None,
        *,
        max_tokens: int = 2048,
        precision: str = "float32",
        device: str = "auto",
        batch: int = 4,
    ) -> None:
        self.model, self.adapter = model, adapter
        self.max_tokens, self.precision = max_tokens, precision
        self.device, self.batch = device, batch

    def score(self, texts: Texts, schema: AttributeSchema) -> Scores:
        """Score users by their histories.

        Parameters
        ----------
        texts
            Users with a field `history`.
        schema
            The attributes and their scale.

        Returns
        -------
        Scores
            Of all `texts.ids`, NaN where the history is empty.

        Raises
        ------
        ConfigurationError
            Where the model or the adapter cannot be used.
        """
        device = pick_device(self.device)
        histories_of(texts)
        with forked_randomness(0, device):
            network, tokenizer = load_language_model(self.model, self.precision)
            if self.adapter is not None:
                network = load_adapter(network, Path(self.adapter), schema)
            model = LocalModel(network, tokenizer, schema, self.max_tokens, device)
            source = Path(self.model).name + (", tuned with LoRA" if self.adapter is not None else "")
            scores = score_texts(model, texts, self.batch, source)
        if self.adapter is None:
            return scores
        return replace(scores, split=both_splits(adapter_split(Path(self.adapter)), texts.split))


def score_texts(model: LocalModel, texts: Texts, batch: int, source: str) -> Scores:
    """Expected scores of users on the schema's scale, and their standard deviations as uncertainty."""
    histories = histories_of(texts)
    rows = [row for row, history in enumerate(histories) if history.strip()]
    names = model.schema.names
    values = np.full((len(histories), len(names)), np.nan)
    spreads = values.copy()
    if rows:
        values[rows], spreads[rows] = model.score(model.encode([histories[row] for row in rows]), batch)
    low, high = model.schema.scale
    return Scores(texts.ids, names, values, spreads, (float(low), float(high)), source, split=texts.split)
