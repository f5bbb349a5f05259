"""What a plan may hold: a strict schema of its YAML file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from burnish.errors import ConfigurationError, unknown_name, warn
from burnish.own.classes import is_place
from burnish.strict import Strict, carried
from burnish.training.classes import class_name

from .datasets import (
    DatasetEntry,
    OwnTuning,
    check_datasets,
    check_left_out,
    checked_split,
    listed_datasets,
    options_with_split,
)
from .equivalence import Smallest
from .floors import DEFAULT, FOLDER, Floor, listed_floors, plain_class
from .labels import (
    FIRST_SEED,
    PLAIN,
    checked_label,
    checked_seed,
    distinct_seeds,
    fitting_label,
    listed_seeds,
)
from .problems import Problems
from .space_checks import as_given, note_other_cases, one_of
from .spaces import Space, checked_space, plain_options, recbole_options

#: The context of a plan that is read in parts: whether they go together is asked of those that could be read.
IN_PARTS = object()


class BackboneEntry(Strict):
    """One backbone: its RecBole name, a label of your choice, its own options and seeds.

    A class of one's own stands by where it is (`mine.py:Tower`) or, in Python, for itself; `name` is then what finds it
    again in this process, and its label is its own name.
    """

    name: str
    label: str = ""
    #: RecBole's, as those of a plan and of an arm are.
    options: dict[str, Any] = Field(default_factory=dict)
    seeds: list[int] | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        value = {"name": value} if isinstance(value, str | type) else value
        if not isinstance(value, Mapping):
            return value
        name = value.get("name", "")
        if isinstance(name, type) or is_place(name):
            with carried():
                cls = plain_class(name)
            value = {**value, "name": class_name(cls)}
            name = cls.__name__
        return value if value.get("label") else {**value, "label": name}

    _label = field_validator("label")(checked_label)
    _plain = field_validator("options")(recbole_options)
    _count = field_validator("seeds", mode="before")(listed_seeds)
    _once = field_validator("seeds")(distinct_seeds)


class Arm(Strict):
    """One way to train each backbone: which enhancers, and which options besides the common ones."""

    enhancers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    #: Labels of the backbones that are trained so; None for all of them.
    backbones: list[str] | None = Field(default=None, min_length=1)

    _plain = field_validator("options")(recbole_options)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        """Short forms: "rvrec,euclid2d", a list of names, or the enhancers block itself."""
        if value is None:
            return {}
        # One of its own keys is enough: no enhancer is called so, and another key beside it is misspelt.
        if isinstance(value, Mapping) and (not value or {"enhancers", "options", "backbones"} & {*value}):
            with carried():
                block = block_of(value.get("enhancers"))
            return {**value, "enhancers": block, "options": value.get("options") or {}}
        with carried():
            return {"enhancers": block_of(value)}


def block_of(value: Any) -> Any:
    """A block of enhancers from its short forms: names, a list, or the block with places of one's own classes."""
    from burnish.enhancers.enhancer import Enhancer
    from burnish.enhancers.registry import named_block
    from burnish.enhancers.trained_first import named_runs

    if value is None:
        return {}
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, list) and all(isinstance(name, str | type | Enhancer) for name in value):
        made = [
            (type(one), one.config.model_dump(exclude_defaults=True))
            if isinstance(one, Enhancer)
            else (one, {})
            for one in value
        ]
        return named_block(dict(made))
    if isinstance(value, Mapping):
        given = named_block({name: options for name, options in value.items() if options is not False})
        return {
            name: {} if options in (None, True) else named_runs(options) for name, options in given.items()
        }
    return value


#: Fields of `Tune` that came later.
_SINCE = ("method", "at_once", "pruning")


class Pruning(Strict):
    """Trials end early where their validation curve is worse than that of others (`search.Stop`).

    method: "median" ends what is below the median of the others at the same epoch, "hyperband" all but the best third
    at epochs 1, 3, 9, ... times `after`.  after: no trial ends before this epoch.
    """

    method: str = "median"
    after: int = Field(default=10, ge=1)

    _known = field_validator("method")(one_of("tune.pruning.method", ("median", "hyperband")))


class Tune(Strict):
    """How options are chosen: as many trials for every arm, judged on the validation set alone."""

    trials: int = Field(ge=1)
    space: Space = Field(default_factory=dict)
    #: More options for single arms, by label.
    arms: dict[str, Annotated[Space, BeforeValidator(as_given), AfterValidator(checked_space)]] = Field(
        default_factory=dict
    )
    #: A validation metric such as "ndcg@10"; None takes `valid_metric`.
    metric: str | None = None
    seed: int = FIRST_SEED
    #: "grid" tries all points of lists, or a draw of them; "tpe" and "random" search in ranges, with optuna.
    method: str = "grid"
    #: So many trials of a search are asked for at once, so that several processes have something to do.
    at_once: int = Field(default=1, ge=1)
    pruning: Pruning | None = None
    #: Options for the trials only, for example fewer epochs; those of enhancers for the arms that have them.
    options: dict[str, Any] = Field(default_factory=dict)

    _plain = field_validator("options")(plain_options)
    _usable = field_validator("space")(checked_space)
    _lists = field_validator("space", mode="before")(as_given)
    _seed = field_validator("seed")(checked_seed)
    _method = field_validator("method")(one_of("tune.method", ("grid", "tpe", "random")))
    _named = field_validator("pruning", mode="before")(
        lambda value: {"method": value} if isinstance(value, str) else value
    )

    def as_first(self) -> dict[str, Any]:
        """Everything but what the first plans could not say and this one leaves as it was then: files are named so."""
        return {
            **self.model_dump(exclude=set(_SINCE)),
            **self.model_dump(include=set(_SINCE), exclude_defaults=True),
        }

    @model_validator(mode="before")
    @classmethod
    def _by_names(cls, value: Any) -> Any:
        """Teachers that are given as classes."""
        from burnish.enhancers.trained_first import named_runs

        with carried():
            return named_runs(value)


class Plan(Strict):
    """What to compare: every backbone with every arm, for every seed, on one data set or several, and with the floors.

    What carries a plan out deals with `parts`, of one data set each.
    """

    #: Several, in the place of `dataset`.
    datasets: list[DatasetEntry] = Field(default_factory=list)
    #: How the data are split, by name; in the options, too.
    split: Any = None
    dataset: str
    #: What the data set's folder of runs and the tables are called; empty for its name.
    dataset_label: str = ""
    backbones: list[BackboneEntry]
    name: str = "benchmark"
    arms: dict[str, Arm] = Field(default_factory=dict)
    #: By name; "default" stands for all there are.
    floors: dict[str, Floor] = Field(default_factory=lambda: {DEFAULT: Floor()})
    seeds: list[int] = Field(default_factory=lambda: list(range(FIRST_SEED, FIRST_SEED + 5)))
    #: RecBole options for all runs.
    options: dict[str, Any] = Field(default_factory=dict)
    tune: Tune | None = None
    runs: Path = Path("runs")
    threads: int | None = Field(default=None, ge=1)
    keep_checkpoints: bool = False
    #: The smallest difference that matters, for the report: a number, or "1%" of the baseline's mean.
    smallest_difference: float | str | None = None

    _count = field_validator("seeds", mode="before")(listed_seeds)
    _once = field_validator("seeds")(distinct_seeds)
    _floors = field_validator("floors", mode="before")(listed_floors)
    _listed = field_validator("datasets", mode="before")(listed_datasets)
    _protocol = field_validator("split")(checked_split)

    @model_validator(mode="before")
    @classmethod
    def _of_several(cls, value: Any) -> Any:
        several = isinstance(value, Mapping) and value.get("datasets") and "dataset" not in value
        return {**value, "dataset": ""} if several else value

    @field_validator("dataset", mode="before")
    @classmethod
    def _one(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list | Mapping):
            raise ValueError(
                "give the name of one; several, or one with settings of its own, stand in `datasets`"
            )
        if "datasets" not in info.data:  # those could not be read
            return value
        if not info.data["datasets"]:
            return checked_label(value) if isinstance(value, str) else value
        if value:
            raise ValueError("give either `dataset` or `datasets`, where this one can stand among the others")
        return value

    @field_validator("dataset_label")
    @classmethod
    def _label(cls, value: str) -> str:
        return checked_label(value) if value else value

    @field_validator("smallest_difference")
    @classmethod
    def _smallest(cls, value: float | str | None) -> float | str | None:
        try:
            Smallest.of(value)
        except ConfigurationError as error:
            raise ValueError(str(error).partition(f"{value!r}: ")[2]) from error
        return value

    @field_validator("options")
    @classmethod
    def _plain_but_for_a_seed(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Plans of before could hold a seed, and their runs are known by it: it is told, and they go on."""
        recbole_options({name: value for name, value in options.items() if name != "seed"})
        if "seed" in options:
            warn(
                f"options: seed = {options['seed']!r} has no effect; say `seeds` beside `options`. (Leaving it out "
                f"begins a new comparison: finished runs are known by their options.)"
            )
        return options_with_split(options, info)

    @field_validator("backbones", mode="before")
    @classmethod
    def _by_label(cls, value: Any) -> Any:
        return listed_backbones(value)

    @field_validator("arms", mode="before")
    @classmethod
    def _with_plain(cls, arms: Any) -> Any:
        if arms is None:
            arms = {}
        return {PLAIN: {}, **arms} if isinstance(arms, Mapping) else arms

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Plan:
        if info.context is not IN_PARTS:
            problems = Problems()
            check_consistent(self, problems)
            problems.raise_if_any()
        return self

    @property
    def home(self) -> str:
        """What the data set's folder of runs and the tables are called."""
        return self.dataset_label or self.dataset

    def parts(self) -> list[Plan]:
        """A plan of each data set; the plan itself where it is of one.  Raises `ConfigurationError` for bad tuning."""
        if not self.datasets:
            return [self]
        return [self.model_copy(update=one.changes(self, Tune)) for one in self.datasets]

    def seeds_of(self, entry: BackboneEntry) -> list[int]:
        """The seeds that this backbone is trained with."""
        return entry.seeds if entry.seeds is not None else self.seeds

    def arms_of(self, entry: BackboneEntry) -> dict[str, Arm]:
        """The arms that this backbone is trained in."""
        return {
            label: arm
            for label, arm in self.arms.items()
            if arm.backbones is None or entry.label in arm.backbones
        }

    @property
    def n_runs(self) -> int:
        """Runs of the comparison, without tuning trials and floors."""
        return sum(
            len(part.seeds_of(entry)) * len(part.arms_of(entry))
            for part in self.parts()
            for entry in part.backbones
        )


def listed_backbones(value: Any) -> Any:
    """Entries of backbones: a mapping has labels, and what each stands for: a name, a class, an entry without one.

    A name or a class alone is a list of it.
    """
    if isinstance(value, str | type):
        return [value]
    if not isinstance(value, Mapping):
        return value
    if "name" in value and not isinstance(value["name"], Mapping):  # one entry, without the list
        return [value]
    entries = ((label, one if isinstance(one, Mapping) else {"name": one}) for label, one in value.items())
    return [{**entry, "label": label} for label, entry in entries]


def check_consistent(
    plan: Plan, problems: Problems, *, arms: Collection[str] = (), backbones: Collection[str] | None = ()
) -> None:
    """Note where the parts of a plan do not go together: labels that cannot be, twice, or that nothing has.

    arms, backbones: labels of those that could not be read, whose parts are not known; None where any label may be one.
    """
    if not plan.backbones and backbones is not None and not backbones:
        problems.note(ConfigurationError("backbones = []: give at least one"))
    for label in plan.arms:
        with problems.noted():
            _check_arm_label(label)
    if plan.arms[PLAIN] != Arm():
        problems.note(
            ConfigurationError(
                f"the arm {PLAIN!r} is the bare backbone; give other settings another label, as in {PLAIN}2"
            )
        )
    labels = [entry.label for entry in plan.backbones]
    if FOLDER in labels:
        problems.note(
            ConfigurationError(
                f"a backbone has the label {FOLDER!r}, which names the folder of the floors; give it another"
            )
        )
    for label in dict.fromkeys(labels):
        if labels.count(label) > 1:
            problems.note(
                ConfigurationError(
                    f"two backbones have the label {label!r}; give one of them another `label`, as in "
                    f"{{name: ..., label: {label}-2}}"
                )
            )
    for name, arm in plan.arms.items():
        for label in arm.backbones or ():
            if backbones is not None and label not in (*labels, *backbones):
                problems.note(unknown_name(f"arm {name!r}: backbone", label, [*labels, *backbones]))
    for label, arm in plan.arms.items():
        note_other_cases(plan, label, arm, problems)
    check_datasets(plan, problems, unread=arms, backbones=backbones)
    if plan.tune is not None:
        _check_tuning(plan.tune, plan.arms, problems, arms)
    for one in plan.datasets:
        if isinstance(one.tune, OwnTuning):
            _check_tuning(one.tune, plan.arms, problems, arms, place=f"data set {one.label!r}: ")
            check_left_out(one.tune, plan.tune, f"data set {one.label!r}: tune", problems)


def _check_arm_label(label: str) -> None:
    try:
        checked_label(label)
    except ValueError as error:
        fit = fitting_label(label)
        hint = f"; {fit} is one" if fit else ""
        raise ConfigurationError(f"arm {label!r}: {error}{hint}") from error


def _check_tuning(
    tune: Tune | OwnTuning,
    arms: Mapping[str, Arm],
    problems: Problems,
    unread: Collection[str],
    place: str = "",
) -> None:
    """place: what messages begin with, as of the tuning of a data set."""
    known = dict.fromkeys([*arms, *unread])
    for label in tune.arms:
        if label not in known:
            problems.note(unknown_name(f"{place}tune.arms: arm", label, known))
    attached = {name for arm in arms.values() for name in arm.enhancers}
    for field, options in (("tune.space", tune.space), ("tune.options", tune.options)):
        for enhancer in dict.fromkeys(option.partition(".")[0] for option in options if "." in option):
            if enhancer not in attached and not unread:
                problems.note(
                    unknown_name(f"{place}{field}: enhancer", enhancer, attached, cure="No arm has it.")
                )
    for label, space in tune.arms.items():
        if label not in arms or label in unread:
            continue
        for enhancer in dict.fromkeys(option.partition(".")[0] for option in space if "." in option):
            if enhancer not in arms[label].enhancers:
                known_here = arms[label].enhancers
                problems.note(unknown_name(f"{place}tune.arms.{label}: enhancer", enhancer, known_here))
