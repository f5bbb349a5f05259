"""The one protocol of the package: an `Enhancer` and its hooks, each with a neutral default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from burnish.errors import ConfigurationError
from burnish.strict import Strict, validated

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

    from burnish.explanation import Reason

    from .anatomy.describe import Anatomy
    from .anatomy.table import Side, Table
    from .state import HostState


class OptionsWithoutLoss(Strict):
    """Base of the options of enhancers that add no loss.  Strict: an unknown option is an error; frozen once made."""

    #: Options that may name a file: a saved run finds it from where the run was made.
    files: ClassVar[tuple[str, ...]] = ()
    #: Options of before, with their defaults, that had no effect: files that hold them are read without them.
    retired: ClassVar[Mapping[str, Any]] = {}
    #: Options that allow something and change no result.
    permissions: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, options: Any) -> Any:
        if isinstance(options, Mapping):
            return {name: value for name, value in options.items() if name not in cls.retired}
        return options

    def decisive(self) -> dict[str, Any]:
        """Everything that a result depends on, defaults included, named as in the first version that had it."""
        return {**self.retired, **self.model_dump(mode="json", exclude=set(self.permissions))}


class EnhancerConfig(OptionsWithoutLoss):
    """Base of the options of enhancers with a loss of their own."""

    weight: float = Field(default=1.0, ge=0.0, description="factor of this enhancer's loss in the total loss")


ConfigT = TypeVar("ConfigT", bound=OptionsWithoutLoss)


class Enhancer(nn.Module, Generic[ConfigT]):
    """A plug-in that changes what a backbone's embeddings are, what its loss is, or what an interaction counts.

    Made with its options (`RVRec(weight=0.1)`), it holds no parameters yet: `enhance` keeps it as a recipe,
    and every enhanced model builds its own copy and calls `bind`.  It becomes a registered sub-module of the
    model, so devices, state dict, optimizer and DDP follow by themselves.

    Sub-classes set `name` and `Config` and override the hooks they need.  Hook order in a training step:
    `refine` (whenever the backbone reads a table), then `loss` and `weigh` once a batch.
    """

    name: ClassVar[str] = ""
    Config: ClassVar[type[OptionsWithoutLoss]] = EnhancerConfig
    #: False where the enhanced model cannot be written back into plain tables (see `bake`).
    bakeable: ClassVar[bool] = True
    #: How `interaction_weights` act: "loss" (refused where the backbone's loss has no place for them),
    #: "loss or resampling" (interactions are drawn by weight where it has none), or "resampling".
    weighs_by: str = "loss"
    #: Whether `interaction_weights` also weigh the edges of a graph backbone's propagation.
    propagates: bool = False

    config: ConfigT
    #: What the host shares with its enhancers during a step; set by the host just before `bind`.
    state: HostState

    def __init__(self, config: ConfigT | None = None, **options: Any) -> None:
        super().__init__()
        if config is not None and options:
            raise ConfigurationError(f"{self.name}: give either a config or options, not both")
        self.config = config if config is not None else self.configure(options)

    @classmethod
    def configure(cls, options: dict[str, Any]) -> Any:
        """The validated configuration for a plain dictionary.

        Raises `UnknownNameError` for an option that does not exist and `ConfigurationError` for a bad value.
        """
        return validated(cls.Config, options, f"enhancer {cls.name!r}")

    @property
    def loss_weight(self) -> float:
        """Factor of its loss in the total loss: the option `weight`, 1 where there is no such option."""
        return float(getattr(self.config, "weight", 1.0))

    def fresh(self) -> Enhancer[ConfigT]:
        """An unbound copy with the same options, for one more model."""
        return type(self)(self.config)

    # ------------------------------------------------------------------ hooks

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Create parameters for one backbone.  `dataset` is the training split only.

        Runs under a forked random stream that the host seeds, so a backbone draws the same numbers with or
        without enhancers.  Raise `UnsupportedError` here when the backbone lacks something.
        """

    def refines(self, table: Table) -> bool:
        """Whether `refine` changes rows of this table.  Asked once, after `bind`."""
        return False

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """Refined rows `[n, d]` of `rows` `[n, d]`, row by row, so that a lookup costs the rows looked up.

        ids: `[n]` user or item ids of the rows.  table: which table they are from, with its `side`, `width` and
        `name`.  The padding row is put back by the host.  Must be the identity until training changes it.
        """
        return rows

    def refines_output(self) -> bool:
        """Whether `refine_output` is used: graph backbones' propagated embeddings instead of their tables."""
        return False

    def refine_output(self, rows: Tensor, side: Side) -> Tensor:
        """Refined propagated embeddings `[n_users or n_items, d]`; `side` is "user" or "item"."""
        return rows

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """Extra loss terms, each `[B]` unreduced: the host multiplies by `weight`, averages and adds."""
        return {}

    def weigh(self, batch: Interaction) -> Tensor | None:
        """What each interaction of the batch counts in the backbone's own loss: `[B]`, mean 1; None for 1."""
        return None

    def interaction_weights(self) -> Tensor | None:
        """What each training interaction counts: `[n]`, mean 1, at least 0; None for 1.

        One weight for each row of the training split's `dataset.inter_feat`, in its order (for sequential backbones
        a row is a prefix and its target).  Read at every batch, so it may change between epochs; give the same
        tensor object as long as the values stay.  Where `weigh` is given too, the two multiply.  Backbones that
        train on whole users (autoencoders) take these weights in the terms of single items.
        """
        return None

    def watches(self) -> bool:
        """Whether `watch` is to be called in the training step that begins; asked in every step."""
        return False

    def watch(self, rows: Tensor, numbers: Tensor) -> None:
        """Look at the backbone's loss of single rows of the batch, before the step.  It costs a forward pass.

        rows: `[B]`, what each row adds to the backbone's loss, with the graph down to the parameters; it may be
        differentiated here and must not be kept.  numbers: `[B]`, which row of the training split's
        `dataset.inter_feat` each one is.  Only for enhancers that have `interaction_weights`, and only where batches
        consist of interactions: `UnsupportedError` stops training elsewhere.
        """

    def training_tensors(self) -> frozenset[str]:
        """Which of its tensors in `state_dict()` only training needs (by their names there).

        They are in RecBole's checkpoints, from which training resumes; `save_pretrained` leaves them out, and
        `from_pretrained` leaves what the model has.  For example values of single training interactions.
        """
        return frozenset()

    def row_tensors(self) -> dict[str, Side]:
        """Which of its saved tensors hold a row for each user or item, by their names in `state_dict()`.

        For example `{"bias": "item"}`: the first axis of `self.bias` runs over item ids, padding id 0 included.
        `from_pretrained` then matches rows by token, so they fit a data set whose ids run in another order.
        """
        return {}

    def base_run(self) -> str | None:
        """A trained plain backbone to begin from: "auto" (trained first), the folder of a run, or None for none.

        What trains the model (`burnish.run`, the benchmark) reads or makes it, puts its parameters into the model and
        calls `take_base` before the first epoch; not when it loads a trained model.
        """
        return None

    def base_options(self) -> Mapping[str, Any]:
        """RecBole options by which the base of `base_run` "auto" is trained otherwise than this model."""
        return {}

    def take_base(self) -> None:
        """The backbone's parameters are now those of the base, trained on the same data and split: begin from them."""

    def on_epoch(self, epoch: int) -> None:
        """Called once before training epoch `epoch` (from 0): refresh values, advance schedules."""

    @torch.no_grad()
    def explain(self, user: int, item: int) -> list[Reason] | None:
        """Reasons for recommending `item` to `user` (internal ids), or None where the method gives none."""
        return None

    def extra_repr(self) -> str:
        changed = self.config.model_dump(exclude_defaults=True)
        return ", ".join(f"{key}={value!r}" for key, value in changed.items())
