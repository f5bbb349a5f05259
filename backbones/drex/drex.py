"""DReX: states of users and items, updated by every interaction's review and rating; ratings come from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from burnish.backbones.biases import Biases
from burnish.backbones.checks import not_negative, share, whole_number
from burnish.backbones.rating_model import rating_levels
from burnish.errors import ConfigurationError

from .carried_states import Carried, neighbours
from .configured_modalities import make_modalities
from .explained import ExplainedByWords
from .updates import Chains, GatedUpdate, run_chains

PROPERTIES = Path(__file__).parent.parent / "properties"

#: So many events' reviews are pooled at a time where all are.
PART = 4096

Side = Literal["user", "item"]


class DReX(ExplainedByWords):
    """DReX, as a native RecBole model.

    An interaction becomes z = W [review; rating; ...] + c, with zeros for what is missing; z updates the state of its
    user and, by gates of its own, that of its item (equations (4) to (7)); a two-layer network predicts the rating
    from the two states.  The states that users and items begin with are learned.

    No leak: a training rating is predicted from the states *before* its own interaction, and a test rating from the
    states after all training interactions; nothing of a test row but its user and item is read.

    Training takes the rows in the order of time.  The states that a batch leaves are those that the next begins with;
    gradients end at the border of a batch (so `train_batch_size` says how far back they reach).

    Source: DReX, equations (2) to (8).  Ours: what is predicted from (states before the interaction), learned first
    states, the last bias at the mean rating, the penalty as a mean over predictions, and (`biases`) biases of users and
    items in closed form that the network's rating is added to; a training rating meets biases that leave it out.
    """

    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("rating", "reviews", "encoder", "drex"))
    #: How many states are carried a user or item while training.
    lanes = 1

    def __init__(self, config: Any, dataset: Any) -> None:
        if config["shuffle"]:
            raise ConfigurationError(
                "shuffle = True: DReX carries states from batch to batch in the order of time; leave shuffle: False"
            )
        super().__init__(config, dataset)
        size = self.size = whole_number(config, "embedding_size")
        self.state_penalty = not_negative(config, "state_penalty")
        self.modalities = make_modalities(
            self, config, dataset, rating_levels(self.event_ratings, self.scale)
        )
        self.fuse = nn.Linear(len(self.modalities) * size, size)
        self.user_update, self.item_update = GatedUpdate(size), GatedUpdate(size)
        self.hidden = nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(share(config, "dropout_prob"))
        self.output = nn.Linear(size, 1)
        nn.init.normal_(
            self.output.weight, std=0.01
        )  # begin near the mean, or the biases where there are any
        nn.init.constant_(self.output.bias, self.mean)
        self._start_biases(config)
        self._make_initial(config)
        self._sides: dict[Side, Carried] = {
            "user": Carried(*neighbours(self.event_users), self.lanes, size),
            "item": Carried(*neighbours(self.event_items), self.lanes, size),
        }
        self._final: tuple[Tensor, Tensor] | None = None

    def _start_biases(self, config: Any) -> None:
        users, items, rest = torch.zeros(self.n_users), torch.zeros(self.n_items), torch.zeros(self.n_events)
        if config["biases"]:
            ratings = self.event_users, self.event_items, self.event_ratings
            shrinkage = not_negative(config, "bias_shrinkage")
            biases = Biases.of(*ratings, self.n_users, self.n_items, shrinkage)
            users, items, rest = biases.users, biases.items, biases.without_own
        self.register_buffer("user_bias", users)
        self.register_buffer("item_bias", items)
        self.register_buffer("event_bias", rest, persistent=False)
        self.user_bias: Tensor
        self.item_bias: Tensor
        self.event_bias: Tensor

    # ------------------------------------------------------------------ states that histories begin with

    def _make_initial(self, config: Any) -> None:
        self.user_embedding = nn.Embedding(self.n_users, self.size)
        self.item_embedding = nn.Embedding(self.n_items, self.size)
        for table in (self.user_embedding, self.item_embedding):
            nn.init.normal_(table.weight, std=0.1)

    def initial(self, side: Side, ids: Tensor, *, training: bool) -> Tensor:
        """The states before any interaction, `[n, lanes, size]` in training, else `[n, 1, size]`."""
        table = self.user_embedding if side == "user" else self.item_embedding
        return table(ids).unsqueeze(1)

    def lanes_of(self, events: Tensor) -> Tensor:
        """In which lane the rating of each event is predicted, `[n]`."""
        return torch.zeros_like(events)

    # ------------------------------------------------------------------ states along the way

    def interactions(self, events: Tensor) -> Tensor:
        """z of events, `[n, size]`: all their modalities, fused."""
        return self.fuse(torch.cat([part(self, events) for part in self.modalities.values()], dim=1))

    def _owners(self, side: Side, events: Tensor) -> Tensor:
        return (self.event_users if side == "user" else self.event_items)[events]

    def _before(self, side: Side, events: Tensor, inputs: Tensor) -> Tensor:
        """States before each event of a batch, `[n, lanes, size]`; those after it are carried on.

        events: different ones, ascending.
        """
        carried, owners = self._sides[side], self._owners(side, events)
        previous = carried.previous[events]
        chains = Chains.of(owners, _among(previous, events))
        heads = chains.heads
        new = previous[heads] < 0
        first = carried.before(events[heads], self.hidden.weight.dtype)
        if bool(new.any()):
            begins = self.initial(side, owners[heads[new]], training=True)
            first = first.index_copy(0, new.nonzero()[:, 0], begins.to(first.dtype))
        update = self.user_update if side == "user" else self.item_update
        before, after = run_chains(update, chains, inputs, first)
        carried.keep(events, after.detach())
        return before

    def _known(self, events: Tensor) -> None:
        """See to it that the states which these events begin with are known: by one pass over everything, if not."""
        if all(side.covers(events) for side in self._sides.values()):
            return
        with torch.no_grad():
            every = torch.arange(self.n_events, device=events.device)
            inputs = self._all_inputs()
            for side in self._sides:
                self._before(side, every, inputs)

    def _all_inputs(self) -> Tensor:
        every = torch.arange(self.n_events, device=self.event_users.device)
        return torch.cat([self.interactions(part) for part in every.split(PART)])

    @torch.no_grad()
    def final_states(self) -> tuple[Tensor, Tensor]:
        """States of users `[n_users, size]` and items `[n_items, size]` after all training interactions.

        Kept until the model is trained again.
        """
        if self._final is None:
            inputs = self._all_inputs()
            self._final = self._after_all("user", inputs), self._after_all("item", inputs)
        return self._final

    def output_vectors(self) -> tuple[Tensor, Tensor]:
        """What `burnish export --kind output` gives: `final_states`."""
        return self.final_states()

    def _after_all(self, side: Side, inputs: Tensor) -> Tensor:
        every = torch.arange(self.n_events, device=inputs.device)
        carried, owners = self._sides[side], self._owners(side, every)
        n = self.n_users if side == "user" else self.n_items
        states = self.initial(side, torch.arange(n, device=inputs.device), training=False)
        chains = Chains.of(owners, carried.previous >= 0)
        update = self.user_update if side == "user" else self.item_update
        _, after = run_chains(update, chains, inputs, states[owners[chains.heads]])
        last = carried.next < 0
        return states.index_copy(0, owners[last], after[last])[:, 0]

    def forget(self) -> None:
        """Drop the final states: parameters or reviews changed."""
        super().forget()
        self._final = None

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.forget()

    # ------------------------------------------------------------------ ratings

    def head(self, users: Tensor, items: Tensor) -> Tensor:
        """Ratings from states `[n, size]` and `[n, size]`: two layers, `[n]`."""
        hidden = torch.relu(self.hidden(torch.cat([users, items], dim=1)))
        return self.output(self.dropout(hidden)).squeeze(1)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Equation (8) on a batch of training rows: squared error of what is predicted before each, and the penalty."""
        rows = self.events_of(interaction)
        events, back = rows.unique(return_inverse=True)
        self._known(events)
        inputs = self.interactions(events)
        at = torch.arange(len(events), device=events.device), self.lanes_of(events)
        users, items = (self._before(side, events, inputs)[at] for side in ("user", "item"))
        ratings = (self.head(users, items) + self.event_bias[events])[back]
        loss = self.rating_error(ratings, interaction[self.RATING].float())
        return loss + self.state_penalty * (users.square().sum(1) + items.square().sum(1)).mean()

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings of pairs, `[n]`, from the states after all training interactions."""
        of_users, of_items = self.final_states()
        return self.head(of_users[users], of_items[items]) + self.user_bias[users] + self.item_bias[items]

    def rate_all(self, users: Tensor) -> Tensor:
        """Predicted ratings of all items, `[n, n_items]`."""
        of_users, of_items = self.final_states()
        return self.head_all(of_users[users], of_items) + self.user_bias[users].unsqueeze(1) + self.item_bias

    def head_all(self, users: Tensor, items: Tensor) -> Tensor:
        """`head` of every user's state `[n, size]` with every item's `[m, size]`, without dropout: `[n, m]`."""
        left, right = self.hidden.weight.split(self.size, dim=1)
        from_items = items @ right.T + self.hidden.bias
        some = max(1, (1 << 25) // from_items.numel())
        parts = [
            self.output(torch.relu(from_users.unsqueeze(1) + from_items)).squeeze(2)
            for from_users in (users @ left.T).split(some)
        ]
        return torch.cat(parts)


def _among(wanted: Tensor, ascending: Tensor) -> Tensor:
    """Which of the wanted numbers are among the others."""
    at = torch.searchsorted(ascending, wanted).clamp(max=len(ascending) - 1)
    return ascending[at] == wanted
