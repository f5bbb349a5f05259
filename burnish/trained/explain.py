"""`burnish.explain`: why a trained model recommends what it recommends, with the ids of the original data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from burnish.enhancers.anatomy.table import Side
from burnish.errors import DataError, NonFiniteError, unknown_name
from burnish.explanation import Explanation, Reason

from .recommend import Recommender, check_number
from .source import Source, open_source
from .tellers import Asked, find_explaining
from .words import with_titles

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult

#: Difference between a score and what its reasons add up to, relative to the score, that counts as rounding.
ROUNDING = 1e-3


def explain(
    source: Source | TrainingResult | Path | str,
    users: Iterable[str | int] | str | int,
    items: Iterable[str | int] | str | int | None = None,
    *,
    top: int = 5,
    reasons: int = 3,
    enhancer: str | None = None,
    state: str = "latest",
    title_field: str | None = None,
    model: type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> list[Explanation]:
    """Why these users are recommended these items, a list of `Explanation`, in the order of users and then of items.

    source, model, data_path, trust: a run's folder or what else `open_source` takes.
    users: original ids, or one.  items: original ids, each explained for each user; None for the `top` items that
        `recommend` gives a user.
    reasons: how many of each one's reasons to give, the largest contributions first, whatever their sign.
    enhancer: the enhancer to ask, or "backbone" (or its name) for a backbone that explains itself; by default such a
        backbone and every attached enhancer that gives reasons, in that order.
    state: what is known of a user, see `recommend`; "latest" or "test".
    title_field: the column of the item file with the names of items; by default a usual one, if there is any.

    Raises `UnsupportedError` where neither the backbone nor an attached enhancer gives reasons, `UnknownNameError` for
    users, items or an enhancer that are not known, `DataError` for users whom the model cannot recommend anything to.
    """
    opened = open_source(source, model=model, data_path=data_path, trust=trust)
    made = Explainer(
        opened, top=top, reasons=reasons, enhancer=enhancer, state=state, title_field=title_field
    )
    return list(made.explanations(users, items))


class Explainer:
    """Explains one recommendation after the other.  Arguments as for `explain`.

    asked: who gives the reasons: the backbone, if it explains itself, and enhancers in the order of attaching.
    """

    def __init__(
        self,
        source: Source,
        *,
        top: int = 5,
        reasons: int = 3,
        enhancer: str | None = None,
        state: str = "latest",
        title_field: str | None = None,
    ) -> None:
        check_number("top", top)
        check_number("reasons", reasons)
        self.source = source
        self.asked = find_explaining(source.model, enhancer)
        self.most = reasons
        self.recommender = Recommender(source, k=top, state=state, missing="row", title_field=title_field)
        titles = self.recommender.titles
        self.titles: dict[str, str] = {} if titles is None else titles[1]
        data = source.dataset
        self._numbers: dict[Side, dict[str, int]] = {
            "user": data.field2token_id[data.uid_field],
            "item": data.field2token_id[data.iid_field],
        }
        self._item_features = data.get_item_feature().to(source.config["device"])

    def explanations(
        self, users: Iterable[str | int] | str | int, items: Iterable[str | int] | str | int | None = None
    ) -> Iterator[Explanation]:
        """The explanations, one a recommendation.  Everything that is named is checked before the first."""
        people = {token: self._number("user", token) for token in _tokens(users)}
        things = None if items is None else {token: self._number("item", token) for token in _tokens(items)}
        for token, user in people.items():
            self._check_user(token, user, named_items=things is not None)
        return self._explanations(people, things)

    def profile(self, side: Side, token: str | int) -> dict[str, float] | None:
        """What the item is like, or what the user likes, largest first, as the first of `asked` says who can.

        Of an enhancer: by attribute, in standard deviations over items.  Of a backbone: by word, the sum of attention.
        None where nobody knows profiles.
        """
        number = self._number(side, str(token).strip())
        teller = self.profiled_by
        return None if teller is None else dict(teller.who.profile(side, number))

    @property
    def profiled_by(self) -> Asked | None:
        """Who tells profiles."""
        return next((one for one in self.asked if hasattr(one.who, "profile")), None)

    # ------------------------------------------------------------------ names

    def _number(self, side: Side, token: str) -> int:
        known = self._numbers[side]
        if token == "[PAD]" or token not in known:
            raise unknown_name(side, token, [str(name) for name in known if name != "[PAD]"])
        return int(known[token])

    def _check_user(self, token: str, user: int, *, named_items: bool) -> None:
        if not self.recommender.inputs.available(np.array([user]))[0]:
            raise DataError(
                f"there is nothing to explain for user {token!r}: {self.source.config['model']} predicts from a "
                f"sequence of items, and there is none for this user"
            )
        if not named_items and not self.source.sequential and not self.recommender.seen_users[user]:
            raise DataError(
                f"there is no recommendation to explain for user {token!r}, who has no interaction in the training "
                f"data; name items (items=, --item) to see what the model makes of them all the same"
            )

    # ------------------------------------------------------------------ one after the other

    def _explanations(self, people: dict[str, int], things: dict[str, int] | None) -> Iterator[Explanation]:
        for token, user in people.items():
            chosen = self._best(token) if things is None else self._named(user, things)
            for item, score in chosen:
                yield self._explanation(token, item, score)

    def _best(self, user: str) -> list[tuple[str, float]]:
        frame = next(self.recommender.chunks([user]))
        if frame["status"].iloc[0] != "ok":
            raise DataError(
                f"there is no recommendation to explain for user {user!r}: {frame['status'].iloc[0]}"
            )
        return list(zip(frame["item"].astype(str), frame["score"].astype(float), strict=True))

    def _named(self, user: int, things: dict[str, int]) -> list[tuple[str, float]]:
        scores = self.recommender.scores(np.array([user]))[0]
        if bool(torch.isnan(scores).any()):
            raise NonFiniteError(
                f"{self.source.config['model']} gives NaN as a score: its training went wrong"
            )
        return [(token, float(scores[item])) for token, item in things.items()]

    def _explanation(self, user: str, item: str, score: float) -> Explanation:
        who, what = self._numbers["user"][user], self._numbers["item"][item]
        notes = self._remarks(who, what)
        found: list[Reason] = []
        for one in self.asked:
            reasons = self._ask(one, who, what)
            if not reasons:
                notes.append(one.silence(who, what))
                continue
            by_size = sorted(reasons, key=lambda reason: -abs(reason.contribution))
            found += [with_titles(reason, item, self.titles) for reason in by_size[: self.most]]
        explained = next((r.evidence["score"] for r in found if "score" in r.evidence), score)
        if abs(explained - score) > ROUNDING * max(abs(score), 1e-3):
            notes.append(
                f"{self.source.config['model']} ranks by {score:.4g} and predicts the pair as {explained:.4g}, "
                f"which is what the contributions are of"
            )
        return Explanation(user, item, score, tuple(found), self.titles.get(item), "; ".join(notes))

    def _ask(self, one: Asked, user: int, item: int) -> list[Reason] | None:
        """Somebody's reasons; of this very prediction, where it can be told what the model is asked with."""
        explain: Callable[..., list[Reason] | None] = one.who.explain
        if "row" in inspect.signature(explain).parameters:
            row = self.recommender.inputs.batch(np.array([user])).to(self.source.config["device"])
            row.update(self._item_features[item : item + 1])
            return explain(user, item, row=row)
        return explain(user, item)

    def _remarks(self, user: int, item: int) -> list[str]:
        made = self.recommender
        notes = []
        if not made.seen_users[user]:
            notes.append(
                "the user has no training interaction, so that the model knows next to nothing of her"
            )
        if not made.seen_items[item]:
            notes.append(
                "the item has no training interaction, so that the model knows next to nothing of it"
            )
        if made.known[user, item]:
            notes.append("the user knows the item already")
        return notes


def _tokens(given: Iterable[str | int] | str | int) -> Sequence[str]:
    """Original ids as text, each once."""
    several = [given] if isinstance(given, (str, int, np.integer)) else given
    found = list(dict.fromkeys(str(token).strip() for token in several))
    if not found or not all(found):
        raise DataError("no user or item is named; give original ids, such as users=['196']")
    return found
