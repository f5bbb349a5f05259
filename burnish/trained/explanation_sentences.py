"""What a person would say of a recommendation: one sentence, the strongest and most telling reason first."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.enhancers.guided.wording import attribute_words, spoken_words
from burnish.enhancers.paths.names import catalogue_title, quoted_where_unclear
from burnish.explanation import Explanation, Reason
from burnish.readable import readable

#: Items of a history that a sentence names.
NAMED = 3
#: By so much less counts a reason that everybody has, such as a film that every user has seen.
COMMON = 0.5


def sentence(one: Explanation) -> str:
    """Why the item is recommended, as a sentence of what is in the reasons and of nothing else; empty without any.

    Reasons of one kind are told together, kinds in their own order; then what speaks against the item, and how sure the
    model is.
    """
    why = [reason for reason in one.reasons if reason.kind != "uncertainty"]
    good = [reason for reason in why if reason.contribution >= 0]
    bad = [reason for reason in why if reason.contribution < 0]
    told = [_told(kind, most_telling(good, kind)) for kind in dict.fromkeys(reason.kind for reason in good)]
    if bad:
        told.append(_against(max(bad, key=lambda reason: -reason.contribution), nothing_for=not good))
    told += [reason.text for reason in one.reasons if not reason.counts][:1]
    return readable(" ".join(text for text in told if text))


def most_telling(reasons: Sequence[Reason], kind: str) -> list[Reason]:
    """The reasons of a kind, the most telling first: by contribution, less where many users have the same reason."""
    own = [reason for reason in reasons if reason.kind == kind]
    return sorted(own, key=lambda reason: -telling(reason))


def telling(reason: Reason) -> float:
    """The size of a contribution, less where many users have the same reason."""
    share = reason.evidence.get("chosen_by", 0.0)
    return abs(reason.contribution) * (1 - COMMON * float(share))


def _told(kind: str, reasons: Sequence[Reason]) -> str:
    first = reasons[0]
    if kind == "interaction" and all("item" in one.evidence for one in reasons):
        named = reasons[:NAMED]
        return f"Because you chose {_row(_titles(named))}{_about(named)}."
    if kind == "attribute" and {"attribute", "item_score", "user_score"} <= first.evidence.keys():
        # A second one that weighs half as much is told, too.
        told = [one for one in reasons[:2] if one.contribution >= first.contribution / 2]
        return f"It {'; it '.join(_attribute(one) for one in told)}."
    return first.text


def _against(reason: Reason, *, nothing_for: bool) -> str:
    start = "Nothing listed speaks for it; against it speaks" if nothing_for else "Against it speaks"
    if reason.kind == "interaction" and "item" in reason.evidence:
        return f"{start} that you chose {_titles([reason])[0]}{_about([reason])}."
    if reason.kind == "attribute" and {"attribute", "item_score", "user_score"} <= reason.evidence.keys():
        return f"{start} that it {_attribute(reason)}."
    return reason.text


def _about(reasons: Sequence[Reason]) -> str:
    """What these items of a history say together about attributes: parts of contributions add up."""
    parts = [reason.evidence.get("by_attribute", {}) for reason in reasons]
    if not all(parts) or any(one.keys() != parts[0].keys() for one in parts):
        return ""
    together = {
        "by_attribute": {name: sum(float(one[name]) for one in parts) for name in parts[0]},
        "beside_attributes": sum(float(reason.evidence["beside_attributes"]) for reason in reasons),
    }
    says = "they say" if len(reasons) > 1 else "it says"
    words = spoken_words(
        together, sum(reason.contribution for reason in reasons), by=f"for what {says} about"
    )
    return f", {words}" if words else ""


def _attribute(reason: Reason) -> str:
    evidence = reason.evidence
    scores = float(evidence["item_score"]), float(evidence["user_score"])
    return attribute_words(evidence["attribute"], *scores, reason.contribution)


def _titles(reasons: Sequence[Reason]) -> list[str]:
    """The names of their items, in quotation marks where one could be taken for a part of the sentence."""
    names = {}
    for place, reason in enumerate(reasons):
        title = reason.evidence.get("title")
        names[place] = catalogue_title(str(title)) if title else f"item {reason.evidence['item']}"
    return list(quoted_where_unclear(names, in_a_row=len(names) > 1).values())


def _row(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
