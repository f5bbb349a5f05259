"""Both forms of the fusion, against loops in float64."""

from __future__ import annotations

import math

import pytest
import torch

from burnish.enhancers.guided.fusion import Fusion

WIDTH, M, N = 6, 2, 9


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reduced_fusion() -> Fusion:
    fusion = Fusion(WIDTH, M, reduced=True, learn=True)
    with torch.no_grad():
        fusion.alpha.copy_(torch.tensor([0.7, 1.3]))
        fusion.centre.copy_(drawn(WIDTH, seed=1))
        fusion.basis.copy_(torch.linalg.qr(drawn(WIDTH, WIDTH, seed=2))[0][:, : WIDTH - M])
        fusion.user_scale.fill_(0.4)
    return fusion


def test_two_stages_by_a_loop() -> None:
    fusion, rows, guided = reduced_fusion(), drawn(N, WIDTH, seed=3), drawn(N, M, seed=4)
    items, users = fusion.items(rows, guided), fusion.users(rows, guided)
    assert items.shape == users.shape == (N, WIDTH)
    alpha, basis, centre = fusion.alpha.tolist(), fusion.basis.tolist(), fusion.centre.tolist()
    for n in range(N):
        for k in range(M):
            assert float(items[n, k]) == pytest.approx(alpha[k] * float(guided[n, k]), rel=1e-6)
            assert float(users[n, k]) == pytest.approx(0.4 * alpha[k] * float(guided[n, k]), rel=1e-6)
        for j in range(WIDTH - M):
            centred = math.fsum((float(rows[n, d]) - centre[d]) * basis[d][j] for d in range(WIDTH))
            whole = math.fsum(float(rows[n, d]) * basis[d][j] for d in range(WIDTH))
            assert float(items[n, M + j]) == pytest.approx(centred, abs=1e-6)
            assert float(users[n, M + j]) == pytest.approx(whole, abs=1e-6)


def test_one_stage_by_a_loop() -> None:
    fusion, rows, guided = Fusion(WIDTH, M, reduced=False, learn=True), drawn(N, WIDTH), drawn(N, M, seed=4)
    assert torch.equal(fusion.items(rows, guided), rows)  # alpha starts at 0
    assert torch.equal(fusion.users(rows, guided), rows)
    with torch.no_grad():
        fusion.alpha.copy_(torch.tensor([0.5, 2.0]))
    for found in (fusion.items(rows, guided), fusion.users(rows, guided)):
        for n in range(N):
            for k in range(WIDTH):
                added = fusion.alpha.tolist()[k] * float(guided[n, k]) if k < M else 0.0
                assert float(found[n, k]) == pytest.approx(float(rows[n, k]) + added, abs=1e-6)


@pytest.mark.parametrize("reduced", [False, True])
def test_a_negative_alpha_counts_as_nothing_and_can_come_back(reduced: bool) -> None:
    fusion = Fusion(WIDTH, M, reduced=reduced, learn=True)
    with torch.no_grad():
        fusion.alpha.copy_(torch.tensor([-0.3, 0.2]))
    rows, guided = drawn(N, WIDTH), drawn(N, M, seed=4)
    assert fusion.strength.tolist() == pytest.approx([0.0, 0.2])
    found = fusion.items(rows, guided)
    plain = rows[:, 0] if not reduced else torch.zeros(N)
    assert torch.equal(found[:, 0], plain)
    found[:, :M].sum().backward()
    assert fusion.alpha.grad is not None
    assert fusion.alpha.grad.tolist() == pytest.approx(guided.sum(0).tolist(), rel=1e-5)


def test_alpha_stays_where_it_is_not_to_be_learned() -> None:
    fusion = Fusion(WIDTH, M, reduced=True, learn=False)
    assert [p for p in fusion.parameters() if p.requires_grad] == []


@pytest.mark.parametrize("balance", [1.0, 0.25])
def test_balance_of_root_mean_squares(balance: float) -> None:
    fusion = Fusion(WIDTH, M, reduced=True, learn=True)
    source = reduced_fusion()
    items, users = (5 * drawn(40, WIDTH, seed=5), drawn(40, M, seed=6)), (drawn(30, WIDTH), drawn(30, M) / 9)
    fusion.start_from(source.centre, source.basis, items, users, balance)
    assert (fusion.alpha == fusion.alpha[0]).all()  # one number until training tells attributes apart
    for rows in (fusion.items(*items), fusion.users(*users)):
        size = rows.detach().double().square()
        assert float(size[:, :M].mean().sqrt() / size[:, M:].mean().sqrt()) == pytest.approx(
            balance, rel=1e-5
        )


def test_nothing_to_balance() -> None:
    """Scores that are all zero (the control `pca`) leave the reduced base alone."""
    fusion = Fusion(WIDTH, M, reduced=True, learn=True)
    source = reduced_fusion()
    rows = drawn(N, WIDTH)
    fusion.start_from(source.centre, source.basis, (rows, torch.zeros(N, M)), (rows, drawn(N, M)), 1.0)
    assert fusion.alpha.tolist() == [0.0, 0.0]
    assert torch.isfinite(fusion.users(rows, drawn(N, M))).all()
    assert float(fusion.user_scale) == 1.0


def test_other_types_of_numbers() -> None:
    fusion = reduced_fusion()
    rows, guided = drawn(N, WIDTH).double(), drawn(N, M)
    assert fusion.items(rows, guided).dtype == fusion.users(rows, guided).dtype == torch.float64
