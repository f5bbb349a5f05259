"""Training the models of a study, and judging them, into folders that are whole or not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from burnish.benchmarks.harness.first_look import Place, note_misspelt
from burnish.benchmarks.harness.plan import make_plan as make_harness_plan
from burnish.benchmarks.harness.problems import Problems
from burnish.benchmarks.harness.runs import (
    RunRecord,
    carry_out,
    failed_record,
    is_done,
    own_folder,
    remove_stale,
)
from burnish.benchmarks.harness.spaces import candidates
from burnish.benchmarks.harness.specs import RunSpec, with_settings
from burnish.benchmarks.harness.tuning import trial_spec, tune_arm
from burnish.errors import BurnishError, DataError
from burnish.files.whole import read_json, write_json
from burnish.training.identity import computing, digest
from burnish.training.load import load_run
from burnish.training.options import shared_options
from burnish.training.session import torch_threads
from burnish.training.trained_model import TrainedModel

from .cases import Cases
from .judging import CURE, FLOORS, Judgement, judge, judge_floors, make_scale
from .scale import Scale
from .study_plan import ModelEntry, StudyPlan

#: Raised when the evaluation changes what it measures, so that older figures are not taken for new ones.
EVALUATION = 1
#: The arm of a model with all reviews, as a folder.
ALL = "all"
_SUMMARY = "summary.json"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """A judged run: where its tables lie, or why there are none.

    share: of the reviews removed.  where: "training" or "test", None with all reviews.
    """

    label: str
    seed: int
    share: float = 0.0
    where: Literal["training", "test"] | None = None
    folder: Path | None = None
    error: str | None = None

    def read(self) -> Judgement:
        """The tables.  Raises `DataError` for a run that failed."""
        if self.folder is None:
            raise DataError(f"{self.label}, seed {self.seed}: {self.error}")
        return Judgement.read(self.folder)


@dataclass
class StudyResult:
    """What a study left: judged runs, floors (their label is their name), and chosen settings by label."""

    runs: list[Measured]
    floors: list[Measured]
    chosen: dict[str, dict[str, Any]]

    @property
    def failed(self) -> list[Measured]:
        """Runs without tables."""
        return [run for run in self.runs if run.error is not None]


def run_study(plan: StudyPlan, report: Report | None = None) -> StudyResult:
    """Tune, train and judge every model for every seed; what finished earlier is kept.

    report: told a line at every step.  A run that fails is recorded and the others go on; Ctrl-C is passed on and
    leaves nothing half-written.

    Raises
    ------
    BurnishError
        Before anything is trained, for options that nobody reads and that are almost the name of one.
    """
    from burnish.enhancers.zoo import find_backbone

    study = _Study(plan, report or (lambda _: None))
    study.look_at_options()
    remove_stale(plan.runs)
    shared = set(plan.options)
    if plan.tune is not None:
        shared |= set(plan.tune.options) | {name for name in plan.tune.space if "." not in name}
    with shared_options(sorted(shared), (find_backbone(entry.name) for entry in plan.models)):
        return study.run()


class _Study:
    def __init__(self, plan: StudyPlan, report: Report) -> None:
        self.plan = plan
        self.report = report
        self.result = StudyResult([], [], {})

    def run(self) -> StudyResult:
        settled = [(entry, *self._settled(entry)) for entry in self.plan.models]
        for seed in dict.fromkeys(s for entry in self.plan.models for s in self.plan.seeds_of(entry)):
            for entry, spec, error in settled:
                if seed not in self.plan.seeds_of(entry):
                    continue
                if spec is None:
                    self.result.runs.append(Measured(entry.label, seed, error=error))
                    continue
                for arm in self._arms(entry, replace(spec, seed=seed)):
                    self._measure(entry, *arm)
        return self.result

    def _first_specs(self) -> Iterator[RunSpec]:
        """The trials of every model, or its runs where nothing is tuned."""
        plan = self.plan
        for entry in plan.models:
            spec = self._spec(entry)
            if plan.tune is None:
                yield from (replace(spec, seed=seed) for seed in plan.seeds_of(entry))
                continue
            tune = _harness_plan(plan, entry).tune
            tried = candidates(plan.space_of(entry), tune.trials, tune.seed)
            yield from (trial_spec(spec, tune, number, settings) for number, settings in enumerate(tried))

    def look_at_options(self) -> None:
        """Raise for options that nobody reads and that are almost the name of one; all of them together.

        Finished runs are known by their options: these go on, with a warning.
        """
        from burnish.enhancers.zoo import find_backbone

        plan, problems = self.plan, Problems()
        if any(is_done(spec.folder(plan.runs)) for spec in self._first_specs()):
            return
        models = {entry.label: find_backbone(entry.name) for entry in plan.models}
        every = list(models.values())
        places: list[Place] = [("options", plan.options, every)]
        if plan.tune is not None:
            places += [("tune.options", plan.tune.options, every), ("tune.space", plan.tune.space, every)]
        for entry in plan.models:
            own = [models[entry.label]]
            places += [(f"model {entry.label!r}", entry.options, own)]
            places += [(f"space of model {entry.label!r}", entry.space or {}, own)]
        note_misspelt(places, problems)
        problems.raise_if_any()

    def _spec(self, entry: ModelEntry) -> RunSpec:
        """A run of a model, with the plan's options and its own."""
        plan = self.plan
        options = {**_common(plan), **entry.options}
        return RunSpec(
            plan.dataset, entry.name, entry.label, ALL, plan.seeds_of(entry)[0], entry.enhancers, options
        )

    def _settled(self, entry: ModelEntry) -> tuple[RunSpec | None, str | None]:
        """The run of a model with the settings that tuning chose, or why it chose none."""
        plan, spec = self.plan, self._spec(entry)
        if plan.tune is None:
            return spec, None
        try:
            chosen, _ = tune_arm(spec, _harness_plan(plan, entry), self._trial)
        except BurnishError as error:
            self.report(f"{entry.label}: {error}")
            return None, str(error)
        self.result.chosen[entry.label] = chosen
        self.report(
            f"{entry.label}: chosen {', '.join(f'{name} = {value}' for name, value in chosen.items())}"
        )
        return with_settings(spec, chosen), None

    def _trial(self, spec: RunSpec) -> RunRecord:
        try:
            record = carry_out(spec, self.plan.runs, threads=self.plan.threads)
        except Exception as error:  # whatever a model raises; the traceback is in failed-*.json
            self.report(f"{spec.key}: {type(error).__name__}: {error}")
            return failed_record(spec, self.plan.runs, error)
        self.report(f"{spec.key}: {record.status}, validation {record.valid_score:.4f}")
        return record

    def _arms(self, entry: ModelEntry, spec: RunSpec) -> Iterator[tuple[RunSpec, float, list[float]]]:
        """Runs to train: the spec, the share removed before training, shares to hide of the trained model."""
        shares = self.plan.drop_reviews if _reads_reviews(entry.name) else []
        yield spec, 0.0, shares if "test" in self.plan.drop_at else []
        for share in shares if "training" in self.plan.drop_at else []:
            options = {**spec.options, "drop_reviews": share}
            yield replace(spec, arm=f"drop-{share:g}", options=options), share, []

    def _measure(self, entry: ModelEntry, spec: RunSpec, dropped: float, hidden: list[float]) -> None:
        """Train and judge one run, with reviews hidden too."""
        where: Literal["training", "test"] | None = "training" if dropped else None
        judged = [Measured(entry.label, spec.seed, dropped, where)]
        judged += [Measured(entry.label, spec.seed, share, "test") for share in hidden]
        try:
            with torch_threads(self.plan.threads):
                record = carry_out(spec, self.plan.runs, threads=self.plan.threads, keep_checkpoint=True)
                folders = _Evaluation(self.plan, entry, spec, record).judged(hidden)
            for place in folders:
                Judgement.read(place)  # a damaged table is this run's error, not the study's
            shown = read_json(folders[0] / _SUMMARY, CURE)
        except Exception as error:  # whatever a model raises
            message = f"{type(error).__name__}: {error}"
            self.report(f"{spec.key}: {message}")
            self.result.runs += [replace(one, error=message) for one in judged]
            return
        judged = [replace(one, folder=folder) for one, folder in zip(judged, folders, strict=False)]
        self.result.runs += judged
        if not any(floor.seed == spec.seed for floor in self.result.floors):
            places = folders[len(judged) :]
            self.result.floors += [Measured(place.name, spec.seed, folder=place) for place in places]
        names = ("mae", "rmse", *(name for name in shown if name.startswith("p3.")))
        figures = ", ".join(f"{name} {shown[name]:.4f}" for name in names if name in shown)
        self.report(f"{spec.key}: {record.status}: {figures}")


class _Evaluation:
    """The tables of one trained run, and the floors of its split."""

    def __init__(self, plan: StudyPlan, entry: ModelEntry, spec: RunSpec, record: RunRecord) -> None:
        self.plan = plan
        self.entry = entry
        self.record = record
        settings = {"evaluation": EVALUATION, "protocols": plan.protocols.model_dump(mode="json")}
        self.name = digest({**settings, "ratings": entry.ratings})
        split = {"options": computing(_common(plan)), "seed": spec.seed, "floors": FLOORS, **settings}
        self.floors = plan.runs / plan.dataset / "floors" / f"{spec.seed}-{digest(split)}"
        self._loaded: TrainedModel | None = None

    def judged(self, hidden: list[float]) -> list[Path]:
        """Folders of the run's tables: as it is, for each hidden share, and then one for each floor."""
        folders = [self.record.folder / f"evaluation-{self.name}"]
        if not is_done(folders[0]):
            judgement = self._judge()
            self._check(judgement)
            _write(folders[0], {".": judgement})
        for share in hidden:
            folders.append(self.record.folder / f"evaluation-{self.name}-hidden-{share:g}")
            if not is_done(folders[-1]):
                _write(folders[-1], {".": self._judge(share)})
        if not is_done(self.floors):
            cases = Cases.of(self._splits, self._loaded_run.config["RATING_FIELD"])
            _write(self.floors, judge_floors(cases, self._scale, self.plan.protocols.protocol()))
        return [*folders, *(self.floors / name for name in FLOORS)]

    def _judge(self, share: float = 0.0) -> Judgement:
        run = self._loaded_run
        names = {str(name).lower() for name in run.config["metrics"]}
        ratings = self.entry.ratings if self.entry.ratings is not None else bool(names & {"rmse", "mae"})
        if share:
            run.model.hide_reviews(share, self.record.seed)
        try:
            protocol, field = self.plan.protocols.protocol(), run.config["RATING_FIELD"]
            return judge(run.model, self._splits, self._scale, protocol, ratings=ratings, rating_field=field)
        finally:
            if share:
                run.model.hide_reviews(0.0, self.record.seed)

    @property
    def _loaded_run(self) -> TrainedModel:
        if self._loaded is None:
            self._loaded = load_run(self.record.folder)
        return self._loaded

    @property
    def _splits(self) -> tuple[Any, Any, Any]:
        run = self._loaded_run
        return run.train._dataset, getattr(run.valid, "_dataset", None), run.test._dataset

    @property
    def _scale(self) -> Scale:
        protocols = self.plan.protocols
        config = self._loaded_run.config
        scale = protocols.rating_scale or config["rating_scale"]
        return make_scale(self._splits, config["RATING_FIELD"], scale, protocols.threshold)

    def _check(self, judgement: Judgement) -> None:
        """RecBole's evaluation showed the model every column of the test rows, ours shows ids: both must agree."""
        trained = self.record.test.get("rmse")
        if trained is None or judgement.errors is None:
            return
        here = judgement.summary()["rmse_unclipped"]
        if abs(here - trained) > 1e-3 * max(1.0, trained):
            raise DataError(
                f"{self.entry.label}: RMSE {trained:.5f} after training, and {here:.5f} of the model read back "
                f"and shown nothing but user and item ids. Either its predictions read more of the test rows, or "
                f"something that it predicts from is missing in its checkpoint"
            )


def _write(folder: Path, judgements: dict[str, Judgement]) -> None:
    """Write tables and their means; "." goes into the folder itself."""
    with own_folder(folder) as partial:
        for name, judgement in judgements.items():
            place = partial / name
            place.mkdir(exist_ok=True)
            judgement.write(place)
            write_json(place / _SUMMARY, judgement.summary())


def _common(plan: StudyPlan) -> dict[str, Any]:
    path = {} if plan.data_path is None else {"data_path": str(plan.data_path)}
    return {**path, **plan.options}


def _harness_plan(plan: StudyPlan, entry: ModelEntry) -> Any:
    """The tuning of one model as the harness knows it."""
    assert plan.tune is not None
    tune = {
        **plan.tune.model_dump(exclude={"space"}),
        "space": {},
        "arms": {ALL: plan.space_of(entry)},
    }
    arm = {"enhancers": entry.enhancers, "options": {}}
    return make_harness_plan(
        {
            "dataset": plan.dataset,
            "backbones": [{"name": entry.name, "label": entry.label}],
            "arms": {ALL: arm},
            "tune": tune,
            "runs": str(plan.runs),
        }
    )


def _reads_reviews(name: str) -> bool:
    from burnish.enhancers.zoo import find_backbone

    return hasattr(find_backbone(name), "hide_reviews")
