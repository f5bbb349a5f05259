"""Truncated singular value decompositions by products, against numpy's of the matrix itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.compress.svd import truncated_svd
from burnish.enhancers.teachers.ease import GramMatrix, ease
from burnish.enhancers.teachers.scores import Mixture, Standardised, table_scores
from burnish.errors import ConfigurationError
from burnish.speed.memory import CountedMemory


def scores_with(values, n_users=300, n_items=200, seed=0):
    """Scores with the singular values, and random singular vectors; (scores, the same formed)."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((n_users - 1, len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((n_items - 1, len(values))))[0]
    left, right = (np.concatenate([np.zeros((1, len(values))), part]) for part in (left, right))
    scores = table_scores(*(torch.as_tensor(part).float() for part in (left * values, right)))
    return scores, (left * values) @ right.T


@pytest.mark.parametrize("n_users", [300, 120])
def test_against_the_dense_decomposition(n_users):
    scores, formed = scores_with(50 * 0.9 ** np.arange(90), n_users)
    tables = truncated_svd(scores, 12, budget_bytes=16 * 28 * 50)  # several blocks
    left, values, right = np.linalg.svd(formed)
    np.testing.assert_allclose(tables.values, values[:12], rtol=1e-5)
    best = (left[:, :12] * values[:12]) @ right[:12]
    error = np.linalg.norm(formed - (tables.users @ tables.items.T).double().numpy())
    assert error < (1 + 1e-5) * np.linalg.norm(formed - best)
    np.testing.assert_allclose(tables.users @ tables.items.T, best, atol=2e-3)
    # U sqrt(s) and V sqrt(s): each side's columns are orthogonal, of squared length s
    for side in (tables.users, tables.items):
        assert side.dtype == torch.float32
        np.testing.assert_allclose(side.T @ side, np.diag(values[:12]), atol=1e-3)
        assert not side[0].any()


def test_values_that_fall_slowly():
    """As those of EASE do: the best that the rank allows, to a thousandth."""
    scores, formed = scores_with(10 * np.arange(1, 150) ** -0.5)
    tables = truncated_svd(scores, 32)
    values = np.linalg.svd(formed, compute_uv=False)
    error = np.linalg.norm(formed - (tables.users @ tables.items.T).double().numpy())
    assert error < 1.001 * np.sqrt((values[32:] ** 2).sum())


def test_signs_are_fixed_and_the_seed_does_not_matter_where_values_are_apart():
    scores, _ = scores_with(50 * 0.6 ** np.arange(20))
    one, other = truncated_svd(scores, 5, seed=1), truncated_svd(scores, 5, seed=2)
    for side in ("users", "items"):
        torch.testing.assert_close(getattr(one, side), getattr(other, side), atol=1e-4, rtol=1e-4)
    assert not torch.equal(one.users, other.users)
    farthest = one.items.gather(0, one.items.abs().argmax(0, keepdim=True))
    assert bool((farthest > 0).all())
    assert torch.equal(one.users, truncated_svd(scores, 5, seed=1).users)


def test_scores_of_a_lower_rank_leave_columns_of_zeros():
    scores, formed = scores_with(np.array([9.0, 4.0, 1.0]))
    tables = truncated_svd(scores, 8)
    np.testing.assert_allclose(tables.values, [9, 4, 1, 0, 0, 0, 0, 0], atol=1e-4)
    for side in (tables.users, tables.items):
        assert torch.isfinite(side).all()
        assert not side[:, 3:].any()
    np.testing.assert_allclose(tables.users @ tables.items.T, formed, atol=1e-4)


def test_cuts_are_the_best_tables_of_their_rank_with_columns_of_zeros():
    scores, _ = scores_with(50 * 0.6 ** np.arange(20))
    tables = truncated_svd(scores, 8)
    cut, lower = tables.cut(3, width=8), truncated_svd(scores, 3)
    assert cut.users.shape == (300, 8)
    assert not cut.items[:, 3:].any()
    torch.testing.assert_close(cut.users[:, :3], lower.users, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(cut.users @ cut.items.T, lower.users @ lower.items.T, atol=1e-3, rtol=1e-3)
    assert tables.cut(8).items is not None
    for rank, width in ((0, 8), (9, 12), (6, 5)):
        with pytest.raises(ConfigurationError, match=f"rank = {rank}; give a whole number from 1 to"):
            tables.cut(rank, width)


def test_new_users_and_items_are_placed_where_known_ones_are(small_world):
    scores = Standardised(ease(GramMatrix(small_world.known, 2**30), 3.0))
    tables = truncated_svd(scores, 6)
    some = torch.tensor([4, 0, 9, 3])
    rows = tables.new_users(Standardised(scores.scores.for_users(small_world.known.pick(some))))
    torch.testing.assert_close(rows, tables.users[some], atol=1e-4, rtol=1e-4)
    columns = scores.rows(torch.arange(40))[:, some]
    torch.testing.assert_close(tables.new_items(columns), tables.items[some], atol=1e-4, rtol=1e-4)


def test_a_mixture_is_decomposed_as_its_sum(small_world):
    one = Standardised(ease(GramMatrix(small_world.known, 2**30), 3.0))
    rows = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    columns = torch.randn(23, 4, generator=torch.Generator().manual_seed(1))
    other = Standardised(table_scores(rows, columns))
    everybody = torch.arange(40)
    formed = (0.4 * one.rows(everybody) + 0.6 * other.rows(everybody)).double().numpy()
    tables = truncated_svd(Mixture([one, other], [0.4, 0.6]), 7)
    np.testing.assert_allclose(tables.values, np.linalg.svd(formed, compute_uv=False)[:7], rtol=1e-4)


def test_the_matrix_of_scores_is_never_formed():
    n_users, n_items = 6000, 3000
    generator = torch.Generator().manual_seed(0)
    tables = (torch.randn(count, 8, generator=generator) for count in (n_users, n_items))
    scores = Standardised(table_scores(*tables))
    scores.moments  # noqa: B018
    with CountedMemory() as memory:
        truncated_svd(scores, 16, budget_bytes=2**20)
    assert memory.largest < 4 * n_users * n_items / 50
    assert memory.peak < 4 * n_users * n_items / 20


def test_a_width_that_the_scores_do_not_have():
    scores, _ = scores_with(np.ones(2), n_users=10, n_items=7)
    with pytest.raises(
        ConfigurationError, match=r"width = 7, .* 9 users and 6 items have a rank of 6 at most"
    ):
        truncated_svd(scores, 7)
    assert truncated_svd(scores, 6).users.shape == (10, 6)
