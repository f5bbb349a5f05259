"""Explanations as one HTML file: what was chosen, what is recommended, and why, in sentences first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burnish.enhancers.guided.wording import attribute_words, spoken_words
from burnish.enhancers.paths.drawing import SOMEBODY
from burnish.enhancers.paths.graph import USER
from burnish.enhancers.paths.names import catalogue_title
from burnish.errors import DataError
from burnish.explanation import PARTS, Explanation, Reason
from burnish.files.pages import minus, render

from ..explanation_sentences import sentence

if TYPE_CHECKING:
    from ..explain import Explainer

_HERE = Path(__file__).parent / "templates"
#: Items of a history that are shown at once; attributes and words of a profile; paths of a reason.
_HISTORY, _ATTRIBUTES, _WORDS, _PATHS = 12, 8, 12, 2
#: Standard deviations that the axis of attributes ends at.
_SPAN = 3.0


def to_page(
    explainer: Explainer,
    explanations: Sequence[Explanation],
    *,
    title: str = "",
    sentences: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """The text of an HTML page: for each user their history, and each recommendation with its reasons.

    The page loads nothing, runs no script, is read with the keyboard alone, and has forms for phones, dark screens and
    paper.  All texts are escaped.

    Parameters
    ----------
    explainer
        Which made the explanations; histories, profiles and names are its.
    explanations
        What is shown.
    title
        Of the page; by default it says whose recommendations these are.
    sentences
        By user and item, in the place of those of `explanation_sentences` (`SentenceWriter.write`).

    Raises
    ------
    DataError
        For no explanation.
    """
    if not explanations:
        raise DataError("there is no explanation, so there is nothing to make a page of")
    users = list(dict.fromkeys(one.user for one in explanations))
    said = {(one.user, one.item): sentence(one) for one in explanations} | dict(sentences or {})
    config = explainer.trained.config
    whose = f"user {users[0]}" if len(users) == 1 else f"{len(users)} users"
    methods = dict.fromkeys(one.method for item in explanations for one in item.reasons if one.method)
    return render(
        _HERE,
        filters={"minus": minus},
        title=title or f"Why these recommendations for {whose}",
        model=str(config["model"]),
        dataset=str(config["dataset"]),
        methods=list(methods),
        about=explainer.about(),
        users=[
            _user(explainer, user, [one for one in explanations if one.user == user], said) for user in users
        ],
    )


def _user(
    explainer: Explainer,
    user: str,
    explanations: Sequence[Explanation],
    said: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    history = explainer.history(user)
    place = {token: number for number, token in enumerate(history)}
    speaks: dict[str, list[tuple[str, str]]] = {}
    for number, one in enumerate(explanations, start=1):
        for reason in one.reasons:
            tone = "gain" if reason.contribution >= 0 else "loss"
            for token in _told_of(reason):
                if token in place and (f"{number}", tone) not in speaks.setdefault(token, []):
                    speaks[token].append((f"{number}", tone))
    chosen = [
        {
            "name": catalogue_title(explainer.titles.get(token) or token),
            "id": token,
            "speaks": speaks.get(token, []),
        }
        for token in history
    ]
    # Those that are reasons come first, then the latest.
    chosen.sort(key=lambda one: not one["speaks"])
    return {
        "id": user,
        "shown": chosen[:_HISTORY],
        "rest": chosen[_HISTORY:],
        "count": len(chosen),
        "recommended": [_recommended(explainer, one, said) for one in explanations],
    }


def _told_of(reason: Reason) -> list[str]:
    """Original ids of what was chosen, as far as the page tells it of this reason."""
    if reason.kind == "interaction":
        return [str(reason.evidence.get("item", ""))]
    nodes = (path["nodes"][1] for path in _drawn(reason))
    return [str(node.get("original", "")) for node in nodes if node["type"] == "item"]


def _recommended(
    explainer: Explainer, one: Explanation, said: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    widest = (
        max((abs(reason.contribution) + (reason.standard_error or 0) for reason in one.reasons), default=0)
        or 1
    )
    counted = [reason for reason in one.reasons if reason.counts]
    sided = any(reason.contribution < 0 for reason in one.reasons)
    return {
        "name": catalogue_title(one.title or one.item),
        "id": one.item,
        "score": f"{one.shown:.4g}",
        "rank": one.rank,
        "sentence": said[one.user, one.item],
        "note": one.note,
        "reasons": [_reason(reason, widest, sided) for reason in counted],
        "sure": [reason.text for reason in one.reasons if not reason.counts],
        "account": one.account(),
        "attributes": _attributes(explainer, one),
        "words": _words(explainer, one),
        "paths": _paths(one),
    }


def _reason(reason: Reason, widest: float, sided: bool) -> dict[str, Any]:
    """A line with its bar: from the left, or where something speaks against the item from the middle to either side."""
    signed = reason.kind in PARTS
    middle, room = (50.0, 48.0) if sided else (1.0, 97.0)
    end = middle + room * reason.contribution / widest
    error = room * (reason.standard_error or 0.0) / widest
    return {
        "text": _short(reason),
        "detail": _detail(reason),
        "number": f"{reason.contribution:{'+' if signed else ''}.4f}",
        "error": f"±{reason.standard_error:.2g}" if reason.standard_error else "",
        "tone": "loss" if reason.contribution < 0 else "gain",
        "middle": middle,
        "left": round(min(middle, end), 2),
        "width": round(max(abs(end - middle), 0.4), 2),
        "low": round(end - error, 2),
        "high": round(end + error, 2),
    }


def _short(reason: Reason) -> str:
    """The reason in one line, below the item's name."""
    if reason.kind == "interaction" and "item" in reason.evidence:
        title = reason.evidence.get("title")
        return f"You chose {catalogue_title(str(title)) if title else 'item ' + str(reason.evidence['item'])}"
    if reason.kind == "attribute" and {"attribute", "item_score", "user_score"} <= reason.evidence.keys():
        scores = float(reason.evidence["item_score"]), float(reason.evidence["user_score"])
        return (
            attribute_words(str(reason.evidence["attribute"]), *scores, reason.contribution)
            .removeprefix("is ")
            .capitalize()
        )
    return reason.text


def _detail(reason: Reason) -> str:
    """What else is telling of it."""
    evidence = reason.evidence
    told = []
    if "chosen_by" in evidence:
        share = float(evidence["chosen_by"])
        told.append(f"as {share:.0%} of users did" if share >= 0.01 else "as fewer than 1% of users did")
    told.append(spoken_words(evidence, reason.contribution, numbers=True))
    return "; ".join(text for text in told if text)


def _attributes(explainer: Explainer, one: Explanation) -> list[dict[str, Any]]:
    """The user's and the item's attributes, those of the reasons first, in standard deviations."""
    named = [str(reason.evidence["attribute"]) for reason in one.reasons if reason.kind == "attribute"]
    if not named:
        return []
    tastes = explainer.profile("user", one.user) or {}
    traits = explainer.profile("item", one.item) or {}
    others = sorted(tastes, key=lambda name: -abs(tastes[name]))
    names = [name for name in dict.fromkeys([*named, *others]) if name in tastes and name in traits]

    def place(value: float) -> float:
        return round(50 + 48 * float(np.clip(value, -_SPAN, _SPAN)) / _SPAN, 2)

    return [
        {
            "name": name.replace("_", " "),
            "user": f"{tastes[name]:+.1f}",
            "item": f"{traits[name]:+.1f}",
            "user_at": place(tastes[name]),
            "item_at": place(traits[name]),
        }
        for name in names[:_ATTRIBUTES]
    ]


def _words(explainer: Explainer, one: Explanation) -> dict[str, list[str]]:
    """Words of the user's profile, of both and of the item's; empty where no word is a reason."""
    shared = [
        str(reason.evidence["word"])
        for reason in one.reasons
        if reason.kind == "keyword" and "word" in reason.evidence
    ]
    if not shared:
        return {}
    user = list(explainer.profile("user", one.user) or {})
    item = list(explainer.profile("item", one.item) or {})
    both = list(dict.fromkeys([*shared, *(word for word in user if word in item)]))
    return {
        "your words": [word for word in user if word not in both][:_WORDS],
        "in both": both[:_WORDS],
        "words about it": [word for word in item if word not in both][:_WORDS],
    }


def _drawn(reason: Reason) -> list[Mapping[str, Any]]:
    """The first of a reason's paths that look different where other users are not named."""
    if reason.kind != "path":
        return []
    different: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for path in reason.evidence.get("paths", ()):
        different.setdefault(tuple(_labels(path)), path)
    return list(different.values())[:_PATHS]


def _labels(path: Mapping[str, Any]) -> list[str]:
    """What its nodes are called; other users are not named."""
    others = [SOMEBODY if node["type"] == USER else str(node["label"]) for node in path["nodes"][1:]]
    return ["you", *others]


def _paths(one: Explanation) -> list[list[dict[str, str]]]:
    """Paths as nodes with the step that leads to them."""
    drawn = []
    for path in (path for reason in one.reasons for path in _drawn(reason)):
        steps = [{"step": "", "arrow": ""}]
        steps += [
            {
                "step": str(edge["relation"]).replace("_", " "),
                "arrow": "→" if edge["direction"] == "along" else "←",
            }
            for edge in path["edges"]
        ]
        drawn.append(
            [
                {**step, "type": str(node["type"]), "label": label}
                for node, label, step in zip(path["nodes"], _labels(path), steps, strict=True)
            ]
        )
    return drawn
