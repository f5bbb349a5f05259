"""A file is there whole or not at all, whatever comes between."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from burnish.errors import ConfigurationError
from burnish.files.whole import write_json, write_text, written_whole
from burnish.files.whole_folder import folder_written_whole


def test_what_was_written_takes_the_place(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.json"
    write_json(file, {"a": 1, "b": Path("x")})
    assert json.loads(file.read_text()) == {"a": 1, "b": "x"}
    with written_whole(file, durable=True) as beside:
        beside.write_bytes(b"other")
        assert file.read_text() != "other"
    assert file.read_bytes() == b"other"
    assert [path.name for path in file.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "before")
    with pytest.raises(type(error)), written_whole(file) as beside:  # noqa: PT012
        beside.write_text("half")
        raise error
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    link = tmp_path / "folder" / "a.txt"
    link.parent.mkdir()
    link.symlink_to(outside)
    write_text(link, "mine")
    assert outside.read_text() == "kept"
    assert link.read_text() == "mine"
    assert not link.is_symlink()


def test_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="is a folder; give the name of a file"):
        write_text(tmp_path, "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be written \((Not a directory|File exists)\)"):
        write_text(tmp_path / "file" / "a.txt", "x")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigurationError, match=r"a.txt cannot be written \(No space left on device\)"):
        write_text(tmp_path / "a.txt", "x")
    assert not list(tmp_path.glob(".*"))


def test_errors_of_other_files_go_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "deep" / "a.txt"):
        (tmp_path / "elsewhere" / "b.txt").read_text()


@pytest.mark.parametrize(
    "error", [TimeoutError("server gone"), FileNotFoundError(2, "No such file", "scores.tsv")]
)
def test_other_errors_are_not_taken_for_a_refusal_to_write(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, written_whole(tmp_path / "a.txt"):
        raise error
    assert caught.value is error
    assert not list(tmp_path.iterdir())


def fail_at(path: Path) -> None:
    """Write half of a file, and stop."""
    with written_whole(path) as beside:
        beside.write_text("half")
        raise RuntimeError


def test_a_failure_takes_the_folder_that_it_made_with_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_at(tmp_path / "new" / "inner" / "file.txt")
    assert list(tmp_path.iterdir()) == []
    write_text(tmp_path / "new" / "file.txt", "whole")
    with pytest.raises(RuntimeError):
        fail_at(tmp_path / "new" / "other.txt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.txt"]


#: A folder where nobody can make anything, root neither.
PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not PROC.joinpath("self").exists(), reason="a system without /proc")


@needs_proc
def test_a_place_of_the_systems_own_is_told_by_its_name() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    def pickle(beside: Path) -> None:
        torch.save({}, beside)

    def parquet(beside: Path) -> None:
        pq.write_table(pa.table({"a": [1]}), beside)

    for write in (lambda beside: beside.write_text("x"), pickle, parquet):
        with (
            pytest.raises(
                ConfigurationError, match=r"^/proc/c\.md cannot be written \(No such file"
            ) as caught,
            written_whole(PROC / "c.md") as beside,
        ):
            write(beside)
        assert ".c.md" not in str(caught.value)


@needs_proc
@pytest.mark.parametrize("place", ["g", "deep/g"])
def test_a_folder_in_a_place_of_the_systems_own(place: str) -> None:
    with (
        pytest.raises(
            ConfigurationError, match=rf"^/proc/{place} cannot be written \(No such file"
        ) as caught,
        folder_written_whole(PROC / place, Path.is_dir),
    ):
        pass
    assert "partial" not in str(caught.value)


def test_refusals_inside_a_folder_name_the_one_that_was_asked_for(tmp_path: Path) -> None:
    def refuse(where: str) -> None:
        with folder_written_whole(tmp_path / "g", Path.is_dir) as partial:
            if where == "file":
                (partial / "a.txt").mkdir()
                write_text(partial / "a.txt", "x")
            (partial / "a.txt").write_text("")
            raise PermissionError(13, "Permission denied", str(partial / "a.txt"))

    for where in ("file", "folder"):
        with pytest.raises(ConfigurationError) as caught:
            refuse(where)
        assert str(caught.value).startswith(f"{tmp_path / 'g'}")
        assert "partial" not in str(caught.value)
        assert not list(tmp_path.iterdir())
    with pytest.raises(PermissionError), folder_written_whole(tmp_path / "g", Path.is_dir):
        raise PermissionError(13, "Permission denied", "elsewhere")
