"""Reasons for people: titles instead of ids, which are told first, one line a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from burnish.enhancers.guided.wording import attribute_words, spoken_words
from burnish.enhancers.paths.names import catalogue_title, quoted_where_unclear
from burnish.explanation import PARTS, Reason


def with_titles(reason: Reason, item: str, titles: Mapping[str, str]) -> Reason:
    """The reason with titles where its text says `item ID`, of the explained item and of the one in its evidence.

    They are read as people say them: "Van, The" is The Van.
    """
    other = reason.evidence.get("item")
    named = {token: titles[token] for token in {item, str(other)} if titles.get(token)}
    if not named:
        return reason
    said = quoted_where_unclear({token: catalogue_title(title) for token, title in named.items()})
    # Those without a title, too: the id `a` of one that has a title may be the beginning of the other's, `a,b`.
    tokens = "|".join(re.escape(token) for token in sorted({item, str(other)}, key=len, reverse=True))
    text = re.sub(rf"\b[Ii]tem ({tokens})(?!\w)", lambda match: said.get(match[1], match[0]), reason.text)
    evidence = dict(reason.evidence)
    if other is not None and str(other) in named:
        evidence["title"] = named[str(other)]
    return replace(reason, text=text, evidence=evidence)


def with_original_ids(reason: Reason, ids: Mapping[str, Callable[[int], str]]) -> Reason:
    """The reason with `original`, the id of the data, beside the graph's own id of users and items on its paths.

    ids: from "user" and "item" to what gives a node's original id by its internal one.
    """
    if reason.kind != "path":
        return reason
    paths = [
        {
            **path,
            "nodes": [
                {**node, "original": ids[node["type"]](node["id"])} if node["type"] in ids else node
                for node in path["nodes"]
            ],
        }
        for path in reason.evidence.get("paths", ())
    ]
    return replace(reason, evidence={**reason.evidence, "paths": paths})


def told_first(reasons: Sequence[Reason], most: int) -> list[Reason]:
    """The reasons that a person would give, in that order: the strongest ones for the item, then what speaks against.

    Of `most` reasons one in three may speak against it, more only where there are not enough that speak for it.
    """
    by_size = sorted(reasons, key=lambda reason: -abs(reason.contribution))
    good = [reason for reason in by_size if reason.contribution >= 0]
    bad = [reason for reason in by_size if reason.contribution < 0]
    # An objection that weighs less than every reason that it would displace is left out.
    room = min(len(bad), max(most // 3, most - len(good)))
    while (
        room > max(0, most - len(good)) and abs(bad[room - 1].contribution) < good[most - room].contribution
    ):
        room -= 1
    return [*good[: most - room], *bad[:room]]


def line(reason: Reason) -> str:
    """One reason in one short line: its contribution, and what it is."""
    evidence = reason.evidence
    what = reason.text
    if reason.kind == "interaction" and "item" in evidence:
        what = f"you chose {evidence.get('title') or 'item ' + str(evidence['item'])}"
        about = spoken_words(evidence, reason.contribution, numbers=True)
        what += f": {about}" if about else ""
    elif reason.kind == "attribute" and {"attribute", "item_score", "user_score"} <= set(evidence):
        item, user = float(evidence["item_score"]), float(evidence["user_score"])
        what = attribute_words(evidence["attribute"], item, user, reason.contribution, numbers=True)
    elif reason.kind == "keyword" and {"word", "user_share", "item_share", "item_sentence"} <= set(evidence):
        what = (
            f"{evidence['word']}: {evidence['user_share']:.1%} of the user's profile, {evidence['item_share']:.1%} of "
            f"the item's; “{evidence['item_sentence']}”"
        )
    if not reason.counts:
        return what
    return f"{reason.contribution:{'+' if reason.kind in PARTS else ''}.4f}  {what}"
