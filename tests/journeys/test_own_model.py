"""A model class of one's own, from the shell: trained, compared, and recommending, as docs/backbones.md shows it."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks

PAGE = ("backbones.md", "A model of your own")


def smaller(text: str) -> str:
    """What the page says, on a small data set and for one epoch and seed."""
    for old, new in (("ml-100k", "small"), ("epochs 5", "epochs 1"), ("epochs: 5", "epochs: 1")):
        text = text.replace(old, new)
    return text.replace("seeds: 2", "seeds: 1")


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of the page, on a small data set, in a process of its own."""
    words = shlex.split(smaller(command).replace("196,186", "u1,u2"))
    done = subprocess.run(
        [sys.executable, "-m", "burnish", *words[1:]],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh folder with what the page says to write, and data."""
    for language in ("python", "yaml"):
        text = blocks(*PAGE, language)[0]
        name = text.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(smaller(text), encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py", "plan.yaml"]
    write_small(tmp_path / "dataset" / "small")
    return tmp_path


def write_small(folder: Path) -> None:
    """Two groups of users, who like two groups of items."""
    folder.mkdir(parents=True)
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(30):
        rows += [f"u{user}\ti{(user % 2) * 15 + (user * 3 + step * 2) % 15}\t{step}" for step in range(10)]
    (folder / "small.inter").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_the_page_from_shell_to_bench_to_recommend(folder: Path) -> None:
    run, bench, recommend = blocks(*PAGE, "sh")[0].splitlines()
    done = shell(f"{run} --threads 1", folder)
    assert "Tower on small; attached: nothing" in done.stderr
    content = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    assert content["model"] == "mine:Tower"

    done = shell(bench, folder)
    assert "plan.yaml names mine.py:Tower: its code is run" in done.stderr
    assert {path.name for path in (folder / "runs" / "small").iterdir()} == {"BPR", "Tower", "floors"}
    assert "failed" not in done.stderr
    for name in ("BPR", "Tower", "softmax", "Pop"):
        assert name in done.stdout

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    words = recommend.replace("out", "../out").replace("mine.py", "../mine.py")
    done = shell(f"{words} --format csv", elsewhere)  # from another working directory
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["user_id" if "user_id" in row else "user"] for row in rows] == ["u1"] * 5 + ["u2"] * 5


def test_the_page_s_sequential_class(folder: Path) -> None:
    text = blocks(*PAGE, "python")[1]
    name = text.partition("\n")[0].removeprefix("# ")
    (folder / name).write_text(text, encoding="utf-8")
    done = shell(
        f"burnish run --model {name}:Gru --dataset ml-100k --embedding_size 8 --epochs 5 --threads 1", folder
    )
    assert "Gru on small; attached: nothing" in done.stderr
