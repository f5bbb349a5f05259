"""Meta-paths as people write them: what is read is written the same, and every error says what to do."""

from __future__ import annotations

import re

import pytest
import torch

from burnish.enhancers.paths.graph import Graph, Relation, Step
from burnish.enhancers.paths.metapaths import MetaPath, parse_all
from burnish.errors import ConfigurationError, UnknownNameError
from tests.support.path_world import METAPATHS, world

GRAPH = world()


@pytest.mark.parametrize("text", METAPATHS)
def test_what_is_written_is_read_the_same(text):
    path = MetaPath.parse(text, GRAPH)
    assert str(path) == text
    assert MetaPath.parse(str(path), GRAPH) == path
    assert MetaPath.of(GRAPH, path.steps) == path
    assert len(path) == len(path.steps) == len(path.types) - 1


def test_directions_and_white_space():
    path = MetaPath.parse("  user  <-friend-\tuser -rated-> item ", GRAPH)
    assert path.steps == (Step("friend", inverse=True), Step("rated"))
    assert path.types == ("user", "user", "item")
    assert str(path) == "user <-friend- user -rated-> item"


@pytest.mark.parametrize("name", ["film.film.genre", "a-b", "a->b", "<odd", "odd>", "-", "->", "<-x-"])
def test_names_with_signs_of_their_own(name):
    graph = Graph({"user": 2, "item": 2}, [Relation.of(name, "user", "item", *torch.tensor([[1], [1]]))])
    for steps in ([Step(name)], [Step(name), Step(name, True), Step(name)]):
        path = MetaPath.of(graph, steps)
        assert MetaPath.parse(str(path), graph) == path


@pytest.mark.parametrize(
    ("text", "collaborative"),
    [
        ("user -rated-> item <-rated- user -rated-> item", True),
        ("user -rated-> item <-rated- user -rated-> item <-rated- user -rated-> item", True),
        ("user -friend-> user -rated-> item", False),
        ("user -rated-> item -genre-> genre <-genre- item", False),
    ],
)
def test_collaborative_ones_know_of_interactions_only(text, collaborative):
    assert MetaPath.parse(text, GRAPH).collaborative is collaborative


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", ConfigurationError, "types of nodes with a step between each two, as in 'user -rated->"),
        ("user", ConfigurationError, "types of nodes with a step between"),
        ("user -rated-> item -genre->", ConfigurationError, "types of nodes with a step between"),
        (
            "user -rated-> -genre-> <-genre- item",
            ConfigurationError,
            "two steps follow each other at '-genre->'",
        ),
        ("user -rated-> itm", UnknownNameError, "type of node 'itm' is not known. Did you mean 'item'?"),
        (
            "user rated item",
            ConfigurationError,
            "'rated' is no step; write -rated-> along .* <-rated- against",
        ),
        ("user -rated- item", ConfigurationError, "'-rated-' is no step; write -rated->"),
        ("user -> item", ConfigurationError, "'->' is no step; write -name-> along"),
        ("user -rate-> item", UnknownNameError, "relation 'rate' is not known. Did you mean 'rated'?"),
        (
            "user <-rated- item",
            ConfigurationError,
            "<-rated- goes from item to user, and stands between user and item; the other way it is -rated->",
        ),
        (
            "user -genre-> item",
            ConfigurationError,
            "-genre-> goes from item to genre, and stands between user and item$",
        ),
        ("item -genre-> genre <-genre- item", ConfigurationError, "begins with 'user' and ends with 'item'"),
        ("user -rated-> item -genre-> genre", ConfigurationError, "begins with 'user' and ends with 'item'"),
    ],
)
def test_errors_name_the_line_and_the_cure(text, error, said):
    with pytest.raises(error, match=said) as caught:
        MetaPath.parse(text, GRAPH, "metapaths[1]")
    assert str(caught.value).startswith(f"metapaths[1] {text!r}: ")


def test_steps_that_do_not_fit_together_are_refused():
    with pytest.raises(
        ConfigurationError, match=re.escape("-genre-> begins at 'item', and what is before it ends at 'user'")
    ):
        MetaPath.of(GRAPH, [Step("rated"), Step("rated", True), Step("genre")])
    with pytest.raises(ConfigurationError, match=r"steps = \[\]"):
        MetaPath.of(GRAPH, [])
    with pytest.raises(UnknownNameError, match="Did you mean 'rated'"):
        MetaPath.of(GRAPH, [Step("rate")])


def test_several_at_least_one_and_each_once():
    assert [str(path) for path in parse_all(METAPATHS, GRAPH)] == list(METAPATHS)
    with pytest.raises(ConfigurationError, match=r"paths = \[\]: give at least one"):
        parse_all([], GRAPH, "path")
    with pytest.raises(ConfigurationError, match="'user -rated-> item' is there twice"):
        parse_all(["user -rated-> item", METAPATHS[0], "user  -rated->  item"], GRAPH)
