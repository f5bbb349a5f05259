"""Options of the enhancer `compress`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from burnish.enhancers.newcomers import ABOUT, Newcomers
from burnish.enhancers.options import listed
from burnish.enhancers.teachers.options import EASE, ITEM_KNN, WHO, TeacherOptions

#: Default ranks, as shares of the tables' width.
SHARES_OF_WIDTH = (0.25, 0.375, 0.5, 0.75, 1.0)


class CompressConfig(TeacherOptions):
    """Options of `compress`."""

    later: ClassVar[Mapping[str, Any]] = {"teacher_options": {}, "newcomers": "own"}
    later_together: ClassVar[frozenset[str]] = frozenset({"newcomers"})

    teachers: dict[str, tuple[float, ...] | None] = Field(
        default={EASE: (3.0,), ITEM_KNN: (0.0, 1.0)},
        description=f"whose scores are mixed, each with the weights to try ({WHO}); null for the weights in mix. "
        "Weights count relative to each other",
    )
    ridge: tuple[float, ...] = Field(
        default=(25.0, 50.0, 100.0, 250.0, 500.0, 1000.0),
        description="ridges of EASE to try; larger trusts rare items less",
    )
    ranks: tuple[int, ...] | None = Field(
        default=None,
        description="ranks to try, up to the tables' width; lower ones leave columns of zeros. null: a quarter, three "
        "eighths, half, three quarters, and all of it",
    )
    mix: tuple[float, ...] = Field(
        default=(0.0, 1.0, 2.0), description="weights to try for teachers without weights of their own"
    )
    newcomers: Newcomers = Field(default="mean", description=ABOUT)
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        description="of the decompositions' first directions; null for the run's",
    )

    @field_validator("teachers", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """Names alone, as on the command line, are teachers without weights; one weight is a list of it."""
        value = super()._mapping(value)
        if not isinstance(value, dict):
            return value
        return {name: listed(weights) for name, weights in value.items()}

    @field_validator("ridge", "ranks", "mix", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One number is a list of it."""
        return listed(value)

    @field_validator("ridge", "ranks", "mix")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value is not None and not len(value):
            raise ValueError("give one at least")
        return value

    @field_validator("ridge", "ranks")
    @classmethod
    def _positive(cls, values: Any) -> Any:
        if values is not None and not all(0 < number < math.inf for number in values):
            raise ValueError("give numbers above 0")
        return values

    @model_validator(mode="after")
    def _some_mixture(self) -> CompressConfig:
        for name, weights in [*self.teachers.items(), ("mix", self.mix)]:
            if weights is not None and (not weights or not all(0 <= one < math.inf for one in weights)):
                raise ValueError(f"weights of {name} = {list(weights)}: give one at least, of 0 or more each")
        if not self.mixtures():
            raise ValueError("all weights of all teachers are 0; give one of them a weight above 0")
        return self

    def counting(self) -> Collection[str]:
        """The teachers that have a share in one of the mixtures."""
        return {name for mixture in self.mixtures() for name in mixture}

    def mixtures(self) -> list[dict[str, float]]:
        """The mixtures to try, each once: shares that sum to 1, by teacher; those without a share are left out."""
        grids = [self.mix if weights is None else weights for weights in self.teachers.values()]
        found: dict[tuple[float, ...], dict[str, float]] = {}
        for weights in itertools.product(*grids):
            total = sum(weights)
            if total > 0:
                shares = tuple(round(weight / total, 12) for weight in weights)
                found.setdefault(
                    shares, {name: share for name, share in zip(self.teachers, shares, strict=True) if share}
                )
        return list(found.values())

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons = self.idle_teachers()
        if not self.computes and self.newcomers == "own":
            reasons |= dict.fromkeys(
                self.given("positive_from"),
                "with newcomers: own, without a teacher that is computed from the training data",
            )
        if None not in self.teachers.values():
            reasons |= dict.fromkeys(self.given("mix"), "where every teacher has weights of its own")
        return reasons
