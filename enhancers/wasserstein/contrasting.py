"""What `rvrec` and `euclid2d` are beside a backbone's own loss: refined rows, and a contrast of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import positives, training_pairs, with_first_items

from .contrast import contrast
from .histories import Histories
from .network import ProbabilityNetwork, Projection
from .objective import DistanceObjective
from .options import ContrastConfig
from .positives import KnownPositives, log_shares
from .rows import Columns, GaussianRows, HistoryRows, OutputRows, SequenceRows, TableRows

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


ContrastConfigT = TypeVar("ContrastConfigT", bound=ContrastConfig)


class Contrasting(Enhancer[ContrastConfigT]):
    """What `rvrec` and `euclid2d` share: two halves `[mean; second half]`, contrasted by Euclidean distance."""

    gaussian: ClassVar[bool] = True
    #: What takes its place on a model with `objective: true`.
    as_objective: ClassVar[type[DistanceObjective[Any]]]
    log_q_users: Tensor
    log_q_items: Tensor

    def fresh(self) -> Enhancer[ContrastConfigT]:
        """An unbound copy with the same options; with `objective: true`, the one that has an objective."""
        return self.as_objective(self.config) if self.config.objective else super().fresh()

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Make one probability network a table (or one a side for site "output") and count training pairs."""
        self.networks = nn.ModuleDict()
        self._fields = anatomy.fields
        self._pairs: list[tuple[GaussianRows, GaussianRows]] = []
        self._start_spreads: dict[nn.Module, float] = {}
        self.projections = nn.ModuleDict()
        self._liked = positives(
            dataset, anatomy.fields.label, self.config.positive_from, f"enhancer {self.name!r}"
        )
        users, items = training_pairs(dataset, anatomy.fields, self._liked)
        self.histories = Histories(
            users,
            items,
            anatomy.n_users,
            anatomy.n_items,
            cap=self.config.history,
            seed=self.state.seed,
        )
        if self.config.site == "output":
            self._bind_output(anatomy)
        else:
            self._bind_tables(anatomy)
        start = -torch.log(torch.tensor(self.config.start_temperature))
        self.log_scale = nn.Parameter(start, requires_grad=self.config.learn_temperature)
        self.known = KnownPositives(
            *with_first_items(dataset, anatomy.fields, users, items), anatomy.n_users, anatomy.n_items
        )
        if self._liked.sampled and not self._liked.every:
            self.register_buffer(
                "_pair_keys", torch.unique(users * anatomy.n_items + items), persistent=False
            )
        self._n_items = anatomy.n_items
        self.register_buffer("log_q_users", log_shares(users, anatomy.n_users), persistent=False)
        self.register_buffer("log_q_items", log_shares(items, anatomy.n_items), persistent=False)

    def idle_here(self, others: Sequence[Enhancer[Any]]) -> dict[str, str]:
        if self.config.weight == 0:
            return {}  # told already
        reasons: dict[str, str] = {}
        if not any(isinstance(users, HistoryRows) for users, _ in self._pairs):
            reasons |= dict.fromkeys(
                self.config.given("history"), "where users have embeddings, or sequences, of their own"
            )
        if not any(
            type(other).interaction_weights is not Enhancer.interaction_weights
            or type(other).weigh is not Enhancer.weigh
            for other in others
        ):
            alone = "without an enhancer that weighs interactions, such as shapley"
            reasons |= dict.fromkeys(self.config.given("weighted"), alone)
        return reasons

    def _bind_tables(self, anatomy: Anatomy) -> None:
        items = anatomy.need("item", self.name)
        for table in (*anatomy.of("user"), *items):
            self.networks[table.module_key] = self._network(table.width, table.raw())
        for user_table, item_table in anatomy.pairs:
            users = self._user_rows(user_table)
            if users.width != item_table.width:
                self.projections[str(len(self._pairs))] = Projection(
                    users.width, item_table.width, gaussian=self.gaussian
                )
            self._pairs.append((users, self._table_rows(item_table)))
        contrasted = {table.module_key for pair in anatomy.pairs for table in pair}
        for key, network in self.networks.items():
            if key not in contrasted:  # refined to its mean; nothing asks for its spread
                assert isinstance(network, ProbabilityNetwork)
                network.widen.requires_grad_(False)

    def _user_rows(self, table: Table) -> GaussianRows:
        """The users of a pair: rows of their table or, for a table of items, what their items say."""
        rows = self._table_rows(table)
        if table.side == "user":
            return rows
        if self._fields.sequence is not None:
            return SequenceRows(rows, self._fields)
        return HistoryRows(rows, self._fields, self.histories)

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
            self._start_spreads[network] = network.calibrate(rows[1:], self.config.start_spread)
        return network

    def _table_rows(self, table: Table) -> TableRows:
        network = self.networks[table.module_key]
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
        return self.networks[table.module_key].mean(rows)  # type: ignore[operator]

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
        columns, positive, counted, weights = self._columns(batch)
        drawn = self._fields.item not in batch
        users, items = columns[self._fields.user], columns[self._fields.item]
        rows: list[Tensor] = []
        guards: list[Tensor] = []
        for number, (user_rows, item_rows) in enumerate(self._pairs):
            user_mean, user_spread = user_rows.of_batch(columns)
            item_mean, item_spread = item_rows.of_batch(columns)
            guards += self._guard(user_rows, users, user_spread) + self._guard(item_rows, items, item_spread)
            if str(number) in self.projections:
                user_mean, user_spread = self.projections[str(number)](user_mean, user_spread)
            left, right = torch.cat([user_mean, user_spread], 1), torch.cat([item_mean, item_spread], 1)
            if self.config.direction in ("both", "user"):
                rows.append(self._directed(left, right, users, items, positive, of_users=True, drawn=drawn))
            if self.config.direction in ("both", "item"):
                rows.append(self._directed(right, left, items, users, positive, of_users=False, drawn=drawn))
        losses = {"contrast": torch.stack(rows).mean(0)}
        if weights is not None:
            losses["contrast"] = losses["contrast"] * weights.to(rows[0].dtype)
        if guards:
            losses["guard"] = torch.stack(guards).mean(0)
        if counted is not None:
            kept = counted.to(rows[0].dtype)
            share = kept.mean().clamp(min=1.0 / len(kept))
            losses = {name: value * kept / share for name, value in losses.items()}
        return losses

    def _columns(self, batch: Interaction) -> tuple[Columns, Tensor | None, Tensor | None, Tensor | None]:
        """The columns that are used, of a sample of the batch, which of its rows are positive interactions, which of
        them count (None for all), and how much.

        How much is what enhancers that weigh interactions say, None for 1.

        A batch of users (auto-encoders) gets an item of each user's training items, drawn anew every step.
        """
        fields = self._fields
        wanted = (fields.user, fields.item, fields.label, fields.sequence)
        columns = {name: batch[name] for name in wanted if name is not None and name in batch}
        positive = self._positive(columns)
        # Not the batch's own length: the triples of a knowledge graph beside the interactions may be more.
        chosen = self._drawn(len(columns[fields.user]), self.config.sample, positive)
        if chosen is not None:
            columns = {name: values[chosen] for name, values in columns.items()}
            positive = None if positive is None else positive[chosen]
        counted = positive
        if fields.item not in columns:
            users = columns[fields.user]
            columns[fields.item] = self.histories.draw(users, self.state.generator(users.device))
            counted = columns[fields.item] != 0
        for user_rows, _ in self._pairs:
            if isinstance(user_rows, HistoryRows):
                has_any = user_rows.has_any(columns)
                counted = has_any if counted is None else counted & has_any
        return columns, positive, counted, self._weights(columns, chosen)

    def _positive(self, columns: Columns) -> Tensor | None:
        """Which rows of a batch are positive interactions, `[B]`; None for all.

        Others are negatives that pointwise backbones mix into their batches, and interactions that were not liked.
        They have nothing to contrast and are no keys: q is how often positive interactions have an id.
        """
        fields = self._fields
        if fields.label is None or fields.label not in columns or fields.item not in columns:
            return None
        positive = self._liked.in_batch(columns[fields.label])
        known = self._buffers.get("_pair_keys")
        if positive is None or known is None:
            return positive
        keys = columns[fields.user] * self._n_items + columns[fields.item]
        place = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
        return positive & (known[place] == keys)

    def _weights(self, columns: Columns, chosen: Tensor | None) -> Tensor | None:
        """What enhancers say that the sample's interactions count, `[sample]`; None for 1."""
        if not self.config.weighted:
            return None
        rows, cells = self.state.weights, self.state.cell_weights
        if rows is not None:
            rows = rows[: len(columns[self._fields.user])] if chosen is None else rows[chosen]
        if cells is None:
            return rows
        own = cells if chosen is None else cells[chosen]
        single = own.gather(1, columns[self._fields.item].unsqueeze(1)).squeeze(1)
        return single if rows is None else single * rows

    def _drawn(self, size: int, wanted: int | None, positive: Tensor | None) -> Tensor | None:
        """`wanted` positions out of `size`, with repetition, or None for all of them.

        positive: bool `[size]`, those to draw from, None for all.  Where none is positive any is drawn.
        """
        if wanted is None or wanted >= size:
            return None
        device = self.log_scale.device
        generator = self.state.generator(device)
        if positive is None:
            return torch.randint(size, (wanted,), generator=generator, device=device)
        # The positive ones first, and a place among them: to know how many there are would wait for the device.
        order = torch.argsort((~positive).to(torch.uint8), stable=True)
        count = positive.sum()
        place = (torch.rand(wanted, generator=generator, device=device) * count).long()
        return order[torch.minimum(place, count - 1).clamp(min=0)]

    def _directed(
        self,
        queries: Tensor,
        others: Tensor,
        own: Tensor,
        other_ids: Tensor,
        positive: Tensor | None,
        *,
        of_users: bool,
        drawn: bool,
    ) -> Tensor:
        """Contrast of each query with its positive (same row of `others`) against drawn rows of `others`.

        positive: `[sample]`, the rows that may be drawn, None for all.
        drawn: the batch is one of users, each with an item drawn from theirs, not one of interactions.
        """
        chosen = self._drawn(len(others), self.config.negatives, positive)
        keys, key_ids = (others, other_ids) if chosen is None else (others[chosen], other_ids[chosen])
        mask = None
        if self.config.mask_known:
            mask = self.known.mask(own, key_ids) if of_users else self.known.mask(key_ids, own).t()
        log_q = self.log_q_items if of_users else self.log_q_users
        if drawn:
            # Every user is there once, with items or without; one without, and their item 0, is not a negative.
            log_q = self.histories.log_chance if of_users else torch.zeros_like(log_q)
            nobody = key_ids == 0 if of_users else ~self.histories.has_any(key_ids)
            mask = nobody.expand(len(own), -1) if mask is None else mask | nobody
        if positive is not None:
            other = ~(positive if chosen is None else positive[chosen])
            mask = other.expand(len(own), -1) if mask is None else mask | other
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
