"""Gated updates and chains of events against loops over single interactions, in double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.backbones.drex.carried_states import neighbours
from burnish.backbones.drex.updates import Chains, GatedUpdate, run_chains


def by_hand(update: GatedUpdate, z: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Equations (4) to (7), number by number."""
    size = len(p)
    weights, bias = update.from_input.weight, update.from_input.bias
    gates, candidate = update.gates_from_state.weight, update.candidate_from_state.weight
    new = torch.empty_like(p)

    def product(row: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        return sum((a * b for a, b in zip(row, vector, strict=True)), start=torch.zeros((), dtype=p.dtype))

    reset = [torch.sigmoid(product(weights[k], z) + product(gates[k], p) + bias[k]) for k in range(size)]
    for k in range(size):
        s = torch.sigmoid(product(weights[size + k], z) + product(gates[size + k], p) + bias[size + k])
        kept = torch.stack([reset[j] * p[j] for j in range(size)])
        c = torch.tanh(product(weights[2 * size + k], z) + product(candidate[k], kept) + bias[2 * size + k])
        new[k] = (1 - s) * p[k] + s * c
    return new


def test_one_update_is_the_equations() -> None:
    torch.manual_seed(1)
    update = GatedUpdate(4).double()
    z, p = torch.randn(3, 4).double(), torch.randn(3, 4).double()
    expected = torch.stack([by_hand(update, *pair) for pair in zip(z, p, strict=True)])
    torch.testing.assert_close(update(z, p), expected)


@settings(max_examples=60)
@given(owners=st.lists(st.integers(0, 4), max_size=25), lanes=st.integers(1, 3))
def test_chains_agree_with_a_loop_over_interactions(owners: list[int], lanes: int) -> None:
    torch.manual_seed(2)
    update = GatedUpdate(3).double()
    ids = torch.tensor(owners, dtype=torch.long)
    inputs, begin = torch.randn(len(owners), 3).double(), torch.randn(5, lanes, 3).double()
    previous, _ = neighbours(ids)
    chains = Chains.of(ids, previous >= 0)
    before, after = run_chains(update, chains, inputs, begin[ids[chains.heads]])
    states = {owner: begin[owner] for owner in set(owners)}
    for event, owner in enumerate(owners):
        torch.testing.assert_close(before[event], states[owner])
        states[owner] = torch.stack(
            [update(inputs[event : event + 1], lane.unsqueeze(0))[0] for lane in states[owner]]
        )
        torch.testing.assert_close(after[event], states[owner])
    assert before.shape == (len(owners), lanes, 3)


def test_a_gap_begins_another_chain() -> None:
    chains = Chains.of(torch.tensor([7, 7, 2, 7]), torch.tensor([False, True, False, False]))
    assert chains.sizes == [3, 1]
    assert sorted(chains.heads.tolist()) == [0, 2, 3]
    assert chains.heads[0] == 0  # the longest first


def test_neighbours_of_events() -> None:
    before, after = neighbours(torch.tensor([3, 1, 3, 3, 1]))
    assert before.tolist() == [-1, -1, 0, 2, 1]
    assert after.tolist() == [2, 4, 3, -1, -1]


def test_gradients_reach_the_first_state() -> None:
    torch.manual_seed(3)
    update = GatedUpdate(2).double()
    ids = torch.tensor([0, 0, 1, 0])
    previous, _ = neighbours(ids)
    chains = Chains.of(ids, previous >= 0)
    inputs = torch.randn(4, 2).double()

    def last(begin: torch.Tensor) -> torch.Tensor:
        return run_chains(update, chains, inputs, begin)[1]

    assert torch.autograd.gradcheck(last, torch.randn(2, 1, 2).double().requires_grad_())
    with pytest.raises(AssertionError):
        torch.testing.assert_close(last(torch.zeros(2, 1, 2).double()), last(torch.ones(2, 1, 2).double()))
