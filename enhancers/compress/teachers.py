"""The tables that mixtures of teachers give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.interactions import Positives
from burnish.enhancers.teachers.given import TeacherScores
from burnish.enhancers.teachers.scores import Mixture

from .candidates import Candidate
from .options import CompressConfig
from .svd import Tables, truncated_svd

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class Teachers(TeacherScores):
    """Standardised scores of each teacher, and the decompositions of their mixtures.

    seed: of first directions, too.  highest: the highest rank that is asked for.
    """

    _KEPT = (*TeacherScores._KEPT, "highest")

    def __init__(
        self,
        options: CompressConfig,
        anatomy: Anatomy,
        dataset: Dataset,
        liked: Positives,
        *,
        seed: int,
        highest: int,
    ) -> None:
        super().__init__("compress", options, anatomy, dataset, liked, seed=seed)
        self.highest = highest

    def forget(self) -> None:
        super().forget()
        # One mixture at a time.
        self._tables: dict[tuple[tuple[tuple[str, float], ...], float | None], Tables] = {}

    def decomposed(self, candidate: Candidate) -> Tables:
        """The tables of the highest rank of a candidate's mixture, of which lower ranks are the first columns."""
        mixture = candidate.shares, candidate.ridge
        if mixture not in self._tables:
            self._tables.clear()
            scores = Mixture(
                [self.of(name, candidate.ridge) for name, _ in candidate.shares],
                [share for _, share in candidate.shares],
            )
            self._tables[mixture] = truncated_svd(scores.cheaper(self._budget), self.highest, seed=self.seed)
        return self._tables[mixture]
