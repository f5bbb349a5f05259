"""Cross-fitted values against the definition, one user and one coalition at a time."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from burnish.enhancers.shapley.cross_fit import catalogue_mean, cross_fitted, factors
from burnish.errors import ConfigurationError, DataError, NonFiniteError


def by_definition(x: Tensor) -> Tensor:
    """Shapley values of v(S) = mean of x over S from all coalitions, `[n, d]`."""
    n = len(x)
    values = torch.zeros_like(x)
    for player in range(n):
        others = [p for p in range(n) if p != player]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for members in itertools.combinations(others, size):
                before = x[list(members)].sum(0) / size if size else torch.zeros_like(x[0])
                after = x[[*members, player]].sum(0) / (size + 1)
                values[player] += weight * (after - before)
    return values


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_closed_form_is_the_average_over_coalitions(n: int) -> None:
    x = torch.randn(n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    own, rest = factors(torch.tensor([n]))
    torch.testing.assert_close(own * x - rest * x.sum(0), by_definition(x), rtol=1e-10, atol=1e-12)


def one_fold_each(items: Tensor, vectors: Tensor, mean: Tensor) -> Tensor:
    """The definition for a user with as many folds as interactions: no draw decides anything."""
    e = vectors / vectors.norm(dim=1, keepdim=True)
    values = torch.zeros(len(items), vectors.shape[1], dtype=vectors.dtype)
    for held in range(len(items)):
        others = [p for p in range(len(items)) if p != held]
        g = e[items[held]] - mean
        values[others] += by_definition(g * e[items[others]]) / (len(items) - 1)
    return values


def data(n_users: int = 6, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = torch.tensor([1, 2, 3, 5, 4, 2])[:n_users]
    users = torch.repeat_interleave(torch.tensor([7, 0, 3, 90, 12, 5])[:n_users], sizes)
    items = torch.randint(0, 9, (len(users),), generator=generator)
    shuffled = torch.randperm(len(users), generator=generator)
    return users[shuffled], items[shuffled], torch.randn(10, 4, dtype=dtype, generator=generator)


def test_a_fold_an_interaction_is_the_definition() -> None:
    users, items, vectors = data()
    mean = catalogue_mean(vectors, items)
    e = vectors / vectors.norm(dim=1, keepdim=True)
    torch.testing.assert_close(mean, e[items.unique()].mean(0))
    values = cross_fitted(users, items, vectors, folds=5, per_dimension=True)
    for user in users.unique():
        rows = (users == user).nonzero().squeeze(1)
        expected = one_fold_each(items[rows], vectors, mean) if len(rows) > 1 else torch.zeros(1, 4).double()
        torch.testing.assert_close(values[rows], expected, rtol=1e-10, atol=1e-12)


def test_larger_folds_average_to_the_mean_over_all_deals() -> None:
    """Four interactions in two folds: the three ways to deal them, each by definition, against many repeats."""
    vectors = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    e = vectors / vectors.norm(dim=1, keepdim=True)
    expected = torch.zeros(4, dtype=torch.float64)
    for pair in ([0, 1], [0, 2], [0, 3]):
        rest = [p for p in range(4) if p not in pair]
        for held, left in ((pair, rest), (rest, pair)):
            expected[left] += by_definition((e[held].mean(0) - e.mean(0)) * e[left]).sum(1) / 3
    users, items = torch.zeros(4, dtype=torch.long), torch.arange(4)
    values = cross_fitted(users, items, vectors, folds=2, repeats=4000)
    assert float((values - expected).abs().max()) < 0.02 * float(expected.abs().max())


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    folds=st.integers(2, 7),
    block=st.integers(1, 5),
)
def test_neither_blocks_nor_other_users_nor_dimensions_change_a_value(
    sizes: list[int], folds: int, block: int
) -> None:
    users = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    generator = torch.Generator().manual_seed(3)
    items = torch.randint(0, 20, users.shape, generator=generator)
    vectors = torch.randn(20, 5, dtype=torch.float64, generator=generator)
    whole = cross_fitted(users, items, vectors, folds=folds, seed=9)
    assert whole.shape == users.shape
    blocks = cross_fitted(users, items, vectors, folds=folds, seed=9, block_users=block)
    torch.testing.assert_close(blocks, whole, rtol=1e-9, atol=1e-12)
    dimensions = cross_fitted(users, items, vectors, folds=folds, seed=9, per_dimension=True)
    torch.testing.assert_close(dimensions.sum(1), whole, rtol=1e-9, atol=1e-12)
    # A change of the last user's items reaches no other user (with the mean given, which is over all items).
    mean = catalogue_mean(vectors, items)
    changed = torch.where(users == len(sizes) - 1, (items + 1) % 20, items)
    before, after = (
        cross_fitted(users, one, vectors, folds=folds, seed=9, centre=mean) for one in (items, changed)
    )
    torch.testing.assert_close(before[users < len(sizes) - 1], after[users < len(sizes) - 1])


def test_options_do_what_they_say() -> None:
    users, items, vectors = data()
    e = vectors / vectors.norm(dim=1, keepdim=True)
    mean = catalogue_mean(vectors, items)
    plain = cross_fitted(users, items, vectors)
    torch.testing.assert_close(plain, cross_fitted(users, items, 3 * e, centre=mean))
    torch.testing.assert_close(plain, cross_fitted(users, items, e, normalise=False))
    raw = cross_fitted(users, items, vectors, normalise=False, centre=False)
    torch.testing.assert_close(
        cross_fitted(users, items, 2 * vectors, normalise=False, centre=False), 4 * raw
    )
    single = cross_fitted(users, items, vectors.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), plain, rtol=1e-4, atol=1e-6)
    assert cross_fitted(users, items, vectors.bfloat16()).dtype == torch.float32


def test_seeds_and_random_streams() -> None:
    users = torch.zeros(30, dtype=torch.long)
    items, vectors = torch.arange(30), torch.randn(30, 4, generator=torch.Generator().manual_seed(4))
    before = torch.random.get_rng_state()
    one, again, other = (cross_fitted(users, items, vectors, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_constant_vectors_duplicates_and_nothing() -> None:
    users = torch.tensor([0, 0, 0, 1])
    assert torch.equal(
        cross_fitted(users, torch.zeros(4, dtype=torch.long), torch.ones(3, 2)), torch.zeros(4)
    )
    zeros = cross_fitted(users, torch.tensor([0, 1, 2, 0]), torch.zeros(3, 2))
    assert torch.equal(zeros, torch.zeros(4))
    nothing = torch.zeros(0, dtype=torch.long)
    assert cross_fitted(nothing, nothing, torch.ones(3, 2)).shape == (0,)
    assert cross_fitted(nothing, nothing, torch.ones(3, 2), per_dimension=True).shape == (0, 2)


def test_progress_reaches_the_end() -> None:
    users, items, vectors = data()
    seen: list[tuple[int, int]] = []
    cross_fitted(
        users, items, vectors, repeats=2, block_users=2, progress=lambda done, of: seen.append((done, of))
    )
    assert seen == sorted(seen)
    assert len(seen) == 6
    assert seen[-1] == (34, 34)


def test_what_cannot_be_valued_is_refused() -> None:
    users, items, vectors = data()
    with pytest.raises(ConfigurationError, match="folds = 1"):
        cross_fitted(users, items, vectors, folds=1)
    with pytest.raises(ConfigurationError, match=r"users has the shape \[3\]"):
        cross_fitted(users[:3], items, vectors)
    with pytest.raises(ConfigurationError, match="centre has the shape"):
        cross_fitted(users, items, vectors, centre=torch.zeros(3))
    with pytest.raises(DataError, match="rows for 0 to 2"):
        cross_fitted(users, items, vectors[:3])
    vectors[4, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="row 4"):
        cross_fitted(users, items, vectors)
