"""Options of the enhancers that contrast Gaussians (or plain points) of users and items."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.options import EnhancerConfig
from burnish.errors import warn

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


class ContrastConfig(EnhancerConfig):
    """Options shared by `rvrec` and its control `euclid2d`."""

    later: ClassVar[frozenset[str]] = frozenset({"positive_from"})

    weight: float = Field(default=0.1, ge=0.0, description="factor of the contrastive loss in the total loss")
    temperature: float = Field(
        default=0.3, gt=0.0, description="starting temperature of the similarity, in squared embedding units"
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
    initial_spread: float = Field(
        default=1.0, gt=0.0, description="starting spread in standard deviations of the embedding table"
    )
    history: int = Field(
        default=50,
        ge=1,
        description="training items that stand for a user, at most, where the backbone has no embeddings of users",
    )
    positive_from: PositiveFrom = None
    budget_mib: int = Field(default=64, ge=1, description="working memory of the contrastive loss in MiB")

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
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

    @model_validator(mode="after")
    def _full_is_experimental(self) -> RVRecConfig:
        if self.covariance == "full" and not self.experimental:
            # Not refused: runs and checkpoints of before, which could not say it, must stay readable.
            warn(
                "enhancer 'rvrec': covariance = 'full' costs many times what 'diagonal' does and has shown no gain "
                "(docs/methods.md); use covariance: diagonal, or say experimental: true if you mean it"
            )
        return self

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        needless = self.given("experimental") if self.covariance == "diagonal" else []
        return super().idle() | dict.fromkeys(
            needless, "with covariance: diagonal, which needs no permission"
        )
