"""The typed result that every explaining enhancer gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from burnish.html_tables import page, table


@dataclass(frozen=True)
class Reason:
    """One reason for a recommendation.

    Attributes
    ----------
    kind
        What sort of evidence it is: "interaction", "attribute", "path", "keyword".
    text
        A sentence for a person.
    contribution
        Its share of the score, in score units where the method is additive, else a weight in [0, 1].
    evidence
        The ids and numbers behind the sentence.
    """

    kind: str
    text: str
    contribution: float
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """Why an item was recommended to a user.

    Attributes
    ----------
    user, item
        Original ids.
    score
        The model's own.
    reasons
        The strongest first.
    title
        The item's name, where the data have names.
    note
        What else is to be known, such as why there are no reasons; empty where there is nothing.
    """

    user: str
    item: str
    score: float
    reasons: tuple[Reason, ...] = ()
    title: str | None = None
    note: str = ""

    def _repr_html_(self) -> str:
        rows = [(reason.text, reason.kind, reason.contribution) for reason in self.reasons]
        parts = [table(("reason", "kind", "contribution"), rows, text=2)] if rows else []
        named = f"{self.title} ({self.item})" if self.title else self.item
        return page(f"{named} for user {self.user}: score {self.score:.4g}", *parts, notes=[self.note])


class Explanations(list[Explanation]):
    """A list of explanations that a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self)
