"""`burnish setup` says what it does, does it once, and needs neither torch nor RecBole."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from burnish import installation
from burnish.cli.main import app
from burnish.installation import SetupError

runner = CliRunner()


def test_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "installed_recbole", lambda: "1.2.1")
    monkeypatch.setattr(installation, "install_recbole", lambda command: pytest.fail("installed again"))
    shown = runner.invoke(app, ["setup"])
    assert shown.exit_code == 0
    assert "nothing to do" in shown.stderr
    assert runner.invoke(app, ["setup", "--quiet"]).output == ""


@pytest.mark.parametrize(("before", "said"), [(None, "not installed yet"), ("1.2.0", "1.2.0 is replaced")])
def test_installs(monkeypatch: pytest.MonkeyPatch, before: str | None, said: str) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(installation, "installed_recbole", lambda: before)
    monkeypatch.setattr(installation, "setup_command", lambda options: ["pip", "install", *options])
    monkeypatch.setattr(installation, "install_recbole", ran.append)
    shown = runner.invoke(app, ["setup", "--index-url", "https://x/simple", "-c", "constraints.txt"])
    assert shown.exit_code == 0, shown.output
    assert ran == [["pip", "install", "--index-url", "https://x/simple", "-c", "constraints.txt"]]
    assert said in shown.stderr
    assert "pip install --index-url https://x/simple" in shown.stderr
    dry = runner.invoke(app, ["setup", "--dry-run"])
    assert dry.stdout == "pip install\n"
    assert len(ran) == 1


def test_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[str]:
        raise SetupError("that is why")

    monkeypatch.setattr(installation, "installed_recbole", lambda: None)
    monkeypatch.setattr(installation, "setup_command", lambda options: ["pip"])
    monkeypatch.setattr(installation, "install_recbole", fails)
    shown = runner.invoke(app, ["setup", "-q"])
    assert (shown.exit_code, shown.stderr) == (1, "error: that is why\n")
    monkeypatch.setattr(installation, "setup_command", fails)
    shown = runner.invoke(app, ["setup"])
    assert (shown.exit_code, shown.stderr) == (2, "error: that is why\n")


def test_needs_no_library_that_it_might_be_called_for() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys("
        "['torch', 'recbole', 'numpy', 'scipy', 'pandas', 'sklearn', 'pyarrow', 'yaml']));"
        "from burnish import installation; installation.installed_recbole = lambda: None;"
        "sys.argv = ['burnish', 'setup', '--dry-run'];"
        "from burnish.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--no-deps recbole==1.2.1" in done.stdout
