"""The journal of a search: an optuna study in a file of the runs, which tells every process what the trials are.

Whoever asks for trials first writes them down, so that a search goes on with the same ones, be that in another process,
after a kill, or with another version of optuna.  Any tool for optuna's journals can read it.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.files.lock import lock_of, locked
from burnish.files.refusals import make_folder

from .notes import DAMAGED
from .schema import Tune
from .search import Outcome, frozen, next_points, quiet_optuna


class Journal:
    """The trials of one search.  Its file is made when the first of them is asked for."""

    def __init__(self, path: Path, tune: Tune, space: Mapping[str, Any], *, keep: bool = True) -> None:
        """keep: write; else only read what is there."""
        self.path, self.keep = path, keep
        self._tune, self._space = tune, space

    def points(self, known: Sequence[Outcome], count: int) -> list[dict[str, Any]]:
        """The settings of the next trials; known: the outcomes of all before, which are written down first."""
        first = len(known)
        if not self.keep:
            there = self._read()[first : first + count]
            return there if len(there) == count else next_points(self._tune, self._space, known, count)
        with self._opened() as study:
            self._tell(study, known)
            there = _settings(study)[first : first + count]
            if len(there) < count:
                # A torn end lost some of a batch: all of it is drawn again, and so comes out as it was.
                fresh = next_points(self._tune, self._space, known, count)
                for settings in fresh[len(there) :]:
                    outcome = Outcome(settings, "failed")
                    study.add_trial(frozen(outcome, self._space, running=True, settings=settings))
                there += fresh[len(there) :]
        return there

    def close(self, known: Sequence[Outcome]) -> None:
        """Write down the outcomes of all trials."""
        if self.keep:
            with self._opened() as study:
                self._tell(study, known)

    def _tell(self, study: Any, known: Sequence[Outcome]) -> None:
        """Write down outcomes that are not there yet; a trial that is not there at all is added."""
        from optuna.trial import Trial, TrialState

        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        there = study.get_trials(deepcopy=False)
        for number, outcome in enumerate(known):
            if number >= len(there):
                study.add_trial(frozen(outcome, self._space, settings=dict(outcome.settings)))
            elif not there[number].state.is_finished():
                trial = Trial(study, there[number]._trial_id)
                for epoch, score in outcome.curve:
                    trial.report(score, epoch)
                value = outcome.value if outcome.state == "done" else None
                study.tell(number, value, state=states[outcome.state])

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with quiet_optuna() as optuna, contextlib.suppress(Exception):  # somebody may be writing
            return _settings(_study(optuna, self.path))
        return []

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        """The study, for this process alone; one that cannot be read is set aside, and begun anew."""
        make_folder(self.path.parent)
        with locked(lock_of(self.path)), quiet_optuna() as optuna:
            _mend(self.path)
            try:
                study = _study(optuna, self.path)
                _settings(study)
            except Exception as error:  # whatever optuna raises for what it did not write
                aside = self.path.with_name(f"{self.path.name}{DAMAGED}")
                os.replace(self.path, aside)
                with warnings.catch_warnings():
                    warnings.simplefilter("default")
                    warnings.warn(
                        f"{self.path} is damaged ({error!r}). It was renamed to {aside.name}; its trials are drawn "
                        f"again, and those that are finished are kept.",
                        stacklevel=4,
                    )
                study = _study(optuna, self.path)
            yield study


class _NoLock:
    """optuna's own lock stays behind when its holder is killed: ours is held around all of it."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _study(optuna: Any, path: Path) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_NoLock())
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(
        storage=storage, study_name="tuning", direction="maximize", load_if_exists=True
    )


def _mend(path: Path) -> None:
    """Cut off a last line that a killed process, or a full disk, left without its end."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def _settings(study: Any) -> list[dict[str, Any]]:
    """Of all its trials, in their order."""
    return [dict(one.user_attrs["settings"]) for one in study.get_trials(deepcopy=False)]
