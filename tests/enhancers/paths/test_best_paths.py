"""The best paths against all paths, found by plain loops, on small random graphs in float64."""

from __future__ import annotations

import pytest
import torch
from random_paths import METAPATHS, all_paths, is_simple, random_graph, random_model

from burnish.enhancers.paths.best_paths import PathFinder, best_paths
from burnish.enhancers.paths.graph import Graph, Relation
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.path_model import PathModel
from burnish.errors import ConfigurationError, DataError

OPTIONS = [
    {"normalise": normalise, "tied": tied, "mixture": mixture, "returns": returns}
    for normalise in ("propagated", "walk")
    for tied, mixture, returns in ((True, "global", True), (False, "user", True), (True, "global", False))
]
IDS = ["-".join(map(str, one.values())) for one in OPTIONS]
PAIRS = [(user, item) for user in range(1, 6) for item in range(1, 7)]


def found(paths) -> list[tuple[str, tuple[int, ...]]]:
    return [(str(path.metapath), path.nodes) for path in paths]


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
@pytest.mark.parametrize("seed", range(3))
def test_all_paths_and_the_little_everywhere_sum_to_the_score(seed: int, options: dict) -> None:
    model = random_model(seed, **options)
    finder = PathFinder(model, simple=False)
    with torch.no_grad():
        scores = model(torch.arange(1, 6))
    for user, item in PAIRS:
        paths = finder.of(user)
        score = float(scores[user - 1, item])
        assert paths.score(item) == pytest.approx(score, rel=1e-12)
        assert paths.scores()[item] == paths.score(item)
        instances = paths.best(item, 10_000)
        assert sum(path.contribution for path in instances) == pytest.approx(
            paths.by_paths(item).sum(), rel=1e-12
        )
        # What is left is what epsilon brought, unless nothing arrives anywhere, and then it is all there is.
        for number, share in enumerate(paths.shares):
            own = [path for path in instances if path.metapath == model.metapaths[number]]
            assert sum(path.contribution for path in own) == pytest.approx(
                paths.by_paths(item)[number], rel=1e-12, abs=1e-18
            )
            with torch.no_grad():
                alone = model.by_path(torch.tensor([user]))[number][item, 0] * share
            rest = float(alone) - paths.by_paths(item)[number]
            nothing = not any(paths.by_paths(other)[number] for other in range(1, 7))
            assert -1e-15 < rest < 1e-8 or nothing


@pytest.mark.parametrize("simple", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_best_paths_are_the_best_of_all(seed: int, options: dict, simple: bool) -> None:
    model = random_model(seed, **options)
    finder = PathFinder(model, simple=simple)
    several = 0
    for user, item in PAIRS:
        every = [
            (number, nodes, value)
            for number, nodes, value in all_paths(model, user, item)
            if not simple or is_simple(model.metapaths[number], nodes)
        ]
        every.sort(key=lambda one: -one[2])
        for k in (1, 3, 1000):
            best = finder.best(user, item, k, diverse=False)
            assert found(best) == [(str(model.metapaths[number]), nodes) for number, nodes, _ in every[:k]]
            assert [path.contribution for path in best] == pytest.approx(
                [value for _, _, value in every[:k]], rel=1e-12
            )
        several += len(every) > 3
    assert several > 5


@pytest.mark.parametrize("seed", range(3))
def test_diverse_takes_one_of_each_metapath_in_turns(seed: int) -> None:
    model = random_model(seed)
    finder = PathFinder(model)
    for user, item in PAIRS:
        by_number = {
            number: list(finder.of(user).search(number, item)) for number in range(len(model.metapaths))
        }
        expected = []
        for turn in range(max(len(own) for own in by_number.values())):
            there = [own[turn] for own in by_number.values() if turn < len(own)]
            expected += sorted(there, key=lambda path: -path.contribution)
        assert found(finder.best(user, item, 4)) == found(expected[:4])
        assert found(finder.best(user, item, 1000)) == found(expected)


@pytest.mark.parametrize("normalise", ["propagated", "walk"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_the_lists_cut_off_is_on_no_path(most: int, normalise: str) -> None:
    cut, whole = 0, 0
    for seed in range(3):
        model = random_model(seed, METAPATHS[:5], normalise=normalise, most=most)
        finder = PathFinder(model, simple=False)
        with torch.no_grad():
            scores = model(torch.arange(1, 6))
        for user, item in PAIRS:
            paths = finder.of(user)
            assert paths.score(item) == pytest.approx(float(scores[user - 1, item]), rel=1e-12)
            instances = paths.best(item, 1000)
            assert sum(path.contribution for path in instances) == pytest.approx(
                paths.by_paths(item).sum(), rel=1e-12, abs=1e-18
            )
            whole += len(instances)
            cut += len(all_paths(model, user, item)) - len(instances)
    assert whole
    assert cut > 0


def test_a_model_before_training_has_equal_paths_and_gives_them_all() -> None:
    """Ties: as many different paths as there are, none twice."""
    graph = random_graph(0)
    model = PathModel(graph, [MetaPath.parse(text, graph) for text in METAPATHS]).double()
    finder = PathFinder(model)
    for user, item in PAIRS:
        best = finder.best(user, item, 1000)
        every = [one for one in all_paths(model, user, item) if is_simple(model.metapaths[one[0]], one[1])]
        assert len(best) == len(set(found(best))) == len(every)
        assert found(finder.best(user, item, 3)) == found(best[:3])


def test_siblings_are_the_paths_that_differ_in_one_node() -> None:
    model = random_model(2)
    finder = PathFinder(model)
    several = 0
    for user, item in PAIRS:
        every = [one for one in all_paths(model, user, item) if is_simple(model.metapaths[one[0]], one[1])]
        for path in finder.best(user, item, 1000):
            for layer in range(1, len(path.metapath)):
                own = {
                    nodes[layer]: value
                    for number, nodes, value in every
                    if model.metapaths[number] == path.metapath
                    and nodes[:layer] + nodes[layer + 1 :] == path.nodes[:layer] + path.nodes[layer + 1 :]
                }
                siblings = finder.of(user).siblings(path, layer)
                assert dict(zip(siblings.nodes.tolist(), siblings.contributions, strict=True)) == (
                    pytest.approx(own, rel=1e-12)
                )
                assert list(siblings.contributions) == sorted(siblings.contributions, reverse=True)
                several += len(own) > 1
                for node in siblings.nodes:
                    other = finder.of(user).through(path, layer, node)
                    assert other.contribution == pytest.approx(own[int(node)], rel=1e-12)
    assert several > 20


def test_a_blocked_node_is_on_no_further_path() -> None:
    model = random_model(1)
    finder = PathFinder(model)
    blocked = 0
    for user, item in PAIRS:
        paths = finder.of(user)
        for number, metapath in enumerate(model.metapaths):
            every = list(paths.search(number, item))
            for layer in range(1, len(metapath)):
                search = paths.search(number, item)
                first = next(search, None)
                if first is None:
                    continue
                search.block(layer, first.nodes[layer])
                rest = [path for path in every[1:] if path.nodes[layer] != first.nodes[layer]]
                assert found(search) == found(rest)
                blocked += len(rest) < len(every) - 1
    assert blocked > 5


def test_isolated_users_and_items_have_no_path() -> None:
    finder = PathFinder(random_model(0))
    assert finder.best(5, 1) == []  # the last user has no edge
    assert finder.best(1, 6) == []  # nor has the last item
    assert finder.of(5).score(1) > 0


def test_of_a_users_own_item_only_the_interaction_itself_is_told() -> None:
    """You rated A and B, which have one director; B is explained: not by B, nor by a way back to the user."""
    graph = Graph(
        {"user": 3, "item": 4, "person": 1},
        [
            Relation.of("rated", "user", "item", torch.tensor([1, 1, 2, 2]), torch.tensor([1, 2, 1, 2])),
            Relation.of("director", "item", "person", torch.tensor([1, 2]), torch.tensor([0, 0])),
        ],
    )
    texts = (METAPATHS[0], METAPATHS[1], METAPATHS[3])
    model = PathModel(graph, [MetaPath.parse(text, graph) for text in texts])
    assert {path.nodes for path in best_paths(model, 1, 2)} == {(1, 2), (1, 1, 0, 2), (1, 1, 2, 2)}
    every = {path.nodes for path in best_paths(model, 1, 2, simple=False, k=99)}
    assert {(1, 2, 0, 2), (1, 2, 1, 2), (1, 1, 1, 2), (1, 2, 2, 2)} <= every


def test_weights_are_read_once_and_from_any_precision() -> None:
    model = random_model(0)
    exact = PathFinder(model)
    single = PathFinder(random_model(0).float())
    before = exact.of(1).scores()
    with torch.no_grad():
        model.theta[0].add_(3.0)
    assert single.of(1).scores() == pytest.approx(before, rel=1e-5)
    assert list(exact.of(1).scores()) == list(before)
    for user in range(1, 6):  # more users than are remembered come and go
        exact.of(user)
    assert found(exact.best(2, 3)) == found(single.best(2, 3))


@pytest.mark.parametrize(
    ("user", "item", "words"),
    [
        (0, 1, "user 0: internal ids of the graph's users run from 1 to 5"),
        (1, 7, "item 7: internal ids of the graph's items run from 1 to 6"),
    ],
)
def test_who_is_not_in_the_graph_is_named(user: int, item: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        best_paths(random_model(0), user, item)


def test_no_paths_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="k = 0"):
        best_paths(random_model(0), 1, 1, 0)
