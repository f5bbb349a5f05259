"""Training interactions that look like noise count less: as much as they are likely to be real."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from pydantic import Field, field_validator
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import PositiveFrom, positives
from burnish.enhancers.options import OptionsWithoutLoss
from burnish.enhancers.shapley.controls import permuted_within
from burnish.errors import ConfigurationError, warn
from burnish.noise.kinds import Kind
from burnish.telling import stage, teller

from .planted import KINDS, LEAST_ROWS, OF_HISTORIES, NoiseShare, suspicion

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class CleanConfig(OptionsWithoutLoss):
    """Options of `clean`."""

    kinds: tuple[Kind, ...] = Field(
        default=KINDS,
        description="noise that is looked for: items with equal chance (uniform), as popular as the rest (popular), or "
        "high in a list of what is popular (position); users who are mostly chance (bots), items with users by chance "
        "(clickbait)",
    )
    least: float = Field(
        default=0.01,
        ge=0.0,
        lt=1.0,
        description="a kind whose share of the interactions is not above this beyond doubt is taken for none",
    )
    lowest: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="what an interaction counts at least, however surely it is noise",
    )
    mask_from: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="interactions that are noise with this probability or more count nothing, the others 1; null: all "
        "by how likely they are to be real",
    )
    most_of_user: float = Field(
        default=0.25,
        gt=0.0,
        le=1.0,
        description="with mask_from, the share of their interactions that a user loses at most",
    )
    warmup_epochs: int = Field(default=0, ge=0, description="epochs in which every interaction counts 1")
    planted: float = Field(
        default=0.1,
        gt=0.0,
        le=1.0,
        description="noise that is planted, as a share of the interactions, to learn what it looks like; bots and "
        "clickbait are planted one for one",
    )
    repeats: int = Field(default=2, ge=1, description="plantings of each kind that are averaged")
    must_help: bool = Field(
        default=True,
        description="act on a kind only where minding it helps to foretell interactions that were held out, which in "
        "sparse data it may not",
    )
    control: Literal["none", "permuted"] = Field(
        default="none",
        description="stands in for weights, to be compared with: a user's weights on others of their interactions",
    )
    weighs_by: Literal["loss", "loss or resampling", "resampling"] = Field(
        default="loss",
        description="in the loss; drawn by weight where the loss has no place; always drawn by weight",
    )
    propagate: bool = Field(
        default=False, description="weigh the edges of a graph backbone's propagation, too (not bakeable)"
    )
    positive_from: PositiveFrom = None
    seed: int | None = Field(default=None, ge=0, description="of what is planted; null for the run's")

    @field_validator("kinds", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One kind alone is a list of it."""
        return (value,) if isinstance(value, str) else value

    @field_validator("kinds")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"name one kind of noise or more, of {', '.join(get_args(Kind))}")
        if len(set(value)) < len(value):
            raise ValueError("a kind is given twice; give each once")
        return value

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        if set(self.kinds) <= set(OF_HISTORIES):
            idle = dict.fromkeys(
                self.given("planted"), f"with kinds = {', '.join(self.kinds)}, planted one for one"
            )
        else:
            idle = {}
        if self.mask_from is None:
            return idle | dict.fromkeys(
                self.given("most_of_user"), "without mask_from, where nobody loses an interaction"
            )
        return idle | dict.fromkeys(self.given("lowest"), "with mask_from, where interactions count 0 or 1")


class Clean(Enhancer[CleanConfig]):
    """Training interactions that look like noise count less; where there is no noise to be seen, nothing changes.

    Noise is planted among the training interactions, and a classifier learns to find it by values of the interactions;
    its odds, and the share of noise that there can be at most, give the probability that an interaction never happened.
    An interaction counts as much as it is likely to be real, and stays known: it is no negative either.  Nothing counts
    more than what is surely real.

    Attributes: `weights`, `[n]`, of the rows of the training split, mean one; `probability`, `[n]`, that one is noise.

    Parameters
    ----------
    config
        The options as a `CleanConfig`; give either this or options.
    **options
        The fields of `CleanConfig`, each with its default and description there (`burnish enhancers clean`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    Ours; docs/clean.md says of what it is made.

    Examples
    --------
    >>> burnish.enhance("BPR", "softmax", burnish.Clean(kinds="uniform"))
    <class 'recbole.model.general_recommender.bpr.BPR[softmax, clean]'>
    """

    name = "clean"
    Config = CleanConfig

    weights: Tensor
    probability: Tensor
    shares: Tensor

    def __init__(self, config: CleanConfig | None = None, **options: object) -> None:
        super().__init__(config, **options)
        self.weighs_by = self.config.weighs_by
        self.propagates = self.config.propagate
        self._weighed = False

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Read which interactions there are: the rows of the training split, where labelled, those liked."""
        self._seed = self.state.seed if self.config.seed is None else self.config.seed
        self._sizes = anatomy.n_users, anatomy.n_items
        self._epochs = int(dataset.config["epochs"] or 0)
        fields, feat = anatomy.fields, dataset.inter_feat
        liked = positives(dataset, fields.label, self.config.positive_from, f"enhancer {self.name!r}")
        chosen = liked.rows(dataset)
        rows = torch.arange(len(feat)) if chosen is None else torch.arange(len(feat))[chosen]
        for name, tensor in (
            ("_rows", rows),
            ("_users", feat[fields.user][rows]),
            ("_items", feat[fields.item][rows]),
        ):
            self.register_buffer(name, tensor, persistent=False)
        if len(rows) < LEAST_ROWS:
            warn(
                f"enhancer {self.name!r}: {len(rows)} training interactions are too few to tell noise from what is "
                f"real (it takes {LEAST_ROWS}), so every interaction counts 1"
            )
        self.register_buffer("weights", torch.ones(len(feat)))
        self.register_buffer("probability", torch.zeros(len(feat)))
        #: Of each kind: its share, its bounds, and of minding it the gain and its error (NaN: not tried).
        self.register_buffer("shares", torch.full((len(self.config.kinds), 5), float("nan")))

    def on_epoch(self, epoch: int) -> None:
        """Look for noise once the warm-up is over."""
        if epoch == 0 and 0 < self._epochs <= self.config.warmup_epochs:
            warn(
                f"enhancer {self.name!r}: warmup_epochs = {self.config.warmup_epochs} is not below epochs = "
                f"{self._epochs}, so every interaction counts 1 to the end; train for longer, or lower it"
            )
        if epoch >= self.config.warmup_epochs and not self._weighed:
            self.weigh_all()

    @torch.no_grad()
    def weigh_all(self) -> None:
        """Look for noise, and set probabilities and weights."""
        rows, users, items = (self.get_buffer(name) for name in ("_rows", "_users", "_items"))
        config = self.config
        self._weighed = True
        if len(rows) < LEAST_ROWS:
            return
        planting = stage("looking for noise: planting", len(config.kinds) * config.repeats)
        found = suspicion(
            users,
            items,
            *self._sizes,
            kinds=config.kinds,
            least=config.least,
            planted=config.planted,
            repeats=config.repeats,
            must_help=config.must_help,
            seed=self._seed,
            progress=None if planting is None else planting.step,
        )
        numbers = ((one.share, one.low, one.high, one.gain, one.error) for one in found.shares)
        self.shares.copy_(
            torch.tensor([[math.nan if one is None else one for one in each] for each in numbers])
        )
        if config.mask_from is None:
            weights = (1.0 - found.probability).clamp(min=config.lowest).to(users.device)
        else:
            masked = most_suspect(
                found.probability.to(users.device), users, config.mask_from, most_of_user=config.most_of_user
            )
            weights = 1.0 - masked.float()
        if not bool(weights.any()):
            raise ConfigurationError(
                f"enhancer {self.name!r}: mask_from = {config.mask_from:g} with most_of_user = {config.most_of_user:g} "
                f"leaves no interaction to train on; raise the one, or lower the other"
            )
        if config.control == "permuted":
            weights = weights[permuted_within(users, self._seed)]
        self.probability[rows] = found.probability.to(self.probability)
        self.weights[rows] = (weights / weights.mean()).to(self.weights)
        say = teller()
        if say is not None:
            say(f"{self.name}: {self.note()}")

    def interaction_weights(self) -> Tensor | None:
        """`[n]`, mean 1; None before noise was looked for, and where there is none, so that training is what it was."""
        return self.weights if self._weighed and bool(self.probability.any()) else None

    def note(self) -> str:
        """How much noise there is at most."""
        if not self._weighed or bool(self.shares.isnan().all()):
            return "has not looked for noise yet." if not self._weighed else "weighs nothing."
        told = "; ".join(
            str(NoiseShare(kind, *row[:3], *(None if math.isnan(one) else one for one in row[3:])))
            for kind, row in zip(self.config.kinds, self.shares.tolist(), strict=True)
        )
        end = "" if bool(self.probability.any()) else "; so every interaction counts 1"
        return f"at most so much looks like noise (95% interval): {told}{end}."

    def training_tensors(self) -> frozenset[str]:
        """Weights belong to interactions of one training split."""
        return frozenset({"weights", "probability", "shares", "_extra_state"})

    def get_extra_state(self) -> Tensor:
        """Whether noise was looked for."""
        return torch.tensor(self._weighed)

    def set_extra_state(self, state: Tensor) -> None:
        self._weighed = bool(state)


def most_suspect(probability: Tensor, users: Tensor, limit: float, *, most_of_user: float) -> Tensor:
    """Bool `[n]`: interactions that are noise with a probability of at least `limit`, the most suspect of each user.

    Of a user's interactions at most the share `most_of_user` is taken (rounded down), so that nobody loses too much.

    probability: `[n]`.  users: `[n]` ids.
    """
    _, index = torch.unique(users, return_inverse=True)
    counts = torch.bincount(index)
    order = torch.argsort(probability, descending=True, stable=True)
    order = order[torch.argsort(index[order], stable=True)]
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[index[order]]
    return (probability >= limit) & (rank < (most_of_user * counts.double()).floor().long()[index])
