"""RVRec's value half: training interactions count by what they are worth, as their Shapley values say.

Mi, Yan, Zhao, Shen, Qian: "A plug-and-play model-agnostic embedding enhancement approach for explainable
recommendation", arXiv 2509.03130.  From the paper: multivariate Shapley values reweight interactions.  Ours, where
its text could not be had: the game, its closed form and cross-fitting, the schedule, and the map from values to
weights (see docs/methods.md).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy, is_output, propagation
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.guided.vector_parts import AttributeParts, attribute_parts
from burnish.enhancers.interactions import positives
from burnish.enhancers.state import HostState
from burnish.enhancers.unchanged import evaluating, unchanged
from burnish.errors import warn

from .controls import matched_by_popularity, permuted_within
from .in_run import first_order_values, step_sizes
from .judges import IN_RUN, JUDGES, SCORE, Judge
from .objectives import residualised, standardised
from .options import STAND_INS, ShapleyConfig
from .profile_reasons import TrainingHistory
from .reweighting import weights_from

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

    from burnish.explanation import Reason


class Shapley(Enhancer[ShapleyConfig]):
    """Training interactions count by their Shapley values (arXiv 2509.03130), refreshed while the model trains.

    Weights are exp(beta z(value beyond popularity) + beta_popularity z(popularity)), clipped, z within the user.

    Attributes: `values`, `[n]`, are smoothed z-scores within the user, for the rows of the training split, before
    popularity is taken out; 0 before the first valuation and for negative examples.  `weights`, `[n]`, have mean one
    over each user's positive interactions.

    Parameters
    ----------
    config
        The options as a `ShapleyConfig`; give either this or options.
    **options
        The fields of `ShapleyConfig`, each with its default and description there (`burnish enhancers` shows them).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    arXiv 2509.03130: Mi, Yan, Zhao, Shen, Qian, "A plug-and-play model-agnostic embedding enhancement approach for
    explainable recommendation".  docs/methods.md says what is ours.

    Examples
    --------
    >>> burnish.enhance("BPR", burnish.Shapley(warmup_epochs=5, beta=0.3))
    <class 'recbole.model.general_recommender.bpr.BPR[shapley]'>
    """

    name = "shapley"
    reasons_about = (
        "A reason is an item's part in the score by the mean of the history's vectors, which need not be the user's "
        "own."
    )
    Config = ShapleyConfig

    values: Tensor
    weights: Tensor
    measured: Tensor

    def __init__(self, config: ShapleyConfig | None = None, **options: object) -> None:
        super().__init__(config, **options)
        self.weighs_by = self.config.weighs_by
        self.propagates = self.config.propagate
        self._valuations = 0
        #: Whether the run began before popularity could be taken out of values.
        self._of_before = self._told = False
        #: Z-scores of judges that do not change.
        self._kept: dict[str, Tensor] = {}
        #: What reasons part contributions by, and the state of the model that it is of.
        self._parts: tuple[tuple[int, ...], AttributeParts | None] | None = None

    # ------------------------------------------------------------------ what is valued

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Read which interactions there are: the rows of the training split, where labelled, those liked."""
        anatomy.need("item", self.name)
        self._anatomy = anatomy
        self._epochs = int(dataset.config["epochs"] or 0)
        self._seed = self.state.seed if self.config.seed is None else self.config.seed
        fields, feat = anatomy.fields, dataset.inter_feat
        users, items = feat[fields.user], feat[fields.item]
        liked = positives(dataset, fields.label, self.config.positive_from, f"enhancer {self.name!r}")
        rows, chosen = torch.arange(len(users)), liked.rows(dataset)
        if chosen is not None:
            rows = rows[chosen]
        self._put("_rows", rows)
        self._put("_users", users[rows])
        self._put("_items", items[rows])
        self._put("_counts", torch.bincount(items[rows])[items[rows]])
        if self.config.control == "permuted":
            self._put("_permutation", permuted_within(users[rows], self._seed))
        if self.config.control == "matched":
            self._put("_permutation", matched_by_popularity(users[rows], items[rows], self._seed))
        self.register_buffer("values", torch.zeros(len(users)))
        self.register_buffer("weights", torch.ones(len(users)))
        if self.config.measures:
            # Sums and counts of what training steps measured since the last valuation.
            self.register_buffer("measured", torch.zeros(2, len(users)))
        self.history = TrainingHistory(dataset, anatomy, liked)

    def _put(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor, persistent=False)

    # ------------------------------------------------------------------ what they are worth

    def on_epoch(self, epoch: int) -> None:
        """Value interactions anew when the warm-up is over, and every `refresh` epochs from then on."""
        if epoch == 0 and 0 < self._epochs <= self.config.warmup_epochs:
            warn(
                f"enhancer {self.name!r}: warmup_epochs = {self.config.warmup_epochs} is not below epochs = "
                f"{self._epochs}, so every interaction counts 1 to the end; train for longer, or lower it"
            )
        since = epoch - self.config.warmup_epochs
        if since >= 0 and since % self.config.refresh == 0:
            self.revalue()

    @torch.no_grad()
    def revalue(self) -> None:
        """Value all training interactions by the model as it is, and set their weights."""
        config, users, rows = self.config, self._buffer("_users"), self._buffer("_rows")
        new = self._judged().to(self.values.dtype)
        kept = config.smoothing if self._valuations and config.changes else 0.0
        smoothed = kept * self.values[rows] + (1 - kept) * new
        popularity = self._buffer("_counts").double().log()
        component = smoothed
        if config.control != "popularity" and self._beyond_popularity():
            component = residualised(smoothed, popularity, users)
        if config.control == "matched":  # from user to user, too: as z-scores
            component = standardised(component, users)[self._buffer("_permutation")]
        weights = weights_from(
            component,
            users,
            beta=config.beta,
            low=config.low,
            high=config.high,
            popularity=popularity,
            beta_popularity=config.beta_popularity,
        )
        if config.control == "permuted":
            weights = weights[self._buffer("_permutation")]
        self.values[rows] = smoothed
        self.weights[rows] = weights.to(self.weights.dtype)
        self._valuations += 1

    def _beyond_popularity(self) -> bool:
        """Whether popularity is taken out of values; a run that began without goes on without, and that is told."""
        if not self._of_before:
            return self.config.beyond_popularity
        if self.config.beyond_popularity and not self._told:
            self._told = True
            warn(
                f"enhancer {self.name!r}: this run began with an earlier burnish, which left popularity in values, and "
                f"goes on so (beyond_popularity: false); train anew for values beyond popularity"
            )
        return False

    def _judged(self) -> Tensor:
        """What this valuation says: z-scores within user, or a weighted sum of them."""
        users = self._buffer("_users")
        if self.config.control == "popularity":
            return standardised(self._buffer("_counts").double().log(), users)
        if self.config.control == "score":
            return self._judged_by("score", SCORE)
        new = torch.zeros(len(users), device=users.device, dtype=torch.float64)
        for name, weight in self.config.parts.items():
            new = new + weight * (self._in_run() if name == IN_RUN else self._judged_by(name, JUDGES[name]))
        return new

    def _judged_by(self, name: str, judge: Judge) -> Tensor:
        users, items = self._buffer("_users"), self._buffer("_items")
        if name in self._kept:
            return self._kept[name].to(users.device)
        vectors = item_vectors(self._anatomy, self.state, self.name)
        values = standardised(judge.compute(users, items, vectors, self.config, self._seed), users)
        if not judge.changes:
            self._kept[name] = values
        return values

    def _in_run(self) -> Tensor:
        """Z-scores within user of what was measured since the last valuation; 0 for what was not."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.measured)
        sums, counts = self.measured[:, self._buffer("_rows")]
        seen = counts > 0
        values = torch.zeros_like(sums)
        values[seen] = standardised(sums[seen] / counts[seen], self._buffer("_users")[seen])
        self.measured.zero_()
        return values

    def _buffer(self, name: str) -> Tensor:
        buffer = self._buffers[name]
        assert buffer is not None
        return buffer

    # ------------------------------------------------------------------ in training steps

    def watches(self) -> bool:
        """In-run values are measured in a share of the steps, drawn by seed and step; the first is among them."""
        if not self.config.measures or self.config.control in STAND_INS:
            return False
        step = self.state.step
        return step == 0 or random.Random(self._seed * 1_000_003 + step).random() < self.config.in_run_share

    def watch(self, rows: Tensor, numbers: Tensor) -> None:
        """Add what this step's rows do for half of them, drawn anew, to what was measured."""
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + self.state.step) % 2**63)
        judges = (torch.rand(len(rows), generator=generator) < 0.5).to(rows.device)
        tables = {id(table.stored): table.stored for table in self._anatomy.tables if not table.frozen}
        parameters = list(tables.values())
        values = first_order_values(rows, judges, parameters, step_sizes(self.state.optimizer, parameters))
        self.measured[0].index_add_(0, numbers, values.to(self.measured.dtype))
        self.measured[1].index_add_(0, numbers, (~judges).to(self.measured.dtype))

    def interaction_weights(self) -> Tensor | None:
        """`[n]`, mean 1; None until the first valuation."""
        return self.weights if self._valuations else None

    # ------------------------------------------------------------------ the rest

    def explain(self, user: int, item: int) -> list[Reason] | None:
        """What each item of the user's history adds to their mean profile's score of `item`, largest first.

        Exact Shapley values of the game "score of `item` by the mean of a part of the history", vectors as in
        `item_vectors`; they sum to the score by the whole history.  None for a user without training items.  Beside the
        enhancer `guided` each has its parts by attribute, which sum to it with what is about no attribute.
        """
        return self.history.reasons(self._vectors(), user, item, self._by_attribute())

    @property
    def tells_attributes(self) -> bool:
        """Whether reasons say which attributes an item of the history speaks about."""
        return self._by_attribute() is not None

    def _vectors(self) -> Tensor:
        return item_vectors(self._anatomy, self.state, self.name)

    def _by_attribute(self) -> AttributeParts | None:
        """Computed once for a model as it is: every reason asks for them."""
        backbone = self.state.backbone
        if self._parts is None or self._parts[0] != _versions(backbone):
            found = attribute_parts(backbone, self._vectors)  # which writes to tensors, and puts them back
            self._parts = _versions(backbone), found
        return self._parts[1]

    def training_tensors(self) -> frozenset[str]:
        """Values and weights belong to interactions of one training split."""
        measured = {"measured"} if self.config.measures else set()
        return frozenset({"values", "weights", "_extra_state", *measured})

    def get_extra_state(self) -> Tensor:
        """How many valuations there were, and 1 where popularity was taken out of values."""
        count = torch.tensor(self._valuations)
        beyond = self.config.beyond_popularity and not self._of_before
        return torch.stack([count, torch.ones_like(count)]) if beyond else count

    def set_extra_state(self, state: Tensor) -> None:
        self._valuations = int(state.flatten()[0])
        self._of_before = state.dim() == 0


def _versions(model: nn.Module | None) -> tuple[int, ...]:
    """Changes whenever a parameter of the model was written to or replaced (buffers change with them)."""
    tensors = [] if model is None else model.parameters()
    return tuple(number for one in tensors for number in (id(one), one._version))


@torch.no_grad()
def item_vectors(anatomy: Anatomy, state: HostState, enhancer: str) -> Tensor:
    """A vector for every item id, padding included: `[n_items, d]`, as other enhancers have refined it.

    Graph backbones: the items' propagated embeddings.  Others: the rows that meet users in the score (of an
    autoencoder the decoder's); of several such tables all, side by side, each scaled to rows of length 1 on average.
    Raises `UnsupportedError`, naming the enhancer, for a backbone without a table of items.
    """
    backbone = state.backbone
    if anatomy.output is not None and backbone is not None:
        call = propagation(backbone)
        with evaluating(backbone), unchanged(backbone):
            result = call() if call is not None else None
        if result is not None and is_output(result, anatomy.n_users, anatomy.n_items):
            return result[1].detach()
    tables = anatomy.need("item", enhancer)
    scored = list({table.key: table for _, table in anatomy.pairs}.values()) or [tables[-1]]
    parts = [state.refined(table, torch.arange(table.count, device=table.raw().device)) for table in scored]
    if len(parts) > 1:
        smallest = torch.finfo(parts[0].dtype).tiny
        parts = [part / part.norm(dim=1).mean().clamp_min(smallest) for part in parts]
    return torch.cat(parts, dim=1).detach()
