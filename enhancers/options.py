"""What options of enhancers have in common: strict, frozen, and said where they have no effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import core_schema

from burnish.errors import warn
from burnish.strict import Strict


@dataclass(frozen=True)
class Bounds:
    """The least and the largest temperature, for an annotation; the command line shows them with the type."""

    ge: float
    le: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: float | None) -> float | None:
        if value is not None and not self.ge <= value <= self.le:  # nor NaN
            raise ValueError(
                f"give a number from {self.ge:g} to {self.le:g}: scores are computed in single precision, in which "
                f"softmaxes at other temperatures overflow or lose the differences between scores"
            )
        return value


#: What divides the scores of a softmax.
TEMPERATURES = Bounds(1e-4, 1e4)
#: The same where the loss is multiplied by its square, whose rounding is then a third of the loss at 1000.
SQUARED_TEMPERATURES = Bounds(1e-4, 1e3)
Temperature = Annotated[float, TEMPERATURES]
TemperatureOrDefault = Annotated[float | None, TEMPERATURES]


class OptionsWithoutLoss(Strict):
    """Base of the options of enhancers that add no loss.  Strict: an unknown option is an error; frozen once made."""

    #: Options that may name a file: a saved run finds it from where the run was made.
    files: ClassVar[tuple[str, ...]] = ()
    #: Options of before, with their defaults, that had no effect: files that hold them are read without them.
    retired: ClassVar[Mapping[str, Any]] = {}
    #: Options that allow something and change no result.
    permissions: ClassVar[frozenset[str]] = frozenset()
    #: Options that came later, each with the value at which results are those of before, whatever its default is.
    later: ClassVar[Mapping[str, Any]] = {}
    #: Those of them that are left out of `decisive` only where all are: runs of a time between left out another value.
    later_together: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, options: Any) -> Any:
        if isinstance(options, Mapping):
            for name in cls.retired.keys() & options.keys():
                if options[name] != cls.retired[name]:
                    warn(
                        f"{name} = {options[name]!r} has no effect here and is not an option any more; leave it out"
                    )
            return {name: value for name, value in options.items() if name not in cls.retired}
        return options

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason, as in "without a base"."""
        return {}

    def given(self, *names: str) -> list[str]:
        """Those of the options that are not at their defaults."""
        return [name for name in names if not self.at_default(name)]

    def at_default(self, name: str) -> bool:
        """Whether an option has its default, given or not."""
        return bool(
            getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True)
        )

    def decisive(self) -> dict[str, Any]:
        """Everything that a result depends on, defaults included, named as in the first version that had it."""
        before = {name for name, value in self.later.items() if getattr(self, name) == value}
        if len(before) < len(self.later):
            before -= self.later_together
        return {**self.retired, **self.model_dump(mode="json", exclude={*self.permissions, *before})}


class EnhancerConfig(OptionsWithoutLoss):
    """Base of the options of enhancers with a loss of their own."""

    weight: float = Field(default=1.0, ge=0.0, description="factor of this enhancer's loss in the total loss")


def warn_of_idle(origin: str, options: Strict, reasons: Mapping[str, str]) -> None:
    """One warning an option that was given and has no effect."""
    for name, reason in reasons.items():
        warn(
            f"{origin}: {name} = {getattr(options, name)!r} has no effect {reason}; leave it out, or change that"
        )
