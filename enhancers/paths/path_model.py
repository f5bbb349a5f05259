"""The path model: walks along meta-paths over edges with learned weights give each user a distribution over items.

Zhang, Xu, Zhou and Zhang, "Distilling structured knowledge into embeddings for explainable and accurate
recommendation", WSDM 2020 (arXiv 1912.08422): edges have a positive, learned weight, a user's walk goes along each
meta-path, and a mixture over meta-paths gives the score.  As its released code does, what arrives at a node is divided
by all that arrives ("propagated").  Ours: a strict random walk ("walk"), a mixture of each user's own, and lists in the
place of all nodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnish.checks import finite_number, whole_number
from burnish.errors import ConfigurationError, DataError, unknown_name

from .all_nodes import divided, from_users, last_hop
from .graph import ITEM, USER, Adjacency, Graph, Step
from .lists import MixedLists, Pairs, listed_hop, mixed_lists
from .metapaths import MetaPath
from .propagation import first_hop, hop, shares_of_nodes

#: What is added to all that arrives, so that no item has a probability of 0 (the released code's).
EPSILON = 1e-10

Normalise = Literal["propagated", "walk"]
Mixture = Literal["global", "user"]


class PathModel(nn.Module):
    """A distribution over items for each user, from walks along meta-paths.

    For a meta-path with steps r1 ... rL and x0 the user: `x_l = n(x_(l-1) A_(r_l))`, where A has the weights
    `softplus(theta)` of the edges, and `y = sum_p rho_p x_L^(p)` with `rho = softmax` over meta-paths.  With
    "propagated" n divides by the sum over all nodes.  With "walk" the weights of the edges of each node sum to 1, and
    n is nothing but the last division, as walks that end at a node without edges are lost.  Prefixes that meta-paths
    share are walked once.

    Every sum has 1e-10 added at each node but padding.  So a user from whom no path of a kind goes all the way has,
    along it, what is left of that: with "walk", and with lists (`most`), every item with the same probability; with
    "propagated" in full, as in the released code, a walk that begins anew at all nodes where it ended.

    Parameters
    ----------
    graph
        On the device where it is computed.
    metapaths
        From users to items.
    normalise
        See above.
    tied
        Whether an edge has one weight for both directions; else one for each.
    mixture
        "global", one for all users, or "user", which adds a user's own to it.
    most
        Follow no more than these nodes of each walk at each hop; None for all.  Memory then does not grow with the
        graph.
    returns
        Whether walks go on from their own user where they come back to them, as in the released code.  Walks that do
        lead from an item of the user's to all of them: a way that fits every training interaction and tells nothing.
    rate
        What parameters are multiplied with, so that an optimizer with steps of one size moves weights so much faster.

    Attributes
    ----------
    theta
        By step, edge parameters `[e]`, 0 at the start.
    mixing
        `[n_paths]`, 0 at the start; and `own_mixing`, `[n_users, n_paths]`, with "user".

    Raises
    ------
    ConfigurationError
        Without meta-paths; for one that does not go from a user to an item of this graph; for `most` below 1, or a
        `rate` that is not above 0.
    UnknownNameError
        For a relation that the graph does not have, or a `normalise` or `mixture` that does not exist.
    DataError
        Where the graph has no users or no items.
    """

    def __init__(
        self,
        graph: Graph,
        metapaths: Sequence[MetaPath],
        *,
        normalise: Normalise = "propagated",
        tied: bool = True,
        mixture: Mixture = "global",
        most: int | None = None,
        returns: bool = True,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        if not metapaths:
            raise ConfigurationError("metapaths = []: give at least one")
        for kind in (USER, ITEM):
            if graph.counts.get(kind, 0) < 2:
                raise DataError(f"the graph has no nodes of type {kind!r}, between which paths would go")
        for path in metapaths:
            if MetaPath.of(graph, path.steps) != path or (path.types[0], path.types[-1]) != (USER, ITEM):
                raise ConfigurationError(
                    f"meta-path {str(path)!r} does not go from {USER} to {ITEM} in this graph"
                )
        for option, value, known in (
            ("normalise", normalise, get_args(Normalise)),
            ("mixture", mixture, get_args(Mixture)),
        ):
            if value not in known:
                raise unknown_name(option, value, known)
        if most is not None:
            whole_number("most", most)
        if not finite_number("rate", rate) > 0:
            raise ConfigurationError(f"rate = {rate!r}: give a number above 0")
        self.graph, self.metapaths = graph, list(metapaths)
        self.normalise, self.tied, self.most = normalise, tied, most
        self.returns, self.rate = returns, rate
        steps = dict.fromkeys(step for path in metapaths for step in path.steps)
        self._parameter: dict[Step, int] = {}
        shapes: list[int] = []
        for step in steps:
            shared = self._parameter.get(step.back()) if tied else None
            if shared is None:
                shared = len(shapes)
                shapes.append(len(graph.relation(step.relation)))
            self._parameter[step] = shared
        self.theta = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in shapes)
        self.mixing = nn.Parameter(torch.zeros(len(metapaths)))
        n_users = graph.counts[USER]
        self.own_mixing = nn.Parameter(torch.zeros(n_users, len(metapaths))) if mixture == "user" else None

    # ------------------------------------------------------------------ weights

    def edge_weights(self, step: Step) -> Tensor:
        """Positive weights of a step's edges `[e]`, in the relation's order; with "walk" they sum to 1 at each node."""
        return self._weights([step])[step]

    def _weights(self, steps: Iterable[Step]) -> dict[Step, Tensor]:
        """By step; what both directions share is computed once."""
        positive: dict[int, Tensor] = {}
        found = {}
        for step in steps:
            number = self._parameter[step]
            if number not in positive:
                positive[number] = functional.softplus(self.rate * self.theta[number])
            found[step] = positive[number]
            if self.normalise == "walk":
                found[step] = shares_of_nodes(
                    found[step], self.graph.adjacency(step), self.graph.begins(step)
                )
        return found

    def shares(self, users: Tensor | None = None) -> Tensor:
        """What each meta-path counts: `[n_paths]` or, of users `[b]`, `[b, n_paths]`; sums to 1."""
        if users is None:
            return (self.rate * self.mixing).softmax(0)
        mixing = self.mixing.expand(len(users), -1)
        if self.own_mixing is not None:
            mixing = mixing + self.own_mixing[users]
        return (self.rate * mixing).softmax(1)

    # ------------------------------------------------------------------ walks

    def forward(self, users: Tensor, hidden: Pairs | None = None) -> Tensor:
        """Distributions over items of users `[b]`: `[b, n_items]`, 0 for padding, each row with the sum 1.

        hidden: items with which no walk of the user begins, by places in `users`.
        """
        return self.columns(users, hidden).t()

    def columns(self, users: Tensor, hidden: Pairs | None = None) -> Tensor:
        """As `forward`, a column for each user: `[n_items, b]`, the way in which it is computed."""
        if self.most is not None:
            return self.listed(users, hidden).columns()
        walk = _Walk(self, users, hidden)
        shares = self.shares(users)
        long = [number for number, path in enumerate(self.metapaths) if len(path) > 1]
        parts = [
            self._at_the_end(walk.state(path.steps)) * shares[:, number].contiguous()
            for number, path in enumerate(self.metapaths)
            if number not in long  # a single step, whose items may be hidden
        ]
        if long:
            steps = [self.metapaths[number].steps for number in long]
            states = [walk.state(one[:-1]) for one in steps]
            last = [one[-1] for one in steps]
            parts.append(last_hop(states, last, shares[:, long], walk.weights, self.graph, EPSILON))
        return sum(parts[1:], parts[0])

    def listed(self, users: Tensor, hidden: Pairs | None = None) -> MixedLists:
        """As `forward`, from lists (`most`), without a number for every item."""
        lists = self.lists_by_path(users, hidden)
        return mixed_lists(lists, self.shares(users), self.graph.counts[ITEM], EPSILON)

    def by_path(self, users: Tensor, hidden: Pairs | None = None) -> list[Tensor]:
        """What arrives along each meta-path, `[n_items, b]`: its sum is 1 for each user."""
        return [self._at_the_end(state) for state in self._ends(users, hidden)]

    def _at_the_end(self, state: Tensor) -> Tensor:
        """What arrives at the items, with the last division, where no hop has done it."""
        if self.normalise == "propagated" and self.most is None:
            return state
        return divided(state, EPSILON)

    def _ends(self, users: Tensor, hidden: Pairs | None) -> list[Tensor]:
        """What arrives along each meta-path, `[n_items, b]`; before the last division, but where every hop has one."""
        if self.most is None:
            walk = _Walk(self, users, hidden)
            return [walk.state(path.steps) for path in self.metapaths]
        n_items = self.graph.counts[ITEM]
        dense = []
        for items, values in self.lists_by_path(users, hidden):
            state = values.new_zeros(n_items, len(users))
            walks = torch.arange(len(users), device=users.device).unsqueeze(1).expand_as(items)
            dense.append(state.index_put((items, walks), values, accumulate=True))
        return dense

    def lists_by_path(self, users: Tensor, hidden: Pairs | None = None) -> list[tuple[Tensor, Tensor]]:
        """Along each meta-path the items where most arrives and how much, `[b, k]` each; an empty place has 0."""
        most = self.graph.n_edges if self.most is None else self.most
        states: dict[tuple[Step, ...], tuple[Tensor, Tensor]] = {}
        weights = self._weights(self._parameter)
        start = (users.unsqueeze(1), torch.ones(len(users), 1, device=users.device, dtype=self.mixing.dtype))
        for path in self.metapaths:
            for length in range(1, len(path) + 1):
                prefix = path.steps[:length]
                if prefix in states:
                    continue
                step = prefix[-1]
                nodes, values = states.get(prefix[:-1], start)
                nodes, values = listed_hop(nodes, values, weights[step], self.graph.adjacency(step), most)
                if length == 1 and hidden is not None and path.types[1] == ITEM:
                    rows = torch.arange(len(users), device=users.device).unsqueeze(1).expand_as(nodes)
                    values = values.masked_fill(hidden.holds(rows, nodes), 0.0)
                if path.types[length] == USER and not self.returns:
                    values = values.masked_fill(nodes == users.unsqueeze(1), 0.0)
                if self.normalise == "propagated":
                    values = values / values.sum(1, keepdim=True).clamp_min(EPSILON)
                states[prefix] = nodes, values
        return [states[path.steps] for path in self.metapaths]

    def scores(self, users: Tensor) -> Tensor:
        """Logarithms of the probabilities `[b, n_items]`, -inf for padding."""
        # Without padding's column: the derivative of log at 0 would make every gradient NaN.
        return functional.pad(self(users)[:, 1:].log(), (1, 0), value=-math.inf)


class _Walk:
    """One walk of a batch of users along all meta-paths; prefixes are walked once, when they are asked for."""

    def __init__(self, model: PathModel, users: Tensor, hidden: Pairs | None) -> None:
        self.model, self.graph, self.users, self.hidden = model, model.graph, users, hidden
        self.weights = model._weights(model._parameter)
        self._states: dict[tuple[Step, ...], Tensor] = {}

    def state(self, prefix: tuple[Step, ...]) -> Tensor:
        """Behind a prefix of a meta-path, `[n, b]`."""
        if prefix not in self._states:
            step, kind = prefix[-1], self.graph.ends(prefix[-1])[1]
            there, back = self.graph.adjacency(step), self.graph.adjacency(step.back())
            own = self.users if kind == USER and not self.model.returns else None
            little = EPSILON if self.model.normalise == "propagated" else None
            padded = kind in (USER, ITEM)
            if len(prefix) == 1:
                self._states[prefix] = self._first(step, there, padded, own, little)
            else:
                before, weights = self.state(prefix[:-1]), self.weights[step]
                self._states[prefix] = hop(
                    before, weights, there, back, own=own, little=little, padded=padded
                )
        return self._states[prefix]

    def _first(
        self, step: Step, there: Adjacency, padded: bool, own: Tensor | None, little: float | None
    ) -> Tensor:
        entries = from_users(self.users, self.weights[step], there, padded=padded)
        if self.hidden is not None and self.graph.ends(step)[1] == ITEM:
            entries = entries.less(~self.hidden.holds(entries.walks, entries.nodes))
        if own is not None:
            entries = entries.less(entries.nodes != own[entries.walks])
        return (entries if little is None else entries.divided(little)).dense()


def reach(graph: Graph, path: MetaPath, users: Tensor) -> Tensor:
    """How many paths go from users `[b]` to each item along a meta-path: `[b, n_items]`, in float64."""
    state = None
    for step in path.steps:
        there, ones = (
            graph.adjacency(step),
            torch.ones(len(graph.relation(step.relation)), dtype=torch.float64),
        )
        ones = ones.to(users.device)
        if state is None:
            state = first_hop(users, ones, there)
        else:
            state = hop(state, ones, there, graph.adjacency(step.back()))
    assert state is not None
    return state.t()
