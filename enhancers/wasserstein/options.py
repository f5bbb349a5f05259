"""Options of the enhancers that contrast Gaussians (or plain points) of users and items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.newcomers import ABOUT, Newcomers
from burnish.enhancers.options import EnhancerConfig, TemperatureOrDefault
from burnish.errors import ConfigurationError, warn

_OF_THE_LOSS = (
    *(
        "temperature",
        "learn_temperature",
        "sample",
        "negatives",
        "similarity",
        "direction",
        "log_q",
        "mask_known",
    ),
    *("weighted", "initial_spread", "history", "budget_mib", "guard"),
)
#: Options of the contrast beside the backbone's loss, and of the contrast in its place.
_OF_THE_CONTRAST = (
    *("weight", "learn_temperature", "sample", "negatives", "direction", "log_q", "weighted", "site"),
    *("strength", "hidden", "history"),
)
_OF_THE_OBJECTIVE = ("users", "newcomers", "own_loss", "rest", "score", "spread", "spread_role", "beta")

#: Values where none is given: of the contrast beside the backbone's loss, and as the objective.
CONTRAST_DEFAULTS = {"temperature": 0.3, "initial_spread": 1.0}
OBJECTIVE_DEFAULTS = {"temperature": 0.2, "initial_spread": 0.3}


def _was_default(name: str, value: Any) -> bool:
    return name in CONTRAST_DEFAULTS and not isinstance(value, bool) and value == CONTRAST_DEFAULTS[name]


class ContrastConfig(EnhancerConfig):
    """Options shared by `rvrec` and its control `euclid2d`."""

    later: ClassVar[Mapping[str, Any]] = {"positive_from": None, "objective": False}

    objective: bool = Field(
        default=False,
        description="let the contrast be the objective, over the whole catalogue, in the place of the backbone's "
        "recommendation loss",
    )
    weight: float = Field(default=0.1, ge=0.0, description="factor of the contrastive loss in the total loss")
    temperature: TemperatureOrDefault = Field(
        default=None,
        description="starting temperature of the similarity, in squared embedding units; with objective: true it "
        "stays, and divides -W2^2 / 2 of unit means, or -W2; null for 0.3 without and 0.2 with objective",
    )
    learn_temperature: bool = Field(default=True, description="train the temperature with the model")
    sample: int | None = Field(
        default=512,
        ge=1,
        description="positive interactions of a batch that are contrasted, drawn anew each; null for all",
    )
    negatives: int | None = Field(
        default=128,
        ge=1,
        description="users and items of the batch to contrast with; null for all of the sample",
    )
    similarity: Literal["squared", "distance"] = Field(
        default="squared", description="-W2^2 (squared) or -W2 (distance)"
    )
    direction: Literal["both", "user", "item"] = Field(
        default="both",
        description="whose positives are told from negatives: a user's items, an item's users, both",
    )
    log_q: bool = Field(default=True, description="correct for popular negatives being drawn more often")
    mask_known: bool = Field(
        default=True, description="leave a user's other training items out of their negatives"
    )
    weighted: bool = Field(
        default=False,
        description="let the weights of other enhancers (shapley) count in the contrast, too, not only in the "
        "backbone's loss",
    )
    site: Literal["table", "output"] = Field(
        default="table",
        description="what is refined: the embedding tables, or a graph backbone's propagated output (not bakeable)",
    )
    strength: float = Field(
        default=0.1,
        ge=0.0,
        description="factor of the shift from the embedding to the mean; 0 leaves embeddings alone",
    )
    hidden: int | None = Field(
        default=None,
        ge=1,
        description="inner width of the probability network; null for half the embedding's width, 4 at least",
    )
    initial_spread: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="starting spread in standard deviations of the embedding table (with objective: true, of unit "
        "rows); null for 1 without and 0.3 with objective",
    )
    history: int = Field(
        default=50,
        ge=1,
        description="training items that stand for a user, at most, where the backbone has no embeddings of users",
    )
    positive_from: PositiveFrom = None
    budget_mib: int = Field(default=64, ge=1, description="working memory of the contrastive loss in MiB")
    users: int = Field(default=64, ge=1, description="users a batch, with objective: true")
    newcomers: Newcomers = Field(default="mean", description=f"with objective: true, {ABOUT}")
    own_loss: float = Field(
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="factor of the backbone's own recommendation loss beside the objective",
    )
    rest: Literal["keep", "drop"] = Field(
        default="keep",
        description="with objective: true, what becomes of the other terms of the backbone's loss: regularisation, "
        "self-supervision, graph",
    )
    score: Literal["mean", "w2"] = Field(
        default="mean",
        description="with objective: true, rank by the product of means (bakes into plain tables) or by -W2^2",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name_for_defaults(cls, options: Any) -> Any:
        # They were the defaults when there was one mode: files that say them mean the same as those that do not.
        if isinstance(options, Mapping) and not options.get("objective"):
            return {name: value for name, value in options.items() if not _was_default(name, value)}
        return options

    @property
    def start_temperature(self) -> float:
        """The temperature, or its default in this mode."""
        return self._given_or_default("temperature")

    @property
    def start_spread(self) -> float:
        """The starting spread in standard deviations of the rows, or its default in this mode."""
        return self._given_or_default("initial_spread")

    def _given_or_default(self, name: str) -> float:
        value = getattr(self, name)
        return float(
            (OBJECTIVE_DEFAULTS if self.objective else CONTRAST_DEFAULTS)[name] if value is None else value
        )

    def decisive(self) -> dict[str, Any]:
        found = super().decisive() | {name: self._given_or_default(name) for name in CONTRAST_DEFAULTS}
        if self.objective:
            return found
        return {name: value for name, value in found.items() if name not in _OF_THE_OBJECTIVE}

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        if self.objective:
            return dict.fromkeys(self.given(*_OF_THE_CONTRAST), "with objective: true")
        reasons = dict.fromkeys(
            self.given(*(name for name in _OF_THE_OBJECTIVE if name in type(self).model_fields)),
            "without objective: true",
        )
        return reasons | self._without_weight()

    def _without_weight(self) -> dict[str, str]:
        if self.weight > 0:
            return {}
        of_the_loss = self.given(*(name for name in _OF_THE_LOSS if name in type(self).model_fields))
        return dict.fromkeys(of_the_loss, "with weight: 0, as it is of the contrastive loss")


class RVRecConfig(ContrastConfig):
    """Options of `rvrec`."""

    permissions: ClassVar[frozenset[str]] = frozenset({"experimental"})

    covariance: Literal["diagonal", "full"] = Field(
        default="diagonal",
        description="of the Gaussians; full is an experiment, for narrow tables and few negatives",
    )
    experimental: bool = Field(default=False, description="covariance: full is meant")
    guard: float = Field(
        default=0.01,
        ge=0.0,
        description="factor, inside the loss, of the guard that keeps spreads from collapsing",
    )
    spread: Literal["free", "count", "none"] = Field(
        default="count",
        description="with objective: true: a learned vector for each user and item (free), s0 (n + 1)^-a of an id's n "
        "training interactions, s0 and a learned (count), or equal and constant (none)",
    )
    spread_role: Literal["distance", "negatives", "both", "length"] = Field(
        default="length",
        description="how spreads enter the objective: in W2 (distance), in what a negative counts (negatives: "
        "spread^-beta), both, or as the length of the mean, which makes the score an expected cosine (length)",
    )
    beta: float = Field(
        default=0.5,
        ge=0.0,
        allow_inf_nan=False,
        description="how much less uncertain negatives count, with spread_role: negatives or both",
    )

    @model_validator(mode="after")
    def _fits(self) -> RVRecConfig:
        if self.objective and self.covariance == "full":
            raise ConfigurationError(
                "enhancer 'rvrec': covariance = 'full' has no distances over a whole catalogue; with objective: true "
                "use covariance: diagonal"
            )
        if self.objective and self.spread == "free" and self.spread_role == "negatives":
            raise ConfigurationError(
                "enhancer 'rvrec': spread = 'free' with spread_role: negatives would train no spread; use spread_role: "
                "both, or spread: count"
            )
        not_in_distance = self.spread != "none" and self.spread_role in ("negatives", "length")
        if self.objective and self.score == "w2" and not_in_distance:
            raise ConfigurationError(
                f"enhancer 'rvrec': score = 'w2' with spread_role: {self.spread_role} would rank by distances that "
                f"were not trained to be ranked by; use spread_role: distance or both, or score: mean"
            )
        if self.covariance == "full" and not self.experimental:
            # Not refused: runs and checkpoints of before, which could not say it, must stay readable.
            warn(
                "enhancer 'rvrec': covariance = 'full' costs many times what 'diagonal' does and has shown no gain "
                "(docs/methods.md); use covariance: diagonal, or say experimental: true if you mean it"
            )
        return self

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons = super().idle()
        if self.objective:
            reasons |= self._idle_spreads()
        needless = self.given("experimental") if self.covariance == "diagonal" else []
        return reasons | dict.fromkeys(needless, "with covariance: diagonal, which needs no permission")

    def _idle_spreads(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        if self.spread != "free":
            reasons |= dict.fromkeys(
                self.given("guard"), f"with spread: {self.spread}, as it is of free ones"
            )
        if self.spread == "none":
            equal = "with spread: none, where all are equal"
            return reasons | dict.fromkeys(
                self.given("initial_spread", "spread_role", "beta", "score"), equal
            )
        if self.spread_role in ("distance", "length"):
            reasons |= dict.fromkeys(self.given("beta"), f"with spread_role: {self.spread_role}")
        if self.spread_role == "length":
            reasons |= dict.fromkeys(
                self.given("similarity"), "with spread_role: length, whose scores are products"
            )
        if self.spread_role == "negatives":
            reasons |= dict.fromkeys(
                self.given("initial_spread"), "with spread_role: negatives, where only their ratios count"
            )
        return reasons
