"""`burnish.explain`: why a trained model recommends what it recommends, with the ids of the original data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from burnish.backbones.rating_model import RatingModel
from burnish.checks import whole_number
from burnish.enhancers.anatomy.table import Side
from burnish.enhancers.guided import vector_parts
from burnish.errors import DataError, NonFiniteError, unknown_id
from burnish.explanation import PARTS, ROUNDING, Explanation, Explanations, Reason
from burnish.files.data_names import data_names
from burnish.training.inputs.arguments import ids_of, if_several

from .explanation_formats import told_first, with_original_ids, with_titles
from .history_reasons import HistoryReasons
from .open import open_trained
from .reason_givers import ReasonGiver, reason_givers
from .recommend import Recommender

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel


#: An item, its score and its rank.
Scored = tuple[str, float, int | None]


def explain(
    source: TrainedModel | TrainingResult | Path | str,
    users: Iterable[str | int] | str | int,
    items: Iterable[str | int] | str | int | None = None,
    *,
    top: int = 5,
    reasons: int = 3,
    enhancer: str | None = None,
    state: str = "latest",
    budget: int | None = None,
    seed: int = 0,
    of: str | None = None,
    title_field: str | None = None,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> list[Explanation]:
    """Say why a trained model recommends these users these items.

    Parameters
    ----------
    source : TrainedModel, TrainingResult, Path or str
        What `burnish.load_run` or `burnish.run` returned, a run's folder, or, with `trust`, a RecBole checkpoint.
    users : str, int or iterable of these
        Original ids, or one.
    items : str, int or iterable of these, optional
        Original ids, each explained for each user; by default the `top` items that `recommend` gives a user.
    top : int, default 5
        Items a user, 1 or more.
    reasons : int, default 3
        How many reasons of each enhancer to give, 1 or more: what speaks for the item, the largest contribution first,
        then what speaks against it, at most one in three where there is enough of the other.
    enhancer : str, optional
        The enhancer that gives the reasons, "backbone" (or its name) for a backbone that explains itself, or "history"
        for Shapley values of the user's history, which every model has; by default such a backbone and every attached
        enhancer that gives reasons, in that order, and where there are none the history.
    state : {"latest", "test"}
        What is known of a user, see `recommend`.
    budget : int, optional
        Histories that the model may be asked to score for a user, where values of a history are estimated.
    seed : int, default 0
        Of such estimates.
    of : {"score", "standing"}, optional
        What reasons from histories are of: the score, or the score less the mean score of what could be recommended.
    title_field : str, optional
        The column of the item file with the names of items; by default a usual one, if there is any.
    model : str or type, optional
        The class of the run's model, where it is neither RecBole's nor announced by a package, or where that is
        (`"mine.py:Tower"`).
    data_path : Path or str, optional
        Where the data set's folder is now, if it has been moved.
    trust : bool, default False
        Allow what can execute code: unpickling a checkpoint, importing the modules of the run's model and enhancers.

    Returns
    -------
    list of Explanation
        In the order of users and then of items.

    Raises
    ------
    UnsupportedError
        For an enhancer or backbone that gives no reasons.
    UnknownNameError
        For users, items or an enhancer that are not known.
    DataError
        For users whom the model cannot recommend anything to.

    Examples
    --------
    >>> run = burnish.run("BPR", "ml-100k", enhancers="shapley", folder="out")  # doctest: +SKIP
    >>> for explanation in burnish.explain(run, "196", top=2):  # doctest: +SKIP
    ...     print(explanation.title, [reason.text for reason in explanation.reasons])
    """
    explainer = Explainer(
        open_trained(source, model=model, data_path=data_path, trust=trust),
        top=top,
        reasons=reasons,
        enhancer=enhancer,
        state=state,
        budget=budget,
        seed=seed,
        of=of,
        title_field=title_field,
    )
    return Explanations(explainer.explanations(users, items))


class Explainer:
    """Explains one recommendation after the other.  Arguments as for `explain`.

    givers: what gives the reasons: the backbone, if it explains itself, and enhancers in the order of attaching.
    """

    def __init__(
        self,
        trained: TrainedModel,
        *,
        top: int = 5,
        reasons: int = 3,
        enhancer: str | None = None,
        state: str = "latest",
        budget: int | None = None,
        seed: int = 0,
        of: str | None = None,
        title_field: str | None = None,
    ) -> None:
        whole_number("top", top)
        whole_number("seed", seed, 0)
        self.trained = trained
        self.reasons = whole_number("reasons", reasons)
        self.recommender = Recommender(trained, k=top, state=state, missing="row", title_field=title_field)
        self.givers = reason_givers(self.recommender, enhancer, budget=budget, seed=seed, of=of)
        self._asked = {"top": top, "reasons": reasons, "enhancer": enhancer, "state": state}
        self._asked |= {"budget": budget, "seed": seed, "of": of, "title_field": title_field}
        titles = self.recommender.titles
        self.titles: dict[str, str] = {} if titles is None else titles[1]
        data = trained.dataset
        self._ids: dict[Side, dict[str, int]] = {
            "user": data.field2token_id[data.uid_field],
            "item": data.field2token_id[data.iid_field],
        }
        self._original_ids = {
            "user": lambda node: str(data.id2token(data.uid_field, node)),
            "item": lambda node: str(data.id2token(data.iid_field, node)),
        }
        self._item_features = data.get_item_feature().to(trained.config["device"])

    def explanations(
        self, users: Iterable[str | int] | str | int, items: Iterable[str | int] | str | int | None = None
    ) -> Iterator[Explanation]:
        """The explanations, one a recommendation.  Everything that is named is checked before the first."""
        user_ids = self._named_ids("user", users)
        item_ids = None if items is None else self._named_ids("item", items)
        for token, user in user_ids.items():
            self._check_user(token, user, named_items=item_ids is not None)
        return self._explanations(user_ids, item_ids)

    def profile(self, side: Side, token: str | int) -> dict[str, float] | None:
        """What the item is like, or what the user likes, largest first, from the first of `givers` that has profiles.

        Of an enhancer: by attribute, in standard deviations over items.  Of a backbone: by word, the sum of attention.
        None where none has profiles.
        """
        number = self._id(side, self._meant(side, str(token)))
        giver = self.profile_giver
        return None if giver is None else dict(giver.module.profile(side, number))

    def history(self, user: str | int) -> list[str]:
        """The original ids of what the model's data say that a user chose, as of `state`, the latest first."""
        number = self._id("user", self._meant("user", str(user)))
        recommender, data = self.recommender, self.trained.dataset
        if self.trained.sequential:
            row = recommender.inputs.rows(np.array([number]))
            items = row[self.trained.model.ITEM_SEQ][0][
                : int(row[self.trained.model.ITEM_SEQ_LEN][0])
            ].numpy()
        else:
            items = recommender.known[number].indices
            table, time = data.inter_feat, data.time_field
            if time in table.columns:
                own = table[data.uid_field].numpy() == number
                when = dict(zip(table[data.iid_field].numpy()[own], table[time].numpy()[own], strict=True))
                items = sorted(items, key=lambda item: when.get(item, 0.0))
        return list(dict.fromkeys(self.trained.tokens(data.iid_field, np.array(items[::-1], dtype=np.int64))))

    def settings(self) -> dict[str, Any]:
        """What was asked for, by name."""
        return dict(self._asked)

    def users(self, given: Iterable[str | int] | str | int) -> list[str]:
        """These users' original ids, each once, as the data have them.  Raises `UnknownNameError` for others."""
        return list(self._named_ids("user", given))

    def nothing_for(self, user: str) -> str:
        """Why a user can be recommended nothing, in words; empty where something can be."""
        number = self._id("user", user)
        status = self.recommender.statuses([number])[0]
        if status == "ok" and self.recommender.nothing_left(number):
            status = "nothing left"
        return "" if status == "ok" else f"no recommendation: {status}"

    def about(self) -> list[str]:
        """What the contributions of those who give reasons are, in a sentence each, where they say it."""
        said = [str(getattr(giver.module, "reasons_about", "")) for giver in self.givers]
        if any(getattr(giver.module, "tells_attributes", False) for giver in self.givers):
            said.append(vector_parts.ABOUT)
        return [text for text in said if text]

    @property
    def profile_giver(self) -> ReasonGiver | None:
        """The enhancer or backbone that has profiles."""
        return next((giver for giver in self.givers if hasattr(giver.module, "profile")), None)

    # ------------------------------------------------------------------ names

    def _named_ids(self, side: Side, given: Iterable[str | int] | str | int) -> dict[str, int]:
        """The internal ids by the original ones."""
        meant = [self._meant(side, token) for token in _tokens(given)]
        return {token: self._id(side, token) for token in meant}

    def _meant(self, side: Side, token: str) -> str:
        """The id as it was given, where there is such a one, else without blanks around it."""
        return token if token in self._ids[side] else token.strip()

    def _id(self, side: Side, token: str) -> int:
        known = self._ids[side]
        if token == "[PAD]" or token not in known:
            names = [str(name) for name in known if name != "[PAD]"]
            named = getattr(data_names(self.trained.config), side)
            raise unknown_id(named, token, names, cure=if_several([token], f"--{side}s").strip())
        return int(known[token])

    def _check_user(self, token: str, user: int, *, named_items: bool) -> None:
        if not self.recommender.inputs.available(np.array([user]))[0]:
            raise DataError(
                f"there is nothing to explain for user {token!r}: {self.trained.config['model']} predicts from a "
                f"sequence of items, and there is none for this user"
            )
        if not named_items and not self.trained.sequential and not self.recommender.seen_users[user]:
            raise DataError(
                f"there is no recommendation to explain for user {token!r}, who has no interaction in the training "
                f"data; name items (items=, --item) to see what the model makes of them all the same"
            )

    # ------------------------------------------------------------------ one after the other

    def _explanations(self, users: dict[str, int], items: dict[str, int] | None) -> Iterator[Explanation]:
        found = (
            self._best(list(users))
            if items is None
            else ((token, self._named(user, items)) for token, user in users.items())
        )
        for token, scored in found:
            user = users[token]
            for giver in self.givers:
                if isinstance(giver.module, HistoryReasons):
                    giver.module.prepare(user, [self._ids["item"][item] for item, *_ in scored])
            for item, score, rank in scored:
                yield self._explanation(token, item, score, rank)

    def _best(self, users: list[str]) -> Iterator[tuple[str, list[Scored]]]:
        for frame in self.recommender.chunks(users):
            for user, own in frame.groupby("user", sort=False):
                if own["status"].iloc[0] != "ok":
                    raise DataError(
                        f"there is no recommendation to explain for user {user!r}: {own['status'].iloc[0]}"
                    )
                columns = own["item"].astype(str), own["score"].astype(float), own["rank"].astype(int)
                yield str(user), list(zip(*columns, strict=True))

    def _named(self, user: int, items: dict[str, int]) -> list[Scored]:
        scores = self.recommender.scores(np.array([user]))[0]
        if bool(torch.isnan(scores).any()):
            raise NonFiniteError(
                f"{self.trained.config['model']} gives NaN as a score: its training went wrong"
            )
        rank = self.recommender.rank
        return [(token, float(scores[item]), rank(user, item, scores)) for token, item in items.items()]

    def _explanation(self, user: str, item: str, score: float, rank: int | None) -> Explanation:
        user_id, item_id = self._ids["user"][user], self._ids["item"][item]
        notes = self._remarks(user_id, item_id)
        shown: list[Reason] = []
        account: dict[str, Any] = {}
        for giver in self.givers:
            reasons = self._reasons_of(giver, user_id, item_id)
            if not reasons and len(self.givers) > 1 and not getattr(giver.module, "says_why", True):
                continue
            if not reasons:
                notes.append(giver.silence(user_id, item_id))
                continue
            method = reasons[0].method or giver.name
            told = [replace(one, method=method) for one in told_first(reasons, self.reasons)]
            account = account or account_of(score, method, reasons, told)
            shown += [
                with_original_ids(with_titles(one, item, self.titles), self._original_ids) for one in told
            ]
        explained = next((r.evidence["score"] for r in shown if "score" in r.evidence), score)
        if abs(explained - score) > ROUNDING * max(abs(score), 1e-3):
            notes.append(
                f"{self.trained.config['model']} ranks by {score:.4g} and predicts the pair as {explained:.4g}, "
                f"which is what the contributions are of"
            )
        title, model = self.titles.get(item), self.trained.model
        scale = model.scale if isinstance(model, RatingModel) else None
        found = Explanation(user, item, score, tuple(shown), title, rank=rank, scale=scale, **account)
        if scale is not None and abs(found.shown - score) > ROUNDING:
            notes.append(
                f"{self.trained.config['model']} predicts {score:.4g}, beyond the scale of ratings from {scale[0]:g} "
                f"to {scale[1]:g}, and {found.shown:g} is shown"
            )
        return replace(found, note="; ".join(notes))

    def _reasons_of(self, giver: ReasonGiver, user: int, item: int) -> list[Reason] | None:
        """The reasons; of this very prediction, where `explain` takes the row that the model predicts from.

        And so many as were asked for, where it takes `k`: those that look for reasons, one after the other.
        """
        explain: Callable[..., list[Reason] | None] = giver.module.explain
        taken = inspect.signature(explain).parameters
        more: dict[str, Any] = {}
        if "k" in taken:
            more["k"] = self.reasons
        if "row" in taken:
            row = self.recommender.inputs.batch(np.array([user])).to(self.trained.config["device"])
            row.update(self._item_features[item : item + 1])
            more["row"] = row
        return explain(user, item, **more)

    def _remarks(self, user: int, item: int) -> list[str]:
        recommender = self.recommender
        notes = []
        if not recommender.seen_users[user]:
            notes.append(
                "the user has no training interaction, so that the model knows next to nothing of them"
            )
        if not recommender.seen_items[item]:
            notes.append(
                "the item has no training interaction, so that the model knows next to nothing of it"
            )
        if recommender.known[user, item]:
            notes.append("the user knows the item already")
        return notes


def account_of(
    score: float, method: str, reasons: Sequence[Reason], told: Sequence[Reason]
) -> dict[str, Any]:
    """What an `Explanation` says of the score's make-up, from all reasons of a method; empty where they are weights.

    The base is in the evidence as "base" (histories) or "rest" (attributes), or what contributions leave by
    "rest_of_score" (spreads); it is 0 for a reading without one.
    """
    first = reasons[0].evidence
    if reasons[0].kind not in PARTS or not (
        {"base", "rest", "profile_score", "rest_of_score"} & first.keys()
    ):
        return {}
    parts = [one.contribution for one in reasons]
    base = float(first.get("base", first.get("rest", 0.0)))
    if first.get("rest_of_score"):  # exact parts of the score, whose rest is not told
        base = score - sum(parts)
    lacking = score - base - sum(parts)
    size = max(abs(score), abs(base), max(map(abs, parts)), 1e-6)
    omitted = sum(parts) - sum(one.contribution for one in told) if len(told) < len(reasons) else 0.0
    return {
        "method": method,
        "of": str(first.get("explains", "score")),
        "average": first.get("average"),
        "base": base,
        "omitted": omitted,
        "additive": abs(lacking) <= ROUNDING * size,
        "exact": bool(first.get("exact", all(not one.standard_error for one in reasons))),
        "budget": first.get("budget"),
    }


def _tokens(given: Iterable[str | int] | str | int) -> Sequence[str]:
    """Original ids as text, each once."""
    tokens = ids_of(given)
    if not tokens or not all(token.strip() for token in tokens):
        raise DataError("no user or item is named; give original ids, such as users=['196']")
    return tokens
