"""Which of its candidates an enhancer holds: kept with the model, and told by `status`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from .enhancer import ConfigT, Enhancer

#: In the place of a candidate's number: none was put in yet; the one that was is not noted, in files of before.
NONE_YET, NOT_NOTED = -1, -2


class Choosing(Enhancer[ConfigT]):
    """An enhancer whose epochs try candidates and whose note says which one validation chose.

    Sub-classes call `begin_choice` in `bind` and `choose` in `try_candidate`.

    Attributes: `chosen`, a tensor with the number of the candidate that the model holds.  Checkpoints keep it;
    `save_pretrained`, which saves what enhancers have of their own, keeps it where that is what a candidate puts in.
    """

    later_tensors = frozenset({"chosen"})

    chosen: Tensor

    #: Whether a candidate is put into tensors of the enhancer; else into the backbone's tables.
    puts_into_own: ClassVar[bool] = False

    def begin_choice(self) -> None:
        """Make the place where the number is kept."""
        self.register_buffer("chosen", torch.tensor(NONE_YET))

    def choose(self, number: int) -> None:
        """Take note of the candidate that is in the model now."""
        self.chosen.fill_(number)

    def training_tensors(self) -> frozenset[str]:
        """The number, unless what it tells of goes along."""
        return frozenset() if self.puts_into_own else frozenset({"chosen"})

    def edges(self, number: int) -> list[str]:
        """What of a candidate is the first or last of several that were tried, as in "no lower ridge was tried"."""
        return []

    def note(self) -> str:
        """Which candidate the model holds, and whether it is at an edge of what was tried."""
        number, tried = int(self.chosen), self.candidates() or ()
        if number == NOT_NOTED:
            return f"which of {len(tried)} candidates validation chose was not noted when this was saved."
        if number == NONE_YET:
            # Also where a file of the enhancers alone was read and the backbone's tables are others.
            return f"no candidate is noted: each epoch of training puts in one of {len(tried)}, and validation chooses."
        edges = self.edges(number)
        at = f" ({', '.join(edges)})" if edges else ""
        return f"holds candidate {number + 1} of {len(tried)}, chosen by validation: {tried[number]}{at}."

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As torch's; what was saved before the number was noted is without it."""
        if f"{prefix}chosen" not in state_dict:
            state_dict[f"{prefix}chosen"] = torch.tensor(NOT_NOTED)
        super()._load_from_state_dict(state_dict, prefix, *args)


def chosen_edges(enhancers: Iterable[Enhancer[Any]]) -> list[str]:
    """What enhancers hold from the edge of what they tried, as in "compress: no lower ridge was tried"."""
    return [
        f"{enhancer.name}: {found}"
        for enhancer in enhancers
        if isinstance(enhancer, Choosing) and enhancer.candidates() and int(enhancer.chosen) >= 0
        for found in enhancer.edges(int(enhancer.chosen))
    ]


def edge(
    what: str, value: float, tried: Collection[float], *, least: float | None, most: float | None
) -> str:
    """ "no lower `what` was tried", or "no higher"; empty inside of what was tried, for a single one, and at a bound.

    least, most: beyond these there is nothing to try.
    """
    if len(set(tried)) < 2:
        return ""
    if value == min(tried) and (least is None or value > least):
        return f"no lower {what} was tried"
    if value == max(tried) and (most is None or value < most):
        return f"no higher {what} was tried"
    return ""
