"""Reasons as data, as text and as drawings, and what they are of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from random_paths import all_paths, is_simple, random_graph, random_model
from torch.nn import functional

from burnish.enhancers.paths.best_paths import PathFinder
from burnish.enhancers.paths.drawing import SOMEBODY, draw, to_dict, to_text
from burnish.enhancers.paths.graph import Graph, Relation
from burnish.enhancers.paths.groups import groups_of
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.path_model import PathModel
from burnish.enhancers.paths.reasons import reasons_for
from burnish.enhancers.paths.weight_tables import edge_table, metapath_table
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.explanation import as_json

PAIRS = [(user, item) for user in range(1, 6) for item in range(1, 7)]
SVG = "{http://www.w3.org/2000/svg}"


def films(item: str = "Barton Fink (1991)") -> PathModel:
    graph = Graph(
        {"user": 4, "item": 4, "person": 1},
        [
            Relation.of("rated", "user", "item", torch.tensor([1, 1, 2, 2]), torch.tensor([1, 3, 1, 2])),
            Relation.of("director", "item", "person", torch.tensor([1, 2, 3]), torch.tensor([0, 0, 0])),
            Relation.of("writer", "item", "person", torch.tensor([1, 2]), torch.tensor([0, 0])),
        ],
        {
            "user": ["[PAD]", "196", "<b>&7", "8"],
            "item": ["[PAD]", "Fargo (1996)", item, "Blood Simple"],
            "person": ["Joel Coen"],
        },
    )
    texts = [
        "user -rated-> item -director-> person <-director- item",
        "user -rated-> item -writer-> person <-director- item",
        "user -rated-> item <-rated- user -rated-> item",
    ]
    return PathModel(graph, [MetaPath.parse(text, graph) for text in texts], normalise="walk").double()


# ---------------------------------------------------------------------------------------------- reasons


@pytest.mark.parametrize("seed", range(4))
def test_a_reasons_share_is_that_of_all_the_paths_it_stands_for(seed: int) -> None:
    """Each group against all paths that its evidence is of: those through the same nodes but for the free layer."""
    model = random_model(seed, normalise="walk" if seed % 2 else "propagated")
    finder, told = PathFinder(model), 0
    for user, item in PAIRS:
        paths = finder.of(user)
        every = all_paths(model, user, item)
        for reason in reasons_for(finder, user, item, k=5):
            number = [str(path) for path in model.metapaths].index(reason.evidence["metapath"])
            metapath = model.metapaths[number]
            groups = groups_of(paths, number, item)
            group = next(one for one in groups if one.contribution == reason.evidence["contribution"])
            shapes = [
                {place: node for place, node in enumerate(family.one.nodes) if place != group.free}
                for family in group.families
            ]
            common = set(group.at(group.free)) if group.free is not None else None
            own = [
                value
                for which, nodes, value in every
                if which == number
                and is_simple(metapath, nodes)
                and any(all(nodes[place] == node for place, node in shape.items()) for shape in shapes)
                and (len(group.families) == 1 or nodes[group.free] in common)
            ]
            assert reason.evidence["n_paths"] == len(own)
            assert reason.contribution == pytest.approx(sum(own) / paths.score(item), rel=1e-9)
            assert 0 < reason.contribution <= 1
            assert reason.kind == "path"
            assert re.fullmatch(r"[A-Z0-9].*\.", reason.text)
            told += 1
    assert told > 20


def test_reasons_take_turns_among_metapaths_or_go_by_contribution() -> None:
    model = random_model(3)
    finder = PathFinder(model)
    several = 0
    for user, item in PAIRS:
        turns = reasons_for(finder, user, item, k=50)
        sizes = [reason.contribution for reason in reasons_for(finder, user, item, k=50, diverse=False)]
        assert sizes == sorted(sizes, reverse=True)
        assert sorted(sizes) == sorted(reason.contribution for reason in turns)
        kinds = [reason.evidence["metapath"] for reason in turns]
        first = len(set(kinds))
        assert len(set(kinds[:first])) == first  # each once before any twice
        several += first > 1
    assert several > 3


def test_nobody_is_named_in_a_sentence() -> None:
    reasons = reasons_for(films(), 1, 2)
    assert [reason.text for reason in reasons] == [
        "You rated Fargo; it was written by Joel Coen, who also directed Barton Fink.",
        "You rated Fargo and Blood Simple; both were directed by Joel Coen, who also directed Barton Fink.",
        "One person who rated Fargo, as you did, also rated Barton Fink.",
    ]


def test_isolated_pairs_have_no_reason() -> None:
    assert reasons_for(films(), 3, 1) == []
    assert reasons_for(random_model(0), 1, 6) == []


def test_a_returning_path_tells_nothing() -> None:
    """Without leaving paths out that come back, the item itself would be the first reason for itself."""
    model = films()
    known = [reason.text for reason in reasons_for(PathFinder(model, simple=False), 1, 1)]
    assert any("You rated Fargo and" in text and text.endswith("directed Fargo.") for text in known)
    assert all("rated Fargo" not in reason.text for reason in reasons_for(model, 1, 1))


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="k = 0"):
        reasons_for(films(), 1, 2, 0)
    with pytest.raises(ConfigurationError, match="shown = 0"):
        reasons_for(films(), 1, 2, shown=0)
    with pytest.raises(DataError, match="item 9"):
        reasons_for(films(), 1, 9)


# ---------------------------------------------------------------------------------------------- data and text


def test_evidence_is_plain_data_and_adds_up() -> None:
    model = films()
    reasons = reasons_for(model, 1, 2, shown=1)
    assert json.loads(as_json(reasons[1].evidence)) == reasons[1].evidence
    evidence = reasons[1].evidence
    assert (evidence["n_paths"], len(evidence["paths"])) == (2, 1)
    path = evidence["paths"][0]
    assert path["metapath"] == evidence["metapath"] == str(model.metapaths[0])
    assert [(node["type"], node["id"], node["label"]) for node in path["nodes"]] == [
        ("user", 1, "196"),
        ("item", 1, "Fargo (1996)"),
        ("person", 0, "Joel Coen"),
        ("item", 2, "Barton Fink (1991)"),
    ]
    assert [(edge["relation"], edge["direction"]) for edge in path["edges"]] == [
        ("rated", "along"),
        ("director", "along"),
        ("director", "against"),
    ]
    # Two films rated, one director of each, three films of his; a third of the score by each meta-path.
    assert [edge["weight"] for edge in path["edges"]] == pytest.approx([1 / 2, 1, 1 / 3])
    assert path["contribution"] == pytest.approx(1 / 3 * 1 / 6)
    assert np.prod([edge["share"] for edge in path["edges"]]) * path["metapath share"] == pytest.approx(
        path["contribution"]
    )
    assert evidence["contribution"] == pytest.approx(2 * path["contribution"])
    # By director 1/3, by writer 1/3 (what Blood Simple is given is lost), by the other person 1/8; a third of each.
    score = PathFinder(model).of(1).score(2)
    assert score == pytest.approx((1 / 3 + 1 / 3 + 1 / 8) / 3)
    assert path["share of score"] == pytest.approx(path["contribution"] / score)
    assert reasons[1].contribution == pytest.approx(evidence["contribution"] / score)
    # What `burnish explain` reads in a reason's evidence has another meaning there.
    assert not {"score", "share", "item"} & set(evidence)


def test_a_path_on_one_line() -> None:
    finder = PathFinder(films())
    own = [path for path in finder.best(1, 2, 99) if path.metapath == finder.model.metapaths[0]]
    by_director = next(path for path in own if path.nodes[1] == 1)
    assert to_text(finder.graph, by_director) == (
        "196 -rated-> Fargo (1996) -director-> Joel Coen <-director- Barton Fink (1991)"
    )
    with_others = next(path for path in finder.best(1, 2) if path.metapath.collaborative)
    assert to_text(finder.graph, with_others) == (
        f"196 -rated-> Fargo (1996) <-rated- {SOMEBODY} -rated-> Barton Fink (1991)"
    )
    assert "<b>&7" in to_text(finder.graph, with_others, name_others=True)
    odd = PathFinder(films("\x1b[31mBarton\x1b]0;\x07"))
    assert "\x1b" not in to_text(odd.graph, odd.best(1, 2)[0])


def test_names_of_relations_are_obeyed_by_no_terminal_and_break_no_drawing(tmp_path: Path) -> None:
    relation = Relation.of("rated\x1b[31m\x00", "user", "item", torch.tensor([1]), torch.tensor([1]))
    graph = Graph({"user": 2, "item": 2}, [relation])
    model = PathModel(graph, [MetaPath.parse("user -rated\x1b[31m\x00-> item", graph)])
    paths = PathFinder(model).best(1, 1)
    assert to_text(graph, paths[0]) == "user 1 -rated�[31m�-> item 1"
    ElementTree.parse(draw(graph, paths, tmp_path / "paths.svg"))


def test_without_a_score_there_are_no_shares() -> None:
    path = PathFinder(films()).best(1, 2)[0]
    assert "share of score" not in to_dict(films().graph, path)["paths"][0]


# ---------------------------------------------------------------------------------------------- drawings


def drawn(file: Path) -> tuple[ElementTree.Element, list[str]]:
    root = ElementTree.parse(file).getroot()
    return root, [element.text or "" for element in root.iter(f"{SVG}text")]


def test_a_drawing_has_each_node_and_each_edge_once(tmp_path: Path) -> None:
    finder = PathFinder(films('A <title> & "quotes"'))
    paths = finder.best(1, 2)
    file = draw(finder.graph, paths, tmp_path / "paths.svg")
    root, texts = drawn(file)
    # The user, two films that they know, the director, another user, and the film; and between them no line twice.
    assert len(list(root.iter(f"{SVG}rect"))) == 1 + 6
    assert len(list(root.iter(f"{SVG}line"))) == 7
    assert texts.count("-director->") == 2
    assert texts.count("-writer->") == 1
    assert texts.count("Joel Coen") == 1
    assert 'A <title> & "quotes"' in texts
    assert SOMEBODY in texts
    assert "<b>&7" not in texts
    _, texts = drawn(draw(finder.graph, paths, tmp_path / "named.svg", name_others=True))
    assert "<b>&7" in texts


def test_a_drawing_lies_within_its_frame(tmp_path: Path) -> None:
    model = random_model(1)
    finder = PathFinder(model)
    for user, item in PAIRS:
        paths = finder.best(user, item, 8)
        if not paths:
            continue
        root, _ = drawn(draw(model.graph, paths, tmp_path / "one.svg"))
        width, height = float(root.get("width")), float(root.get("height"))
        for box in root.iter(f"{SVG}rect"):
            x, y = float(box.get("x", 0)), float(box.get("y", 0))
            assert x >= 0
            assert y >= 0
            assert x + float(box.get("width").rstrip("%")) <= width
            assert y + float(box.get("height").rstrip("%")) <= height


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    finder = PathFinder(films())
    with pytest.raises(DataError, match="no paths"):
        draw(finder.graph, [], tmp_path / "x.svg")
    with pytest.raises(DataError, match="different users and items"):
        draw(finder.graph, [*finder.best(1, 2), *finder.best(2, 3)], tmp_path / "x.svg")
    with pytest.raises(ConfigurationError, match=r"\.svg"):
        draw(finder.graph, finder.best(1, 2), tmp_path / "x.png")


# ---------------------------------------------------------------------------------------------- tables


def test_shares_of_metapaths() -> None:
    model = films()
    with torch.no_grad():
        model.mixing.copy_(torch.tensor([1.0, 3.0, 2.0]).log())
    assert [(row["share"], row["collaborative"]) for row in metapath_table(model)] == [
        (pytest.approx(1 / 2), False),
        (pytest.approx(1 / 3), True),
        (pytest.approx(1 / 6), False),
    ]
    graph = model.graph
    own = PathModel(graph, model.metapaths, mixture="user")
    with torch.no_grad():
        own.own_mixing[0] = 99.0  # padding is nobody's
        own.own_mixing[1] = torch.tensor([4.0, 1.0, 1.0]).log()
        own.own_mixing[2] = torch.tensor([1.0, 1.0, 2.0]).log()
    rows = {row["metapath"]: row for row in metapath_table(own, torch.tensor([1, 2]))}
    row = rows[str(model.metapaths[0])]
    assert (row["share"], row["least"], row["most"]) == pytest.approx(
        ((2 / 3 + 1 / 4) / 2, 1 / 4, 2 / 3), rel=1e-5
    )
    assert [row["steps"] for row in metapath_table(own)] == [3, 3, 3]
    assert sum(row["share"] for row in metapath_table(own)) == pytest.approx(1.0, rel=1e-5)


def test_edges_that_rose_and_fell() -> None:
    model = films()
    assert edge_table(model) == []  # nothing is learned yet
    rated = model._parameter[model.metapaths[0].steps[0]]
    director = model._parameter[model.metapaths[0].steps[1]]
    with torch.no_grad():
        model.theta[rated].copy_(torch.tensor([0.0, 2.0, -1.0, 0.5]))
        model.theta[director].copy_(torch.tensor([1.0, 0.0, -3.0]))
    rows = edge_table(model, 2)
    assert [(row["relation"], row["from"], row["to"]) for row in rows] == [
        ("rated", "196", "Blood Simple"),
        ("director", "Fargo (1996)", "Joel Coen"),
        ("rated", "<b>&7", "Fargo (1996)"),
        ("director", "Blood Simple", "Joel Coen"),
    ]
    assert [row["times_start"] for row in rows] == pytest.approx(
        [np.log1p(np.exp(theta)) / np.log(2) for theta in (2.0, 1.0, -1.0, -3.0)]
    )
    assert [row["weight"] for row in rows] == pytest.approx(
        [np.log1p(np.exp(x)) for x in (2.0, 1.0, -1.0, -3.0)]
    )
    assert {row["direction"] for row in rows} == {"both"}
    assert len(edge_table(model, 9, relation="rated")) == 3
    # Of several, those that rose most and those that fell most.
    assert [row["times_start"] for row in edge_table(model, 1)] == pytest.approx(
        [np.log1p(np.exp(theta)) / np.log(2) for theta in (2.0, -3.0)]
    )
    with pytest.raises(UnknownNameError, match="'director'"):
        edge_table(model, relation="directors")
    model.rate = 3.0  # the weights are those that walks go by
    (first, _) = edge_table(model, 1)
    assert first["weight"] == pytest.approx(float(functional.softplus(torch.tensor(3.0 * 2.0))))


def test_an_edge_has_a_weight_for_each_direction_where_they_are_not_tied() -> None:
    graph = random_graph(0)
    path = MetaPath.parse("user -rated-> item <-rated- user -rated-> item", graph)
    model = PathModel(graph, [path], tied=False)
    with torch.no_grad():
        model.theta[1][0] = 1.0
    (row,) = edge_table(model)
    assert row["direction"] == "against"
    assert row["from"] == f"user {row['from_id']}"
