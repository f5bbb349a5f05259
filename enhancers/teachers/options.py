"""Options that enhancers with teachers have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.enhancers.options import OptionsWithoutLoss
from burnish.enhancers.trained_first import check_options, named_run
from burnish.errors import ConfigurationError, unknown_name

#: Teachers that are computed from the training split; every other name is a run, trained first or in a folder.
EASE, ITEM_KNN = "ease", "itemknn"
COMPUTED = (EASE, ITEM_KNN)

#: What teachers can be, for descriptions.
WHO = (
    "ease, itemknn; runs that are trained first: plain, enhancers (softmax+average), a RecBole model or one of your "
    "own with or without them (LightGCN+softmax, mine.py:Tower); folders of runs on the same split"
)


class TeacherOptions(OptionsWithoutLoss):
    """Options of what the teachers are."""

    teachers: Mapping[str, Any]
    teacher_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="options of teachers that are trained first which differ from the run's, by teacher: RecBole's, "
        "and ENHANCER.OPTION, as in {softmax+average: {softmax.temperature: 0.15, learning_rate: 0.005}}",
    )
    neighbours: int = Field(default=100, ge=1, description="items that speak for one in ItemKNN")
    shrink: float = Field(
        default=0.0, ge=0.0, allow_inf_nan=False, description="added to the denominators of ItemKNN's cosines"
    )
    positive_from: PositiveFrom = None
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="of random numbers; null for the run's"
    )
    budget_mib: int = Field(
        default=2048,
        ge=1,
        description="memory for EASE's matrices in MiB; where two of items by items do not fit, it is of low rank",
    )

    @field_validator("teachers", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """Names alone, as on the command line, are teachers without weights; a model class stands for its name."""
        if isinstance(value, type):
            value = [value]
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",") if name.strip()]
        if isinstance(value, list | tuple):
            value = dict.fromkeys(value)
        return _by_names(value)

    @field_validator("teachers")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if not len(value):
            raise ValueError("give one at least")
        return value

    @field_validator("teacher_options", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        """Nothing given for a teacher, or for all, is no options."""
        if value is None:
            return {}
        if isinstance(value, Mapping):
            value = {name: {} if options is None else options for name, options in value.items()}
        return _by_names(value)

    @model_validator(mode="after")
    def _of_teachers(self) -> TeacherOptions:
        for name, options in self.teacher_options.items():
            if name not in self.teachers:
                raise ConfigurationError(str(unknown_name("teacher_options: teacher", name, self.teachers)))
            if name in COMPUTED:
                own = "ridge" if name == EASE else "neighbours and shrink"
                raise ConfigurationError(
                    f"teacher_options.{name}: {name} is computed, not trained; its options are {own}, beside teachers"
                )
            check_options(f"teacher_options.{name}", "the teacher", options)
        return self

    def counting(self) -> Collection[str]:
        """The teachers with a weight above 0 somewhere."""
        return list(self.teachers)

    @property
    def runs(self) -> tuple[str, ...]:
        """The teachers that are runs, trained first or in folders; a weight of 0 needs none."""
        counting = set(self.counting())
        return tuple(name for name in self.teachers if name not in COMPUTED and name in counting)

    def idle_teachers(self, ridge: Iterable[str] = ("ridge",)) -> dict[str, str]:
        """Options of teachers that are not among them, with the reason."""
        reasons: dict[str, str] = {}
        if EASE not in self.teachers:
            reasons |= dict.fromkeys(self.given(*ridge), "without the teacher ease")
        if ITEM_KNN not in self.teachers:
            reasons |= dict.fromkeys(self.given("neighbours", "shrink"), "without the teacher itemknn")
        return reasons

    @property
    def computes(self) -> bool:
        """Whether a teacher is computed from the training data's positive interactions."""
        return bool(set(COMPUTED) & set(self.teachers))


def _by_names(value: Any) -> Any:
    """A mapping of teachers in which model classes stand by their names; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return {named_run(name): own for name, own in value.items()}
