"""Several processes at one plan: on this machine, or on the workers of a dask cluster that see the same folders.

None of them is told what to do: each takes the next run that is neither done nor in hand elsewhere (`schedule`).  Any
of them may end, come later, or be killed, and the others do the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, ConfigurationError, NotInstalledError
from burnish.own.classes import is_place

from .plan import Plan
from .progress import Event

#: How often a worker that was killed is started again.
_RESTARTS = 3
#: Seconds that a worker has to leave its run, and to notice that all is done.
_PATIENCE = 30.0
#: Seconds that a scheduler has to answer.
_ANSWERS_WITHIN = 30


class Workers:
    """The other processes at a plan on this machine; this one works as well, and so needs one less.

    While it is open they run; on the way out they are waited for, or stopped where there was an error.
    """

    def __init__(self, plan: Plan, n: int, since: float, tell: Callable[[Event], None]) -> None:
        """n: processes in all.  since: as of `run_plan`.  tell: what becomes of a worker that did not end by itself."""
        self._n = n
        self._orders = [_order(plan, number, n, since) for number in range(1, n)]
        self._tell = tell
        self._left = [_RESTARTS] * len(self._orders)
        self._processes: list[subprocess.Popen[bytes] | None] = []
        self._said = tempfile.TemporaryDirectory(prefix="burnish-workers-")

    def __enter__(self) -> Workers:
        self._processes = [self._started(place) for place in range(len(self._orders))]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            if kind is not None:
                for process in self._processes:
                    if process is not None:
                        process.send_signal(signal.SIGINT)
            end = time.monotonic() + _PATIENCE
            for process in self._processes:
                if process is not None:
                    try:
                        process.wait(max(end - time.monotonic(), 0.0))
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
        finally:
            self._said.cleanup()

    def look(self) -> None:
        """Tell of workers that ended with an error, and start those again that were killed."""
        for place, process in enumerate(self._processes):
            code = None if process is None else process.poll()
            if not code:
                continue
            self._processes[place] = None
            words = self._words(place) or (f"signal {-code}" if code < 0 else f"exit status {code}")
            again = code < 0 and self._left[place] > 0
            cure = "another one goes on" if again else "the others go on without it"
            name = f"worker {place + 2} of {self._n}"
            self._tell(Event("lost", name, f"{name} ended ({words}); {cure}"))
            if again:
                self._left[place] -= 1
                self._processes[place] = self._started(place)

    def _started(self, place: int) -> subprocess.Popen[bytes]:
        with self._file(place).open("wb") as said:
            return begin(self._orders[place], said)

    def _file(self, place: int) -> Path:
        return Path(self._said.name) / f"{place}.txt"

    def _words(self, place: int) -> str:
        lines = self._file(place).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else ""


def begin(order: dict[str, Any], said: Any) -> subprocess.Popen[bytes]:
    """Start the process of one worker.  order: as of `_order`.  said: a file for what it says of errors."""
    process = process_of(f"{__package__}.worker", said, folder=order["folder"])
    assert process.stdin is not None
    process.stdin.write(json.dumps({**order, "parent": os.getpid()}).encode())
    process.stdin.close()
    return process


def process_of(
    module: str, said: Any, *, out: int = subprocess.DEVNULL, folder: str | None = None
) -> subprocess.Popen[bytes]:
    """A process of a module of burnish, which imports what this one can import.

    said: a file for its errors.  out: for its standard output.  folder: that it works in; None for that of this one.
    """
    found = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": found},
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=said,
    )


def not_elsewhere(backbone: str, label: str) -> str | None:
    """Why another process cannot import a backbone; None where it can."""
    if is_place(backbone) and backbone.startswith("__main__:"):
        return (
            f"backbone {label!r} is defined in a script or notebook, which another process cannot import; put it into "
            f"a file of its own and name that (FILE.py:Class), or do without workers"
        )
    return None


def _order(plan: Plan, number: int, n: int, since: float) -> dict[str, Any]:
    """What a worker is told.  `ConfigurationError` for a plan with classes that no other process can import."""
    for entry in plan.backbones:
        why = not_elsewhere(entry.name, entry.label)
        if why is not None:
            raise ConfigurationError(why)
    content = plan.model_dump(mode="json")
    return {"plan": content, "share": [number, n], "since": since, "folder": os.getcwd()}


@contextmanager
def on_dask(plan: Plan, scheduler: str, since: float) -> Iterator[Callable[[], None]]:
    """Start a worker in every process of a dask cluster, which must see this folder and the data under the same names.

    scheduler: its address.  Gives what is to be called now and then: it raises `BurnishError` where all of them ended
    with an error.  On the way out the connection is closed.  Raises `NotInstalledError` without dask,
    `ConfigurationError` for a scheduler without workers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise NotInstalledError(
            f"a scheduler ({scheduler}) needs dask: pip install 'burnish[cluster]' ({error})"
        ) from error
    try:
        client = Client(scheduler, timeout=_ANSWERS_WITHIN)
    except ValueError as error:
        raise ConfigurationError(
            f"scheduler {scheduler!r} is no address ({error}); give one such as tcp://head:8786"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"scheduler {scheduler!r} does not answer: {error}") from error
    with client:  # one that is left open draws random numbers as it looks for a cluster that has gone
        names = list(client.scheduler_info(n_workers=-1)["workers"])
        if not names:
            raise ConfigurationError(
                f"the scheduler {scheduler} has no workers; start some (dask worker {scheduler})"
            )
        futures = [
            client.submit(
                work,
                _order(plan, number, len(names), since),
                workers=[name],
                allow_other_workers=True,
                pure=False,
                retries=3,
            )
            for number, name in enumerate(names)
        ]

        def look() -> None:
            if all(future.done() for future in futures):
                errors = [str(future.exception()) for future in futures if future.status == "error"]
                if len(errors) == len(futures):
                    raise BurnishError(
                        f"all {len(futures)} workers of {scheduler} ended with an error; the first: {errors[0]}"
                    )

        yield look


def work(order: dict[str, Any]) -> int:
    """What a worker of a cluster does: the same in a process of its own.  Raises `BurnishError` with what it said."""
    if not Path(order["folder"]).is_dir():
        raise ConfigurationError(
            f"{order['folder']} is not there: workers need the folder that `burnish bench` was started in, and the "
            f"data, under the same names"
        )
    with tempfile.TemporaryFile() as said:
        process = begin(order, said)
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise BurnishError(lines[-1] if lines else f"a worker ended with {code}")
    return code
