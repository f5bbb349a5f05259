"""RVRec's representativeness half: embeddings become Gaussians, sharpened by a contrast on their distance.

Mi, Yan, Zhao, Shen, Qian: "A plug-and-play model-agnostic embedding enhancement approach for explainable
recommendation", arXiv 2509.03130.  From the paper: the probability network, its mean as the enhanced embedding,
a contrastive loss on the negative 2-Wasserstein distance.  Ours, where its text could not be had: the form of
the loss, the spread's positivity, the variance guard (see docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side
from burnish.enhancers.interactions import training_pairs
from burnish.errors import UnsupportedError
from burnish.explanation import Reason

from .contrast import contrast
from .contrasting import Contrasting
from .distance import spread_guard
from .full import FullNetwork, deviations, full_contrast
from .network import ProbabilityNetwork
from .objective import GaussianObjective, PointObjective
from .options import ContrastConfig, RVRecConfig
from .rows import GaussianRows, PooledRows, TableRows
from .spread_note import spread_note
from .spread_reasons import ABOUT, spread_reasons

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class RVRec(Contrasting[RVRecConfig]):
    """Gaussian embeddings, sharpened by a contrast on the negative 2-Wasserstein distance (arXiv 2509.03130).

    Parameters
    ----------
    config
        The options as a `RVRecConfig`; give either this or options.
    **options
        The fields of `RVRecConfig`, each with its default and description there (`burnish enhancers` shows them).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    arXiv 2509.03130: Mi, Yan, Zhao, Shen, Qian, "A plug-and-play model-agnostic embedding enhancement approach for
    explainable recommendation".  docs/methods.md says what is ours.

    Examples
    --------
    >>> burnish.enhance("LightGCN", burnish.RVRec(weight=0.05, site="output"))
    <class 'recbole.model.general_recommender.lightgcn.LightGCN[rvrec]'>
    >>> burnish.RVRec(wieght=0.05)
    Traceback (most recent call last):
    burnish.errors.UnknownNameError: enhancer 'rvrec': option 'wieght' is not known. Did you mean 'weight'?
    """

    name = "rvrec"
    Config = RVRecConfig
    as_objective = GaussianObjective
    reasons_about = ABOUT
    says_why = False

    n_by_user: Tensor
    n_by_item: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Make the networks, and count each id's interactions, which say how certain its embedding can be."""
        super().bind(anatomy, dataset)
        if self.config.covariance == "full" and any(isinstance(u, PooledRows) for u, _ in self._pairs):
            raise UnsupportedError(
                f"enhancer {self.name!r}: covariance 'full' needs a table of users, and the items of a user stand for "
                f"them in {anatomy.backbone}: their barycentre has no closed form with full covariances; "
                f"use covariance 'diagonal'"
            )
        if self.config.covariance == "full" and len(self.projections):
            raise UnsupportedError(
                f"enhancer {self.name!r}: covariance 'full' needs users and items of equal width, and "
                f"{anatomy.backbone} has {[(u.width, i.width) for u, i in self._pairs]}; use covariance 'diagonal'"
            )
        users, items = training_pairs(dataset, anatomy.fields, self._liked)
        self.register_buffer("n_by_user", torch.bincount(users, minlength=anatomy.n_users), persistent=False)
        self.register_buffer("n_by_item", torch.bincount(items, minlength=anatomy.n_items), persistent=False)
        self._medians = {
            "user": float(self.n_by_user[self.n_by_user > 0].float().median()),
            "item": float(self.n_by_item[self.n_by_item > 0].float().median()),
        }

    def _network_class(self) -> type[ProbabilityNetwork]:
        return FullNetwork if self.config.covariance == "full" else ProbabilityNetwork

    def _contrast(self) -> Callable[..., Tensor]:
        return full_contrast if self.config.covariance == "full" else contrast

    @torch.no_grad()
    def spread_of(self, side: Side) -> Tensor | None:
        """The spread of each user or item, `[n]`, padding included: the geometric mean over dimensions, in the units of
        the embeddings; None where there is no table of them, or covariances are full."""
        if self.config.covariance == "full":
            return None
        tables = (one for pair in self._pairs for one in pair if isinstance(one, TableRows))
        found = next((one for one in tables if one.side == side), None)
        return None if found is None else found.network.spread(found.table.raw()).log().mean(dim=1).exp()

    @property
    def explains(self) -> bool:
        """Whether it has spreads that say how sure it is of anything."""
        return any(self.spread_of(side) is not None for side in ("user", "item"))

    @torch.no_grad()
    def explain(self, user: int, item: int) -> list[Reason] | None:
        """How sure the model is of the item and of the user, by their spreads, which are no part of the score."""
        return spread_reasons(self.spread_of, {"user": self.n_by_user, "item": self.n_by_item}, user, item)

    def note(self) -> str | None:
        """How spreads go with how often ids were seen."""
        return spread_note(self.spread_of, self.n_by_user, self.n_by_item)

    def _guard(self, source: GaussianRows, ids: Tensor, spread: Tensor) -> list[Tensor]:
        if self.config.guard == 0.0 or source.start_spread is None:
            return []
        counts = self.n_by_user if source.side == "user" else self.n_by_item
        if self.config.covariance == "full":
            spread = deviations(spread, source.width)
        # An id with the median number of interactions starts just where the guard wants it.
        base = source.start_spread * self._medians[source.side] ** 0.5
        return [self.config.guard * spread_guard(spread, counts[ids], base)]


class Euclid2d(Contrasting[ContrastConfig]):
    """Control for rvrec: the same network, width and loss, but plain points in twice the width, no Gaussians.

    Parameters
    ----------
    config
        The options as a `ContrastConfig`; give either this or options.
    **options
        The fields of `ContrastConfig`, each with its default and description there (`burnish enhancers` shows them).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    Ours; what it is a control for is arXiv 2509.03130.

    Examples
    --------
    >>> burnish.enhance("BPR", burnish.Euclid2d(weight=0.05))
    <class 'recbole.model.general_recommender.bpr.BPR[euclid2d]'>
    """

    name = "euclid2d"
    Config = ContrastConfig
    as_objective = PointObjective
    gaussian = False
