"""Columns of the item and user files as relations: which are taken, and how cells become nodes."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest

from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.strict import validated

from .conftest import World

ITEMS = (
    "item_id:token\ttitle:token_seq\tgenre:token_seq\tdirector:token\tyear:float\tcode:token\tshop_url:token"
    "\tplot:token_seq\tabout:token_seq\tformat:token\n"
)


def items(rows: int = 10) -> str:
    """Ten items and one that the data do not have."""
    lines = [
        f"i{n}\tFilm {n}\tDrama{' War' if n % 2 else ''}\tperson {n % 4}\t{1990 + 3 * n}\tc{n}\thttp://{n}\tIt is on"
        f"\tthe one of n{n}\tDVD"
        for n in range(rows)
    ]
    return ITEMS + "\n".join([*lines, "other\tX\tDrama\tperson 9\t1950\tc9\thttp\tx\ty\tDVD"]) + "\n"


def test_what_is_taken_by_default(world: World) -> None:
    world.write(item=items())
    train = world.train()
    graph = world.graph(train)
    assert [one.name for one in graph.relations] == ["rated", "genre", "director"]
    assert world.edges(graph, "director", train) == {(f"i{n}", f"person {n % 4}") for n in range(10)}
    genres = {(f"i{n}", "Drama") for n in range(10)} | {(f"i{n}", "War") for n in range(1, 10, 2)}
    assert world.edges(graph, "genre", train) == genres
    notes = [note for note in graph.notes if "became no relation" in note]
    assert len(notes) == 1
    for name, why in {
        "title": "a title or a name",
        "shop_url": "an id or a link",
        "plot": "a text",
        "about": "a text",
        "year": "numbers, to be cut",
        "code": "10 values in 10 rows",
        "format": "one value for all",
    }.items():
        assert f"{name} ({why}" in notes[0]
    assert any("1 of 11 rows are of items that the data do not have" in note for note in graph.notes)
    path = "user -rated-> item -director-> director <-director- item"
    assert str(MetaPath.parse(path, graph)) == path


def test_columns_that_are_asked_for(world: World) -> None:
    world.write(
        item=items(), user="user_id:token\tcity:token\n" + "".join(f"u{n}\tt{n % 2}\n" for n in range(8))
    )
    train = world.train()
    asked = [
        {"column": "director", "type": "person", "name": "by"},
        {"column": "code"},
        {"column": "year", "step": 10, "name": "decade"},
    ]
    graph = world.graph(train, item_columns=asked, user_columns=())
    assert [(one.name, one.target) for one in graph.relations[1:]] == [
        ("by", "person"),
        ("code", "code"),
        ("decade", "decade"),
    ]
    years = [1990 + 3 * n for n in range(10)]
    decades = {(f"i{n}", f"{year // 10 * 10}-{year // 10 * 10 + 9}") for n, year in enumerate(years)}
    assert world.edges(graph, "decade", train) == decades
    assert graph.labels["decade"] == [
        "1990-1999",
        "2000-2009",
        "2010-2019",
    ]  # not the 1950 of an unknown item


def test_columns_of_both_files_share_nodes(world: World) -> None:
    rows = "".join(f"i{n}\tt{n % 3}\n" for n in range(10))
    world.write(item="item_id:token\tcity:token\n" + rows)
    world.write(user="user_id:token\tcity:token\n" + "".join(f"u{n}\tt{n % 2}\n" for n in range(8)))
    train = world.train()
    graph = world.graph(train)
    assert [one.name for one in graph.relations] == ["rated", "city:user:city", "city:item:city"]
    assert graph.counts["city"] == 3
    assert world.edges(graph, "city:user:city", train) == {(f"u{n}", f"t{n % 2}") for n in range(8)}
    path = "user -city:user:city-> city <-city:item:city- item"
    assert str(MetaPath.parse(path, graph)) == path


def test_files_are_read_whatever_recbole_loads(world: World) -> None:
    world.write(item=items())
    few = world.train(load_col={"inter": ["user_id", "item_id"], "item": ["item_id"]})
    assert few.item_feat is not None
    directors = {(f"i{n}", f"person {n % 4}") for n in range(10)} | {
        ("other", "person 9")
    }  # which RecBole knows now
    assert world.edges(world.graph(few), "director", few) == directors


def test_other_separators(world: World) -> None:
    world.write(item="item_id:token|cast:token_seq\n" + "".join(f"i{n}|a b;c {n % 2};\n" for n in range(10)))
    for part in ("train", "valid", "test"):
        file = world.folder / f"shop.{part}.inter"
        file.write_text(file.read_text().replace("\t", "|"))
    train = world.train(field_separator="|", seq_separator=";")
    found = world.edges(world.graph(train), "cast", train)
    assert found == {(f"i{n}", name) for n in range(10) for name in ("a b", f"c {n % 2}")}


@pytest.mark.parametrize("step", [0.1, 0.25, 3.0, 7.5])
def test_bins_of_a_step(world: World, step: float) -> None:
    values = [0.3, -0.3, 1.0, 0.7, 2.25, 7.5, 15.0, 3.0, -6.0, 0.0]
    world.write(
        item="item_id:token\tprice:float\n" + "".join(f"i{n}\t{value}\n" for n, value in enumerate(values))
    )
    train = world.train()
    graph = world.graph(train, item_columns=[{"column": "price", "step": step}])
    found = dict(world.edges(graph, "price", train))
    for n, value in enumerate(values):
        low, high = (float(bound) for bound in found[f"i{n}"].split(" to below "))
        assert low - 1e-9 <= value < high
        assert math.isclose(high - low, step)
        assert math.isclose(low / step, round(low / step), abs_tol=1e-9)


def test_bins_of_quantiles(world: World) -> None:
    draw = random.Random(1)
    values = [draw.expovariate(1) for _ in range(10)]
    world.write(
        item="item_id:token\tprice:float\n" + "".join(f"i{n}\t{value}\n" for n, value in enumerate(values))
    )
    train = world.train()
    graph = world.graph(train, item_columns=[{"column": "price", "quantiles": 5}])
    found = dict(world.edges(graph, "price", train))
    assert sorted(Counter(found.values()).values()) == [2] * 5
    order = [found[f"i{n}"] for n in sorted(range(10), key=values.__getitem__)]
    assert order[::2] == order[1::2]
    assert len(set(order)) == 5


def test_numbers_at_the_bound_of_two_quantiles(world: World) -> None:
    values = [0, 1, 2, 2, 2, 2, 2, 3, 4, 5]
    world.write(
        item="item_id:token\tprice:float\n" + "".join(f"i{n}\t{value}\n" for n, value in enumerate(values))
    )
    train = world.train()
    graph = world.graph(train, item_columns=[{"column": "price", "quantiles": 2}])
    found = dict(world.edges(graph, "price", train))
    assert found == {f"i{n}": "2 to 5" if value >= 2 else "0 to 2" for n, value in enumerate(values)}


def test_values_that_are_no_numbers(world: World) -> None:
    world.write(item="item_id:token\tyear:token\n" + "i0\t1995\ni1\tunknown\ni2\t\ni3\tinf\ni4\t1999\n")
    train = world.train()
    with pytest.warns(UserWarning, match=r"'year' has 2 values that are no numbers, such as 'unknown'"):
        graph = world.graph(train, item_columns=[{"column": "year", "step": 10}])
    assert world.edges(graph, "year", train) == {("i0", "1990-1999"), ("i4", "1990-1999")}
    world.write(item="item_id:token\tyear:token\ni0\tsoon\n")
    with pytest.raises(DataError, match="column 'year' has no number, such as 'soon'"):
        world.graph(train, item_columns=[{"column": "year", "step": 10}])


def test_odd_rows(world: World) -> None:
    lines = [f"i{n}\tg{n % 2}\n" for n in range(9)]
    world.write(item="item_id:token\tgenre:token\n" + "".join(lines) + "i0\tother\n\tg1\ni9\t\n")
    train = world.train()
    with pytest.warns(UserWarning, match="1 rows are of an id that was there before"):
        graph = world.graph(train)
    assert world.edges(graph, "genre", train) == {(f"i{n}", f"g{n % 2}") for n in range(9)}
    world.write(item="item_id:token\tgenre:token\ni0\t\n")
    with pytest.warns(UserWarning, match="column 'genre' has no value"):
        world.graph(train, item_columns=["genre"])


def test_columns_with_names_of_nodes(world: World) -> None:
    rows = "".join(f"u{n}\tx{n % 2}\ty{n % 3}\n" for n in range(8))
    world.write(user="user_id:token\titem:token\trated:token\n" + rows)
    graph = world.graph()
    assert [(one.name, one.target) for one in graph.relations[1:]] == [
        ("item_value", "item_value"),
        ("rated_value", "rated_value"),
    ]


def test_columns_that_cannot_be(world: World) -> None:
    world.write(item=items())
    train = world.train()
    with pytest.raises(
        UnknownNameError, match=r"item_columns: column 'genres' is not known. Did you mean 'genre'"
    ):
        world.graph(train, item_columns=["genres"])
    with pytest.raises(ConfigurationError, match=r"'year' .* holds numbers; say how they are cut"):
        world.graph(train, item_columns=["year"])
    world.write(item="movie_id:token\tgenre:token\ni0\tx\n")
    with pytest.raises(UnknownNameError, match="column of items' ids 'item_id' is not known"):
        world.graph(train)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"item_columns": [{"column": "a", "step": 1, "quantiles": 3}]}, "give step or quantiles, not both"),
        ({"item_columns": [{"column": "a", "step": 0}]}, "greater than 0"),
        ({"item_columns": [{"column": "a", "step": True}]}, "give a number, not true or false"),
        (
            {"item_columns": [{"column": "a", "quantile": 3}]},
            "'quantile' is not known. Did you mean 'quantiles'",
        ),
        ({"item_columns": [{"column": "a", "type": "item"}]}, "are types of other nodes"),
        ({"item_columns": [{"column": "a", "name": "a b"}]}, "without white space, such as 'a_b'"),
        ({"item_columns": ["a", "a"]}, "column 'a' is there twice"),
        ({"user_columns": [{"column": "a"}, {"column": "a"}]}, "column 'a' is there twice"),
        ({"names": {"a": "rated"}}, "stands for something else"),
        ({"entity_types": {"a": "user"}}, "stands for something else"),
        ({"entity_types": "all"}, "entity_types"),
        ({"net_name": "rated"}, "the relation of the interactions"),
        ({"relation": ["a"]}, "'relation' is not known. Did you mean 'relations'"),
        ({"twins": "both"}, "twins"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ConfigurationError, UnknownNameError), match=said):
        validated(GraphConfig, options, "graph")


def test_names_as_on_the_command_line() -> None:
    config = GraphConfig(item_columns="genre, director", without="age")
    assert [one.column for one in config.item_columns or ()] == ["genre", "director"]
    assert config.without == ("age",)


def test_bins_have_names_of_their_own(world: World) -> None:
    """Large numbers, which ten digits do not tell apart."""
    numbers = [1_500_000_000_000 + 60 * number for number in range(10)]
    lines = [f"i{number}\t{value}" for number, value in enumerate(numbers)]
    world.write(item="\n".join(["item_id:token\ttime:float", *lines]) + "\n")
    train = world.train()
    graph = world.graph(train, item_columns=[{"column": "time", "step": 60}])
    assert graph.counts["time"] == len(set(graph.labels["time"])) == 10
    edges = {item: text.partition("-") for item, text in world.edges(graph, "time", train)}
    assert all(int(edges[f"i{n}"][0]) <= value <= int(edges[f"i{n}"][2]) for n, value in enumerate(numbers))
    with pytest.raises(
        DataError, match=r"goes up to 1\.5e\+12, where bins of step = 1e-09 cannot.*a larger step"
    ):
        world.graph(train, item_columns=[{"column": "time", "step": 1e-9}])
