"""Which meta-paths a graph has, against all sequences of steps that fit together, and what is left out of them."""

from __future__ import annotations

import itertools

import pytest
import torch

from burnish.enhancers.paths.candidates import candidates
from burnish.enhancers.paths.graph import Graph, Relation, Step
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.path_model import reach
from burnish.errors import ConfigurationError, DataError
from tests.support.path_world import N_USERS, world

NONE = torch.tensor([], dtype=torch.long)


def texts(graph: Graph, longest: int = 3) -> list[str]:
    return [str(path) for path in candidates(graph, longest)]


def graph_of(*relations: Relation, **counts: int) -> Graph:
    return Graph({"user": 4, "item": 5, **counts}, relations)


def relation(name: str, source: str, target: str, *edges: tuple[int, int]) -> Relation:
    return Relation.of(name, source, target, *torch.tensor(edges).t())


RATED = relation("rated", "user", "item", (1, 1), (1, 2), (2, 2), (2, 3), (3, 4))


def every_sequence(graph: Graph, longest: int) -> set[str]:
    """All of them that go from users to items along edges, by trying every sequence of steps there is."""
    steps = [Step(one.name, inverse) for one in graph.relations for inverse in (False, True)]
    found = set()
    for length in range(1, longest + 1):
        for sequence in itertools.product(steps, repeat=length):
            ends = [graph.ends(step) for step in sequence]
            if ends[0][0] != "user" or ends[-1][1] != "item":
                continue
            if any(one[1] != after[0] for one, after in itertools.pairwise(ends)):
                continue
            words = [
                "user",
                *(word for step, end in zip(sequence, ends, strict=True) for word in (str(step), end[1])),
            ]
            found.add(" ".join(words))
    return found


def test_all_that_fit_together_are_found():
    """In this graph steps lead on from each other, no two have the same edges, and the way back leads elsewhere."""
    genre = relation("genre", "item", "genre", (1, 0), (2, 0), (2, 1), (3, 1), (4, 1))
    friend = relation("friend", "user", "user", (1, 2), (1, 3), (2, 3), (3, 1), (2, 1))
    graph = graph_of(RATED, genre, friend, genre=2)
    wanted = every_sequence(graph, 4) - {"user -rated-> item"}
    assert len(wanted) > 20
    assert set(texts(graph, 4)) == wanted
    lengths = [len(path) for path in candidates(graph, 4)]
    assert lengths == sorted(lengths)


def test_everything_that_leads_a_user_somewhere_is_found_or_stands_for_it():
    """Counted paths: what is left out has none, or as many to each item as one that is there."""
    graph = world()
    users = torch.arange(N_USERS)
    there = {tuple(reach(graph, path, users).flatten().tolist()) for path in candidates(graph, 3)}
    for text in every_sequence(graph, 3) - set(texts(graph)) - {"user -rated-> item"}:
        path = MetaPath.parse(text, graph)
        counts = reach(graph, path, users)
        trivial = any(after == step.back() for step, after in itertools.pairwise(path.steps))
        assert not counts.any() or trivial or tuple(counts.flatten().tolist()) in there, text


def test_a_relation_of_one_end_each_and_straight_back_is_left_out():
    """Titles: each film has one, no two have the same.  Years: each film has one, and there are several of a year."""
    title = relation("title", "item", "title", (1, 0), (2, 1), (3, 2), (4, 3))
    year = relation("year", "item", "year", (1, 0), (2, 0), (3, 1), (4, 1))
    got = texts(graph_of(RATED, title, year, title=4, year=2), 5)
    assert "user -rated-> item -year-> year <-year- item" in got
    assert not any("title" in one for one in got)
    # year <-year- item -year-> year is back at the same year
    assert not any("<-year- item -year->" in one for one in got)
    assert "user -rated-> item <-rated- user -rated-> item -year-> year <-year- item" in got


def test_a_genre_and_back_is_no_way_to_the_same_film_only():
    genre = relation("genre", "item", "genre", (1, 0), (1, 1), (2, 0), (3, 1))
    got = texts(graph_of(RATED, genre, genre=2), 5)
    assert "user -rated-> item -genre-> genre <-genre- item" in got
    assert "user -rated-> item -genre-> genre <-genre- item -genre-> genre <-genre- item" in got


def test_relations_with_the_same_edges_count_once():
    made = relation("produced_by", "item", "person", (1, 0), (2, 0), (3, 1))
    same = relation("producer_of", "person", "item", (0, 1), (0, 2), (1, 3))
    alone = texts(graph_of(RATED, made, person=2), 4)
    assert texts(graph_of(RATED, made, same, person=2), 4) == alone
    for edges in ([(0, 1), (0, 2), (1, 4)], [(0, 1), (0, 3), (1, 4)]):  # another end, another beginning
        other = relation("producer_of", "person", "item", *edges)
        got = texts(graph_of(RATED, made, other, person=2), 3)
        assert "user -rated-> item <-producer_of- person -producer_of-> item" in got
        assert "user -rated-> item -produced_by-> person <-produced_by- item" in got


def test_friendship_that_is_mutual_has_one_direction():
    mutual = relation("friend", "user", "user", (1, 2), (2, 1), (1, 3), (3, 1))
    directed = relation("friend", "user", "user", (1, 2), (1, 3))
    assert "user -friend-> user -rated-> item" in texts(graph_of(RATED, mutual))
    assert not any("<-friend-" in one for one in texts(graph_of(RATED, mutual)))
    assert "user -friend-> user -friend-> user -rated-> item" in texts(graph_of(RATED, mutual))
    spouse = relation("spouse", "user", "user", (1, 2), (2, 1))  # and theirs is oneself
    assert "user -spouse-> user -rated-> item" in texts(graph_of(RATED, spouse))
    assert not any("-spouse-> user -spouse->" in one for one in texts(graph_of(RATED, spouse)))
    assert {"user -friend-> user -rated-> item", "user <-friend- user -rated-> item"} <= set(
        texts(graph_of(RATED, directed))
    )


def test_steps_that_no_node_joins_are_left_out():
    empty = Relation.of("shot_in", "item", "place", NONE, NONE)
    far = relation("wrote", "person", "item", (1, 1))
    acted = relation("acted_by", "item", "person", (2, 0))
    got = texts(graph_of(RATED, empty, far, acted, place=2, person=2))
    assert not any("place" in one or "-acted_by-> person -wrote->" in one for one in got)


def test_two_relations_between_users_and_items():
    """The interaction alone leads to what is known; another relation alone does not."""
    wished = relation("wished", "user", "item", (1, 3), (2, 1))
    got = texts(graph_of(RATED, wished), 1)
    assert got == ["user -wished-> item"]
    assert texts(graph_of(RATED), 2) == []
    assert texts(graph_of(RATED), 3) == ["user -rated-> item <-rated- user -rated-> item"]


def test_a_copy_of_the_interactions_is_the_interactions():
    """It would know what is hidden of them."""
    copy = Relation.of("bought", "user", "item", RATED.sources, RATED.targets)
    for relations in ((RATED, copy), (copy, RATED)):
        assert texts(graph_of(*relations), 3) == ["user -rated-> item <-rated- user -rated-> item"]


def test_there_may_be_too_many():
    relations = [
        relation(f"r{number}", "item", "thing", (1, number % 3), (2, number % 5), (3, number % 7), (4, 0))
        for number in range(30)
    ]
    graph = graph_of(RATED, *relations, thing=7)
    with pytest.raises(
        ConfigurationError, match=r"longest = 5: the graph has [\d,]+ meta-paths .*\d of 3, .* of 5"
    ):
        candidates(graph, 5)
    n = len(candidates(graph, 3))
    with pytest.raises(
        ConfigurationError, match=rf"no more than {n - 1:,} are tried; give a smaller one, or leave"
    ):
        candidates(graph, 3, most=n - 1)


@pytest.mark.parametrize("counts", [{"item": 5}, {"user": 1, "item": 5}, {"user": 4}])
def test_graphs_without_users_or_items_are_refused(counts):
    with pytest.raises(DataError, match="no nodes of type"):
        candidates(Graph(counts, []))


def test_lengths_that_are_none_are_refused():
    with pytest.raises(ConfigurationError, match="longest = 0: give a whole number, 1 or more"):
        candidates(world(), 0)
