"""The checks as docs/attach.md says to call them, pasted: into a script without a guard, a notebook, a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from own_world import write_own
from pages import blocks

from burnish.enhancers.conformance import check_enhancer, definitions

SNIPPET, IN_A_TEST = blocks("attach.md", "Checking your own", "python")


def said_by(words: list[str], folder: Path, given: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        input=given,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_in_a_script_without_a_guard(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(SNIPPET, encoding="utf-8")
    lines = said_by(["check.py"], tmp_path).splitlines()
    assert len(lines) == 2 * len(definitions())
    other = [line for line in lines if " passed " not in line]
    assert len(other) == 2
    for line, name in zip(other, ("Constant", "Tower"), strict=True):
        assert f"two processes not applicable {name} is defined in a script or notebook" in line
        assert "put it into a file of its own" in line


def test_in_a_notebook(tmp_path: Path) -> None:
    """What comes by standard input is of no file, as a notebook's cells are."""
    few = SNIPPET.replace('backbones=["BPR"]', 'backbones=["BPR"], only=["attaches", "two processes"]')
    few = few.replace('category="general"', 'category="general", only=["attaches"]')
    lines = said_by(["-"], tmp_path, few).splitlines()
    assert [line.split()[1] for line in lines] == ["attaches", "two", "attaches"]
    assert "not applicable" in lines[1]


def test_in_a_test(tmp_path: Path) -> None:
    (write_own(tmp_path) / "test_mine.py").write_text(IN_A_TEST, encoding="utf-8")
    said = said_by(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py", "-k", "attaches or bakes"], tmp_path
    )
    assert "2 passed" in said


def test_two_processes_import_what_a_file_defines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from own_world import imports_as_before

    from burnish.enhancers.registry import find_enhancer

    monkeypatch.chdir(write_own(tmp_path))
    with imports_as_before():
        enhancer = find_enhancer("sharp.py:Sharper")()
        (check,) = check_enhancer(enhancer, backbones=["mine.py:Tower"], only=["two processes"])
        assert check().status == "passed"
        # A process that fails is told, not waited for.
        (tmp_path / "sharp.py").write_text("raise ValueError('not today')\n")
        with pytest.raises(AssertionError, match=r"a process of two ended with 1: [\s\S]*not today"):
            check()
