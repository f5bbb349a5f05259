"""The graph of a training split: which edges there are, by loops over the files' lines; what is told of the others."""

from __future__ import annotations

import csv
import doctest
import random
import re
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from burnish.enhancers.paths import sources
from burnish.enhancers.paths.graph import Graph, Relation
from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.sources import graph_fingerprint, read_graph
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.strict import validated

from .conftest import TEST, TRAIN, VALID, World

KG = "head_id:token relation_id:token tail_id:token"
LINK = "item_id:token entity_id:token"


# ---------------------------------------------------------------------- interactions


def test_rated_is_the_training_interactions_alone(world: World) -> None:
    graph = world.graph()
    assert [one.name for one in graph.relations] == ["rated"]
    assert world.edges(graph, "rated") == set(TRAIN)
    assert graph.counts == {"user": 9, "item": 11}
    assert graph.label("user", 1) == "u0"


def test_what_is_positive_counts(world: World) -> None:
    rows = [(user, item, 1 + number % 5) for number, (user, item) in enumerate(TRAIN)]
    world.interactions("train", rows, "rating:float")
    world.interactions("valid", [(*row, 5) for row in VALID], "rating:float")
    world.interactions("test", [(*row, 5) for row in TEST], "rating:float")
    options = {"load_col": {"inter": ["user_id", "item_id", "rating"]}, "LABEL_FIELD": "rating"}
    train = world.train(**options)
    with pytest.warns(UserWarning, match="ratings from 1 to 5"):
        graph = world.graph(train)
    assert world.edges(graph, "rated") == {(user, item) for user, item, stars in rows if stars >= 4}
    graph = world.graph(train, positive_from=2.0)
    assert world.edges(graph, "rated") == {(user, item) for user, item, stars in rows if stars >= 2}


def test_sequential_data_have_their_first_items(world: World) -> None:
    for part, rows in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        world.interactions(part, [(*row, number) for number, row in enumerate(rows)], "timestamp:float")
    whole = world.folder / "shop.inter"
    lines = [
        (world.folder / f"shop.{part}.inter").read_text().splitlines()[1:]
        for part in ("train", "valid", "test")
    ]
    texts = [f"{user}\t{item}\t{at}" for at, (user, item) in enumerate([*TRAIN, *VALID, *TEST])]
    assert len(texts) == sum(map(len, lines))
    whole.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(texts) + "\n")
    train = world.train(
        "SASRec",
        benchmark_filename=None,
        train_neg_sample_args=None,
        load_col={"inter": ["user_id", "item_id", "timestamp"]},
        eval_args={"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    )
    assert world.edges(world.graph(train), "rated", train) == set(TRAIN)


def test_validation_and_test_change_nothing(world: World, table: Any) -> None:
    world.write(
        kg=table(KG, "e0 by p0", "e1 by p0", "e2 by p1"),
        link=table(LINK, "i0 e0", "i1 e1", "i2 e2"),
        net=table("source_id:token target_id:token", "u0 u1", "u2 u3"),
        item=table("item_id:token genre:token", *(f"i{n} g{n % 3}" for n in range(10))),
    )
    before = world.graph()
    shuffled = random.Random(3).sample([*VALID, *TEST], k=len(VALID) + len(TEST))
    world.interactions("valid", [(user, "i9") for user, _ in VALID])
    world.interactions("test", shuffled)
    after = world.graph()
    assert graph_fingerprint(before) == graph_fingerprint(after)
    assert before.labels == after.labels
    world.interactions("train", [*TRAIN, ("u0", "i8")])
    assert graph_fingerprint(world.graph()) != graph_fingerprint(before)


# ---------------------------------------------------------------------- .kg and .link


def reference(
    triples: list[tuple[str, str, str]], links: list[tuple[str, str]], items: set[str]
) -> dict[str, set[Any]]:
    """Edges by relation, by a loop: an entity is the items that it is linked to, or itself."""
    of = defaultdict(set)
    for item, entity in links:
        if item in items:
            of[entity].add(item)

    def nodes(entity: str) -> list[tuple[str, str]]:
        return [("item", item) for item in of[entity]] or [("entity", entity)]

    found = defaultdict(set)
    for head, relation, tail in triples:
        for begin in nodes(head):
            for end in nodes(tail):
                if begin != end:
                    found[relation].add((*begin, *end))
    return found


@pytest.mark.filterwarnings("ignore:graph")
@pytest.mark.parametrize("seed", range(6))
def test_against_a_loop_over_the_lines(world: World, table: Any, seed: int) -> None:
    draw = random.Random(seed)
    entities = [f"e{n}" for n in range(14)]
    triples = [
        (draw.choice(entities), draw.choice(["by", "in", "like"]), draw.choice(entities)) for _ in range(60)
    ]
    links = [
        (f"i{draw.randrange(13)}", draw.choice(entities[:9])) for _ in range(12)
    ]  # i10 to i12 are not in the data
    world.write(kg=table(KG, *map(" ".join, triples)), link=table(LINK, *map(" ".join, links)))
    train = world.train()
    graph = world.graph(train, entity_types="one", twins="keep")
    found = defaultdict(set)
    for one in graph.relations[1:]:
        for begin, end in world.edges(graph, one.name, train):
            found[one.name.split(":")[0]].add((one.source, begin, one.target, end))
    assert found == reference(triples, links, {f"i{n}" for n in range(10)})
    inferred = world.graph(train, twins="keep")
    assert inferred.n_edges == graph.n_edges
    nodes = [
        sum(n for kind, n in one.counts.items() if kind not in ("user", "item")) for one in (graph, inferred)
    ]
    assert nodes[0] == nodes[1]


def test_types_of_entities(world: World, table: Any) -> None:
    rows = [
        "e0 film.directed_by p0",
        "e0 film.acted_by p0",
        "e1 film.acted_by p1",
        "e0 film.rating r1",
        "e1 film.rating r1",
    ]
    world.write(kg=table(KG, *rows), link=table(LINK, "i0 e0", "i1 e1"))
    train = world.train()
    inferred = world.graph(train)
    assert {
        name: inferred.relation(name).target for name in ("film.directed_by", "film.acted_by", "film.rating")
    } == {
        "film.directed_by": "entity",
        "film.acted_by": "entity",
        "film.rating": "rating",
    }
    path = "user -rated-> item -film.rating-> rating <-film.rating- item"
    assert str(MetaPath.parse(path, inferred)) == path
    one = world.graph(train, entity_types="one")
    assert one.counts == {"user": 9, "item": 11, "entity": 3}
    given = world.graph(
        train,
        entity_types={"film.directed_by": "director", "film.acted_by": "person"},
        names={"film.rating": "rating"},
    )
    assert world.edges(given, "film.directed_by", train) == {("i0", "p0")}
    assert given.relation("film.directed_by").target == "director"
    # p0 is a director first, and the relation that leads to both types is one for each
    assert world.edges(given, "film.acted_by:item:director", train) == {("i0", "p0")}
    assert world.edges(given, "film.acted_by:item:person", train) == {("i1", "p1")}
    assert given.relation("rating").target == "entity"
    assert any("name:from:to: film.acted_by" in note for note in given.notes)
    types = {"film.directed_by": "director", "film.acted_by": "person"}
    for left, rest in (("film.acted_by", []), ("film.acted_by:item:person", ["film.acted_by:item:director"])):
        less = [one.name for one in world.graph(train, entity_types=types, without=[left]).relations]
        assert less == ["rated", *rest, "film.directed_by", "film.rating"]


def test_inferred_types_have_names_of_their_own(world: World, table: Any) -> None:
    world.write(
        kg=table(KG, "e0 film.genre g1", "e0 book.genre b1", "e1 genre x1", "e1 user y1", "e1 a.place z1"),
        link=table(LINK, "i0 e0", "i1 e1"),
        item=table("item_id:token place:token", *(f"i{n} place{n % 2}" for n in range(10))),
    )
    graph = world.graph()
    ends = {one.name: one.target for one in graph.relations}
    assert ends == {
        "rated": "item",
        "a.place": "a.place",
        "book.genre": "book.genre",
        "film.genre": "film.genre",
        "genre": "genre",
        "user": "user_entity",
        "place": "place",
    }


def test_relations_that_lead_to_items_too_name_no_type(world: World, table: Any) -> None:
    world.write(kg=table(KG, "e0 next e1", "e1 next x2"), link=table(LINK, "i0 e0", "i1 e1", "[PAD] x2"))
    train = world.train()
    graph = world.graph(train)
    assert world.edges(graph, "next:item:item", train) == {("i0", "i1")}
    assert world.edges(graph, "next:item:entity", train) == {("i1", "x2")}


def test_twins_are_one(world: World, table: Any) -> None:
    rows = ["e0 by p0", "e1 by p1", "p0 made e0", "p1 made e1", "e0 author p0", "e1 author p1", "e0 next e1"]
    world.write(kg=table(KG, *rows), link=table(LINK, "i0 e0", "i1 e1"))
    train = world.train()
    graph = world.graph(train)
    assert [one.name for one in graph.relations] == ["rated", "author", "next"]
    assert any("by (author), made (author)" in note for note in graph.notes)
    assert [one.name for one in world.graph(train, twins="keep").relations] == [
        "rated",
        "author",
        "by",
        "made",
        "next",
    ]
    asked = world.graph(train, relations=["made", "next"])
    assert [one.name for one in asked.relations] == ["rated", "made", "next"]
    assert world.edges(asked, "made", train) == {("p0", "i0"), ("p1", "i1")}
    left = world.graph(train, without=["next"])
    assert [one.name for one in left.relations] == ["rated", "author"]


def test_relations_by_one_name_become_one(world: World, table: Any) -> None:
    world.write(kg=table(KG, "e0 by p0", "e1 with p0"), link=table(LINK, "i0 e0", "i1 e1"))
    train = world.train()
    graph = world.graph(train, names={"by": "person", "with": "person"})
    assert world.edges(graph, "person", train) == {("i0", "p0"), ("i1", "p0")}


def test_what_is_odd_in_a_link_is_told(world: World, table: Any) -> None:
    world.write(
        kg=table(KG, "e0 by p0", "e0 by p0", "e1 by p1", "e2 like e2", "e9 by p9"),
        link=table(LINK, "i0 e0", "i1 e0", "i2 e1", "i2 e2", "gone e9"),
    )
    train = world.train()
    with pytest.warns(UserWarning, match="graph: ") as told:
        graph = world.graph(train)
    texts = [str(one.message) for one in told]
    assert sum("1 entities are joined to more than one item" in text for text in texts) == 1
    assert sum("1 items are joined to more than one entity" in text for text in texts) == 1
    notes = "\n".join(graph.notes)
    assert "1 of 5 rows are of items that the data do not have" in notes
    assert "7 of 10 items are joined to no entity" in notes
    assert "1 edges from a node to itself were left out" in notes
    assert "edges that came more than once are one: by" in notes
    assert world.edges(graph, "by:item:by", train) == {("i0", "p0"), ("i1", "p0"), ("i2", "p1")}
    assert world.edges(graph, "by:entity:by", train) == {("e9", "p9")}


def test_a_link_that_fits_nothing_is_told(world: World, table: Any) -> None:
    world.write(kg=table(KG, "e0 by p0"), link=table(LINK, "0 e0"))
    with pytest.warns(UserWarning, match="joins none of the 10 items"):
        world.graph()
    world.write(link=table(LINK, "i0 E0"))
    with pytest.warns(UserWarning, match=r"none of the entities of shop.link is in shop.kg"):
        world.graph()
    (world.folder / "shop.link").unlink()
    with pytest.warns(UserWarning, match="no .link joins"):
        world.graph()


def test_columns_are_found_by_name_and_place(world: World, table: Any) -> None:
    world.write(
        kg=table("relation_id:token tail_id:token head_id:token", "by p0 e0"),
        link=table("entity:token item_id:token", "e0 i0"),
    )
    names = {
        "HEAD_ENTITY_ID_FIELD": "head_id",
        "RELATION_ID_FIELD": "relation_id",
        "TAIL_ENTITY_ID_FIELD": "tail_id",
    }
    train = world.train(**names)
    assert world.edges(world.graph(train), "by", train) == {("i0", "p0")}
    with pytest.raises(UnknownNameError, match=r"TAIL_ENTITY_ID_FIELD: column 'tail_ids'.*mean 'tail_id'"):
        world.graph(world.train(**{**names, "TAIL_ENTITY_ID_FIELD": "tail_ids"}))
    world.write(link=table("entity:token items_id:token", "e0 i0"))
    with pytest.raises(UnknownNameError, match=r"column of items.*Did you mean 'items_id'"):
        world.graph(train)


@pytest.mark.parametrize("model", ["CKE", "KGAT"])
def test_models_that_load_the_graph_see_the_same(world: World, table: Any, model: str) -> None:
    lines = [f"e{n} by p{n % 3}" for n in range(10)]
    world.write(kg=table(KG, *lines), link=table(LINK, *(f"i{n} e{n}" for n in range(10))))
    columns = {
        "inter": ["user_id", "item_id"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
    }
    train = world.train(model, load_col=columns)
    graph = world.graph(train)
    assert graph.counts["item"] == 11
    assert world.edges(graph, "by", train) == {(f"i{n}", f"p{n % 3}") for n in range(10)}
    assert world.edges(graph, "rated", train) == set(TRAIN)


def test_files_that_must_be_there(world: World, table: Any) -> None:
    train = world.train()
    for option in ("kg", "link", "net"):
        world.write(kg=table(KG, "e0 by p0")) if option == "link" else None
        with pytest.raises(DataError, match=rf"{option} = true, and .*shop\.{option} does not exist"):
            world.graph(train, **{option: True})
        with pytest.raises(
            DataError, match=rf"{option} = 'other': there is no such file.*shop\.train\.inter"
        ):
            world.graph(train, **{option: "other"})
    with pytest.raises(DataError, match=r"item_columns names columns, and .* does not exist"):
        world.graph(train, item_columns=["genre"])
    other = world.folder.parent / "other.kg"
    other.write_text(table(KG, "e0 at p0"))
    world.write(link=table(LINK, "i0 e0"))
    assert world.edges(world.graph(train, kg=str(other)), "at", train) == {("i0", "p0")}


def test_names_that_do_not_exist(world: World, table: Any) -> None:
    world.write(kg=table(KG, "e0 directed_by p0"), link=table(LINK, "i0 e0"))
    train = world.train()
    for option in ({"relations": ["directed"]}, {"without": ["directed"]}, {"names": {"directed": "by"}}):
        with pytest.raises(UnknownNameError, match="Did you mean 'directed_by'"):
            world.graph(train, **option)
    with pytest.raises(UnknownNameError, match=r"entity_types: relation 'directed'.*mean 'directed_by'"):
        world.graph(train, entity_types={"directed": "person"})
    world.write(kg=table(KG, "e0 rated p0"))
    with pytest.raises(ConfigurationError, match="called 'rated', as the training interactions"):
        world.graph(train)
    assert world.edges(world.graph(train, names={"rated": "scored"}), "scored", train) == {("i0", "p0")}


def test_options_without_effect_are_told(world: World, table: Any) -> None:
    train = world.train()
    with pytest.warns(UserWarning, match="symmetric = True has no effect with net: false"):
        world.graph(train, net=False, symmetric=True)
    with pytest.warns(UserWarning, match="symmetric has no effect, as there is no .net"):
        world.graph(train, symmetric=True)
    with pytest.warns(UserWarning, match="relations has no effect, as there is no .kg"):
        world.graph(train, relations=["by"])


# ---------------------------------------------------------------------- .net


def test_friends(world: World, table: Any) -> None:
    world.write(
        net=table(
            "source_id:token target_id:token since:float",
            "u0 u1 1",
            "u1 u0 1",
            "u2 u3 2",
            "u4 u4 2",
            "u5 x 3",
            "[PAD] u6 3",
        )
    )
    train = world.train()
    with pytest.warns(
        UserWarning, match=r"2 of 6 edges are of users that the data do not have, such as '.PAD.'"
    ):
        graph = world.graph(train)
    assert world.edges(graph, "friend", train) == {("u0", "u1"), ("u1", "u0"), ("u2", "u3")}
    with pytest.warns(UserWarning, match="4 of 12 edges"):
        both = world.graph(train, symmetric=True, net_name="knows")
    assert world.edges(both, "knows", train) == {("u0", "u1"), ("u1", "u0"), ("u2", "u3"), ("u3", "u2")}
    path = "user -knows-> user -rated-> item"
    assert str(MetaPath.parse(path, both)) == path


@pytest.mark.parametrize(
    ("head", "name"),
    [("user_id friend_id", "friend"), ("user_id:token trusted_id:token", "trusted"), ("from to", "friend")],
)
def test_names_of_the_relation_between_users(world: World, table: Any, head: str, name: str) -> None:
    world.write(net=table(head, "u0 u1"))
    assert [one.name for one in world.graph().relations] == ["rated", name]


def test_relations_without_edges_are_told(world: World, table: Any) -> None:
    world.write(net=table("a b", "u0 nobody"))
    with pytest.warns(UserWarning, match="shop.net gives no edge"):
        graph = world.graph()
    assert [one.name for one in graph.relations] == ["rated"]


# ---------------------------------------------------------------------- lists of edges


def test_lists_of_edges(world: World, tmp_path: Path) -> None:
    world.write(
        tags__csv='who,relation,what\ni0,tag,"dark, slow"\ni1,tag,funny\ni1,mood,funny\nix,tag,odd\ni1,,odd\n'
    )
    frame = pd.DataFrame({"source": ["funny", None, "slow"], "target": ["humour", "x", "pace"]})
    frame.to_parquet(tmp_path / "wider.parquet")
    pd.DataFrame({"source": ["u0"], "target": [7]}).to_parquet(tmp_path / "groups.parquet")
    train = world.train()
    lists = [
        {
            "file": "shop.tags.csv",
            "source": "who",
            "target": "what",
            "source_type": "item",
            "target_type": "tag",
        },
        {"file": "wider.parquet", "source_type": "tag", "target_type": "theme", "name": "about"},
        {"file": "groups.parquet", "source_type": "user", "target_type": "group", "name": "member"},
    ]
    with pytest.warns(UserWarning, match="graph: ") as told:
        graph = world.graph(train, edges=lists)
    texts = "\n".join(str(one.message) for one in told)
    assert "shop.tags.csv: 1 rows with an empty cell" in texts
    assert "shop.tags.csv: 1 of 5 edges are of items that the data do not have, such as 'ix'" in texts
    assert "wider.parquet: 1 rows with an empty cell" in texts
    assert world.edges(graph, "tag", train) == {("i0", "dark, slow"), ("i1", "funny")}
    assert world.edges(graph, "mood", train) == {("i1", "funny")}
    assert world.edges(graph, "about", train) == {("funny", "humour"), ("slow", "pace")}
    assert world.edges(graph, "member", train) == {("u0", "7")}
    assert graph.counts["tag"] == 3  # funny is one node


def test_lists_of_edges_of_entities(world: World, table: Any) -> None:
    world.write(
        kg=table(KG, "e0 by p0"),
        link=table(LINK, "i0 e0", "i1 e1"),
        more__tsv=table("source target", "u0 p0", "u1 e1"),
    )
    train = world.train()
    lists = [{"file": "shop.more.tsv", "source_type": "user", "target_type": "entity", "name": "likes"}]
    graph = world.graph(train, edges=lists, entity_types="one")
    assert world.edges(graph, "likes:user:entity", train) == {("u0", "p0")}
    assert world.edges(graph, "likes:user:item", train) == {("u1", "i1")}
    assert graph.counts["entity"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "tag", "relation": "kind"}, "give name .* or relation"),
        ({"name": "rated"}, "the relation of the interactions"),
        ({"name": "my tag"}, "without white space, such as 'my_tag'"),
        ({"nam": "tag"}, "'nam' is not known. Did you mean 'name'"),
        ({"separator": "ab"}, "give one ASCII character"),
        ({"separator": '"'}, "no quote and no line end"),
        ({"separator": "\n"}, "no quote and no line end"),
        ({"separator": "¦"}, "give one ASCII character"),
    ],
)
def test_bad_lists_of_edges(options: dict[str, Any], said: str) -> None:
    content = {"edges": [{"file": "a.csv", "source_type": "item", "target_type": "tag", **options}]}
    with pytest.raises((ConfigurationError, UnknownNameError), match=said):
        validated(GraphConfig, content, "graph")


def test_columns_of_lists_are_checked(world: World) -> None:
    world.write(tags__csv="item,tag\ni0,x\n")
    ends = {"source_type": "item", "target_type": "tag"}
    for options, said in (
        ({"source": "items", "target": "tag"}, "column 'items' is not known. Did you mean 'item'"),
        ({"source": "item", "target": "tag"}, "column of relations 'relation' is not known"),
    ):
        with pytest.raises(UnknownNameError, match=said):
            world.graph(edges=[{"file": "shop.tags.csv", **ends, **options}])


# ---------------------------------------------------------------------- names and order


def test_labels(world: World, table: Any) -> None:
    world.write(
        kg=table(KG, "e0 by m.1", "e1 by m.2"),
        link=table(LINK, "i0 e0", "i1 e1"),
        item="item_id:token\tname:token_seq\nother\tX\ni0\tToy Story\ni1\t\n",
        names__tsv='entity\tlabel\nm.1\tA "Bob" C\nm.3\tD\n',
    )
    train = world.train()
    graph = world.graph(train, entity_names="shop.names.tsv", item_columns=())
    item = {token: number for number, token in enumerate(train.field2id_token["item_id"])}
    assert [graph.label("item", item[one]) for one in ("i0", "i1", "i2")] == ["Toy Story", "i1", "i2"]
    assert graph.labels["by"] == ['A "Bob" C', "m.2"]
    world.write(itemtext__tsv__gz='item_id\ttitle\ni0\tToy "Story" (1995)\n')
    assert world.graph(train).label("item", item["i0"]) == 'Toy "Story" (1995)'
    assert world.graph(train, titles="name").label("item", item["i0"]) == "Toy Story"
    with pytest.raises(UnknownNameError, match=r"titles: column 'nam'.*Did you mean 'name'"):
        world.graph(train, titles="nam")
    world.write(names__tsv="entity\tlabel\nx\ty\n")
    with pytest.warns(UserWarning, match="names none of the graph's entities"):
        world.graph(train, entity_names="shop.names.tsv")


def test_the_order_of_rows_does_not_count(world: World, table: Any) -> None:
    rows = [f"e{n} {relation} p{(n * n) % 7}" for n in range(10) for relation in ("by", "in")]
    links = [f"i{n} e{n}" for n in range(10)]
    world.write(kg=table(KG, *rows), link=table(LINK, *links))
    train = world.train()
    first = world.graph(train)
    for seed in range(3):
        draw = random.Random(seed)
        world.write(kg=table(KG, *draw.sample(rows, 20)), link=table(LINK, *draw.sample(links, 10)))
        again = world.graph(train)
        assert graph_fingerprint(again) == graph_fingerprint(first)
        assert again.labels == first.labels


def test_fingerprints_tell_graphs_apart() -> None:
    def graph(name: str = "by", targets: tuple[int, ...] = (0, 1), people: int = 2) -> Graph:
        one = Relation.of(name, "item", "person", torch.tensor([1, 2]), torch.tensor(targets))
        return Graph({"user": 2, "item": 3, "person": people}, [one])

    same = graph_fingerprint(graph())
    assert same == graph_fingerprint(graph().to("cpu"))
    others = {graph_fingerprint(one) for one in (graph("in"), graph(targets=(1, 0)), graph(people=3))}
    assert len({same, *others}) == 4
    assert doctest.testmod(sources).failed == 0


def test_without_warnings_where_all_is_well(world: World, table: Any) -> None:
    world.write(
        kg=table(KG, "e0 by p0"),
        link=table(LINK, *(f"i{n} e{n}" for n in range(10))),
        net=table("source_id:token target_id:token", "u0 u1"),
        item=table("item_id:token genre:token", *(f"i{n} g{n % 3}" for n in range(10))),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="graph")
        graph = read_graph(world.train())
    assert [one.name for one in graph.relations] == ["rated", "friend", "by", "genre"]
    assert graph.notes == ()


def test_the_page_names_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "paths.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(GraphConfig.model_fields) <= named


def test_ml_100k() -> None:
    """RecBole's own graph: numbers counted line by line."""
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset

    folder = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"
    config = Config(model="BPR", dataset="ml-100k", config_dict={"show_progress": False})
    train = create_dataset(config).build()[0]
    with pytest.warns(
        UserWarning, match=r"ml-100k.kg was left out, since the .link beside it joins .* of other items"
    ):
        columns = read_graph(train)
    assert {one.name for one in columns.relations} == {
        *("rated", "class", "release_year", "occupation", "gender", "age")
    }
    graph = read_graph(train, GraphConfig(kg=True))
    with (folder / "ml-100k.kg").open() as lines:
        directed = {
            tuple(row[::2]) for row in csv.reader(lines, delimiter="\t") if row[1] == "film.film.directed_by"
        }
    assert len(graph.relation("film.film.directed_by")) == len(directed) == 1727
    assert graph.relation("film.film.directed_by").source == "item"
    assert {"class", "occupation", "gender", "age", "release_year"} <= {one.name for one in graph.relations}
    assert "zip_code" not in {one.name for one in graph.relations}
    assert "film.director.film" not in {one.name for one in graph.relations}
    # Why it is left out unless it is asked for: sequels by it are no sequels.
    sequels = graph.relation("film.film.sequel:item:item")
    pairs = zip(sequels.sources.tolist(), sequels.targets.tolist(), strict=True)
    titles = {(graph.label("item", one), graph.label("item", other)) for one, other in pairs}
    assert any("North by Northwest" in one and "It Takes Two" in other for one, other in titles)


def test_an_id_that_is_called_like_padding(world: World, table: Any) -> None:
    rows = [("[PAD]" if user == "u0" else user, "[PAD]" if item == "i3" else item) for user, item in TRAIN]
    world.interactions("train", rows)
    world.write(
        kg=table(KG, "e0 by p0", "e3 by p0"),
        link=table(LINK, "i0 e0", "[PAD] e3"),
        net=table("source_id:token target_id:token", "[PAD] u1", "u2 [PAD]"),
    )
    graph = world.graph()
    assert world.edges(graph, "rated") == set(rows)
    assert world.edges(graph, "by") == {("i0", "p0"), ("[PAD]", "p0")}
    assert world.edges(graph, "friend") == {("[PAD]", "u1"), ("u2", "[PAD]")}
    assert int(graph.relation("friend").sources.min()) > 0


def test_relations_whose_name_is_blank_are_empty_cells(world: World) -> None:
    world.write(
        kg="head_id:token\trelation_id:token\ttail_id:token\ne0\tby\tp0\ne1\t  \tp0\n",
        link="item_id:token\tentity_id:token\ni0\te0\ni1\te1\n",
    )
    with pytest.warns(UserWarning, match=r"shop\.kg: 1 rows with an empty cell were left out"):
        graph = world.graph()
    assert [one.name for one in graph.relations] == ["rated", "by"]
    assert world.edges(graph, "by") == {("i0", "p0")}


def test_relations_asked_for_twice_count_once(world: World, table: Any) -> None:
    world.write(kg=table(KG, "e0 by p0", "e1 of q0", "e1 to q1"), link=table(LINK, "i0 e0", "i1 e1"))
    notes = " ".join(world.graph(relations=["by", "by"]).notes)
    assert "2 relations are not among `relations`" in notes


@pytest.mark.parametrize(("kind", "meant"), [("items", "item"), ("User", "user"), ("entities", "entity")])
def test_types_that_are_almost_those_of_the_data_are_told(world: World, kind: str, meant: str) -> None:
    (world.folder / "a.csv").write_text("source,target\ni0,x\n")
    edges = [{"file": "a.csv", "source_type": kind, "target_type": "tag", "name": "tagged"}]
    with pytest.warns(UserWarning, match=rf"a\.csv: '{kind}' is a type .* did you mean '{meant}'"):
        assert world.graph(edges=edges).counts[kind] == 1


def test_entities_named_twice_are_told(world: World, table: Any) -> None:
    world.write(kg=table(KG, "e0 by p0", "e1 by p1"), link=table(LINK, "i0 e0", "i1 e1"))
    (world.folder / "names.tsv").write_text("entity\tname\np0\tPaul\np0\tPat\np1\tAnn\n")
    graph = world.graph(entity_names="names.tsv")
    assert list(graph.labels["by"]) == ["Pat", "Ann"]
    assert any("1 rows name an entity that another row names" in note for note in graph.notes)
