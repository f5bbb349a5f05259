"""SVV's explainer against its autoencoder's games enumerated, and parts drawn by the kernel that they need."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from burnish.benchmarks.valuation.profiles import profiles
from burnish.benchmarks.valuation.svv import (
    Autoencoder,
    Explainer,
    drawn_parts,
    explained,
    fit_autoencoder,
    fit_explainer,
    svv_values,
)
from burnish.errors import ConfigurationError

N_ITEMS = 9
USERS = torch.tensor([0] * 5 + [1] * 6 + [2] * 5 + [3])
ITEMS = torch.tensor([0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 0, 2, 4, 6, 8, 7])


def trained_autoencoder() -> Autoencoder:
    generator = torch.Generator().manual_seed(0)
    autoencoder = Autoencoder(ITEMS, N_ITEMS, 8, generator)
    fit_autoencoder(autoencoder, ITEMS, profiles(USERS, most_users=9, most_cells=99), 60, 0.05, generator)
    return autoencoder


def worth(
    autoencoder: Autoencoder, own: list[int], part: tuple[int, ...], given: list[int] | None = None
) -> float:
    """The log-likelihood of items, given some of them (or of others), in numpy."""
    inputs = own if given is None else given
    table = {name: value.detach().double().numpy() for name, value in autoencoder.named_parameters()}
    summed = sum((table["inputs"][inputs[t]] for t in part), np.zeros(8)) / max(len(part), 1) ** 0.5
    scores = table["outputs"] @ np.tanh(summed + table["hidden"]) + table["often"]
    logs = scores - np.log(np.exp(scores).sum())
    return float(sum(logs[item] for item in own))


def enumerated(autoencoder: Autoencoder, own: list[int]) -> list[float]:
    n, values = len(own), []
    for player in range(n):
        rest, total = [t for t in range(n) if t != player], 0.0
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for part in combinations(rest, size):
                total += weight * (worth(autoencoder, own, (*part, player)) - worth(autoencoder, own, part))
        values.append(total)
    return values


def test_a_trained_explainer_has_the_shapley_values() -> None:
    autoencoder = trained_autoencoder()
    blocks = profiles(USERS, most_users=9, most_cells=99)
    explainer = Explainer(autoencoder)
    wanted = np.concatenate([enumerated(autoencoder, ITEMS[user == USERS].tolist()) for user in range(4)])
    before = np.abs(
        explained(explainer, autoencoder, ITEMS, blocks, torch.Generator()).numpy() - wanted
    ).max()
    fit_explainer(explainer, autoencoder, ITEMS, blocks, 500, 32, 0.02, torch.Generator().manual_seed(1))
    after = np.abs(explained(explainer, autoencoder, ITEMS, blocks, torch.Generator()).numpy() - wanted).max()
    assert before > 0.2
    assert after < 0.08


def test_values_add_up_to_what_all_gain() -> None:
    """Trained or not, and one interaction has all of it."""
    autoencoder = trained_autoencoder()
    explainer = Explainer(autoencoder)
    with torch.no_grad():
        explainer.outputs += torch.randn(N_ITEMS, 8, generator=torch.Generator().manual_seed(2))
        explainer.usual += torch.arange(N_ITEMS)
    found = explained(
        explainer, autoencoder, ITEMS, profiles(USERS, most_users=2, most_cells=99), torch.Generator()
    )
    for user in range(4):
        own = ITEMS[user == USERS].tolist()
        gained = worth(autoencoder, own, tuple(range(len(own)))) - worth(autoencoder, own, ())
        assert float(found[user == USERS].sum()) == pytest.approx(gained, abs=1e-3)


def test_parts_are_drawn_by_the_kernel() -> None:
    n, users = 6, 4000
    real = torch.zeros(users + 2, 8, dtype=torch.bool)
    real[:users, :n] = True
    real[users, :1] = True
    real[users + 1, :2] = True
    parts = drawn_parts(real, 4, torch.Generator().manual_seed(0))
    assert not bool((parts & ~real.unsqueeze(1)).any())
    assert torch.equal(parts[:, :2] ^ parts[:, 2:], real.unsqueeze(1).expand(-1, 2, -1))
    assert parts[users, :, 0].tolist() == [False, False, True, True]
    assert parts[users + 1].sum(1).tolist() == [1, 1, 1, 1]
    sizes = torch.bincount(parts[:users].sum(2).flatten(), minlength=n + 1) / (4 * users)
    kernel = torch.tensor([0.0, *(1 / (s * (n - s)) for s in range(1, n)), 0.0])
    torch.testing.assert_close(sizes, kernel / kernel.sum(), atol=0.015, rtol=0)
    pairs = parts[:users][parts[:users].sum(2) == 2][:, :n]
    seen = torch.bincount((pairs.long() * 2 ** torch.arange(n)).sum(1))
    seen = seen[seen > 0] / len(pairs)
    torch.testing.assert_close(seen, torch.full((15,), 1 / 15), atol=0.02, rtol=0)


def test_the_autoencoder_learns_what_goes_together() -> None:
    users, items, _ = two_tastes()
    generator = torch.Generator().manual_seed(0)
    blocks = profiles(users, most_users=32, most_cells=1 << 14)
    autoencoder = Autoencoder(items, 60, 16, generator)
    own, real = torch.arange(6).unsqueeze(0), torch.ones(1, 6, dtype=torch.bool)
    nobody, half = torch.zeros(6, dtype=torch.bool), torch.arange(6) < 3
    both = torch.stack([nobody, half]).unsqueeze(0)
    fit_autoencoder(autoencoder, items, blocks, 30, 0.02, generator)
    found = autoencoder.worth(own, real, both)[0]
    assert float((found[1] - found[0]).detach()) > 2.0  # nats, of at most 6 log 2


def two_tastes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Users of two kinds with items of their own, and each with one of the other's: the last, which is noise."""
    generator = torch.Generator().manual_seed(5)
    users = torch.arange(80).repeat_interleave(10)
    own = torch.rand(80, 30, generator=generator).argsort(1)[:, :10]
    other = (torch.arange(10) == 9).unsqueeze(0)
    kind = (torch.arange(80) % 2).unsqueeze(1)
    items = (own + 30 * (kind ^ other)).flatten()
    return users, items, other.expand(80, -1).flatten()


@pytest.mark.parametrize("others", [False, True])
def test_noise_adds_less(others: bool) -> None:
    users, items, noise = two_tastes()
    values = svv_values(users, items, 60, passes=20, width=16, others=others)
    below = (values[noise].unsqueeze(1) < values[~noise]).float().mean()
    assert float(below) > 0.8


@pytest.mark.parametrize("others", [False, True])
def test_the_seed_decides(others: bool) -> None:
    first, again, another = (
        svv_values(USERS, ITEMS, N_ITEMS, passes=3, width=4, others=others, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, another)


def test_of_two_each_is_judged_by_the_other() -> None:
    """Whatever the explainer has learnt: the only player has all that it gives."""
    users, items = torch.arange(5).repeat_interleave(2), torch.tensor([0, 1, 3, 4, 7, 8, 2, 6, 5, 5])
    users, items = torch.cat([users, torch.tensor([9])]), torch.cat([items, torch.tensor([1])])
    generator = torch.Generator().manual_seed(0)
    blocks = profiles(users, most_users=3, most_cells=99)
    autoencoder = Autoencoder(items, N_ITEMS, 8, generator)
    fit_autoencoder(autoencoder, items, blocks, 10, 0.05, generator, others=True)
    explainer = Explainer(autoencoder)
    fit_explainer(explainer, autoencoder, items, blocks, 3, 2, 0.05, generator, others=True)
    found = explained(explainer, autoencoder, items, blocks, generator, others=True).tolist()
    for row in range(10):
        own, other = int(items[row]), [int(items[row ^ 1])]
        told = worth(autoencoder, other, (0,), given=[own]) - worth(autoencoder, other, ())
        assert found[row] == pytest.approx(told, abs=1e-4)
    assert found[10] == 0.0  # nobody is there to judge


def test_random_numbers_of_others_are_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    svv_values(USERS, ITEMS, N_ITEMS, passes=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert svv_values(USERS[:0], ITEMS[:0], N_ITEMS).shape == (0,)


def test_refusals() -> None:
    for name in ("passes", "width", "coalitions"):
        with pytest.raises(ConfigurationError, match=f"{name} = 0"):
            svv_values(USERS, ITEMS, N_ITEMS, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="coalitions = 3; give an even number"):
        svv_values(USERS, ITEMS, N_ITEMS, coalitions=3)
