"""The path model against loops over dense float64 matrices, and what must hold whatever the graph looks like."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from burnish.enhancers.paths.graph import Graph, Relation, Step
from burnish.enhancers.paths.metapaths import MetaPath, parse_all
from burnish.enhancers.paths.path_model import PathModel, reach
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from tests.support import path_world
from tests.support.path_world import N_ITEMS, N_USERS, matrix, metapaths, of_one_path, world

GRAPH = world()
PATHS = metapaths(GRAPH)
USERS = torch.arange(1, N_USERS)
LONE, LISTENER = 8, 7  # without any edge; without a rating, with friends


def made(seed: int = 3, graph: Graph = GRAPH, paths: list[MetaPath] = PATHS, **options) -> PathModel:
    """In double, with parameters at random."""
    model = PathModel(graph, paths, **options).double()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=draw)
    return model


def reference(model: PathModel, users: Tensor) -> Tensor:
    weights = {
        step: functional.softplus(model.theta[model._parameter[step]])
        for path in model.metapaths
        for step in path.steps
    }
    rows = []
    for user in users.tolist():
        mixing = model.mixing if model.own_mixing is None else model.mixing + model.own_mixing[user]
        parts = [of_one_path(model.graph, path, weights, user, model.normalise) for path in model.metapaths]
        rows.append(sum(share * part for share, part in zip(mixing.softmax(0), parts, strict=True)))
    return torch.stack(rows)


def assert_same(model: PathModel, got: Tensor, wanted: Tensor, atol: float = 1e-13) -> None:
    """Values, and gradients of every parameter along a random direction."""
    torch.testing.assert_close(got, wanted, rtol=0, atol=atol)
    along = torch.rand(got.shape, dtype=got.dtype, generator=torch.Generator().manual_seed(9))
    parameters = list(model.parameters())
    for ours, theirs in zip(
        torch.autograd.grad((got * along).sum(), parameters),
        torch.autograd.grad((wanted * along).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


# ---------------------------------------------------------------------- the definition


@pytest.mark.parametrize("mixture", ["global", "user"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("normalise", ["propagated", "walk"])
def test_it_is_the_dense_model(normalise, tied, mixture):
    model = made(normalise=normalise, tied=tied, mixture=mixture)
    assert_same(model, model(USERS), reference(model, USERS))


@pytest.mark.parametrize("tied", [True, False])
def test_lists_that_are_long_enough_are_the_whole_walk(tied):
    model = made(normalise="walk", tied=tied, most=500)
    assert_same(model, model(USERS), reference(model, USERS))


def test_lists_that_are_long_enough_are_the_whole_propagation():
    """But for walks that end on the way: see the docstring.  Users 1 to 6 have ratings, and items that lead on."""
    paths = parse_all(path_world.METAPATHS[:2] + path_world.METAPATHS[4:5], GRAPH)
    alive = [
        user
        for user in range(1, N_USERS)
        if all(reach(GRAPH, path, torch.tensor([user])).sum() > 0 for path in paths)
    ]
    assert len(alive) >= 4
    model = made(paths=paths, most=500)
    # 1e-8: at each hop but the last, the lists leave out what is 1e-10 at other nodes
    assert_same(model, model(torch.tensor(alive)), reference(model, torch.tensor(alive)), atol=1e-8)


def test_short_lists_follow_the_largest_of_each_hop():
    model, user, most = made(normalise="walk", most=2, paths=PATHS[:1]), 2, 2
    x = torch.zeros(N_USERS, dtype=torch.float64)
    x[user] = 1.0
    for step in PATHS[0].steps:
        adjacency = matrix(GRAPH, step, functional.softplus(model.theta[model._parameter[step]]).detach())
        arrived = x @ (adjacency / adjacency.sum(1, keepdim=True).clamp_min(1e-300))
        x = torch.where(arrived >= arrived.sort(descending=True).values[most - 1], arrived, 0.0)
    (items, values), *_ = model.lists_by_path(torch.tensor([user]))
    assert sorted(items[0].tolist()) == x.nonzero().flatten().tolist()
    torch.testing.assert_close(x[items[0]], values[0].detach())
    wanted = path_world.divided(x, "item")
    torch.testing.assert_close(model(torch.tensor([user]))[0], wanted, rtol=0, atol=1e-13)


def test_prefixes_that_are_shared_change_nothing():
    for options in (
        {"normalise": "walk"},
        {"normalise": "propagated"},
        {"normalise": "propagated", "most": 3},
    ):
        model = made(tied=True, **options)
        parts = model.by_path(USERS)
        for path, part in zip(PATHS, parts, strict=True):
            alone = PathModel(GRAPH, [path], **options).double()
            for step in path.steps:
                alone.theta[alone._parameter[step]].data = model.theta[model._parameter[step]].data
            torch.testing.assert_close(alone.by_path(USERS)[0], part)


def test_edges_have_one_weight_or_two():
    tied, free = PathModel(GRAPH, PATHS[:1]), PathModel(GRAPH, PATHS[:1], tied=False)
    there, back = Step("rated"), Step("rated", True)
    n = len(GRAPH.relation("rated"))
    assert [len(one) for one in tied.theta] == [n]
    assert [len(one) for one in free.theta] == [n, n]
    assert tied._parameter[there] == tied._parameter[back]
    assert free._parameter[there] != free._parameter[back]


def test_weights_are_positive_and_of_a_walk_sum_to_1_at_each_node():
    plain, walk = made(), made(normalise="walk")
    for step in (Step("rated"), Step("rated", True), Step("friend", True), Step("genre")):
        weights = plain.edge_weights(step)
        assert (weights > 0).all()
        torch.testing.assert_close(weights, functional.softplus(plain.theta[plain._parameter[step]]))
        relation = GRAPH.relation(step.relation)
        begin = relation.targets if step.inverse else relation.sources
        sums = torch.zeros(int(begin.max()) + 1, dtype=torch.float64).index_add(
            0, begin, walk.edge_weights(step).detach()
        )
        torch.testing.assert_close(sums[begin.unique()], torch.ones(len(begin.unique()), dtype=torch.float64))


def test_a_users_own_mixture_begins_as_everybodys():
    model = PathModel(GRAPH, PATHS, mixture="user")
    torch.testing.assert_close(model.shares(USERS), torch.full((len(USERS), len(PATHS)), 1 / len(PATHS)))
    with torch.no_grad():
        model.own_mixing[3, 2] = 5.0
    shares = model.shares(USERS)
    assert shares[2].argmax() == 2
    assert torch.equal(shares[0], model.shares())
    torch.testing.assert_close(shares.sum(1), torch.ones(len(USERS)))


# ---------------------------------------------------------------------- what must always hold

OPTIONS = [
    {"normalise": normalise, "most": most, "mixture": mixture}
    for normalise in ("propagated", "walk")
    for most in (None, 1, 3)
    for mixture in ("global", "user")
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rows_are_distributions_and_padding_has_none(options):
    for seed in (0, 1):
        graph = world(seed)
        model = made(graph=graph, paths=metapaths(graph), **options)
        got = model(torch.arange(N_USERS))
        torch.testing.assert_close(got.sum(1), torch.ones(N_USERS, dtype=torch.float64))
        assert not got[:, 0].any()
        assert (got[:, 1:] > 0).all()
        for part in model.by_path(USERS):
            torch.testing.assert_close(part.sum(0), torch.ones(len(USERS), dtype=torch.float64))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_finite_whoever_is_asked(options):
    """In single precision, through the logarithm, of users without any path, too."""
    model = PathModel(GRAPH, PATHS, **options)
    scores = model.scores(torch.arange(N_USERS))
    assert torch.equal(scores[:, 0], torch.full((N_USERS,), -torch.inf))
    assert scores[:, 1:].isfinite().all()
    scores[:, 1:].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    softmax = model.scores(USERS).softmax(1)  # as an objective over the catalogue has it
    torch.testing.assert_close(softmax, model(USERS))


@pytest.mark.parametrize("most", [None, 4])
def test_a_user_without_any_path_of_a_walk_has_every_item_alike(most):
    model = made(normalise="walk", most=most)
    got = model(torch.tensor([LONE]))[0]
    torch.testing.assert_close(got[1:], torch.full((N_ITEMS - 1,), 1 / (N_ITEMS - 1), dtype=torch.float64))


def test_a_walk_that_was_propagated_begins_anew_where_it_ended():
    """A user without friends is at all users alike, and goes on from there; in lists the walk is over."""
    path = parse_all(["user -friend-> user -rated-> item"], GRAPH)
    model = made(paths=path)
    rated = matrix(GRAPH, Step("rated"), functional.softplus(model.theta[1]))
    torch.testing.assert_close(model(torch.tensor([LONE]))[0], rated.sum(0) / rated.sum(), rtol=0, atol=1e-7)
    listed = made(paths=path, most=100)(torch.tensor([LONE]))[0]
    torch.testing.assert_close(listed[1:], torch.full_like(listed[1:], 1 / (N_ITEMS - 1)))


def test_a_user_without_ratings_is_reached_through_friends():
    path = parse_all(["user -friend-> user -rated-> item"], GRAPH)
    got = made(paths=path, normalise="walk")(torch.tensor([LISTENER]))[0]
    reached = set(
        GRAPH.adjacency(Step("rated")).row(2)[0].tolist() + GRAPH.adjacency(Step("rated")).row(4)[0].tolist()
    )
    assert set((got > 1e-6).nonzero().flatten().tolist()) == reached


def test_relations_without_edges_or_even_nodes():
    empty = torch.tensor([], dtype=torch.long)
    for n in (0, 2):
        relations = [GRAPH.relation("rated"), Relation.of("shot_in", "item", "place", empty, empty)]
        graph = Graph({"user": N_USERS, "item": N_ITEMS, "place": n}, relations)
        path = parse_all(["user -rated-> item -shot_in-> place <-shot_in- item"], graph)
        for options in ({"normalise": "walk"}, {"normalise": "propagated"}, {"most": 3}):
            got = PathModel(graph, path, **options)(USERS)
            torch.testing.assert_close(got[:, 1:], torch.full((len(USERS), N_ITEMS - 1), 1 / (N_ITEMS - 1)))


def test_a_type_without_nodes_is_no_part_of_another_steps_mixture(monkeypatch):
    """Both last steps begin at place 0 of the joined nodes, and memory that nobody has written is no number."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    empty = torch.tensor([], dtype=torch.long)
    relations = [
        *(GRAPH.relation(name) for name in ("rated", "genre")),
        Relation.of("haunts", "user", "ghost", empty, empty),
        Relation.of("owns", "ghost", "item", empty, empty),
    ]
    counts = {"user": N_USERS, "item": N_ITEMS, "genre": GRAPH.counts["genre"], "ghost": 0}
    texts = ["user -haunts-> ghost -owns-> item", "user -rated-> item -genre-> genre <-genre- item"]
    graph = Graph(counts, relations)
    torch.use_deterministic_algorithms(True)
    try:
        found = PathModel(graph, parse_all(texts, graph), normalise="walk")(USERS)
    finally:
        torch.use_deterministic_algorithms(False)
    alone = PathModel(graph, parse_all(texts[1:], graph), normalise="walk")(USERS)
    torch.testing.assert_close(found[:, 1:], alone[:, 1:] / 2 + 0.5 / (N_ITEMS - 1))


@pytest.mark.parametrize("theta", [-300.0, 300.0])
@pytest.mark.parametrize("normalise", ["propagated", "walk"])
def test_extreme_weights_stay_finite_in_single_precision(normalise, theta):
    model = PathModel(GRAPH, PATHS, normalise=normalise)
    with torch.no_grad():
        model.theta[0].fill_(theta)
        model.mixing[0] = -theta
    scores = model.scores(USERS)
    assert scores[:, 1:].isfinite().all()
    scores[:, 1:].mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_many_hops_over_many_nodes_do_not_vanish_in_single_precision():
    """30,000 items of which a user reaches a hundred; five hops, twice over a node with 3,000 edges."""
    draw = torch.Generator().manual_seed(0)
    n_users, n_items = 3001, 30_000
    users = torch.cat([torch.arange(1, n_users), torch.randint(1, n_users, (9000,), generator=draw)])
    items = torch.cat([torch.ones(n_users - 1).long(), torch.randint(1, 101, (9000,), generator=draw)])
    graph = Graph({"user": n_users, "item": n_items}, [Relation.of("rated", "user", "item", users, items)])
    text = "user -rated-> item <-rated- user -rated-> item <-rated- user -rated-> item"
    for normalise in ("propagated", "walk"):
        model = PathModel(graph, parse_all([text], graph), normalise=normalise)
        some = torch.tensor([1, 17, 3000])
        scores = model.scores(some)
        assert scores[:, 1:].isfinite().all()
        double = copy.deepcopy(model).double().scores(some)
        torch.testing.assert_close(scores[:, 1:].double(), double[:, 1:], rtol=1e-4, atol=1e-4)


def test_nobody_and_the_same_user_twice():
    for options in OPTIONS:
        model = made(**options)
        assert model(torch.tensor([], dtype=torch.long)).shape == (0, N_ITEMS)
        twice = model(torch.tensor([3, 5, 3]))
        assert torch.equal(twice[0], twice[2])
        assert not torch.equal(twice[0], twice[1])


def test_the_same_numbers_every_time_whatever_the_batch():
    model = PathModel(GRAPH, PATHS)
    assert torch.equal(model(USERS), model(USERS))
    one_by_one = torch.cat([model(user.unsqueeze(0)) for user in USERS])
    torch.testing.assert_close(model(USERS), one_by_one)
    again = PathModel(world(), PATHS)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(USERS), model(USERS))


# ---------------------------------------------------------------------- paths counted, and refusals


def test_paths_are_counted():
    for path in PATHS:
        wanted = torch.eye(N_USERS, dtype=torch.float64)
        for step in path.steps:
            wanted = wanted @ matrix(
                GRAPH, step, torch.ones(len(GRAPH.relation(step.relation)), dtype=torch.float64)
            )
        assert torch.equal(reach(GRAPH, path, USERS), wanted[USERS])


@pytest.mark.parametrize(
    ("counts", "kind"),
    [({"item": 3}, "user"), ({"user": 1, "item": 3}, "user"), ({"user": 3, "item": 1}, "item")],
)
def test_graphs_without_users_or_items_are_refused(counts, kind):
    with pytest.raises(DataError, match=f"no nodes of type '{kind}'"):
        PathModel(Graph(counts, []), PATHS)


def test_metapaths_of_something_else_are_refused():
    with pytest.raises(ConfigurationError, match=r"metapaths = \[\]"):
        PathModel(GRAPH, [])
    for steps in ([Step("rated"), Step("genre")], [Step("genre"), Step("genre", True)]):
        with pytest.raises(ConfigurationError, match="does not go from user to item in this graph"):
            PathModel(GRAPH, [MetaPath.of(GRAPH, steps)])
    other = Graph({"user": 3, "item": 3}, [Relation.of("rate", "user", "item", *torch.tensor([[1], [1]]))])
    with pytest.raises(UnknownNameError, match=r"'rated' is not known. Did you mean 'rate'"):
        PathModel(other, PATHS)


def test_options_that_do_not_exist_are_refused():
    for option, value, known in (("normalise", "walks", "walk"), ("mixture", "users", "user")):
        with pytest.raises(
            UnknownNameError, match=f"{option} '{value}' is not known. Did you mean '{known}'"
        ):
            PathModel(GRAPH, PATHS, **{option: value})
    with pytest.raises(ConfigurationError, match="most = 0: give a whole number, 1 or more"):
        PathModel(GRAPH, PATHS, most=0)
    for rate in (0, -1.0, math.nan, math.inf, True):
        with pytest.raises(ConfigurationError, match="rate = "):
            PathModel(GRAPH, PATHS, rate=rate)
