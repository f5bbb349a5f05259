"""The divergence on a union of items against that over all, exact where the union is everything, else on average."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from burnish.enhancers.paths.divergence import divergence_of_walks
from burnish.enhancers.paths.lists import MixedLists, Pairs, mixed_lists
from burnish.enhancers.paths.union import Drawing, Drawn, divergence_on_union

N_ITEMS, B = 60, 4


def lists() -> MixedLists:
    """Row 3 has nothing listed."""
    draw = torch.Generator().manual_seed(0)
    items = torch.stack([1 + torch.randperm(N_ITEMS - 1, generator=draw)[:12] for _ in range(B)])
    values = torch.rand(B, 12, generator=draw, dtype=torch.float64)
    values[3] = 0.0
    shares = torch.ones(B, 1, dtype=torch.float64)
    return mixed_lists([(items, values.requires_grad_())], shares, N_ITEMS, 1e-3)


def problem() -> tuple[Tensor, Tensor, Pairs, Tensor]:
    """Vectors of users and items, what users know, and the items of interactions."""
    draw = torch.Generator().manual_seed(1)
    users, table = (torch.randn(n, 5, generator=draw, dtype=torch.float64) for n in (B, N_ITEMS))
    rows = torch.tensor([0, 0, 0, 2, 2])
    known = Pairs(rows, torch.tensor([4, 9, 31, 1, 59]), N_ITEMS)
    interactions = 1 + (torch.rand(300, generator=draw) ** 3 * (N_ITEMS - 1)).long()
    return (0.5 * users).requires_grad_(), table.requires_grad_(), known, interactions


def estimated(walked: MixedLists, drawn: Drawn, *, mask_known: bool = True, top: int = 5) -> Tensor:
    users, table, known, _ = problem()
    return divergence_on_union(
        walked, users, lambda ids: table[ids], drawn, known, mask_known=mask_known, top=top
    )


@pytest.mark.parametrize("mask_known", [True, False])
@pytest.mark.parametrize("top", [1, 7, 100])
def test_a_union_of_everything_is_exact(mask_known: bool, top: int) -> None:
    users, table, known, interactions = problem()
    drawn = Drawing(interactions, N_ITEMS).draw(N_ITEMS - 1, torch.Generator())
    assert not drawn.log_weights.any()
    walked, other = lists(), lists()
    arguments = {"mask_known": mask_known, "top": top}
    found = divergence_on_union(walked, users, lambda ids: table[ids], drawn, known, **arguments)
    wanted = divergence_of_walks(other.columns(), users, table, known if mask_known else None)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)
    for ours, theirs in zip(
        torch.autograd.grad(found.sum(), (users, table, walked.values)),
        torch.autograd.grad(wanted.sum(), (users, table, other.values)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_what_is_drawn_stands_for_the_catalogue_on_average() -> None:
    """Sums with the weights are without bias; every item can be drawn, and popular ones are drawn more often."""
    *_, interactions = problem()
    drawing = Drawing(interactions, N_ITEMS)
    generator = torch.Generator().manual_seed(3)
    sums, times = torch.zeros(N_ITEMS, dtype=torch.float64), torch.zeros(N_ITEMS)
    n = 4000
    for _ in range(n):
        drawn = drawing.draw(20, generator)
        assert len(torch.unique(drawn.items)) == len(drawn.items)
        sums[drawn.items] += drawn.log_weights.double().exp()
        times[drawn.items] += 1
    # Draws of an item are 20 in all, each with the chance 1 / 59 or its share of the interactions.
    counts = torch.bincount(interactions, minlength=N_ITEMS).double()
    expected = 10 / 59 + 10 * counts / 300
    errors = (1 / (n * expected)).sqrt()
    assert ((sums / n - 1).abs() < 5 * errors)[1:].all()
    assert sums[0] == 0
    assert times[1] > 2 * times[50]


@pytest.mark.parametrize("mask_known", [True, False])
def test_more_draws_come_closer(mask_known: bool) -> None:
    users, table, known, interactions = problem()
    wanted = divergence_of_walks(lists().columns(), users, table, known if mask_known else None)
    drawing, walked = Drawing(interactions, N_ITEMS), lists()
    generator = torch.Generator().manual_seed(5)
    biases, errors = {}, {}
    for n in (12, 48):
        draws = [drawing.draw(n, generator) for _ in range(400)]
        found = torch.stack([estimated(walked, one, mask_known=mask_known).detach() for one in draws])
        biases[n] = (found.mean(0) - wanted).abs()
        errors[n] = (found - wanted).square().mean(0).sqrt()
    assert (errors[48] < 0.7 * errors[12]).all()
    # Sums have none; a logarithm of one has half its variance, which falls as the draws grow.
    assert (biases[48] < 0.5 * biases[12] + 0.02).all()
    assert (biases[48] < 0.2 * wanted + 0.02).all()


def test_without_log_q_it_would_be_another_number() -> None:
    """The correction matters: with all weights 1 the mean is far from the whole."""
    users, table, known, interactions = problem()
    wanted = divergence_of_walks(lists().columns(), users, table, known)
    drawing, walked, generator = Drawing(interactions, N_ITEMS), lists(), torch.Generator().manual_seed(5)
    draws = [drawing.draw(30, generator) for _ in range(200)]
    means = [
        torch.stack([estimated(walked, Drawn(one.items, one.log_weights * factor)).detach() for one in draws])
        for factor in (1.0, 0.0)
    ]
    # Of users with lists; of one without, draws are all there is.
    right, wrong = ((mean.mean(0) - wanted)[:3].abs().mean() for mean in means)
    assert right < 0.3 * wrong, (right, wrong)


def test_a_user_who_knows_everything_has_no_divergence() -> None:
    users, table, _, interactions = problem()
    everything = Pairs(torch.full((N_ITEMS - 1,), 1), torch.arange(1, N_ITEMS), N_ITEMS)
    drawn = Drawing(interactions, N_ITEMS).draw(10, torch.Generator().manual_seed(0))
    found = divergence_on_union(
        lists(), users, lambda ids: table[ids], drawn, everything, mask_known=True, top=5
    )
    assert found[1] == 0
    assert (found[[0, 2, 3]] > 0).all()
    found.sum().backward()
    assert users.grad is not None
    assert users.grad.isfinite().all()
