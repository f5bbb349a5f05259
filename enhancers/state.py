"""What a host shares with its enhancers during training."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .anatomy.table import Table


class Refined(Protocol):
    """What reads a refined table: `tables.Refinement`."""

    @property
    def spans(self) -> Sequence[tuple[Table, Sequence[Any]]]:
        """The tables that share a parameter, each with the enhancers that refine it."""
        ...

    def of_table(self, table: Table, ids: Tensor) -> Tensor:
        """Refined rows `[*ids.shape, width]` for user or item ids."""
        ...


class HostState:
    """The step counter, random numbers and rows that enhancers of one model share.

    seed: base of every random number that an enhancer draws; none comes from the global stream, so the
        backbone's own randomness (dropout, negative sampling) is the same with and without enhancers.
    step: number of training steps done; with the seed it determines the step's random numbers, so a resumed
        run draws the same ones.
    weights, cell_weights: during a step, what its rows count, `[B]`, and for a batch of users what each one's
        interaction with an item counts, `[B, n_items]`; None where all count 1.
    interaction_weights: during a step on a batch of users in epochs that go over users, what each training interaction
        counts, `[n]`, in the order of the training split; None where all count 1.
    scored_users: while scores are changed (`Enhancer.rescore`), whose they are, `[B]`; else None.
    users_a_batch: how many users a training batch has where epochs go over users by an enhancer's objective, from
        `complete` on; else None.
    optimizer: the one that trains the backbone's tables, during an epoch of RecBole's trainers; else None.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.step = 0
        self.inside_step = False
        self.refinements: dict[str, Refined] = {}
        self.output: tuple[Tensor, Tensor] | None = None
        self.weights: Tensor | None = None
        self.cell_weights: Tensor | None = None
        self.interaction_weights: Tensor | None = None
        self.scored_users: Tensor | None = None
        self.users_a_batch: int | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self._backbone: weakref.ref[nn.Module] | None = None
        self._generators: dict[torch.device, tuple[int, torch.Generator]] = {}

    def __getstate__(self) -> dict[str, object]:
        fleeting = (
            "output",
            "weights",
            "cell_weights",
            "interaction_weights",
            "optimizer",
            "_backbone",
            "scored_users",
        )
        return {**self.__dict__, **dict.fromkeys(fleeting), "_generators": {}}

    def belongs_to(self, backbone: nn.Module) -> None:
        """Remember whose state this is, without keeping it alive."""
        self._backbone = weakref.ref(backbone)

    @property
    def backbone(self) -> nn.Module | None:
        """The enhanced model, in `bind` without any refinement; None right after it was copied."""
        return self._backbone() if self._backbone is not None else None

    def generator(self, device: torch.device) -> torch.Generator:
        """This step's generator of random numbers on a device."""
        known = self._generators.get(device)
        if known is None or known[0] != self.step:
            generator = known[1] if known else torch.Generator(device=device)
            generator.manual_seed((self.seed * 1_000_003 + self.step) % (2**63))
            self._generators[device] = known = (self.step, generator)
        return known[1]

    def refined(self, table: Table, ids: Tensor) -> Tensor:
        """Refined rows of a table for user or item ids: `[*ids.shape, width]`; shares this step's work."""
        refinement = self.refinements.get(table.name)
        if refinement is None:
            return self.raw(table, ids)
        return refinement.of_table(table, ids)

    def raw(self, table: Table, ids: Tensor) -> Tensor:
        """The backbone's own rows for user or item ids: `[*ids.shape, width]`."""
        return torch.nn.functional.embedding(ids, table.raw())
