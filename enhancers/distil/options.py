"""Options of the enhancer `distil`."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from burnish.enhancers.options import SQUARED_TEMPERATURES
from burnish.enhancers.teachers.options import EASE, WHO, TeacherOptions

#: Of the teacher's list, where a model scores pair by pair and `top` is not given.
SCORED_TOP = 32


class DistilConfig(TeacherOptions):
    """Options of `distil`."""

    teachers: dict[str, float | None] = Field(
        default={EASE: None},
        description=f"who is learned from, each with its weight in the mixture ({WHO}); null for 1. Weights count "
        "relative to each other",
    )
    ridge: float = Field(default=250.0, gt=0.0, allow_inf_nan=False, description="of EASE")
    share: float = Field(
        default=0.3,
        ge=0.0,
        le=1.0,
        description="how much the teacher counts; the rest is left of the recommendation loss, the backbone's own or "
        "another enhancer's objective",
    )
    temperature: Annotated[float, SQUARED_TEMPERATURES] = Field(
        default=1.0,
        description="divides the scores of teacher and student before both softmaxes",
    )
    top: int | None = Field(
        default=None,
        ge=1,
        description="cut the teacher's list at so many best items; null for all of them, or, where a model scores pair "
        f"by pair, {SCORED_TOP}",
    )
    drawn: int = Field(
        default=16,
        ge=0,
        description="drawn items beside the teacher's list, where a model scores pair by pair",
    )
    mask_known: bool = Field(
        default=True, description="leave a user's known items out, on the teacher's side and on the student's"
    )
    users: int = Field(
        default=64,
        ge=1,
        description="users a step (rows of the batch, where a model reads histories or columns)",
    )
    epochs: tuple[int, int] | None = Field(
        default=None, description="first and last epoch in which the teacher counts, from 1; null for all"
    )

    @field_validator("teachers")
    @classmethod
    def _weights(cls, teachers: Any) -> Any:
        for name, weight in teachers.items():
            if weight is not None and not 0 <= weight < math.inf:
                raise ValueError(f"weight of {name} = {weight}: give a number of 0 or more")
        if not any(weight is None or weight > 0 for weight in teachers.values()):
            raise ValueError("all weights of all teachers are 0; give one of them a weight above 0")
        return teachers

    @model_validator(mode="after")
    def _in_order(self) -> DistilConfig:
        if self.epochs is not None and not 1 <= self.epochs[0] <= self.epochs[1]:
            raise ValueError(f"epochs = {list(self.epochs)}: give the first and the last one, from 1")
        return self

    def counting(self) -> Collection[str]:
        """The teachers that have a share."""
        return self.shares()

    def shares(self) -> dict[str, float]:
        """The teachers that count, with shares that sum to 1."""
        weights = {name: 1.0 if weight is None else weight for name, weight in self.teachers.items()}
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items() if weight > 0}

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        return self.idle_teachers()
