"""Trained models that enhancers learn from: trained first or read from the folders of runs, on the same split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from burnish.enhancers.attach import enhancers_of, split_enhanced
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.trained_first import first_run
from burnish.errors import DataError
from burnish.files.yamls import read_yaml
from burnish.own.classes import is_place

from .asked_first import asked_for
from .bases import told_of_folder
from .classes import class_name
from .first import FirstRequest, Places, trained_first
from .identity import FormerDataError, OtherDataError, check_trained_on
from .load import load_run
from .record import TEACHERS, read_run
from .request import Request
from .trained_model import TrainedModel

logger = logging.getLogger(__name__)


class Teacher(NamedTuple):
    """One teacher: its trained model, and the fingerprint of the data that it was trained on.

    folder: where it lies.  first: whether it was trained first; its seconds are the model's.
    """

    trained: TrainedModel
    data: Mapping[str, Any]
    folder: Path
    first: bool


class TeacherRuns:
    """The runs that the enhancers of a class learn from, by the enhancer's name and the teacher's."""

    def __init__(self, runs: Mapping[str, Mapping[str, Teacher]]) -> None:
        self.runs = runs

    def give(
        self, model: Any, data: Mapping[str, Any], config: Any, *, parts: bool = False
    ) -> dict[str, float]:
        """Let the enhancers of a model that was just built take what they need of them.

        data: the fingerprint of the data that the model was built for, with the parts of its split; `DataError` where a
        teacher was trained on others, which may be the model's validation or test rows.  config: the run's options.
        parts: only ids and the parts of the split are known of the data.
        Gives the seconds that training took, by "teacher NAME", of those that were trained first.
        """
        seconds = {}
        for enhancer, teachers in self.runs.items():
            for name, (trained, known, folder, first) in teachers.items():
                unknown = {} if first else {"validation": None}
                now = {**known, **unknown, **data} if parts else data
                try:
                    check_trained_on(
                        known,
                        now,
                        theirs=trained.config.final_config_dict,
                        ours=config,
                        cure="give a run with the same seed and eval_args",
                    )
                except DataError as error:
                    raise _of_other_data(name, folder, error, first=first) from error
                if first:
                    seconds[f"teacher {name}"] = trained.seconds or 0.0
                    logger.info(
                        "enhancer %r: teacher %r was trained first, in %.1f s",
                        enhancer,
                        name,
                        trained.seconds,
                    )
        model.enhancers.has_teachers = True
        for enhancer in model.enhancers.enhancers():
            if enhancer.name in self.runs:
                given = self.runs[enhancer.name]
                enhancer.take_teachers({name: teacher.trained for name, teacher in given.items()})
        return seconds


def read_teachers(request: Request, places: Places, *, made_in: str | None = None) -> TeacherRuns | None:
    """The runs that the enhancers of a request's class ask for, trained first where their names say so; None for none.

    made_in: the folder that relative names are meant from; None for the present one.
    Raises `UnknownNameError` for a name that is neither, and the errors of training and of `load_run`.
    """
    wanted: dict[tuple[str, str], FirstRequest | Path] = {}
    for enhancer in enhancers_of(request.model):  # all are looked at before the first is trained
        for name in enhancer.teacher_runs():
            wanted[enhancer.name, name] = _asked(request, enhancer, name, Path(made_in or "."))
    runs: dict[str, dict[str, Teacher]] = {}
    plain = split_enhanced(request.model)[0]
    inner = replace(places, others=(plain,))
    done: dict[Any, Teacher] = {}
    for (asking, name), what in wanted.items():
        key = what if isinstance(what, Path) else what.digest()
        if key not in done:
            if isinstance(what, Path):
                done[key] = _read(name, what, None, plain=plain, trust=places.trust)
            else:
                done[key] = trained_first(
                    what,
                    inner,
                    f"{TEACHERS}/{_folder_name(name, what)}",
                    partial(_read, name, plain=split_enhanced(what.model)[0], trust=places.trust),
                )
        runs.setdefault(asking, {})[name] = done[key]
    return TeacherRuns(runs) if runs else None


def _folder_name(name: str, request: FirstRequest) -> str:
    """Of a teacher in the folder of the run that asks: its name, a class of one's own by its module."""
    run = first_run(name)
    if run is None or not is_place(run.backbone):
        return name
    return "+".join([class_name(split_enhanced(request.model)[0]).replace(":", "."), *run.enhancers])


def _read(name: str, folder: Path, seconds: float | None, *, plain: type, trust: bool) -> Teacher:
    saved = read_run(folder)
    known = plain if saved.is_of(plain) else None
    try:
        trained = replace(load_run(folder, model=known, trust=trust), seconds=seconds)
    except OtherDataError as error:
        raise _of_other_data(name, folder, error, first=seconds is not None) from error
    return Teacher(trained, saved.data, folder, seconds is not None)


def _of_other_data(name: str, folder: Path, reason: DataError, *, first: bool) -> DataError:
    if first:
        return FormerDataError(f"the teacher {name!r}", folder, reason)
    return DataError(f"teacher {name!r}: {reason}")


def _asked(request: Request, enhancer: Enhancer[Any], name: str, here: Path) -> FirstRequest | Path:
    """What a teacher's name stands for."""
    options = enhancer.teacher_options().get(name, {})
    asked = asked_for(enhancer, "teacher", name, options, split_enhanced(request.model)[0], here)
    if isinstance(asked, Path):
        return asked
    told_of_folder(f"enhancer {enhancer.name!r}: teacher", asked.run, here / name)
    common: dict[str, Any] = {}
    for file in request.files:
        common |= read_yaml(file)
    common |= request.options
    for option in ("model", "dataset", "enhancers"):
        common.pop(option, None)
    return FirstRequest(asked.model, request.dataset, (), {**common, **asked.own}, asked.named)
