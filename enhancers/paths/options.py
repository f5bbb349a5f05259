"""Options of the enhancer `paths`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from burnish.enhancers.options import OptionsWithoutLoss

from .graph_options import GraphConfig
from .path_model import Mixture, Normalise

#: Of the path model's list, where a backbone scores pair by pair and `top` is not given.
SCORED_TOP = 32
#: Of the path model's list, where drawn items stand for the rest of the catalogue and `top` is not given; and draws.
UNION_TOP, SAMPLED = 1000, 4096
#: The released code's epochs before its second phase, and what its parts count then.
FIRST_PHASE, LATER_OWN, LATER_FIT = 17, 0.1, 0.1


class WalkConfig(OptionsWithoutLoss):
    """What a path model is made of, and how it learns."""

    files: ClassVar[tuple[str, ...]] = (
        *("graph.kg", "graph.link", "graph.net", "graph.entity_names"),
        "graph.edges.file",
    )

    graph: GraphConfig = Field(default_factory=GraphConfig, description="what the graph is made of")
    metapaths: tuple[str, ...] | None = Field(
        default=None,
        description="kinds of paths from user to item, as in 'user -rated-> item -genre-> genre <-genre- item'; null "
        "for those that `burnish paths mine` finds",
    )
    longest: int = Field(default=3, ge=2, le=7, description="steps of a meta-path that is looked for")
    keep: int = Field(default=8, ge=1, description="how many meta-paths that are looked for are taken")
    normalise: Normalise = Field(
        default="walk",
        description="walk: a random walk, edges of a node sum to 1; propagated: what arrives is divided by its sum "
        "over all nodes, as in the paper's code",
    )
    tied: bool = Field(
        default=True, description="one weight for both directions of an edge, else one for each"
    )
    mixture: Mixture = Field(
        default="global",
        description="how meta-paths are mixed: alike for all users, or with a user's own share",
    )
    returns: bool = Field(
        default=False, description="let walks go on from their own user where they come back to them"
    )
    most: int | None = Field(
        default=None, ge=1, description="follow so many nodes of a walk at each hop; null for all"
    )
    hide: float = Field(
        default=0.3,
        ge=0.0,
        lt=1.0,
        description="share of a user's items that a step hides from their walk and asks it to find; 0: it is asked for "
        "all items, from all items, as in the paper",
    )

    control: Literal["none", "permuted", "collaborative"] = Field(
        default="none",
        description="to see what the graph is good for. permuted: its users and items in another order, but for who "
        "interacted with what; collaborative: only meta-paths of interactions",
    )

    @field_validator("metapaths", mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        """A text with semicolons, as on the command line, is a list of meta-paths."""
        if isinstance(value, str):
            return [line.strip() for line in value.split(";") if line.strip()]
        return value

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        if self.metapaths is None:
            return {}
        return dict.fromkeys(self.given("longest", "keep"), "where meta-paths are given")


class PathsConfig(WalkConfig):
    """Options of `paths`."""

    later: ClassVar[Mapping[str, Any]] = {"sampled": None}

    own: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="what the recommendation loss counts, the backbone's own or another enhancer's objective",
    )
    agree: float = Field(
        default=1.0,
        ge=0.0,
        allow_inf_nan=False,
        description="what the divergence from the path model's distribution to the backbone's counts",
    )
    fit: float = Field(
        default=1.0, ge=0.0, allow_inf_nan=False, description="what the path model's own loss counts"
    )
    schedule: Literal["constant", "paper"] = Field(
        default="constant",
        description=f"paper: from epoch {FIRST_PHASE + 1} on, own and fit count {LATER_OWN} of what they did",
    )
    learns: Literal["both", "backbone", "paths"] = Field(
        default="both", description="who learns from the divergence; the other is taken as it is"
    )
    rate: float = Field(
        default=4.0,
        gt=0.0,
        allow_inf_nan=False,
        description="how much faster than the backbone's parameters those of the path model move",
    )
    again: bool = Field(
        default=True,
        description="walk a second time in a step, from all of a user's items, for the divergence; false: the walk "
        "that some are hidden from serves for it, too, in about half the time",
    )
    mask_known: bool = Field(
        default=True, description="leave a user's known items out of the divergence, on both sides"
    )
    top: int | None = Field(
        default=None,
        ge=1,
        description="cut the path model's list at so many best items in the divergence; null for all of them, "
        f"{SCORED_TOP} where a model scores pair by pair, {UNION_TOP} where items are sampled",
    )
    drawn: int = Field(
        default=16, ge=0, description="drawn items beside the list, where a model scores pair by pair"
    )
    sampled: int | Literal["all"] | None = Field(
        default=None,
        description="items that the divergence goes over, where the score is a product. all: of the catalogue; a "
        "number: the list's best, and so many drawn for all users of a step, which stand for the rest (with most); "
        f"null for all, or {SAMPLED} where a step with all of them would not fit budget_mib",
    )
    users: int = Field(
        default=64,
        ge=1,
        description="users a step (rows of the batch, where a model reads histories or columns)",
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="of drawn users, items, and mining; null for the run's"
    )
    budget_mib: int = Field(default=2048, ge=1, description="memory of a step in MiB")

    @field_validator("sampled")
    @classmethod
    def _some(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"sampled = {value}: give a number of 1 or more, or all")
        return value

    @model_validator(mode="after")
    def _in_lists(self) -> PathsConfig:
        if isinstance(self.sampled, int) and self.most is None:
            raise ValueError(
                f"sampled = {self.sampled} goes with walks in lists; give most, the length of a list (such as 1000)"
            )
        return self

    @model_validator(mode="after")
    def _something_counts(self) -> PathsConfig:
        if self.fit == 0 and self.agree == 0:
            raise ValueError(
                "agree = 0 and fit = 0: nothing of the path model counts; give one of them a weight"
            )
        if self.fit == 0 and self.learns == "backbone":
            raise ValueError(
                "fit = 0 and learns = 'backbone': the path model never learns; give fit a weight, or learns: both"
            )
        return self

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons = super().idle()
        if self.fit == 0:
            reasons |= dict.fromkeys(self.given("hide", "again"), "with fit: 0")
        elif self.hide == 0:
            reasons |= dict.fromkeys(self.given("again"), "with hide: 0")
        if self.agree == 0:
            reasons |= dict.fromkeys(
                self.given("learns", "again", "top", "drawn", "sampled", "mask_known"), "with agree: 0"
            )
        return reasons
