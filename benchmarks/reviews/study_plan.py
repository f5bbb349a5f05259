"""The plan of a study: a strict schema of its YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from burnish.benchmarks.harness.plan import check_backbones, plan_content
from burnish.benchmarks.harness.problems import Problems
from burnish.benchmarks.harness.schema import (
    FIRST_SEED,
    BackboneEntry,
    block_of,
    checked_label,
    distinct_seeds,
    listed_seeds,
)
from burnish.benchmarks.harness.spaces import Space, candidates, checked_space, plain_options
from burnish.errors import BurnishError, ConfigurationError, unknown_name
from burnish.strict import Strict, carried, validated

from .protocols import Protocol
from .scale import Scale

#: Where a share of the reviews is removed: before training (and so at test too), or of a trained model only.
Where = Literal["training", "test"]


class ModelEntry(BackboneEntry):
    """One model: name, label, options, seeds, enhancers and what to tune.

    space: options to try instead of the plan's `tune.space`.  ratings: whether `predict` gives ratings; by default when
    the model's own metrics are RMSE or MAE.
    """

    enhancers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    space: Space | None = None
    ratings: bool | None = None

    @field_validator("space")
    @classmethod
    def _usable(cls, space: Space | None) -> Space | None:
        return None if space is None else checked_space(space)

    @field_validator("enhancers", mode="before")
    @classmethod
    def _block(cls, value: Any) -> Any:
        with carried():
            return block_of(value)


class Tuning(Strict):
    """How options are chosen: equally many trials for every model, judged on its validation rows.

    Each by its own `valid_metric`: RMSE for models of ratings, RecBole's for the others unless their options say more.
    seed: of the trials' split and training.  options: for the trials only.
    """

    trials: int = Field(ge=2)
    space: Space = Field(default_factory=dict)
    seed: int = FIRST_SEED
    options: dict[str, Any] = Field(default_factory=dict)

    _plain = field_validator("options")(plain_options)
    _usable = field_validator("space")(checked_space)


class Protocols(Strict):
    """What the evaluation leaves open; see `Protocol` and `Scale`.

    rating_scale: [lowest, highest]; by default the option `rating_scale`, else the ratings that occur.
    threshold: the lowest relevant rating, by default four fifths of the highest.
    """

    negatives: int = 100
    seed: int = 0
    ks: tuple[int, ...] = Protocol.ks
    full_ks: tuple[int, ...] = Protocol.full_ks
    rating_scale: tuple[float, float] | None = None
    threshold: float | None = None

    @model_validator(mode="after")
    def _sound(self) -> Protocols:
        try:
            self.protocol()
            if self.rating_scale is not None:
                Scale(*self.rating_scale)
        except BurnishError as error:
            raise ValueError(str(error)) from error
        return self

    def protocol(self) -> Protocol:
        """The rankings."""
        return Protocol(self.negatives, self.seed, self.ks, self.full_ks)


class StudyPlan(Strict):
    """What to compare: every model for every seed on one data set, and what missing reviews cost.

    reference: the label that all others are compared with, by default the first model's.
    drop_reviews: shares of reviews to remove.  drop_at: where.  Models that read no reviews are left out of it.
    """

    dataset: str
    models: list[ModelEntry] = Field(min_length=1)
    name: str = "reviews"
    data_path: Path | None = None
    reference: str | None = None
    seeds: list[int] = Field(default_factory=lambda: list(range(FIRST_SEED, FIRST_SEED + 3)))
    #: RecBole options for all runs.
    options: dict[str, Any] = Field(default_factory=dict)
    tune: Tuning | None = None
    protocols: Protocols = Field(default_factory=Protocols)
    drop_reviews: list[float] = Field(default_factory=list)
    drop_at: list[Where] = Field(default_factory=lambda: ["training", "test"])  # type: ignore[arg-type]
    runs: Path = Path("runs/reviews")
    threads: int | None = Field(default=None, ge=1)

    _count = field_validator("seeds", mode="before")(listed_seeds)
    _once = field_validator("seeds")(distinct_seeds)
    _folder = field_validator("dataset", "name")(checked_label)
    _plain = field_validator("options")(plain_options)

    @field_validator("drop_reviews")
    @classmethod
    def _shares(cls, value: list[float]) -> list[float]:
        for share in value:
            if not 0 <= share <= 1:
                raise ValueError(f"{share} is not a share between 0 and 1")
        return sorted(set(value) - {0.0})  # nothing removed is the run itself

    @field_validator("drop_at", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> StudyPlan:
        labels = [entry.label for entry in self.models]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two models have the label {label!r}; give one of them another `label`")
        if self.tune is not None:
            for entry in self.models:
                _check_trials(entry.label, self.space_of(entry), self.tune)
        return self

    @property
    def reference_label(self) -> str:
        """The label of the model that the others are compared with."""
        return self.reference or self.models[0].label

    def space_of(self, entry: ModelEntry) -> Space:
        """What is tuned for a model."""
        if self.tune is None:
            return {}
        return entry.space if entry.space is not None else self.tune.space

    def seeds_of(self, entry: ModelEntry) -> list[int]:
        """The seeds that a model is trained with."""
        return entry.seeds if entry.seeds is not None else self.seeds


def _check_trials(label: str, space: Space, tune: Tuning) -> None:
    possible = len(candidates(space, tune.trials, tune.seed))
    if possible < tune.trials:
        raise ValueError(
            f"{label} has {possible} settings to try, and every model gets tune.trials = {tune.trials}; "
            f"widen its space or lower tune.trials"
        )


def make_plan(content: Mapping[str, Any], *, origin: str = "plan") -> StudyPlan:
    """A plan from a mapping as its YAML file holds it.

    origin: what messages call the source.  Raises `UnknownNameError` for a key, model, label or enhancer that does not
    exist, `ConfigurationError` for a value that cannot be used; both name the field.
    """
    problems = Problems()
    with problems.noted():
        plan = validated(StudyPlan, content, origin, kind="key")
    problems.raise_if_any()
    _check_names(plan, origin, problems)
    problems.raise_if_any()
    return plan


def load_plan(path: Path | str, *, runs: Path | str | None = None) -> StudyPlan:
    """The plan in a YAML file.  runs: the folder of the runs, instead of the plan's own.

    Raises as `make_plan` does, and `ConfigurationError` for a file that cannot be read.
    """
    return make_plan(plan_content(path, runs), origin=str(path))


def _check_names(plan: StudyPlan, origin: str, problems: Problems) -> None:
    """Note now what would fail every run later."""
    from burnish.enhancers.registry import make_enhancers

    labels = [entry.label for entry in plan.models]
    for entry in plan.models:
        with problems.noted():
            check_backbones([entry.name], f"{origin}: model")
        for name, options in entry.enhancers.items():
            with problems.noted():
                make_enhancers({name: options})
    if plan.reference_label not in labels:
        problems.note(unknown_name(f"{origin}: reference", plan.reference_label, labels))
    if "drop_reviews" in plan.options or any("drop_reviews" in entry.options for entry in plan.models):
        problems.note(
            ConfigurationError(
                f"{origin}: drop_reviews is a key of the plan, beside `options`, so that what is lost is told"
            )
        )
