"""A shell in which the blocks of a page are run as a reader pastes them, in less time than they would take a reader.

bash runs a block.  Its `burnish` and `python` ask a process in which everything is imported already to fork: a command
costs what it does, and not the seconds of its imports.  What trains does so for one epoch, and of a plan there are
one backbone, two arms and one seed.  Nothing else differs from what a reader gets.
"""

from __future__ import annotations

import array
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

#: What stands for `burnish` and `python`: it hands its words, folder, variables and streams on, and ends as told.
_ASKING = """#!{python} -SE
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    asked = json.dumps([[{name!r}, *sys.argv[1:]], os.getcwd(), dict(os.environ)]).encode()
    streams = array.array("i", [0, 1, 2])
    line.sendmsg([len(asked).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    line.sendall(asked)
    sys.exit(int(line.recv(8) or b"70"))
"""


class Shell:
    """bash with such commands.  Use as a context."""

    def __init__(self) -> None:
        self.folder = Path(
            tempfile.mkdtemp(prefix="shell-")
        )  # short: addresses of sockets may have 100 characters
        address = str(self.folder / "address")
        commands = self.folder / "bin"
        commands.mkdir()
        for name in ("burnish", "python", "python3"):
            file = commands / name
            file.write_text(
                _ASKING.format(python=sys.executable, address=address, name=name), encoding="utf-8"
            )
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        self.variables = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "160",
            "OMP_NUM_THREADS": "1",
        }
        self.server = subprocess.Popen(
            [sys.executable, __file__, address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=self.variables,
        )

    def __enter__(self) -> Shell:
        assert self.server.stdout is not None
        if self.server.stdout.readline() != b"ready\n":
            raise RuntimeError("the process that runs commands did not start")
        return self

    def __exit__(self, *error: object) -> None:
        self.server.kill()
        self.server.wait()
        assert self.server.stdout is not None
        self.server.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, lines: str, folder: Path) -> tuple[int, str]:
        """Run lines in a folder, to the first command that fails.  Returns how they ended, and all they said."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


# ------------------------------------------------------------------ in less time


def in_less_time(words: list[str], folder: Path) -> list[str]:
    """The words of a command, for one epoch; those of `bench`, with a smaller plan that is written into the folder."""
    if words[1:2] == ["bench"]:
        return [word if place != 2 else str(_smaller(word, folder)) for place, word in enumerate(words)]
    trains = words[1:2] == ["run"] or (words[1:2] == ["value"] and {"--model", "-m"} & set(words))
    if not trains or "--resume" in words:
        return words
    kept = [
        word for before, word in zip(["", *words], words, strict=False) if "--epochs" not in (before, word)
    ]
    return [*(word for word in kept if not word.startswith("--epochs=")), "--epochs", "1"]


def _smaller(name: str, folder: Path) -> Path:
    import yaml

    from burnish.cli.bench import find_plan

    file = folder / name
    if not file.is_file():
        file = find_plan(name)
    plan: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    first = plan["backbones"][0]
    plan["backbones"] = [
        first if isinstance(first, str) else {k: v for k, v in first.items() if k != "seeds"}
    ]
    plan["arms"] = dict(list((plan.get("arms") or {}).items())[:2])
    plan["options"] = (plan.get("options") or {}) | {"epochs": 1}
    plan |= {"seeds": [1], "floors": ["Pop"], "threads": 1}
    plan.pop("tune", None)
    smaller = folder / f"smaller-{file.name}"
    smaller.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return smaller


# ------------------------------------------------------------------ the process that forks


def serve(address: str) -> None:
    """Fork for each command that is asked for."""
    import burnish  # noqa: I001  (before RecBole, which it mends)
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import recbole.quick_start  # noqa: F401
    import torch

    import burnish.benchmarks.harness.grid
    import burnish.cli.main
    import burnish.data.calls
    import burnish.trained.explain
    import burnish.training.train  # noqa: F401

    torch.set_num_threads(1)
    for name in _imported_by_a_run():
        with suppress(Exception):  # some are made at run time, and have no file
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever asked is told by the child itself
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            line, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(line)
            line.close()


def _imported_by_a_run() -> list[str]:
    """What a run imports when it is needed: found in a process of its own, as a step of autograd forbids to fork."""
    read, write = os.pipe()
    if os.fork() == 0:
        before = set(sys.modules)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            for words in (
                "run -m BPR -d ml-100k -e guided,softmax --epochs 1 --output out",
                "recommend out --users 196",
            ):
                _ended(["burnish", *words.split()])
        with os.fdopen(write, "w") as pipe:
            json.dump(sorted(set(sys.modules) - before), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        names: list[str] = json.load(pipe)
    os.wait()
    return names


def _answer(line: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = array.array("i")
    size, extra, _, _ = line.recvmsg(4, socket.CMSG_LEN(3 * streams.itemsize))
    streams.frombytes(extra[0][2])
    content = b""
    while len(content) < int.from_bytes(size, "big"):
        content += line.recv(1 << 16)
    words, folder, variables = json.loads(content)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    status = _ended(words)
    sys.stdout.flush()
    sys.stderr.flush()
    line.sendall(str(status).encode())
    os._exit(0)


def _ended(words: list[str]) -> int:
    try:
        _carry_out(words)
    except SystemExit as asked:
        if isinstance(asked.code, str):
            print(asked.code, file=sys.stderr)
        return asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _carry_out(words: list[str]) -> None:
    if words[0] == "burnish":
        from burnish.cli.main import main

        sys.argv = in_less_time(words, Path.cwd())
        main()
    elif words[1:2] == ["-m"]:
        sys.argv = words[2:]
        sys.path.insert(0, "")
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words[1:]
        sys.path.insert(0, str(Path(words[1]).resolve().parent))
        runpy.run_path(words[1], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
