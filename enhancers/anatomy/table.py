"""A table: the rows of one side (users or items) inside a parameter of a backbone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

Side = Literal["user", "item"]


@dataclass(frozen=True)
class Table:
    """One embedding table of one side: `count` rows of `width` numbers inside a parameter of the backbone.

    A parameter may hold more than one table (users above items in one matrix) or rows that belong to nobody
    (BERT4Rec's mask token), so a table is the span `first .. first + count` of it; row `first` is id 0, padding.
    transposed: the ids run along the second axis of the parameter (a Linear layer fed with one-hot ids).
    """

    name: str
    owner: nn.Module = field(repr=False, compare=False)
    parameter: str
    side: Side
    first: int
    count: int
    width: int
    transposed: bool = False

    @property
    def key(self) -> str:
        """A name that no other table of the backbone has: spans of one parameter differ in their first row."""
        return f"{self.name}[{self.first}:]" if self.first else self.name

    @property
    def module_key(self) -> str:
        """`key` as a name in a ModuleDict, which may not hold dots."""
        return self.key.replace(".", "-")

    @property
    def stored(self) -> nn.Parameter:
        """The parameter that holds the table, as the backbone stores it."""
        stored = self.owner._parameters[self.parameter]
        assert stored is not None  # a table is only ever made from a parameter that is there
        return stored

    @property
    def frozen(self) -> bool:
        """Whether training leaves the stored rows as they are (vectors from elsewhere, say)."""
        return not self.stored.requires_grad

    def raw(self) -> Tensor:
        """The backbone's own rows, without any refinement: `[count, width]`."""
        stored = self.stored
        rows = stored.t() if self.transposed else stored
        return rows[self.first : self.first + self.count]
