import sys

import pytest
import torch
from scipy.linalg import sqrtm

from burnish.enhancers.wasserstein.covariance import CovarianceHead, full_w2_paired, full_w2_pairwise
from burnish.enhancers.wasserstein.distance import embed, w2_pairwise
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError


def gaussians(n, width=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, width, generator=generator, dtype=torch.float64)
    factor = torch.randn(n, width, width, generator=generator, dtype=torch.float64).tril(-1) * 0.5
    diagonal = torch.rand(n, width, generator=generator, dtype=torch.float64) + 0.2
    return mean, factor + torch.diag_embed(diagonal)


def bures(mean, factor, other_mean, other_factor):
    """The definition, by scipy's matrix square root."""
    one, other = (factor @ factor.T).numpy(), (other_factor @ other_factor.T).numpy()
    root = sqrtm(one)
    cross = sqrtm(root @ other @ root).real.trace()
    return float((mean - other_mean).square().sum()) + one.trace() + other.trace() - 2 * cross


@pytest.mark.parametrize("solver", ["factors", "pot"])
def test_equals_the_definition(solver):
    left, right = gaussians(3), gaussians(4, seed=1)
    crossed = full_w2_pairwise(*left, *right, solver=solver)
    for i in range(3):
        for j in range(4):
            expected = bures(left[0][i], left[1][i], right[0][j], right[1][j])
            assert float(crossed[i, j]) == pytest.approx(expected, rel=1e-8)
    first = (right[0][:3], right[1][:3])
    torch.testing.assert_close(full_w2_paired(*left, *first, solver=solver), crossed.diagonal())
    root = full_w2_paired(*left, *first, solver=solver, squared=False)
    torch.testing.assert_close(root.square(), crossed.diagonal())


def test_diagonal_factors_give_the_diagonal_distance():
    left, right = gaussians(3), gaussians(4, seed=1)
    spreads = [torch.diagonal(x[1], dim1=1, dim2=2) for x in (left, right)]
    full = full_w2_pairwise(left[0], torch.diag_embed(spreads[0]), right[0], torch.diag_embed(spreads[1]))
    torch.testing.assert_close(full, w2_pairwise(embed(left[0], spreads[0]), embed(right[0], spreads[1])))


@pytest.mark.parametrize("squared", [True, False])
def test_gradients_by_finite_differences_and_by_pot(squared):
    left, right = gaussians(2), gaussians(2, seed=1)
    leaves = [x.requires_grad_() for x in (*left, *right)]
    assert torch.autograd.gradcheck(lambda *x: full_w2_pairwise(*x, squared=squared), leaves)
    mine, theirs = (
        torch.autograd.grad(full_w2_paired(*leaves, squared=squared, solver=solver).sum(), leaves)
        for solver in ("factors", "pot")
    )
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("squared", [True, False])
def test_equal_and_isotropic_covariances_have_finite_gradients(squared):
    """Where training starts: eigenvalues coincide, and so do the covariances of all pairs."""
    mean = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor = (0.1 * torch.eye(3, dtype=torch.float64)).expand(4, 3, 3).clone().requires_grad_()
    distance = full_w2_pairwise(mean, factor, mean, factor, squared=squared)
    (gradient,) = torch.autograd.grad(distance.sum(), factor)
    assert bool(torch.isfinite(gradient).all())
    assert float(distance.detach().diagonal().abs().max()) < 1e-7


def test_head_gives_factors():
    torch.manual_seed(0)
    head = CovarianceHead(6, 3, initial_spread=0.2, epsilon=1e-3)
    states = torch.randn(5, 6)
    torch.testing.assert_close(head(states), 0.2 * torch.eye(3).expand(5, 3, 3))
    torch.nn.init.normal_(head.network[-1].weight)
    factors = head(states).detach()
    assert torch.equal(factors, factors.tril())
    assert float(torch.diagonal(factors, dim1=1, dim2=2).min()) >= 1e-3
    assert float(factors.tril(-1).abs().max()) > 0.0
    assert set(head.state_dict()) == {name for name, _ in head.named_parameters()}


def test_head_trains_through_the_distance():
    torch.manual_seed(0)
    head = CovarianceHead(6, 3)
    states, mean = torch.randn(8, 6), torch.randn(8, 3)
    target = torch.linalg.cholesky(torch.eye(3) + 0.5).expand(8, 3, 3)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = full_w2_paired(mean, head(states), mean, target).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 * losses[0]


@pytest.mark.parametrize("solver", ["factors", "pot"])
def test_too_much_memory_is_refused_with_the_size(solver):
    mean, factor = gaussians(20)
    with pytest.raises(
        ConfigurationError, match=r"400 pairs of full covariances of width 3 .* budget_bytes=1000"
    ):
        full_w2_pairwise(mean, factor, mean, factor, solver=solver, budget_bytes=1000)
    with pytest.raises(ConfigurationError, match="20 pairs"):
        full_w2_paired(mean, factor, mean, factor, solver=solver, budget_bytes=1000)


def test_without_pot_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    mean, factor = gaussians(3)
    with pytest.raises(UnsupportedError, match=r"burnish\[pot\]"):
        full_w2_paired(mean, factor, mean, factor, solver="pot")


def test_wrong_arguments_are_named():
    mean, factor = gaussians(3)
    with pytest.raises(ConfigurationError, match=r"factors \(3, 2, 3\)"):
        full_w2_paired(mean, factor[:, :2], mean, factor)
    with pytest.raises(ConfigurationError, match="left has 3 Gaussians and right 2"):
        full_w2_paired(mean, factor, mean[:2], factor[:2])
    with pytest.raises(ConfigurationError, match="widths 3 and 2"):
        full_w2_pairwise(mean, factor, mean[:, :2], factor[:, :2, :2])
    with pytest.raises(UnknownNameError, match="Did you mean 'factors'"):
        full_w2_pairwise(mean, factor, mean, factor, solver="factor")
    for options in ({"hidden": 0, "width": 2}, {"hidden": 2, "width": 2, "initial_spread": 1e-5}):
        with pytest.raises(ConfigurationError, match=r"epsilon=|hidden=0"):
            CovarianceHead(**options)
