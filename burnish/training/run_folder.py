"""The folder of a run while a process works in it: one at a time, its results before the mark that says finished."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import ParamSpec, TypeVar

from burnish.errors import ConfigurationError, DataError, warn
from burnish.files.data_names import data_set_in
from burnish.files.lock import locked
from burnish.files.refusals import make_folder, told_why
from burnish.files.tables import read_parquet
from burnish.files.traces import without_traces
from burnish.files.whole import read_json, remove_leftovers, written_whole

from .record import BASE, RESULTS, RUN_FILE, STATES, TEACHERS, SavedRun, read_run
from .result import TrainingResult
from .trust import refuse_links

#: Is there while a process works in the folder.
LOCK = ".lock"
_IN_USE = "{folder} is in use: {holder} trains a model in it; wait until it has ended, or give another folder"
_RESULT, _CONFIG, _USERS = RESULTS

Given = ParamSpec("Given")
Back = TypeVar("Back")


def alone_in_folder(function: Callable[Given, Back]) -> Callable[Given, Back]:
    """Decorator of what works in a run's folder, its argument `folder` (None: in none).

    A second process is refused, what killed ones left there is removed, and where nothing can be written, the error is
    a sentence that names the file.  A folder to resume from that cannot be written is looked at without all this: its
    run may be finished, and then nothing is to be written.
    """
    signature = inspect.signature(function)
    resumes = function.__name__ == "resume"

    @functools.wraps(function)
    def alone(*args: Given.args, **options: Given.kwargs) -> Back:
        given = signature.bind(*args, **options).arguments.get("folder")
        folder = None if given is None else Path(given)
        with without_traces(folder), ExitStack() as stack:
            if folder is not None and not resumes:
                make_folder(folder)
            if folder is not None and folder.is_dir() and (_may_write(folder) or not resumes):
                refuse_links(folder)
                stack.enter_context(locked(folder / LOCK, busy=_IN_USE.replace("{folder}", str(folder))))
                for place in (folder, *_first_in(folder)):
                    remove_leftovers(place)
                    remove_leftovers(place / STATES)
            stack.enter_context(told_why(folder or Path.cwd()))
            return function(*args, **options)

    return alone


def refuse_data_folder(folder: Path) -> None:
    """Raise `ConfigurationError` for a run that would be written between the files of a data set."""
    file = data_set_in(folder)
    if file is not None:
        raise ConfigurationError(
            f"{folder} holds a data set ({file}), and a run has a folder of its own; give another one, as in "
            f"{folder.resolve().name}-run"
        )


def _first_in(folder: Path) -> list[Path]:
    """The folders of runs that were trained first for the run in a folder, and for these."""
    here = [folder / BASE, *(folder / TEACHERS).glob("*/")]
    return [
        place for one in here if one.is_dir() and not one.is_symlink() for place in (one, *_first_in(one))
    ]


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def write_results(result: TrainingResult, folder: Path) -> list[str]:
    """Write result.json, config.json and, where there are per-user values, per_user.parquet; gives their names."""
    names = [_RESULT, _CONFIG]
    with ExitStack() as stack:  # all are written before the first takes its place
        for name, content in ((_RESULT, result.summary()), (_CONFIG, result.config)):
            text = json.dumps(content, indent=2, default=str)
            stack.enter_context(written_whole(folder / name)).write_text(text + "\n", encoding="utf-8")
        if result.per_user is not None:
            names.append(_USERS)
            result.per_user.to_parquet(stack.enter_context(written_whole(folder / _USERS)), index=False)
    if result.per_user is None:
        (folder / _USERS).unlink(missing_ok=True)  # an earlier run's must not stand beside this one's metrics
    return names


def told_of_replaced(folder: Path | None) -> Callable[[], None]:
    """What to call when a folder was emptied for a new run: warns of a finished run that was in it."""
    try:
        former = None if folder is None or not (folder / RUN_FILE).is_file() else read_run(folder)
    except DataError:
        former = None

    def tell() -> None:
        if former is not None and former.finished:
            warn(
                f"{folder} held a finished run ({former.model} on {former.dataset}), which this one takes the place of"
            )

    return tell


def lacking_result(saved: SavedRun) -> str | None:
    """What is wrong with the results in a run's folder: the first file that is missing or damaged; None for nothing."""
    names = (_RESULT, _CONFIG) if saved.results is None else saved.results
    for name in names:
        path = saved.folder / name
        try:
            if name == _USERS:
                read_parquet(path, "")
            else:
                read_json(path, "")
        except DataError as error:
            return str(error).removesuffix("; ")
    return None
