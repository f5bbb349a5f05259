"""Options of the enhancer `shapley`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.options import OptionsWithoutLoss


class ShapleyConfig(OptionsWithoutLoss):
    """Options of `shapley`."""

    retired: ClassVar[Mapping[str, Any]] = {"weight": 1.0}
    later: ClassVar[Mapping[str, Any]] = {"positive_from": None}

    values: Literal["cross-fit", "in-run", "both"] = Field(
        default="cross-fit",
        description="what values an interaction: held-out folds of the user's profile, training steps, or their sum",
    )
    warmup_epochs: int = Field(default=3, ge=0, description="epochs in which every interaction counts 1")
    refresh: int = Field(
        default=5, ge=1, description="epochs from one valuation to the next, after the warm-up"
    )
    smoothing: float = Field(
        default=0.5, ge=0.0, lt=1.0, description="share of earlier valuations in the values; 0 forgets them"
    )
    beta: float = Field(default=0.5, description="how far weights follow values; 0: not at all")
    low: float = Field(
        default=0.2, gt=0.0, le=1.0, description="smallest weight, before division by the user's mean"
    )
    high: float = Field(default=5.0, ge=1.0, description="largest weight, before division by the user's mean")
    folds: int = Field(
        default=5, ge=2, description="parts of a user's interactions, each of which judges the others"
    )
    repeats: int = Field(default=1, ge=1, description="divisions into folds that are averaged")
    centre: bool = Field(
        default=True, description="subtract the catalogue's mean from judges, so that popularity counts less"
    )
    normalise: bool = Field(default=True, description="scale item vectors to length 1")
    in_run_share: float = Field(
        default=0.05,
        gt=0.0,
        le=1.0,
        description="share of training steps that are measured for in-run values",
    )
    propagate: bool = Field(
        default=False, description="weigh the edges of a graph backbone's propagation, too (not bakeable)"
    )
    control: Literal["none", "permuted", "popularity"] = Field(
        default="none",
        description="stands in for values, to be compared with: a user's weights on others of their interactions, at "
        "random; or how popular items are",
    )
    weighs_by: Literal["loss", "loss or resampling", "resampling"] = Field(
        default="loss",
        description="in the loss; drawn by weight where the loss has no place; always drawn by weight",
    )
    positive_from: PositiveFrom = None
    seed: int | None = Field(
        default=None, ge=0, description="of folds, judges and permutations; null for the run's"
    )

    @model_validator(mode="after")
    def _in_run_has_epochs(self) -> ShapleyConfig:
        if self.values == "in-run" and self.warmup_epochs == 0:
            raise ValueError(
                "in-run values are measured in training steps, so warmup_epochs must be at least 1"
            )
        return self

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        folded, measured = ("folds", "repeats", "centre", "normalise"), ("in_run_share",)
        reasons: dict[str, str] = {}
        if self.beta == 0:
            flat = self.given("low", "high", "control", "propagate")
            reasons |= dict.fromkeys(flat, "with beta: 0, where every interaction counts 1")
        if self.values == "in-run":
            reasons |= dict.fromkeys(
                self.given(*folded), "with values: in-run, which has no folds and no judges"
            )
        if self.values == "cross-fit":
            reasons |= dict.fromkeys(self.given(*measured), "with values: cross-fit, which measures no steps")
        if self.control == "popularity":
            instead = self.given("values", *folded, *measured, "smoothing", "refresh", "seed")
            reasons |= dict.fromkeys(instead, "with control: popularity, which is the same all along")
        return reasons
