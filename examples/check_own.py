"""A backbone and an enhancer of one's own, held against every promise of the attachment.

python examples/check_own.py

In a test suite, the same checks are one parametrised test:

    @pytest.mark.parametrize("check", check_backbone(TwoTowers, category="general"), ids=repr)
    def test_my_backbone(check):
        check()
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from own_enhancer import Gain
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn

import burnish  # noqa: F401  (mends RecBole)
from burnish.enhancers.conformance import check_backbone, check_enhancer


class TwoTowers(GeneralRecommender):
    """Users and items in one matrix, two small networks on top, a softplus loss on pairs."""

    input_type = InputType.PAIRWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        width = config["embedding_size"]
        self.everybody = nn.Embedding(self.n_items + self.n_users, width)
        nn.init.normal_(self.everybody.weight, std=0.1)
        self.towers = nn.ModuleDict({side: nn.Linear(width, width) for side in ("user", "item")})

    def burnish_tables(self) -> tuple[tuple[str, str, int], ...]:
        """What no name says: the matrix holds items first, then users."""
        return ("everybody.weight", "item", 0), ("everybody.weight", "user", self.n_items)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        left = self.towers["user"](self.everybody(users + self.n_items))
        return (left * self.towers["item"](self.everybody(items))).sum(-1)

    def calculate_loss(self, interaction: Any) -> Tensor:
        users = interaction[self.USER_ID]
        better = self(users, interaction[self.ITEM_ID]) - self(users, interaction[self.NEG_ITEM_ID])
        return nn.functional.softplus(-better).mean()

    def predict(self, interaction: Any) -> Tensor:
        return self(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction: Any) -> Tensor:
        users = interaction[self.USER_ID]
        items = torch.arange(self.n_items, device=users.device)
        return self(users.repeat_interleave(self.n_items), items.repeat(len(users)))


def main() -> int:
    """Print every outcome; the exit status is 1 when a promise is broken."""
    broken = 0
    for title, checks in {
        "the backbone, with a probe that uses every hook": check_backbone(TwoTowers, category="general"),
        "the enhancer, on three of RecBole's backbones": check_enhancer(
            Gain(), backbones=["BPR", "LightGCN", "SASRec"]
        ),
    }.items():
        print(f"\n{title}")
        for check in checks:
            outcome = check.outcome()
            broken += not outcome.good
            print(f"  {outcome.backbone:10} {outcome.check:26} {outcome.status:15} {outcome.detail}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
