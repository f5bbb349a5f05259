"""Both forms of the fusion, against loops in float64; principal components, against numpy's decomposition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from burnish.enhancers.guided.fusion import Fusion, principal
from burnish.errors import DataError

WIDTH, M, N = 6, 2, 9


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DIRECTIONS = torch.linalg.qr(drawn(WIDTH, WIDTH, seed=2))[0]


def reduced_fusion() -> Fusion:
    fusion = Fusion(WIDTH, M, reduced=True, learn=True)
    with torch.no_grad():
        fusion.alpha.copy_(torch.tensor([0.7, 1.3]))
        fusion.centre.copy_(drawn(WIDTH, seed=1))
        fusion.freed.copy_(DIRECTIONS[:, -M:])
        fusion.user_scale.fill_(0.4)
    return fusion


def test_two_stages_by_a_loop() -> None:
    """In coordinates of the directions: the block in the freed ones, the row as it was in the others."""
    fusion, rows, guided = reduced_fusion(), drawn(N, WIDTH, seed=3), drawn(N, M, seed=4)
    items, users = fusion.items(rows, guided), fusion.users(rows, guided)
    assert items.shape == users.shape == (N, WIDTH)
    alpha, centre, directions = fusion.alpha.tolist(), fusion.centre.tolist(), DIRECTIONS.double().tolist()

    def along(vector: list[float], j: int) -> float:
        return math.fsum(vector[d] * directions[d][j] for d in range(WIDTH))

    for n in range(N):
        item, user, row = items[n].tolist(), users[n].tolist(), rows[n].tolist()
        for j in range(WIDTH - M):
            assert along(item, j) == pytest.approx(along(row, j), abs=1e-5)
            assert along(user, j) == pytest.approx(along(row, j), abs=1e-5)
        for k in range(M):
            block, j = alpha[k] * float(guided[n, k]), WIDTH - M + k
            assert along(item, j) - along(centre, j) == pytest.approx(block, abs=1e-5)
            assert along(user, j) == pytest.approx(0.4 * block, abs=1e-5)


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


def test_a_negative_alpha_counts_as_nothing_and_can_come_back() -> None:
    fusion = reduced_fusion()
    with torch.no_grad():
        fusion.alpha.copy_(torch.tensor([-0.3, 0.2]))
    rows, guided = drawn(N, WIDTH), drawn(N, M, seed=4)
    assert fusion.strength.tolist() == pytest.approx([0.0, 0.2])
    found = (fusion.items(rows, guided) - fusion.centre) @ fusion.freed
    assert torch.allclose(found[:, 0], torch.zeros(N), atol=1e-6)
    found.sum().backward()
    assert fusion.alpha.grad is not None
    assert fusion.alpha.grad.tolist() == pytest.approx(guided.sum(0).tolist(), rel=1e-4)


def test_in_one_stage_the_sign_of_alpha_is_that_of_the_columns() -> None:
    """Turning alpha and the columns that it is added to gives the same scores."""
    fusion = Fusion(WIDTH, M, reduced=False, learn=True)
    users, items, tastes, traits = drawn(N, WIDTH), drawn(N, WIDTH, seed=1), drawn(N, M), drawn(N, M, seed=2)

    def scores(alpha: list[float], sign: float) -> torch.Tensor:
        turned = torch.ones(WIDTH)
        turned[0] = sign
        with torch.no_grad():
            fusion.alpha.copy_(torch.tensor(alpha))
            return fusion.users(users * turned, tastes) @ fusion.items(items * turned, traits).t()

    assert torch.allclose(scores([0.6, 0.2], 1.0), scores([-0.6, 0.2], -1.0), atol=1e-5)
    assert not torch.allclose(scores([0.6, 0.2], 1.0), scores([0.0, 0.2], 1.0), atol=1e-2)


def test_alpha_stays_where_it_is_not_to_be_learned() -> None:
    fusion = Fusion(WIDTH, M, reduced=True, learn=False)
    assert [p for p in fusion.parameters() if p.requires_grad] == []


@pytest.mark.parametrize("balance", [1.0, 0.25])
def test_balance_of_root_mean_squares(balance: float) -> None:
    fusion = Fusion(WIDTH, M, reduced=True, learn=True)
    source = reduced_fusion()
    items, users = (5 * drawn(40, WIDTH, seed=5), drawn(40, M, seed=6)), (drawn(30, WIDTH), drawn(30, M) / 9)
    fusion.start_from(source.centre, DIRECTIONS, items, users, balance)
    assert (fusion.alpha == fusion.alpha[0]).all()  # one number until training tells attributes apart
    for rows in (fusion.items(*items) - source.centre, fusion.users(*users)):
        size = (rows.detach() @ DIRECTIONS).double().square()
        ratio = float(size[:, -M:].mean().sqrt() / size[:, :-M].mean().sqrt())
        assert ratio == pytest.approx(balance, rel=1e-4)


def test_nothing_to_balance() -> None:
    """Scores that are all zero (the control `pca`) leave the reduced base alone."""
    fusion = Fusion(WIDTH, M, reduced=True, learn=True)
    source = reduced_fusion()
    rows = drawn(N, WIDTH)
    fusion.start_from(source.centre, DIRECTIONS, (rows, torch.zeros(N, M)), (rows, drawn(N, M)), 1.0)
    assert fusion.alpha.tolist() == [0.0, 0.0]
    assert torch.isfinite(fusion.users(rows, drawn(N, M))).all()
    assert float(fusion.user_scale) == 1.0


def test_other_types_of_numbers() -> None:
    fusion = reduced_fusion()
    rows, guided = drawn(N, WIDTH).double(), drawn(N, M)
    assert fusion.items(rows, guided).dtype == fusion.users(rows, guided).dtype == torch.float64


# ---------------------------------------------------------------------- principal components


def some_rows(n: int = 50, d: int = 8) -> torch.Tensor:
    draw = np.random.default_rng(1)
    turned = np.linalg.qr(draw.normal(size=(d, d)))[0]
    return torch.from_numpy(draw.normal(size=(n, d)) * np.arange(d, 0, -1) @ turned + 3.0).float()


@pytest.mark.parametrize("keep", [1, 5, 8])
def test_directions_are_those_of_the_svd_widest_first(keep: int) -> None:
    rows = some_rows()
    centre, basis = principal(rows, keep)
    exact = rows.double().numpy()
    _, sizes, directions = np.linalg.svd(exact - exact.mean(0), full_matrices=False)
    assert basis.shape == (8, keep)
    assert np.allclose(centre.numpy(), exact.mean(0), atol=1e-6)
    assert np.allclose(basis.T @ basis, np.eye(keep), atol=1e-6)
    along = directions[:keep] @ basis.double().numpy()
    assert np.allclose(np.abs(along), np.eye(keep), atol=1e-5)  # each one, but for its sign
    spread = ((exact - exact.mean(0)) @ basis.double().numpy()).std(0) * np.sqrt(len(exact))
    assert np.allclose(spread, sizes[:keep], rtol=1e-5)


def test_signs_do_not_depend_on_the_order_of_rows() -> None:
    rows = some_rows()
    _, basis = principal(rows, 6)
    _, again = principal(rows.flip(0), 6)
    assert torch.allclose(basis, again, atol=1e-5)
    assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
    assert torch.equal(basis, principal(rows, 6)[1])


def test_fewer_rows_than_directions() -> None:
    rows = some_rows(3)
    _, basis = principal(rows, 6)
    assert np.allclose(basis.T @ basis, np.eye(6), atol=1e-6)
    centred = rows - rows.mean(0)
    assert torch.allclose(centred @ basis @ basis.t(), centred, atol=1e-4)  # nothing of them is lost
    _, flat = principal(torch.ones(4, 5), 3)
    assert np.allclose(flat.T @ flat, np.eye(3), atol=1e-6)


def test_rows_that_are_not_finite_are_refused() -> None:
    rows = some_rows()
    rows[3, 2] = float("inf")
    with pytest.raises(DataError, match="train the base again"):
        principal(rows, 3)


def test_weights_multiply_alpha_and_the_balance_counts_them() -> None:
    weights = torch.tensor([0.5, 2.0])
    fusion = Fusion(WIDTH, M, reduced=True, learn=True, weights=weights)
    rows, guided, users = drawn(N, WIDTH, seed=3), drawn(N, M, seed=4), drawn(N, M, seed=6)
    centre, directions = principal(rows, WIDTH)
    fusion.start_from(centre, directions, (rows, guided), (rows, users), balance=1.5)
    assert fusion.strength.tolist() == pytest.approx((weights * fusion.alpha).tolist())
    rest = (rows - centre) @ directions[:, :-M]
    block = (fusion.items(rows, guided) - centre) @ fusion.freed
    assert float(block.square().mean()) == pytest.approx(1.5**2 * float(rest.square().mean()), rel=1e-4)
    of_users = fusion.users(rows, users) @ fusion.freed
    kept = rows @ directions[:, :-M]
    assert float(of_users.square().mean()) == pytest.approx(1.5**2 * float(kept.square().mean()), rel=1e-4)
    one_stage = Fusion(WIDTH, M, reduced=False, learn=True, weights=weights)
    one_stage.alpha.data.fill_(3.0)
    added = (one_stage.items(rows, guided) - rows)[:, :M]
    assert torch.allclose(added, 3.0 * weights * guided, atol=1e-5)
