"""What a host shares with its enhancers during training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .anatomy import Table
    from .tables import Refinement


class HostState:
    """The step counter, random numbers and rows that enhancers of one model share.

    seed: base of every random number that an enhancer draws; none comes from the global stream, so the
        backbone's own randomness (dropout, negative sampling) is the same with and without enhancers.
    step: number of training steps done; with the seed it determines the step's random numbers, so a resumed
        run draws the same ones.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.step = 0
        self.inside_step = False
        self.refinements: dict[str, Refinement] = {}
        self.output: tuple[Tensor, Tensor] | None = None
        self._generators: dict[torch.device, tuple[int, torch.Generator]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "output": None, "_generators": {}}

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
