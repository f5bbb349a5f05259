"""Mined meta-paths: figures against loops over the path model's walks, what is hidden, and the choice."""

from __future__ import annotations

import dataclasses
import doctest
import math

import pytest
import torch
from torch import Tensor

from burnish.enhancers.paths import mining, trial
from burnish.enhancers.paths.candidates import candidates
from burnish.enhancers.paths.graph import Graph, Relation, Step
from burnish.enhancers.paths.learned_paths import walked
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.mining import Mined, mine, mined_rows
from burnish.enhancers.paths.options import WalkConfig
from burnish.enhancers.paths.path_model import PathModel, reach
from burnish.enhancers.paths.trial import Hidden, Trial, hide
from burnish.errors import ConfigurationError, DataError, UnknownNameError

from .conftest import World

N_USERS, N_ITEMS, AT = 41, 31, 5


def taste(seed: int = 0, n_genres: int = 3) -> Graph:
    """Users who like one genre each; a colour that has nothing to do with it; friends; a user and an item alone."""
    draw = torch.Generator().manual_seed(seed)

    def some(n: int, low: int, high: int) -> Tensor:
        return torch.randint(low, high, (n,), generator=draw)

    genre = some(N_ITEMS, 0, n_genres)
    users = torch.arange(1, N_USERS - 1).repeat_interleave(9)
    items = some(len(users), 1, N_ITEMS - 1)
    liked = (genre[items] == users % n_genres) | (torch.rand(len(users), generator=draw) < 0.25)
    all_items = torch.arange(1, N_ITEMS - 1)
    return Graph(
        {"user": N_USERS, "item": N_ITEMS, "genre": n_genres, "colour": 5},
        [
            Relation.of("rated", "user", "item", users[liked], items[liked]),
            Relation.of("genre", "item", "genre", all_items, genre[all_items]),
            Relation.of("colour", "item", "colour", all_items, some(len(all_items), 0, 5)),
            Relation.of("friend", "user", "user", some(60, 1, N_USERS - 1), some(60, 1, N_USERS - 1)),
        ],
    )


def edges(graph: Graph) -> set[tuple[int, int]]:
    rated = graph.relation("rated")
    return set(zip(rated.sources.tolist(), rated.targets.tolist(), strict=True))


GRAPH = taste()


# ---------------------------------------------------------------------- what is hidden


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_a_share_of_each_users_interactions_is_hidden(share):
    hidden = hide(GRAPH, 1000, share, 0)
    gone = list(zip(hidden.users[hidden.rows].tolist(), hidden.items.tolist(), strict=True))
    assert len(gone) == len(set(gone))
    assert edges(hidden.rest) == edges(GRAPH) - set(gone)
    assert set(gone) <= edges(GRAPH)
    assert torch.equal(hidden.rows, hidden.rows.sort().values)
    for user in range(N_USERS):
        n = sum(one == user for one, _ in edges(GRAPH))
        wanted = 0 if n < 2 else min(max(round(n * share), 1), n - 1)
        assert sum(one == user for one, _ in gone) == wanted
    assert hidden.rest.relation("genre") is GRAPH.relation("genre")


def test_users_and_what_is_hidden_are_drawn_by_the_seed():
    one, same, other = (hide(GRAPH, 10, 0.3, seed) for seed in (4, 4, 5))
    assert len(one.users) == 10
    for name in ("users", "rows", "items"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.users, other.users)
    everybody = [hide(GRAPH, 1000, 0.3, seed) for seed in (4, 5)]
    assert torch.equal(everybody[0].users, everybody[1].users)
    assert edges(everybody[0].rest) != edges(everybody[1].rest)
    seen = torch.stack(
        [torch.bincount(hide(GRAPH, 10, 0.3, seed).users, minlength=N_USERS) for seed in range(60)]
    )
    degrees = GRAPH.adjacency(Step("rated")).degrees()
    assert torch.equal(seen.sum(0) > 0, degrees >= 2)  # each of them is drawn at times, with 10 of 39


def test_a_hidden_interaction_is_no_way_to_its_item():
    """Nobody has an item in common, so that only a user's own hidden edges could lead to what was hidden."""
    users = torch.arange(1, 11).repeat_interleave(5)
    rated = Relation.of("rated", "user", "item", users, torch.arange(1, 51))
    graph = Graph({"user": 11, "item": 51}, [rated])
    hidden = hide(graph, 100, 0.2, 0)
    path = MetaPath.parse("user -rated-> item <-rated- user -rated-> item", graph)
    popular, (seen,), _ = Trial(hidden, [path], 10, 0).run(None)
    assert (seen.found, seen.reached, sum(map(len, seen.hits))) == (0, 0, 0)
    assert popular.found == 0  # nor is it popular any more


# ---------------------------------------------------------------------- the figures


def by_hand(hidden: Hidden, probabilities: Tensor, seen: trial.Found, at: int) -> dict[str, Tensor]:
    """Figures of each user from lists in the order of the probabilities, in which equal ones may come in any order.

    Of the places that were given it is seen that they are possible.  probabilities: `[n, n_items]`.
    """
    known = edges(hidden.rest)
    given = dict(zip(torch.cat(seen.hits).tolist(), torch.cat(seen.places).tolist(), strict=True))
    figures: dict[str, list[float]] = {"precision": [], "ndcg": [], "users": [], "reached": [], "found": []}
    for row, user in enumerate(hidden.users.tolist()):
        here = {
            item: float(probabilities[row, item]) for item in range(1, N_ITEMS) if (user, item) not in known
        }
        reached = {item: value for item, value in here.items() if value > 0}
        places = []
        mine = [number for number, one in enumerate(hidden.rows.tolist()) if one == row]
        for number in mine:
            value = here[int(hidden.items[number])]
            above = sum(other > value * (1 + 1e-6) for other in reached.values())
            beside = sum(abs(other - value) <= value * 1e-6 for other in reached.values())
            if number in given:
                assert value > 0
                assert above + 1 <= given[number] <= min(above + beside, at)
                places.append(given[number])
            else:
                assert value == 0 or above + beside > at
        assert len(set(places)) == len(places)
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(mine), at) + 1))
        figures["precision"].append(len(places) / at)
        figures["ndcg"].append(sum(1 / math.log2(place + 1) for place in places) / ideal)
        figures["users"].append(float(bool(reached)))
        figures["reached"].append(len(reached))
        figures["found"].append(sum(int(hidden.items[number]) in reached for number in mine))
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in figures.items()}


@pytest.mark.parametrize("small_batches", [False, True])
def test_figures_are_those_of_the_strict_walk_with_equal_weights(small_batches, monkeypatch):
    if small_batches:
        monkeypatch.setattr(trial, "_CELLS", N_USERS * 6 * 7)
    seed = 3
    hidden = hide(GRAPH, 1000, 0.3, seed)
    looked = Trial(hidden, candidates(GRAPH, 4), AT, seed)
    assert (looked.batch == 7) is small_batches
    popular, seen, paths = looked.run(None)
    mined = {
        one.metapath: one for one in mine(GRAPH, longest=4, keep=99, share=0.3, at=AT, seed=seed, diverse=0.0)
    }
    popularity = torch.bincount(hidden.rest.relation("rated").targets, minlength=N_ITEMS).double()
    floor = by_hand(hidden, popularity.expand(len(hidden.users), -1), popular, AT)
    assert len(looked.metapaths) > 10
    for path, one, n_paths in zip(looked.metapaths, seen, paths, strict=True):
        walk = PathModel(hidden.rest, [path], normalise="walk").double()
        probabilities = torch.where(
            reach(hidden.rest, path, hidden.users) > 0, walk(hidden.users).detach(), 0.0
        )
        wanted = by_hand(hidden, probabilities, one, AT)
        assert n_paths == pytest.approx(float(reach(hidden.rest, path, hidden.users).sum(1).mean()))
        if path not in mined:
            assert not wanted["ndcg"].any()
            continue
        got = mined[path]
        for name in ("precision", "ndcg", "users", "reached"):
            assert getattr(got, name) == pytest.approx(float(wanted[name].mean())), name
        assert got.found == pytest.approx(float(wanted["found"].sum()) / len(hidden.rows))
        assert got.paths == n_paths
        assert got.popular_precision == pytest.approx(float(floor["precision"].mean()))
        assert got.popular_ndcg == pytest.approx(float(floor["ndcg"].mean()))
        lift = wanted["ndcg"] - floor["ndcg"]
        assert got.lift == pytest.approx(float(lift.mean()))
        assert got.error == pytest.approx(float(lift.std(correction=1)) / math.sqrt(len(lift)))
        assert got.collaborative is path.collaborative
    assert len(mined) > 5


def test_equal_probabilities_come_in_any_order():
    """Forty items of one genre, alike to the walk: the hidden one is as often in the first half as in the second."""
    items = torch.arange(1, 41)
    rated = Relation.of(
        "rated",
        "user",
        "item",
        torch.arange(1, 201).repeat_interleave(2),
        torch.randint(1, 41, (400,), generator=torch.Generator().manual_seed(1)),
    )
    genre = Relation.of("genre", "item", "genre", items, torch.zeros(40).long())
    graph = Graph({"user": 201, "item": 41, "genre": 1}, [rated, genre])
    path = MetaPath.parse("user -rated-> item -genre-> genre <-genre- item", graph)
    hidden = hide(graph, 1000, 0.2, 0)
    _, (seen,), _ = Trial(hidden, [path], 40, 0).run(None)
    places = torch.cat(seen.places).double()
    assert len(places) == len(hidden.rows)
    assert abs(float(places.mean()) - 20) < 4 * 40 / math.sqrt(12 * len(places))
    other = torch.cat(Trial(hidden, [path], 40, 1).run(None)[1][0].places)
    assert not torch.equal(places.long(), other.long())


# ---------------------------------------------------------------------- the choice


def test_what_the_users_go_by_is_found():
    first, *others = mine(GRAPH, longest=3, share=0.3, at=AT)
    genre = MetaPath.parse("user -rated-> item -genre-> genre <-genre- item", GRAPH)
    colour = MetaPath.parse("user -rated-> item -colour-> colour <-colour- item", GRAPH)
    every = {one.metapath: one for one in mine(GRAPH, longest=3, share=0.3, at=AT, diverse=0.0, keep=99)}
    assert every[genre].lift > 2 * every[genre].error > 0
    assert every[colour].lift < every[genre].lift
    assert first.ndcg == max(one.ndcg for one in every.values())
    assert first.added == pytest.approx(first.ndcg)
    assert all(one.added <= one.ndcg for one in others)


def test_the_best_ones_or_those_that_find_what_others_do_not():
    best = mine(GRAPH, longest=4, keep=99, diverse=0.0)
    figures = [one.ndcg for one in best]
    assert figures == sorted(figures, reverse=True)
    assert [one.added for one in best] == pytest.approx(figures)
    assert mine(GRAPH, longest=4, keep=3, diverse=0.0) == best[:3]
    different = mine(GRAPH, longest=4, keep=99)
    assert different[0].metapath == best[0].metapath
    added = [one.added for one in different]
    assert added == sorted(added, reverse=True)
    assert len(different) < len(best)  # some find nothing that others do not
    assert sum(added) <= 1


def test_a_copy_is_not_chosen_until_it_adds_something():
    """The same genres once more, but for an item that nobody knows: other edges, the same lists but for chance."""
    genre = GRAPH.relation("genre")
    copy = Relation.of(
        "kind",
        "item",
        "genre",
        torch.cat([genre.sources, torch.tensor([30])]),
        torch.cat([genre.targets, torch.tensor([0])]),
    )
    graph = Graph(GRAPH.counts, [*GRAPH.relations, copy])
    ways = {
        f"user -rated-> item -{there}-> genre <-{back}- item"
        for there in ("genre", "kind")
        for back in ("genre", "kind")
    }
    assert {str(one.metapath) for one in mine(graph, at=AT, share=0.3, diverse=0.0, keep=4)} == ways
    different = [str(one.metapath) for one in mine(graph, at=AT, share=0.3, keep=4)]
    assert len(ways & set(different)) == 1
    assert len(different) == 4


def test_the_same_numbers_by_the_same_seed():
    assert mine(GRAPH) == mine(taste())
    assert [one.ndcg for one in mine(GRAPH)] != [one.ndcg for one in mine(GRAPH, seed=1)]


def test_nothing_but_the_graph_is_drawn_from_or_changed():
    state, before = torch.get_rng_state(), edges(GRAPH)
    mine(GRAPH)
    assert torch.equal(state, torch.get_rng_state())
    assert edges(GRAPH) == before


@pytest.mark.parametrize("cells", [2**25, 2000])
def test_progress_comes_to_its_end(cells, monkeypatch):
    monkeypatch.setattr(trial, "_CELLS", cells)
    told: list[tuple[int, int]] = []
    mine(GRAPH, longest=4, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert (
        told[-1][0] == told[-1][1] == len(candidates(GRAPH, 4)) * (1 if cells > 2000 else math.ceil(39 / 8))
    )


def test_walks_that_lead_nowhere_are_done_with():
    """Nobody who rated anything has a tag, from which several meta-paths go on."""
    rated = Relation.of("rated", "user", "item", torch.tensor([1, 1, 2, 2]), torch.tensor([1, 2, 2, 3]))
    wears = Relation.of("wears", "user", "tag", torch.tensor([3, 4, 4]), torch.tensor([0, 0, 1]))
    tag = Relation.of("tag", "item", "tag", torch.tensor([1, 2, 3]), torch.tensor([0, 0, 1]))
    graph = Graph({"user": 5, "item": 4, "tag": 2}, [rated, wears, tag])
    assert sum("user -wears-> tag" in str(path) for path in candidates(graph, 4)) > 2
    told: list[tuple[int, int]] = []
    for one in mine(graph, longest=4, progress=lambda done, total: told.append((done, total))):
        assert "wears" not in str(one.metapath)
    assert told[-1] == (len(candidates(graph, 4)),) * 2


def test_the_table_has_popularity_in_its_last_row():
    mined = mine(GRAPH, keep=2)
    rows = mined_rows(mined)
    assert [row["meta-path"] for row in rows] == [*(str(one.metapath) for one in mined), "popularity"]
    assert rows[0]["collaborative"] is mined[0].collaborative
    fields = {field.name for field in dataclasses.fields(Mined)}
    for name in fields & rows[0].keys():
        assert rows[0][name] == getattr(mined[0], name)
    assert (rows[-1]["precision"], rows[-1]["ndcg"]) == (mined[0].popular_precision, mined[0].popular_ndcg)
    assert mined_rows([]) == []


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": 0}, "keep = 0: give a whole number"),
        ({"users": 0}, "users = 0"),
        ({"at": 0}, "at = 0"),
        ({"longest": 0}, "longest = 0"),
        ({"share": 0.0}, "share = 0.0: give a number between 0 and 1"),
        ({"share": 1.0}, "share = 1.0"),
        ({"share": math.nan}, "share = nan"),
        ({"diverse": -0.1}, "diverse = -0.1: give a number"),
        ({"diverse": 1.5}, "diverse = 1.5: give a number from 0 to 1"),
    ],
)
def test_options_out_of_their_range_are_refused(options, said):
    with pytest.raises(ConfigurationError, match=said):
        mine(GRAPH, **options)


def test_graphs_that_cannot_be_mined_are_refused():
    one_each = Relation.of("rated", "user", "item", torch.tensor([1, 2, 3]), torch.tensor([1, 1, 2]))
    tag = Relation.of("tag", "item", "tag", torch.tensor([1, 2]), torch.tensor([0, 0]))
    with pytest.raises(DataError, match="no user has two training interactions"):
        mine(Graph({"user": 4, "item": 3, "tag": 1}, [one_each, tag]))
    with pytest.raises(DataError, match="no meta-path of up to 2 steps"):
        mine(Graph({"user": 4, "item": 3}, [one_each]), longest=2)
    with pytest.raises(UnknownNameError, match=r"relation 'rated' is not known\. Did you mean 'rate'"):
        mine(Graph({"user": 4, "item": 3}, [dataclasses.replace(one_each, name="rate")]))
    with pytest.raises(UnknownNameError, match="'rated' is not known"):
        mine(Graph({"item": 3}, []))
    genre = Relation.of("rated", "item", "genre", torch.tensor([1]), torch.tensor([0]))
    with pytest.raises(DataError, match="no nodes of type 'user'"):
        mine(Graph({"item": 3, "genre": 1}, [genre]))


def test_a_single_user_has_no_standard_error():
    rated = Relation.of("rated", "user", "item", torch.tensor([1, 1, 1]), torch.tensor([1, 2, 3]))
    tag = Relation.of("tag", "item", "tag", torch.tensor([1, 2, 3]), torch.tensor([0, 0, 0]))
    (one,) = mine(Graph({"user": 2, "item": 4, "tag": 1}, [rated, tag]))
    assert one.ndcg == 1
    assert math.isnan(one.error)


def test_examples_run():
    assert doctest.testmod(mining) == (0, 8)


def test_where_nothing_is_found_the_way_out_is_told(world: World) -> None:
    """Each user has two items, which one other user each has, too: no way leads from one of them to the other."""
    world.interactions(
        "train", [(f"u{user}", f"i{item % 8}") for user in range(8) for item in (user, user + 1)]
    )
    for part in ("valid", "test"):
        world.interactions(part, [(f"u{user}", f"i{(user + 3) % 8}") for user in range(8)])
    with pytest.raises(
        DataError, match=r"enhancer 'paths': .* up to longest = 3 steps none finds any.*give metapaths"
    ):
        walked("enhancer 'paths'", WalkConfig(), world.train(), 0)
