"""EASE against RecBole's, its definition and its low-rank form; ItemKNN against RecBole's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.anatomy.describe import describe
from burnish.enhancers.interactions import Positives
from burnish.enhancers.teachers.ease import GramMatrix, ease, inverse_gram
from burnish.enhancers.teachers.item_knn import item_knn
from burnish.enhancers.teachers.known_items import known_items
from burnish.enhancers.teachers.sparse import incidence
from burnish.errors import ConfigurationError


def full(world, ridge):
    """X B, where column k of B is a ridge regression of item k on all the others."""
    dense = world.dense
    weights = np.zeros((dense.shape[1],) * 2)
    for item in range(1, dense.shape[1]):
        rest = [other for other in range(dense.shape[1]) if other != item]
        square = dense[:, rest].T @ dense[:, rest] + ridge * np.eye(len(rest))
        weights[rest, item] = np.linalg.solve(square, dense[:, rest].T @ dense[:, item])
    return dense @ weights


@pytest.mark.parametrize("ridge", [0.5, 20.0])
def test_full_ease_is_one_regression_an_item(ridge, small_world):
    everybody = torch.arange(len(small_world.dense))
    for itemsize, form in ((8, "float64"), (4, "float32")):
        gram = GramMatrix(small_world.known, 2 * itemsize * 23**2)
        assert gram.form == form
        got = ease(gram, ridge).rows(everybody)
        np.testing.assert_allclose(got, full(small_world, ridge), atol=1e-5)


@pytest.mark.parametrize("ridge", [0.5, 20.0])
def test_low_rank_ease_of_all_ranks_is_the_full_one(ridge, small_world):
    gram = GramMatrix(small_world.known, 8 * 23**2 - 1)
    assert gram.form == "low rank"
    gram = AllFactors(small_world.known, 0)
    got = ease(gram, ridge).rows(torch.arange(len(small_world.dense)))
    np.testing.assert_allclose(got, full(small_world, ridge), atol=1e-4)


class AllFactors(GramMatrix):
    """As many factors as there are items."""

    n_factors = 22


def test_rows_times_the_inverse(small_world):
    """In full and of all ranks; the diagonal with it."""
    inverse = np.linalg.inv(small_world.dense.T @ small_world.dense + 20.0 * np.eye(23))
    for gram in (GramMatrix(small_world.known, 2**20), AllFactors(small_world.known, 0)):
        found = inverse_gram(gram, 20.0)
        np.testing.assert_allclose(
            found.times(small_world.known), small_world.dense @ inverse, rtol=1e-3, atol=1e-5
        )
        np.testing.assert_allclose(found.diagonal[1:], np.diag(inverse)[1:], rtol=1e-4)


def test_the_low_rank_form_is_never_above_the_gram_matrix_and_keeps_its_diagonal(small_world):
    square = small_world.dense.T @ small_world.dense
    errors = []
    for n_factors in (2, 6, 12):
        gram = GramMatrix(small_world.known, 16 * 23 * n_factors)
        factors, rest = (part.double().numpy() for part in gram.factors)
        assert factors.shape == (23, n_factors)
        near = factors @ factors.T
        assert np.linalg.eigvalsh(square - near).min() > -1e-4
        np.testing.assert_allclose(np.diag(near) + rest, np.diag(square), atol=1e-4)
        errors.append(np.linalg.norm(square - near - np.diag(rest)))
        scores = ease(gram, 5.0).rows(torch.arange(40)).double().numpy()
        assert not scores[:, [0, 5]].any()
    best = np.sort(np.linalg.eigvalsh(square))[::-1]
    assert errors[0] > errors[1] > errors[2]
    factors, _ = (part.double().numpy() for part in GramMatrix(small_world.known, 16 * 23 * 6).factors)
    assert np.linalg.norm(square - factors @ factors.T) < 1.25 * np.sqrt((best[6:] ** 2).sum())


def test_the_seed_decides_the_factors(small_world):
    def made(seed):
        return GramMatrix(small_world.known, 16 * 23 * 4, seed).factors[0]

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ridge_that_cannot_be_used(ridge, small_world):
    with pytest.raises(ConfigurationError, match=f"ridge = {ridge}; give a number above 0"):
        ease(GramMatrix(small_world.known, 2**20), ridge)


def test_a_ridge_that_rounding_swallows():
    twins = incidence(torch.tensor([1, 1]), torch.tensor([1, 2]), (2, 3))
    with pytest.raises(ConfigurationError, match="ridge = 1e-09 is too small for the items' Gram matrix"):
        ease(GramMatrix(twins, 8 * 3**2), 1e-9)


def recbole_scores(made):
    users = torch.arange(made.model.n_users)
    return made.model.full_sort_predict({made.model.USER_ID: users}).view(len(users), -1)


def test_as_recboles_ease(world):
    made = world("EASE", reg_weight=250.0)
    dataset = made.train._dataset
    known = known_items(dataset, describe(made.model, made.config, dataset), Positives(None))
    got = ease(GramMatrix(known, 2**30), 250.0).rows(torch.arange(made.model.n_users))
    torch.testing.assert_close(got, recbole_scores(made), atol=2e-4, rtol=1e-3)


def test_as_recboles_item_knn(world):
    made = world("ItemKNN", k=30, shrink=5.0)
    dataset = made.train._dataset
    known = known_items(dataset, describe(made.model, made.config, dataset), Positives(None))
    got = item_knn(known, neighbours=30, shrink=5.0)
    mine, theirs = got.side.weights.matrix.toarray(), made.model.w.toarray()
    # Of items that are as like, RecBole takes any: the values are the same, and what is above the last of them.
    np.testing.assert_allclose(np.sort(mine, axis=0), np.sort(theirs, axis=0), atol=1e-6)
    last = np.sort(mine, axis=0)[-30]
    above = mine > last + 1e-6
    assert above.sum() > 20_000
    np.testing.assert_allclose(mine[above], theirs[above], atol=1e-6)
    assert (np.count_nonzero(mine, axis=0) <= 30).all()


def test_blocks_of_items_change_nothing(small_world, monkeypatch):
    whole = item_knn(small_world.known, neighbours=4).side.weights.matrix
    monkeypatch.setattr("burnish.enhancers.teachers.item_knn.BLOCK_BYTES", 1000)
    assert (item_knn(small_world.known, neighbours=4).side.weights.matrix != whole).nnz == 0


def test_bad_numbers_of_neighbours_are_said(small_world):
    with pytest.raises(ConfigurationError, match="neighbours = 0"):
        item_knn(small_world.known, neighbours=0)
    with pytest.raises(ConfigurationError, match="shrink = -1"):
        item_knn(small_world.known, shrink=-1)
