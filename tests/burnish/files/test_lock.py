"""Locks die with their process, refuse or wait, and leave nothing; what killed processes left is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from burnish.errors import ConfigurationError, DataError
from burnish.files.lock import locked, release_dead
from burnish.files.processes import host, passing_folder, start_of
from burnish.files.whole import remove_leftovers, save_tensors, write_text, written_whole
from burnish.files.whole_folder import folder_written_whole, remove_leftovers_below

HOLD = """
import sys
from pathlib import Path
from burnish.files.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(lock: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(lock)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def make_link(lock: Path, thesis: Path) -> None:
    lock.symlink_to(thesis)


def make_hard_link(lock: Path, thesis: Path) -> None:
    lock.hardlink_to(thesis)


def make_file(lock: Path, thesis: Path) -> None:
    lock.write_text("notes of somebody")


def make_link_to_nothing(lock: Path, thesis: Path) -> None:
    lock.symlink_to(thesis.with_name("new"))


def make_pipe(lock: Path, thesis: Path) -> None:
    os.mkfifo(lock)


def make_folder_there(lock: Path, thesis: Path) -> None:
    lock.mkdir()


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize(
    "make", [make_link, make_link_to_nothing, make_hard_link, make_file, make_pipe, make_folder_there]
)
@pytest.mark.parametrize("busy", ["{holder} has it", None])
def test_what_is_no_lock_is_refused_and_left(
    make: Callable[..., None], busy: str | None, tmp_path: Path
) -> None:
    thesis, lock = tmp_path / "thesis", tmp_path / ".lock"
    thesis.write_text("my thesis")
    make(lock, thesis)
    before = lock.read_text() if lock.is_file() else None
    with (
        pytest.raises(DataError, match=r"\.lock should be the lock of a process .*, and is "),
        locked(lock, busy=busy),
    ):
        pass
    release_dead(lock)  # neither removes it
    assert thesis.read_text() == "my thesis"
    assert os.path.lexists(lock)
    assert before is None or lock.read_text() == before
    assert not (tmp_path / "new").exists()


def test_the_file_that_a_killed_holder_left_is_taken(tmp_path: Path) -> None:
    for content in ("", "123\n", "4194304\n"):
        (tmp_path / ".lock").write_text(content)
        with locked(tmp_path / ".lock", busy="taken"):
            pass
        assert not (tmp_path / ".lock").exists()


def test_a_second_holder_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    process = holder(lock)
    try:
        with (
            pytest.raises(ConfigurationError, match=f"process {process.pid} has it"),
            locked(lock, busy="{holder} has it"),
        ):
            pass
        release_dead(lock)
        assert lock.exists()  # it is not dead
    finally:
        kill(process)
    assert lock.exists()
    with (
        locked(lock, busy="taken"),
        pytest.raises(ConfigurationError, match="taken"),
        locked(lock, busy="taken"),
    ):
        pass  # the same process cannot hold it twice
    assert not list(tmp_path.iterdir())


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    process = holder(lock)
    told: list[str] = []

    def release(who: str) -> None:
        told.append(who)
        kill(process)

    with locked(lock, waiting=release):
        assert told == [f"process {process.pid}"]
    assert not lock.exists()


def test_a_lock_that_its_last_holder_removed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.files import lock as module

    lock = tmp_path / ".lock"
    inner, calls = module._take, [0]

    def take(handle: int) -> bool:
        calls[0] += 1
        if calls[0] == 1:
            lock.unlink()  # released by another process, after this one opened it
        return inner(handle)

    monkeypatch.setattr(module, "_take", take)
    with locked(lock):
        assert calls == [2]
        assert lock.exists()


def test_many_at_once_exclude_each_other(tmp_path: Path) -> None:
    """A lock's file is removed at each release: whoever opened the old one must not take it for the new one."""
    inside: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        for _ in range(30):
            with locked(tmp_path / ".lock"):
                inside.append(1)
                most = max(most, len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not list(tmp_path.iterdir())


def test_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    me, other_process = os.getpid(), os.getppid()
    kept = [
        f".a.json.{host()}-{other_process}-{start_of(other_process)}",
        ".a.json.elsewhere-1-1",
        f".a.json.{me}",
        ".hidden",
        ".b.lock.txt",
        "a.json.1",
    ]
    dead = [f".a.json.{host()}-{me}-1", f".a.json.{host()}-99999999-{start_of(me)}", ".a.json.99999999"]
    for name in [*kept, *dead]:
        (tmp_path / name).write_text("half")
    other = tmp_path / f".b.json.{host()}-99999999-5"
    other.write_text("half")
    write_text(tmp_path / "a.json", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, other.name, "a.json"])
    remove_leftovers(tmp_path)
    assert not other.exists()
    passing = tmp_path / f"burnish-base-{host()}-99999999-5-abc"
    passing.mkdir()
    with passing_folder("base", tmp_path) as folder:
        assert folder.is_dir()
        assert not passing.exists()
    assert not folder.exists()


def test_tensors_of_a_killed_process_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors writes under a passing name that says nothing of its process: within a folder that does."""
    import safetensors.torch

    save_file, places = safetensors.torch.save_file, []

    def watched(tensors: Any, path: Path, metadata: dict[str, str]) -> None:
        places.append(path.parent)
        save_file(tensors, path, metadata)

    monkeypatch.setattr(safetensors.torch, "save_file", watched)
    left = tmp_path / f".tensors.a.safetensors.{host()}-99999999-5"
    other = tmp_path / f".tensors.b.safetensors.{host()}-99999999-5"
    for folder in (left, other):
        folder.mkdir()
        (folder / ".tmpaB3xYz").write_text("half")
    with written_whole(tmp_path / "a.safetensors") as beside:
        save_tensors(beside, {"x": torch.ones(2)}, {"a": "b"})
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [other.name]
    (place,) = places
    assert place.parent == tmp_path
    assert place.name.startswith(".tensors.a.safetensors.")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "a.safetensors"]
    remove_leftovers_below(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_tree_is_cleaned_with_its_locks(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / f".partial-x@{host()}-99999999-5").mkdir()
    (deep / ".x.lock").write_text("99999999\n")
    (deep / f".c.json.{host()}-99999999-5").write_text("")
    process = holder(deep / ".held.lock")
    try:
        assert remove_leftovers_below(tmp_path) == [deep / f".partial-x@{host()}-99999999-5"]
        assert [path.name for path in deep.iterdir()] == [".held.lock"]
    finally:
        kill(process)
    assert remove_leftovers_below(tmp_path) == []
    assert not list(deep.iterdir())
    assert remove_leftovers_below(tmp_path / "nothing") == []


def test_the_quicker_of_two_folders_stands(tmp_path: Path) -> None:
    place = tmp_path / "run"

    def is_whole(folder: Path) -> bool:
        return (folder / "DONE").is_file()

    place.mkdir()
    (place / "half").write_text("")
    with folder_written_whole(place, is_whole) as slow:
        os.rename(slow, tmp_path / "slow")  # another process has a name of its own
        with folder_written_whole(place, is_whole) as quick:
            (quick / "DONE").write_text("quick")
        os.rename(tmp_path / "slow", slow)
        (slow / "DONE").write_text("slow")
    assert [path.name for path in place.iterdir()] == ["DONE"]
    assert (place / "DONE").read_text() == "quick"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_devices_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a device or a pipe"), written_whole(Path("/dev/null")):
        pass
