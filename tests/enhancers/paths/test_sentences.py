"""Sentences on small graphs, word by word."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.paths.best_paths import PathFinder
from burnish.enhancers.paths.graph import Graph, Relation
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.names import catalogue_title, entity_name, listed, relation_words
from burnish.enhancers.paths.path_model import PathModel
from burnish.enhancers.paths.phrases import Phrase, Wording, usual_name
from burnish.enhancers.paths.reasons import reasons_for
from burnish.errors import BurnishError
from burnish.strict import validated

TITLES = ["", "Fargo (1996)", "Blood Simple", "Usual Suspects, The (1995)", "Big Lebowski, The", "Heat", "Up"]
RATED = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 4), (3, 1), (3, 2), (3, 4), (4, 2), (4, 1), (4, 4)]


def said(
    metapath: str,
    *relations: tuple[str, str, str, list[tuple[int, int]]],
    item: int = 4,
    rated: list[tuple[int, int]] = RATED,
    entities: list[str] | None = None,
    titles: list[str] | None = TITLES,
    wording: Wording | None = None,
    user: int = 1,
    k: int = 3,
) -> list[str]:
    """Sentences on one meta-path, for user 1 and The Big Lebowski."""
    labels = {} if titles is None else {"item": titles}
    if entities is not None:
        labels["thing"] = entities
    ends = [("rated", "user", "item", rated), *relations]
    graph = Graph(
        {"user": 9, "item": 7 if titles is None else len(titles), "thing": len(entities or range(3))},
        [Relation.of(name, a, b, *torch.tensor(pairs).reshape(-1, 2).T) for name, a, b, pairs in ends],
        labels,
    )
    model = PathModel(graph, [MetaPath.parse(metapath, graph)])
    return [reason.text for reason in reasons_for(model, user, item, k, wording=wording)]


def shared(relation: str, pairs, entity: str = "Joel Coen", **options) -> list[str]:
    """By way of one thing that items have in common."""
    metapath = f"user -rated-> item -{relation}-> thing <-{relation}- item"
    return said(metapath, (relation, "item", "thing", pairs), entities=[entity], **options)


ONE, TWO, THREE = [(1, 0), (4, 0)], [(1, 0), (2, 0), (4, 0)], [(1, 0), (2, 0), (3, 0), (4, 0)]


@pytest.mark.parametrize(
    ("relation", "pairs", "entity", "sentence"),
    [
        ("director", ONE, "Joel Coen", "it was directed by Joel Coen, who also directed The Big Lebowski."),
        ("director", TWO, "Joel Coen", "both were directed by Joel Coen, who also directed The Big Lebowski."),
        ("director", THREE, "Joel Coen", "all three were directed by Joel Coen, who also directed The Big Lebowski."),
        ("film.film.directed_by", ONE, "P", "it was directed by P, who also directed The Big Lebowski."),
        ("starring", TWO, "P", "both feature P, who also appears in The Big Lebowski."),
        ("actor", ONE, "P", "it features P, who also appears in The Big Lebowski."),
        ("hasGenre", TWO, "Comedy", "both are in the genre Comedy, and so is The Big Lebowski."),
        ("decade", ONE, "1990", "it is from the 1990s, and so is The Big Lebowski."),
        ("release_year", ONE, "1996", "it is from 1996, and so is The Big Lebowski."),
        ("film.film.language", ONE, "French Language", "it is in French, and so is The Big Lebowski."),
        ("country", TWO, "Iran", "both are from Iran, and so is The Big Lebowski."),
        ("author", ONE, "P", "it was written by P, who also wrote The Big Lebowski."),
        ("artist", TWO, "P", "both are by P, who also made The Big Lebowski."),
        ("brand", ONE, "P", "it is made by P, which also makes The Big Lebowski."),
        ("award_won", TWO, "an Oscar", "both won an Oscar, and so did The Big Lebowski."),
        ("rating", ONE, "R", "it has the age rating R, and so does The Big Lebowski."),
        ("tag", ONE, "dark", "it is tagged “dark”, and so is The Big Lebowski."),
        ("shot_on", TWO, "film", "both are linked to film by 'shot on', and so is The Big Lebowski."),
        ("made.of{x}", ONE, "film", "it is linked to film by 'of(x)', and so is The Big Lebowski."),
        ("http://dbpedia.org/ontology/director", ONE, "http://dbpedia.org/resource/Joel_Coen",
         "it was directed by Joel Coen, who also directed The Big Lebowski."),
    ],
)  # fmt: skip
def test_what_items_share(relation: str, pairs, entity: str, sentence: str) -> None:
    named = {1: "Fargo", 2: "Fargo and Blood Simple", 3: "Fargo, Blood Simple and The Usual Suspects"}
    assert shared(relation, pairs, entity) == [f"You rated {named[len(pairs) - 1]}; {sentence}"]


def test_an_entity_without_a_name_is_not_named() -> None:
    assert shared("director", ONE, "m.0bln8") == ["You rated Fargo; The Big Lebowski has the same director."]
    assert shared("director", TWO, "Q25191") == [
        "You rated Fargo and Blood Simple; The Big Lebowski has the same director."
    ]
    assert shared("actor", TWO, "/m/0bln8") == [
        "You rated Fargo and Blood Simple; The Big Lebowski shares an actor with both."
    ]
    assert shared("actor", ONE, "g.11b") == ["You rated Fargo; The Big Lebowski shares an actor with it."]
    assert shared("shot_on", ONE, "m.0bln8") == ["You rated Fargo; The Big Lebowski has the same 'shot on'."]


@pytest.mark.parametrize("entity", ["unknown", "None", "", "N/A"])
def test_a_name_that_says_nothing_is_no_reason(entity: str) -> None:
    metapath = "user -rated-> item -genre-> thing <-genre- item"
    genres = ("genre", "item", "thing", [(1, 0), (4, 0), (2, 1), (4, 1)])
    assert said(metapath, genres, entities=[entity, "Comedy"]) == [
        "You rated Blood Simple; it is in the genre Comedy, and so is The Big Lebowski."
    ]


def test_many_items_are_counted() -> None:
    titles = ["", *(f"Film {number}" for number in range(1, 30))]
    for known, shown in (
        (4, "Film 1, Film 2 and two more"),
        (6, "Film 1, Film 2 and four more"),
        (20, "Film 1, Film 2 and 18 more"),
    ):
        rated = [(1, item) for item in range(1, known + 1)]
        pairs = [(item, 0) for item in range(1, 30)]
        assert shared("director", pairs, "P", rated=rated, titles=titles, item=29) == [
            f"You rated {shown}; all of them were directed by P, who also directed Film 29."
        ]
    own = Wording(named=1)
    assert shared("director", THREE, "P", wording=own) == [
        "You rated Fargo and two more; all three were directed by P, who also directed The Big Lebowski."
    ]
    assert shared("director", TWO, "P", wording=own) == [
        "You rated Fargo and Blood Simple; both were directed by P, who also directed The Big Lebowski."
    ]


def test_two_relations_that_meet_in_one_entity() -> None:
    director, actor = ("director", "item", "thing", [(1, 0)]), ("actor", "item", "thing", [(4, 0)])
    metapath = "user -rated-> item -director-> thing <-actor- item"
    assert said(metapath, director, actor, entities=["P"]) == [
        "You rated Fargo; it was directed by P, who also appears in The Big Lebowski."
    ]
    assert said(metapath, director, actor, entities=["m.0x"]) == [
        "You rated Fargo; The Big Lebowski has as actor what it has as director."
    ]
    tag = ("tag", "item", "thing", [(4, 0)])
    assert said("user -rated-> item -director-> thing <-tag- item", director, tag, entities=["P"]) == [
        "You rated Fargo; it was directed by P, and The Big Lebowski is tagged “P”."
    ]


def test_a_relation_that_leads_to_items() -> None:
    for name in ("film.director.film", "directed"):
        relation = (name, "thing", "item", [(0, 1), (0, 4)])
        metapath = f"user -rated-> item <-{name}- thing -{name}-> item"
        sentence = said(metapath, relation, entities=["P"])[0]
        known = "it was directed by P, who also directed The Big Lebowski."
        assert sentence == (
            f"You rated Fargo; {known}" if name != "directed" else
            "You rated Fargo; it is linked to P by 'directed', and so is The Big Lebowski."
        )  # fmt: skip


def test_other_people_are_counted_and_never_named() -> None:
    metapath = "user -rated-> item <-rated- user -rated-> item"
    both = "Two people who rated Fargo and Blood Simple, as you did, also rated The Big Lebowski."
    assert said(metapath, k=1) == [both]  # user 2 has not rated Blood Simple
    one = [(1, 1), (2, 1), (2, 4)]
    assert said(metapath, rated=one) == [
        "One person who rated Fargo, as you did, also rated The Big Lebowski."
    ]
    two = [(1, 1), (1, 2), (2, 1), (2, 4), (3, 1), (3, 4), (4, 2), (4, 4)]
    assert said(metapath, rated=two) == [
        "Two people who rated Fargo, as you did, also rated The Big Lebowski.",
        "One person who rated Blood Simple, as you did, also rated The Big Lebowski.",
    ]
    liked = Wording(interaction="rated {item} highly")
    assert said(metapath, k=1, wording=liked) == [
        "Two people who rated Fargo and Blood Simple highly, as you did, also rated The Big Lebowski highly."
    ]


def test_friends() -> None:
    metapath, friends = (
        "user -friend-> user -rated-> item",
        ("friend", "user", "user", [(1, 2), (1, 3), (2, 5)]),
    )
    assert said(metapath, friends) == ["Two of your friends rated The Big Lebowski."]
    assert said(metapath, ("friend", "user", "user", [(1, 2)])) == [
        "One of your friends rated The Big Lebowski."
    ]
    back = "user <-follows- user -rated-> item"
    assert said(back, ("follows", "user", "user", [(2, 1)])) == [
        "One of the people who follow you rated The Big Lebowski."
    ]
    unknown = "user -met_at-> user -rated-> item"
    assert said(unknown, ("met_at", "user", "user", [(1, 2)])) == [
        "One of the people linked to you by 'met at' rated The Big Lebowski."
    ]
    further = "user -friend-> user -friend-> user -rated-> item"
    assert said(further, ("friend", "user", "user", [(1, 6), (6, 2), (6, 3)])) == [
        "Two of your friends’ friends rated The Big Lebowski."
    ]
    mixed = "user -friend-> user -follows-> user -rated-> item"
    assert said(mixed, ("friend", "user", "user", [(1, 6)]), ("follows", "user", "user", [(6, 2)])) == [
        "One person linked to you through your friends rated The Big Lebowski."
    ]


def test_people_who_are_like_the_user() -> None:
    metapath = "user -{0}-> thing <-{0}- user -rated-> item"
    jobs = [(1, 0), (2, 0), (3, 0), (4, 1)]
    assert said(
        metapath.format("occupation"), ("occupation", "user", "thing", jobs), entities=["writer", "x"]
    ) == ["Two people with the same occupation as you (writer) rated The Big Lebowski."]
    assert said(
        metapath.format("shoe_size"), ("shoe_size", "user", "thing", jobs), entities=["43", "44"]
    ) == ["Two people with the same shoe size as you (43) rated The Big Lebowski."]
    assert said(metapath.format("city"), ("city", "user", "thing", jobs), entities=["m.0x", "m.0y"]) == [
        "Two people in the same place as you rated The Big Lebowski."
    ]


def test_items_that_are_linked_directly() -> None:
    metapath = "user -rated-> item {} item"
    pairs = [(1, 4)]
    assert said(metapath.format("-sequel->"), ("sequel", "item", "item", pairs)) == [
        "You rated Fargo; The Big Lebowski is a sequel to it."
    ]
    assert said(metapath.format("<-sequel-"), ("sequel", "item", "item", [(4, 1)])) == [
        "You rated Fargo; The Big Lebowski comes before it."
    ]
    assert said(metapath.format("-similar->"), ("similar", "item", "item", [(1, 4), (2, 4)])) == [
        "You rated Fargo and Blood Simple; The Big Lebowski is similar to both."
    ]
    assert said(metapath.format("-next_to->"), ("next_to", "item", "item", pairs)) == [
        "You rated Fargo; The Big Lebowski is linked to it by 'next to'."
    ]
    assert said("user -rated-> item", rated=[(1, 4)]) == ["You rated The Big Lebowski."]


def test_longer_ways() -> None:
    director = ("director", "item", "thing", [(2, 0), (4, 0)])
    rated = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert said(
        "user -rated-> item <-rated- user -rated-> item -director-> thing <-director- item",
        director, rated=rated, entities=["Joel Coen"],
    ) == [
        "You rated Fargo, and two others who did also rated Blood Simple; it was directed by Joel Coen, who also "
        "directed The Big Lebowski."
    ]  # fmt: skip
    assert said(
        "user -rated-> item <-rated- user -rated-> item <-rated- user -rated-> item",
        rated=[(1, 1), (2, 1), (2, 2), (3, 2), (3, 4)],
    ) == ["You rated Fargo, and others who did also rated Blood Simple; one person who rated it also rated "
          "The Big Lebowski."]  # fmt: skip
    assert said(
        "user -friend-> user -rated-> item -director-> thing <-director- item",
        ("friend", "user", "user", [(1, 2)]), director, rated=[(2, 2)], entities=["P"],
    ) == [
        "One of your friends rated Blood Simple; it was directed by P, who also directed The Big Lebowski."
    ]  # fmt: skip
    genre = ("genre", "item", "thing", [(1, 1), (2, 1)])
    assert said(
        "user -rated-> item -genre-> thing <-genre- item -director-> thing <-director- item",
        director, genre, rated=[(1, 1)], entities=["P", "Crime"],
    ) == ["You rated Fargo; it is in the genre Crime, and so is Blood Simple; it was directed by P, who also directed "
          "The Big Lebowski."]  # fmt: skip


def test_kinds_of_paths_that_have_no_sentence_of_their_own() -> None:
    born = ("born_in", "thing", "thing", [(0, 2), (1, 2)])
    director = ("director", "item", "thing", [(1, 0), (4, 1)])
    names = ["Joel Coen", "Someone", "Minnesota"]
    assert said(
        "user -rated-> item -director-> thing -born_in-> thing <-born_in- thing <-director- item",
        director, born, entities=names,
    ) == ["You rated Fargo; it is linked to The Big Lebowski through Joel Coen (director), Minnesota (born in) and "
          "Someone (born in)."]  # fmt: skip
    lives = ("lives_in", "user", "thing", [(1, 2)])
    place = ("place", "item", "thing", [(4, 2)])
    assert said("user -lives_in-> thing <-place- item", lives, place, entities=names) == [
        "The Big Lebowski is linked to you through Minnesota (lives in)."
    ]


def test_interactions_of_other_kinds() -> None:
    bought = ("bought", "user", "item", [(2, 4), (3, 4)])
    assert said("user -rated-> item <-rated- user -bought-> item", bought, k=1) == [
        "Two people who rated Fargo, as you did, also bought The Big Lebowski."
    ]
    seen = ("wish", "user", "item", [(2, 1), (2, 4)])
    assert said("user -rated-> item <-wish- user -wish-> item", seen) == [
        "You rated Fargo, and one person who interacted with it ('wish') also interacted with The Big Lebowski "
        "('wish')."
    ]


def test_options() -> None:
    own = Wording(interaction="liked {item}", phrases={"director": "are by {entity}"})
    assert shared("director", TWO, "P", wording=own) == [
        "You liked Fargo and Blood Simple; both are by P, and so is The Big Lebowski."
    ]
    full = Wording(phrases={"x": {"many": "go to {entity}", "also": "where {item} goes, too"}})
    assert shared("x", TWO, "P", wording=full) == [
        "You rated Fargo and Blood Simple; both go to P, where The Big Lebowski goes, too."
    ]
    plain = Wording(titles="plain", quotes="always")
    assert shared("director", ONE, "P", wording=plain) == [
        "You rated “Fargo (1996)”; it was directed by P, who also directed “Big Lebowski, The”."
    ]
    friends = ("friend", "user", "user", [(1, 2)])
    assert said(
        "user -friend-> user -rated-> item", friends, wording=Wording(phrases={"friend": "your mates"})
    ) == ["One of your mates rated The Big Lebowski."]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interaction": "liked"}, "with {item}"),
        ({"interaction": "liked {item} {item}"}, "with {item}"),
        ({"phrases": {"director": "are by {person}"}}, "{entity} and {item}"),
        ({"phrases": {"director": "are by {entity"}}, "braces"),
        ({"phrases": {"director": "  "}}, "give words"),
        ({"phrase": {}}, "Did you mean 'phrases'?"),
        ({"titles": "short"}, "titles"),
        ({"named": 0}, "named"),
    ],
)
def test_options_that_cannot_be(options: dict, words: str) -> None:
    with pytest.raises(BurnishError, match=words.replace("{", r"\{").replace("?", r"\?")):
        validated(Wording, options, "wording")


def test_titles_that_would_be_unclear_are_quoted() -> None:
    odd = [
        "",
        "Good, Bad and Ugly, The",
        "What?",
        'A "B" C',
        "Crime and Punishment",
        "Plain",
        "Mars Attacks!",
    ]
    assert shared("director", TWO, "P", titles=odd) == [
        "You rated “The Good, Bad and Ugly” and “What?”; both were directed by P, who also directed "
        "“Crime and Punishment”."
    ]
    assert shared("director", [(3, 0), (4, 0)], "P", titles=odd) == [
        'You rated A "B" C; it was directed by P, who also directed Crime and Punishment.'
    ]
    assert shared("director", [(3, 0), (6, 0)], "P", titles=odd, item=6) == [
        "You rated “A 'B' C”; it was directed by P, who also directed “Mars Attacks!”."
    ]
    never = Wording(quotes="never")
    assert shared("director", [(3, 0), (6, 0)], "P", titles=odd, item=6, wording=never) == [
        'You rated A "B" C; it was directed by P, who also directed Mars Attacks!'
    ]


def test_two_items_of_one_name_are_told_apart() -> None:
    again = ["", "Sabrina (1995)", "Sabrina", "Heat", "Sabrina (1954)"]
    assert shared("director", ONE, "P", titles=again) == [
        "You rated Sabrina (1995); it was directed by P, who also directed Sabrina (1954)."
    ]
    same = ["", "Heat", "Up", "It", "Heat"]
    assert shared("director", ONE, "P", titles=same) == [
        "You rated Heat (no. 1); it was directed by P, who also directed Heat (no. 4)."
    ]


def test_without_names_of_items_their_numbers_are_not_taken_for_ids() -> None:
    """`burnish explain` reads "item 4" as the item's own id."""
    assert shared("director", ONE, "P", titles=None) == [
        "You rated item no. 1; it was directed by P, who also directed item no. 4."
    ]


def test_a_terminal_obeys_no_name() -> None:
    titles = ["", "\x1b[31mFargo\x07", "Up", "It", "Big\nLebowski"]
    assert shared("director", ONE, "P\x1b]0;x", titles=titles) == [
        "You rated �[31mFargo�; it was directed by P�]0;x, who also directed Big Lebowski."
    ]
    (text,) = shared("made\x1b[31m\x00", ONE, "P")
    assert text.isprintable()
    assert "'made�[31m�'" in text


@pytest.mark.parametrize(
    ("title", "read"),
    [
        ("Usual Suspects, The (1995)", "The Usual Suspects"),
        ("Horseman, The (Hussard sur le toit, Le) (1995)", "The Horseman (Le Hussard sur le toit)"),
        ("Postino, Il", "Il Postino"),
        ("Avventura, L'", "L'Avventura"),
        ("Seven (Se7en) (1995)", "Seven (Se7en)"),
        ("Godfather: Part II, The", "The Godfather: Part II"),
        ("Cats, Dogs", "Cats, Dogs"),
        ("(1995)", "(1995)"),
        ("1984", "1984"),
        ("The Thing, The", "The The Thing"),
        (" Fargo ", "Fargo"),
        ("", ""),
    ],
)  # fmt: skip
def test_catalogue_titles(title: str, read: str) -> None:
    assert catalogue_title(title) == read


def test_names() -> None:
    assert catalogue_title("Usual Suspects, The (1995)", year=True) == "The Usual Suspects (1995)"
    assert [entity_name(one) for one in ("m.0bln8", "Q42", "M.A.S.H.", "Q", " x ")] == [
        None,
        None,
        "M.A.S.H.",
        "Q",
        "x",
    ]
    assert entity_name("<http://dbpedia.org/resource/Am%C3%A9lie_(film)>") == "Amélie (film)"
    assert relation_words("http://x.org/isDirectedBy") == "is directed by"
    assert [usual_name(one) for one in ("isDirectedBy", "has_genre", "film.director.film", "zzz")] == [
        "director", "genre", "director", None,
    ]  # fmt: skip
    assert usual_name("film.actor.film", to_entity=False) == "actor"
    assert listed(["A", "B"], 0) == "A and B"
    assert listed(["A"], 13) == "A and 13 more"


@pytest.mark.parametrize(
    ("many", "one", "so"),
    [
        ("are x", "is x", "is"),
        ("were x", "was x", "was"),
        ("have x", "has x", "does"),
        ("carry x", "carries x", "does"),
        ("play x", "plays x", "does"),
        ("match x", "matches x", "does"),
        ("starred x", "starred x", "did"),
        ("won x", "won x", "did"),
    ],
)
def test_predicates(many: str, one: str, so: str) -> None:
    phrase = Phrase(many=many)
    assert (phrase.predicate(2), phrase.predicate(1)) == (many, one)
    assert phrase.and_so("C") == f", and so {so} C"


def test_the_finder_serves_several_pairs_and_the_strongest_comes_first() -> None:
    graph = Graph(
        {"user": 3, "item": 4, "thing": 2},
        [
            Relation.of("rated", "user", "item", torch.tensor([1, 1]), torch.tensor([1, 2])),
            Relation.of("genre", "item", "thing", torch.tensor([1, 2, 3, 3]), torch.tensor([0, 1, 0, 1])),
        ],
        {"item": ["", "A", "B", "C"], "thing": ["Comedy", "Drama"]},
    )
    model = PathModel(graph, [MetaPath.parse("user -rated-> item -genre-> thing <-genre- item", graph)])
    with torch.no_grad():
        model.theta[0][1] = 3.0
    finder = PathFinder(model)
    reasons = reasons_for(finder, 1, 3)
    assert ["Drama" in reason.text for reason in reasons] == [True, False]
    assert reasons_for(finder, 1, 3, k=1) == reasons[:1]
    assert reasons_for(finder, 1, 3, diverse=False) == reasons
    assert sum(reason.contribution for reason in reasons) == pytest.approx(1.0, abs=1e-8)
