import pytest
import torch

from burnish.enhancers.wasserstein.network import ProbabilityNetwork
from burnish.errors import ConfigurationError


def rows(n=50, width=8, scale=0.03):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(3)) * scale


@pytest.mark.parametrize("gaussian", [True, False])
def test_mean_is_bit_identical_at_the_start(gaussian):
    network = ProbabilityNetwork(8, hidden=5, gaussian=gaussian)
    x = rows()
    mean, _ = network(x)
    assert torch.equal(mean, x)
    assert torch.equal(network.mean(x), x)


def test_mean_moves_when_trained_and_every_part_gets_a_gradient():
    torch.manual_seed(0)
    network = ProbabilityNetwork(8)
    x = rows()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(2):  # the zero layer blocks the gradient of what lies before it in the first step
        optimizer.zero_grad()
        mean, spread = network(x)
        ((mean - 1.0) ** 2).sum().add((spread - 1.0).square().sum()).backward()
        optimizer.step()
    assert not torch.equal(network.mean(x), x)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_forward_is_mean_and_spread():
    torch.manual_seed(0)
    network = ProbabilityNetwork(8)
    torch.nn.init.normal_(network.shift[-1].weight)
    x = rows(scale=1.0)
    mean, spread = network(x)
    torch.testing.assert_close(mean, network.mean(x), rtol=0, atol=0)
    torch.testing.assert_close(spread, network.spread(x), rtol=0, atol=0)
    by_hand = x + network.shift(torch.relu(x @ network.shared.weight.T))
    torch.testing.assert_close(mean, by_hand)
    raw = network.widen(torch.relu(x @ network.shared.weight.T))
    torch.testing.assert_close(spread, torch.log1p(torch.exp(raw)) + network.epsilon)


def test_spread_is_positive_whatever_the_rows():
    torch.manual_seed(0)
    network = ProbabilityNetwork(8, epsilon=1e-3)
    assert float(network.spread(rows(scale=1e4)).detach().min()) >= 1e-3


@pytest.mark.parametrize("gaussian", [True, False])
@pytest.mark.parametrize("initial", [0.01, 0.1, 5.0])
def test_spread_starts_where_it_was_asked_to(gaussian, initial):
    torch.manual_seed(0)
    network = ProbabilityNetwork(16, gaussian=gaussian, initial_spread=initial)
    spread = network.spread(rows(width=16, scale=1e-3))
    torch.testing.assert_close(spread, torch.full_like(spread, initial), rtol=0.02, atol=0)
    assert spread.std(dim=0).mean() > 0  # it does tell rows apart


def test_control_starts_like_the_gaussian_and_may_be_negative():
    torch.manual_seed(0)
    gaussian = ProbabilityNetwork(8)
    torch.manual_seed(0)
    control = ProbabilityNetwork(8, gaussian=False)
    x = rows(scale=0.01)
    torch.testing.assert_close(control.spread(x), gaussian.spread(x), rtol=1e-3, atol=1e-6)
    assert [p.shape for p in control.parameters()] == [p.shape for p in gaussian.parameters()]
    torch.nn.init.normal_(control.widen[-1].weight)
    assert float(control.spread(rows(scale=10.0)).detach().min()) < 0


def test_calibrate_follows_the_scale_of_the_rows_not_their_offset():
    torch.manual_seed(0)
    network = ProbabilityNetwork(8)
    x = rows(n=4000)
    assert network.calibrate(x) == pytest.approx(0.03, rel=0.05)
    assert float(network.spread(x).detach().mean()) == pytest.approx(0.03, rel=0.05)
    assert network.calibrate(x + 7.0, ratio=2.0) == pytest.approx(0.06, rel=0.05)
    assert network.calibrate(torch.zeros(4, 8)) == pytest.approx(10 * network.epsilon)
    assert network.calibrate(torch.zeros(0, 8)) == pytest.approx(10 * network.epsilon)


def test_state_dict_holds_parameters_only():
    network = ProbabilityNetwork(4)
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"width": 0}, "width=0"),
        ({"width": 4, "hidden": 0}, "hidden=0"),
        ({"width": 4, "epsilon": 0.0}, "epsilon=0.0"),
        ({"width": 4, "epsilon": float("nan")}, "epsilon=nan"),
        ({"width": 4, "initial_spread": 1e-5}, "initial_spread=1e-05"),
        ({"width": 4, "initial_spread": float("inf")}, "initial_spread=inf"),
    ],
)
def test_bad_options_are_named(options, field):
    with pytest.raises(ConfigurationError, match=field):
        ProbabilityNetwork(**options)
