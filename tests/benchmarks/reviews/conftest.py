"""Small splits written by hand or drawn, without RecBole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from burnish.benchmarks.reviews.cases import Cases, Rows

Triples = Iterable[tuple[int, int, float]]


def rows_of(triples: Triples) -> Rows:
    """Rows sorted as `Cases.of` sorts them."""
    listed = sorted(triples)
    users, items, ratings = zip(*listed, strict=True) if listed else ((), (), ())
    return Rows(np.array(users, np.int64), np.array(items, np.int64), np.array(ratings, np.float64))


def cases_of(train: Triples, valid: Triples, test: Triples, n_users: int, n_items: int) -> Cases:
    """Ids from 1; tokens u1, u2, ... and i1, i2, ..."""
    return Cases(
        rows_of(train),
        rows_of(valid),
        rows_of(test),
        n_users,
        n_items,
        np.array(["[PAD]", *(f"u{n}" for n in range(1, n_users))], dtype=object),
        np.array(["[PAD]", *(f"i{n}" for n in range(1, n_items))], dtype=object),
    )


def drawn_cases(seed: int, n_users: int = 24, n_items: int = 40, n_rated: int = 18) -> Cases:
    """Each user rates `n_rated` items; a random one in six is a validation row and two in six are test rows."""
    draw = np.random.default_rng(seed)
    parts: tuple[list, list, list] = ([], [], [])
    for user in range(1, n_users):
        for item in draw.choice(np.arange(1, n_items), n_rated, replace=False):
            which = draw.choice(3, p=[3 / 6, 1 / 6, 2 / 6])
            parts[which].append((user, int(item), float(draw.integers(1, 6))))
    return cases_of(*parts, n_users, n_items)


@pytest.fixture
def drawn() -> Callable[..., Cases]:
    """`drawn_cases`."""
    return drawn_cases


@pytest.fixture
def written() -> Callable[..., Cases]:
    """`cases_of`."""
    return cases_of
