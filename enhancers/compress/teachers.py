"""The teachers of one model, computed when they are first asked for, and the tables that their mixtures give."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.interactions import Positives
from burnish.errors import ConfigurationError

from .candidates import Candidate
from .ease import LOW_RANK, GramMatrix, ease, factors_that_fit, form_that_fits
from .item_knn import item_knn
from .known_items import known_items
from .options import COMPUTED, EASE, ITEM_KNN, CompressConfig
from .scores import Mixture, Scores, Standardised
from .sparse import Sparse
from .svd import Tables, truncated_svd
from .trained_scores import trained_scores

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class Teachers:
    """Standardised scores of each teacher, and the decompositions of their mixtures.

    dataset: the training split.  seed: of first directions.  highest: the highest rank that is asked for.
    """

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
        self.options, self.anatomy, self.dataset, self.liked = options, anatomy, dataset, liked
        self.seed, self.highest = seed, highest
        self._runs: dict[str, Scores] = {}
        self.forget()

    def __getstate__(self) -> dict[str, Any]:
        """Without what was computed: saved states of a run stay small, and it is computed anew."""
        return {
            name: getattr(self, name)
            for name in ("options", "anatomy", "dataset", "liked", "seed", "highest")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._runs = {}
        self.forget()

    def __deepcopy__(self, memo: dict[int, Any]) -> Teachers:
        """The same: what is kept here follows from the options, and copies of a model (baking) need not repeat it."""
        return self

    def forget(self) -> None:
        """Drop what was computed; it is computed anew when it is asked for."""
        # One of each at a time.
        self._tables: dict[tuple[Any, float | None], Tables] = {}
        self._ease: dict[float, Scores] = {}
        for name in ("known", "gram", "_item_knn"):
            self.__dict__.pop(name, None)

    def take(self, trained: Mapping[str, Any]) -> None:
        """Keep the scores of trained runs: tables where these are the score, else written out."""
        self._runs = {
            name: Standardised(
                trained_scores(
                    one.model,
                    one.splits.training,
                    one.config,
                    name=f"teacher {name!r}",
                    budget_bytes=self._budget,
                )
            )
            for name, one in trained.items()
        }

    def decomposed(self, candidate: Candidate) -> Tables:
        """The tables of the highest rank of a candidate's mixture, of which lower ranks are the first columns."""
        mixture = candidate.shares, candidate.ridge
        if mixture not in self._tables:
            self._tables.clear()
            scores = Mixture(
                [self._of(name, candidate.ridge) for name, _ in candidate.shares],
                [share for _, share in candidate.shares],
            )
            self._tables[mixture] = truncated_svd(scores, self.highest, seed=self.seed)
        return self._tables[mixture]

    def how_ease(self) -> str:
        """In which form EASE is computed, in words."""
        form = form_that_fits(self.anatomy.n_items, self._budget)
        if form == LOW_RANK:
            rank = factors_that_fit(self.anatomy.n_items, self._budget)
            return f"by {rank} factors of the items' Gram matrix and its exact diagonal, as budget_mib allows"
        return f"in full, in {form}"

    def _of(self, name: str, ridge: float | None) -> Scores:
        if name == EASE:
            assert ridge is not None
            if ridge not in self._ease:
                self._ease.clear()
                self._ease[ridge] = Standardised(ease(self.gram, ridge))
            return self._ease[ridge]
        if name == ITEM_KNN:
            return self._item_knn
        if name not in self._runs:
            raise ConfigurationError(
                f"enhancer 'compress': the runs {list(self.options.runs)} are read by burnish.run, burnish run and "
                f"burnish bench, not by run_recbole; use one of these, or the teachers {', '.join(COMPUTED)} alone"
            )
        return self._runs[name]

    @cached_property
    def known(self) -> Sparse:
        """Which items each user knows."""
        return known_items(self.dataset, self.anatomy, self.liked)

    @cached_property
    def gram(self) -> GramMatrix:
        """How often items are known together."""
        return GramMatrix(self.known, self._budget, self.seed)

    @cached_property
    def _item_knn(self) -> Scores:
        return Standardised(
            item_knn(self.known, neighbours=self.options.neighbours, shrink=self.options.shrink)
        )

    @property
    def _budget(self) -> int:
        return self.options.budget_mib * 2**20
