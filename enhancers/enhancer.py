"""The one protocol of the package: an `Enhancer` and its hooks, each with a neutral default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError, UnsupportedError
from burnish.strict import validated

from .options import EnhancerConfig, OptionsWithoutLoss, warn_of_idle

if TYPE_CHECKING:
    from pathlib import Path

    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

    from burnish.explanation import Reason

    from .anatomy.describe import Anatomy
    from .anatomy.table import Side, Table
    from .state import HostState


ConfigT = TypeVar("ConfigT", bound=OptionsWithoutLoss)


class Enhancer(nn.Module, Generic[ConfigT]):
    """A plug-in that changes what a backbone's embeddings are, what its loss is, or what an interaction counts.

    Made with its options (`RVRec(weight=0.1)`), it holds no parameters yet: `enhance` keeps it as a recipe,
    and every enhanced model builds its own copy and calls `bind`.  It becomes a registered sub-module of the
    model, so devices, state dict, optimizer and DDP follow by themselves.

    Sub-classes set `name` and `Config` and override the hooks they need.  Hook order in a training step:
    `refine` (whenever the backbone reads a table), then `loss` and `weigh` once a batch.

    Parameters
    ----------
    config
        The options as a `Config`; give either this or options.
    **options
        The fields of `Config`, each with its description there (`burnish enhancers NAME` shows them).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    Examples
    --------
    >>> class Constant(burnish.Enhancer):
    ...     name = "constant"
    ...
    ...     def refines(self, table):
    ...         return table.side == "item"
    >>> burnish.enhance("BPR", Constant())
    <class 'recbole.model.general_recommender.bpr.BPR[constant]'>
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

    #: Of one that explains: what its reasons' contributions are, in a sentence for readers.
    reasons_about: ClassVar[str] = ""
    #: Of one that explains: whether its reasons say why.  Those of others are told beside reasons that do.
    says_why: ClassVar[bool] = True
    #: Whether `refine` comes after that of all others, in whatever order they are attached.
    refines_last: ClassVar[bool] = False
    #: Names of teachers that it computes itself, beside the runs of `teacher_runs`.
    computed_teachers: ClassVar[tuple[str, ...]] = ()
    #: Tensors in `state_dict()` that saved files of before lack; its `_load_from_state_dict` says what they are then.
    later_tensors: ClassVar[frozenset[str]] = frozenset()

    config: ConfigT
    #: What the host shares with its enhancers during a step; set by the host just before `bind`.
    state: HostState

    def __init__(self, config: ConfigT | None = None, **options: Any) -> None:
        super().__init__()
        if config is not None and options:
            raise ConfigurationError(f"{self.name}: give either a config or options, not both")
        self.config = config if config is not None else self.configure(options)
        if config is None:  # a copy's reader has been told
            warn_of_idle(f"enhancer {self.name!r}", self.config, self.config.idle())

    @classmethod
    def configure(cls, options: dict[str, Any]) -> Any:
        """The validated configuration for a plain dictionary.

        Parameters
        ----------
        options
            What a file or a call gave.

        Returns
        -------
        OptionsWithoutLoss
            A `Config` of this class.

        Raises
        ------
        UnknownNameError
            For an option that does not exist, with the nearest one.
        ConfigurationError
            For a value that cannot be used.
        """
        return validated(cls.Config, options, f"enhancer {cls.name!r}")

    @property
    def loss_weight(self) -> float:
        """Factor of its loss in the total loss: the option `weight`, 1 where there is no such option."""
        return float(getattr(self.config, "weight", 1.0))

    def fresh(self) -> Enhancer[ConfigT]:
        """An unbound copy with the same options, for one more model.

        Returns
        -------
        Enhancer
            The copy, without parameters.
        """
        return type(self)(self.config)

    # ------------------------------------------------------------------ hooks

    def check_files(self, config: Any) -> None:
        """Raise for files that the enhancer reads and that are missing or lack what it needs, before data are read.

        Asked before a run, and of every arm of a plan before anything is trained.  Nothing by default.

        Parameters
        ----------
        config
            RecBole's, of the run.

        Raises
        ------
        BurnishError
            As `bind` would.
        """

    def idle_here(self, others: Sequence[Enhancer[Any]]) -> dict[str, str]:
        """Options that were given and have no effect on this backbone beside these other enhancers; after `bind`.

        Parameters
        ----------
        others
            The other enhancers of the model, bound as well.

        Returns
        -------
        dict
            The reasons by option, as in "where the backbone has no table of users".
        """
        return {}

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Create parameters for one backbone.

        Runs under a forked random stream that the host seeds, so a backbone draws the same numbers with or
        without enhancers.

        Parameters
        ----------
        anatomy
            What the backbone is made of: its tables, how many users and items, the names of a batch's columns.
        dataset
            The training split only.

        Raises
        ------
        UnsupportedError
            To be raised by sub-classes where the backbone lacks something.
        """

    def refines(self, table: Table) -> bool:
        """Whether `refine` changes rows of this table; asked once, after `bind`.

        Parameters
        ----------
        table
            One of the backbone's tables.

        Returns
        -------
        bool
            False by default.
        """
        return False

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """Refined rows, row by row, so that a lookup costs the rows looked up.

        The padding row is put back by the host.  Must be the identity until training changes it.

        Parameters
        ----------
        rows
            `[n, d]`, as the backbone stores them or as the enhancer before this one refined them.
        ids
            `[n]` user or item ids of the rows.
        table
            Which table they are from, with its `side`, `width` and `name`.

        Returns
        -------
        torch.Tensor
            `[n, d]`.
        """
        return rows

    def refines_output(self) -> bool:
        """Whether `refine_output` is used: graph backbones' propagated embeddings instead of their tables.

        Returns
        -------
        bool
            False by default.
        """
        return False

    def refine_output(self, rows: Tensor, side: Side) -> Tensor:
        """Refined propagated embeddings of a graph backbone.

        Parameters
        ----------
        rows
            `[n_users, d]` or `[n_items, d]`, padding included.
        side
            "user" or "item".

        Returns
        -------
        torch.Tensor
            Of the shape of `rows`.
        """
        return rows

    def rescore(self, scores: Tensor, items: Tensor | None) -> Tensor:
        """Other scores than those that the backbone predicts; `state.scored_users` says whose they are.

        Parameters
        ----------
        scores
            Of any shape; where `items` is None, of the whole catalogue for some users, one after another.
        items
            The items that are scored, as many as scores; None for the whole catalogue.

        Returns
        -------
        torch.Tensor
            Of the shape of `scores`, which themselves are the default; floating-point numbers, finite where those are.
        """
        return scores

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """Extra loss terms, unreduced: the host multiplies by `weight`, averages and adds.

        Parameters
        ----------
        batch
            RecBole's batch, as the backbone's loss gets it.

        Returns
        -------
        dict
            By name, tensors `[B]`, one number a row of the batch or of a sample of it.
        """
        return {}

    def weigh(self, batch: Interaction) -> Tensor | None:
        """What each interaction of the batch counts in the backbone's own loss.

        Parameters
        ----------
        batch
            RecBole's batch.

        Returns
        -------
        torch.Tensor or None
            `[B]` with mean 1; None for 1 each.
        """
        return None

    def interaction_weights(self) -> Tensor | None:
        """What each training interaction counts in the backbone's own loss.

        One weight for each row of the training split's `dataset.inter_feat`, in its order (for sequential backbones
        a row is a prefix and its target).  Read at every batch, so it may change between epochs; give the same
        tensor object as long as the values stay.  Where `weigh` is given too, the two multiply.  Backbones that
        train on whole users (autoencoders) take these weights in the terms of single items.

        Returns
        -------
        torch.Tensor or None
            `[n]`, at least 0, with mean 1; None for 1 each.
        """
        return None

    def complete(self, parameters: Sequence[nn.Parameter]) -> None:
        """Look at what is trained; called once, when every enhancer of the model is bound.

        Parameters
        ----------
        parameters
            The backbone's and the enhancers'.
        """

    def before_step(self) -> None:
        """Prepare a training step; called before the backbone's loss is computed, outside of its graph."""

    def on_mode(self, training: bool) -> None:
        """Take notice of a change between training and evaluation (`model.train()`, `model.eval()`).

        Parameters
        ----------
        training
            Which one begins.
        """

    def replaces_loss(self) -> bool:
        """Whether `objective` stands in the place of the backbone's recommendation loss; asked once, after `bind`.

        Other terms of the backbone (regularisation, self-supervision, a knowledge graph's) stay where its loss has them
        apart.  One enhancer of a model may replace it.

        Returns
        -------
        bool
            False by default.
        """
        return False

    def objective(self, batch: Interaction) -> Tensor:
        """The loss that stands in the place of the backbone's, unreduced: the host averages.

        Parameters
        ----------
        batch
            RecBole's batch or, where `users_a_batch` is not None, one whose only column is the users' ids.

        Returns
        -------
        torch.Tensor
            `[B]`, one number a row of the batch, with its gradient.
        """
        raise UnsupportedError(f"enhancer {self.name!r} replaces the backbone's loss and has no objective")

    @property
    def own_loss(self) -> float:
        """Factor of the backbone's own recommendation loss beside the objective; 0 by default."""
        return 0.0

    @property
    def score_temperature(self) -> float:
        """What scores are divided by in its objective; 1 by default."""
        return 1.0

    def unit_users(self) -> bool:
        """Whether its objective puts the vectors of users to unit length although the model's scores do not.

        Returns
        -------
        bool
            False by default.
        """
        return False

    def objective_share(self) -> float:
        """What is left of the recommendation loss, the backbone's own or an objective, beside its own loss.

        Asked in every step.  The terms of the backbone's loss that belong to no interaction stay as they are.

        Returns
        -------
        float
            Between 0 and 1; 1 by default.
        """
        return 1.0

    def keeps_rest(self) -> bool:
        """Whether the terms of the backbone's loss that belong to no interaction stay beside the objective.

        Returns
        -------
        bool
            True by default.
        """
        return True

    def users_a_batch(self) -> int | None:
        """How many users a training batch has where epochs go over users, each with all of their items.

        Asked once, after `bind`, of the enhancer that replaces the loss.

        Returns
        -------
        int or None
            None, the default, for RecBole's batches of interactions.
        """
        return None

    def exceptions(self) -> Mapping[str, str]:
        """Promises of the conformance suite that it does not make on this backbone; asked after `bind`.

        Returns
        -------
        Mapping
            Reasons by the check's name, as in {"identity at start": "scores are cosines"}; empty by default.
        """
        return {}

    def candidates(self) -> Sequence[str] | None:
        """What epochs try in place of training: each puts one candidate into the backbone, and validation chooses.

        For what is known in closed form but for some numbers.  RecBole evaluates after every epoch and keeps the best
        one, so it chooses among candidates as it does among epochs.  Nothing is trained.  Asked after `bind` and, where
        the model begins from a base, again after `take_base`; the number of candidates must not change.

        Returns
        -------
        Sequence or None
            A description of each, in the order in which they are tried; None, the default, for training.
        """
        return None

    def try_candidate(self, number: int) -> None:
        """Put a candidate into the backbone; called at the beginning of epoch `number`, without gradients.

        Parameters
        ----------
        number
            Its place among `candidates`.
        """

    def note(self) -> str | None:
        """What `status` says of it beside its options: what it has done, and what is left of the backbone's training.

        Returns
        -------
        str or None
            A sentence or two; None, the default, for nothing.
        """
        return None

    def watches(self) -> bool:
        """Whether `watch` is to be called in the training step that begins; asked in every step.

        Returns
        -------
        bool
            False by default.
        """
        return False

    def watch(self, rows: Tensor, numbers: Tensor) -> None:
        """Look at the backbone's loss of single rows of the batch, before the step; it costs a forward pass.

        Only for enhancers that have `interaction_weights`, and only where batches consist of interactions.

        Parameters
        ----------
        rows
            `[B]`, what each row adds to the backbone's loss, with the graph down to the parameters; it may be
            differentiated here and must not be kept.
        numbers
            `[B]`, which row of the training split's `dataset.inter_feat` each one is.

        Raises
        ------
        UnsupportedError
            By the host, where a batch consists of whole users; training stops.
        """

    def digest_beside(self, stem: Path, options: Mapping[str, Any]) -> str | None:
        """A digest of files beside the interactions that results depend on; asked before data are read.

        A comparison knows finished runs by it, so that those of former files are not taken for ones of the present.

        Parameters
        ----------
        stem
            Folder and name of the data set: its files are called so, with a suffix.
        options
            RecBole's options as they were given; others stand at their defaults.

        Returns
        -------
        str or None
            Equal where the content is; None, the default, where there are no such files.
        """
        return None

    def training_tensors(self) -> frozenset[str]:
        """Which of its tensors in `state_dict()` only training needs.

        They are in RecBole's checkpoints, from which training resumes; `save_pretrained` leaves them out, and
        `from_pretrained` leaves what the model has.  For example values of single training interactions.

        Returns
        -------
        frozenset
            Their names in `state_dict()`; empty by default.
        """
        return frozenset()

    def row_tensors(self) -> dict[str, Side]:
        """Which of its saved tensors hold a row for each user or item.

        For example `{"bias": "item"}`: the first axis of `self.bias` runs over item ids, padding id 0 included.
        `from_pretrained` then matches rows by token, so they fit a data set whose ids run in another order.

        Returns
        -------
        dict
            "user" or "item", by name in `state_dict()`; empty by default.
        """
        return {}

    def base_run(self) -> str | None:
        """A trained backbone to begin from.

        What trains the model (`burnish.run`, the benchmark) reads or makes it, puts its parameters into the model and
        calls `take_base` before the first epoch; not when it loads a trained model.

        Returns
        -------
        str or None
            "auto" (the plain backbone, trained first), enhancers joined by + (the backbone with these, trained first
            and baked), the folder of a run, or None for none, the default.
        """
        return None

    def base_options(self) -> Mapping[str, Any]:
        """Options by which a base that is trained first is trained otherwise than this model.

        Returns
        -------
        Mapping
            Values by option, those of enhancers as `enhancer.option`; empty by default.
        """
        return {}

    def take_base(self) -> None:
        """Begin from the backbone's parameters, which are now those of the base, trained on the same data and split."""

    def has_begun(self) -> bool:
        """Whether what is kept of this enhancer says that the model has begun from a base.

        Returns
        -------
        bool
            False where nothing does, the default.
        """
        return False

    def teacher_runs(self) -> Sequence[str]:
        """Trained models to learn from.

        What trains the model (`burnish.run`, the benchmark) trains or reads them, refuses those of other data or
        another split, and calls `take_teachers` before the first epoch; not when it loads a trained model.

        Returns
        -------
        Sequence
            Names of runs that are trained first (see `trained_first.first_run`) or folders of runs; empty by default.
        """
        return ()

    def teacher_options(self) -> Mapping[str, Mapping[str, Any]]:
        """Options by which teachers that are trained first are trained otherwise than this model.

        Returns
        -------
        Mapping
            By teacher, values by option, those of enhancers as `enhancer.option`; empty by default.
        """
        return {}

    def take_teachers(self, trained: Mapping[str, Any]) -> None:
        """Take what is needed of the trained models, which are not kept.

        Parameters
        ----------
        trained
            By name, as `burnish.load_run` gives them: `model`, `config`, `splits`, `seconds`.
        """

    def on_epoch(self, epoch: int) -> None:
        """Refresh values, advance schedules; called once before each training epoch.

        Parameters
        ----------
        epoch
            Its number, from 0.
        """

    @torch.no_grad()
    def explain(self, user: int, item: int) -> list[Reason] | None:
        """Reasons for recommending an item to a user.

        Parameters
        ----------
        user
            An internal id.
        item
            An internal id.

        Returns
        -------
        list or None
            `Reason`s, the largest contribution first; None where the method gives none.
        """
        return None

    def extra_repr(self) -> str:
        """Options other than the defaults, for `repr`.

        Returns
        -------
        str
            Such as `weight=0.05, site='output'`.
        """
        changed = self.config.model_dump(exclude_defaults=True)
        return ", ".join(f"{key}={value!r}" for key, value in changed.items())
