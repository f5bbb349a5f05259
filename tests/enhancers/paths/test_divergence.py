"""The divergence from walks to products against distil's, whatever the blocks, and its gradients."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.distil.distil import divergence
from burnish.enhancers.paths.divergence import divergence_of_walks
from burnish.enhancers.paths.lists import Pairs

N_ITEMS, B = 11, 4


def problem(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Pairs]:
    """User 2 knows everything, and user 3 nothing; an item with next to none."""
    draw = torch.Generator().manual_seed(0)
    chances = torch.rand(N_ITEMS, B, generator=draw, dtype=dtype)
    chances[0], chances[5] = 0.0, 1e-30
    users, keys = (torch.randn(n, 3, generator=draw, dtype=dtype) for n in (B, N_ITEMS))
    rows = torch.tensor([0, 0, 1, 1, 1, *[2] * (N_ITEMS - 1)])
    items = torch.tensor([3, 10, 1, 2, 4, *range(1, N_ITEMS)])
    return chances, users, keys, Pairs(rows, items, N_ITEMS)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("block", [1, 8, 12, 1000])
def test_it_is_the_divergence_of_logarithms(monkeypatch: pytest.MonkeyPatch, block: int, known: bool) -> None:
    monkeypatch.setattr("burnish.enhancers.paths.divergence._BLOCK", block)
    chances, users, keys, pairs = problem()
    left_out = torch.zeros(B, N_ITEMS, dtype=torch.bool)
    left_out[:, 0] = True
    if known:
        left_out[pairs.rows, pairs.items] = True
    leaves = [one.requires_grad_() for one in (chances, users, keys)]
    found = divergence_of_walks(chances, users, keys, pairs if known else None)
    logs = chances.t().clamp_min(torch.finfo(chances.dtype).tiny).log()
    wanted = divergence(logs, users @ keys.t(), left_out, 1.0)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    assert (float(found[2].detach()) == 0.0) == known
    along = torch.tensor([0.3, 2.0, 1.0, 0.7], dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad((found * along).sum(), leaves),
        torch.autograd.grad((wanted * along).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_by_differences() -> None:
    chances, users, keys, pairs = problem()
    given = [one.requires_grad_() for one in (chances[1:] + 0.1, users, keys)]

    def padded(some: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        return divergence_of_walks(torch.cat([torch.zeros_like(some[:1]), some]), *others, pairs)

    assert torch.autograd.gradcheck(padded, given)
    for number in range(3):
        some = [chances.detach(), *(one.detach() for one in given[1:])]
        some[number].requires_grad_()
        divergence_of_walks(*some, None).sum().backward()
        assert [one.grad is not None for one in some] == [place == number for place in range(3)]


def test_scores_that_are_far_apart_in_single_precision() -> None:
    """Known items far above all others, and one user with scores of thousands."""
    chances, users, keys, pairs = problem(torch.float32)
    users[1] *= 1000.0
    keys[3], users[0] = users[0] * 500.0, users[0].sign()
    given = [one.requires_grad_() for one in (chances, users, keys)]
    found = divergence_of_walks(*given, pairs)
    double = [one.detach().double().requires_grad_() for one in given]
    wanted = divergence_of_walks(*double, pairs)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)
    found.sum().backward()
    wanted.sum().backward()
    for ours, theirs in zip(given, double, strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-3)


def test_on_an_accelerator_nothing_is_copied_to_the_host() -> None:
    """On a device without contents, which refuses that."""
    chances, users, keys, pairs = problem()
    there = [one.to("meta").requires_grad_() for one in (chances, users, keys)]
    known = Pairs(pairs.rows.to("meta"), pairs.items.to("meta"), N_ITEMS)
    found = divergence_of_walks(*there, known)
    assert (found.device.type, found.shape) == ("meta", (B,))
    assert all(one.device.type == "meta" for one in torch.autograd.grad(found.sum(), there))
