"""What sentences say of relations: defaults for usual names, and what options put in their place."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from burnish.strict import Strict

from .graph import RATED
from .names import relation_words, segments

#: Singular of a first word, and the verb with which "and so ... C" takes it up.
_SINGULAR = {"are": ("is", "is"), "were": ("was", "was"), "have": ("has", "does"), "do": ("does", "does")}
_PAST = frozenset(
    ("bought", "came", "had", "heard", "held", "made", "read", "sang", "saw", "took", "won", "wrote")
)


class Phrase(Strict):
    """What a sentence says of one relation."""

    many: str = Field(
        description="of several items with {entity}: `are by {entity}`; of a relation between users who they are: "
        "`your friends`; between users and something else what they have in common: `with the same job ({entity})`; "
        "from users to items what they did with the {item}; between items a clause with {item} and {entity}"
    )
    one: str | None = Field(default=None, description="as `many`, of one item; null for its singular")
    also: str | None = Field(
        default=None,
        description="goes on with the recommended {item}, such as `who also wrote {item}`; null for `and so is {item}`",
    )
    noun: str | None = Field(
        default=None, description="what the entity is to the item, where it has no name: `director`"
    )
    several: bool = Field(default=False, description="whether an item has several of them, as actors")

    @field_validator("many", "one", "also")
    @classmethod
    def _only_known_places(cls, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            places = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}; write {{{{ and }}}} for braces") from None
        if not places <= {"entity", "item"}:
            raise ValueError(f"{text!r}: {{entity}} and {{item}} are what can be put in")
        if not text.strip():
            raise ValueError("give words")
        return text.strip()

    def predicate(self, n: int) -> str:
        """Of so many items."""
        if n != 1:
            return self.many
        if self.one is not None:
            return self.one
        first, _, rest = self.many.partition(" ")
        return f"{_singular(first)[0]} {rest}".strip()

    def and_so(self, item: str) -> str:
        """How the clause goes on with the item."""
        if self.also is not None:
            return f", {self.also.format(item=item)}"
        return f", and so {_singular(self.many.partition(' ')[0])[1]} {item}"


def _singular(verb: str) -> tuple[str, str]:
    if verb in _SINGULAR:
        return _SINGULAR[verb]
    if verb.endswith("ed") or verb in _PAST:
        return verb, "did"
    ending = "es" if verb.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return (f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else verb + ending), "does"


def _by_person(verb: str, also: str, noun: str, *, several: bool = False, who: str = "who") -> Phrase:
    return Phrase(many=f"{verb} {{entity}}", also=f"{who} also {also} {{item}}", noun=noun, several=several)


#: Of items and something else.
ENTITIES: dict[str, Phrase] = {
    "director": _by_person("were directed by", "directed", "director"),
    "writer": _by_person("were written by", "wrote", "writer"),
    "author": _by_person("were written by", "wrote", "author"),
    "actor": Phrase(many="feature {entity}", also="who also appears in {item}", noun="actor", several=True),
    "artist": _by_person("are by", "made", "artist"),
    "composer": _by_person("have music by", "wrote the music for", "composer"),
    "producer": _by_person("were produced by", "produced", "producer", several=True),
    "cinematographer": _by_person("were shot by", "shot", "cinematographer"),
    "editor": _by_person("were edited by", "edited", "editor"),
    "studio": _by_person("were made by", "made", "studio", who="which"),
    "publisher": _by_person("were published by", "published", "publisher", who="which"),
    "developer": _by_person("were developed by", "developed", "developer", who="which"),
    "brand": _by_person("are made by", "makes", "brand", who="which"),
    "genre": Phrase(many="are in the genre {entity}", noun="genre", several=True),
    "category": Phrase(many="are in the category {entity}", noun="category", several=True),
    "tag": Phrase(many="are tagged “{entity}”", noun="tag", several=True),
    "subject": Phrase(many="are about {entity}", noun="subject", several=True),
    "series": Phrase(many="belong to the series {entity}", noun="series"),
    "album": Phrase(many="are on the album {entity}", noun="album"),
    "city": Phrase(many="are in {entity}", noun="city"),
    "country": Phrase(many="are from {entity}", noun="country"),
    "language": Phrase(many="are in {entity}", noun="language"),
    "year": Phrase(many="are from {entity}", noun="year"),
    "decade": Phrase(many="are from the {entity}", noun="decade"),
    "nomination": Phrase(many="were nominated for {entity}", noun="nomination", several=True),
    "award": Phrase(many="won {entity}", noun="award", several=True),
    "rating": Phrase(many="have the age rating {entity}", noun="age rating"),
}
#: Of users and something else, who they are that have it in common.
USERS: dict[str, Phrase] = {
    "occupation": Phrase(many="with the same occupation as you ({entity})"),
    "gender": Phrase(many="of the same gender as you ({entity})"),
    "age": Phrase(many="of the same age as you ({entity})"),
    "age_group": Phrase(many="of the same age group as you ({entity})"),
    "city": Phrase(many="in the same place as you ({entity})"),
    "country": Phrase(many="in the same country as you ({entity})"),
    "group": Phrase(many="in the same group as you ({entity})"),
}
#: Of users and users; along the relation, and against it.
PEOPLE: dict[str, tuple[Phrase, Phrase]] = {
    "friend": (Phrase(many="your friends"), Phrase(many="your friends")),
    "follow": (Phrase(many="the people you follow"), Phrase(many="the people who follow you")),
    "trust": (Phrase(many="the people you trust"), Phrase(many="the people who trust you")),
}
#: Of items and items: {item} is the recommended one, {entity} those that the user knows.
ITEMS: dict[str, tuple[Phrase, Phrase]] = {
    "sequel": (
        Phrase(many="{item} is a sequel to {entity}"),
        Phrase(many="{item} comes before {entity}"),
    ),
    "prequel": (Phrase(many="{item} comes before {entity}"), Phrase(many="{item} comes after {entity}")),
    "similar": (Phrase(many="{item} is similar to {entity}"), Phrase(many="{item} is similar to {entity}")),
    "also_bought": (Phrase(many="{item} is often bought with {entity}"),) * 2,
    "also_viewed": (Phrase(many="{item} is often looked at with {entity}"),) * 2,
}
#: Other names of the same.
_ALIASES = {
    "director": "directors directed_by film_director",
    "writer": "writers written_by screenwriter screenplay story_by screenplay_by",
    "author": "authors authored_by",
    "actor": "actors starring stars cast cast_member star acted_by film_actor performance",
    "artist": "artists performer performed_by singer band musician musical_artist recorded_by",
    "composer": "composers music music_by composed_by music_composer",
    "producer": "producers produced_by film_producer executive_produced_by",
    "cinematographer": "cinematography cinematographers",
    "editor": "editors edited_by",
    "studio": "production_company production_companies distributor distributed_by company studios",
    "publisher": "publishers published_by",
    "developer": "developers developed_by",
    "brand": "brands manufacturer maker made_by",
    "genre": "genres class film_genre type types",
    "category": "categories cat cats subcategory department",
    "tag": "tags keyword keywords",
    "subject": "subjects film_subject topic topics theme themes",
    "series": "franchise film_series part_of_series",
    "album": "albums",
    "city": "cities location locations place neighbourhood neighborhood state loc zip_code",
    "country": "countries country_of_origin origin nationality",
    "language": "languages original_language",
    "year": "years release_year publication_year date released release_date",
    "decade": "decades",
    "nomination": "award_nomination award_nominations nominations nominated_for",
    "award": "awards award_won awards_won",
    "rating": "content_rating age_rating mpaa_rating certificate",
    "occupation": "job profession occupations",
    "gender": "sex",
    "age": "ages",
    "age_group": "age_groups age_range",
    "group": "groups member_of community",
    "friend": "friends friendship knows social",
    "follow": "follows following",
    "trust": "trusts trusted",
    "sequel": "sequels followed_by",
    "prequel": "prequels preceded_by",
    "similar": "similar_to related related_to similar_items",
    "also_bought": "bought_together frequently_bought_together buy_after_viewing",
    "also_viewed": "also_view viewed_together",
}
_KNOWN = {other: name for name, others in _ALIASES.items() for other in (*others.split(), name)}


def usual_name(relation: str, to_entity: bool = True) -> str | None:
    """What a relation is usually called, such as "director" for film.film.directed_by; None where it is not known.

    Of names in three parts, as Freebase's, the last one says what the relation leads to, and the one before it from
    what it comes.  to_entity: whether it leads to what is to be named.
    """
    parts = segments(relation)[-2:]
    for part in parts[::-1] if to_entity else parts:
        for name in (part, re.sub(r"^(?:has|is)_", "", part)):
            if name in _KNOWN:
                return _KNOWN[name]
    return None


class Wording(Strict):
    """How reasons are put into sentences."""

    interaction: str = Field(
        default="rated {item}",
        description="what users did with items, in the past tense: `liked {item}`, `rated {item} highly`",
    )
    phrases: dict[str, Phrase] = Field(
        default={}, description="by relation what is said of it; a text stands for {many: text}"
    )
    titles: Literal["catalogue", "plain"] = Field(
        default="catalogue",
        description="catalogue: `Usual Suspects, The (1995)` is read as The Usual Suspects; plain: as it is",
    )
    quotes: Literal["auto", "always", "never"] = Field(
        default="auto", description="titles in quotation marks; auto: where they would be unclear"
    )
    named: int = Field(
        default=2,
        ge=1,
        description="items that are named of those that are alike; one more if it is the last",
    )

    @field_validator("phrases", mode="before")
    @classmethod
    def _texts(cls, phrases: Any) -> Any:
        if not isinstance(phrases, Mapping):
            return phrases
        return {
            "_".join(str(name).split()): {"many": one} if isinstance(one, str) else one
            for name, one in phrases.items()
        }

    @field_validator("interaction")
    @classmethod
    def _has_a_place(cls, text: str) -> str:
        places = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        if places != ["item"]:
            raise ValueError(
                f"{text!r}: give a verb in the past tense with {{item}}, such as `liked {{item}}`"
            )
        return text.strip()


@dataclass(frozen=True)
class Phrases:
    """The phrases of relations under a wording."""

    wording: Wording

    def interaction(self, relation: str) -> str:
        """What users did with {item}."""
        if relation == RATED:
            return self.wording.interaction
        own, words = self.wording.phrases.get(relation), _plain(relation_words(relation))
        if own is not None:
            return own.many.replace("{entity}", "{item}")
        return (
            f"{words} {{item}}"
            if words.endswith("ed") or words in _PAST
            else f"interacted with {{item}} ('{words}')"
        )

    def of_entity(self, relation: str, to_entity: bool) -> Phrase:
        """Of items and something else."""
        default = ENTITIES.get(usual_name(relation, to_entity) or "")
        if default is None:
            words = _plain(relation_words(relation))
            default = Phrase(many=f"are linked to {{entity}} by '{words}'", noun=f"'{words}'")
        own = self.wording.phrases.get(relation)
        if own is None:
            return default
        return own if own.noun is not None else own.model_copy(update={"noun": default.noun})

    def of_users(self, relation: str, to_entity: bool) -> Phrase:
        """Of users and something else."""
        own = self.wording.phrases.get(relation) or USERS.get(usual_name(relation, to_entity) or "")
        words = _plain(relation_words(relation))
        return own or Phrase(many=f"with the same {words} as you ({{entity}})")

    def of_people(self, relation: str, along: bool) -> Phrase:
        """Of users and users."""
        own, both = self.wording.phrases.get(relation), PEOPLE.get(usual_name(relation) or "")
        if own is None and both is not None:
            return both[0 if along else 1]
        return own or Phrase(many=f"the people linked to you by '{_plain(relation_words(relation))}'")

    def of_items(self, relation: str, along: bool) -> Phrase:
        """Of items and items."""
        own, both = self.wording.phrases.get(relation), ITEMS.get(usual_name(relation) or "")
        if own is None and both is not None:
            return both[0 if along else 1]
        words = _plain(relation_words(relation))
        return own or Phrase(many=f"{{item}} is linked to {{entity}} by '{words}'")


def _plain(words: str) -> str:
    """Without what a template would read."""
    return words.replace("{", "(").replace("}", ")")
