"""The model that `burnish value` values: of a run, or trained first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .screen import Screen
from .value_options import ValueOptions

if TYPE_CHECKING:
    from .run_request import RunRequest


def check_scores(options: ValueOptions) -> None:
    """Refuse `attributes` before training where nothing that was typed can have scores of items."""
    from burnish.errors import ConfigurationError
    from burnish.trained.value_objectives import check_names

    elsewhere = options.config_files is not None or (options.run is not None and begun(options.run))
    if "attributes" not in check_names(options.objectives) or options.scores is not None or elsewhere:
        return
    if "guided" not in (options.enhancers or ""):
        raise ConfigurationError(
            "--objectives attributes: a model without the enhancer guided has no scores of items; train with "
            "--enhancers guided, or give --scores FILE (`burnish guide score` makes one)"
        )


def training_request(options: ValueOptions, words: list[str]) -> RunRequest | None:
    """What to train; None for a run that is trained already.

    Raises `ConfigurationError` for neither, and for options of training beside a run that is finished.
    """
    from burnish.errors import ConfigurationError, DataError
    from burnish.training.record import read_run

    from .run_request import make_request, own_class

    run, saved = options.run, None
    trains = options.model is not None or options.config_files is not None
    if run is not None and not begun(run) and options.dataset is None and options.config_files is None:
        # Without a data set nothing can be trained into it: a run was meant that is not there.
        try:
            read_run(run)
        except DataError as error:
            more = " To train into it, say --dataset, too." if trains else ""
            raise DataError(f"{error}{more}") from error
    if run is None and not trains:
        raise ConfigurationError(
            "give --model and --dataset to train, or --run FOLDER of a run (burnish run --output FOLDER)"
        )
    if run is not None and (begun(run) or not trains):
        saved = read_run(run)  # where there is none, says how to make one
        for name, of_run in (("model", saved.model), ("dataset", saved.dataset)):
            given = getattr(options, name)
            own = own_class(given) if name == "model" else None  # imported: it was typed
            if given is not None and not (given == of_run if own is None else saved.is_of(own)):
                raise ConfigurationError(
                    f"--{name} {given}, but {run} holds a run of {of_run}; leave --{name} out, or give another folder"
                )
        if saved.finished and options.model is None and (words or options.enhancers or options.config_files):
            raise ConfigurationError(
                f"{' '.join(words) or '--enhancers or --config-files'}: {run} is trained already; leave this out"
            )
        if saved.finished:
            return None
    data_path = [] if options.data_path is None else [f"--data_path={options.data_path}"]
    return make_request(
        model=options.model,
        dataset=options.dataset,
        enhancers=options.enhancers,
        config_files=options.config_files,
        seed=options.seed,
        words=[*words, *data_path],
        earlier=saved,
    )


def begun(run: Path) -> bool:
    """Whether a run was begun in the folder."""
    from burnish.training.record import RUN_FILE

    return (run / RUN_FILE).is_file()


@contextmanager
def trained(screen: Screen, options: ValueOptions, request: RunRequest | None) -> Iterator[Any]:
    """The trained model: from its run, from the rest of its training, or trained now (into `run`, if there is one)."""
    from burnish.files.processes import passing_folder
    from burnish.trained.open import open_trained
    from burnish.training.record import read_run

    from .run import describe, say_how_to_resume, train

    run = options.run
    if request is None:
        assert run is not None
        screen.say("reading the run and its data ...")
        yield open_trained(run, model=options.model, data_path=options.data_path, trust=options.trust)
        return
    earlier = read_run(run) if run is not None and begun(run) else None
    if earlier is not None:
        earlier.know_enhancers(trust=options.trust)
    describe(screen, request, earlier)
    with passing_folder("value") as passing:
        folder, save_every = (passing, 0) if run is None else (run, 1)
        try:
            result = train(
                screen, request, folder, save_every, going_on=earlier is not None, trust=options.trust
            )
        except KeyboardInterrupt:
            if run is not None:
                say_how_to_resume(screen, run, options.model, options.enhancers)
            raise
        yield open_trained(result)
