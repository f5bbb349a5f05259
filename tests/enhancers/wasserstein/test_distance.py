import ot
import pytest
import torch
from scipy.linalg import sqrtm

from burnish.enhancers.wasserstein.distance import embed, safe_sqrt, w2_paired, w2_pairwise
from burnish.errors import ConfigurationError


def gaussians(n, width=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, width, generator=generator, dtype=torch.float64)
    spread = torch.rand(n, width, generator=generator, dtype=torch.float64) + 0.1
    return mean.to(dtype), spread.to(dtype)


def bures(mean, covariance, other_mean, other_covariance):
    """The definition, by scipy's matrix square root."""
    root = sqrtm(covariance.numpy())
    cross = sqrtm(root @ other_covariance.numpy() @ root).real
    traces = covariance.numpy().trace() + other_covariance.numpy().trace() - 2 * cross.trace()
    return float((mean - other_mean).square().sum()) + traces


def test_equals_the_definition_and_pot():
    left, right = gaussians(5), gaussians(5, seed=1)
    paired = w2_paired(embed(*left), embed(*right))
    crossed = w2_pairwise(embed(*left), embed(*right))
    for i in range(5):
        for j in range(5):
            expected = bures(left[0][i], left[1][i].square().diag(), right[0][j], right[1][j].square().diag())
            assert float(crossed[i, j]) == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(paired, crossed.diagonal())
    by_pot = ot.gaussian.bures_wasserstein_distance(
        left[0][0], right[0][0], left[1][0].square().diag(), right[1][0].square().diag()
    )
    torch.testing.assert_close(w2_paired(embed(*left), embed(*right), squared=False)[0], by_pot.squeeze())


@pytest.mark.parametrize("squared", [True, False])
def test_gradients(squared):
    left, right = embed(*gaussians(3)).requires_grad_(), embed(*gaussians(4, seed=1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: w2_pairwise(x, y, squared=squared), (left, right))
    assert torch.autograd.gradcheck(lambda x, y: w2_paired(x, y[:3], squared=squared), (left, right))


def test_a_common_offset_costs_no_accuracy():
    left, right = (
        embed(*gaussians(30, dtype=torch.float32)),
        embed(*gaussians(40, seed=1, dtype=torch.float32)),
    )
    left, right = left + 100.0, right + 100.0
    exact = torch.cdist(left.double(), right.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    torch.testing.assert_close(w2_pairwise(left, right).double(), exact, rtol=1e-5, atol=1e-5)


def test_never_negative_and_no_nan_in_gradients_of_equal_rows():
    rows = embed(*gaussians(50, width=32, dtype=torch.float32)).requires_grad_()
    assert float(w2_pairwise(rows, rows).detach().min()) >= 0.0
    for distance in (w2_pairwise(rows, rows, squared=False), w2_paired(rows, rows, squared=False)):
        (gradient,) = torch.autograd.grad(distance.sum(), rows)
        assert bool(torch.isfinite(gradient).all())


def test_safe_sqrt():
    values = torch.tensor([0.0, 4.0], requires_grad=True)
    roots = safe_sqrt(values)
    roots.sum().backward()
    assert roots.tolist() == [0.0, 2.0]
    assert values.grad.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("m", [0, 1])
def test_smallest_sizes(n, m):
    assert w2_pairwise(torch.zeros(n, 3), torch.ones(m, 3)).shape == (n, m)


def test_wrong_shapes_are_named():
    with pytest.raises(ConfigurationError, match=r"mean has shape \(2, 3\) and spread \(2, 4\)"):
        embed(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ConfigurationError, match=r"right \(3, 3\)"):
        w2_paired(torch.zeros(2, 3), torch.zeros(3, 3))
    with pytest.raises(ConfigurationError, match=r"keys \(2, 4\)"):
        w2_pairwise(torch.zeros(2, 3), torch.zeros(2, 4))
