"""`burnish.recommend`: the items a trained model would show to users, with the ids of the original data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.errors import (
    ConfigurationError,
    DataError,
    NonFiniteError,
    UnsupportedError,
    nearest,
    unknown_name,
)
from burnish.randomness import forked_randomness

from .inputs import STATES, Inputs, interactions, known_items
from .source import Source, open_source
from .titles import read_titles

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult

#: Scores that one batch of users may have (float32: 64 MiB), and the most users in it.
CELLS, USERS = 1 << 24, 256


def recommend(
    source: Source | TrainingResult | Path | str,
    users: Iterable[str | int] | None = None,
    *,
    k: int = 10,
    state: str = "latest",
    include_known: bool = False,
    include_unseen: bool = False,
    missing: str | None = None,
    title_field: str | None = None,
    model: type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """The k best items for each user, as a frame.

    source: a run's folder, what `burnish.run` returned, or a RecBole checkpoint with `trust` (`open_source`; also
        for model, data_path and trust).
    users: original ids; None for all users of the data.
    state: "latest" predicts what comes after everything known of a user: known items (in training, validation and
        test data) are left out, and the sequence of a sequential model ends with the last of them.  "test" is what
        RecBole's evaluation on the test set ranks: without the test data.
    include_known: also recommend items that the user has interacted with.
    include_unseen: also recommend items without any training interaction, whose embeddings hardly mean anything;
        a column `seen_in_training` tells them apart.
    missing: "error" or "row" for a user without a prediction; by default an error where users are named.
    title_field: the column of the item file to show as `title`; by default a usual one, if there is any.

    Columns: user, rank (from 1), item, score, title (if there are titles), seen_in_training (if asked for) and
    status: "ok", or for a user without a prediction, in one row without an item, the reason: "unknown user", "not in
    training", "no sequence" (sequential models), "nothing left" (every item is known).
    Scores are the model's own: they order the items of one user and are no probabilities.

    Raises a `BurnishError` for arguments or files that cannot be used.
    """
    opened = open_source(source, model=model, data_path=data_path, trust=trust)
    made = Recommender(
        opened,
        k=k,
        state=state,
        include_known=include_known,
        include_unseen=include_unseen,
        missing=missing,
        title_field=title_field,
    )
    return pd.concat([made.empty(), *made.chunks(users)], ignore_index=True)


class Recommender:
    """Recommends in batches of users, so that memory stays bounded.  Arguments as for `recommend`."""

    def __init__(
        self,
        source: Source,
        *,
        k: int = 10,
        state: str = "latest",
        include_known: bool = False,
        include_unseen: bool = False,
        missing: str | None = None,
        title_field: str | None = None,
        batch_users: int | None = None,
    ) -> None:
        check_number("k", k)
        if batch_users is not None:
            check_number("batch_users", batch_users)
        if state not in STATES:
            raise unknown_name("state", state, STATES)
        if missing not in (None, "error", "row"):
            raise unknown_name("way with missing users", str(missing), ("error", "row"))
        if not hasattr(source.model, "predict") or not isinstance(source.model, torch.nn.Module):
            raise UnsupportedError(f"{type(source.model).__name__} is no model that scores items for users")
        self.source = source
        self.k = k
        self.missing = missing
        self.include_unseen = include_unseen
        self.include_known = include_known
        self.titles = read_titles(source.config, title_field)
        self.inputs = Inputs(source, state)
        self.known = known_items(source, state)
        trained = interactions(source.train, self.known.shape)
        self.seen_items = np.asarray(trained.sum(axis=0)).ravel() > 0
        self.seen_items[0] = False
        self.seen_users = np.asarray(trained.sum(axis=1)).ravel() > 0
        data = source.dataset
        self.batch_users = batch_users or max(1, min(USERS, CELLS // data.item_num))
        self._item_tokens = np.asarray(source.tokens(data.iid_field, np.arange(data.item_num)), dtype=object)
        self._blocked = torch.from_numpy(~self.seen_items) if not include_unseen else None
        self._item_columns: Any = None

    @property
    def unseen_items(self) -> int:
        """How many items have no training interaction."""
        return int((~self.seen_items).sum()) - 1

    def all_users(self) -> list[str]:
        """The original ids of all users in the data."""
        data = self.source.dataset
        return self.source.tokens(data.uid_field, np.arange(1, data.user_num))

    def chunks(self, users: Iterable[str | int] | None = None) -> Iterator[pd.DataFrame]:
        """The frames of `recommend`, one a batch of users, in the order of `users` (each once).

        Raises `DataError`, before anything is scored, for users without a prediction where those are errors.
        """
        named = users is not None
        tokens = (
            list(dict.fromkeys(str(user).strip() for user in users))
            if users is not None
            else self.all_users()
        )
        ids = self._ids(tokens)
        status = self._status(ids)
        if self.missing == "error" or (self.missing is None and named):
            self._refuse_missing(tokens, status)
        for start in range(0, len(tokens), self.batch_users):
            part = slice(start, start + self.batch_users)
            yield self._frame(tokens[part], ids[part], status[part])

    def empty(self) -> pd.DataFrame:
        """A frame without rows, with the columns and their types."""
        return self._rows([], [], [], [], [], [])

    def _ids(self, tokens: Sequence[str]) -> np.ndarray:
        known = self.source.dataset.field2token_id[self.source.dataset.uid_field]
        return np.array([known.get(token, 0) if token != "[PAD]" else 0 for token in tokens], dtype=np.int64)

    def _status(self, ids: np.ndarray) -> list[str]:
        """What is to be said about each user: "ok" or why there is no prediction."""
        ready = self.inputs.available(ids)
        found = []
        for user, there in zip(ids, ready, strict=True):
            if user == 0:
                found.append("unknown user")
            elif not there:
                found.append("no sequence")
            elif not self.source.sequential and not self.seen_users[user]:
                found.append("not in training")
            else:
                found.append("ok")
        return found

    def _refuse_missing(self, tokens: Sequence[str], status: Sequence[str]) -> None:
        bad = [(token, why) for token, why in zip(tokens, status, strict=True) if why != "ok"]
        if not bad:
            return
        first, why = bad[0]
        guess = nearest(first, self.all_users()) if why == "unknown user" else None
        hint = f" Did you mean {guess!r}?" if guess else ""
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
        made: dict[str, Any] = {
            "user": pd.array(users, dtype="string"),
            "rank": pd.array(ranks, dtype="Int32"),
            "item": pd.array(items, dtype="string"),
            "score": np.asarray(scores, dtype=np.float64),
        }
        if self.titles is not None:
            made["title"] = pd.array(
                [self.titles[1].get(item) if item else None for item in items], dtype="string"
            )
        if self.include_unseen:
            made["seen_in_training"] = pd.array(seen, dtype="boolean")
        made["status"] = pd.array(status, dtype="string")
        return pd.DataFrame(made)

    @torch.no_grad()
    def _best(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores and internal ids of the k best items of each user: two of `[n, k]`; -inf where there are fewer."""
        scores = self.scores(users)
        if bool(torch.isnan(scores).any()):
            raise NonFiniteError(
                f"{self.source.config['model']} gives NaN as a score: its training went wrong"
            )
        scores[:, 0] = -torch.inf
        if self._blocked is not None:
            scores[:, self._blocked.to(scores.device)] = -torch.inf
        if not self.include_known:
            rows, columns = self.known[users].nonzero()
            scores[torch.from_numpy(rows).long(), torch.from_numpy(columns).long()] = -torch.inf
        values, items = torch.topk(scores, min(self.k, scores.shape[1]))
        return values.double().cpu().numpy(), items.cpu().numpy()

    @torch.no_grad()
    def scores(self, users: np.ndarray) -> Tensor:
        """The model's scores of all items for these users (internal ids): `[n, n_items]`, nothing masked."""
        model = self.source.model
        device = self.source.config["device"]
        model.eval()
        batch = self.inputs.batch(users).to(device)
        # Some models draw random numbers in evaluation too (KTUP, KGIN, MCCLK): the same question, the same answer.
        with forked_randomness(int(self.source.config["seed"] or 0), torch.device(device)):
            try:
                found = model.full_sort_predict(batch)
            except NotImplementedError:
                found = self._pairs(batch, len(users))
            except KeyError as error:
                raise self._lacks(error) from error
        return found.reshape(len(users), -1)[:, : self.source.dataset.item_num].float().clone()

    def _pairs(self, batch: Any, n_users: int) -> Tensor:
        """Scores of a model that scores pairs only: every user with every item, a bounded number at a time."""
        config, data = self.source.config, self.source.dataset
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
                    parts.append(self.source.model.predict(pairs[first : first + at_once]).reshape(-1))
                except KeyError as error:
                    raise self._lacks(error) from error
        return torch.cat(parts)

    def _lacks(self, error: KeyError) -> UnsupportedError:
        return UnsupportedError(
            f"{self.source.config['model']} reads the column {error} of an interaction, which is not known before it "
            f"happens; train without that column (load_col) to recommend"
        )


def _append(columns: tuple[list[Any], ...], row: tuple[Any, ...]) -> None:
    for column, value in zip(columns, row, strict=True):
        column.append(value)


def check_number(name: str, value: Any) -> None:
    """Raise `ConfigurationError` unless this is a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} = {value!r}: give a whole number, 1 or more")
