"""Options of the enhancer `shapley`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.options import OptionsWithoutLoss
from burnish.strict import carried

from .judges import FORMER, IN_RUN, JUDGES, NAMES, named, parts_of

#: Controls that stand in for values, and do not change while the model trains.
STAND_INS = ("popularity", "score")
#: Options that judges read.
JUDGED = tuple(dict.fromkeys(option for judge in JUDGES.values() for option in judge.options))


class ShapleyConfig(OptionsWithoutLoss):
    """Options of `shapley`."""

    retired: ClassVar[Mapping[str, Any]] = {"weight": 1.0}
    later: ClassVar[Mapping[str, Any]] = {
        "positive_from": None,
        "beta_popularity": 0.0,
        "beyond_popularity": False,
    }

    values: str | dict[str, float] = Field(
        default="regression",
        description=f"what values an interaction: {', '.join(NAMES)}; or several with weights, each standardised "
        "within the user, as in {profile: 1, regression: 2}. joint is profile and regression, both profile and in-run. "
        "regression: the user's other items, predicted from it; profile: held-out folds of the user's own items; "
        "ranking: the same, above items as popular; in-run: training steps. cross-fit is profile's former name",
    )
    beyond_popularity: bool = Field(
        default=True,
        description="take out of values what the logarithm of popularity says of them within the user, by least "
        "squares; false leaves it in",
    )
    warmup_epochs: int = Field(default=3, ge=0, description="epochs in which every interaction counts 1")
    refresh: int = Field(
        default=5, ge=1, description="epochs from one valuation to the next, after the warm-up"
    )
    smoothing: float = Field(
        default=0.5, ge=0.0, lt=1.0, description="share of earlier valuations in the values; 0 forgets them"
    )
    beta: float = Field(
        default=0.5, allow_inf_nan=False, description="how far weights follow values; 0: not at all"
    )
    beta_popularity: float = Field(
        default=0.0,
        allow_inf_nan=False,
        description="how far weights follow the logarithm of popularity, beside values; below 0, popular items count "
        "less",
    )
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
    control: Literal["none", "permuted", "matched", "popularity", "score"] = Field(
        default="none",
        description="stands in for values, to be compared with: permuted, a user's weights on others of their "
        "interactions, at random; matched, values of interactions whose items are as popular; popularity, how popular "
        "items are; score, what EASE says of the pair",
    )
    weighs_by: Literal["loss", "loss or resampling", "resampling"] = Field(
        default="loss",
        description="in the loss; drawn by weight where the loss has no place; always drawn by weight",
    )
    positive_from: PositiveFrom = None
    seed: int | None = Field(
        default=None, ge=0, description="of folds, judges and permutations; null for the run's"
    )

    @field_validator("values", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """Several names, as on the command line, count 1 each."""
        if isinstance(value, str):
            if "," not in value:
                return value
            value = [name.strip() for name in value.split(",") if name.strip()]
        if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
            value = dict.fromkeys(value, 1.0)
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ValueError(
                "give a name, such as profile, or names with weights, as in {profile: 1, regression: 2}"
            )
        for name, weight in value.items():
            try:
                float(weight)
            except (TypeError, ValueError):
                raise ValueError(f"the weight of {name} is {weight!r}; give a number") from None
        return dict(value)

    @field_validator("values")
    @classmethod
    def _known(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        with carried():
            return named(value)

    @model_validator(mode="after")
    def _in_run_has_epochs(self) -> ShapleyConfig:
        if set(self.parts) == {IN_RUN} and self.warmup_epochs == 0:
            raise ValueError(
                "in-run values are measured in training steps, so warmup_epochs must be at least 1"
            )
        return self

    @property
    def parts(self) -> dict[str, float]:
        """The weights of what interactions are valued by, by name."""
        return parts_of(self.values)

    @property
    def measures(self) -> bool:
        """Whether training steps are measured."""
        return IN_RUN in self.parts

    @property
    def changes(self) -> bool:
        """Whether what weights follow changes while the model trains."""
        if self.control in STAND_INS:
            return False
        return self.measures or any(JUDGES[name].changes for name in self.parts)

    def decisive(self) -> dict[str, Any]:
        """See `OptionsWithoutLoss.decisive`; `values` is called by the name of the first version."""
        found = super().decisive()
        former = {now: before for before, now in FORMER.items()}
        if isinstance(self.values, str):
            found["values"] = former.get(self.values, self.values)
        if self.control == "popularity":  # whatever values are, and nothing is taken out of it
            found["values"] = former["profile"]
            found.pop("beyond_popularity", None)
        return found

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons: dict[str, str] = {}

        def tell(names: tuple[str, ...], reason: str) -> None:
            reasons.update({name: reason for name in self.given(*names) if name not in reasons})

        valuing = ("values", *JUDGED, "in_run_share", "smoothing", "refresh")
        if self.beta == 0:
            if self.beta_popularity == 0:
                flat = "with beta: 0 and beta_popularity: 0, where every interaction counts 1"
                tell(("low", "high", "control", "propagate"), flat)
            unread = "with beta: 0, where weights do not follow values"
            tell((*valuing, "beyond_popularity"), unread)
            if self.control != "permuted" or self.beta_popularity == 0:
                tell(("control", "seed"), unread)
            return reasons
        if self.control == "popularity":
            tell(("beyond_popularity",), "with control: popularity, which it would leave nothing of")
        if self.control in STAND_INS:
            tell(
                (*valuing, "seed"),
                f"with control: {self.control}, which stands in for values, the same all along",
            )
            return reasons
        read = {option for name in self.parts if name in JUDGES for option in JUDGES[name].options}
        reason = f"with values: {self.values}, which does not read it"
        tell(tuple(option for option in JUDGED if option not in read), reason)
        if not self.measures:
            tell(("in_run_share",), f"with values: {self.values}, which measures no steps")
        if not self.changes:
            same = f"with values: {self.values}, which is the same all along"
            tell(("smoothing", "refresh", *(("seed",) if self.control == "none" else ())), same)
        return reasons
