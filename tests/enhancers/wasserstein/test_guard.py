import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from burnish.enhancers.wasserstein.distance import spread_guard
from burnish.errors import ConfigurationError


def case(n=6, width=5):
    generator = torch.Generator().manual_seed(0)
    spread = torch.rand(n, width, generator=generator, dtype=torch.float64) + 0.05
    return spread, torch.tensor([0, 1, 2, 9, 100, 12345])


def test_equals_the_divergence_of_torch():
    spread, counts = case()
    mean = torch.randn(6, 5, dtype=torch.float64)
    target = (0.7 / counts.clamp_min(1).double().sqrt()).unsqueeze(1).expand_as(spread)
    expected = kl_divergence(Independent(Normal(mean, spread), 1), Independent(Normal(mean, target), 1)) / 5
    torch.testing.assert_close(spread_guard(spread, counts, 0.7), expected)


def test_no_interactions_count_as_one():
    spread, _ = case()
    zero, one = torch.zeros(6, dtype=torch.long), torch.ones(6, dtype=torch.long)
    assert torch.equal(spread_guard(spread, zero), spread_guard(spread, one))


def test_zero_at_the_target_and_positive_on_either_side():
    counts = torch.tensor([4, 4, 4])
    spread = torch.tensor([[0.5] * 3, [0.4] * 3, [0.6] * 3])
    rows = spread_guard(spread, counts, 1.0)
    assert float(rows[0]) == 0.0
    assert float(rows[1:].min()) > 0.0


def test_more_evidence_wants_a_smaller_spread():
    spread = torch.full((1, 4), 0.3, requires_grad=True)
    (few,) = torch.autograd.grad(spread_guard(spread, torch.tensor([1])).sum(), spread)
    (many,) = torch.autograd.grad(spread_guard(spread, torch.tensor([1000])).sum(), spread)
    assert float(few.max()) < 0.0 < float(many.min())


def test_gradient_and_width():
    spread, counts = case()
    assert torch.autograd.gradcheck(lambda x: spread_guard(x, counts, 0.3), (spread.requires_grad_(),))
    wide = torch.cat([spread, spread], dim=1)
    torch.testing.assert_close(spread_guard(wide, counts), spread_guard(spread, counts))


def test_collapse_and_explosion_stay_finite():
    spread = torch.tensor([[1e-9], [1e9]], requires_grad=True)
    rows = spread_guard(spread, torch.tensor([1, 10**6]))
    rows.sum().backward()
    assert bool(torch.isfinite(rows).all())
    assert bool(torch.isfinite(spread.grad).all())


@pytest.mark.parametrize(
    ("spread", "counts", "base", "message"),
    [
        (torch.ones(3), torch.ones(3), 1.0, r"spread has shape \(3,\)"),
        (torch.ones(3, 2), torch.ones(2), 1.0, r"n_interactions \(2,\)"),
        (torch.ones(3, 2), torch.ones(3), 0.0, "sigma_base=0.0"),
        (torch.ones(3, 2), torch.ones(3), float("nan"), "sigma_base=nan"),
    ],
)
def test_wrong_arguments_are_named(spread, counts, base, message):
    with pytest.raises(ConfigurationError, match=message):
        spread_guard(spread, counts, base)
