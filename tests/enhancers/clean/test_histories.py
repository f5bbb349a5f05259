"""Whole users and items that are noise: scores without the row against refits, signs and counterparts by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.clean.histories import (
    GROUPS,
    LEAST_DRAWN,
    Judged,
    counterparts,
    history_signs,
    judged_histories,
    left_out_scores,
)
from burnish.enhancers.clean.planted import suspicion
from burnish.enhancers.clean.signs import RIDGE
from burnish.enhancers.teachers.ease import GramMatrix, inverse_gram
from burnish.enhancers.teachers.sparse import Sparse, incidence
from burnish.noise.draw import inject

from .test_planted import tasteful


def some(
    seed: int = 0, n_users: int = 40, n_items: int = 30, share: float = 0.3
) -> tuple[Sparse, np.ndarray]:
    """Histories of 40 users, ids from 1, sparse and dense."""
    dense = np.zeros((n_users + 1, n_items + 1))
    dense[1:, 1:] = np.random.default_rng(seed).random((n_users, n_items)) < share * np.linspace(
        1.8, 0.2, n_items
    )
    rows, columns = (torch.from_numpy(axis) for axis in np.nonzero(dense))
    return incidence(rows, columns, dense.shape), dense  # type: ignore[arg-type]


def refitted(dense: np.ndarray, without: int, history: np.ndarray, ridge: float) -> np.ndarray:
    """EASE of all rows but one, of a history."""
    left = np.delete(dense, without, axis=0)
    inverse = np.linalg.inv(left.T @ left + ridge * np.eye(left.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(history @ weights)


@pytest.mark.parametrize("ridge", [5.0, 500.0])
def test_scores_without_the_row_against_a_refit(ridge: float) -> None:
    known, dense = some()
    inverse = inverse_gram(GramMatrix(known, 10**6), ridge)
    histories = np.roll(dense, 1, axis=0)
    histories[7] = dense[7]
    own, others = (torch.from_numpy(one).float() for one in (dense, histories))
    by_own, by_others = (one @ inverse.full for one in (own, others))
    found = left_out_scores(others, own, by_others, by_own, inverse.diagonal)
    for row in (1, 7, 20, 40):
        expected = refitted(dense, row, histories[row], ridge)
        np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=2e-5)


def test_signs_against_loops() -> None:
    known, dense = some(1)
    stands_for = np.array([3, 8, 8, 21])
    histories = dense[stands_for]
    histories[2] = dense[30]
    sparse = incidence(*(torch.from_numpy(axis) for axis in np.nonzero(np.vstack([0 * histories[:1], histories]))),
                       (5, dense.shape[1]))  # fmt: skip
    sparse = Sparse(sparse.matrix[1:])
    found = history_signs(sparse, stands_for, known, inverse_gram(GramMatrix(known, 10**6), RIDGE))
    counts = dense.sum(0)
    edges = np.unique(np.quantile(counts[1:], np.arange(1, GROUPS) / GROUPS))
    group = np.searchsorted(edges, counts)
    popular = np.log(counts[1:] + 1)
    entries = []
    for row, history in zip(stands_for, histories, strict=True):
        scores = refitted(dense, row, history, RIDGE)
        free = [column for column in range(1, len(history)) if not history[column]]
        own = []
        for column in np.flatnonzero(history):
            like = [other for other in free if group[other] == group[column]]
            signs = [
                np.clip((scores[column] - scores[those].mean()) / (scores[those].std() + 1e-6), -3, 5)
                if those
                else np.clip(scores[column] / 1e-6, -3, 5)
                for those in (free, like)
            ]
            signs.append(
                (np.log(counts[column] - dense[row, column] + 1) - popular.mean()) / popular.std(ddof=1)
            )
            own.append(signs)
        own = np.array(own)
        mean = [*own.mean(0), *(own[:, :2] < 0).mean(0), np.log(len(own))]
        entries += [[*signs, *mean] for signs in own]
    np.testing.assert_allclose(found.entries, entries, rtol=5e-3, atol=5e-3)
    starts = np.append(0, np.cumsum(histories.sum(1))[:-1]).astype(int)
    np.testing.assert_array_equal(found.histories, found.entries[starts, 3:])


def test_counterparts() -> None:
    known, dense = some(2)
    chance = np.zeros(31)
    chance[1:21] = np.linspace(4, 1, 20)
    lengths = np.tile(dense.sum(1).astype(int)[1:31], 40)
    of = np.arange(11, 41)
    found, is_drawn, rows = counterparts(known, lengths, of, chance, np.random.default_rng(0))
    matrix = found.matrix
    taken = np.zeros(31)
    might = np.zeros(31)
    for place, row in enumerate(rows):
        here = slice(matrix.indptr[place], matrix.indptr[place + 1])
        columns, drawn = matrix.indices[here], is_drawn[here]
        own = dense[row].astype(bool)
        assert (np.diff(columns) > 0).all()
        most = lengths[place] - max(1, round(LEAST_DRAWN * lengths[place] - 0.5))
        assert len(columns) == lengths[place] or drawn.sum() == (~own[1:21]).sum()
        assert (~drawn).sum() <= min(most + 1, own.sum())
        assert own[columns[~drawn]].all()
        assert not own[columns[drawn]].any()
        np.add.at(taken, columns[drawn], 1)
        might[~own] += 1
    assert not taken[21:].any()
    often = taken[1:21] / might[1:21]
    assert often[:5].mean() > 1.3 * often[15:].mean()
    assert set(rows) == set(of)
    assert 0.6 < is_drawn.mean() < 0.85


@pytest.mark.parametrize("kind", ["bots", "clickbait"])
def test_whole_users_and_items_are_found_and_none_where_there_are_none(kind: str) -> None:
    """Users of four tastes, with half of the items of theirs."""
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(1, 201), 30)
    items = np.concatenate([1 + 4 * rng.choice(60, 30, replace=False) + user % 4 for user in range(1, 201)])
    drawn = inject(users, items, n_items=241, share=0.2, kind=kind, seed=99, first_item=1)
    noisy = torch.from_numpy(drawn.users), torch.from_numpy(drawn.items)
    found = suspicion(*noisy, 201, 241, kinds=(kind,), must_help=False, repeats=2, seed=2)
    is_noise = torch.arange(len(noisy[0])) >= len(users)
    assert 0.06 < found.shares[0].share < 0.3
    assert found.probability[is_noise].mean() > 5 * found.probability[~is_noise].mean()
    clean = suspicion(
        torch.from_numpy(users), torch.from_numpy(items), 201, 241, kinds=(kind,), must_help=False, repeats=2
    )
    assert not clean.probability.any()
    assert clean.shares[0].low <= 0.01


def test_where_there_are_no_bots_other_kinds_are_looked_for_as_without_them() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(4))
    drawn = inject(users.numpy(), items.numpy(), n_items=121, share=0.2, kind="uniform", seed=9, first_item=1)
    noisy = torch.from_numpy(drawn.users), torch.from_numpy(drawn.items)
    alone = suspicion(*noisy, 201, 121, kinds=("uniform",), must_help=False, repeats=1)
    beside, again = (
        suspicion(*noisy, 201, 121, kinds=("uniform", "bots"), must_help=False, repeats=1) for _ in range(2)
    )
    assert alone.probability.any()
    assert not beside.shares[1].low > 0.01
    assert torch.equal(alone.probability, beside.probability)
    assert again.shares == beside.shares


def test_few_histories_are_not_judged() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(0, n_users=40))
    found = judged_histories(users, items, (41, 121), by_popularity=False, repeats=1, seed=0)
    assert not found.probability.any()
    assert (found.share, found.low, found.high) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "low", "acted_on"), [(0.02, 0.005, False), (0.1, 0.05, True), (0.6, 0.5, False)]
)
def test_a_share_that_is_doubtful_or_too_large_is_not_acted_on(
    share: float, low: float, acted_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(0))
    judged = Judged(np.full(len(users), 0.9), share, low, 0.9)
    monkeypatch.setattr("burnish.enhancers.clean.planted.judged_histories", lambda *_, **__: judged)
    found = suspicion(users, items, 201, 121, kinds=("bots",), must_help=False)
    torch.testing.assert_close(found.probability, torch.full((len(users),), 0.9 * acted_on))


@pytest.mark.parametrize("by_popularity", [False, True])
def test_what_chance_draws_counterparts_from(by_popularity: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All columns alike, or each as often as it occurs; never the padding."""
    users, items = (torch.from_numpy(ids) for ids in tasteful(0))
    asked: list[np.ndarray] = []

    class SeenError(Exception):
        pass

    def stand_in(known: Sparse, lengths: object, of: object, chance: np.ndarray, rng: object) -> None:
        asked.append(chance)
        raise SeenError

    monkeypatch.setattr("burnish.enhancers.clean.histories.counterparts", stand_in)
    with pytest.raises(SeenError):
        judged_histories(users, items, (201, 121), by_popularity=by_popularity, repeats=1, seed=0)
    occurs = np.bincount(items.numpy(), minlength=121)
    np.testing.assert_array_equal(asked[0], occurs if by_popularity else np.arange(121) > 0)


@pytest.mark.parametrize(("kind", "by_popularity"), [("bots", False), ("clickbait", True)])
def test_whose_histories_are_judged(kind: str, by_popularity: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(0))
    asked: list[tuple[object, ...]] = []

    def stand_in(rows: torch.Tensor, columns: torch.Tensor, sizes: object, **options: object) -> Judged:
        asked.append((rows, columns, sizes, options["by_popularity"]))
        return Judged(np.zeros(len(rows)), 0.0, 0.0, 0.0)

    monkeypatch.setattr("burnish.enhancers.clean.planted.judged_histories", stand_in)
    suspicion(users, items, 201, 121, kinds=(kind,), must_help=False)
    sides = [(users, 201), (items, 121)][:: 1 if kind == "bots" else -1]
    ((rows, columns, sizes, popularity),) = asked
    assert rows is sides[0][0]
    assert columns is sides[1][0]
    assert (sizes, popularity) == ((sides[0][1], sides[1][1]), by_popularity)


def test_what_a_bot_did_itself_is_likelier_real_and_short_histories_are_not_judged() -> None:
    """200 users of four tastes, ten of them bots, and 800 with four items by chance each."""
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(1, 201), 30)
    items = np.concatenate([1 + 4 * rng.choice(60, 30, replace=False) + user % 4 for user in range(1, 201)])
    drawn = inject(users, items, n_items=241, share=0.2, kind="bots", seed=99, first_item=1)
    few = np.concatenate([1 + rng.choice(240, 4, replace=False) for _ in range(800)])
    users, items = np.append(drawn.users, np.repeat(np.arange(201, 1001), 4)), np.append(drawn.items, few)
    found = judged_histories(
        torch.from_numpy(users), torch.from_numpy(items), (1001, 241), by_popularity=False, repeats=1, seed=2
    )
    is_noise = np.append(drawn.is_noise, np.zeros(len(few), bool))
    of_bots = np.isin(users, users[is_noise])
    assert found.probability[is_noise].mean() > 0.5
    assert found.probability[is_noise].mean() > 1.1 * found.probability[of_bots & ~is_noise].mean()
    assert not found.probability[users > 200].any()
    # Of all interactions, those of short histories among them.
    assert found.probability.mean() <= found.share + 1e-9
    assert found.share < 1.2 * found.probability.mean()
