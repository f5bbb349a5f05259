"""`burnish.recommend`: the items a trained model would show to users, with the ids of the original data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.checks import whole_number
from burnish.errors import DataError, NonFiniteError, UnsupportedError, meant_ids, unknown_name
from burnish.randomness import forked_randomness
from burnish.training.inputs.arguments import ids_of, if_several

from .open import open_trained
from .prediction_inputs import STATES, PredictionInputs, interactions, known_items
from .titles import read_titles

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel

SequenceT = TypeVar("SequenceT", list[str], range)
#: Scores that one batch of users may have (float32: 64 MiB), and the most users in it.
CELLS, USERS = 1 << 24, 256


def recommend(
    source: TrainedModel | TrainingResult | Path | str,
    users: Iterable[str | int] | str | int | None = None,
    *,
    k: int = 10,
    state: str = "latest",
    include_known: bool = False,
    include_unseen: bool = False,
    missing: str | None = None,
    title_field: str | None = None,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Recommend each user the `k` items that a trained model scores highest.

    Scores are the model's own: they order the items of one user and are not probabilities.

    Parameters
    ----------
    source : TrainedModel, TrainingResult, Path or str
        What `burnish.load_run` or `burnish.run` returned, a run's folder, or, with `trust`, a RecBole checkpoint.
    users : str, int or iterable of these, optional
        Original ids, or one; by default all users of the data.
    k : int, default 10
        Items a user, 1 or more.
    state : {"latest", "test"}
        "latest" predicts what comes after everything known of a user: known items (in training, validation and test
        data) are left out, and the sequence of a sequential model ends with the last of them.  "test" is what
        RecBole's evaluation on the test set ranks: without the test data.
    include_known : bool, default False
        Also recommend items that the user has interacted with.
    include_unseen : bool, default False
        Also recommend items without any training interaction, whose embeddings hardly mean anything; a column
        `seen_in_training` tells them apart.
    missing : {"error", "row"}, optional
        What a user without a prediction gives; by default an error where users are named, else a row.
    title_field : str, optional
        The column of the item file to show as `title`; by default a usual one, if there is any.
    model : str or type, optional
        The class of the run's model, where it is neither RecBole's nor announced by a package, or where that is
        (`"mine.py:Tower"`).
    data_path : Path or str, optional
        Where the data set's folder is now, if it has been moved.
    trust : bool, default False
        Allow what can execute code: unpickling a checkpoint, importing the modules of the run's model and enhancers.

    Returns
    -------
    DataFrame
        Columns user, rank (from 1), item, score, title (if there are titles), seen_in_training (if asked for) and
        status: "ok", or for a user without a prediction, in one row without an item, the reason: "unknown user",
        "not in training", "no sequence" (sequential models), "nothing left" (every item is known).

    Raises
    ------
    BurnishError
        For arguments or files that cannot be used.

    Examples
    --------
    >>> run = burnish.run("BPR", "ml-100k", folder="out")  # doctest: +SKIP
    >>> burnish.recommend(run, ["196"], k=5)  # doctest: +SKIP
    >>> burnish.recommend("out", ["196"], k=5)  # doctest: +SKIP
    """
    recommender = Recommender(
        open_trained(source, model=model, data_path=data_path, trust=trust),
        k=k,
        state=state,
        include_known=include_known,
        include_unseen=include_unseen,
        missing=missing,
        title_field=title_field,
    )
    return pd.concat([recommender.empty(), *recommender.chunks(users)], ignore_index=True)


@dataclass(eq=False, kw_only=True)
class Recommender:
    """Recommends in batches of users, so that memory stays bounded.

    Parameters
    ----------
    trained
        The model and its data.
    k, state, include_known, include_unseen, missing, title_field
        As for `recommend`.
    batch_users
        Users that are scored at a time; by default as many as `CELLS` scores hold, up to `USERS`.
    """

    trained: TrainedModel = field(kw_only=False)
    k: int = 10
    state: str = "latest"
    include_known: bool = False
    include_unseen: bool = False
    missing: str | None = None
    title_field: str | None = None
    batch_users: int | None = None

    def __post_init__(self) -> None:
        trained, data = self.trained, self.trained.dataset
        whole_number("k", self.k)
        if self.batch_users is not None:
            whole_number("batch_users", self.batch_users)
        if self.state not in STATES:
            raise unknown_name("state", self.state, STATES)
        if self.missing not in (None, "error", "row"):
            raise unknown_name("way with missing users", str(self.missing), ("error", "row"))
        if not hasattr(trained.model, "predict") or not isinstance(trained.model, torch.nn.Module):
            raise UnsupportedError(
                f"{type(trained.model).__name__} is not a model that scores items for users"
            )
        self.titles = read_titles(trained.config, self.title_field)
        self.inputs = PredictionInputs(trained, self.state)
        self.known = known_items(trained, self.state)
        seen = interactions(trained.splits.training, self.known.shape)
        #: Training users of each item.
        self.item_counts = np.asarray(seen.sum(axis=0)).ravel()
        self.seen_items = self.item_counts > 0
        self.seen_items[0] = False
        self.seen_users = np.asarray(seen.sum(axis=1)).ravel() > 0
        self.users_at_once = self.batch_users or max(1, min(USERS, CELLS // data.item_num))
        self._item_tokens = np.asarray(trained.tokens(data.iid_field, np.arange(data.item_num)), dtype=object)
        self._blocked = torch.from_numpy(~self.seen_items) if not self.include_unseen else None
        self._item_columns: Any = None

    @property
    def unseen_items(self) -> int:
        """How many items have no training interaction."""
        return int((~self.seen_items).sum()) - 1

    def all_users(self) -> list[str]:
        """The original ids of all users in the data."""
        data = self.trained.dataset
        return self.trained.tokens(data.uid_field, np.arange(1, data.user_num))

    def share_of(self, users: SequenceT, share: tuple[int, int] | None) -> SequenceT:
        """One part of the users: whole batches, so that each is scored beside the same others as without parts.

        share: which, from 0, and of how many; None for all of them.
        """
        if share is None:
            return users
        number, of = share
        batches = -(-len(users) // self.users_at_once)
        first, end = (batches * one // of * self.users_at_once for one in (number, number + 1))
        return users[first:end]

    def chunks(
        self,
        users: Iterable[str | int] | str | int | None = None,
        *,
        share: tuple[int, int] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The frames of `recommend`, one a batch of users, in the order of `users` (each once).

        share: of one part of the users only (`share_of`).
        Raises `DataError`, before anything is scored, for users without a prediction where those are errors.
        """
        named = users is not None
        tokens = (
            list(dict.fromkeys(self._meant(user) for user in ids_of(users)))
            if users is not None
            else self.all_users()
        )
        ids = self._ids(tokens)
        status = self._status(ids)
        if self.missing == "error" or (self.missing is None and named):
            self._refuse_missing(tokens, status)
        places = self.share_of(range(len(tokens)), share)
        for start in range(places.start, places.stop, self.users_at_once):
            part = slice(start, min(start + self.users_at_once, places.stop))
            yield self._frame(tokens[part], ids[part], status[part])

    def empty(self) -> pd.DataFrame:
        """A frame without rows, with the columns and their types."""
        return self._rows([], [], [], [], [], [])

    def _meant(self, user: str) -> str:
        """The id as it was given, where there is such a user, else without blanks around it."""
        known = self.trained.dataset.field2token_id[self.trained.dataset.uid_field]
        return user if user in known else user.strip()

    def _ids(self, tokens: Sequence[str]) -> np.ndarray:
        known = self.trained.dataset.field2token_id[self.trained.dataset.uid_field]
        return np.array([known.get(token, 0) if token != "[PAD]" else 0 for token in tokens], dtype=np.int64)

    def _status(self, ids: np.ndarray) -> list[str]:
        """Of each user "ok", or why there is no prediction."""
        ready = self.inputs.available(ids)
        status = []
        for user, there in zip(ids, ready, strict=True):
            if user == 0:
                status.append("unknown user")
            elif not there:
                status.append("no sequence")
            elif not self.trained.sequential and not self.seen_users[user]:
                status.append("not in training")
            else:
                status.append("ok")
        return status

    def statuses(self, users: Sequence[int]) -> list[str]:
        """Of each user (internal ids) "ok", or why there is no prediction."""
        return self._status(np.asarray(users, dtype=np.int64))

    def nothing_left(self, user: int) -> bool:
        """Whether a user (internal id) knows everything that could be recommended."""
        return not self._left(user).any()

    def _left(self, user: int) -> np.ndarray:
        """What can be recommended to a user: `[n_items]` of booleans."""
        left = np.ones(len(self.seen_items), dtype=bool) if self.include_unseen else self.seen_items.copy()
        left[0] = False
        if not self.include_known:
            left[self.known[user].indices] = False
        return left

    def candidates(self, user: int) -> np.ndarray:
        """Internal ids of what can be recommended to a user; of everything seen in training where nothing is left."""
        left = self._left(user)
        return np.flatnonzero(left if left.any() else self.seen_items)

    def average(self, user: int) -> float:
        """The mean score of what can be recommended to a user."""
        scores = self.scores(np.array([user]))[0].double().cpu().numpy()
        return float(scores[self.candidates(user)].mean())

    @cached_property
    def scores_pairs_alone(self) -> bool:
        """Whether the model scores the catalogue item by item: asked once, of the first user who has a prediction."""
        users = np.arange(1, self.trained.dataset.user_num)
        ready = users[self.inputs.available(users)][:1]
        if not len(ready):
            return False
        batch = self.inputs.batch(ready).to(self.trained.config["device"])
        device, seed = torch.device(self.trained.config["device"]), int(self.trained.config["seed"] or 0)
        with torch.no_grad(), forked_randomness(seed, device):
            try:
                self.trained.model.eval().full_sort_predict(batch)
            except NotImplementedError:
                return True
            except KeyError as error:
                raise self._lacks(error) from error
        return False

    def _refuse_missing(self, tokens: Sequence[str], status: Sequence[str]) -> None:
        bad = [(token, why) for token, why in zip(tokens, status, strict=True) if why != "ok"]
        if not bad:
            return
        first, why = bad[0]
        hint = if_several([first]) or (meant_ids(first, self.all_users()) if why == "unknown user" else "")
        more = (
            f"; {len(bad)} such users, first: {', '.join(token for token, _ in bad[:5])}"
            if len(bad) > 1
            else ""
        )
        raise DataError(
            f"there is no recommendation for user {first!r}: {why}{more}.{hint} With missing='row' (--missing row) "
            f"such users get a row with the reason."
        )

    def _frame(self, tokens: list[str], ids: np.ndarray, status: list[str]) -> pd.DataFrame:
        good = np.array([why == "ok" for why in status], dtype=bool)
        best: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        if good.any():
            values, items = self._best(ids[good])
            for place, scores, row in zip(np.flatnonzero(good), values, items, strict=True):
                there = np.isfinite(scores)
                best[int(place)] = (row[there], scores[there])
        columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
        nothing = (np.empty(0, dtype=np.int64), np.empty(0))
        for at, (token, why) in enumerate(zip(tokens, status, strict=True)):
            row, scores = best.get(at, nothing)
            if len(row) == 0:
                reason = "nothing left" if why == "ok" else why
                _append(columns, (token, None, None, np.nan, None, reason))
            for rank, (item, score) in enumerate(zip(row, scores, strict=True), start=1):
                _append(
                    columns, (token, rank, self._item_tokens[item], score, bool(self.seen_items[item]), "ok")
                )
        return self._rows(*columns)

    def _rows(
        self,
        users: list[Any],
        ranks: list[Any],
        items: list[Any],
        scores: list[Any],
        seen: list[Any],
        status: list[Any],
    ) -> pd.DataFrame:
        columns: dict[str, Any] = {
            "user": pd.array(users, dtype="string"),
            "rank": pd.array(ranks, dtype="Int32"),
            "item": pd.array(items, dtype="string"),
            "score": np.asarray(scores, dtype=np.float64),
        }
        if self.titles is not None:
            columns["title"] = pd.array(
                [self.titles[1].get(item) if item else None for item in items], dtype="string"
            )
        if self.include_unseen:
            columns["seen_in_training"] = pd.array(seen, dtype="boolean")
        columns["status"] = pd.array(status, dtype="string")
        return pd.DataFrame(columns)

    @torch.no_grad()
    def _best(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores and internal ids of the k best items of each user: two of `[n, k]`; -inf where there are fewer."""
        scores = self.scores(users)
        if bool(torch.isnan(scores).any()):
            raise NonFiniteError(
                f"{self.trained.config['model']} gives NaN as a score: its training went wrong"
            )
        scores[:, 0] = -torch.inf
        if self._blocked is not None:
            scores[:, self._blocked.to(scores.device)] = -torch.inf
        if not self.include_known:
            rows, columns = self.known[users].nonzero()
            scores[torch.from_numpy(rows).long(), torch.from_numpy(columns).long()] = -torch.inf
        values, items = torch.topk(scores, min(self.k, scores.shape[1]))
        return values.double().cpu().numpy(), items.cpu().numpy()

    def rank(self, user: int, item: int, scores: Tensor) -> int | None:
        """An item's place among what can be recommended to a user, from 1, by their scores `[n_items]`; None if not."""
        left = self._left(user)
        own = scores.double().cpu().numpy()
        return int((own[left] > own[item]).sum()) + 1 if left[item] else None

    @torch.no_grad()
    def scores(self, users: np.ndarray) -> Tensor:
        """The model's scores of all items for these users (internal ids): `[n, n_items]`, nothing masked."""
        model = self.trained.model
        device = self.trained.config["device"]
        model.eval()
        batch = self.inputs.batch(users).to(device)
        # Some models draw random numbers in evaluation too (KTUP, KGIN, MCCLK): the same question, the same answer.
        with forked_randomness(int(self.trained.config["seed"] or 0), torch.device(device)):
            try:
                scores = model.full_sort_predict(batch)
            except NotImplementedError:
                scores = self._pairs(batch, len(users))
            except KeyError as error:
                raise self._lacks(error) from error
        return scores.reshape(len(users), -1)[:, : self.trained.dataset.item_num].float().clone()

    def _pairs(self, batch: Any, n_users: int) -> Tensor:
        """Scores of a model that scores pairs only: every user with every item, a bounded number at a time."""
        config, data = self.trained.config, self.trained.dataset
        if self._item_columns is None:
            self._item_columns = data.get_item_feature().to(config["device"])
        at_once = max(int(config["eval_batch_size"]), 1)
        users_at_once = max(1, at_once // data.item_num)
        parts = []
        for start in range(0, n_users, users_at_once):
            block = batch[start : start + users_at_once]
            pairs = block.repeat_interleave(data.item_num)
            pairs.update(self._item_columns.repeat(len(block)))
            for first in range(0, len(pairs), at_once):
                try:
                    parts.append(self.trained.model.predict(pairs[first : first + at_once]).reshape(-1))
                except KeyError as error:
                    raise self._lacks(error) from error
        return torch.cat(parts)

    def _lacks(self, error: KeyError) -> UnsupportedError:
        return UnsupportedError(
            f"{self.trained.config['model']} reads the column {error} of an interaction, which is not known before it "
            f"happens; train without that column (load_col) to recommend"
        )


def _append(columns: tuple[list[Any], ...], row: tuple[Any, ...]) -> None:
    for column, value in zip(columns, row, strict=True):
        column.append(value)
