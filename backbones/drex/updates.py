"""Gated updates of the states of users or of items, over all their interactions at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class GatedUpdate(nn.Module):
    """DReX equations (4) to (7): a gated recurrent unit that resets the state before it is multiplied.

    r = sigmoid(W_r z + U_r p + b_r), s = sigmoid(W_s z + U_s p + b_s), c = tanh(W_h z + U_h (r * p) + b_h),
    new p = (1 - s) p + s c.  (`torch.nn.GRU` resets after the product, which is another function.)
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(size, 3 * size)
        self.gates_from_state = nn.Linear(size, 2 * size, bias=False)
        self.candidate_from_state = nn.Linear(size, size, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(size), 1 / math.sqrt(size))

    def forward(self, inputs: Tensor, states: Tensor) -> Tensor:
        """New states `[n, size]`.  inputs: z, `[n, size]`.  states: p, `[n, size]`."""
        return self.step(self.from_input(inputs), states)

    def step(self, projected: Tensor, states: Tensor) -> Tensor:
        """New states, from what `from_input` made of the inputs, `[..., 3 size]`; leading axes are broadcast."""
        size = states.shape[-1]
        gates = torch.sigmoid(projected[..., : 2 * size] + self.gates_from_state(states))
        reset, update = gates.chunk(2, dim=-1)
        candidate = torch.tanh(projected[..., 2 * size :] + self.candidate_from_state(reset * states))
        # Autocast computes gates in half precision; states go on for hundreds of steps and keep theirs.
        return torch.lerp(states, candidate.to(states.dtype), update.to(states.dtype))


@dataclass(frozen=True)
class Chains:
    """Which events follow each other in the history of one user (or item): chains of steps, longest first.

    order: the events, all first ones of the chains, then all second ones, ...; numbers in what was given, `[n]`.
    sizes: how many chains have a first, a second, ... event; never rising.
    place: where each event stands in `order`, `[n]`.
    heads: the first event of each chain, `[n_chains]`.
    """

    order: Tensor
    sizes: list[int]
    place: Tensor
    heads: Tensor

    @classmethod
    def of(cls, owners: Tensor, follows: Tensor) -> Chains:
        """The chains among n events in the order of time.

        owners: whose event it is, `[n]`.  follows: whether the owner's event before it is among them too, `[n]`;
            where it is not, another chain begins.
        """
        grouped = torch.argsort(owners, stable=True)
        begins = ~follows[grouped]
        chain = begins.long().cumsum(0) - 1
        starts = begins.nonzero()[:, 0]
        place = torch.arange(len(owners), device=owners.device)
        step = place - starts[chain]
        lengths = torch.bincount(chain, minlength=len(starts))
        by_length = torch.argsort(lengths, descending=True, stable=True)
        rank = torch.empty_like(by_length).scatter_(
            0, by_length, torch.arange(len(starts), device=owners.device)
        )
        order = grouped[torch.argsort(step * max(1, len(starts)) + rank[chain])]
        sizes = torch.bincount(step, minlength=1).tolist() if len(owners) else []
        at = torch.empty_like(order).scatter_(0, order, place)
        return cls(order, sizes, at, order[: len(starts)])


def run_chains(update: GatedUpdate, chains: Chains, inputs: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """States before and after each event, two `[n, lanes, size]`, in the order of the events as given.

    inputs: z of each event, `[n, size]`.  first: the states before each chain's first event, `[n_chains, lanes, size]`,
        in the order of `chains.heads`; a chain may carry several states, updated by the same inputs.

    One step of all chains at a time, so that the number of steps is the length of the longest history.
    """
    if not chains.sizes:
        return first.new_zeros(0, *first.shape[1:]), first.new_zeros(0, *first.shape[1:])
    projected = update.from_input(inputs[chains.order]).unsqueeze(1).split(chains.sizes)
    states, before, after = first, [], []
    for step in projected:
        states = states[: len(step)]
        before.append(states)
        states = update.step(step, states)
        after.append(states)
    return torch.cat(before)[chains.place], torch.cat(after)[chains.place]
