"""Graphs: edges once and in order, views of a step, edges that are hidden, and what is refused."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.paths.graph import Graph, Relation, Step, merged, short_label
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from tests.support.path_world import world

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
NONE = torch.tensor([], dtype=torch.long)


def pairs(relation: Relation) -> list[tuple[int, int]]:
    return list(zip(relation.sources.tolist(), relation.targets.tolist(), strict=True))


def rated(*edges: tuple[int, int]) -> Relation:
    ends = torch.tensor(edges).t() if edges else torch.empty(2, 0, dtype=torch.long)
    return Relation.of("rated", "user", "item", *ends)


# ---------------------------------------------------------------------- relations


def test_edges_are_there_once_and_in_order():
    got = rated((3, 1), (1, 9), (3, 1), (1, 2), (2, 9), (1, 9))
    assert pairs(got) == [(1, 2), (1, 9), (2, 9), (3, 1)]
    assert len(got) == 4


def test_a_relation_without_edges():
    got = Relation.of("friend", "user", "user", NONE, NONE)
    assert len(got) == 0
    assert got.sources.dtype == torch.long


@pytest.mark.parametrize("name", ["", "two words", "a\tb", " x"])
def test_names_that_metapaths_could_not_write_are_refused(name):
    with pytest.raises(ConfigurationError, match="without white space"):
        Relation.of(name, "user", "item", NONE, NONE)
    with pytest.raises(ConfigurationError, match=r"type of node .*without white space"):
        Graph({"user": 2, name: 2}, [])


@pytest.mark.parametrize(
    ("sources", "targets", "said"),
    [
        (torch.tensor([1, 2]), torch.tensor([1]), r"\[2\] sources and \[1\] targets"),
        (torch.tensor(1), torch.tensor(1), r"\[\] sources"),
        (torch.ones(1, 2).long(), torch.ones(1, 2).long(), r"\[1, 2\] sources"),
        (torch.tensor([1, -4]), torch.tensor([1, 1]), "an id is -4"),
        (torch.tensor([1.5]), torch.tensor([1]), "whole numbers.*float32"),
    ],
)
def test_edges_that_are_none_are_refused(sources, targets, said):
    with pytest.raises(DataError, match=f"relation 'rated': .*{said}"):
        Relation.of("rated", "user", "item", sources, targets)


def test_parts_of_a_relation_are_merged():
    parts = [
        rated((1, 1)),
        Relation.of("genre", "item", "genre", *torch.tensor([[1], [0]])),
        rated((2, 1), (1, 1)),
    ]
    got = merged({}, parts)
    assert [one.name for one in got] == ["rated", "genre"]
    assert pairs(got[0]) == [(1, 1), (2, 1)]
    with pytest.raises(DataError, match="'rated' goes from item to genre and user to item"):
        merged({}, [rated((1, 1)), Relation.of("rated", "item", "genre", NONE, NONE)])


# ---------------------------------------------------------------------- graphs


@pytest.mark.parametrize(
    ("counts", "relations", "error", "said"),
    [
        ({"user": 3, "item": 3}, [rated((1, 3))], DataError, "'rated': item 3 is beyond the 3"),
        ({"user": 2, "item": 9}, [rated((2, 3))], DataError, "'rated': user 2 is beyond the 2"),
        ({"user": 3, "item": 3}, [rated((0, 1))], DataError, "user 0, which is padding"),
        ({"user": 3, "item": 3}, [rated((1, 0))], DataError, "item 0, which is padding"),
        (
            {"user": 3, "item": 3},
            [rated((1, 1)), rated((1, 2))],
            DataError,
            "two relations are called 'rated'",
        ),
        ({"user": 3, "itm": 3}, [rated((1, 1))], UnknownNameError, "'item' is not known. Did you mean 'itm'"),
    ],
)
def test_graphs_that_do_not_hold_together_are_refused(counts, relations, error, said):
    with pytest.raises(error, match=said):
        Graph(counts, relations)


def test_labels_are_one_a_node():
    with pytest.raises(DataError, match="'item': 2 for 3 nodes"):
        Graph({"item": 3}, [], {"item": ["", "a"]})
    with pytest.raises(UnknownNameError, match=r"'items' is not known. Did you mean 'item'"):
        Graph({"item": 3}, [], {"items": ["", "a", "b"]})
    graph = Graph({"item": 2, "genre": 1}, [], {"item": ["", "a\n b"]})
    assert (graph.label("item", 1), graph.label("genre", 0)) == ("a b", "genre 0")
    assert len(short_label("x" * 200)) == 80


def test_an_unknown_relation_has_the_nearest_one_named():
    with pytest.raises(UnknownNameError, match=r"'frend' is not known. Did you mean 'friend'"):
        world().relation("frend")


def test_a_graph_of_no_relations_is_one():
    graph = Graph({"user": 2, "item": 2}, [])
    assert graph.n_edges == 0
    assert graph.steps_from("user") == []
    assert graph.table() == []


def test_graphs_are_compared_by_what_they_are_not_edge_by_edge():
    one, other = world(), world()
    assert one == one
    assert one != other
    assert one.relations[0] != other.relations[0]


def test_steps_begin_at_a_type():
    graph = world()
    assert [str(step) for step in graph.steps_from("user")] == ["-rated->", "-friend->", "<-friend-"]
    assert [str(step) for step in graph.steps_from("person")] == ["<-directed_by-", "-acted_in->"]
    assert graph.ends(Step("genre")) == ("item", "genre")
    assert graph.ends(Step("genre", True)) == (
        "genre",
        "item",
    )
    assert Step("genre").back().back() == Step("genre")


# ---------------------------------------------------------------------- views of a step


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_view_has_every_edge_by_where_it_begins(seed, inverse):
    graph = world(seed)
    for relation in graph.relations:
        step = Step(relation.name, inverse)
        view = graph.adjacency(step)
        begin, end = (relation.targets, relation.sources) if inverse else (relation.sources, relation.targets)
        assert (view.n_rows, view.n_columns) == tuple(graph.counts[kind] for kind in graph.ends(step))
        assert torch.equal(begin[view.edges], view.origins())
        assert torch.equal(end[view.edges], view.neighbours)
        assert sorted(view.edges.tolist()) == list(range(len(relation)))
        assert torch.equal(view.degrees(), torch.bincount(begin, minlength=view.n_rows))
        for node in range(view.n_rows):
            neighbours, edges = view.row(node)
            assert neighbours.tolist() == sorted(end[begin == node].tolist())
            assert torch.equal(begin[edges], torch.full_like(edges, node))


def test_two_relations_between_the_same_nodes_stay_two():
    other = Relation.of("liked", "user", "item", *torch.tensor([[1, 1], [1, 2]]))
    graph = Graph({"user": 2, "item": 3}, [rated((1, 1)), other])
    assert [len(graph.adjacency(Step(name)).neighbours) for name in ("rated", "liked")] == [1, 2]
    assert graph.n_edges == 3


def test_a_symmetric_relation_is_its_own_inverse_and_a_self_loop_one_edge():
    ends = torch.tensor([[1, 2, 2, 3, 3], [2, 1, 3, 2, 3]])
    graph = Graph({"user": 4}, [Relation.of("friend", "user", "user", *ends)])
    along, against = graph.adjacency(Step("friend")), graph.adjacency(Step("friend", True))
    assert torch.equal(along.starts, against.starts)
    assert torch.equal(along.neighbours, against.neighbours)
    assert along.row(3)[0].tolist() == [2, 3]
    assert not torch.equal(along.edges, against.edges)  # an edge and its mirror are two


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_moving_keeps_edges_and_labels_and_makes_views_anew(device):
    graph = Graph({"user": 3, "item": 4}, [rated((1, 1), (2, 3))], {"item": ["", "a", "b", "c"]})
    before = graph.adjacency(Step("rated", True))
    moved = graph.to(device)
    after = moved.adjacency(Step("rated", True))
    assert pairs(moved.relation("rated")) == [(1, 1), (2, 3)]
    assert moved.labels == graph.labels
    assert after is not before
    assert after.neighbours.device.type == after.starts.device.type == device
    assert graph.relation("rated").sources.device.type == "cpu"


# ---------------------------------------------------------------------- hidden edges


def test_without_hides_edges_of_one_relation_only():
    liked = Relation.of("liked", "user", "item", *torch.tensor([[1, 2], [1, 3]]))
    graph = Graph({"user": 3, "item": 4}, [rated((1, 1), (1, 3), (2, 2)), liked])
    graph.adjacency(Step("rated"))
    rest = graph.without("rated", torch.tensor([1, 2, 2]), torch.tensor([3, 2, 3]))
    assert pairs(rest.relation("rated")) == [(1, 1)]
    assert pairs(rest.relation("liked")) == [(1, 1), (2, 3)]
    assert rest.adjacency(Step("rated")).row(1)[0].tolist() == [1]
    assert pairs(graph.relation("rated")) == [(1, 1), (1, 3), (2, 2)]  # the whole is as it was


def test_without_lets_edges_be_that_are_not_there():
    graph = Graph({"user": 3, "item": 4}, [rated((1, 1), (2, 2))])
    # 0 * 4 + 5 is the key of (1, 1) where ids beyond the count are not told apart
    for source, target in ((0, 5), (3, -2), (1, 2)):
        rest = graph.without("rated", torch.tensor([source]), torch.tensor([target]))
        assert pairs(rest.relation("rated")) == [(1, 1), (2, 2)]
    assert len(graph.without("rated", NONE, NONE).relation("rated")) == 2
    with pytest.raises(UnknownNameError, match="Did you mean 'rated'"):
        graph.without("rate", NONE, NONE)


def test_the_table_counts_edges_and_nodes_that_have_any():
    rows = {row["relation"]: row for row in world().table()}
    friend = rows["friend"]
    assert (friend["from"], friend["to"], friend["edges"]) == ("user", "user", 7)
    assert (friend["nodes from"], friend["nodes to"]) == (5, 5)
    assert rows["shot_in"]["edges"] == rows["shot_in"]["nodes to"] == 0
