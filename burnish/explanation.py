"""The typed result that every explaining enhancer gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reason:
    """One reason for a recommendation.

    kind: what sort of evidence it is ("interaction", "attribute", "path", "keyword").
    text: a sentence for a person.
    contribution: its share of the score, in score units where the method is additive, else a weight in [0, 1].
    evidence: the ids and numbers behind the sentence.
    """

    kind: str
    text: str
    contribution: float
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """Why `item` was recommended to `user` (original tokens), strongest reason first.

    score: the model's own.  title: the item's name, where the data have names.  note: what else is to be known, such as
    why there are no reasons; empty where there is nothing.
    """

    user: str
    item: str
    score: float
    reasons: tuple[Reason, ...] = ()
    title: str | None = None
    note: str = ""
