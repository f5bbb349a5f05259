"""What options of enhancers have in common: strict, frozen, and said where they have no effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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

    #: Options that may name a file, as "scores", "graph.kg" or "graph.edges.file" (of each one in a list): a saved run
    #: finds it from where the run was made.
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

    @classmethod
    def placed(cls, options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Options with the files that lie in a folder named in full; an absolute name stays what it is."""
        found: Any = dict(options)
        for name in cls.files:
            found = _placed(found, name.split("."), folder)
        return dict(found)

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


def listed(value: Any) -> Any:
    """A number alone, where an option takes several, as a list of it; anything else as it is."""
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _placed(value: Any, names: Sequence[str], folder: Path) -> Any:
    """A value whose part of a name, below mappings and lists, is named in full where it is a file of the folder's."""
    if isinstance(value, list | tuple):
        return [_placed(one, names, folder) for one in value]
    if names and isinstance(value, Mapping) and names[0] in value:
        return {**value, names[0]: _placed(value[names[0]], names[1:], folder)}
    if not names and isinstance(value, str) and (folder / value).is_file():
        return str(folder / value)
    return value


def warn_of_idle(origin: str, options: Strict, reasons: Mapping[str, str]) -> None:
    """One warning an option that was given and has no effect."""
    for name, reason in reasons.items():
        warn(
            f"{origin}: {name} = {getattr(options, name)!r} has no effect {reason}; leave it out, or change that"
        )
