"""The plan of a benchmark: a strict schema of its YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from burnish.errors import BurnishError, ConfigurationError, unknown_name, warn
from burnish.files.yamls import read_yaml
from burnish.own.classes import is_place, named_by
from burnish.strict import Strict, validated
from burnish.training.classes import class_name

from .floors import DEFAULT, Floor, arm_that_is, check_floors, listed_floors, plain_class
from .problems import Problems
from .spaces import Space, candidates, checked_space, plain_options, recbole_options, those_for
from .standing_in import check_standing_in
from .tried_values import check_fixed, check_points, check_tried

#: The arm that is always there: the backbone without any enhancer.
PLAIN = "plain"
FIRST_SEED = 2020
#: Labels become names of folders.
_LABEL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")


def checked_label(value: str) -> str:
    """A label that can name a folder; `ValueError` for others."""
    if not _LABEL.match(value):
        raise ValueError("a label becomes a folder: use letters, digits and . _ + - (at most 64 characters)")
    return value


def listed_seeds(value: Any) -> Any:
    """A number of seeds counts from 2020; a list stands for itself."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("at least one seed is needed")
        return list(range(FIRST_SEED, FIRST_SEED + value))
    return value


def distinct_seeds(value: list[int] | None) -> list[int] | None:
    """The seeds as they are; `ValueError` for none at all, or one twice."""
    if value is not None and (not value or len(set(value)) < len(value)):
        raise ValueError("give at least one seed, and each seed once")
    return value


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
        if isinstance(value, Mapping) and set(value) <= {"enhancers", "options", "backbones"}:
            rest = {"backbones": value["backbones"]} if "backbones" in value else {}
            return {
                "enhancers": _block(value.get("enhancers")),
                "options": value.get("options") or {},
                **rest,
            }
        return {"enhancers": _block(value)}


def _block(value: Any) -> Any:
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


class Tune(Strict):
    """How options are chosen: as many trials for every arm, judged on the validation set alone."""

    trials: int = Field(ge=1)
    space: Space = Field(default_factory=dict)
    #: More options for single arms, by label.
    arms: dict[str, Space] = Field(default_factory=dict)
    #: A validation metric such as "ndcg@10"; None takes `valid_metric`.
    metric: str | None = None
    seed: int = FIRST_SEED
    #: Options for the trials only, for example fewer epochs; those of enhancers for the arms that have them.
    options: dict[str, Any] = Field(default_factory=dict)

    _plain = field_validator("options")(plain_options)
    _usable = field_validator("space")(checked_space)

    @model_validator(mode="before")
    @classmethod
    def _by_names(cls, value: Any) -> Any:
        """Teachers that are given as classes."""
        from burnish.enhancers.trained_first import named_runs

        return named_runs(value)

    @field_validator("arms")
    @classmethod
    def _none_empty(cls, arms: dict[str, Space]) -> dict[str, Space]:
        return {label: checked_space(space) for label, space in arms.items()}


class Plan(Strict):
    """What to compare: every backbone with every arm, for every seed, on one data set, and with the floors."""

    dataset: str
    backbones: list[BackboneEntry] = Field(min_length=1)
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

    _count = field_validator("seeds", mode="before")(listed_seeds)
    _once = field_validator("seeds")(distinct_seeds)
    _folder = field_validator("dataset")(checked_label)
    _floors = field_validator("floors", mode="before")(listed_floors)

    @field_validator("options")
    @classmethod
    def _plain_but_for_a_seed(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Plans of before could hold a seed, and their runs are known by it: it is told, and they go on."""
        recbole_options({name: value for name, value in options.items() if name != "seed"})
        if "seed" in options:
            warn(
                f"options: seed = {options['seed']!r} has no effect; say `seeds` beside `options`. (Leaving it out "
                f"begins a new comparison: finished runs are known by their options.)"
            )
        return options

    @field_validator("backbones", mode="before")
    @classmethod
    def _by_label(cls, value: Any) -> Any:
        """A mapping has labels, and what each stands for: a name, a class, or an entry without a label."""
        if not isinstance(value, Mapping):
            return value
        if "name" in value and not isinstance(value["name"], Mapping):  # one entry, without the list
            return [value]
        entries = (
            (label, one if isinstance(one, Mapping) else {"name": one}) for label, one in value.items()
        )
        return [{**entry, "label": label} for label, entry in entries]

    @field_validator("arms", mode="before")
    @classmethod
    def _with_plain(cls, arms: Any) -> Any:
        if arms is None:
            arms = {}
        return {PLAIN: {}, **arms} if isinstance(arms, Mapping) else arms

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        for label in self.arms:
            checked_label(label)
        if self.arms[PLAIN] != Arm():
            raise ValueError(f"the arm {PLAIN!r} is the bare backbone; give other settings another label")
        labels = [entry.label for entry in self.backbones]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two backbones have the label {label!r}; give one of them another `label`")
        for name, arm in self.arms.items():
            for label in arm.backbones or ():
                if label not in labels:
                    raise unknown_name(f"arm {name!r}: backbone", label, labels)
        if self.tune is not None:
            _check_tuning(self.tune, self.arms)
        return self

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
        return sum(len(self.seeds_of(entry)) * len(self.arms_of(entry)) for entry in self.backbones)


def _check_tuning(tune: Tune, arms: Mapping[str, Arm]) -> None:
    for label in tune.arms:
        if label not in arms:
            raise unknown_name("tune.arms: arm", label, arms)
    attached = {name for arm in arms.values() for name in arm.enhancers}
    for place, options in (("tune.space", tune.space), ("tune.options", tune.options)):
        for option in options:
            enhancer, dot, _ = option.partition(".")
            if dot and enhancer not in attached:
                raise unknown_name(f"{place}: enhancer", enhancer, attached, cure="No arm has it.")
    for label, space in tune.arms.items():
        for option in space:
            if "." in option and option.split(".")[0] not in arms[label].enhancers:
                raise unknown_name(
                    f"tune.arms.{label}: enhancer", option.split(".")[0], arms[label].enhancers
                )


def make_plan(content: Mapping[str, Any], *, origin: str = "plan") -> Plan:
    """A plan from a mapping as its YAML file holds it.

    origin: what messages call the source.  Raises `UnknownNameError` for a key, backbone, arm or enhancer
    that does not exist, `ConfigurationError` for a value that cannot be used; both name the field.
    """
    try:
        plan = validated(Plan, content, origin, kind="key")
        check_names(plan)
    except BurnishError as error:
        if str(error).startswith(f"{origin}: "):
            raise
        raise type(error)(f"{origin}: {error}") from error
    return plan


def load_plan(path: Path | str, *, runs: Path | str | None = None) -> Plan:
    """The plan in a YAML file.  runs: the folder of the runs, instead of the plan's own.

    Classes of one's own that it names are imported, and this is told.  Raises as `make_plan` does, and
    `ConfigurationError` for a file that cannot be read.
    """
    with named_by(path):
        return make_plan(plan_content(path, runs), origin=str(path))


def plan_content(path: Path | str, runs: Path | str | None) -> dict[str, Any]:
    """What a plan's YAML file holds.  runs: the folder of the runs, instead of the plan's own."""
    return read_yaml(path) | ({} if runs is None else {"runs": str(runs)})


def check_names(plan: Plan) -> None:
    """Raise now for what would fail every run later: names of backbones, enhancers and their options; values to try.

    All that is wrong is told at once (`Problems`).
    """
    from burnish.enhancers.registry import looked_up_once

    with looked_up_once():
        _check_names(plan)


def _check_names(plan: Plan) -> None:
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.zoo import find_backbone

    problems = Problems()
    models: dict[str, type] = {}
    for entry in plan.backbones:
        with problems.noted():
            check_backbones([entry.name])
            models[entry.label] = find_backbone(entry.name)
    if plan.tune is not None and plan.tune.metric is not None:
        with problems.noted():
            _check_metric(plan.tune.metric)
    made = set()
    for label, arm in plan.arms.items():
        with problems.noted(), _at(f"arm {label!r}"):
            make_enhancers(arm.enhancers)
            made.add(label)
    every = list(models.values())
    with problems.noted():
        check_fixed("options", {name: value for name, value in plan.options.items() if name != "seed"}, every)
    for entry in plan.backbones:
        if entry.label in models:
            with problems.noted():
                check_fixed(f"backbone {entry.label!r}", entry.options, [models[entry.label]])
    if plan.tune is not None:
        with problems.noted():
            check_fixed("tune.options", plan.tune.options, every)
    for label, arm in plan.arms.items():
        trained = [
            models[one.label] for one in plan.backbones if one.label in models and label in plan.arms_of(one)
        ]
        with problems.noted():
            check_fixed(f"arm {label!r}", arm.options, trained)
        if label not in made:
            continue
        with problems.noted():
            if plan.tune is None:
                check_points(f"arm {label!r}", [{}], arm.enhancers, trained)
            else:
                _check_tried_of(plan.tune, label, arm, trained)
    with problems.noted():
        check_floors(plan.floors, every)
    for name, floor in plan.floors.items():
        standing_in = arm_that_is(name, plan.arms)
        if standing_in is not None:
            with problems.noted():
                check_standing_in(plan, name, floor, standing_in)
    problems.raise_if_any()


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Let errors of burnish's begin with a place."""
    try:
        yield
    except BurnishError as error:
        raise type(error)(f"{place}: {error}") from error


def _check_tried_of(tune: Tune, label: str, arm: Arm, models: list[type]) -> None:
    """Raise for what an arm's trials could not have, and what its runs could not be given by them."""
    fixed = those_for(arm.enhancers, tune.options)
    spaces = {
        "tune.options": {option: [value] for option, value in fixed.items()},
        "tune.space": those_for(arm.enhancers, tune.space),
        f"tune.arms.{label}": tune.arms.get(label, {}),
    }
    check_tried(spaces, arm.enhancers, models)
    space = {**spaces["tune.space"], **spaces[f"tune.arms.{label}"]}
    points = candidates(space, tune.trials, tune.seed)
    place = f"tune: arm {label!r}" if space else f"arm {label!r}"
    check_points(place, [*points, *({**fixed, **point} for point in points)], arm.enhancers, models)


def _check_metric(metric: str) -> None:
    """`tune.metric` is looked for in the results of the first trial: refuse now what cannot be among them."""
    from recbole.evaluator.register import metric_types

    from burnish.training.inputs.evaluation import is_cut_off

    name, _, k = metric.lower().partition("@")
    if name in metric_types and is_cut_off(name) != k.isdigit():
        example = f"{name}@10" if is_cut_off(name) else name
        raise ConfigurationError(f"tune.metric = {metric!r} is not how a metric is called; say {example}")


def check_backbones(names: Iterable[str], kind: str = "backbone") -> None:
    """Raise `UnknownNameError` for the first name that no backbone has.  kind: what the message calls it."""
    from burnish.enhancers.zoo import list_backbones

    known = list_backbones()
    for name in names:
        if name not in known and not is_place(name):  # that was imported already
            raise unknown_name(kind, name, known, cure="`burnish models` lists all of them.")
