"""What training says of interactions: losses, trajectories and PLD's resampling, against loops in double precision."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from burnish.benchmarks.valuation.course import (
    BEGIN,
    POOL,
    TEMPERATURE,
    Course,
    loss_trajectory,
    mean_loss,
    neighbours,
    resampled,
)
from burnish.benchmarks.valuation.detection import detect
from burnish.enhancers.shapley.objectives import ranking_loss, standardised

N_ITEMS = 40


def drawn_course(n: int, epochs: int, seed: int) -> Course:
    generator = torch.Generator().manual_seed(seed)
    return Course(*(list(torch.randn(epochs, n, generator=generator)) for _ in range(2)))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def losses_of(course: Course) -> list[list[float]]:
    return [
        [softplus(float(drawn) - float(own)) for own, drawn in zip(*epoch, strict=True)]
        for epoch in zip(course.own, course.drawn, strict=True)
    ]


def test_an_epoch_is_noted_as_the_ranking_loss_has_it() -> None:
    users, items = torch.randint(9, (50,)), torch.randint(N_ITEMS, (50,))
    table = torch.randn(9, N_ITEMS)
    course = Course()
    for epoch in range(3):
        course.add(lambda u, i, by=epoch + 1: table[u, i] * by, users, items, N_ITEMS, 7 + epoch)
    for epoch in range(3):
        wanted = ranking_loss(
            lambda u, i, by=epoch + 1: table[u, i] * by, users, items, N_ITEMS, negatives=1, seed=7 + epoch
        )
        torch.testing.assert_close(-course.losses()[epoch], wanted)
    assert len(course.losses()) == 3


def test_mean_losses_are_the_loop() -> None:
    course = drawn_course(11, 4, 0)
    losses = losses_of(course)
    wanted = [-sum(epoch[row] for epoch in losses) / 4 for row in range(11)]
    assert mean_loss(course).tolist() == pytest.approx(wanted, abs=1e-5)


def trajectory_by_hand(losses: list[list[float]]) -> list[float]:
    """Features row by row, then two clusters, in plain Python."""
    epochs, n = len(losses), len(losses[0])
    middle = (epochs - 1) / 2
    rows = []
    for row in range(n):
        own = [epoch[row] for epoch in losses]
        mean = sum(own) / epochs
        slope = sum((t - middle) * one for t, one in enumerate(own))
        slope /= sum((t - middle) ** 2 for t in range(epochs))
        off = [one - mean - slope * (t - middle) for t, one in enumerate(own)]
        rows.append([mean, slope, math.sqrt(sum(one * one for one in off) / epochs)])
    columns = []
    for column in zip(*rows, strict=True):
        mean = sum(column) / n
        spread = math.sqrt(sum((one - mean) ** 2 for one in column) / n)
        columns.append([(one - mean) / spread for one in column])
    points = list(zip(*columns, strict=True))
    order = sorted(range(n), key=lambda row: rows[row][0])

    def centre(of: list[int]) -> list[float]:
        return [sum(points[row][k] for row in of) / len(of) for k in range(3)]

    def far(row: int, from_: list[float]) -> float:
        return sum((one - other) ** 2 for one, other in zip(points[row], from_, strict=True))

    low, high = centre(order[: n // 10]), centre(order[-(n // 10) :])
    for _ in range(100):
        lower = [row for row in range(n) if far(row, low) <= far(row, high)]
        upper = [row for row in range(n) if row not in lower]
        if not lower or not upper:
            break
        low, high = centre(lower), centre(upper)
    return [far(row, high) - far(row, low) for row in range(n)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trajectories_are_the_loop(seed: int) -> None:
    course = drawn_course(60, 7, seed)
    course.own = [one + (0.5 + 0.1 * epoch) * (torch.arange(60) < 40) for epoch, one in enumerate(course.own)]
    wanted = trajectory_by_hand(losses_of(course))
    assert loss_trajectory(course).tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_a_trajectory_tells_what_a_mean_does_not() -> None:
    """Losses of one mean that fall early, or late: what is learnt late, against everything else, is noise."""
    generator = torch.Generator().manual_seed(0)
    epochs, n = 20, 600
    noise = torch.arange(n) < 60
    time = torch.linspace(-1, 1, epochs).unsqueeze(1)
    losses = 0.8 + 0.1 * torch.randn(n, generator=generator) + 0.05 * noise - 0.3 * time * ~noise
    losses += 0.02 * torch.randn(epochs, n, generator=generator)
    course = Course(list(torch.zeros(epochs, n)), list(losses.expm1().log()))
    torch.testing.assert_close(course.losses(), losses)
    assert detect(loss_trajectory(course), noise).auc > 0.95
    assert detect(mean_loss(course), noise).auc < 0.75


def test_trajectories_of_one_epoch_and_of_nothing_to_tell_apart() -> None:
    one = drawn_course(30, 1, 0)
    assert torch.equal(loss_trajectory(one).argsort(), mean_loss(one).argsort())
    flat = Course([torch.zeros(30)] * 4, [torch.zeros(30)] * 4)
    assert not loss_trajectory(flat).any()


USERS = torch.tensor([3, 3, 3, 3, 3, 3, 3, 5, 5, 8])


def exactly(own: Tensor, drawn: Tensor, row: int, size: int) -> float:
    """A row's part of how often it is in a pool, over all sets of others of its user."""
    others = [k for k in range(len(USERS)) if USERS[k] == USERS[row] and k != row]
    chances = []
    for pool in itertools.combinations(others, size - 1):
        weights = [math.exp(-softplus(float(drawn[row]) - float(own[k])) / TEMPERATURE) for k in (row, *pool)]
        chances.append(weights[0] / sum(weights))
    return size * sum(chances) / len(chances)


def test_resampling_is_the_mean_over_all_pools() -> None:
    generator = torch.Generator().manual_seed(1)
    own, drawn = 0.3 * torch.randn(10, generator=generator), 0.3 * torch.randn(10, generator=generator)
    copies = 4000  # of the three users, each with pools of their own
    users = (USERS + 10 * torch.arange(copies).unsqueeze(1)).flatten()
    course = Course([own.repeat(copies)], [drawn.repeat(copies)])
    found = resampled(course, users, seed=0).view(copies, 10).mean(0)
    wanted = [exactly(own, drawn, row, POOL) for row in range(7)]
    assert found[:7].tolist() == pytest.approx(wanted, abs=0.06)
    assert found[9] == pytest.approx(1.0)  # nobody beside it
    assert found[7] + found[8] != pytest.approx(2.0, abs=1e-6)  # each against its own negative
    assert (found[7] > 1) == (own[7] > own[8])


def test_resampling_begins_late_and_looks_at_the_own_user_only() -> None:
    course = drawn_course(10, BEGIN + 2, 3)
    before = resampled(course, USERS, seed=0)
    spoilt = Course([own.clone() for own in course.own], [drawn.clone() for drawn in course.drawn])
    for epoch in range(BEGIN):
        spoilt.own[epoch] += 5 * torch.arange(10)
    assert torch.equal(resampled(spoilt, USERS, seed=0), before)
    spoilt.own[BEGIN][7] += 1
    after = resampled(spoilt, USERS, seed=0)
    assert torch.equal(after[USERS != 5], before[USERS != 5])
    assert after[7] > before[7]
    assert after[8] < before[8]
    assert not torch.equal(resampled(course, USERS, seed=1), before)
    short = Course(course.own[:2], course.drawn[:2])
    last = Course(course.own[1:2], course.drawn[1:2])
    assert torch.equal(resampled(short, USERS, seed=0), resampled(last, USERS, seed=0))


def test_neighbours_are_all_sets_alike() -> None:
    seen: dict[frozenset[int], int] = {}
    generator = torch.Generator().manual_seed(0)
    for _ in range(2000):
        found = neighbours(USERS, 3, generator)
        assert torch.equal(found[:, 0], torch.arange(10))
        assert torch.equal(USERS[found], USERS.unsqueeze(1).expand(-1, 3))
        assert len(set(found[2].tolist())) == 3
        others = frozenset(found[2, 1:].tolist())
        seen[others] = seen.get(others, 0) + 1
    assert len(seen) == 15  # pairs of the six others
    assert min(seen.values()) > 80
    assert found[9].tolist() == [9, 9, 9]
    assert sorted(found[7].tolist()) == [7, 7, 8]


def test_within_the_user_pld_has_the_order_of_losses() -> None:
    """Of users whose losses stand at different heights it sees what global losses do not."""
    generator = torch.Generator().manual_seed(0)
    users = torch.arange(40).repeat_interleave(30)
    noise = torch.rand(1200, generator=generator) < 0.1
    height = torch.randn(40, generator=generator)[users]
    own = height - 0.5 * noise + 0.1 * torch.randn(20, 1200, generator=generator)
    course = Course(list(own), list(torch.zeros(20, 1200)))
    pld = resampled(course, users, seed=0)
    assert detect(pld, noise).auc > 0.9
    assert detect(mean_loss(course), noise).auc < 0.75
    assert detect(standardised(mean_loss(course), users), noise).auc > 0.95
