"""What each attribute of an item adds to a recommendation's score.

Ours (arXiv 2504.11658 shows case studies of scores): the item's attributes are players; a coalition's worth is the
score with the attributes of the others at the catalogue's mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from burnish.enhancers.kept_embeddings import clear_kept, kept
from burnish.enhancers.shapley.estimators import enumeration, permutation
from burnish.enhancers.unchanged import evaluating
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

#: Up to so many attributes all coalitions of them are asked for.
ENUMERATED = 10
#: Coalitions that are asked for beyond that.
BUDGET = 1024
#: Largest departure from a sum, as a share of the largest contribution, that counts as rounding.
ROUNDING = 1e-3


class AttributeGame:
    """The score of one recommendation as a function of which attributes of the item are known.

    guided: `[n_items, m]`, the enhancer's buffer; the item's row is set for each question and put back after it.
    """

    outputs = ("score",)

    def __init__(self, backbone: nn.Module, guided: Tensor, row: Any, item: int, *, seed: int = 0) -> None:
        self.backbone: Any = backbone
        self.guided, self.row, self.item, self.seed = guided, row, item, seed
        self.n_players = guided.shape[1]

    @torch.no_grad()
    def __call__(self, masks: Tensor) -> Tensor:
        own = self.guided[self.item].clone()
        before = kept(
            self.backbone
        )  # SGL predicts from what it keeps, and keeps what it propagates to predict
        scores = torch.empty(len(masks), 1, dtype=torch.float64)
        with evaluating(self.backbone):
            try:
                for number, mask in enumerate(masks.to(own.device)):
                    self.guided[self.item] = own * mask
                    clear_kept(self.backbone)
                    # The few models that draw random numbers to predict draw the same ones each time.
                    with forked_randomness(self.seed, own.device):
                        scores[number, 0] = self._score()
            finally:
                self.guided[self.item] = own
                clear_kept(self.backbone)
                for name, value in before.items():
                    setattr(self.backbone, name, value)
        return scores.to(masks.device)

    def _score(self) -> float:
        try:
            return float(self.backbone.predict(self.row).reshape(-1)[0])
        except (KeyError, AssertionError, NotImplementedError) as error:
            raise UnsupportedError(
                f"guided cannot explain recommendations of {type(self.backbone).__name__}: it does not score one pair "
                f"from a user's training history alone ({type(error).__name__}: {error}). Backbones that predict from "
                f"ids, features and sequences alone can be explained, such as BPR, LightGCN, DeepFM or SASRec."
            ) from error


@dataclass(frozen=True)
class Contributions:
    """What attributes add to a score.

    values: `[m]`, in units of the score; with `rest`, the score with every attribute at the catalogue's mean, they sum
    to `score`.  standard_error: `[m]`, 0 where exact.  additive: whether each contribution is the same whatever
    the others are, as in backbones that score by a dot product.
    """

    values: Tensor
    standard_error: Tensor
    score: float
    rest: float
    additive: bool

    @property
    def share(self) -> float:
        """Share of the score that attributes explain, 0 to 1: |contributions| over those and |rest|."""
        guided = float(self.values.abs().sum())
        whole = guided + abs(self.rest)
        return guided / whole if whole > 0 else 0.0


def contributions(game: AttributeGame) -> Contributions:
    """Exact contributions where the score is additive or attributes are few, else sampled Shapley values."""
    m = game.n_players
    ends = game(torch.tensor([[False], [True]]).expand(2, m))[:, 0]
    rest, score = float(ends[0]), float(ends[1])
    alone = game(torch.eye(m, dtype=torch.bool))[:, 0] - rest
    if _is_additive(game, alone, rest, score):
        return Contributions(alone, torch.zeros(m, dtype=torch.float64), score, rest, True)
    if m <= ENUMERATED:
        shapley = enumeration.estimate(game)
    else:
        shapley = permutation.estimate(game, budget=BUDGET, seed=game.seed)
    return Contributions(
        shapley.values[:, 0].double(), shapley.standard_error[:, 0].double(), score, rest, False
    )


def _is_additive(game: AttributeGame, alone: Tensor, rest: float, score: float) -> bool:
    """Whether some coalitions are worth the sum of their members: all, all but one, and random halves."""
    m = len(alone)
    tolerance = ROUNDING * max(float(alone.abs().max()), 1e-6 * abs(score), 1e-12)
    if abs(float(alone.sum()) + rest - score) > tolerance:
        return False
    generator = torch.Generator().manual_seed(game.seed)
    halves = torch.rand(4, m, generator=generator) < 0.5
    worth = game(halves)[:, 0]
    return bool(((halves.double() @ alone + rest - worth).abs() <= tolerance).all())
