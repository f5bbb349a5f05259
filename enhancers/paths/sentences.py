"""Groups of paths as sentences that a person would say.

A meta-path is read from item to item: how the user comes to the first one, then a clause for each way on to the next.
Other users are counted, never named.
"""

from __future__ import annotations

from .graph import ITEM, USER, Graph, Step
from .groups import PathGroup
from .names import Names, listed, number_word, relation_words
from .phrases import Phrases, Wording, usual_name

#: Letters that data sets have for genders.
_GENDERS = {"m": "male", "f": "female"}


class Writer:
    """Writes sentences about one graph.

    Parameters
    ----------
    graph
        Whose nodes are named.
    wording
        By default that of `Wording()`.
    """

    def __init__(self, graph: Graph, wording: Wording | None = None) -> None:
        self.graph, self.wording = graph, wording or Wording()
        self.names = Names(graph, self.wording.titles, self.wording.quotes)
        self.phrases = Phrases(self.wording)

    def sentence(self, group: PathGroup) -> str:
        """One sentence on a group of paths, with a capital and a full stop."""
        return _finished(_Sentence(self, group).text())


class _Sentence:
    """The sentence on one group, in the making."""

    def __init__(self, writer: Writer, group: PathGroup) -> None:
        self.graph, self.phrases, self.names = writer.graph, writer.phrases, writer.names
        self.wording, self.group, self.path = writer.wording, group, group.metapath
        self.nodes = group.one.nodes
        #: Layers of items: the sentence goes from one to the next.
        self.stops = [layer for layer, kind in enumerate(self.path.types) if kind == ITEM]
        first = self.stops[0]
        self.known = group.at(first) if first == 1 else [self.nodes[first]]
        shown = self.wording.named if len(self.known) > self.wording.named + 1 else len(self.known)
        self.shown, self.more = self.known[:shown], len(self.known) - shown
        last = [self.nodes[stop] for stop in self.stops[1:]]
        self.titles = self.names.items([*self.shown, *last], in_a_row=len(self.shown) > 1)

    def text(self) -> str:
        if self.path.types == (USER, ITEM, USER, ITEM) and self._as_you_did(1):
            return self._people_like_you()
        text = self._start()
        for begin, end in zip(self.stops, self.stops[1:], strict=False):
            others = begin == 1 and self.path.types[begin + 1 : end] == (USER,)
            text += f"{', and ' if others else '; '}{self._clause(begin, end)}"
        return text

    def _as_you_did(self, begin: int) -> bool:
        """Whether other users interacted with the first item in the same way as the user."""
        return begin == 1 and self._step(1) == self._step(2).back()

    # ------------------------------------------------------------------ names

    def _title(self, layer: int) -> str:
        return self.titles[self.nodes[layer]]

    def _known(self) -> str:
        """The items with which the sentence begins, by name."""
        return listed([self.titles[node] for node in self.shown], self.more)

    def _did(self, layer: int, items: str) -> str:
        """What a user did with items, by the step that leads to them or back from them to the layer."""
        return self.phrases.interaction(self._step(layer).relation).format(item=items)

    def _step(self, layer: int) -> Step:
        """The step to a layer."""
        return self.path.steps[layer - 1]

    def _entity(self, layer: int) -> str | None:
        name = self.names.entity(self.path.types[layer], self.nodes[layer])
        step = self._step(layer)
        usual = usual_name(step.relation, not step.inverse)
        if name is not None and usual == "decade" and name.isdigit():
            return f"{name}s"
        if name is not None and usual == "gender":
            return _GENDERS.get(name.lower(), name)
        if name is not None and usual == "language":
            return name.removesuffix(" Language")
        return name

    def _people(self, layer: int) -> int | None:
        """How many users there are at a layer, where they are counted."""
        return len(self.group.at(layer)) if layer == self.group.free else None

    def _subject(self, begin: int) -> tuple[str, int]:
        """The pronoun for what a clause begins with, which has just been named; and how many these are."""
        n = len(self.known) if begin == self.stops[0] else 1
        return {1: "it", 2: "both", 3: "all three"}.get(n, "all of them"), n

    # ------------------------------------------------------------------ how it begins

    def _people_like_you(self) -> str:
        people = _counted(self._people(2))
        return f"{people} who {self._did(2, self._known())}, as you did, also {self._did(3, self._title(3))}"

    def _start(self) -> str:
        """From the user to the first item."""
        first, types = self.stops[0], self.path.types[: self.stops[0] + 1]
        if first == 1:
            return f"you {self._did(1, self._known())}"
        did = self._did(first, self._title(first))
        if types == (USER, USER, ITEM):
            return f"{self._of(self._friends(1), self._people(1))} {did}"
        if types == (USER, USER, USER, ITEM):
            if usual_name(self._step(1).relation) == usual_name(self._step(2).relation) == "friend":
                return f"{self._of('your friends’ friends', self._people(2))} {did}"
            return f"{_counted(self._people(2))} linked to you through {self._friends(1)} {did}"
        if len(types) == 4 and types[2] == USER and self._step(2) == self._step(1).back():
            return f"{_counted(self._people(2))} {self._alike()} {did}"
        return f"{self._title(first)} is linked to you{self._through(0, first)}"

    def _friends(self, layer: int) -> str:
        step = self._step(layer)
        return self.phrases.of_people(step.relation, not step.inverse).many

    def _alike(self) -> str:
        """What other users have in common with the user."""
        step, name = self._step(1), self._entity(1)
        phrase = self.phrases.of_users(step.relation, not step.inverse).many
        if name is None:
            return phrase.replace(" ({entity})", "").format(entity="yours")
        return phrase.format(entity=name)

    @staticmethod
    def _of(people: str, n: int | None) -> str:
        return f"some of {people}" if n is None else f"{number_word(n)} of {people}"

    # ------------------------------------------------------------------ how it goes on

    def _clause(self, begin: int, end: int) -> str:
        """From one item to the next."""
        between = self.path.types[begin + 1 : end]
        if not between:
            return self._direct(begin, end)
        if len(between) == 1 and between[0] == USER:
            return self._others(begin, end)
        if len(between) == 1:
            return self._shared(begin, end)
        subject, n = self._subject(begin)
        return f"{subject} {_is(n)} linked to {self._title(end)}{self._through(begin, end)}"

    def _direct(self, begin: int, end: int) -> str:
        step = self._step(end)
        phrase = self.phrases.of_items(step.relation, not step.inverse)
        return phrase.many.format(item=self._title(end), entity=self._subject(begin)[0])

    def _others(self, begin: int, end: int) -> str:
        n, target = self._people(begin + 1), self._did(end, self._title(end))
        if self._as_you_did(begin):
            return f"{_counted(n, 'one other', 'others')} who did also {target}"
        return f"{_counted(n)} who {self._did(begin + 1, self._subject(begin)[0])} also {target}"

    def _shared(self, begin: int, end: int) -> str:
        there, back = self._step(begin + 1), self._step(end)
        subject, n = self._subject(begin)
        phrase = self.phrases.of_entity(there.relation, not there.inverse)
        other = self.phrases.of_entity(back.relation, back.inverse)
        name, item, alike = self._entity(begin + 1), self._title(end), phrase == other
        if name is None:
            return self._nameless(subject, n, item, phrase.noun, other.noun, alike, phrase.several)
        clause = f"{subject} {phrase.predicate(n).format(entity=name)}"
        if alike or other.also is not None:
            return clause + other.and_so(item)
        return f"{clause}, and {item} {other.predicate(1).format(entity=name)}"

    @staticmethod
    def _nameless(
        subject: str, n: int, item: str, noun: str | None, other: str | None, alike: bool, several: bool
    ) -> str:
        noun, other = noun or "link", other or "link"
        if not alike:
            return f"{item} has as {other} what {subject} {'has' if n == 1 else 'have'} as {noun}"
        if several:
            return f"{item} shares {_a(noun)} with {subject}"
        return f"{item} has the same {noun}"

    def _through(self, begin: int, end: int) -> str:
        """What lies between two layers, for kinds of paths that have no sentence of their own."""
        parts = []
        for layer in range(begin + 1, end):
            words = relation_words(self._step(layer).relation)
            if self.path.types[layer] == USER:
                parts.append("another person")
            else:
                name = self._entity(layer)
                parts.append(f"{_a(words)}" if name is None else f"{name} ({words})")
        return f" through {listed(parts)}" if parts else ""


def _counted(n: int | None, one: str = "one person", many: str = "people") -> str:
    """So many other users, or some."""
    if n is None:
        return many
    return one if n == 1 else f"{number_word(n)} {many}"


def _is(n: int) -> str:
    return "is" if n == 1 else "are"


def _a(noun: str) -> str:
    return f"{'an' if noun.strip(chr(39))[:1].lower() in 'aeiou' else 'a'} {noun}"


def _finished(text: str) -> str:
    """With a capital, and with a full stop where nothing else ends it."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?', '…')) else '.'}"
