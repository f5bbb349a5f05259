"""Own classes on the command line: each verb takes where they are, and imports nothing that only a folder names."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_world import imports_as_before, write_own
from typer.testing import CliRunner, Result

from burnish.cli import run as run_verb
from burnish.cli.main import app

from .conftest import write_tiny

runner = CliRunner()
SMALL = ["--epochs", "2", "--embedding_size", "8", "--threads", "1"]
CONFIG = """
model: mine.py:Tower
dataset: tiny
enhancers: {sharp.py:Sharper: {power: 2.0}}
epochs: 2
embedding_size: 8
threads: 1
"""


def burnish(*words: str) -> Result:
    """A verb as in a new process."""
    with imports_as_before():
        return runner.invoke(app, list(words))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, data, and runs of them: `plain`, and `both` with the enhancer, from a file."""
    folder = write_own(tmp_path_factory.mktemp("work"))
    write_tiny(folder)
    (folder / "my.yaml").write_text(CONFIG)
    before = os.getcwd()
    os.chdir(folder)
    try:
        done = burnish("run", "--model", "mine.py:Tower", "--dataset", "tiny", *SMALL, "--output", "plain")
        assert done.exit_code == 0, done.output
        assert "Tower on tiny; attached: nothing" in done.stderr
        assert "its code is run" not in done.stderr  # it was typed
        done = burnish("run", "--config-files", "my.yaml", "--output", "both")
        assert done.exit_code == 0, done.output
        assert "warning: my.yaml names mine.py:Tower: its code is run" in done.stderr
        assert "warning: my.yaml names sharp.py:Sharper: its code is run" in done.stderr
        assert "Tower on tiny; attached: sharper(power=2.0)" in done.stderr
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def _there(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(made)
    with imports_as_before():
        yield


def test_options_of_an_own_enhancer() -> None:
    words = ["--model", "BPR", "--dataset", "tiny", *SMALL, "--enhancers", "sharp.py:Sharper"]
    done = burnish("run", *words, "--enhancers.sharper.power", "3.0", "--output", "sharp")
    assert "attached: sharper(power=3.0)" in done.stderr
    assert json.loads(Path("sharp/run.json").read_text())["enhancers"] == {"sharper": {"power": 3.0}}
    done = burnish("run", *words, "--enhancers.sharper.powr", "3.0")
    assert done.exit_code == 2
    assert "Did you mean 'power'?" in done.stderr


READING = {
    "recommend": ["plain", "--users", "u1", "--k", "2"],
    "explain": ["--run", "plain", "--user", "u1"],
    "export": ["plain", "--output", "items.csv"],
    "value": ["--run", "plain", "--repeats", "1"],
    "bake": ["plain", "--output", "baked.pth"],
}


@pytest.mark.parametrize("verb", READING)
def test_verbs_that_read_a_run(verb: str) -> None:
    words = READING[verb]
    refused = burnish(verb, *words)
    assert refused.exit_code == 2
    assert "mine:Tower, which is not loaded" in refused.stderr
    assert "--model mine.py:Tower" in refused.stderr  # both cures
    assert "--trust" in refused.stderr
    if verb == "bake":  # of a plain model there is nothing to bake
        words = ["both", *words[1:]]
    for cure in (["--model", "mine.py:Tower"], ["--trust"], ["--model", "mine:Tower", "--trust"]):
        if verb == "bake":
            cure = [*cure, "--trust"] if "--trust" not in cure else cure
        done = burnish(verb, *words, *cure)
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("verb", ["profiles", "aggregate"])
def test_verbs_that_this_model_has_nothing_for(verb: str) -> None:
    """They get as far as that."""
    words = {"aggregate": ["plain", "--output", "hops"]}
    for cure in (["--model", "mine.py:Tower"], ["--trust"]):
        done = burnish(verb, *words.get(verb, ["plain"]), *cure)
        assert done.exit_code == 2
        assert "not loaded" not in done.stderr, done.stderr
        assert any(said in done.stderr for said in ("keyword profiles", "does not go with"))


def test_another_model_than_the_run_s() -> None:
    done = burnish("recommend", "plain", "--model", "BPR")
    assert "the run was made with mine:Tower, not with BPR" in done.stderr
    done = burnish("value", "--run", "plain", "--model", "sharp.py:Sharper")
    assert "is an enhancer, not a backbone" in done.stderr


def test_going_on() -> None:
    more = ["--resume", "both", "--epochs", "3"]
    refused = burnish("run", *more, "--model", "mine.py:Tower")
    assert "'sharper' is the class sharp:Sharper, which is not loaded" in refused.stderr
    assert "--enhancers sharp.py:Sharper" in refused.stderr
    done = burnish("run", *more, "--model", "mine.py:Tower", "--enhancers", "sharp.py:Sharper")
    assert done.exit_code == 0, done.output
    assert "attached: sharper(power=2.0)" in done.stderr  # as it was
    done = burnish("run", "--resume", "both", "--epochs", "4", "--trust")
    assert done.exit_code == 0, done.output


def test_after_ctrl_c_the_command_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_verb, "train", stopped)
    monkeypatch.setattr("burnish.training.state.saved_states", lambda folder: [(1, folder)])
    words = ["--model", "mine.py:Tower", "--enhancers", "sharp.py:Sharper", "--dataset", "tiny"]
    done = burnish("run", *words, "--output", "new folder")
    cure = shlex.join(["burnish", "run", "--resume", "new folder", *words[:4]])
    assert f"go on with: {cure}" in done.stderr


def test_verbs_that_look_at_data() -> None:
    done = burnish("paths", "graph", "--dataset", "tiny", "--backbone", "mine.py:Tower")
    assert done.exit_code == 0, done.output
    done = burnish("paths", "graph", "--config-files", "my.yaml")
    assert done.exit_code == 0, done.output
    assert "my.yaml names mine.py:Tower: its code is run" in done.stderr


def test_enhancers_describes_one_of_ones_own() -> None:
    done = burnish("enhancers", "sharp.py:Sharper")
    assert "sharper (from sharp)" in done.stdout
    assert "how much more frequent users count" in done.stdout
    assert burnish("--quiet", "enhancers", "sharp.py:Sharper").stdout == "sharper\n"


def test_a_plan() -> None:
    Path("plan.yaml").write_text(
        "dataset: tiny\nbackbones: [mine.py:Tower]\narms: {sharp: sharp.py:Sharper}\nseeds: 1\nfloors: [Pop]\n"
        "options: {epochs: 1, embedding_size: 8, metrics: [NDCG], valid_metric: NDCG@10, topk: [10]}\n"
    )
    done = burnish("bench", "plan.yaml")
    assert done.exit_code == 0, done.output
    assert "warning: plan.yaml names mine.py:Tower: its code is run" in done.stderr
    assert sorted(path.name for path in Path("runs/tiny").iterdir()) == ["Tower", "floors"]
    assert not [name for name in ("mine", "sharp") if name in sys.modules]
    assert "Tower" in burnish("report", "runs").stdout
