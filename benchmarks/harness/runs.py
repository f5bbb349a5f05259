"""Folders of runs: written beside their place and renamed when complete, so that a finished run is whole."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from burnish.errors import BurnishError, ConfigurationError, DataError, NonFiniteError
from burnish.files.lock import free
from burnish.files.processes import mark
from burnish.files.refusals import make_folder
from burnish.files.whole import read_json, write_json, write_text
from burnish.files.whole_folder import folder_written_whole, remove_leftovers_below
from burnish.training.cases import case_digest
from burnish.training.environment import describe_environment
from burnish.training.first import InHandError
from burnish.training.result import Epoch, TrainingResult
from burnish.training.shared_base import can_share, train_shared
from burnish.training.train import train

from .specs import BESIDE, DONE, RunSpec, is_done, stopped_by

#: What to do about a damaged file of a finished run.
CURE = "restore the file, or remove the run's folder and run `burnish bench` again to train it anew"


class DamagedRunError(DataError):
    """A run that finished earlier and whose files cannot be read any more; the message names the file."""


class FailedElsewhereError(Exception):
    """A run that another process at the same plan tried, and which failed there.

    text: the error, after the name of its kind, as it is noted.  refused: `refusal` of it.
    """

    def __init__(self, text: str, *, refused: bool) -> None:
        super().__init__(text.partition(": ")[2])
        self.text, self.refused = text, refused


@dataclass(frozen=True)
class RunRecord:
    """What became of one run.

    dataset: what the plan calls it.  status: "done" now, "kept" from an earlier call, "failed", or "pruned" for a trial
    that ended early.  curve: epochs with their validation scores, where they are known.
    """

    dataset: str
    backbone: str
    arm: str
    seed: int
    trial: int | None
    folder: Path
    status: Literal["done", "kept", "failed", "pruned"]
    error: str | None = None
    valid_score: float | None = None
    valid: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    valid_metric: str | None = None
    curve: tuple[tuple[int, float], ...] = ()


class PrunedError(Exception):
    """A trial is to end early, by its validation curve."""


def carry_out(
    spec: RunSpec,
    runs: Path,
    *,
    threads: int | None = None,
    keep_checkpoint: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    wait: bool = True,
) -> RunRecord:
    """Train one run into its folder, or read it when it is there already.

    Any exception leaves no trace of the run but `failed-<run>.json` beside it, which the next success
    removes; an interruption (Ctrl-C) leaves nothing.  A trial that ends early (`RunSpec.stop`) leaves
    `pruned-<run>.json`, with its validation curve.  Raises what training raised; without `wait`, `InHandError` where
    another process trains what the run begins from or learns from.
    """
    folder = spec.folder(runs)
    curve: list[tuple[int, float]] = []
    if is_done(folder):
        _note_beside(spec, folder)
        return read_record(spec, folder, "kept")
    note = folder.with_name(f"failed-{folder.name}.json")
    began = time.perf_counter()
    try:
        with own_folder(folder) as partial:
            options = {**spec.options, **({} if threads is None else {"threads": threads})}
            how: dict[str, Any] = {
                "on_epoch": lambda epoch: _watched(epoch, spec, curve, on_epoch),
                "evaluate_test": spec.trial is None,
                "bases": spec.data_folder(runs) / spec.label / "bases",
                "wait": wait,
            }
            result = None
            # Of a training that was done before there is no curve to end a trial by.
            shared = spec.shares_base and spec.stop is None and not keep_checkpoint
            if shared and can_share(spec.backbone, options):
                result = train_shared(
                    spec.backbone, spec.dataset, options=options, seed=spec.seed, folder=partial, **how
                )
            if result is None:
                result = train(
                    spec.backbone,
                    spec.dataset,
                    enhancers=spec.enhancers,
                    options=options,
                    seed=spec.seed,
                    folder=partial,
                    keep_checkpoint=keep_checkpoint,
                    **how,
                )
            _write(partial, spec, result)
    except InHandError:
        raise
    except PrunedError:
        note.unlink(missing_ok=True)
        write_pruned(spec, folder, curve, time.perf_counter() - began)
        return _pruned(spec, folder, curve, time.perf_counter() - began)
    except Exception as error:
        _note_failure(note, spec, error)
        raise
    note.unlink(missing_ok=True)
    return read_record(spec, folder, "done")


def carried_out(
    spec: RunSpec,
    runs: Path,
    *,
    folder: Path,
    since: float,
    begun: Callable[[], None],
    only_look: bool = False,
    **how: Any,
) -> RunRecord | None:
    """`carry_out`, where no other process has the run in hand; else None.

    folder: where it goes.  since: what failed elsewhere later (seconds since 1970) is not tried again.  begun: called
    before training.  only_look: train nothing.  how: as for `carry_out`.
    Raises what it raises, `FailedElsewhereError` for what failed elsewhere.
    """
    if is_done(folder):
        return carry_out(spec, runs, **how)
    pruned = read_pruned(spec, folder)
    if pruned is not None:
        return pruned
    note = folder.with_name(f"failed-{folder.name}.json")
    if only_look:
        _raise_failure(note, since)
        return None
    make_folder(folder.parent)
    with free(folder.with_name(f".{folder.name}.training.lock")) as mine:
        if not mine:
            return None
        if not is_done(folder):
            pruned = read_pruned(spec, folder)  # meanwhile
            if pruned is not None:
                return pruned
            _raise_failure(note, since)
            begun()
        return carry_out(spec, runs, **how)


def _raise_failure(note: Path, since: float) -> None:
    """Raise what another process noted that failed there since then."""
    try:
        if note.stat().st_mtime < since:
            return
        said = read_json(note, CURE)
        if said["process"] != mark():
            raise FailedElsewhereError(str(said["error"]), refused=bool(said["refused"]))
    except (OSError, DataError, KeyError, TypeError):  # none, or none that could be told
        return


def refusal(error: Exception) -> bool:
    """Whether an error says that a run does not go with backbone, options or data, rather than that something broke."""
    if isinstance(error, FailedElsewhereError):
        return error.refused
    if isinstance(error, NonFiniteError | DamagedRunError):
        return False
    return isinstance(error, BurnishError | MemoryError)


def _note_beside(spec: RunSpec, folder: Path) -> None:
    """Note for which files a run of an earlier burnish is taken, so that others are told from them later."""
    beside = spec.beside
    if not beside or folder.name.endswith(f"-{beside}") or (folder / BESIDE).is_file():
        return
    with contextlib.suppress(
        OSError, ConfigurationError
    ):  # a folder that may be read only is read all the same
        write_text(folder / BESIDE, f"{beside}\n")


def read_record(spec: RunSpec, folder: Path, status: Literal["done", "kept"]) -> RunRecord:
    """The record of a finished run, from its files.  Raises `DamagedRunError` where metrics.json is damaged."""
    path = folder / "metrics.json"
    try:
        metrics = read_json(path, CURE)
        return RunRecord(
            spec.home or spec.dataset,
            spec.label,
            spec.arm,
            spec.seed,
            spec.trial,
            folder,
            status,
            None,
            metrics["best_valid_score"],
            dict(metrics["valid_result"]),
            dict(metrics["test_result"]),
            metrics["seconds"]["total"],
            metrics["valid_metric"],
            tuple((int(epoch), float(score)) for epoch, score in (metrics.get("valid_scores") or {}).items()),
        )
    except DataError as error:
        raise DamagedRunError(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedRunError(f"{path} is damaged ({error!r}); {CURE}") from error


def failed_record(spec: RunSpec, runs: Path, error: BaseException | str) -> RunRecord:
    """The record of a run that did not finish."""
    if isinstance(error, FailedElsewhereError):
        error = error.text
    message = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    folder = spec.folder(runs)
    home = spec.home or spec.dataset
    return RunRecord(home, spec.label, spec.arm, spec.seed, spec.trial, folder, "failed", message)


def remove_stale(runs: Path) -> list[Path]:
    """Remove what runs of dead processes of this machine left; returns the folders removed."""
    return remove_leftovers_below(runs)


@contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, which takes its place on success and is removed otherwise."""
    with folder_written_whole(folder, is_done) as partial:
        yield partial
        (partial / DONE).write_text(time.strftime("%Y-%m-%dT%H:%M:%S%z") + "\n", encoding="utf-8")


def _watched(
    epoch: Epoch, spec: RunSpec, curve: list[tuple[int, float]], on_epoch: Callable[[Epoch], None] | None
) -> None:
    """Note the validation score of an epoch of the run itself, not of one that is trained first.

    Raises `PrunedError` where the trial is to end.
    """
    if epoch.valid_score is not None and not epoch.run:
        curve.append((epoch.number, epoch.valid_score))
    if on_epoch is not None:
        on_epoch(epoch)
    if epoch.valid_score is not None and not epoch.run and spec.stop is not None and spec.stop(curve):
        raise PrunedError


def write_pruned(spec: RunSpec, folder: Path, curve: Sequence[tuple[int, float]], seconds: float) -> None:
    """Note a trial that ended early.  folder: where it would have gone."""
    content = {**spec.as_dict(), "valid_metric": stopped_by(spec), "valid_scores": curve, "seconds": seconds}
    write_json(_pruned_note(folder), content)


def read_pruned(spec: RunSpec, folder: Path) -> RunRecord | None:
    """The record of a trial that ended early, where the rules of now end it there, too; else None."""
    note = _pruned_note(folder)
    if spec.stop is None or not note.is_file():
        return None
    try:
        said = read_json(note, CURE)
        curve = [(int(epoch), float(score)) for epoch, score in said["valid_scores"]]
        seconds = float(said["seconds"])
    except (DataError, KeyError, TypeError, ValueError):  # it is made anew
        return None
    return _pruned(spec, folder, curve, seconds) if spec.stop.ends(curve) == len(curve) else None


def _pruned_note(folder: Path) -> Path:
    return folder.with_name(f"pruned-{folder.name}.json")


def _pruned(spec: RunSpec, folder: Path, curve: Sequence[tuple[int, float]], seconds: float) -> RunRecord:
    metric = stopped_by(spec)
    who = (spec.home or spec.dataset, spec.label, spec.arm, spec.seed, spec.trial, folder)
    valid = {metric: curve[-1][1]} if curve else {}
    return RunRecord(*who, "pruned", valid=valid, seconds=seconds, valid_metric=metric, curve=tuple(curve))


def _write(folder: Path, spec: RunSpec, result: TrainingResult) -> None:
    write_json(folder / "config.json", {**spec.as_dict(), "recbole": result.config})
    summary = result.summary()
    summary["counted"] = result.counted
    summary["checkpoint"] = result.checkpoint.name if result.checkpoint else None
    if spec.trial is None and result.splits.test is not None:
        summary["test_cases"] = case_digest(result.trained.config, result.splits.test)
    write_json(folder / "metrics.json", summary)
    write_json(folder / "environment.json", describe_environment(result.config.get("threads")))
    if result.per_user is not None:
        table = result.per_user.assign(**result.deciles_by_row)
        table.to_parquet(folder / "per_user.parquet", index=False)


def _note_failure(note: Path, spec: RunSpec, error: Exception) -> None:
    import traceback

    content = {
        **spec.as_dict(),
        "error": f"{type(error).__name__}: {error}",
        "process": mark(),
        "refused": refusal(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
    # On a full disk the note does not fit either; the error itself goes on.
    with contextlib.suppress(OSError, ConfigurationError):
        write_json(note, content)
