"""Commands that are killed at any instant, and what they leave, compared with what an undisturbed one leaves."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("kill_server.py")
#: What two runs of the same thing may differ in.
PASSING = frozenset(
    {
        *("seconds", "peak_memory_mb", "checkpoint", "checkpoint_dir", "environment", "made_in"),
        *("hostname", "command", "time", "started", "burnish"),
    }
)
#: Files that hold times or pickles, so that their bytes differ.
NOT_COMPARED = frozenset({"log.txt", "checkpoint.pth", "environment.json", "DONE"})


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    codes: list[int]
    changes: int
    seconds: float
    outputs: list[str]


class KillServer:
    """The process that forks commands (`kill_server.py`)."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.package = self._read()["ready"]

    def run(
        self,
        *commands: list[str],
        cwd: Path,
        after: float | None = None,
        at: int | None = None,
        gap: float = 0,
        warm: bool = False,
    ) -> Ended:
        """Carry out commands, all at once where there are several.

        warm: the server then imports what they imported, so that later ones are quicker.
        """
        assert self._process.stdin is not None
        request = {"commands": commands, "cwd": str(cwd), "after": after, "at": at, "gap": gap, "warm": warm}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**self._read())

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


@contextmanager
def kill_server(environment: dict[str, str]) -> Iterator[KillServer]:
    """A server for the length of a block."""
    server = KillServer({**environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})
    try:
        yield server
    finally:
        server.close()


def content_of(folder: Path) -> dict[str, Any]:
    """Every file below a folder by its name: what is in it, without what may differ between two runs."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(folder).as_posix()
        if path.name in NOT_COMPARED:
            found[name] = None
        elif path.suffix == ".json":
            found[name] = _lasting(json.loads(path.read_text(encoding="utf-8")))
        elif "resume" in path.parts:
            found[name] = None  # the state has the seconds in it
        else:
            found[name] = path.read_bytes()
    return found


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(part) for name, part in value.items() if name not in PASSING}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def differences(one: Path, other: Path) -> list[str]:
    """Names of files that only one folder has, or that are not the same in both; hidden ones count."""
    try:
        ours, theirs = content_of(one), content_of(other)
    except ValueError as error:
        return [f"unreadable: {error}"]
    return sorted(
        name
        for name in {*ours, *theirs}
        if name not in ours or name not in theirs or ours[name] != theirs[name]
    )


@dataclass
class Count:
    """Kills that were made, and what was wrong afterwards."""

    kills: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{len(self.wrong)} of {self.kills} wrong"


class Battery(ABC):
    """Kills of one kind of command.

    first: the command, with `{}` for the folder it writes.  again: what a user gives after a kill.
    """

    def __init__(self, server: KillServer, place: Path, name: str) -> None:
        self.server = server
        self.place = place
        self.name = name
        self.number = 0
        self._whole: Ended | None = None

    @abstractmethod
    def first(self, folder: str) -> list[str]:
        """The command that is killed."""

    def again(self, folder: str) -> list[str]:
        """By default the same."""
        return self.first(folder)

    def reference(self) -> tuple[Path, Ended]:
        """An undisturbed one, and how long it took."""
        if self._whole is None:
            self.server.run(self.first("warm"), cwd=self.place, warm=True)
            self._whole = self.server.run(self.first("whole"), cwd=self.place)
            assert self._whole.codes == [0], self._whole.outputs[0][-2000:]
        return self.place / "whole", self._whole

    def at_random(self, kills: int, seed: int) -> Count:
        """Kill at instants that are drawn evenly from the length of an undisturbed one."""
        whole, ended = self.reference()
        draw = random.Random(seed)
        instants = ({"after": draw.uniform(0, ended.seconds)} for _ in range(5 * kills))
        return self._count(whole, instants, kills)

    def at_changes(self, most: int | None = None, seed: int = 0) -> Count:
        """Kill at every change of a file or folder; at some of them only where there are more than `most`."""
        whole, ended = self.reference()
        points = list(range(1, ended.changes + 1))
        if most is not None and len(points) > most:
            points = sorted(random.Random(seed).sample(points, most))
        return self._count(whole, [{"at": point} for point in points])

    def last_changes(self, number: int) -> Count:
        """Kill at the last changes of files, where results are written and the run is marked as finished."""
        whole, ended = self.reference()
        return self._count(whole, [{"at": ended.changes - place} for place in range(number)])

    def _count(self, whole: Path, kills: Iterable[dict[str, Any]], enough: int | None = None) -> Count:
        """enough: how many kills; an instant after the end is none."""
        count = Count()
        for kill in kills:
            if count.kills == enough:
                break
            self.number += 1
            folder = f"k{self.number}"
            killed = self.server.run(self.first(folder), cwd=self.place, **kill)
            if killed.codes != [-9]:
                continue
            count.kills += 1
            ended = self.server.run(self.again(folder), cwd=self.place)
            wrong = differences(whole, self.place / folder)
            if ended.codes != [0] or wrong:
                last = ended.outputs[0].strip().splitlines()
                said = (
                    next((line for line in reversed(last) if "rror" in line), "")
                    if ended.codes != [0]
                    else ""
                )
                count.wrong.append(f"{kill}: exit {ended.codes[0]}, {said[:150]} differ: {wrong[:4]}")
        return count


class Bench(Battery):
    """A comparison whose arm begins from a base."""

    def first(self, folder: str) -> list[str]:
        return ["bench", "plan.yaml", "--runs", folder, "-q"]


class RunAndResume(Battery):
    """One run into a folder, gone on with by `--resume`."""

    more: tuple[str, ...] = ()

    def first(self, folder: str) -> list[str]:
        return ["run", "--config-files", "run.yaml", "--output", folder, "-q", *self.more]

    def again(self, folder: str) -> list[str]:
        if (self.place / folder / "run.json").is_file():
            return ["run", "--resume", folder, "-q"]
        return self.first(folder)


def write_world(place: Path) -> None:
    """A data set, a plan and a configuration whose runs take a fraction of a second."""
    draw = random.Random(5)
    (place / "dataset" / "tiny").mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(40):
        for item in draw.sample(range(30), 12):
            lines.append(f"u{user}\ti{item}\t{draw.randint(1, 5)}\t{draw.randint(1, 10**6)}")
    (place / "dataset" / "tiny" / "tiny.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scores = [
        "item_id\ta\tb",
        *(f"i{item}\t{draw.randint(0, 9)}\t{draw.randint(0, 9)}" for item in range(30)),
    ]
    (place / "scores.tsv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    options = {
        "epochs": 3,
        "embedding_size": 8,
        "train_batch_size": 64,
        "eval_batch_size": 4096,
        "metrics": ["NDCG"],
        "topk": [5],
        "valid_metric": "NDCG@5",
        "use_gpu": False,
        "data_path": str((place / "dataset").absolute()),
    }
    guided = {"guided": {"scores": "scores.tsv", "base": "auto"}}
    plan = {
        "name": "kills",
        "dataset": "tiny",
        "backbones": ["BPR"],
        "arms": {"guided": guided},
        # One floor with trials stands for all of them, whose trials would be most of the changes.
        "floors": {"EASE": {"tune": {"reg_weight": [10.0, 100.0]}}},
        "seeds": [1],
        "options": options,
        "threads": 1,
        "runs": "runs",
    }
    run = {"model": "BPR", "dataset": "tiny", **options, "threads": 1}
    for name, content in (
        ("plan.yaml", plan),
        ("run.yaml", run),
        ("guided.yaml", {**run, "enhancers": guided}),
    ):
        (place / name).write_text(json.dumps(content), encoding="utf-8")


def main(kills: int, folder: Path) -> None:
    """Count by hand: `python tests/support/killing.py 100 FOLDER`."""
    import os

    folder.mkdir(parents=True)
    write_world(folder)
    with kill_server(dict(os.environ)) as server:
        print("package:", server.package, flush=True)
        kinds: list[tuple[str, Battery]] = [
            ("bench", Bench(server, folder / "bench", "bench")),
            ("run and resume", RunAndResume(server, folder / "run", "run")),
        ]
        for name, battery in kinds:
            write_world(battery.place)
            for what, count in (
                ("at random instants", battery.at_random(kills, seed=1)),
                ("at every change of a file", battery.at_changes()),
            ):
                print(f"{name}, killed {what}: {count}", *count.wrong, sep="\n  ", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
