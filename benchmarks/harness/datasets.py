"""Several data sets in a plan: each with a label, options, a split, seeds, arms, floors and tuning of its own.

A plan of several is one plan each (`parts`): what is said of a data set is put over what is said for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from burnish.errors import ConfigurationError, placed, unknown_name
from burnish.splits import OPTION, as_option, with_split
from burnish.strict import Strict, carried, validated

from .floors import Floor, listed_floors
from .labels import PLAIN, checked_label, distinct_seeds, listed_seeds
from .problems import Problems
from .spaces import plain_options, recbole_options


class OwnTuning(Strict):
    """What is tuned otherwise on one data set: options that are named here replace the plan's; null leaves one out."""

    trials: int | None = Field(default=None, ge=1)
    space: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    metric: str | None = None
    seed: int | None = None
    method: str | None = None
    at_once: int | None = None
    pruning: Any = None
    options: dict[str, Any] = Field(default_factory=dict)

    _plain = field_validator("options")(plain_options)

    @model_validator(mode="before")
    @classmethod
    def _by_names(cls, value: Any) -> Any:
        """Teachers that are given as classes."""
        from burnish.enhancers.trained_first import named_runs

        with carried():
            return named_runs(value)


class DatasetEntry(Strict):
    """One of several data sets.

    name: of the folder with its files.  label: what its folder of runs and the tables call it; by default its name.
    options: RecBole's, over the plan's.  seeds, split: in the place of the plan's.  backbones, arms: labels of those
    that are trained on it; None for all.  floors: settings of floors that replace the plan's of the same name.
    tune: what is tuned otherwise; false tunes nothing.
    """

    name: str
    label: str = ""
    split: Any = None
    options: dict[str, Any] = Field(default_factory=dict)
    seeds: list[int] | None = None
    backbones: list[str] | None = Field(default=None, min_length=1)
    arms: list[str] | None = Field(default=None, min_length=1)
    floors: dict[str, Floor] | None = None
    tune: OwnTuning | bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        value = {"name": value} if isinstance(value, str) else value
        if not isinstance(value, Mapping) or value.get("label"):
            return value
        return {**value, "label": value.get("name", "")}

    _label = field_validator("name", "label")(checked_label)
    _count = field_validator("seeds", mode="before")(listed_seeds)
    _once = field_validator("seeds")(distinct_seeds)

    @field_validator("options")
    @classmethod
    def _written_out(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return options_with_split(recbole_options(options), info)

    @field_validator("split")
    @classmethod
    def _protocol(cls, value: Any) -> Any:
        return checked_split(value)

    @field_validator("floors", mode="before")
    @classmethod
    def _floors(cls, value: Any) -> Any:
        return None if value is None else listed_floors(value)

    @field_validator("backbones", "arms", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("tune")
    @classmethod
    def _not_true(cls, value: Any) -> Any:
        if value is True:
            raise ValueError("give what is tuned otherwise on this data set, or false for no tuning")
        return value

    def changes(self, plan: Any, tuning: type[Strict]) -> dict[str, Any]:
        """What differs between a plan of several data sets and that of this one alone, by field.

        plan: of several.  tuning: the schema of its `tune`.
        Raises `ConfigurationError` where what is tuned here cannot be.
        """
        backbones = [one for one in plan.backbones if self.backbones is None or one.label in self.backbones]
        labels = {one.label for one in backbones}
        arms = {
            label: arm
            for label, arm in plan.arms.items()
            if (self.arms is None or label in (PLAIN, *self.arms))
            and (arm.backbones is None or labels & {*arm.backbones})
        }
        for label, arm in arms.items():
            if arm.backbones is not None:
                here = [one for one in arm.backbones if one in labels]
                arms[label] = arm.model_copy(update={"backbones": here})
        return {
            "dataset": self.name,
            "dataset_label": self.label,
            "datasets": [],
            "backbones": backbones,
            "arms": arms,
            "floors": plan.floors if self.floors is None else {**plan.floors, **self.floors},
            "seeds": plan.seeds if self.seeds is None else self.seeds,
            "split": plan.split if self.split is None else self.split,
            "options": self._options(plan.options),
            "tune": self._tuning(plan, arms, tuning),
        }

    def _options(self, common: Mapping[str, Any]) -> dict[str, Any]:
        options = {**common, **self.options}
        if self.split is None:
            return options
        try:
            return with_split({name: value for name, value in options.items() if name != OPTION}, self.split)
        except ConfigurationError as error:
            raise placed(f"data set {self.label!r}", error) from error

    def _tuning(self, plan: Any, arms: Mapping[str, Any], tuning: type[Strict]) -> Any:
        """The rules of tuning on this data set; what is of arms or enhancers that only others have is left out."""
        own, common = self.tune, plan.tune
        if own is False or (own is None and common is None):
            return None
        content = {} if common is None else common.model_dump()
        # Of the plan as it was validated, no copies: values of spaces are none of ours.
        content |= (
            {} if common is None else {name: getattr(common, name) for name in ("space", "arms", "options")}
        )
        attached = [{name for arm in some.values() for name in arm.enhancers} for some in (arms, plan.arms)]
        elsewhere = attached[1] - attached[0]
        for name in ("space", "options"):
            content[name] = {
                option: values
                for option, values in content.get(name, {}).items()
                if option.partition(".")[0] not in elsewhere or "." not in option
            }
        content["arms"] = {
            label: space
            for label, space in content.get("arms", {}).items()
            if label in arms or label not in plan.arms
        }
        if isinstance(own, OwnTuning):
            content = _merged(content, own)
        return validated(tuning, content, f"data set {self.label!r}: tune")


def _merged(content: Mapping[str, Any], own: OwnTuning) -> dict[str, Any]:
    """Rules of tuning with those of a data set over them, option by option; null leaves an option out."""
    names = ("trials", "metric", "seed", "method", "at_once", "pruning")
    single = {name: value for name in names if (value := getattr(own, name)) is not None}
    arms = {
        label: _over(content["arms"].get(label, {}), own.arms.get(label, {}))
        for label in dict.fromkeys((*content["arms"], *own.arms))
    }
    return {
        **content,
        **single,
        "space": _over(content["space"], own.space),
        "arms": arms,
        "options": {**content["options"], **own.options},
    }


def _over(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {option: values for option, values in {**common, **own}.items() if values is not None}


def check_left_out(own: OwnTuning, common: Any, place: str, problems: Problems) -> None:
    """Note options that a data set leaves out (null) of a space that does not have them.

    common: the plan's tuning; None for none.  place: where it is said.
    """
    spaces = [("space", own.space, {} if common is None else common.space)]
    for label, space in own.arms.items():
        spaces.append((f"arms.{label}", space, {} if common is None else common.arms.get(label, {})))
    for name, space, known in spaces:
        for option, values in space.items():
            if values is None and option not in known:
                cure = "null leaves out what the plan tries."
                problems.note(unknown_name(f"{place}.{name}: option", option, known, cure=cure))


def check_datasets(
    plan: Any, problems: Problems, *, unread: Collection[str], backbones: Collection[str] | None
) -> None:
    """Note data sets of a plan with one label, and what they name that the plan has not; arms that none of them has.

    unread, backbones: labels of arms and backbones that could not be read; None where any label may be one.
    """
    labels = [one.label for one in plan.datasets]
    for label in dict.fromkeys(labels):
        if labels.count(label) > 1:
            problems.note(
                ConfigurationError(
                    f"two data sets have the label {label!r}; give one of them another `label`, as in {{name: ..., "
                    f"label: {label}-2}}"
                )
            )
    known = [*plan.arms, *unread]
    for one in plan.datasets:
        for label in one.arms or ():
            if label not in known:
                problems.note(unknown_name(f"data set {one.label!r}: arm", label, known))
        listed = [*(entry.label for entry in plan.backbones), *(backbones or ())]
        for label in one.backbones or ():
            if backbones is not None and label not in listed:
                problems.note(unknown_name(f"data set {one.label!r}: backbone", label, listed))
    nowhere = [
        label
        for label in plan.arms
        if label != PLAIN and all(one.arms is not None and label not in one.arms for one in plan.datasets)
    ]
    if plan.datasets and nowhere:
        problems.note(
            ConfigurationError(
                f"arms: no data set has {', '.join(map(repr, nowhere))}; name them in `arms` of one, or leave them out"
            )
        )


def listed_datasets(value: Any) -> Any:
    """Entries of data sets: a mapping has labels, and what each stands for."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Mapping) or ("name" in value and not isinstance(value["name"], Mapping)):
        return [value] if isinstance(value, Mapping) else value
    entries = (
        (label, one if isinstance(one, Mapping) else {"name": one or label}) for label, one in value.items()
    )
    return [{"name": label, "label": label, **entry} for label, entry in entries]


def checked_split(value: Any) -> Any:
    """A protocol as it is written out, None for none; `ValueError` for one that does not exist or cannot be."""
    with carried():
        return None if value is None else as_option(value)


def options_with_split(options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """A plan's options with its `split`, so that all that reads them knows it; `ValueError` where they say another."""
    split = (info.data or {}).get("split")
    split = options.get(OPTION) if split is None else split
    if split is None:
        return options
    with carried():
        return with_split(options, split)
