"""Aggregation at test time: to a trained user's row their items' rows are added, to an item's its users'.

TAG-CF (Ju et al., "How does message passing improve collaborative filtering?", NeurIPS 2024): one hop of
`sum over i in N(u) of |N(i)|^m |N(u)|^n e_i` added to each row of a trained matrix factorisation.  Ours: hops beyond
the first, the identity among the candidates, and that validation chooses as among epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.chosen import Choosing, edge
from burnish.enhancers.interactions import PositiveFrom, positives, training_pairs
from burnish.enhancers.newcomers import have_mean_of_others, newcomers, with_mean_of_others
from burnish.enhancers.options import OptionsWithoutLoss, listed
from burnish.enhancers.softmax.vectors import find_vectors
from burnish.enhancers.trained_first import BaseOptions, check_base_options, first_run
from burnish.errors import UnsupportedError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

_LOWEST, _MOST_HOPS = -2.0, 8
Exponent = Annotated[float, Field(le=0.0, ge=_LOWEST, allow_inf_nan=False)]
Hops = Annotated[int, Field(ge=1, le=_MOST_HOPS)]


class AggregateConfig(OptionsWithoutLoss):
    """Options of `aggregate`."""

    later: ClassVar[Mapping[str, Any]] = {"base_options": {}}

    hops: tuple[Hops, ...] = Field(default=(1, 2), min_length=1, description="numbers of hops that are tried")
    neighbour: tuple[Exponent, ...] = Field(
        default=(-1.0, -0.5, 0.0),
        min_length=1,
        description="exponents that are tried for the neighbour's number of interactions (m)",
    )
    own: tuple[Exponent, ...] = Field(
        default=(-1.5, -1.0, -0.5, 0.0),
        min_length=1,
        description="exponents that are tried for a row's own number of interactions (n)",
    )
    sides: Literal["users", "both", "either"] = Field(
        default="either",
        description="whose rows get a hop: users only, or items as well (both); either tries both ways",
    )
    base: str = Field(
        default="auto",
        description="the trained backbone: auto (trained first, same options), enhancers joined by + (trained first "
        "with these, and baked), or a run's folder",
    )
    base_options: BaseOptions = Field(default_factory=dict)
    newcomers: Literal["base", "mean", "own"] = Field(
        default="base",
        description="how users without a positive training interaction, who get no hop, are scored: as the mean of all "
        "others' rows (mean), by the base's row of theirs (own), or as the mean where that is what the base has (base)",
    )
    positive_from: PositiveFrom = None

    @field_validator("hops", "neighbour", "own", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One number is a list of it."""
        return listed(value)

    @model_validator(mode="after")
    def _of_base(self) -> AggregateConfig:
        check_base_options("aggregate", self.base, self.base_options)
        return self

    def decisive(self) -> dict[str, Any]:
        """Without `newcomers` where results are those of before there was that option."""
        found = super().decisive()
        begun = first_run(self.base)
        plain = begun is not None and not begun.enhancers
        if self.newcomers == "own" or (self.newcomers == "base" and plain):
            del found["newcomers"]
        return found


@dataclass(frozen=True)
class Hop:
    """One candidate: so many hops, with these exponents, for users only or for both; 0 leave the backbone as it is."""

    hops: int = 0
    neighbour: float = 0.0
    own: float = 0.0
    users_only: bool = False

    def __str__(self) -> str:
        if not self.hops:
            return "the backbone as it is"
        plural = "hop" if self.hops == 1 else "hops"
        whose = ", of users only" if self.users_only else ""
        return f"{self.hops} {plural}, |neighbour|^{self.neighbour:g}, |own|^{self.own:g}{whose}"


class Aggregate(Choosing[AggregateConfig]):
    """Adds to each row of a trained backbone what its neighbours in the training interactions have; nothing is trained.

    For backbones whose score is the product of a row of users and one of items.  The tables hold the result, so there
    is nothing to bake and nothing to pay when serving.

    Parameters
    ----------
    config
        The options as an `AggregateConfig`; give either this or options.
    **options
        The fields of `AggregateConfig`, each with its default and description there (`burnish enhancers aggregate`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.
    UnsupportedError
        When the model is made: for a backbone that propagates by itself, or whose score is no product of table rows.

    References
    ----------
    Ju et al., "How does message passing improve collaborative filtering?", NeurIPS 2024 (TAG-CF).

    Examples
    --------
    >>> burnish.enhance("BPR", burnish.Aggregate(hops=(1,)))
    <class 'recbole.model.general_recommender.bpr.BPR[aggregate]'>
    """

    name = "aggregate"
    Config = AggregateConfig

    _newcomers: Tensor | None

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Gather the training interactions as a sparse matrix of users by items."""
        vectors = find_vectors(self.state.backbone, anatomy, dataset)
        if vectors is None or vectors.source != "tables":
            why = {
                None: "its score is no product of two vectors",
                "output": "it propagates over the interactions by itself",
                "sequence": "its users are what their histories say",
            }[None if vectors is None else vectors.source]
            raise UnsupportedError(
                f"enhancer {self.name!r} adds neighbours' rows to tables of users and items whose products are the "
                f"score, which does not go with {anatomy.backbone}: {why}. It works with BPR and its like"
            )
        assert vectors.users is not None
        assert vectors.items is not None
        self._tables = (vectors.users, vectors.items)
        fields = anatomy.fields
        liked = positives(dataset, fields.label, self.config.positive_from, f"enhancer {self.name!r}")
        users, items = training_pairs(dataset, fields, liked)
        pairs = torch.unique(torch.stack([users, items]), dim=1)
        self._counts = (
            torch.bincount(pairs[0], minlength=anatomy.n_users),
            torch.bincount(pairs[1], minlength=anatomy.n_items),
        )
        self._pairs, self._device = pairs, anatomy.device
        new = None if self.config.newcomers == "own" else newcomers(users, anatomy.n_users)
        self.register_buffer("_newcomers", new, persistent=False)
        self._started: tuple[Tensor, Tensor] | None = None
        sides = {"users": [True], "both": [False], "either": [True, False]}[self.config.sides]
        grid = product(self.config.hops, self.config.neighbour, self.config.own, sides)
        # Where items stay as they are, every hop adds the same to users: more than one are a larger weight.
        self._candidates = [Hop(), *(Hop(*one) for one in grid)]
        self.begin_choice()

    def base_run(self) -> str:
        return self.config.base

    def base_options(self) -> Mapping[str, Any]:
        return self.config.base_options

    def candidates(self) -> list[str]:
        named = [str(candidate) for candidate in self._candidates]
        if self.config.newcomers == "mean":
            named[0] += ", but for newcomers"
        return named

    def try_candidate(self, number: int) -> None:
        """Write the backbone's rows, with the hops of one candidate added, into its tables."""
        tables = [table.raw() for table in self._tables]
        if self._started is None:
            self._started = (tables[0].clone(), tables[1].clone())
        candidate = self._candidates[number]
        users, items = self.aggregated(*self._started, candidate)
        if self._newcomers is not None and self._follow(candidate, self._started[0], self._newcomers):
            users = with_mean_of_others(users, self._newcomers)
        for rows, values in zip(tables, (users, items), strict=True):
            rows[1:] = values[1:]
        self.choose(number)

    def _follow(self, candidate: Hop, users: Tensor, new: Tensor) -> bool:
        """Whether newcomers, who have no neighbours, go where the others' rows go.  users: the base's table."""
        if self.config.newcomers == "mean":
            return True
        return candidate.hops > 0 and have_mean_of_others(users, new)

    def edges(self, number: int) -> list[str]:
        """Of hops and exponents; nothing for the backbone as it is."""
        chosen, config = self._candidates[number], self.config
        if not chosen.hops:
            return []
        found = (
            edge("number of hops", chosen.hops, config.hops, least=1, most=_MOST_HOPS),
            edge("exponent of |neighbour|", chosen.neighbour, config.neighbour, least=_LOWEST, most=0.0),
            edge("exponent of |own|", chosen.own, config.own, least=_LOWEST, most=0.0),
        )
        return [text for text in found if text]

    def take_base(self) -> None:
        """The tables are now those of the base: hops start from them."""
        self._started = None

    def aggregated(self, users: Tensor, items: Tensor, candidate: Hop) -> tuple[Tensor, Tensor]:
        """Tables `[n_users, d]` and `[n_items, d]` with a candidate's hops added."""
        matrix, transposed = self._matrices(candidate, users)
        for _ in range(candidate.hops):
            more_users, more_items = matrix @ items, transposed @ users
            users = users + more_users
            if not candidate.users_only:
                items = items + more_items
        return users, items

    def _matrices(self, candidate: Hop, like: Tensor) -> tuple[Tensor, Tensor]:
        """What items add to users, sparse `[n_users, n_items]`, and what users add to items."""
        of_users, of_items = (counts.to(like.device, torch.float64).clamp(min=1) for counts in self._counts)
        rows, columns = self._pairs.to(like.device)
        into_users = of_items[columns] ** candidate.neighbour * of_users[rows] ** candidate.own
        into_items = of_users[rows] ** candidate.neighbour * of_items[columns] ** candidate.own
        shape = (len(of_users), len(of_items))
        pairs, turned = self._pairs.to(like.device), (shape[1], shape[0])
        # Checked, since torch warns where nobody says whether to.
        one = torch.sparse_coo_tensor(pairs, into_users.to(like.dtype), shape, check_invariants=True)
        other = torch.sparse_coo_tensor(
            pairs.flip(0), into_items.to(like.dtype), turned, check_invariants=True
        )
        return one.coalesce(), other.coalesce()
