"""Prices, limits and the count of what is spent."""

from __future__ import annotations

import pytest

from burnish.enhancers.guided.cost import Budget, Estimate, LimitError, Limits, Price
from burnish.errors import ConfigurationError


def test_a_price_is_for_a_million_tokens() -> None:
    assert Price(2.0, 8.0).of(500_000, 250_000) == pytest.approx(1.0 + 2.0)


@pytest.mark.parametrize("values", [(-1.0, 1.0), (1.0, float("nan")), (float("inf"), 1.0)])
def test_a_price_is_a_number_of_dollars(values: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match="per_million"):
        Price(*values)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"max_usd": -0.1}, "max_usd = -0.1"),
        ({"max_usd": float("nan")}, "max_usd"),
        ({"max_requests": -1}, "max_requests = -1"),
        ({"max_requests": 2.5}, "max_requests = 2.5"),
    ],
)
def test_limits_are_checked(options: dict, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Limits(**options)


def test_dollars_cannot_be_limited_without_a_price() -> None:
    with pytest.raises(ConfigurationError, match="max_usd = 5 without a price"):
        Budget(Limits(max_usd=5), None)


def test_requests_stop_at_their_number() -> None:
    budget = Budget(Limits(max_requests=2), None)
    for _ in range(2):
        held = budget.reserve(100, 10)
        assert held is not None
    with pytest.raises(LimitError, match="max_requests = 2"):
        budget.reserve(100, 10)
    assert budget.sent == 2


def test_what_is_in_flight_counts_at_its_most_until_it_is_settled() -> None:
    # 1 dollar a token in, 2 a token out: a request of 100 bytes holds 100 + 2 * 10 dollars
    budget = Budget(Limits(max_usd=250), Price(1e6, 2e6))
    first, second = budget.reserve(100, 10), budget.reserve(100, 10)
    assert first is not None
    assert second is not None
    assert budget.reserve(100, 10) is None  # 360 would pass 250: it waits
    budget.settle(first, 25, 5)  # cost 35; and 100 bytes were 25 tokens
    assert budget.usd == pytest.approx(35)
    # now it holds 100 * 0.25 * 1.1 + 20 = 47.5: 35 + 120 + 47.5 is within 250
    third = budget.reserve(100, 10)
    assert third is not None
    assert third.usd == pytest.approx(47.5)


def test_with_nothing_in_flight_a_request_that_is_too_dear_stops() -> None:
    budget = Budget(Limits(max_usd=100), Price(1e6, 0))
    with pytest.raises(LimitError, match=r"max_usd = 100.*up to \$101"):
        budget.reserve(101, 0)
    assert budget.sent == 0


def test_a_request_of_which_nobody_knows_counts_in_full() -> None:
    budget = Budget(Limits(max_usd=1000), Price(1e6, 1e6))
    held = budget.reserve(100, 50)
    assert held is not None
    budget.settle(held, None, None)
    assert budget.usd == pytest.approx(150)
    free = budget.reserve(100, 50)
    assert free is not None
    budget.settle(free, 0, 0)  # refused: costs nothing
    assert budget.usd == pytest.approx(150)
    assert budget.in_flight == 0


def test_an_estimate_reads_well() -> None:
    lines = Estimate(120, 1682, 482, 1_000_000, 250_000, 1.25).lines()
    assert any("1,682" in line and "482" in line for line in lines)
    assert any("$1.2500" in line for line in lines)
    assert any("4 bytes a token" in line for line in lines)
    unpriced = Estimate(1, 1, 0, 1, 1, None, counted=True).lines()
    assert any("no price given" in line for line in unpriced)
    assert any("earlier answers" in line for line in unpriced)
