"""Filters say what they take, from which file and by which option; values that match nothing are named."""

from __future__ import annotations

from typing import Any

import pytest

from burnish.errors import BurnishError
from burnish.telling import summaries_told_to

CLASSES = {"inter": ["user_id", "item_id"], "item": ["item_id", "class"], "user": ["user_id", "age", "city"]}
HEADS = {"inter": "user_id:token\titem_id:token\n", "item": "item_id:token\tclass:token\n"}


def line_of(world: Any, model: str = "BPR", **options: Any) -> str:
    lines: list[str] = []
    with summaries_told_to(lines.append):
        world.dataset(model, **options)
    return lines[0]


@pytest.fixture
def classes(world: Any) -> Any:
    """30 users with the same 20 items, of which 5 are of class a, 14 of b and i20 has no row at all."""
    world.write("inter", HEADS["inter"] + "".join(f"u{u}\ti{i}\n" for u in range(30) for i in range(1, 21)))
    rows = "".join(f"i{i}\t{'a' if i <= 5 else 'b'}\n" for i in range(1, 20))
    world.write("item", HEADS["item"] + rows)
    world.load = {"inter": ["user_id", "item_id"], "item": ["item_id", "class"]}
    return world


def test_rows_that_go_with_those_of_another_file(classes: Any) -> None:
    with pytest.warns(UserWarning, match="val_interval.class takes from d.item"):
        line = line_of(classes, load_col=classes.load, val_interval={"class": ["a"]})
    assert "30 whose item_id has no row in d.item" in line
    assert "420 whose item_id val_interval.class takes from d.item" in line
    assert "5 items" in line


def test_interactions_stay_where_they_are_not_filtered(classes: Any) -> None:
    with pytest.warns(UserWarning, match="takes 14 of 19 rows from d.item, and filter_inter_by_user_or_item"):
        classes.dataset(
            load_col=classes.load, val_interval={"class": ["a"]}, filter_inter_by_user_or_item=False
        )


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (
            {"class": ["aa"]},
            r"val_interval\.class: 'aa' is no value of class in d\.item; .* Nothing would be left",
        ),
        (
            {"class": ["x", "y"]},
            r"'x' is no value of class in d\.item, as 1 more of the 2; there are 'a', 'b', \.\.\.",
        ),
        (
            {"class": [1]},
            r"val_interval\.class = \[1\]: .* text, and 1 is none.* write it in quotes, as in \['1'\]",
        ),
        ({"class": []}, r"give the list of those to keep"),
        ({"user_id": [True]}, r"True is none"),
        ({"item_id": "i1"}, r"give the list of those to keep, as in \[a, b\]"),
    ],
)
def test_values_that_match_nothing(classes: Any, wanted: Any, says: str) -> None:
    with pytest.raises(BurnishError, match=says):
        classes.train(load_col=classes.load, val_interval=wanted)


def test_one_value_that_matches_nothing(classes: Any) -> None:
    with pytest.warns(
        UserWarning, match=r"val_interval\.class: 'zz' is no value of class in d\.item; there are"
    ):
        line = line_of(classes, load_col=classes.load, val_interval={"class": ["a", "b", "zz"]})
    assert "570" not in line
    assert "30 dropped" in line


def test_numbers_and_sequences(world: Any) -> None:
    priced = {"inter": ["user_id", "item_id"], "item": ["item_id", "price", "title"]}
    with pytest.raises(
        BurnishError, match=r"val_interval\.price = .*no value of price in d\.item lies in it"
    ):
        world.train(load_col=priced, val_interval={"price": "[1e6,inf)"})
    with pytest.raises(BurnishError, match=r"title is a column of sequences"):
        world.train(load_col=priced, val_interval={"title": ["the"]})


def graph(world: Any, triples: list[tuple[str, str, str]]) -> None:
    rows = "".join("\t".join(triple) + "\n" for triple in triples)
    world.write("kg", "head_id:token\trelation_id:token\ttail_id:token\n" + rows)
    world.write("link", "item_id:token\tentity_id:token\n" + "".join(f"i{n}\te{n}\n" for n in range(1, 26)))


def test_triples(world: Any) -> None:
    """Two entities that three triples join, and a chain of 40 others."""
    dense = [("e1", f"r{n}", "e2") for n in range(3)]
    chain = [(f"e{n}", "r9", f"e{n + 1}") for n in range(3, 43)]
    graph(world, dense + chain)
    with pytest.warns(
        UserWarning, match=r"'d': 40 of 43 triples of the graph dropped \(40 entity_kg_num_interval\)"
    ):
        line = line_of(world, "CKE", entity_kg_num_interval="[3,inf)")
    assert line.endswith("; 40 of 43 triples of the graph dropped (40 entity_kg_num_interval)")
    assert "whose item has no entity in d.link and d.kg after entity_kg_num_interval" in line
    with pytest.warns(UserWarning, match=r"3 of 43 triples .*\(3 val_interval.relation_id\)"):
        line_of(world, "CKE", val_interval={"relation_id": ["r9"]})
    with pytest.raises(
        BurnishError, match=r"d\.kg: no triple is left .*relation_kg_num_interval = '\[300,inf\)' keep"
    ):
        world.train("CKE", relation_kg_num_interval="[300,inf)")
    graph(world, [("x", "r1", "y"), *chain])
    with pytest.raises(
        BurnishError, match=r"no entity_id of d\.link is left .* 41 triples .*val_interval.relation_id"
    ):
        world.train("CKE", val_interval={"relation_id": ["r1"]})
