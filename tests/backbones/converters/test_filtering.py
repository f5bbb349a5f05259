"""The filter against a loop over data frames, and one row a pair against pandas' own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.backbones.converters.filtering import core, latest_rows, milder


def naive(user: np.ndarray, item: np.ndarray, min_user: int, min_item: int) -> list[int]:
    """One user or item at a time, in the least clever way."""
    frame = pd.DataFrame({"user": user, "item": item})
    while True:
        for column, least in (("item", min_item), ("user", min_user)):
            sizes = frame.groupby(column).size()
            few = sizes[sizes < least].index
            if len(few):
                frame = frame[frame[column] != few[0]]
                break
        else:
            return frame.index.tolist()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n, users, items = draw(st.integers(0, 60)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    numbers = np.random.default_rng(seed)
    return (
        numbers.integers(0, users, n).astype(np.int32),
        numbers.zipf(1.6, n).clip(max=items).astype(np.int32) - 1,
    )


@settings(max_examples=60)
@given(graphs(), st.integers(1, 6), st.integers(1, 6))
def test_the_core_is_that_of_a_naive_loop(graph: tuple[np.ndarray, np.ndarray], u: int, i: int) -> None:
    assert core(*graph, u, i).rows.tolist() == naive(*graph, u, i)


def test_a_chain_that_needs_many_rounds() -> None:
    # Users 0..n each rated items k and k + 1: the ends fall one after the other.
    n = 30
    user = np.repeat(np.arange(n, dtype=np.int32), 2)
    item = (user + np.tile([0, 1], n)).astype(np.int32)
    found = core(user, item, 2, 2)
    assert len(found.rows) == 0
    assert found.rounds > 10
    assert core(user, item, 1, 1).rounds == 0


@settings(max_examples=60)
@given(graphs(), st.integers(1, 12), st.integers(1, 12))
def test_milder_thresholds_keep_what_they_say(graph: tuple[np.ndarray, np.ndarray], u: int, i: int) -> None:
    if naive(*graph, u, i) or not len(graph[0]):
        return
    found = milder(*graph, u, i)
    assert found
    for least_user, least_item, rows in found:
        assert rows == len(naive(*graph, least_user, least_item)) > 0
        for one_more in ((least_user + 1, least_item), (least_user, least_item + 1)):
            if one_more[0] <= u and one_more[1] <= i and (least_user == u or least_item == i):
                assert not naive(*graph, *one_more) or one_more in [(a, b) for a, b, _ in found]


@settings(max_examples=60)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_the_latest_row_of_a_pair(graph: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    user, item = graph
    time = np.random.default_rng(seed).integers(0, 4, len(user)).astype(float)
    frame = pd.DataFrame({"user": user, "item": item, "time": time})
    expected = frame.sort_values("time", kind="stable").drop_duplicates(["user", "item"], keep="last")
    assert latest_rows(user, item, time).tolist() == sorted(expected.index)


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(n: int) -> None:
    user = np.zeros(n, dtype=np.int32)
    assert len(latest_rows(user, user, np.zeros(n))) == n
    assert len(core(user, user, 1, 1).rows) == n
