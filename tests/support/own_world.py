"""Sources of a model class and an enhancer of one's own, as a person writes them into a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: A backbone in a file of its own; `{loss}` is a line that a person may change.
TOWER = '''
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import nn


class Tower(GeneralRecommender):
    """A user's row times a map times an item's row."""

    input_type = InputType.PAIRWISE

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        width = config["embedding_size"]
        self.user_embedding = nn.Embedding(self.n_users, width)
        self.item_embedding = nn.Embedding(self.n_items, width)
        self.turn = nn.Linear(width, width)

    def forward(self, users, items):
        return (self.turn(self.user_embedding(users)) * self.item_embedding(items)).sum(-1)

    def calculate_loss(self, interaction):
        users = interaction[self.USER_ID]
        better = self(users, interaction[self.ITEM_ID]) - self(users, interaction[self.NEG_ITEM_ID])
        return nn.functional.softplus(-better).mean()

    def predict(self, interaction):
        return self(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction):
        users = self.turn(self.user_embedding(interaction[self.USER_ID]))
        return (users @ self.item_embedding.weight.t()).view(-1)
'''

#: An enhancer in a file of its own, which is not registered there.
SHARPER = '''
from pydantic import Field

from burnish import Enhancer
from burnish.enhancers.options import EnhancerConfig


class SharperConfig(EnhancerConfig):
    power: float = Field(default=1.0, ge=0.0, description="how much more frequent users count")


class Sharper(Enhancer[SharperConfig]):
    """Counts every other interaction more than its neighbour."""

    name = "sharper"
    Config = SharperConfig

    def weigh(self, batch):
        import torch

        weights = torch.ones(len(batch))
        weights[::2] += self.config.power
        return weights / weights.mean()
'''


def write_own(folder: Path) -> Path:
    """`mine.py` with the backbone and `sharp.py` with the enhancer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(TOWER, encoding="utf-8")
    (folder / "sharp.py").write_text(SHARPER, encoding="utf-8")
    return folder


@contextmanager
def imports_as_before() -> Iterator[None]:
    """What is imported, found and registered within is forgotten, as in another process."""
    from burnish.enhancers.registry import _registered
    from burnish.own.sources import _noted, _reached, is_installed

    modules, path, known, noted = set(sys.modules), list(sys.path), dict(_registered), dict(_noted)
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            if not is_installed(name):
                del sys.modules[name]
        sys.path[:] = path
        _registered.clear()
        _registered.update(known)
        _noted.clear()
        _noted.update(noted)
        _reached.cache_clear()
