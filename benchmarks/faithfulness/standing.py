"""How well one recommended item stands when a user's history is cut: a scale-free score, and the rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from burnish.trained.history_reasons import HistoryReasons

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Standings:
    """What an item is worth under each of some masks, `[n_masks]` each.

    standing: its score less the mean of the catalogue's, over the standard deviation of the catalogue's scores under
        the whole history.  The divisor is the same for all masks, so that a model whose scores shrink with the history
        does not hide a drop.  rank: its place in the catalogue, from 1; items of the same score do not push it back.
    score: its own score, as it is.
    """

    standing: NDArray[np.float64]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]


class Recommendation:
    """One item that a user was recommended, and how it stands among what else could have been, by parts of a history.

    reasons: the game that is asked.  user, item: internal ids.  catalogue: `[m]`, the items that could have been
    recommended, the item among them and nothing of the history.
    """

    def __init__(self, reasons: HistoryReasons, user: int, item: int, catalogue: NDArray[np.int64]) -> None:
        self.reasons, self.user, self.item, self.catalogue = reasons, user, item, catalogue
        self.history: NDArray[np.int64] = reasons.history(user, item).cpu().numpy()
        self._place = int(np.flatnonzero(catalogue == item)[0])
        self._known: dict[bytes, tuple[float, int, float]] = {}
        self._spread: float | None = None

    def __len__(self) -> int:
        return len(self.history)

    def ask(self, masks: Masks) -> Standings:
        """The item's standing and rank under masks `[n_masks, n]` of the history, True where an item stays.

        Each mask is asked for once, whoever asks.
        """
        whole = np.ones((1, len(self.history)), bool)
        wanted = np.concatenate([whole, masks]) if self._spread is None else masks
        keys = [mask.tobytes() for mask in wanted]
        new = {key: mask for key, mask in zip(keys, wanted, strict=True) if key not in self._known}
        if new:
            scores = self._scores(np.stack(list(new.values())))
            if self._spread is None:
                self._spread = max(float(scores[0].std()), 1e-12)
            own = scores[:, self._place]
            standing = (own - scores.mean(axis=1)) / self._spread
            ranks = (scores > own[:, None]).sum(axis=1) + 1
            self._known |= {
                key: (float(one), int(rank), float(score))
                for key, one, rank, score in zip(new, standing, ranks, own, strict=True)
            }
        found = [self._known[mask.tobytes()] for mask in masks]
        return Standings(
            np.array([one for one, *_ in found], dtype=np.float64),
            np.array([rank for _, rank, _ in found], dtype=np.int64),
            np.array([score for *_, score in found], dtype=np.float64),
        )

    def scores(self, masks: Masks) -> NDArray[np.float64]:
        """The game's scores of the item alone, `[n_masks]`."""
        return self._asked(masks, [self.item])[:, 0]

    def worth(self, masks: Masks) -> NDArray[np.float64]:
        """What reasons are of, `[n_masks]`: the item's score, or its standing."""
        return self.ask(masks).standing if self.reasons.valued == "standing" else self.scores(masks)

    def _scores(self, masks: Masks) -> NDArray[np.float64]:
        return self._asked(masks, self.catalogue.tolist())

    def _asked(self, masks: Masks, items: list[int]) -> NDArray[np.float64]:
        found = self.reasons.scorer.scores(self.user, items, torch.from_numpy(masks))
        return found.double().cpu().numpy()
