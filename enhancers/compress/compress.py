"""Teachers' scores become the backbone's tables, in closed form.

EASE: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019 (arXiv 1905.03375).  The truncated singular
value decomposition is the best approximation of a rank (Eckart and Young 1936), found as by Halko, Martinsson and Tropp
(2011).  Ours: teachers standardised a user and mixed; mixture, ridge and rank chosen on validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.chosen import Choosing, edge
from burnish.enhancers.interactions import positives, training_pairs
from burnish.enhancers.newcomers import newcomers, with_mean_of_others
from burnish.enhancers.softmax.vectors import find_vectors
from burnish.enhancers.teachers.options import COMPUTED
from burnish.errors import ConfigurationError, UnsupportedError

from .candidates import candidates_of
from .options import SHARES_OF_WIDTH, CompressConfig
from .teachers import Teachers

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class Compress(Choosing[CompressConfig]):
    """The scores of teachers become the best tables of the backbone's width: closed form, nothing is trained.

    EASE, ItemKNN and runs (trained first, or in folders) score all users and items; scores are standardised a user,
    mixed, and cut to a rank by a truncated singular value decomposition, whose factors are written into the tables.  An
    epoch tries one mixture, ridge and rank, and validation chooses.  Of what the backbone had learned or would learn,
    nothing remains.

    For backbones whose score is the product of a row of users and a row of items (BPR and its like).

    Attributes: `plan`, the candidates; `chosen`, a tensor with the number of the one that the tables hold (-1: none
    yet), which is saved with the tables.

    Parameters
    ----------
    config
        The options as a `CompressConfig`; give either this or options.
    **options
        The fields of `CompressConfig`, each with its default and description there (`burnish enhancers compress`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.
    UnsupportedError
        When the model is made: for a backbone whose score is no product of two tables.

    References
    ----------
    Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019 (EASE); Aiolli, RecSys 2013 (ItemKNN); Halko,
    Martinsson and Tropp, "Finding structure with randomness", SIAM Review 2011.  Mixing and choosing: ours.

    Examples
    --------
    >>> burnish.enhance("BPR", burnish.Compress(ridge=250, ranks=(16, 32)))
    <class 'recbole.model.general_recommender.bpr.BPR[compress]'>
    """

    name = "compress"
    Config = CompressConfig
    computed_teachers = COMPUTED

    _newcomers: Tensor | None

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Find the two tables, and make the plan of candidates; nothing is computed yet."""
        measure = str(dataset.config["valid_metric"])
        if measure.partition("@")[0].lower() in _OF_VALUES:
            raise UnsupportedError(
                f"enhancer {self.name!r} writes scores that rank items and are no ratings or probabilities, and "
                f"valid_metric = {measure} measures values; give a metric of rankings, such as NDCG@10, on a backbone "
                f"that ranks"
            )
        model = self.state.backbone
        assert model is not None
        vectors = find_vectors(model, anatomy, dataset)
        if vectors is None or vectors.source != "tables":
            source = None if vectors is None else vectors.source
            raise UnsupportedError(
                f"enhancer {self.name!r} writes a table of users and one of items whose product is the score, and "
                f"{_WHY_NOT[source].format(anatomy.backbone)}"
            )
        assert vectors.users is not None
        assert vectors.items is not None
        self._tables = (vectors.users, vectors.items)
        ranks = self._ranks(anatomy)
        self.plan = candidates_of(self.config, ranks)
        liked = positives(dataset, anatomy.fields.label, self.config.positive_from, f"enhancer {self.name!r}")
        seed = self.state.seed if self.config.seed is None else self.config.seed
        self._teachers = Teachers(self.config, anatomy, dataset, liked, seed=seed, highest=max(ranks))
        new = None
        if self.config.newcomers == "mean":
            new = newcomers(training_pairs(dataset, anatomy.fields, liked)[0], anatomy.n_users)
        self.register_buffer("_newcomers", new, persistent=False)
        self.begin_choice()

    def _ranks(self, anatomy: Anatomy) -> list[int]:
        width = self._tables[0].width
        self._most = most = min(width, anatomy.n_users - 1, anatomy.n_items - 1)
        if self.config.ranks is None:
            return sorted({min(most, max(1, round(share * width))) for share in SHARES_OF_WIDTH})
        highest = max(self.config.ranks)
        if highest > most:
            what = (
                f"the tables of {anatomy.backbone} are {width} wide"
                if most == width
                else f"the data have {anatomy.n_users - 1} users and {anatomy.n_items - 1} items"
            )
            raise ConfigurationError(
                f"enhancer {self.name!r}: ranks = {list(self.config.ranks)}: {what}; give ranks up to {most}, or raise "
                f"embedding_size"
            )
        return sorted(set(self.config.ranks))

    def exceptions(self) -> dict[str, str]:
        return {"same random stream": "epochs try candidates, for which no negatives are drawn"}

    def candidates(self) -> list[str]:
        """All combinations of mixture, ridge and rank, in the order in which they are tried."""
        return [str(candidate) for candidate in self.plan]

    @torch.no_grad()
    def try_candidate(self, number: int) -> None:
        """Write the tables of one candidate."""
        candidate = self.plan[number]
        cut = self._teachers.decomposed(candidate).cut(candidate.rank, self._tables[0].width)
        users = cut.users
        if self._newcomers is not None:
            users = with_mean_of_others(users, self._newcomers)
        for table, rows in zip(self._tables, (users, cut.items), strict=True):
            table.raw().copy_(rows)
        self.choose(number)
        if number == len(self.plan) - 1:
            self._teachers.forget()

    def edges(self, number: int) -> list[str]:
        """Of ridges and ranks."""
        candidate, ranks = self.plan[number], [one.rank for one in self.plan]
        found = [edge("rank", candidate.rank, ranks, least=1, most=self._most)]
        if candidate.ridge is not None:
            found.insert(0, edge("ridge", candidate.ridge, self.config.ridge, least=None, most=None))
        return [one for one in found if one]

    def note(self) -> str:
        """Which candidate the tables hold, how EASE was computed, and that nothing else is left."""
        held, teachers = super().note(), self._teachers.note()
        more = f" {teachers}" if teachers else ""
        return f"{held}{more} Nothing is trained here, and of what the backbone had learned nothing is left."

    def teacher_runs(self) -> tuple[str, ...]:
        """The runs among the teachers: trained first, or in folders."""
        return self.config.runs

    def teacher_options(self) -> Mapping[str, Mapping[str, Any]]:
        return self.config.teacher_options

    def take_teachers(self, trained: Mapping[str, Any]) -> None:
        """Keep the scores of the runs."""
        self._teachers.take(trained)


#: Metrics of single values, in which a scale counts.
_OF_VALUES = ("rmse", "mae", "logloss")

_WHY_NOT: Mapping[str | None, str] = {
    None: "the score of {} is no such product; use it on BPR or its like",
    "output": "{} scores by rows that it propagates along its graph; the same tables without a graph are BPR's, so "
    "compress into that",
    "sequence": "a user of {} is what their history says; use it on BPR or its like",
}
