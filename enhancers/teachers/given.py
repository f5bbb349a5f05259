"""The standardised scores of the teachers of one model, each computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.interactions import Positives
from burnish.errors import ConfigurationError

from .ease import LOW_RANK, GramMatrix, ease, factors_that_fit, form_that_fits
from .item_knn import item_knn
from .known_items import known_items
from .options import COMPUTED, EASE, ITEM_KNN, TeacherOptions
from .scores import Scores, Standardised
from .sparse import Sparse
from .trained_scores import trained_scores

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class TeacherScores:
    """Standardised scores of each teacher.

    asks: the name of the enhancer, for messages.  dataset: the training split, of which nothing else is read.
    liked: which interactions are positive.  seed: of EASE's form of low rank.
    """

    def __init__(
        self,
        asks: str,
        options: TeacherOptions,
        anatomy: Anatomy,
        dataset: Dataset,
        liked: Positives,
        *,
        seed: int,
    ) -> None:
        self.asks, self.options, self.anatomy = asks, options, anatomy
        self.dataset, self.liked, self.seed = dataset, liked, seed
        self._runs: dict[str, Scores] = {}
        #: Seconds that training took, by teacher that was trained first.
        self.seconds: dict[str, float] = {}
        self.forget()

    #: Attributes that are not computed.
    _KEPT: tuple[str, ...] = ("asks", "options", "anatomy", "dataset", "liked", "seed", "seconds")

    def __getstate__(self) -> dict[str, Any]:
        """Without what was computed: saved states of a run stay small, and it is computed anew."""
        return {name: getattr(self, name) for name in self._KEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._runs = {}
        self.forget()

    def __deepcopy__(self, memo: dict[int, Any]) -> TeacherScores:
        """The same: what is kept here follows from the options, and copies of a model (baking) need not repeat it."""
        return self

    def forget(self) -> None:
        """Drop what was computed; it is computed anew when it is asked for."""
        # One ridge at a time.
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
        self.seconds = {name: one.seconds for name, one in trained.items() if one.seconds is not None}

    def of(self, name: str, ridge: float | None) -> Scores:
        """The scores of one teacher.  ridge: of EASE.

        Raises `ConfigurationError` for a run that nobody has given (`take`).
        """
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
                f"enhancer {self.asks!r}: the runs {list(self.options.runs)} are trained or read where a run or the "
                f"fit of a RecBole trainer begins, not in a training loop of one's own; use one of these, or the "
                f"teachers {', '.join(COMPUTED)} alone"
            )
        return self._runs[name]

    def how_ease(self) -> str:
        """In which form EASE is computed, in words."""
        form = form_that_fits(self.anatomy.n_items, self._budget)
        if form == LOW_RANK:
            rank = factors_that_fit(self.anatomy.n_items, self._budget)
            return f"by {rank} factors of the items' Gram matrix and its exact diagonal, as budget_mib allows"
        return f"in full, in {form}"

    def note(self) -> str:
        """How EASE is computed, and how long it took to train teachers first; empty where there are none of them."""
        parts = [f"EASE is computed {self.how_ease()}."] if EASE in self.options.teachers else []
        if self.seconds:
            each = ", ".join(f"{name} ({seconds:.1f} s)" for name, seconds in self.seconds.items())
            parts.append(f"Teachers that were trained first: {each}.")
        return " ".join(parts)

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
