"""Two processes that train together (gloo, on the CPU) against one process that does the work of both.

They are started as a command is, not by `multiprocessing`: that would run the script that asked once more in each of
them, and could not run a notebook.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

from .check import NotApplicableError, conformance_check
from .subject import Subject, in_epoch, loss_of, part
from .world import World, prepare_folder

_WORLD_SIZE = 2
_differences: dict[str, dict[str, str]] = {}


@conformance_check(
    "two processes",
    "Gradients of two processes with half a batch each are the mean of both halves' gradients.",
)
def two_processes(subject: Subject) -> None:
    if subject.label not in _differences:
        compare_all([subject])
    outcome = _differences.pop(subject.label)
    if outcome["refused"]:
        raise UnsupportedError(outcome["refused"])
    if outcome["plain"]:
        raise NotApplicableError(f"the plain backbone does not train in two processes: {outcome['plain']}")
    if outcome["attached"]:
        raise AssertionError(outcome["attached"])


def compare_all(subjects: Sequence[Subject]) -> None:
    """Run the check for many subjects in one pair of processes; `two_processes` then reads the outcomes."""
    for subject in subjects:
        _check_importable(subject)
        prepare_folder(subject.folder)  # not in two processes at once
    with tempfile.TemporaryDirectory(prefix="burnish-") as folder:
        _run_workers(subjects, Path(folder))
        for rank in range(_WORLD_SIZE):
            text = (Path(folder) / f"{rank}.json").read_text(encoding="utf-8")
            for label, outcome in json.loads(text).items():
                known = _differences.setdefault(label, outcome)
                _differences[label] = {arm: known[arm] or error for arm, error in outcome.items()}


def _check_importable(subject: Subject) -> None:
    """`NotApplicableError` for a class that another process cannot import."""
    for cls in (subject.backbone, *(type(enhancer) for enhancer in subject.enhancers)):
        if cls.__module__ == "__main__":
            raise NotApplicableError(
                f"{cls.__qualname__} is defined in a script or notebook, which another process cannot import; put it "
                f"into a file of its own and import it from there"
            )


def _run_workers(subjects: Sequence[Subject], folder: Path) -> None:
    """Start the processes, and wait for them.  Raises `RuntimeError` with what one said that failed."""
    (folder / "subjects").write_bytes(pickle.dumps(list(subjects)))
    code = f"from {__name__} import _worker; import sys; _worker(int(sys.argv[1]), sys.argv[2])"
    found = os.pathsep.join(path or os.getcwd() for path in sys.path)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(folder)],
            env={**os.environ, "PYTHONPATH": found},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(_WORLD_SIZE)
    ]
    try:
        said = [worker.communicate()[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    for worker, text in zip(workers, said, strict=True):
        if worker.returncode:
            raise RuntimeError(f"a process of two ended with {worker.returncode}: {text.strip()[-2000:]}")


def _worker(rank: int, folder: str) -> None:
    subjects: list[Subject] = pickle.loads((Path(folder) / "subjects").read_bytes())
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # RecBole writes into each process's console
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for the life of this process)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=_WORLD_SIZE
    )
    outcomes: dict[str, dict[str, str]] = {}
    for subject in subjects:
        try:
            subject.attached()
        except UnsupportedError as refusal:
            outcomes[subject.label] = {"refused": str(refusal), "plain": "", "attached": ""}
            continue
        plain = _difference(subject.plain, rank)
        attached = "" if plain else _difference(subject.attached, rank)
        outcomes[subject.label] = {"refused": "", "plain": plain, "attached": attached}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(outcomes), encoding="utf-8")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _difference(build: Callable[[], World], rank: int) -> str:
    """Where the two ways differ, in words, or an empty string.  Both ranks come to the same calls."""
    try:
        alone = [_gradients(build(), part_number) for part_number in range(_WORLD_SIZE)]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    expected = {name: torch.stack([g[name] for g in alone]).mean(0) for name in alone[0]}
    together = _gradients(build(), rank, together=True)
    for name, gradient in expected.items():
        scale = max(float(gradient.abs().max()), 1e-4)
        gap = float((together[name] - gradient).abs().max())
        if not gap <= 1e-4 * scale:
            return f"gradients of {name} differ by {gap:.3g} (up to {scale:.3g})"
    return ""


def _gradients(world: World, number: int, *, together: bool = False) -> dict[str, Tensor]:
    """Gradients by parameter of a fresh model's step on one half of the batch, taken as RecBole's trainer takes it."""
    model, batch = in_epoch(world.model), world.batch()
    half = len(batch) // _WORLD_SIZE
    anchor: Any = 0.0
    if together:
        distributed = nn.parallel.DistributedDataParallel(model)
        forward = model.forward
        model.forward = lambda x: x  # RecBole's way to arm the reduction of gradients
        distributed(torch.LongTensor([0]))
        model.forward = forward
        anchor = sum(p.sum() * 0 for p in model.parameters())
    with forked_randomness(0, torch.device("cpu")):
        (loss_of(model, part(batch, number * half, (number + 1) * half)) + anchor).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
        if p.requires_grad
    }
