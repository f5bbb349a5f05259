"""Folders of runs: written beside their place and renamed when complete, so that a finished run is whole."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from burnish.files.whole import write_json
from burnish.training.environment import describe_environment
from burnish.training.result import Epoch, TrainingResult
from burnish.training.train import train

from .specs import RunSpec

DONE = "DONE"
#: .partial-<run>@<host>-<pid>-<start of that process>
_PARTIAL = re.compile(r"^\.partial-.+@(?P<host>.+)-(?P<pid>\d+)-(?P<start>\d+)$")


@dataclass(frozen=True)
class RunRecord:
    """What became of one run.  status: "done" now, "kept" from an earlier call, or "failed"."""

    dataset: str
    backbone: str
    arm: str
    seed: int
    trial: int | None
    folder: Path
    status: Literal["done", "kept", "failed"]
    error: str | None = None
    valid_score: float | None = None
    valid: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    valid_metric: str | None = None


def is_done(folder: Path) -> bool:
    """Whether a run finished in this folder."""
    return (folder / DONE).is_file()


def carry_out(
    spec: RunSpec,
    runs: Path,
    *,
    threads: int | None = None,
    keep_checkpoint: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> RunRecord:
    """Train one run into its folder, or read it when it is there already.

    Any exception leaves no trace of the run but `failed-<run>.json` beside it, which the next success
    removes; an interruption (Ctrl-C) leaves nothing.  Raises what training raised.
    """
    folder = spec.folder(runs)
    if is_done(folder):
        return read_record(spec, folder, "kept")
    note = folder.with_name(f"failed-{folder.name}.json")
    try:
        with own_folder(folder) as partial:
            result = train(
                spec.backbone,
                spec.dataset,
                enhancers=spec.enhancers,
                options={**spec.options, **({} if threads is None else {"threads": threads})},
                seed=spec.seed,
                folder=partial,
                keep_checkpoint=keep_checkpoint,
                on_epoch=on_epoch,
                evaluate_test=spec.trial is None,
                bases=runs / spec.dataset / spec.label / "bases",
            )
            _write(partial, spec, result)
    except Exception as error:
        _note_failure(note, spec, error)
        raise
    note.unlink(missing_ok=True)
    return read_record(spec, folder, "done")


def read_record(spec: RunSpec, folder: Path, status: Literal["done", "kept"]) -> RunRecord:
    """The record of a finished run, from its files."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return RunRecord(
        spec.dataset,
        spec.label,
        spec.arm,
        spec.seed,
        spec.trial,
        folder,
        status,
        None,
        metrics["best_valid_score"],
        metrics["valid_result"],
        metrics["test_result"],
        metrics["seconds"]["total"],
        metrics["valid_metric"],
    )


def failed_record(spec: RunSpec, runs: Path, error: BaseException | str) -> RunRecord:
    """The record of a run that did not finish."""
    message = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    folder = spec.folder(runs)
    return RunRecord(spec.dataset, spec.label, spec.arm, spec.seed, spec.trial, folder, "failed", message)


def remove_stale(runs: Path) -> list[Path]:
    """Remove what runs of dead processes of this machine left; returns the folders removed."""
    removed = []
    for folder in sorted(runs.rglob(".partial-*")) if runs.is_dir() else []:
        match = _PARTIAL.match(folder.name)
        if match is None or match["host"] != _host():
            continue
        if _is_running(int(match["pid"]), int(match["start"])):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder)
    return removed


@contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, which takes its place on success and is removed otherwise."""
    partial = folder.with_name(f".partial-{folder.name}@{_host()}-{os.getpid()}-{_start_of(os.getpid())}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        (partial / DONE).write_text(time.strftime("%Y-%m-%dT%H:%M:%S%z") + "\n", encoding="utf-8")
        _flush(partial)
        if folder.exists() and not is_done(folder):
            shutil.rmtree(folder)
        # Another process may have finished the same run meanwhile: then its result stands.
        if not is_done(folder):
            os.replace(partial, folder)
            _flush_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, spec: RunSpec, result: TrainingResult) -> None:
    write_json(folder / "config.json", {**spec.as_dict(), "recbole": result.config})
    summary = result.summary()
    summary["checkpoint"] = result.checkpoint.name if result.checkpoint else None
    write_json(folder / "metrics.json", summary)
    write_json(folder / "environment.json", describe_environment(result.config.get("threads")))
    if result.per_user is not None:
        result.per_user.to_parquet(folder / "per_user.parquet", index=False)


def _note_failure(note: Path, spec: RunSpec, error: Exception) -> None:
    import traceback

    content = {
        **spec.as_dict(),
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
    }
    # On a full disk the note does not fit either; the error itself goes on.
    with contextlib.suppress(OSError):
        write_json(note, content)


def _flush(folder: Path) -> None:
    """Bring the files to the disk before the rename says that they are there."""
    for file in folder.iterdir():
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "host"


def _start_of(pid: int) -> int:
    """When a process started, in seconds since 1970; 0 when there is none."""
    import psutil  # type: ignore[import-untyped]

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0


def _is_running(pid: int, start: int) -> bool:
    # A number may belong to another process by now; its start tells them apart (clocks may shift a second).
    return abs(_start_of(pid) - start) <= 2
