"""RVRec's representativeness half: embeddings become Gaussians, sharpened by a contrast on their distance.

Mi, Yan, Zhao, Shen, Qian: "A plug-and-play model-agnostic embedding enhancement approach for explainable
recommendation", arXiv 2509.03130.  From the paper: the probability network, its mean as the enhanced embedding,
a contrastive loss on the negative 2-Wasserstein distance.  Ours, where its text could not be had: the form of
the loss, the spread's positivity, the variance guard (see docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from burnish.enhancers.anatomy import Anatomy, Side, Table
from burnish.enhancers.enhancer import Enhancer, EnhancerConfig
from burnish.enhancers.errors import UnsupportedError

from .contrast import contrast
from .full import FullNetwork, deviations, full_contrast
from .guard import spread_guard
from .network import ProbabilityNetwork
from .pairs import training_pairs, with_first_items
from .positives import KnownPositives, log_shares
from .rows import GaussianRows, OutputRows, SequenceRows, TableRows

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


class ContrastConfig(EnhancerConfig):
    """Options shared by `rvrec` and its control `euclid2d`."""

    weight: float = Field(default=0.1, ge=0.0, description="factor of the contrastive loss in the total loss")
    temperature: float = Field(
        default=0.3, gt=0.0, description="starting temperature of the similarity, in squared embedding units"
    )
    learn_temperature: bool = Field(default=True, description="train the temperature with the model")
    sample: int | None = Field(
        default=512,
        ge=1,
        description="interactions of a batch that are contrasted, drawn anew each; null for all",
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
        default=True, description="leave a user's other training items out of her negatives"
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
        description="inner width of the probability network; null for the embedding's width",
    )
    initial_spread: float = Field(
        default=1.0, gt=0.0, description="starting spread in standard deviations of the embedding table"
    )
    budget_mib: int = Field(default=64, ge=1, description="working memory of the contrastive loss in MiB")


class RVRecConfig(ContrastConfig):
    """Options of `rvrec`."""

    covariance: Literal["diagonal", "full"] = Field(
        default="diagonal",
        description="of the Gaussians; full takes minutes instead of seconds: for narrow tables, few negatives",
    )
    guard: float = Field(
        default=0.01,
        ge=0.0,
        description="factor, inside the loss, of the guard that keeps spreads from collapsing",
    )


ContrastConfigT = TypeVar("ContrastConfigT", bound=ContrastConfig)


class _Contrast(Enhancer[ContrastConfigT]):
    """What `rvrec` and `euclid2d` share: two halves `[mean; second half]`, contrasted by Euclidean distance."""

    gaussian: ClassVar[bool] = True
    log_q_users: Tensor
    log_q_items: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Make one probability network a table (or one a side for site "output") and count training pairs."""
        self.networks = nn.ModuleDict()
        self._fields = anatomy.fields
        self._pairs: list[tuple[GaussianRows, GaussianRows]] = []
        self._start_spreads: dict[nn.Module, float] = {}
        if self.config.site == "output":
            self._bind_output(anatomy)
        else:
            self._bind_tables(anatomy)
        start = -torch.log(torch.tensor(self.config.temperature))
        self.log_scale = nn.Parameter(start, requires_grad=self.config.learn_temperature)
        users, items = training_pairs(dataset, anatomy.fields)
        self.known = KnownPositives(
            *with_first_items(dataset, anatomy.fields, users, items), anatomy.n_users, anatomy.n_items
        )
        self.register_buffer("log_q_users", log_shares(users, anatomy.n_users), persistent=False)
        self.register_buffer("log_q_items", log_shares(items, anatomy.n_items), persistent=False)

    def _bind_tables(self, anatomy: Anatomy) -> None:
        items = anatomy.need("item", self.name)
        users = anatomy.of("user")
        for table in (*users, *items):
            self.networks[_key(table)] = self._network(table.width, table.raw())
        if not users and anatomy.fields.sequence is None:
            raise UnsupportedError(
                f"enhancer {self.name!r} contrasts users with items, and {anatomy.backbone} has neither a table of "
                f"users nor item sequences in its batches. It works with BPR, NeuMF, LightGCN, NGCF, SGL, SASRec, "
                f"GRU4Rec, BERT4Rec and their like."
            )
        # Backbones with several towers (NeuMF) name them in the same order on both sides.
        matched = (
            list(zip(users, items, strict=True))
            if len(users) == len(items)
            else [(u, items[0]) for u in users[:1]]
        )
        for user_table, item_table in matched:
            if user_table.width != item_table.width:
                raise UnsupportedError(
                    f"enhancer {self.name!r}: tables {user_table.name!r} and {item_table.name!r} of {anatomy.backbone} "
                    f"have widths {user_table.width} and {item_table.width}; a distance needs equal widths"
                )
            self._pairs.append((self._table_rows(user_table), self._table_rows(item_table)))
        if not users:
            item_rows = self._table_rows(items[0])
            self._pairs.append((SequenceRows(item_rows, anatomy.fields), item_rows))

    def _bind_output(self, anatomy: Anatomy) -> None:
        if anatomy.output is None:
            return  # the host refuses, with the list of backbones that do propagate
        for side, width in zip(("user", "item"), anatomy.output, strict=True):
            tables = anatomy.of("user" if side == "user" else "item")
            self.networks[side] = self._network(width, tables[0].raw() if tables else None)
        self._pairs.append((self._output_rows("user"), self._output_rows("item")))

    def _output_rows(self, side: Side) -> OutputRows:
        network = self.networks[side]
        assert isinstance(network, ProbabilityNetwork)
        field = self._fields.user if side == "user" else self._fields.item
        return OutputRows(network, side, self.state, field, self._start_spreads.get(network))

    def _network_class(self) -> type[ProbabilityNetwork]:
        return ProbabilityNetwork

    def _network(self, width: int, rows: Tensor | None) -> ProbabilityNetwork:
        # Half the width costs less than half of what the full width does, and measured no worse.
        hidden = self.config.hidden or max(width // 2, 4)
        network = self._network_class()(width, hidden, gaussian=self.gaussian, strength=self.config.strength)
        if rows is not None:
            self._start_spreads[network] = network.calibrate(rows[1:], self.config.initial_spread)
        return network

    def _table_rows(self, table: Table) -> TableRows:
        network = self.networks[_key(table)]
        assert isinstance(network, ProbabilityNetwork)
        field = self._fields.user if table.side == "user" else self._fields.item
        return TableRows(network, table, self.state, field, self._start_spreads.get(network))

    # ------------------------------------------------------------------ what the backbone sees

    @property
    def bakeable(self) -> bool:  # type: ignore[override]
        """Site "table" can be written back into plain tables; a refined propagation cannot."""
        return self.config.site == "table"

    def refines(self, table: Table) -> bool:
        return self.config.site == "table"

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """The Gaussians' means."""
        return self.networks[_key(table)].mean(rows)  # type: ignore[operator]

    def refines_output(self) -> bool:
        return self.config.site == "output"

    def refine_output(self, rows: Tensor, side: Side) -> Tensor:
        """The means of the propagated embeddings' Gaussians."""
        for pair in self._pairs:
            for source in pair:
                if isinstance(source, OutputRows) and source.side == side and self.state.inside_step:
                    source.remember(rows)
        return self.networks[side].mean(rows)  # type: ignore[operator]

    # ------------------------------------------------------------------ the loss

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """Contrastive rows `[sample]` (averaged over towers and directions) and the variance guard's."""
        chosen = self._drawn(len(batch), self.config.sample)
        if chosen is not None:
            batch = batch[chosen]
        users, items = batch[self._fields.user], batch[self._fields.item]
        rows: list[Tensor] = []
        guards: list[Tensor] = []
        for user_rows, item_rows in self._pairs:
            user_mean, user_spread = user_rows.of_batch(batch)
            item_mean, item_spread = item_rows.of_batch(batch)
            left, right = torch.cat([user_mean, user_spread], 1), torch.cat([item_mean, item_spread], 1)
            if self.config.direction in ("both", "user"):
                rows.append(self._directed(left, right, users, items, of_users=True))
            if self.config.direction in ("both", "item"):
                rows.append(self._directed(right, left, items, users, of_users=False))
            guards += self._guard(user_rows, users, user_spread) + self._guard(item_rows, items, item_spread)
        losses = {"contrast": torch.stack(rows).mean(0)}
        if guards:
            losses["guard"] = torch.stack(guards).mean(0)
        label = self._fields.label
        if label is not None and label in batch:
            # Pointwise backbones mix sampled negatives into the batch; only positives have something to contrast.
            positive = (batch[label] > 0).to(rows[0].dtype)
            share = positive.mean().clamp(min=1.0 / len(positive))
            losses = {name: value * positive / share for name, value in losses.items()}
        return losses

    def _drawn(self, size: int, wanted: int | None) -> Tensor | None:
        """`wanted` positions out of `size`, with repetition, or None for all of them."""
        if wanted is None or wanted >= size:
            return None
        device = self.log_scale.device
        return torch.randint(size, (wanted,), generator=self.state.generator(device), device=device)

    def _directed(
        self, queries: Tensor, others: Tensor, own: Tensor, other_ids: Tensor, *, of_users: bool
    ) -> Tensor:
        """Contrast of each query with its positive (same row of `others`) against drawn rows of `others`."""
        drawn = self._drawn(len(others), self.config.negatives)
        keys, key_ids = (others, other_ids) if drawn is None else (others[drawn], other_ids[drawn])
        mask = None
        if self.config.mask_known:
            mask = self.known.mask(own, key_ids) if of_users else self.known.mask(key_ids, own).t()
        log_q = self.log_q_items if of_users else self.log_q_users
        return self._contrast()(
            queries,
            others,
            keys,
            scale=self.log_scale.exp(),
            log_q_keys=log_q[key_ids] if self.config.log_q else None,
            log_q_positives=log_q[other_ids] if self.config.log_q else None,
            mask=mask,
            similarity=self.config.similarity,
            budget_bytes=self.config.budget_mib * 2**20,
        )

    def _contrast(self) -> Callable[..., Tensor]:
        return contrast

    def _guard(self, source: GaussianRows, ids: Tensor, spread: Tensor) -> list[Tensor]:
        return []


class RVRec(_Contrast[RVRecConfig]):
    """Gaussian embeddings, sharpened by a contrast on the negative 2-Wasserstein distance (arXiv 2509.03130)."""

    name = "rvrec"
    Config = RVRecConfig

    n_by_user: Tensor
    n_by_item: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Make the networks, and count each id's interactions, which say how certain its embedding can be."""
        super().bind(anatomy, dataset)
        if self.config.covariance == "full" and any(isinstance(u, SequenceRows) for u, _ in self._pairs):
            raise UnsupportedError(
                f"enhancer {self.name!r}: covariance 'full' needs a table of users, and {anatomy.backbone} has item "
                f"sequences, whose barycentre has no closed form with full covariances; use covariance 'diagonal'"
            )
        users, items = training_pairs(dataset, anatomy.fields)
        self.register_buffer("n_by_user", torch.bincount(users, minlength=anatomy.n_users), persistent=False)
        self.register_buffer("n_by_item", torch.bincount(items, minlength=anatomy.n_items), persistent=False)
        self._medians = {
            "user": float(self.n_by_user[self.n_by_user > 0].float().median()),
            "item": float(self.n_by_item[self.n_by_item > 0].float().median()),
        }

    def _network_class(self) -> type[ProbabilityNetwork]:
        return FullNetwork if self.config.covariance == "full" else ProbabilityNetwork

    def _contrast(self) -> Callable[..., Tensor]:
        return full_contrast if self.config.covariance == "full" else contrast

    def _guard(self, source: GaussianRows, ids: Tensor, spread: Tensor) -> list[Tensor]:
        if self.config.guard == 0.0 or source.start_spread is None:
            return []
        counts = self.n_by_user if source.side == "user" else self.n_by_item
        if self.config.covariance == "full":
            spread = deviations(spread, source.width)
        # An id with the median number of interactions starts just where the guard wants it.
        base = source.start_spread * self._medians[source.side] ** 0.5
        return [self.config.guard * spread_guard(spread, counts[ids], base)]


class Euclid2d(_Contrast[ContrastConfig]):
    """Control for rvrec: the same network, width and loss, but plain points in twice the width, no Gaussians."""

    name = "euclid2d"
    Config = ContrastConfig
    gaussian = False


def _key(table: Table) -> str:
    return table.key.replace(".", "-")  # ModuleDict keys may not hold dots
