"""What a user's history adds to scores of models that keep a vector a user: of a user folded in from the history.

Ours.  RecBole's BPR, LightGCN, NeuMF and others learn a row a user and read no history to predict, so nothing can be
left out of it.  What the histories have made of the scores is read off all users at once: a ridge regression from
histories to the model's own scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from burnish.enhancers.guided.vector_parts import AttributeParts, attribute_parts
from burnish.errors import UnsupportedError

from .export import export_embeddings
from .history_contributions import HistoryContributions, worth_of
from .prediction_inputs import interactions
from .valued_interactions import item_vectors

if TYPE_CHECKING:
    from .recommend import Recommender

#: Users whose scores the fold-in learns from, at most, where these are not products of vectors; drawn at random.
USERS = 2_000
#: Items whose scores choose the fold-in's settings, at most.
JUDGES = 512
#: Scores that are kept for all explanations (float32: 256 MiB).
CELLS = 1 << 26
#: Width of vectors of co-occurrence, where a model has no item vectors.
WIDTH = 64
#: Largest difference of scores, relative to the largest, that counts as rounding.
CLOSE = 1e-3
#: A fold-in that tells less of the scores is said to.
LITTLE = 0.25
_RIDGES = tuple(10.0**power for power in range(-5, 2))


@dataclass(frozen=True)
class FoldIn:
    """How a history becomes scores: `weights` of items, `/ n^power`, ridge `ridge` times the mean eigenvalue.

    fit: the share of the variance, over users, of scores that it predicts of a user who was left out when it was
    fitted (leave-one-out, in closed form), 1 at best.
    """

    weighted: bool
    power: float
    ridge: float
    fit: float


class FoldedUsers:
    """A linear fold-in: score(u, t) ≈ base(t) + Σ over the history of weight(j → t), fitted to the model's own scores.

    With q_j the model's vectors of items and n the length of the whole history, a user's features are
    h = Σ_j w_j q_j / n^p, and base(t), W(t) minimise Σ_u (s(u, t) - base(t) - W(t) · h_u)² + ridge |W(t)|² over users u
    of the training data.  w (1, or 1 / √ of the item's interactions), p (0, ½ or 1) and the ridge are those that
    predict users best that are left out.  The game v(S) = base + Σ_{j in S} w_j W(t) · q_j / n^p is additive in the
    items, so its Shapley values are its summands: exact, from no coalitions, 0 errors.  What they and the base leave
    over to the model's score is how far the model's user is from the folded-in one.

    Models whose scores *are* a sum over the history with weights between items (EASE, SLIM, ItemKNN) are taken at
    their word: base 0, nothing left over.

    All of this is linear in the target, so that the standing takes the place of a score by the mean target in the place
    of the target: base(t) and weights less their means over what can be recommended to the user.
    """

    def __init__(self, recommender: Recommender, *, seed: int = 0, of: str | None = None) -> None:
        """of: one of `WORTH`, `DEFAULT` by default."""
        self.recommender, self.seed, self.of = recommender, seed, worth_of(of)
        trained = recommender.trained
        shape = (int(trained.dataset.user_num), int(trained.dataset.item_num))
        self._known = interactions(trained.splits.training, shape).astype(np.float64).tocsr()
        self._between = _weights_between_items(recommender, self._known)
        self.method = "folded-in user" if self._between is None else "item weights"

    @property
    def about(self) -> str:
        """One sentence for readers of reasons."""
        standing = self.of == "standing"
        if self._between is not None:
            less = ", less what it adds to the average item's score" if standing else ""
            return f"The model's score is a sum over the history; a reason is that item's summand{less}."
        what = "lead of the score over the average item's, for" if standing else "score of"
        fit = max(self.settings.fit, 0.0)
        little = " That is little: take them as hints." if fit < LITTLE else ""
        return (
            f"The model keeps a vector for the user and reads no history; a reason is what that item adds to the "
            f"{what} a user folded in from the history, which tells {fit:.0%} of how scores differ between users."
            f"{little}"
        )

    @property
    def tells_attributes(self) -> bool:
        """Whether contributions have parts by attribute."""
        return self._attributes is not None

    def history(self, user: int, item: int) -> Tensor:
        """The training items of a user, `[n]`, without the item itself."""
        items = self._known[user].indices
        return torch.from_numpy(np.sort(items[items != item]).astype(np.int64))

    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """The folded-in user's scores of items, `[n_masks, n_items]`, for masks over the history."""
        history = self.history(user, items[0]).numpy()
        base, parts = self._parts(user, history, items)
        return torch.from_numpy(masks.cpu().numpy().astype(np.float64) @ parts + base)

    def contributions(self, user: int, items: Sequence[int]) -> list[HistoryContributions | None]:
        """Exact; None for a user without another training item."""
        whole = np.sort(self._known[user].indices)
        if not len(whole) or not len(items):
            return [None] * len(items)
        base, parts = self._parts(user, whole, items)
        average = 0.0
        if self.of == "standing":
            average = self.recommender.average(user)
            level, each = self._mean_parts(user, whole)
            base, parts = base - level, parts - each[:, None]
        by_attribute = self._attribute_parts(user, whole, items)
        found: list[HistoryContributions | None] = []
        for place, item in enumerate(items):
            kept = whole != item
            values = parts[kept, place]
            found.append(
                HistoryContributions(
                    history=whole[kept],
                    values=values,
                    standard_error=np.zeros(len(values)),
                    base=float(base[place]),
                    whole=float(base[place] + values.sum()),
                    exact=True,
                    average=average,
                    attributes=() if self._attributes is None else self._attributes.names,
                    by_attribute=None if by_attribute is None else by_attribute[kept, :, place],
                )
                if kept.any()
                else None
            )
        return found

    def _parts(self, user: int, history: np.ndarray, items: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """base `[k]`, and what each item of a history adds to the scores of k items `[n, k]`."""
        wanted = np.asarray(items, dtype=np.int64)
        if self._between is not None:
            block = self._between[history][:, wanted]
            dense = block.toarray() if scipy.sparse.issparse(block) else np.asarray(block)
            return np.zeros(len(wanted)), dense.astype(np.float64)
        intercept, slopes = self._fit(self._target_columns(wanted))
        return intercept, self._features[history] @ slopes / self._size(user)

    def _mean_parts(self, user: int, history: np.ndarray) -> tuple[float, np.ndarray]:
        """The means of both over what can be recommended: a number, and `[n]`."""
        items = self.recommender.candidates(user)
        if self._between is not None:
            return 0.0, np.asarray(self._between[history][:, items].mean(axis=1), dtype=np.float64).ravel()
        intercept, slopes = self._fit(self._mean_column(items))
        return float(intercept[0]), (self._features[history] @ slopes / self._size(user)).ravel()

    def _attribute_parts(self, user: int, history: np.ndarray, items: Sequence[int]) -> np.ndarray | None:
        """The parts of that by attribute, `[n, m, k]`; None where there are none.

        A weight is linear in the vector of the history's item, and so a sum over what attributes add to the vector.
        """
        if self._attributes is None:
            return None
        _, slopes = self._fit(self._target_columns(np.asarray(items, dtype=np.int64)))
        if self.of == "standing":
            slopes = slopes - self._fit(self._mean_column(self.recommender.candidates(user)))[1]
        amounts, directions = (
            one.cpu().numpy() for one in (self._attributes.amounts, self._attributes.directions)
        )
        weights = self._item_weights(self.settings.weighted)[history, None, None] / self._size(user)
        return np.asarray(weights * amounts[history, :, None] * (directions.T @ slopes))

    def _mean_column(self, items: np.ndarray) -> np.ndarray:
        """The users' mean scores of items, `[n_users, 1]`."""
        if self._vectors is not None:
            users, vectors = self._vectors
            column = users[self._users] @ vectors[items].mean(axis=0)
        else:  # most items are among them: the sum over all less the others is quicker
            others = np.setdiff1d(np.arange(self._known.shape[1]), items)
            column = (self._sums - self._columns(others).sum(axis=1)) / len(items)
        return np.asarray(column[:, None])

    def _size(self, user: int) -> float:
        """What the sum over a user's history is divided by."""
        return float(self._known[user].nnz ** self.settings.power)

    def _item_weights(self, weighted: bool) -> np.ndarray:
        """w_j, `[n_items]`."""
        counts = np.maximum(np.asarray(self._known.sum(axis=0)).ravel(), 1.0)
        return np.asarray(1 / np.sqrt(counts) if weighted else np.ones_like(counts))

    # ------------------------------------------------------------------ the regression

    @property
    def settings(self) -> FoldIn:
        """What was chosen for the fold-in."""
        return self._fitted[0]

    @property
    def _features(self) -> np.ndarray:
        """w_j q_j, `[n_items, d]`, padding first."""
        return self._fitted[1]

    def _target_columns(self, items: np.ndarray) -> np.ndarray:
        """The scores `[n_users, k]` of items that base and weights are fitted to."""
        if self._vectors is not None:  # scores are products, so that weights are, too
            users, vectors = self._vectors
            return np.asarray(users[self._users] @ vectors[items].T)
        return self._columns(items)

    def _fit(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """base(t) `[k]` and W(t) `[d, k]` of columns of scores `[n_users, k]`."""
        _, _, solve, mean = self._fitted
        centre = columns.mean(axis=0)
        slopes = solve @ (columns - centre)
        return centre - mean @ slopes, slopes

    @cached_property
    def _fitted(self) -> tuple[FoldIn, np.ndarray, np.ndarray, np.ndarray]:
        """The settings, the items' features, the linear map from users' scores to slopes, and the mean features."""
        if len(self._users) < 3:
            raise UnsupportedError(
                "reasons from histories are read off the users of the training data, and fewer than 3 have interactions"
            )
        vectors = self._item_vectors()
        judged = self._judged()
        known = self._known[self._users]
        lengths = np.maximum(np.asarray(known.sum(axis=1)).ravel(), 1.0)
        best: tuple[float, Any] = (-np.inf, None)
        for weighted in (False, True):
            features = vectors * self._item_weights(weighted)[:, None]
            sums = known @ features
            for power in (0.0, 0.5, 1.0):
                rows = sums / lengths[:, None] ** power
                for ridge, fit in _left_out(rows, judged):
                    if fit > best[0]:
                        best = (fit, (weighted, power, ridge, features, rows))
        weighted, power, ridge, features, rows = best[1]
        mean = rows.mean(axis=0)
        centred = rows - mean
        gram = centred.T @ centred
        gram[np.diag_indices_from(gram)] += ridge * max(np.trace(gram) / len(gram), 1e-12)
        solve = np.linalg.solve(gram, centred.T)
        return FoldIn(weighted, power, ridge, float(best[0])), features, solve, mean

    def _own_vectors(self) -> Tensor | None:
        """The model's vectors of items, `[n_items, d]`, the padding's row 0; None where it has none."""
        try:
            _, found = item_vectors(self.recommender.trained, None)
        except UnsupportedError:
            return None
        vectors = found.double().cpu()
        usable = len(vectors) == self._known.shape[1] - 1 and bool(torch.isfinite(vectors).all())
        return torch.cat([torch.zeros(1, vectors.shape[1]).double(), vectors]) if usable else None

    @cached_property
    def _attributes(self) -> AttributeParts | None:
        """What of these vectors is what items are scored on, for models with the enhancer `guided`."""
        if self._between is not None:
            return None
        return attribute_parts(self.recommender.trained.model, self._own_vectors)

    def _item_vectors(self) -> np.ndarray:
        """`[n_items, d]`, the padding's row 0; without any of the model's, those of items that occur together."""
        own = self._own_vectors()
        if own is not None and bool((own != 0).any()):
            return np.asarray(own.numpy())
        width = min(WIDTH, min(self._known.shape) - 1)
        start = np.random.default_rng(self.seed).normal(size=min(self._known.shape))
        *_, rows = scipy.sparse.linalg.svds(self._known, k=max(width, 1), v0=start)
        return np.ascontiguousarray(rows.T)

    @cached_property
    def _users(self) -> np.ndarray:
        """The users of whom the fold-in is learned: those with training interactions, at most so many."""
        users = np.flatnonzero(np.diff(self._known.indptr))
        n_items = self._known.shape[1]
        most = len(users) if self._vectors is not None else min(USERS, max(CELLS // n_items, 3))
        if len(users) > most:
            users = np.sort(np.random.default_rng(self.seed).choice(users, most, replace=False))
        return users

    @cached_property
    def _vectors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Vectors of users and items whose products are the model's scores; None where there are no such."""
        trained = self.recommender.trained
        users = np.flatnonzero(np.diff(self._known.indptr))[:8]
        for kind in ("output", "refined"):
            try:
                sides = [
                    export_embeddings(trained, side, kind).vectors.astype(np.float64)
                    for side in ("user", "item")
                ]
            except UnsupportedError:
                continue
            if sides[0].shape[1] != sides[1].shape[1] or not all(np.isfinite(one).all() for one in sides):
                continue
            whole = [np.concatenate([np.zeros((1, one.shape[1])), one]) for one in sides]
            own = self.recommender.scores(users).double().cpu().numpy()[:, 1:]
            made = whole[0][users] @ whole[1][1:].T
            if np.abs(own - made).max() <= CLOSE * max(np.abs(own).max(), 1e-12):
                return whole[0], whole[1]
        return None

    def _judged(self) -> np.ndarray:
        """Scores `[n_users, n_judges]` that settings are chosen by, or what has the same inner products."""
        if self._vectors is not None:
            users, vectors = self._vectors
            values, axes = np.linalg.eigh(vectors.T @ vectors)  # |U Q'| is |U C| for C C' = Q' Q
            return np.asarray(users[self._users] @ axes * np.sqrt(values.clip(0)))
        n = self._known.shape[1]
        drawn = np.random.default_rng(self.seed).permutation(np.arange(1, n))[:JUDGES]
        return self._columns(np.sort(drawn))

    def _columns(self, items: np.ndarray) -> np.ndarray:
        """The model's scores of items by the users that it is learned of, `[n_users, k]`."""
        return np.asarray(self._matrix[:, items].astype(np.float64))

    @cached_property
    def _sums(self) -> np.ndarray:
        """The sums of all of a user's scores, `[n_users]`."""
        return np.asarray(self._matrix.sum(axis=1, dtype=np.float64))

    @cached_property
    def _matrix(self) -> np.ndarray:
        """The model's scores of all items by these users, computed once."""
        at_once = self.recommender.users_at_once
        parts = [
            self.recommender.scores(self._users[first : first + at_once]).cpu().numpy()
            for first in range(0, len(self._users), at_once)
        ]
        return np.concatenate(parts)


def _left_out(rows: np.ndarray, judged: np.ndarray) -> list[tuple[float, float]]:
    """For each ridge, the share of variance that it predicts of users that are left out, in closed form.

    Residuals of a left-out user are the residuals over 1 - leverage, and those of the mean over 1 - 1 / m.
    """
    m = len(rows)
    centred, wanted = rows - rows.mean(axis=0), judged - judged.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    turned = centred @ axes
    moments = turned.T @ wanted
    plain = np.square(wanted / (1 - 1 / m)).sum()
    scale = max(values.mean(), 1e-12)
    found = []
    for ridge in _RIDGES:
        inverse = 1 / (values.clip(0) + ridge * scale)
        leverage = 1 / m + (np.square(turned) * inverse).sum(axis=1)
        residual = (wanted - (turned * inverse) @ moments) / np.maximum(1 - leverage, 1e-6)[:, None]
        found.append((ridge, 1 - float(np.square(residual).sum()) / max(float(plain), 1e-30)))
    return found


def _weights_between_items(recommender: Recommender, known: scipy.sparse.csr_matrix) -> Any:
    """The matrix B where the model's scores are (history) B, as RecBole's linear models keep it; None for others."""
    model = recommender.trained.model
    users = np.flatnonzero(np.diff(known.indptr))[:8]
    for name in ("item_similarity", "w"):
        between: Any = getattr(model, name, None)
        if isinstance(between, Tensor):
            between = between.detach().cpu().numpy()
        elif hasattr(between, "tocsr"):
            between = between.tocsr()
        if getattr(between, "shape", None) != (known.shape[1], known.shape[1]) or not len(users):
            continue
        made = known[users] @ between
        made = made.toarray() if scipy.sparse.issparse(made) else np.asarray(made)
        own = recommender.scores(users).double().cpu().numpy()
        if np.abs(own - made)[:, 1:].max() <= CLOSE * max(np.abs(own[:, 1:]).max(), 1e-12):
            return between
    return None
