"""Names of nodes and relations as sentences have them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import unquote

from burnish.readable import readable

from .graph import ITEM, Graph

Key = TypeVar("Key")

#: Articles that catalogues put behind a title.
_ARTICLES = (
    *("The", "A", "An", "Le", "La", "Les", "L'", "Un", "Une", "Il", "Lo", "I", "Gli", "El", "Los", "Las"),
    *("Der", "Die", "Das", "Ein", "Eine", "De", "Het", "Een", "Den", "Det", "O", "Os", "As"),
)
_ARTICLE_BEHIND = re.compile(rf"^(?P<rest>.+), (?P<article>{'|'.join(map(re.escape, _ARTICLES))})$")
_YEAR = re.compile(r"^(?P<title>.*\S)\s*\((?:\d{4}|\d{4}[-–]\d{0,4})\)$")
_ASIDE = re.compile(r"^(?P<title>.*\S)\s*\((?P<aside>[^()]+)\)$")
#: Ids of knowledge graphs, which are no names: Freebase's and Wikidata's.
_ID = re.compile(r"^(?:/?[mg][./][0-9a-z_]{2,}|[QP]\d+)$")
_ADDRESS = re.compile(r"^<?https?://\S*[/#](?P<name>[^/#>\s]+)>?$")
#: Names that say that nothing is known.
_NOTHING = frozenset(("", "-", "?", "n/a", "na", "nan", "none", "null", "other", "unknown", "[pad]"))
_NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
#: In a title, outside brackets, what could be taken for a part of the sentence; and what could in a row of titles.
_UNCLEAR = re.compile(r"[,;]|[.!?…]$")
_UNCLEAR_IN_A_ROW = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*\([^()]*\)")


def catalogue_title(title: str, *, year: bool = False) -> str:
    """A title as people say it: "Usual Suspects, The (1995)" is The Usual Suspects.

    year: keep it.
    """
    title = readable(title).strip()
    dated = _YEAR.match(title)
    if dated is not None:
        behind = title[len(dated["title"]) :].strip() if year else ""
        return f"{catalogue_title(dated['title'])} {behind}".strip()
    aside = _ASIDE.match(title)
    if aside is not None:
        return f"{catalogue_title(aside['title'])} ({catalogue_title(aside['aside'])})"
    found = _ARTICLE_BEHIND.match(title)
    if found is None:
        return title
    return f"{found['article']}{'' if found['article'].endswith(chr(39)) else ' '}{found['rest']}"


def entity_name(label: str) -> str | None:
    """What people call an entity; None for an id, which is no name."""
    label = label.strip()
    address = _ADDRESS.match(label)
    if address is not None:
        label = unquote(address["name"]).replace("_", " ")
    return None if _ID.match(label) else label


def printable(label: str) -> str:
    """A label without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "�" for sign in label)


def says_nothing(name: str | None) -> bool:
    """Whether a name says that nothing is known, such as "unknown"."""
    return name is not None and name.strip().lower() in _NOTHING


def segments(relation: str) -> list[str]:
    """A relation's name in parts, each in small letters with underscores: film.film.directed_by has three."""
    parts = [part for part in re.split(r"[./#:]+", relation.strip("<>")) if part]
    return [
        re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part)).lower() for part in parts
    ] or [relation]


def relation_words(relation: str) -> str:
    """A relation's name as words: its last part."""
    return printable(segments(relation)[-1].strip("_").replace("_", " ") or relation)


class Names:
    """Names of a graph's nodes in one sentence.

    Parameters
    ----------
    graph
        With its labels.
    titles
        "catalogue" for `catalogue_title`, "plain" for labels as they are.
    quotes
        Whether titles stand in quotation marks; "auto" for all of a sentence where one of them would be unclear.
    """

    def __init__(self, graph: Graph, titles: str = "catalogue", quotes: str = "auto") -> None:
        self.graph, self._titles, self._quotes = graph, titles, quotes

    def items(self, nodes: Iterable[int], *, in_a_row: bool = False) -> dict[int, str]:
        """Names of the items of a sentence; two of one name get their years, or their numbers.

        in_a_row: whether several of them follow each other.
        """
        nodes = list(dict.fromkeys(int(node) for node in nodes))
        named = {node: self._title(node) for node in nodes}
        for clash in _clashes(named):
            named[clash] = self._title(clash, year=True)
        for clash in _clashes(named):
            named[clash] = f"{named[clash]} (no. {clash})"
        if self._quotes == "auto":
            return quoted_where_unclear(named, in_a_row=in_a_row)
        return {node: _in_quotes(name) if self._quotes == "always" else name for node, name in named.items()}

    def _title(self, node: int, *, year: bool = False) -> str:
        if ITEM not in self.graph.labels:  # a number is internal, and must not be taken for the item's own id
            return f"item no. {node}"
        label = printable(self.graph.label(ITEM, node))
        return catalogue_title(label, year=year) if self._titles == "catalogue" else label

    def entity(self, kind: str, node: int) -> str | None:
        """Of a node that is neither user nor item; None where it has none."""
        return entity_name(printable(self.graph.label(kind, node))) if kind in self.graph.labels else None


def quoted_where_unclear(named: dict[Key, str], *, in_a_row: bool = False) -> dict[Key, str]:
    """The titles of one sentence: all in quotation marks where one of them could be taken for a part of it.

    in_a_row: whether several of them follow each other.
    """
    quoted = any(_is_unclear(name, in_a_row) for name in named.values())
    return {key: _in_quotes(name) if quoted else name for key, name in named.items()}


def _clashes(named: dict[int, str]) -> list[int]:
    counts = Counter(named.values())
    return [node for node, name in named.items() if counts[name] > 1]


def _is_unclear(name: str, in_a_row: bool) -> bool:
    bare = _BRACKETS.sub("", name)
    return bool(_UNCLEAR.search(bare) or (in_a_row and _UNCLEAR_IN_A_ROW.search(bare)))


def _in_quotes(title: str) -> str:
    inside = title.replace("“", "‘").replace("”", "’").replace('"', "'")
    return f"“{inside}”"


def number_word(n: int) -> str:
    """Small numbers as words."""
    return _NUMBERS[n] if n < len(_NUMBERS) else f"{n:,}"


def listed(names: list[str], more: int = 0) -> str:
    """Names in a row, the last after "and"; more: how many are not named."""
    parts = [*names, f"{number_word(more)} more"] if more else names
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
