"""`burnish doctor` prints what the engine found, and its exit code says whether something is wrong."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burnish import doctor as engine
from burnish.cli.main import app

runner = CliRunner()
WIDE = {"COLUMNS": "200"}


@pytest.fixture
def sound(tmp_path: Path) -> engine.Report:
    """A report on an environment in which nothing is wrong."""
    return engine.Report(
        python="3.11.7",
        executable="/env/bin/python",
        system="Linux",
        packages={"burnish": "0.1.0", "torch": "2.13.0", "dgl": None},
        broken={},
        mends=(engine.MendStatus("torch-load", "torch >= 2.6", "no checkpoint [can] be read", "active"),),
        threads=engine.Threads(cores=4, torch=2, load=0.5, variables={"OMP_NUM_THREADS": "2"}),
        devices=("cpu (4 cores)",),
        extras={"dev": ("ruff",), "text": ()},
        folder=engine.Folder(str(tmp_path), True, 12.5),
        findings=(engine.Finding(engine.Level.NOTE, "ray does not import", "Nothing to do."),),
    )


def use(monkeypatch: pytest.MonkeyPatch, report: engine.Report) -> list[Path]:
    """Let the verb find this report; the list receives the folders that were asked about."""
    asked: list[Path] = []

    def examine(folder: Path) -> engine.Report:
        asked.append(folder)
        return report

    monkeypatch.setattr(engine, "examine", examine)
    return asked


def test_a_sound_environment(monkeypatch: pytest.MonkeyPatch, sound: engine.Report) -> None:
    asked = use(monkeypatch, sound)
    shown = runner.invoke(app, ["doctor", "--folder", "there"], env=WIDE)
    assert shown.exit_code == 0
    assert asked == [Path("there")]
    for text in (
        "2.13.0",
        "/env/bin/python",
        "torch-load",
        "no checkpoint [can] be read",
        "torch 2, cores 4, load 0.5, OMP_NUM_THREADS=2",
        "missing: ruff",
        "burnish[text]",
        "writable, 12 GiB free",
        "note: ray does not import",
        "nothing is wrong",
    ):
        assert text in shown.stdout, text


def test_a_problem_comes_with_its_cure_on_one_line(
    monkeypatch: pytest.MonkeyPatch, sound: engine.Report
) -> None:
    cure = "pip install --force-reinstall torch " + "--and-more " * 20
    problem = engine.Finding(engine.Level.PROBLEM, "RecBole is not installed.", cure)
    use(monkeypatch, dataclasses.replace(sound, findings=(problem, *sound.findings)))
    shown = runner.invoke(app, ["doctor"], env={"COLUMNS": "60"})
    assert shown.exit_code == 1
    assert "problem: RecBole is not installed." in shown.stdout
    assert f"   cure: {cure}" in shown.stdout
    assert "nothing is wrong" not in shown.stdout
    quiet = runner.invoke(app, ["doctor", "-q"], env=WIDE)
    assert quiet.exit_code == 1
    assert [line.split(":")[0].strip() for line in quiet.stdout.splitlines()] == ["problem", "cure"]


def test_quiet_and_sound_is_silent(monkeypatch: pytest.MonkeyPatch, sound: engine.Report) -> None:
    use(monkeypatch, sound)
    shown = runner.invoke(app, ["--quiet", "doctor"])
    assert (shown.exit_code, shown.output) == (0, "")


def test_json(monkeypatch: pytest.MonkeyPatch, sound: engine.Report) -> None:
    use(monkeypatch, sound)
    shown = runner.invoke(app, ["doctor", "--format", "json"])
    found = json.loads(shown.stdout)
    assert found["sound"] is True
    assert found["findings"] == [{"level": "note", "what": "ray does not import", "cure": "Nothing to do."}]
    assert runner.invoke(app, ["doctor", "--format", "xml"]).exit_code == 2


@pytest.mark.parametrize("missing", ["torch", "recbole", "numpy", "pandas"])
def test_without_what_it_reports(missing: str) -> None:
    """The verb itself must not need what it reports as missing."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['burnish', 'doctor', '--quiet'];"
        "from burnish.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "problem:" in done.stdout
    assert missing in done.stdout.lower()
    assert "cure: " in done.stdout
    assert "Traceback" not in done.stderr
