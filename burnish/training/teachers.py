"""Trained models that enhancers learn from: read from the folders of runs, on the same split of the same data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.enhancers.attach import enhancers_of
from burnish.errors import DataError, unknown_name

from .identity import check_trained_on
from .load import load_run
from .record import read_run
from .trained_model import TrainedModel


class TeacherRuns:
    """The runs that the enhancers of a class learn from, each with its trained model and its data's fingerprint."""

    def __init__(self, trained: Mapping[str, TrainedModel], data: Mapping[str, Mapping[str, Any]]) -> None:
        self.trained, self.data = trained, data

    def give(self, model: Any, data: Mapping[str, Any], *, dataset: str) -> None:
        """Let the enhancers of a model that was just built take what they need of them.

        data: the fingerprint of the data that the model was built for, with the parts of its split; `DataError` where a
        teacher was trained on others, which may be the model's validation or test rows.
        """
        for folder, known in self.data.items():
            try:
                check_trained_on(known, data, dataset, cure="give a run with the same seed and eval_args")
            except DataError as error:
                raise DataError(f"teacher {folder!r}: {error}") from error
        for enhancer in model.enhancers.enhancers():
            wanted = enhancer.teacher_runs()
            if wanted:
                enhancer.take_teachers({folder: self.trained[folder] for folder in wanted})


def read_teachers(enhanced: type, *, made_in: str | None = None, trust: bool = False) -> TeacherRuns | None:
    """The runs that the enhancers of a class ask for; None where they ask for none.

    made_in: the folder that relative names are meant from; None for the present one.
    Raises `UnknownNameError` for a name that is no folder, and the errors of `load_run`.
    """
    trained, data = {}, {}
    for enhancer in enhancers_of(enhanced):
        for name in enhancer.teacher_runs():
            folder = Path(made_in or ".") / name
            if not folder.is_dir():
                raise unknown_name(
                    f"enhancer {enhancer.name!r}: teacher",
                    name,
                    enhancer.computed_teachers,
                    cure="Or give the folder of a run (burnish run --output); there is none of this name.",
                )
            if name not in trained:
                trained[name] = load_run(folder, trust=trust)
                data[name] = read_run(folder).data
    return TeacherRuns(trained, data) if trained else None
