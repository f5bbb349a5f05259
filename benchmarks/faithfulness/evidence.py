"""Reasons that are no items of a history, as reasons that can be masked: games over them, and their study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burnish.benchmarks.harness.faithful import OURS

from .checks import Agreement, agreement, rows_of_agreement
from .measures import in_order, rows_of
from .references import REFERENCES, Reference, Values
from .standing import Recommendation

if TYPE_CHECKING:
    from burnish.benchmarks.faithfulness.report import Faithfulness
    from burnish.trained.recommend import Recommender

#: Recommendations an item from which on a remark says how few items they are of.
FEW_ITEMS = 5

Makers = Mapping[str, Callable[[Recommendation], Values]]


class EvidenceGames(ABC):
    """A game over pieces of evidence, with the face of a game over a history: places stand for the pieces.

    kind: what the pieces are called.  method: what masking does.
    says: what the references are, by name; those that are not in `REFERENCES` are of this game alone.
    valued: what reasons are of, as of `HistoryReasons`.
    unsigned: whether reasons are weights without a side; then it is measured, too, how far the score moves either way.
    learned: whether reasons are compared with those of the same model before training.

    A subclass gives `of`, `history`, `values`, `scores` and `makers`.
    """

    kind: ClassVar[str]
    method: ClassVar[str]
    says: ClassVar[Mapping[str, str]]
    valued: ClassVar[str] = "score"
    unsigned: ClassVar[bool] = True
    learned: ClassVar[bool] = True

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self._catalogue: tuple[int, NDArray[np.float64]] | None = None

    @classmethod
    @abstractmethod
    def of(cls, recommender: Recommender) -> EvidenceGames | None:
        """Those of a model that has such reasons; None of others."""

    @property
    def scorer(self) -> EvidenceGames:
        """Itself."""
        return self

    @abstractmethod
    def history(self, user: int, item: int) -> Tensor:
        """The places `[n]` of the pieces of evidence for a pair; none where there is no reason."""

    @abstractmethod
    def values(self, user: int, item: int) -> Values:
        """What the reasons say that each piece is worth, `[n]`."""

    @abstractmethod
    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """Scores `[n_masks, n_items]`, with masked evidence for the item that `history` was last asked for."""

    @abstractmethod
    def makers(self, seed: int) -> Makers:
        """What gives the values of each reference."""

    def references(self, names: Sequence[str], seed: int) -> list[Reference]:
        """Those of the usual references that are asked for, and those of this game alone."""
        return [
            Reference(name, values, self.says[name])
            for name, values in self.makers(seed).items()
            if name in names or name not in REFERENCES
        ]

    def remarks(self) -> list[str]:
        """What readers of the figures have to know."""
        return []

    def whole(self, user: int) -> NDArray[np.float64]:
        """The model's own scores of all items, kept for one user."""
        if self._catalogue is None or self._catalogue[0] != user:
            scores = self.recommender.scores(np.array([user]))[0].double().cpu().numpy()
            self._catalogue = (user, scores)
        return self._catalogue[1]

    def with_own(self, user: int, items: Sequence[int], item: int, own: NDArray[np.float64]) -> Tensor:
        """Scores `[n_masks, n_items]`: the model's own but for one item's, which are given, `[n_masks]`."""
        table = np.repeat(self.whole(user)[np.asarray(items)][None], len(own), axis=0)
        table[:, list(items).index(item)] = own
        return torch.from_numpy(table)


@dataclass
class EvidenceStudy:
    """What is done with the games of one run and with those of the same model before training.

    asked, there: how many recommendations were asked for, and had reasons.  items: what was recommended.
    """

    games: EvidenceGames
    fresh: EvidenceGames | None
    asked: int = 0
    there: int = 0
    items: set[int] = field(default_factory=set)

    def rows(
        self,
        of: Recommendation,
        head: Mapping[str, Any],
        names: Sequence[str],
        seed: int,
        found: Faithfulness,
    ) -> list[dict[str, Any]]:
        """The figures of a recommendation, where evidence is masked in the place of the history; none without any."""
        games = self.games
        reasons: Any = games
        one = Recommendation(reasons, of.user, of.item, of.catalogue)
        self.asked += 1
        if not len(one):
            return []
        self.there += 1
        self.items.add(of.item)
        # Chosen before anything is scored: one explanation of each kind, and its one order.
        values = {OURS: games.values(of.user, of.item)}
        values |= {other.name: other.values(one) for other in games.references(names, seed)}
        ranked = {name: in_order(each, (seed, of.user, 5)) for name, each in values.items()}
        label = f"{head['model']}: {games.kind}"
        found.methods[label], found.said[label] = games.method, dict(games.says)
        head = {**head, "model": label, "history": len(one)}
        rows = rows_of(one, ranked, head, seed, moved=games.unsigned)
        again = type(games).of(games.recommender) if games.learned else None
        for check, other in (("stability", again), ("sanity", self.fresh)):
            if other is not None:
                rows += rows_of_agreement(check, _agreement(values[OURS], other, one), head)
        return rows

    def tell(self, model: str, run: str, found: Faithfulness) -> None:
        """Add remarks on what was measured."""
        kind = self.games.kind
        if self.there < self.asked:
            found.note(
                f"{model}: {self.asked - self.there} of {self.asked} recommendations of {run} have no {kind} as "
                f"reasons and are left out of their table"
            )
        if self.there >= FEW_ITEMS * len(self.items) > 0:
            several = "items" if len(self.items) > 1 else "item"
            found.note(
                f"{model}: {kind}: the {self.there} recommendations of {run} are of {len(self.items)} different "
                f"{several}: what reasons share by item, intervals over users do not show"
            )
        for remark in self.games.remarks():
            found.note(f"{model}: {remark}")


def _agreement(ours: Values, other: EvidenceGames, one: Recommendation) -> Agreement:
    """Of ours to what other games say, over the pieces of evidence that either counts as a reason."""
    there = len(other.history(one.user, one.item)) == len(ours)
    theirs = other.values(one.user, one.item) if there else np.zeros_like(ours)
    either = (ours != 0) | (theirs != 0)
    return agreement(ours[either], theirs[either])


def drawn(seed: int, stream: int) -> Callable[[Recommendation], Values]:
    """Values at random, the same for a user whenever they are asked for."""
    return lambda one: np.random.default_rng([seed, one.user, stream]).random(len(one))


def slopes(score: Callable[[Tensor], Tensor], n: int, model: Any) -> Values:
    """The derivative of a score `[1]` by the factors `[1, n]` on evidence, at all of it, `[n]`."""
    factors = torch.ones(1, n, device=next(model.parameters()).device, requires_grad=True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(score(factors).sum(), factors)
    return np.asarray(slope[0].double().cpu().numpy())


def cosines(vectors: Tensor, other: Tensor) -> Values:
    """Of each row of `[n, size]` with a vector `[size]`."""
    found = torch.nn.functional.cosine_similarity(vectors.double(), other.double().unsqueeze(0), dim=1)
    return np.asarray(found.detach().cpu().numpy())
