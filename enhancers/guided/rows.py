"""The columns of one prediction, made of the training data: what explanations ask a backbone with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Fields
from burnish.enhancers.interactions import moved_on

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


class TrainingRows:
    """Rows to predict from: ids, features of users and items, and sequences that end with the training data.

    Keeps references to the data set's own feature tables, and one row of sequences a user.
    """

    def __init__(self, dataset: Dataset, fields: Fields, longest: int | None) -> None:
        self.fields = fields
        self.features = [
            (name, feat.interaction)
            for name, feat in (
                (fields.user, getattr(dataset, "user_feat", None)),
                (fields.item, getattr(dataset, "item_feat", None)),
            )
            if feat is not None
        ]
        self.sequences: dict[str, Tensor] = {}
        self.has_sequence: Tensor | None = None
        sequential = fields.sequence is not None and fields.sequence in dataset.inter_feat
        if sequential and longest is not None:
            self._keep_sequences(dataset, longest)

    def _keep_sequences(self, dataset: Any, longest: int) -> None:
        """Every user's longest list, moved on by the item that it is the history of."""
        columns = dataset.inter_feat.interaction
        fields, length_field = self.fields, self.fields.sequence_length
        assert fields.sequence is not None
        assert length_field is not None
        users = columns[fields.user]
        last = torch.full((dataset.user_num,), -1)
        last[users] = torch.arange(len(users))  # RecBole keeps a user's rows in the order of time
        self.has_sequence = last >= 0
        rows = last.clamp(min=0)
        suffix = fields.sequence[len(fields.item) :]
        self.sequences = moved_on(
            {name: column[rows] for name, column in columns.items()},
            suffix=suffix,
            length_field=length_field,
            longest=longest,
        )
        if (
            dataset.config["transform"] == "inverse_itemseq"
        ):  # SHAN reads its histories with the padding in front
            found = self.sequences[fields.sequence]
            places = torch.arange(longest) - (longest - self.sequences[length_field]).unsqueeze(1)
            moved = found.gather(1, places.clamp(min=0))
            self.sequences[f"Inverse_{fields.sequence}"] = torch.where(places >= 0, moved, 0)

    def row(self, user: int, item: int, device: torch.device) -> Interaction | None:
        """One row of RecBole's; None for a user without a sequence."""
        from recbole.data.interaction import Interaction

        if self.has_sequence is not None and not bool(self.has_sequence[user]):
            return None
        columns = {self.fields.user: torch.tensor([user]), self.fields.item: torch.tensor([item])}
        for name, values in self.sequences.items():
            columns[name] = values[user : user + 1]
        for key, feat in self.features:
            for name, values in feat.items():
                if name not in columns:
                    columns[name] = values[int(columns[key])].unsqueeze(0)
        return Interaction(columns).to(device)
