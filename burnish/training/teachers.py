"""Trained models that enhancers learn from: trained first or read from the folders of runs, on the same split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from burnish.enhancers.attach import enhance, enhancers_of, split_enhanced
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import make_enhancers
from burnish.enhancers.trained_first import FirstRun, first_run, settings, unknown_run
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, DataError, UnsupportedError
from burnish.files.yamls import read_yaml

from .bases import told_of_folder
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

    def give(self, model: Any, data: Mapping[str, Any], *, dataset: str) -> dict[str, float]:
        """Let the enhancers of a model that was just built take what they need of them.

        data: the fingerprint of the data that the model was built for, with the parts of its split; `DataError` where a
        teacher was trained on others, which may be the model's validation or test rows.
        Gives the seconds that training took, by "teacher NAME", of those that were trained first.
        """
        seconds = {}
        for enhancer, teachers in self.runs.items():
            for name, (trained, known, folder, first) in teachers.items():
                try:
                    check_trained_on(known, data, dataset, cure="give a run with the same seed and eval_args")
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
                    f"{TEACHERS}/{name}",
                    partial(_read, name, plain=plain, trust=places.trust),
                )
        runs.setdefault(asking, {})[name] = done[key]
    return TeacherRuns(runs) if runs else None


def _read(name: str, folder: Path, seconds: float | None, *, plain: type, trust: bool) -> Teacher:
    saved = read_run(folder)
    known = plain if saved.model.partition(":")[2] == plain.__qualname__ else None
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
    kind = f"enhancer {enhancer.name!r}: teacher"
    run, options = first_run(name), enhancer.teacher_options().get(name, {})
    if run is not None:
        told_of_folder(kind, run, here / name)
        return _request(request, run, options, enhancer.name)
    if not (here / name).is_dir():
        raise unknown_run(kind, name, enhancer.computed_teachers)
    if options:
        raise ConfigurationError(
            f"enhancer {enhancer.name!r}: teacher_options.{name}: that teacher is the folder of a finished run, whose "
            f"options are what they are; leave them out"
        )
    return here / name


def _request(request: Request, run: FirstRun, options: Mapping[str, Any], asking: str) -> FirstRequest:
    own, block = settings(run, options, f"{asking}: teacher_options.{run.name}")
    plain = split_enhanced(request.model)[0] if run.backbone is None else find_backbone(run.backbone)
    _check_kind(split_enhanced(request.model)[0], plain, run, asking)
    common: dict[str, Any] = {}
    for file in request.files:
        common |= read_yaml(file)
    common |= request.options
    for name in ("model", "dataset", "enhancers"):
        common.pop(name, None)
    enhanced = enhance(plain, *make_enhancers(block)) if block else plain
    return FirstRequest(enhanced, request.dataset, (), {**common, **own}, f"the teacher {run.name!r}")


def _check_kind(student: type, teacher: type, run: FirstRun, asking: str) -> None:
    """Refuse at once what would be refused once it is trained."""
    from recbole.utils import ModelType

    kinds = [getattr(one, "type", None) for one in (student, teacher)]
    if kinds[1] == ModelType.SEQUENTIAL:
        raise UnsupportedError(
            f"enhancer {asking!r}: teacher {run.name!r} is a run of {teacher.__name__}, whose users are what their "
            f"histories say; give models that score a user's number (BPR, LightGCN, NeuMF, ...)"
        )
    if kinds[0] == ModelType.SEQUENTIAL:
        raise UnsupportedError(
            f"enhancer {asking!r}: teacher {run.name!r} is a run of {teacher.__name__}, which RecBole trains on other "
            f"rows than {student.__name__} (a history's items are no targets there); give teachers that are computed "
            f"from the training split ({', '.join(('ease', 'itemknn'))})"
        )
