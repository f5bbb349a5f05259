"""Options of the enhancer `guided`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.trained_first import BaseOptions, check_base_options
from burnish.files.data_names import split_names

Control = Literal["none", "random", "permuted", "text", "pca"]


class GuidedConfig(EnhancerConfig):
    """Options of `guided`."""

    files: ClassVar[tuple[str, ...]] = ("scores", "user_scores")
    later: ClassVar[Mapping[str, Any]] = {"positive_from": None, "weigh_by_value": False}

    weight: float = Field(
        default=0.05, ge=0.0, description="factor of what pulls users' attributes to where they started"
    )
    scores: str | None = Field(
        default=None,
        description="items' scores: a file, or shipped ones by name; null for the shipped ones of the data set, if any",
    )
    fields: tuple[str, ...] = Field(
        default=(),
        description="columns of the data set's item file that become attributes, too: numbers as they are, words "
        "(genres) as yes or no",
    )
    user_scores: str | None = Field(
        default=None,
        description="file of users' scores on the same attributes; null for the mean of their training items",
    )
    attributes: tuple[str, ...] | None = Field(
        default=None, description="which attributes to take; null for all that are scored"
    )
    base: str | None = Field(
        default=None,
        description="trained backbone whose tables are reduced: auto (plain, trained first), enhancers joined by + "
        "(trained first with these, and baked), model (the tables as they are when attached), or the folder of a run; "
        "null: one stage, the identity at the start",
    )
    base_options: BaseOptions = Field(default_factory=dict)
    control: Control = Field(
        default="none",
        description="what stands in for the scores, to be compared with: noise, scores of other items, principal "
        "components of the items' texts, or nothing (the reduced base alone)",
    )
    users: bool = Field(default=True, description="refine tables of users, too, where the backbone has them")
    balance: float = Field(
        default=1.0,
        gt=0.0,
        description="starting size of the guided block beside the reduced base (ratio of root mean squares)",
    )
    learn_alpha: bool = Field(default=True, description="train how much each attribute counts")
    weigh_by_value: bool = Field(
        default=False,
        description="whether an attribute counts by what training interactions are worth for it (mean Shapley value), "
        "beside the trained factor",
    )
    shrinkage: float = Field(
        default=5.0,
        ge=0.0,
        description="how many average items a user starts with, in the mean of their own items",
    )
    clip: float = Field(
        default=3.0, gt=0.0, description="largest size of a standardised score, in standard deviations"
    )
    positive_from: PositiveFrom = None
    seed: int | None = Field(default=None, ge=0, description="of the controls' noise; null for the run's")

    @field_validator("attributes", "fields", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """A string of names with commas, as on the command line, is a list of them."""
        return split_names(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _base_where_needed(self) -> GuidedConfig:
        if self.control == "pca" and self.base is None:
            raise ValueError("control 'pca' is the reduced base alone, so it needs a base, such as auto")
        check_base_options("guided", None if self.base == "model" else self.base, self.base_options)
        return self

    @model_validator(mode="after")
    def _counts_for_something(self) -> GuidedConfig:
        if not self.learn_alpha and self.base is None:
            raise ValueError(
                "learn_alpha: false without a base leaves every attribute at 0, where it starts, so that nothing is "
                "refined; leave learn_alpha at true, or give a base, such as auto"
            )
        return self

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons: dict[str, str] = {}
        if self.control == "pca":
            blank = self.given("weight", "balance", "learn_alpha", "weigh_by_value", "shrinkage", "clip")
            reasons |= dict.fromkeys(blank, "with control: pca, whose attributes are all 0")
        if self.control in ("none", "pca"):
            reasons |= dict.fromkeys(self.given("seed"), f"with control: {self.control}, which draws nothing")
        if self.control != "none":
            stands = f"with control: {self.control}, which is on no scale that users are scored on"
            reasons |= dict.fromkeys(self.given("user_scores"), stands)
        if not self.users:
            reasons |= dict.fromkeys(self.given("weight"), "with users: false, as it pulls users' attributes")
        if self.base is None:
            reasons |= dict.fromkeys(
                self.given("balance"), "without a base that it is the balance with (base: auto)"
            )
        return reasons
