"""An attribute's part in a recommendation as a person would say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: In standard deviations: below the first an item is like any other, from the second on very much so.
ORDINARY, STRONG = 0.25, 1.5
#: Attributes that are named for a contribution.
NAMED = 2
#: From this share on, of what is on the contribution's side, the named attributes are most of it, or a part.
MOSTLY, PARTLY = 0.5, 0.2


def attribute_words(
    attribute: str, item_score: float, user_score: float, adds: float, *, numbers: bool = False
) -> str:
    """`is very high in humor, and so is what you like`: what an attribute of an item is to a user.

    Parameters
    ----------
    attribute
        Its name; underscores are read as blanks.
    item_score, user_score
        Of the item, and of what the user likes, in standard deviations over items.
    adds
        What the attribute adds to the score.  Where its sign is not that of the two together, the sentence says which
        way the attribute counts, as the model has learned it otherwise than their likeness tells.
    numbers
        Whether the scores stand behind the words.
    """

    def with_number(words: str, score: float) -> str:
        return f"{words} ({score:+.1f} sd)" if numbers else words

    same = _side(item_score) * _side(user_score)
    if adds >= 0:
        liked = ", and so is what you like" if same > 0 else ", which counts for it with you"
    else:
        liked = ", unlike what you like" if same < 0 else ", which counts against it with you"
    name = attribute.replace("_", " ")
    return with_number(f"is {_level(item_score)} in {name}", item_score) + with_number(liked, user_score)


def _side(score: float) -> int:
    return 0 if abs(score) < ORDINARY else (1 if score > 0 else -1)


def _level(score: float) -> str:
    if not _side(score):
        return "average"
    strong = "very " if abs(score) >= STRONG else ""
    return f"{strong}{'high' if score > 0 else 'low'}"


def spoken_about(parts: Mapping[str, float], beside: float, contribution: float) -> tuple[str, list[str]]:
    """How much of what a chosen item says is said about which attributes.

    Parameters
    ----------
    parts
        Of its contribution to a score, by attribute.
    beside
        The rest of the contribution, which is about no attribute.
    contribution
        The sum of all; only parts with its sign count.

    Returns
    -------
    tuple
        "mostly" and one or two attributes that are half of what has its sign or more; "partly" and those that are a
        fifth or more, where no two are half; ("", []) where none is.
    """
    side = 1.0 if contribution >= 0 else -1.0
    with_it = {name: side * part for name, part in parts.items() if side * part > 0}
    whole = sum(with_it.values()) + max(side * beside, 0.0)
    order = sorted(with_it, key=lambda name: -with_it[name])[:NAMED]
    reached = 0.0
    for place, name in enumerate(order, start=1):
        reached += with_it[name]
        if reached >= MOSTLY * whole:
            return "mostly", order[:place]
    some = [name for name in order if with_it[name] >= PARTLY * whole]
    return ("partly", some) if some else ("", [])


def spoken_words(
    evidence: Mapping[str, Any],
    contribution: float,
    *,
    by: str = "by what it says about",
    numbers: bool = False,
) -> str:
    """`mostly by what it says about humor and dark irony`; empty where attributes are too little of it, or not known.

    evidence: of a reason, with its parts as `vector_parts.attribute_evidence` has them.  by: what stands before the
    attributes.  numbers: whether their parts stand behind them.
    """
    if not {"by_attribute", "beside_attributes"} <= evidence.keys():
        return ""
    parts: Mapping[str, float] = evidence["by_attribute"]
    much, named = spoken_about(parts, float(evidence["beside_attributes"]), contribution)
    told = [name.replace("_", " ") + (f" ({parts[name]:+.4f})" if numbers else "") for name in named]
    return f"{much} {by} {' and '.join(told)}" if much else ""
