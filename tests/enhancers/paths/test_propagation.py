"""One hop against a dense float64 product, with gradients; lists against the largest of all that arrives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from burnish.enhancers.paths.all_nodes import from_users, last_hop
from burnish.enhancers.paths.graph import Graph, Relation, Step
from burnish.enhancers.paths.lists import Pairs, listed_hop, mixed_lists
from burnish.enhancers.paths.propagation import (
    edge_products,
    edges_of,
    first_hop,
    gathered_products,
    hop,
    picked,
    shares_of_nodes,
    summed_at,
    summed_at_grad,
)
from tests.support.path_world import matrix, world

GRAPH = world()
STEPS = [Step(one.name, inverse) for one in GRAPH.relations for inverse in (False, True)]


def random_weights(step: Step, seed: int = 0) -> Tensor:
    n = len(GRAPH.relation(step.relation))
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1


def random_state(step: Step, b: int = 5) -> Tensor:
    n = GRAPH.counts[GRAPH.ends(step)[0]]
    return torch.rand(n, b, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def hopped(step: Step, state: Tensor, weights: Tensor) -> Tensor:
    return hop(state, weights, GRAPH.adjacency(step), GRAPH.adjacency(step.back()))


# ---------------------------------------------------------------------- all nodes


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_hop_is_the_product_with_the_adjacency(step):
    state, weights = random_state(step).requires_grad_(), random_weights(step).requires_grad_()
    got, wanted = hopped(step, state, weights), matrix(GRAPH, step, weights).t() @ state
    torch.testing.assert_close(got, wanted, rtol=1e-13, atol=1e-14)
    if not len(weights):
        assert not got.any()
        return
    along = torch.rand(got.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for ours, theirs in zip(
        torch.autograd.grad((got * along).sum(), (state, weights)),
        torch.autograd.grad((wanted * along).sum(), (state, weights)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "step", [Step("rated"), Step("rated", True), Step("friend"), Step("genre", True)], ids=str
)
def test_gradients_of_a_hop_by_differences(step):
    state, weights = random_state(step, 3).requires_grad_(), random_weights(step).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: hopped(step, x, w), (state, weights))
    assert torch.autograd.gradcheck(lambda x: hopped(step, x, weights.detach()), (state,))
    assert torch.autograd.gradcheck(lambda w: hopped(step, state.detach(), w), (weights,))


@pytest.mark.parametrize("step", [Step("rated"), Step("friend", True), Step("directed_by")], ids=str)
def test_two_hops_have_the_gradient_of_two(step):
    """A state that is itself a hop's: the gradient goes on through both."""
    start = random_state(step, 2).requires_grad_()
    there, back = random_weights(step).requires_grad_(), random_weights(step, 5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, w, v: hopped(step.back(), hopped(step, x, w), v), (start, there, back)
    )


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_first_hop_is_one_from_single_nodes(step):
    weights, n = random_weights(step).requires_grad_(), GRAPH.counts[GRAPH.ends(step)[0]]
    nodes = torch.tensor([1, 0, n - 1, 1])
    got = first_hop(nodes, weights, GRAPH.adjacency(step))
    torch.testing.assert_close(got, matrix(GRAPH, step, weights)[nodes].t())
    if len(weights):
        assert torch.autograd.gradcheck(lambda w: first_hop(nodes, w, GRAPH.adjacency(step)), (weights,))


def test_edges_of_nodes_in_their_order():
    view = GRAPH.adjacency(Step("friend"))
    which, targets, edges = edges_of(torch.tensor([7, 8, 1, 7]), view)
    assert which.tolist() == [0, 0, 2, 2, 3, 3]
    assert targets.tolist() == [2, 4, 1, 2, 2, 4]
    assert GRAPH.relation("friend").sources[edges].tolist() == [7, 7, 1, 1, 7, 7]
    none = edges_of(torch.tensor([], dtype=torch.long), view)
    assert [len(part) for part in none] == [0, 0, 0]


def test_a_hop_of_nobody():
    for step in (Step("rated"), Step("shot_in")):
        assert hopped(step, random_state(step, 0), random_weights(step)).shape[1] == 0
        assert (
            first_hop(torch.tensor([], dtype=torch.long), random_weights(step), GRAPH.adjacency(step)).shape[
                1
            ]
            == 0
        )


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("of_own", [True, False])
def test_what_arrives_is_divided_by_all_of_it(padded, of_own):
    step, little = Step("rated", True), 1e-3
    state, weights = random_state(step, 3).requires_grad_(), random_weights(step).requires_grad_()
    own = torch.tensor([2, 5, 1]) if of_own else None
    there, back = GRAPH.adjacency(step), GRAPH.adjacency(step.back())
    wanted = matrix(GRAPH, step, weights).t() @ state
    stays = torch.ones_like(wanted)
    if own is not None:
        stays[own, torch.arange(3)] = 0.0
    more = torch.full_like(wanted, little)
    more[0] = 0.0 if padded else little
    wanted = wanted * stays + more
    wanted = wanted / wanted.sum(0)

    def f(x: Tensor, w: Tensor) -> Tensor:
        return hop(x, w, there, back, own=own, little=little, padded=padded)

    torch.testing.assert_close(f(state, weights), wanted, rtol=1e-13, atol=1e-15)
    assert torch.autograd.gradcheck(f, (state, weights))
    bare = hop(state, weights, there, back, own=own)
    torch.testing.assert_close(bare, matrix(GRAPH, step, weights).t() @ state * stays)
    assert torch.autograd.gradcheck(lambda x, w: hop(x, w, there, back, own=own), (state, weights))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_products_of_the_ends_of_edges(step, monkeypatch):
    there, back = GRAPH.adjacency(step), GRAPH.adjacency(step.back())
    begin, end = random_state(step, 3), random_state(step.back(), 3)
    wanted = (begin[GRAPH.begins(step)] * end[GRAPH.begins(step.back())]).sum(1)
    torch.testing.assert_close(edge_products(there, back, begin, end), wanted)
    assert not len(wanted) or edge_products(there, back, begin[:, :0], end[:, :0]).tolist() == [0] * len(
        wanted
    )
    monkeypatch.setattr("burnish.enhancers.paths.propagation._GATHERED", 12)  # four edges at a time
    for one, rows, columns, edges in ((there, begin, end, there.edges), (back, end, begin, back.edges)):
        found = torch.empty_like(wanted).scatter(0, edges, gathered_products(one, rows, columns))
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("step", [Step("rated"), Step("rated", True), Step("genre", True)], ids=str)
def test_weights_that_share_what_a_node_has(step):
    weights, there = random_weights(step).requires_grad_(), GRAPH.adjacency(step)
    dense = matrix(GRAPH, step, weights)
    begins, ends = GRAPH.begins(step), GRAPH.begins(step.back())
    found = shares_of_nodes(weights, there, begins)
    torch.testing.assert_close(found, (dense / dense.sum(1, keepdim=True))[begins, ends])
    assert torch.autograd.gradcheck(lambda w: shares_of_nodes(w, there, begins), (weights,))


def test_sums_by_place_and_what_is_picked():
    places = torch.tensor([2, 0, 2, 2, 5])
    values = torch.rand(5, dtype=torch.float64, requires_grad=True)
    assert summed_at(places, torch.ones(5), 7).tolist() == [1, 0, 3, 0, 0, 1, 0]
    assert torch.autograd.gradcheck(lambda v: summed_at_grad(places, v, 7), (values,))
    assert torch.equal(picked(values, places[:3] % 3), values[[2, 0, 2]])
    assert torch.autograd.gradcheck(lambda v: picked(v, places[:4]), (values,))


@pytest.mark.parametrize("step", [Step("rated"), Step("friend", True)], ids=str)
@pytest.mark.parametrize("little", [None, 1e-3])
def test_entries_are_the_first_hop(step, little):
    users, weights = torch.tensor([1, 4, 8, 1]), random_weights(step).requires_grad_()
    there = GRAPH.adjacency(step)

    def f(w: Tensor) -> Tensor:
        entries = from_users(users, w, there, padded=True)
        entries = entries.less((entries.walks != 1) | (entries.nodes != 2))
        return (entries if little is None else entries.divided(little)).dense()

    wanted = first_hop(users, weights, there).clone()
    wanted[2, 1] = 0.0
    if little is not None:
        wanted[1:] += little
        wanted = wanted / wanted.sum(0)
    torch.testing.assert_close(f(weights), wanted)
    assert torch.autograd.gradcheck(f, (weights,))


def test_last_hops_are_one_of_the_mixture():
    """Of five states along three steps, two of them from nodes of one type, and one that nothing leaves."""
    rated, genre, played = Step("rated"), Step("genre", True), Step("acted_in")
    steps = [rated, genre, rated, played, genre]
    weights = {step: random_weights(step, number).requires_grad_() for number, step in enumerate(steps[:4])}
    states = [(random_state(step, 3) + number).requires_grad_() for number, step in enumerate(steps)]
    with torch.no_grad():
        states[1][:, 2] = 0.0
    shares = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
    wanted = 0.0
    for number, (step, state) in enumerate(zip(steps, states, strict=True)):
        arrived = matrix(GRAPH, step, weights[step]).t() @ state
        more = torch.full_like(arrived, 1e-3)
        more[0] = 0.0
        wanted = wanted + (arrived + more) / (arrived + more).sum(0) * shares[:, number]
    found = last_hop(states, steps, shares, weights, GRAPH, 1e-3)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-15)

    def f(shares: Tensor, *given: Tensor) -> Tensor:
        return last_hop(given[3:], steps, shares, dict(zip(weights, given, strict=False)), GRAPH, 1e-3)

    assert torch.autograd.gradcheck(f, (shares, *weights.values(), *states))


# ---------------------------------------------------------------------- lists


def spread(nodes: Tensor, values: Tensor, n: int) -> Tensor:
    """Lists as rows over all nodes, `[b, n]`."""
    rows = [[values.new_zeros(())] * n for _ in range(len(nodes))]
    for row, (where, how_much) in enumerate(zip(nodes.tolist(), values, strict=True)):
        for node, value in zip(where, how_much, strict=True):
            rows[row][node] = rows[row][node] + value
    return torch.stack([torch.stack(row) for row in rows])


def largest(arrived: Tensor, most: int) -> tuple[list[list[int]], list[list[float]]]:
    """Of each row the nodes where anything arrives, most first, the lower node first among equals."""
    order = [
        sorted(
            (node for node, value in enumerate(row) if value > 0),
            key=lambda node, row=row: (-row[node], node),
        )
        for row in arrived.tolist()
    ]
    kept = [row[:most] for row in order]
    return kept, [[arrived[number, node].item() for node in row] for number, row in enumerate(kept)]


def cut(nodes: Tensor, values: Tensor) -> tuple[list[list[int]], list[list[float]]]:
    """Lists without their empty places, which must be behind the others."""
    full = values.ne(0)
    assert torch.equal(full.long().sort(dim=1, descending=True).values, full.long())
    return (
        [row[here].tolist() for row, here in zip(nodes, full, strict=True)],
        [row[here].tolist() for row, here in zip(values, full, strict=True)],
    )


LISTS = torch.tensor([[3, 1, 5, 0], [2, 2, 7, 4], [0, 0, 0, 0], [6, 1, 0, 2]])
VALUES = torch.tensor(
    [[0.5, 0.3, 0.2, 0.0], [0.4, 0.1, 0.3, 0.2], [0.0, 0.0, 0.0, 0.0], [0.0, 0.6, 0.0, 0.4]],
    dtype=torch.float64,
)


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@pytest.mark.parametrize("step", [one for one in STEPS if GRAPH.counts[GRAPH.ends(one)[0]] > 7], ids=str)
def test_lists_are_the_largest_of_all_that_arrives(step, most):
    """An empty place in front of a full one, a node that is listed twice, and a row of nothing."""
    weights = random_weights(step)
    dense = spread(LISTS, VALUES, GRAPH.counts[GRAPH.ends(step)[0]]) @ matrix(GRAPH, step, weights)
    got_nodes, got_values = cut(*listed_hop(LISTS, VALUES, weights, GRAPH.adjacency(step), most))
    nodes, values = largest(dense, most)
    assert got_nodes == nodes
    assert got_nodes[2] == []
    for ours, theirs in zip(got_values, values, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-13)


def test_the_lower_node_comes_first_among_equals():
    ends = torch.tensor([[1, 1, 1, 1, 2, 2], [9, 2, 5, 3, 7, 1]])
    graph = Graph({"user": 3, "item": 10}, [Relation.of("rated", "user", "item", *ends)])
    start, ones = torch.tensor([[1], [2]]), torch.ones(2, 1, dtype=torch.float64)
    nodes, values = listed_hop(
        start, ones, torch.ones(6, dtype=torch.float64), graph.adjacency(Step("rated")), 3
    )
    assert nodes.tolist() == [[2, 3, 5], [1, 7, 0]]
    assert values.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_lists_of_nothing_give_lists_of_nothing():
    step = Step("rated")
    weights, view = random_weights(step), GRAPH.adjacency(step)
    nodes, values = listed_hop(torch.zeros(3, 2).long(), torch.zeros(3, 2).double(), weights, view, 5)
    assert nodes.shape == values.shape == (3, 0)
    nodes, values = listed_hop(nodes, values, random_weights(step.back()), GRAPH.adjacency(step.back()), 5)
    assert nodes.shape == values.shape == (3, 0)
    assert listed_hop(torch.zeros(0, 2).long(), torch.zeros(0, 2).double(), weights, view, 5)[0].shape == (
        0,
        0,
    )


@pytest.mark.parametrize("most", [2, 100])
def test_gradients_of_lists_by_differences(most):
    step = Step("rated")
    values = VALUES.clone().requires_grad_()
    weights = random_weights(step).requires_grad_()
    filled = VALUES > 0

    def f(x: Tensor, w: Tensor) -> Tensor:
        # an empty place is empty whatever differences add to it
        return listed_hop(LISTS, torch.where(filled, x, 0.0), w, GRAPH.adjacency(step), most)[1]

    assert torch.autograd.gradcheck(f, (values, weights))


def test_lists_in_single_precision_stay_in_it():
    step = Step("rated")
    nodes, values = listed_hop(LISTS, VALUES.float(), random_weights(step).float(), GRAPH.adjacency(step), 3)
    assert values.dtype == torch.float32
    assert nodes.dtype == torch.long


@pytest.mark.parametrize("together", [1, 7, 10_000])
@pytest.mark.parametrize("most", [2, 100])
def test_walks_that_are_followed_after_others_give_the_same(monkeypatch, most, together):
    step = Step("rated")
    weights, values = random_weights(step).requires_grad_(), VALUES.clone().requires_grad_()
    nodes, whole = listed_hop(LISTS, values, weights, GRAPH.adjacency(step), most)
    monkeypatch.setattr("burnish.enhancers.paths.lists._TOGETHER", together)
    again, parts = listed_hop(LISTS, values, weights, GRAPH.adjacency(step), most)
    assert torch.equal(nodes, again)
    assert torch.equal(whole, parts)
    along = torch.rand(whole.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad((whole * along).sum(), (values, weights)),
        torch.autograd.grad((parts * along).sum(), (values, weights)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-15)


N = 7
SOME_LISTS = [
    (
        torch.tensor([[3, 1, 0], [2, 6, 0], [0, 0, 0]]),
        torch.tensor([[0.5, 0.2, 0], [0.3, 0.1, 0], [0, 0, 0]]),
    ),
    (torch.tensor([[1, 5], [2, 4], [0, 0]]), torch.tensor([[0.7, 0.1], [0.2, 0.0], [0.0, 0.0]])),
]


def of_lists(values: list[Tensor], shares: Tensor, little: float) -> Tensor:
    """The mixture as rows over all items, `[b, n_items]`."""
    rows = 0.0
    for number, ((items, _), amounts) in enumerate(zip(SOME_LISTS, values, strict=True)):
        dense = spread(items, amounts, N)
        dense = dense + torch.tensor([0.0, *[little] * (N - 1)], dtype=torch.float64)
        rows = rows + dense / dense.sum(1, keepdim=True) * shares[:, number : number + 1]
    return rows


def test_a_mixture_of_lists():
    """One row's lists have an item in common; another row has nothing."""
    values = [amounts.double() for _, amounts in SOME_LISTS]
    shares = torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def mixed(shares: Tensor, *given: Tensor):
        # an empty place is empty whatever differences add to it
        lists = [
            (items, torch.where(amounts > 0, one, 0.0))
            for (items, amounts), one in zip(SOME_LISTS, given, strict=True)
        ]
        return mixed_lists(lists, shares, N, 1e-3)

    found, wanted = mixed(shares, *values), of_lists(values, shares, 1e-3)
    assert found.keys.tolist() == [1, 3, 5, N + 2, N + 6]
    torch.testing.assert_close(found.columns().t(), wanted, rtol=1e-13, atol=1e-15)
    rows, items = torch.tensor([[0, 0, 0], [1, 2, 2]]), torch.tensor([[1, 2, 5], [6, 1, 1]])
    torch.testing.assert_close(found.at(rows, items), wanted[rows, items], rtol=1e-13, atol=1e-15)
    without = Pairs(torch.tensor([0, 0, 1]), torch.tensor([2, 3, 4]), N)
    left = torch.ones(3, N, dtype=torch.bool)
    left[without.rows, without.items] = left[:, 0] = False
    torch.testing.assert_close(found.rest(without), (wanted * left).sum(1), rtol=1e-13, atol=1e-15)
    by_value = [sorted(range(1, N), key=lambda item, row=row: -wanted[row, item]) for row in range(2)]
    assert found.best(2, None).tolist() == [by_value[0][:2], by_value[1][:2], [0, 0]]
    assert found.best(9, without).tolist() == [[1, 5], [2, 6], [0, 0]]
    given = [one.requires_grad_() for one in (shares, *values)]
    for of in (
        lambda one: one.columns(),
        lambda one: one.at(rows, items),
        lambda one: one.rest(without),
    ):
        assert torch.autograd.gradcheck(lambda *those, of=of: of(mixed(*those)), given)


def test_pairs_that_are_held():
    pairs = Pairs(torch.tensor([0, 0, 2]), torch.tensor([1, 4, 3]), 5)
    rows, items = torch.tensor([[0, 0], [2, 1]]), torch.tensor([[4, 3], [3, 3]])
    assert pairs.holds(rows, items).tolist() == [[True, False], [True, False]]
    some = pairs.where(torch.tensor([False, True, True]))
    assert (some.rows.tolist(), some.items.tolist()) == ([0, 2], [4, 3])
    none = pairs.where(torch.zeros(3, dtype=torch.bool))
    assert not none.holds(rows, items).any()
