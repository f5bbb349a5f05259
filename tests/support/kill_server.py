"""Runs `burnish` commands in forks of a process that has the heavy imports behind it, and kills them on request.

Reads one request a line on standard input, answers with one line on standard output (both JSON):
`{"commands": [["run", ...], ...], "cwd": ..., "after": seconds or null, "at": n or null, "gap": seconds}`.

after: SIGKILL after so long.  at: SIGKILL just before the n-th change of a file or folder (from 1); a file that would
be opened for writing there is left empty, as a kill between opening and writing leaves it.  gap: between two commands.
warm: import here what the command imported.
The answer: `{"codes": [exit code, -9 for a kill], "changes": changes of files, "seconds": ..., "outputs": [...]}`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
#: Imported before the first fork; burnish's come first, as they mend what RecBole imports.
HEAVY = (
    "burnish.training.train",
    "burnish.training.run",
    "burnish.cli.main",
    "burnish.benchmarks.harness.grid",
    "burnish.benchmarks.harness.tables",
    "burnish.enhancers.guided.guided",
    "recbole.quick_start",
    "recbole.model.general_recommender",
    "pyarrow.parquet",
)


def main() -> None:
    import burnish

    for name in HEAVY:
        importlib.import_module(name)
    print(json.dumps({"ready": burnish.__file__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    children = []
    for number, command in enumerate(request["commands"]):
        if number:
            time.sleep(request.get("gap") or 0)
        output = tempfile.NamedTemporaryFile(prefix="output-", delete=False)  # noqa: SIM115
        pid = os.fork()
        if not pid:
            child(command, request, output.name)
        children.append((pid, Path(output.name)))
    if request.get("after") is not None:
        wait_and_kill([pid for pid, _ in children], request["after"])
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children]
    seconds = time.perf_counter() - started
    outputs = []
    for _, path in children:
        outputs.append(path.read_text(encoding="utf-8", errors="replace"))
        path.unlink()
    if request.get("warm"):
        warm_up(outputs[0])
    changes = [
        int(text.rsplit("changes of files: ", 1)[-1]) if "changes of files: " in text else 0
        for text in outputs
    ]
    return {"codes": codes, "changes": changes[0], "seconds": seconds, "outputs": outputs}


def warm_up(output: str) -> None:
    """Import what a child imported."""
    for name in output.rsplit("modules: ", 1)[-1].split("changes of files")[0].split():
        with contextlib.suppress(BaseException):
            importlib.import_module(name)


def wait_and_kill(pids: list[int], after: float) -> None:
    end = time.perf_counter() + after
    while time.perf_counter() < end:
        if all(over(pid) for pid in pids):
            return
        time.sleep(min(0.002, max(0.0, end - time.perf_counter())))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def over(pid: int) -> bool:
    """Whether a child has ended; it stays there to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def child(command: list[str], request: dict[str, Any], output: str) -> None:
    """Never returns."""
    code = 1
    try:
        handle = os.open(output, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(handle, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        count = count_changes(request.get("at"))
        code = carry_out(command)
        sys.stdout.flush()
        sys.stderr.flush()
        modules = f"modules: {' '.join(sys.modules)}\n" if request.get("warm") else ""
        os.write(2, f"\n{modules}changes of files: {count[0]}\n".encode())
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def carry_out(command: list[str]) -> int:
    from burnish.cli.main import app

    sys.argv = ["burnish", *command]
    try:
        app(command, standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def count_changes(at: int | None) -> list[int]:
    count = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and opens_for_writing(arguments)
        if not writes and event not in CHANGES:
            return
        count[0] += 1
        if count[0] != at:
            return
        if writes:
            count[0] = -(10**9)  # the call below is an event too
            os.close(os.open(arguments[0], arguments[2] & ~os.O_EXCL, 0o644))
        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def opens_for_writing(arguments: tuple[Any, ...]) -> bool:
    path, _, flags = arguments
    if not isinstance(path, str | bytes | os.PathLike) or os.fspath(path) == os.devnull:
        return False
    if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return False
    return not str(os.fspath(path)).startswith(("/dev/", "/proc/"))


if __name__ == "__main__":
    main()
