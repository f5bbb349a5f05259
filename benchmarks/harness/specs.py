"""One run of a comparison, and the name that its settings give it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, UnknownNameError
from burnish.own.classes import is_place
from burnish.training.beside import digest_beside
from burnish.training.by_name import settled_options
from burnish.training.classes import own_source
from burnish.training.identity import computing, digest
from burnish.training.inputs.declared import option_schemas

from .floors import all_floors, is_shared
from .labels import PLAIN
from .schema import Arm, BackboneEntry, Plan
from .search import Stop
from .spaces import with_parts

#: Raised when the harness changes what a run measures, so that older runs are not taken for new ones.
PROTOCOL = 1


#: Marks a finished run.
DONE = "DONE"
#: In a run of an earlier burnish, which files beside the interactions it is taken for.
BESIDE = "beside"


def is_done(folder: Path) -> bool:
    """Whether a run finished in this folder."""
    return (folder / DONE).is_file()


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's result, and the labels that decide its folder.

    trial: the number of a tuning trial (from 0), None for a run of the comparison.  home: the data set's folder among
    the runs, and what it is called where a plan has several; empty for its name, in a plan of one.  shares_base: other
    runs of the plan begin from a plain one that has their options.  stop: whether a trial ends early, by its validation
    curve; it changes nothing of what the run is.
    """

    dataset: str
    backbone: str
    label: str
    arm: str
    seed: int
    enhancers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    trial: int | None = None
    home: str = ""
    shares_base: bool = False
    stop: Stop | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of the settings: not of labels, nor of how the run is watched.

        Options that the run settles by itself count as if they were given: so runs that were given them are found.
        """
        settings = {
            "protocol": PROTOCOL,
            "dataset": self.dataset,
            "backbone": self.backbone,
            "enhancers": complete_enhancers(self.enhancers),
            "options": computing({**self.settled, **self.options}),
            "seed": self.seed,
            "test": self.trial is None,
            **_labels(self),
            **self.source,
        }
        return digest(settings)

    @property
    def settled(self) -> dict[str, Any]:
        """The options that the backbone needs and the plan leaves out."""
        return settled_options(self.backbone, self.dataset, self.options)

    @property
    def source(self) -> dict[str, str]:
        """A digest of the source of a backbone that is one's own; empty for others."""
        from burnish.enhancers.zoo import find_backbone

        return own_source(find_backbone(self.backbone)) if is_place(self.backbone) else {}

    @property
    def key(self) -> str:
        """The run in a few words: `BPR / rvrec / seed 2020`."""
        trial = "" if self.trial is None else f" / trial {self.trial + 1}"
        return f"{self.place} / seed {self.seed}{trial}"

    @property
    def place(self) -> str:
        """What it is a run of: `BPR / rvrec`, after the data set where a plan has several."""
        return f"{f'{self.home} / ' if self.home else ''}{self.label} / {self.arm}"

    def data_folder(self, runs: Path) -> Path:
        """The folder of all runs on its data set."""
        return runs / (self.home or self.dataset)

    def arm_folder(self, runs: Path) -> Path:
        """The folder of all runs of this arm."""
        return self.data_folder(runs) / self.label / self.arm

    @property
    def beside(self) -> str:
        """Eight digits of the files beside the interactions that the run reads, as a graph's; empty for none."""
        from burnish.enhancers.registry import make_enhancers
        from burnish.enhancers.zoo import find_backbone

        try:
            backbone = find_backbone(self.backbone)
        except UnknownNameError:
            return ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run says it
            return digest_beside(backbone, make_enhancers(self.enhancers), self.dataset, self.options)

    def folder(self, runs: Path) -> Path:
        """Where the finished run lies: named after its settings and, where it reads some, the files beside.

        One that an earlier burnish finished, which did not look at these files, has a name without them; it is taken
        for one of the files that there were when it was first met here (`BESIDE`).
        """
        before, beside = self._folder(runs, self.digest), self.beside
        if not beside:
            return before
        own = self._folder(runs, f"{self.digest}-{beside}")
        return before if not is_done(own) and self._of_these(before, beside) else own

    def _folder(self, runs: Path, name: str) -> Path:
        if self.trial is None:
            return self.arm_folder(runs) / f"{self.seed}-{name}"
        return self.arm_folder(runs) / "tune" / name

    def _of_these(self, before: Path, beside: str) -> bool:
        """Whether a folder of an earlier burnish has a run of these files, as far as that is known."""
        from burnish.enhancers.zoo import find_backbone

        # Those that are trained over users now were not then.
        if not is_done(before) or hasattr(find_backbone(self.backbone), "users_a_batch"):
            return False
        note = before / BESIDE
        return not note.is_file() or note.read_text(encoding="utf-8").strip() == beside

    def as_dict(self) -> dict[str, Any]:
        """The run as its config.json holds it."""
        return {
            "dataset": self.dataset,
            "backbone": self.backbone,
            "label": self.label,
            "arm": self.arm,
            "seed": self.seed,
            "trial": self.trial,
            "enhancers": {name: dict(options) for name, options in self.enhancers.items()},
            "options": dict(self.options),
            **({"settled": settled} if (settled := self.settled) else {}),
            "digest": self.digest,
            "protocol": PROTOCOL,
            **self.source,
            **({"beside": beside} if (beside := self.beside) else {}),
        }


def stopped_by(spec: RunSpec) -> str:
    """The metric that RecBole stops a run by, in lower case."""
    return str({**spec.settled, **spec.options}.get("valid_metric", "MRR@10")).lower()


def complete_enhancers(block: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The block with every default written out, so that a changed default is another run."""
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.trained_first import decisive

    return decisive(make_enhancers(block))


def _labels(spec: RunSpec) -> dict[str, int]:
    """A mark on runs whose labels enhancers read otherwise than at first, so that older ones are not taken for them.

    Low ratings were positive interactions, and the drawn negatives of pointwise backbones were keys of contrasts.
    """
    from burnish.enhancers.registry import make_enhancers

    names = {enhancer.name for enhancer in make_enhancers(spec.enhancers)}
    if not names & {"rvrec", "euclid2d", "shapley", "guided"}:
        return {}
    from recbole.utils import InputType

    from burnish.backbones.rating_model import RatingModel
    from burnish.enhancers.weights.rules import rule_for
    from burnish.enhancers.zoo import find_backbone

    try:
        backbone = find_backbone(spec.backbone)
    except UnknownNameError:
        return {}
    rated = issubclass(backbone, RatingModel) or "LABEL_FIELD" in spec.options
    rule = rule_for(backbone)
    of_users = rule is not None and rule.cells != "none"
    mixed = "threshold" in spec.options or getattr(backbone, "input_type", None) == InputType.POINTWISE
    contrasted = bool(names & {"rvrec", "euclid2d"}) and mixed and not of_users
    return {"labels": 2} if rated or contrasted else {}


def spec_of(plan: Plan, entry: BackboneEntry, label: str, seed: int) -> RunSpec:
    """The run of one backbone, arm and seed, before tuning."""
    arm: Arm = plan.arms[label]
    options = {**plan.options, **entry.options, **arm.options}
    home, shares = plan.dataset_label, label == PLAIN and asks_for_base(plan, entry)
    return RunSpec(
        plan.dataset,
        entry.name,
        entry.label,
        label,
        seed,
        arm.enhancers,
        options,
        home=home,
        shares_base=shares,
    )


def asks_for_base(plan: Plan, entry: BackboneEntry) -> bool:
    """Whether a floor or an arm of a backbone begins from the plain one, trained first with the options of its run."""
    from burnish.enhancers.registry import list_enhancers, make_enhancers
    from burnish.enhancers.trained_first import AUTO

    blocks = [arm.enhancers for arm in plan.arms_of(entry).values()]
    known = list_enhancers()  # of a floor that is not installed, whoever runs it says so
    blocks += [{name: {}} for name in all_floors(plan.floors) if not is_shared(name) and name in known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        asked = [one for block in blocks if block for one in make_enhancers(block)]
    return any(one.base_run() == AUTO and not one.base_options() for one in asked)


def with_settings(spec: RunSpec, settings: Mapping[str, Any]) -> RunSpec:
    """The run with more settings: `enhancer.option` goes to the enhancer, anything else to RecBole.

    Where the backbone has an option that is a mapping, `walks.hide` is a part of it.
    Raises `ConfigurationError` for an option of an enhancer that the run has not.
    """
    from burnish.enhancers.zoo import find_backbone

    options = dict(spec.options)
    enhancers = {name: dict(block) for name, block in spec.enhancers.items()}
    for name, value in settings.items():
        enhancer, dot, option = name.partition(".")
        if dot and enhancer not in enhancers and enhancer in option_schemas(find_backbone(spec.backbone)):
            options = with_parts(options, {name: value})
            continue
        if dot and enhancer not in enhancers:
            attached = ", ".join(enhancers) or "none"
            raise ConfigurationError(
                f"{name} = {value!r}: the arm {spec.arm!r} has no enhancer {enhancer!r} (attached: {attached})"
            )
        if dot:
            enhancers[enhancer][option] = value
        else:
            options[name] = value
    return replace(spec, options=options, enhancers=enhancers)
