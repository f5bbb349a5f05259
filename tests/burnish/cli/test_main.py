"""Global behaviour: help, versions, exit codes, errors without tracebacks, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from burnish import __version__
from burnish.cli import failures
from burnish.cli.main import app
from burnish.errors import ConfigurationError, NonFiniteError, UnknownNameError

VERBS = ("run", "bench", "report", "models", "enhancers", "setup", "doctor")


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def flat(text: str) -> str:
    """Help text without frames and line breaks."""
    return " ".join(text.replace("│", " ").split())


def test_help_names_every_verb(runner: CliRunner) -> None:
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    for verb in VERBS:
        assert f" {verb} " in shown.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(runner: CliRunner, verb: str) -> None:
    shown = runner.invoke(app, [verb, "--help"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0
    assert "Example" in shown.stdout
    assert f"burnish {verb}" in flat(shown.stdout.split("Example", 1)[1])


def test_version(runner: CliRunner) -> None:
    shown = runner.invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"burnish {__version__} (Python {sys.version_info[0]}.")
    assert "recbole" in shown.stdout


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["run", "--seed", "five"], ["models", "--frob"], ["report"]]
)
def test_bad_usage_is_2(runner: CliRunner, words: list[str]) -> None:
    assert runner.invoke(app, words).exit_code == 2


def run_guarded(error: BaseException | None) -> CliRunner:
    """The result of a one-verb application whose verb raises `error`."""
    small = typer.Typer()

    @small.command()
    @failures.guarded
    def verb() -> None:
        if error is not None:
            raise error

    return CliRunner().invoke(small, [])  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (ConfigurationError("weight = -1: must not be negative"), 2),
        (UnknownNameError("enhancer 'x' is not known."), 2),
        (NonFiniteError("the loss is NaN"), 1),
        (RuntimeError("boom"), 1),
        (FileNotFoundError("gone"), 1),
        (KeyboardInterrupt(), 130),
        (typer.Exit(7), 7),
    ],
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, code: int) -> None:
    monkeypatch.delenv("BURNISH_DEBUG", raising=False)
    assert run_guarded(error).exit_code == code  # type: ignore[attr-defined]


def test_messages_without_and_with_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @failures.guarded
    def verb() -> None:
        raise ConfigurationError("weight = -1: must not be negative")

    monkeypatch.delenv("BURNISH_DEBUG", raising=False)
    with pytest.raises(typer.Exit):
        verb()
    assert capsys.readouterr().err == "error: weight = -1: must not be negative\n"
    monkeypatch.setenv("BURNISH_DEBUG", "1")
    with pytest.raises(typer.Exit):
        verb()
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("error: weight = -1: must not be negative\n")


def test_unexpected_errors_say_their_type_and_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @failures.guarded
    def verb() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setenv("BURNISH_DEBUG", "0")
    with pytest.raises(typer.Exit):
        verb()
    shown = capsys.readouterr().err
    assert shown.startswith("error: ZeroDivisionError: by zero")
    assert "BURNISH_DEBUG=1" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "words",
    [
        "run --model BPR --dataset ml-100k",
        "value --model BPR --dataset ml-100k",
        "recommend RUN",
        "explain --run RUN --user 1",
        "export RUN --out x.npz",
        "profiles RUN",
        "bench demo",
        "report RUN",
        "bake RUN --out x",
        "aggregate RUN --out x",
        "enhancers",
    ],
)
@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_every_verb_that_needs_a_broken_library_points_to_the_doctor(
    library: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text("raise OSError('libbroken.so: cannot open')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "BURNISH_DEBUG": "0"}
    (tmp_path / "RUN").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "burnish", *words.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "libbroken.so" in done.stderr
    assert "does not import" in done.stderr
    assert "`burnish doctor`" in done.stderr
    assert "Traceback" not in done.stderr


def test_warnings_are_one_line_and_libraries_are_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library = os.path.join("x", "site-packages", "torch", "y.py")

    @failures.guarded
    def verb() -> None:
        warnings.simplefilter("always")
        warnings.warn("option 'epoch' has no effect", UserWarning, stacklevel=1)
        warnings.warn_explicit("deprecated", FutureWarning, library, 1)
        warnings.warn_explicit("overflow", RuntimeWarning, library, 1)

    monkeypatch.delenv("BURNISH_DEBUG", raising=False)
    verb()
    assert capsys.readouterr().err.splitlines() == [
        "warning: option 'epoch' has no effect",
        "warning (RuntimeWarning): overflow",
    ]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_a_finaliser_swallows_stops_at_the_next_epoch() -> None:
    before = signal.getsignal(signal.SIGINT)
    lost = []

    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    @failures.guarded
    def verb() -> None:
        failures.stop_if_asked()
        one = Finalised()
        del one
        lost.append(True)  # the interrupt came, and nobody heard of it
        failures.stop_if_asked()

    with pytest.raises(typer.Exit) as stopped:
        verb()
    assert lost
    assert stopped.value.exit_code == failures.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before
    failures.stop_if_asked()  # forgotten with the verb


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_of_a_real_run_is_130(here: Path) -> None:
    command = [sys.executable, "-m", "burnish", "run", "-m", "BPR", "-d", "tiny", "--epochs", "10000"]
    command += ["--eval_step=100000", "-o", "out"]
    with subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if line.startswith("epoch 1 "))
            assert "of 10000" in line
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(timeout=60) == 130
        finally:
            process.kill()
    assert "stopped" in rest
    assert "Traceback" not in rest


def commands(group: click.Group) -> Iterator[click.Command]:
    """All commands, those of sub-groups too."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield command


def test_what_a_command_writes_has_the_same_names_everywhere() -> None:
    """--out is what some commands' examples say, and --output what others' do; all take both."""
    given = [
        set(option.opts)
        for command in commands(typer.main.get_command(app))
        for option in command.params
        if set(option.opts) & {"--out", "--output"}
    ]
    assert len(given) > 5
    assert all({"--out", "--output", "-o"} <= names for names in given)
