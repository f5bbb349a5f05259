"""DReX-MLP: histories begin with states that small networks make of rating vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnish.backbones.checks import whole_number
from burnish.errors import ConfigurationError
from burnish.randomness import forked_randomness

from .drex import PROPERTIES, DReX, Side


class RatingVectorNetwork(nn.Module):
    """One hidden ReLU layer over the rating vectors of users (or of items), which are as long as there are items
    (or users) and zero where nothing was rated.

    columns: the first layer's weights, a row an entry of the vector.
    """

    def __init__(self, n_columns: int, hidden: int, size: int) -> None:
        super().__init__()
        self.columns = nn.Embedding(n_columns, hidden)
        nn.init.normal_(self.columns.weight, std=hidden**-0.5)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.output = nn.Linear(hidden, size)

    def forward(self, sums: Tensor) -> Tensor:
        """States, `[..., size]`.  sums: the first layer's products, without its bias, `[..., hidden]`."""
        return self.output(torch.relu(sums + self.bias))


class DReXMLP(DReX):
    """DReX whose first states are networks' outputs for the rating vectors of the training split.

    The vector of a user holds the very ratings that are predicted from the user's states.  So the training ratings are
    divided into `initial_folds` parts at random, as many states are carried a user and item, each begun without one
    part of the ratings, and a rating is predicted in the lane that was begun without it.  Predictions after training
    use whole vectors.

    Source: DReX, variant DReX-MLP.  Ours: the parts, and ratings divided by the highest of the scale.
    """

    options_files = (*DReX.options_files, PROPERTIES / "drexmlp.yaml")

    def __init__(self, config: Any, dataset: Any) -> None:
        if whole_number(config, "initial_folds") < 2:
            raise ConfigurationError(
                "initial_folds = 1: at least 2, or a rating would be predicted from itself"
            )
        self.lanes = config["initial_folds"]
        super().__init__(config, dataset)

    @property
    def burnish_tables(self) -> tuple[tuple[str, str], ...]:
        """For enhancers: the first layers' weights are rows of items (in users' vectors) and of users."""
        return (("user_initial.columns.weight", "item"), ("item_initial.columns.weight", "user"))

    def _make_initial(self, config: Any) -> None:
        hidden = whole_number(config, "initial_hidden_size")
        self.user_initial = RatingVectorNetwork(self.n_items, hidden, self.size)
        self.item_initial = RatingVectorNetwork(self.n_users, hidden, self.size)
        with forked_randomness(int(config["seed"]), torch.device("cpu")):
            folds = torch.randperm(self.n_events) % self.lanes
        self.register_buffer("fold", folds.to(self.event_users.device), persistent=False)
        self.fold: Tensor
        top = max(abs(self.scale[0]), abs(self.scale[1]))
        self.register_buffer("shares", self.event_ratings / top, persistent=False)
        self.shares: Tensor
        for side, owners, n in (
            ("user", self.event_users, self.n_users),
            ("item", self.event_items, self.n_items),
        ):
            bags = owners * self.lanes + self.fold
            order = torch.argsort(bags, stable=True)
            self.register_buffer(f"{side}_order", order, persistent=False)
            starts = torch.bincount(bags, minlength=n * self.lanes).cumsum(0)
            self.register_buffer(f"{side}_ends", functional.pad(starts, (1, 0)), persistent=False)

    def lanes_of(self, events: Tensor) -> Tensor:
        """See `DReX.lanes_of`."""
        return self.fold[events]

    def initial(self, side: Side, ids: Tensor, *, training: bool) -> Tensor:
        """See `DReX.initial`."""
        parts = self._parts(side, ids)
        whole = parts.sum(dim=1, keepdim=True)
        network = self.user_initial if side == "user" else self.item_initial
        return network(whole - parts if training else whole)

    def _parts(self, side: Side, ids: Tensor) -> Tensor:
        """What the first layer makes of each part of the vectors, `[n, lanes, hidden]`."""
        order, ends = getattr(self, f"{side}_order"), getattr(self, f"{side}_ends")
        network = self.user_initial if side == "user" else self.item_initial
        columns = self.event_items if side == "user" else self.event_users
        bags = (ids.unsqueeze(1) * self.lanes + torch.arange(self.lanes, device=ids.device)).flatten()
        sizes = ends[bags + 1] - ends[bags]
        offsets = sizes.cumsum(0) - sizes
        n = int(sizes.sum())
        within = torch.arange(n, device=ids.device) - torch.repeat_interleave(offsets, sizes, output_size=n)
        events = order[torch.repeat_interleave(ends[bags], sizes, output_size=n) + within]
        rows = network.columns(columns[events]) * self.shares[events].unsqueeze(1)
        bag = torch.repeat_interleave(torch.arange(len(bags), device=ids.device), sizes, output_size=n)
        sums = rows.new_zeros(len(bags), rows.shape[1]).index_add(0, bag, rows)
        return sums.view(len(ids), self.lanes, -1)
