"""Options of the softmax objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.newcomers import ABOUT, Newcomers
from burnish.enhancers.options import OptionsWithoutLoss, Temperature, TemperatureOrDefault
from burnish.enhancers.trained_first import BaseOptions, check_base_options
from burnish.errors import ConfigurationError

#: Temperatures where none is given: of cosines, and of scores as they are.
COSINE_TEMPERATURE, SCORE_TEMPERATURE = 0.2, 1.0
#: Negatives a row where the score is no product of vectors, so that each one costs a pass of the model.
SCORED_NEGATIVES = 16


class SoftmaxConfig(OptionsWithoutLoss):
    """Options of `softmax`."""

    later: ClassVar[Mapping[str, Any]] = {"base": None, "base_options": {}, "newcomers": "own"}
    later_together: ClassVar[frozenset[str]] = frozenset({"newcomers"})

    temperature: TemperatureOrDefault = Field(
        default=None,
        description="divides scores before the softmax; null for 0.2 with cosines and 1 without",
    )
    cosine: bool = Field(
        default=True,
        description="score by the cosine of the two vectors, where the backbone's score is a product: rows are refined "
        "to unit length",
    )
    mask_known: bool = Field(
        default=True, description="leave a user's other training items out of their negatives"
    )
    negatives: int | Literal["all"] | None = Field(
        default=None,
        description="negatives to compare with: all of the catalogue, or as many drawn ones (a batch shares them); "
        f"null for all where the score is a product of vectors, {SCORED_NEGATIVES} a row where pairs are scored",
    )
    drawn_by: Literal["uniform", "popularity"] = Field(
        default="uniform", description="how negatives are drawn, where they are"
    )
    log_q: bool = Field(
        default=True,
        description="correct for how often a negative is drawn, so that the sum stands for all of them",
    )
    own_loss: float = Field(
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="factor of the backbone's own recommendation loss beside the softmax",
    )
    rest: Literal["keep", "drop"] = Field(
        default="keep",
        description="what becomes of the other terms of the backbone's loss: regularisation, self-supervision, graph",
    )
    rows: Literal["auto", "users", "interactions"] = Field(
        default="auto",
        description="what a batch is made of: users with all of their items, or RecBole's interactions; auto for users "
        "wherever their vectors do not depend on the item or the history",
    )
    users: int = Field(default=64, ge=1, description="users a batch, where batches are made of users")
    loss: Literal["infonce", "bsl", "psl"] = Field(
        default="infonce",
        description="infonce (SSM), bsl (a log-mean-exp over positives, too), psl (a bounded activation for exp)",
    )
    positive_temperature: Temperature = Field(default=1.0, description="of the positives, with loss: bsl")
    activation: Literal["tanh", "atan", "relu"] = Field(
        default="tanh", description="of score differences, with loss: psl"
    )
    topk: int | None = Field(
        default=None,
        ge=1,
        description="weigh positives by how close they are to the user's first so many items (SL@K); null: alike",
    )
    topk_temperature: Temperature = Field(default=1.0, description="of those weights, with topk")
    newcomers: Newcomers = Field(
        default="mean", description=f"{ABOUT} (where the score is a product of users' rows)"
    )
    positive_from: PositiveFrom = None
    budget_mib: int = Field(default=64, ge=1, description="working memory of the loss in MiB")
    base: str | None = Field(
        default=None,
        description="begin from a trained backbone: auto (plain, trained first), enhancers (compress), or a run's "
        "folder; null: from random numbers",
    )
    base_options: BaseOptions = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> SoftmaxConfig:
        check_base_options("softmax", self.base, self.base_options)
        if isinstance(self.negatives, int) and self.negatives < 1:
            raise ConfigurationError(
                f"enhancer 'softmax': negatives = {self.negatives}: give 'all' or at least 1"
            )
        for option, wanted in (("loss", self.loss != "infonce"), ("topk", self.topk is not None)):
            if wanted and (self.rows == "interactions" or self.drawn):
                raise ConfigurationError(
                    f"enhancer 'softmax': {option} = {getattr(self, option)!r} needs all items of a user and the whole "
                    f"catalogue; leave out rows and negatives"
                )
        return self

    @property
    def drawn(self) -> int | None:
        """How many negatives are drawn, where a number was given."""
        return self.negatives if isinstance(self.negatives, int) else None

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons: dict[str, str] = {}
        if self.negatives == "all":
            reasons |= dict.fromkeys(
                self.given("drawn_by", "log_q"), "with negatives: all, where none are drawn"
            )
        if self.loss != "bsl":
            reasons |= dict.fromkeys(self.given("positive_temperature"), f"with loss: {self.loss}")
        if self.loss != "psl":
            reasons |= dict.fromkeys(self.given("activation"), f"with loss: {self.loss}")
        if self.topk is None:
            reasons |= dict.fromkeys(self.given("topk_temperature"), "without topk")
        if self.rows == "interactions":
            reasons |= dict.fromkeys(self.given("users"), "with rows: interactions")
        return reasons
