"""Scores that are never formed, against matrices that are: products, rows, moments, new users and items."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from burnish.enhancers.teachers.ease import GramMatrix, ease
from burnish.enhancers.teachers.item_knn import item_knn
from burnish.enhancers.teachers.scores import Bilinear, Mixture, Standardised, table_scores
from burnish.enhancers.teachers.sparse import Sparse, blocks, blocks_by_cost, incidence
from burnish.errors import ConfigurationError, DataError

AMPLE, SCANT = 2**30, 16 * 23 * 9  # of the items' side: EASE in full, and by 9 factors


def made(kind, world):
    """(scores, the same in float64, formed)."""
    generator = torch.Generator().manual_seed(1)
    n_users, n_items = world.dense.shape
    if kind == "tables":
        users = torch.randn(n_users, 6, generator=generator)
        items = torch.randn(n_items, 6, generator=generator) + 3  # a mean far from zero
        formed = users.double().numpy() @ items.double().numpy().T
    elif kind in ("ease", "low rank"):
        gram = GramMatrix(world.known, AMPLE if kind == "ease" else SCANT)
        assert gram.form == ("float64" if kind == "ease" else "low rank")
        scores = ease(gram, 3.0)
        square = world.dense.T @ world.dense
        if kind == "low rank":
            factors, rest = (part.double().numpy() for part in gram.factors)
            assert factors.shape == (n_items, 9)
            square = factors @ factors.T + np.diag(rest)
        inverse = np.linalg.inv(square + 3 * np.eye(n_items))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return scores, world.dense @ weights
    elif kind == "itemknn":
        return item_knn(world.known, neighbours=4, shrink=2.0), world.dense @ cosines(world.dense, 4, 2.0)
    elif kind.startswith("standardised "):
        scores, formed = made(kind.removeprefix("standardised "), world)
        real = formed[:, 1:]
        deviation = real.std(1, keepdims=True)
        deviation[deviation < 1e-9] = np.inf
        formed = (formed - real.mean(1, keepdims=True)) / deviation
        formed[0], formed[:, 0] = 0, 0
        return Standardised(scores), formed
    else:
        parts = [made(f"standardised {part}", world) for part in ("ease", "tables", "itemknn")]
        weights = [0.5, 2.0, -1.0]
        formed = sum(weight * part for weight, (_, part) in zip(weights, parts, strict=True))
        return Mixture([scores for scores, _ in parts], weights), formed
    formed[0], formed[:, 0] = 0, 0
    return table_scores(users, items), formed


def cosines(dense, neighbours, shrink):
    """ItemKNN's weights by loops: column i has the cosines of the items that are most like item i."""
    weights = np.zeros((dense.shape[1],) * 2)
    counts = dense.sum(0)
    for i in range(len(weights)):
        like = [
            (dense[:, j] @ dense[:, i] / (np.sqrt(counts[i] * counts[j]) + shrink + 1e-6) if j != i else 0.0)
            for j in range(len(weights))
        ]
        for j in sorted(range(len(like)), key=lambda j, like=like: (-round(like[j], 6), j))[:neighbours]:
            weights[j, i] = like[j]
    return weights


KINDS = ["tables", "ease", "low rank", "itemknn"]
KINDS += [f"standardised {kind}" for kind in KINDS] + ["mixture"]


@pytest.fixture(params=KINDS)
def pair(request, small_world):
    return made(request.param, small_world)


def test_products_from_both_sides(pair):
    scores, formed = pair
    generator = torch.Generator().manual_seed(2)
    thin = torch.randn(scores.n_items, 3, generator=generator)
    product, parts = scores.times(thin), list(blocks(scores.n_users, 7, 7 * 11))
    assert len(parts) == 4
    together = torch.cat([product(block) for block in parts])
    np.testing.assert_allclose(together, formed @ thin.numpy(), atol=2e-4)

    other = torch.randn(scores.n_users, 3, generator=generator)
    gathering = scores.gathering()
    for block in parts:
        gathering.add(block, other[block])
    np.testing.assert_allclose(gathering.total(), formed.T @ other.numpy(), atol=2e-4)


def test_rows_and_moments(pair):
    scores, formed = pair
    users = torch.tensor([7, 0, 3, 39, 7])
    np.testing.assert_allclose(scores.rows(users), formed[users.numpy()], atol=2e-5)
    mean, deviation = scores.moments
    assert mean.dtype == deviation.dtype == torch.float64
    np.testing.assert_allclose(mean, formed[:, 1:].mean(1), atol=1e-5)
    np.testing.assert_allclose(deviation, formed[:, 1:].std(1), atol=1e-5)


def test_a_mixture_is_written_out_where_that_is_cheaper_and_fits(small_world):
    mixture, formed = made("mixture", small_world)
    n_users, n_items = formed.shape
    entries = n_users * n_items
    knn, _ = made("standardised itemknn", small_world)
    assert mixture.cost > entries, "EASE's weights are a table of items times items"
    written = mixture.cheaper(4 * entries)
    assert isinstance(written, Bilinear)
    assert written.cost == entries
    np.testing.assert_allclose(written.rows(torch.arange(n_users)).numpy(), formed, atol=1e-4)
    assert mixture.cheaper(4 * entries - 1) is mixture, "beyond the budget"
    thin = Mixture([knn], [1.0])
    assert thin.cost < entries
    assert thin.cheaper(AMPLE) is thin


def test_padding_and_users_without_items_have_no_scores(small_world):
    for kind in KINDS[4:]:
        scores, _ = made(kind, small_world)
        rows = scores.rows(torch.arange(scores.n_users))
        assert not rows[0].any()
        assert not rows[:, 0].any()
        assert bool(rows[3].any()) == ("tables" in kind or kind == "mixture")


@pytest.mark.parametrize("kind", ["tables", "ease", "low rank", "itemknn"])
def test_the_budget_of_moments_changes_nothing(kind, small_world):
    scores, _ = made(kind, small_world)
    whole = scores.moments
    again, _ = made(kind, small_world)
    again.budget_bytes = 1  # a user at a time
    for one, other in zip(whole, again.moments, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["ease", "low rank", "itemknn", "standardised ease", "standardised itemknn"])
def test_new_users_are_scored_as_known_ones_would_be(kind, small_world):
    scores, formed = made(kind, small_world)
    some = torch.tensor([4, 0, 9])
    new = scores.for_users(small_world.known.pick(some))
    np.testing.assert_allclose(new.rows(torch.arange(3)), formed[some.numpy()], atol=2e-5)
    assert (new.n_users, new.n_items) == (3, scores.n_items)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("kind", ["ease", "low rank", "itemknn"])
def test_new_items_are_scored_as_if_they_had_been_in_the_data(kind, standardise, small_world):
    dense = small_world.dense
    scores, formed = made(kind, small_world)
    who = np.random.default_rng(5).random((len(dense), 2)) < 0.3
    who[0] = False
    users, number = (torch.as_tensor(ids) for ids in np.nonzero(who))
    newcomers = incidence(number + 1, users, (3, len(dense)))
    want = np.zeros((len(dense), 3))
    for item in range(2):  # each on its own
        wider = np.concatenate([dense, who[:, item : item + 1]], axis=1)
        if kind != "itemknn":
            square = wider.T @ wider
            if kind == "low rank":  # of the items that there were
                factors, rest = (
                    part.double().numpy() for part in GramMatrix(small_world.known, SCANT).factors
                )
                square[:-1, :-1] = factors @ factors.T + np.diag(rest)
            inverse = np.linalg.inv(square + 3 * np.eye(wider.shape[1]))
            weights = -inverse[:-1, -1] / inverse[-1, -1]
        else:
            weights = cosines(wider, 4, 2.0)[:-1, -1]
        want[:, item + 1] = dense @ weights
    if standardise:
        deviation = formed[:, 1:].std(1, keepdims=True)
        want = np.where(deviation > 1e-9, want - formed[:, 1:].mean(1, keepdims=True), 0)
        want /= np.where(deviation > 1e-9, deviation, 1)
        scores = Standardised(scores)
    np.testing.assert_allclose(scores.for_items(newcomers)[:, 1:], want[:, 1:], atol=1e-4)


def test_what_teachers_cannot_say_is_said(small_world):
    tables, _ = made("mixture", small_world)
    with pytest.raises(
        ConfigurationError, match="no scores for new users; mix teachers that score from the items"
    ):
        tables.for_users(small_world.known)
    with pytest.raises(ConfigurationError, match="no scores for new items"):
        tables.for_items(incidence(torch.ones(1), torch.ones(1), (2, 40)))
    with pytest.raises(ConfigurationError, match="known has 40 columns, and there are 23 ids of items"):
        tables.for_users(incidence(torch.ones(1), torch.ones(1), (2, 40)))
    with pytest.raises(ConfigurationError, match="known has 23 columns, and there are 40 ids of users"):
        tables.for_items(incidence(torch.ones(1), torch.ones(1), (2, 23)))
    with pytest.raises(ConfigurationError, match="one finite number each"):
        Mixture(tables.parts, [1.0, float("nan"), 2.0])
    with pytest.raises(ConfigurationError, match="teachers of the same data"):
        Mixture([tables, table_scores(torch.ones(3, 2), torch.ones(4, 2))], [1, 1])
    with pytest.raises(ConfigurationError, match="rows of users are 2 wide and rows of items 3"):
        table_scores(torch.ones(3, 2), torch.ones(4, 3))
    with pytest.raises(DataError, match="the run: the table of items holds NaN"):
        table_scores(torch.ones(3, 2), torch.full((4, 2), torch.nan), name="the run")
    huge = table_scores(torch.full((3, 2), 3e38), torch.full((4, 2), 3e38))
    huge.side._scatter[:] = torch.inf
    with pytest.raises(DataError, match=r"the scores of the tables for user \d .* are not finite"):
        huge.moments  # noqa: B018


class TestSparse:
    """Products and makers of sparse matrices."""

    def test_pairs_count_once_and_padding_not_at_all(self):
        users = torch.tensor([1, 2, 2, 1, 0, 2])
        items = torch.tensor([1, 3, 3, 1, 2, 0])
        matrix = incidence(users, items, (3, 4))
        np.testing.assert_array_equal(matrix.matrix.toarray(), [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        for wrong in ([3, 1], [-1, 1]):
            with pytest.raises(DataError, match=r"rows run from .* give numbers from 0 to 2"):
                incidence(torch.tensor(wrong), torch.tensor([1, 1]), (3, 4))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_products(self, dtype, small_world):
        weights = torch.rand(23, generator=torch.Generator().manual_seed(0)).float()
        sparse = small_world.known.with_weights(weights)
        formed = small_world.dense * weights.double().numpy()
        thin = torch.randn(23, 5, dtype=dtype, generator=torch.Generator().manual_seed(1))
        tall = torch.randn(40, 5, dtype=dtype, generator=torch.Generator().manual_seed(2))
        for first, last in itertools.pairwise([0, 1, 17, 40]):
            block = slice(first, last)
            np.testing.assert_allclose(sparse.times(thin, block), formed[block] @ thin.numpy(), atol=1e-5)
            got = sparse.transposed_times(tall[block], block)
            np.testing.assert_allclose(got, formed[block].T @ tall[block].numpy(), atol=1e-5)
        assert sparse.times(thin).dtype == dtype

    def test_nothing_at_all(self):
        empty = incidence(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), (3, 4))
        assert isinstance(empty, Sparse)
        assert not empty.times(torch.ones(4, 2)).any()
        assert empty.transposed_times(torch.ones(3, 2)).shape == (4, 2)

    def test_blocks_cover_all_rows_once(self):
        assert list(blocks(5, 8, 16)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
        assert list(blocks(2, 8, 1)) == [slice(0, 1), slice(1, 2)]

    def test_blocks_by_cost(self):
        costs = np.array([3, 4, 1, 9, 0, 0, 8])
        assert list(blocks_by_cost(costs, 8)) == [slice(0, 3), slice(3, 4), slice(4, 7)]
        assert list(blocks_by_cost(costs, 100)) == [slice(0, 7)]
        singles = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (6, 7)]
        assert list(blocks_by_cost(costs, 1)) == [slice(*pair) for pair in singles]


def test_moments_lie_where_the_scores_do() -> None:
    """On another device than the sparse matrices, which are scipy's; `meta` needs no GPU."""
    users, items = torch.tensor([1, 1, 2, 3]), torch.tensor([1, 2, 2, 4])
    scores = item_knn(incidence(users, items, (5, 6), "meta"))
    mean, scatter = scores.side.sums(scores.users, slice(0, 5))
    assert {mean.device.type, scatter.device.type} == {"meta"}
