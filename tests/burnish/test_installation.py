"""RecBole is added without ray, or the reason why not is said; broken libraries are told from other errors."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish import installation
from burnish.errors import BurnishError, NotInstalledError
from burnish.installation import RECBOLE, SetupError


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A virtual environment that may be written, and nothing allowed by the machine's variables."""
    for tool in ("PIP", "UV"):
        monkeypatch.delenv(f"{tool}_BREAK_SYSTEM_PACKAGES", raising=False)
    for name in ("lib", "packages"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    places = {"stdlib": str(tmp_path / "lib"), "purelib": str(tmp_path / "packages")}
    monkeypatch.setattr(installation.sysconfig, "get_path", places.__getitem__)
    return tmp_path


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these modules seem to be absent."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))


def test_pip_is_asked_for_exactly_this_recbole_and_nothing_else() -> None:
    command = installation.setup_command(["--index-url", "x"])
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[4:] == ["--no-deps", "recbole==1.2.1", "--index-url", "x"]


def test_uv_where_there_is_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pip")
    monkeypatch.setattr(installation.shutil, "which", lambda name: f"/bin/{name}")
    command = installation.setup_command()
    assert command == [
        *("/bin/uv", "pip", "install", "--python", sys.executable),
        *("--no-deps", f"recbole=={RECBOLE}"),
    ]
    monkeypatch.setattr(installation.shutil, "which", lambda name: None)
    with pytest.raises(SetupError, match="-m ensurepip"):
        installation.setup_command()


def test_an_environment_of_the_operating_system_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, own_environment: Path
) -> None:
    (own_environment / "lib" / "EXTERNALLY-MANAGED").touch()
    installation.setup_command()  # the mark of the base does not count in a virtual environment
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(SetupError, match=r"managed by the operating system.*-m venv") as refused:
        installation.setup_command()
    assert "PIP_BREAK_SYSTEM_PACKAGES=1 burnish setup" in str(refused.value)
    monkeypatch.setenv("PIP_BREAK_SYSTEM_PACKAGES", "0")
    with pytest.raises(SetupError):
        installation.setup_command()
    monkeypatch.setenv("PIP_BREAK_SYSTEM_PACKAGES", "1")
    assert installation.setup_command()


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.os, "access", lambda path, mode: False)
    with pytest.raises(SetupError, match=r"packages cannot be written.*-m venv"):
        installation.setup_command()
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)  # outside of one pip goes to the user's own folder
    monkeypatch.setattr(installation.site, "ENABLE_USER_SITE", True)
    assert installation.setup_command()
    monkeypatch.setattr(installation.site, "ENABLE_USER_SITE", False)
    with pytest.raises(SetupError, match="cannot be written"):
        installation.setup_command()


Runner = Callable[..., Any]


def runs(codes: dict[str, int], version: str) -> tuple[Runner, list[list[str]]]:
    """A stand-in for `subprocess.run`: exit code by the second word of the command, and what Python prints."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(list(command))
        return subprocess.CompletedProcess(command, codes.get(command[1], 0), version + "\n", "")

    return run, asked


def test_what_pip_says_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    command = installation.setup_command()
    run, asked = runs({}, RECBOLE)
    monkeypatch.setattr(installation.subprocess, "run", run)
    installation.install_recbole(command)
    assert asked[0] == command
    assert asked[1][:2] == [sys.executable, "-c"]
    monkeypatch.setattr(installation.subprocess, "run", runs({"-m": 3}, RECBOLE)[0])
    with pytest.raises(SetupError, match=r"pip failed \(exit code 3\).*--no-index --find-links"):
        installation.install_recbole(command)
    monkeypatch.setattr(installation.subprocess, "run", runs({}, "1.2.0")[0])
    with pytest.raises(SetupError, match=r"still has no RecBole 1.2.1: was it told .*PIP_TARGET"):
        installation.install_recbole(command)


# ------------------------------------------------------------------ RecBole is missing

MISSING = """
import importlib.util, sys
sys.path = [entry for entry in sys.path if "site-packages" not in entry]
sys.path.insert(0, sys.argv[1])
import burnish.compat.hook as hook
hook.install()
assert importlib.util.find_spec("recbole") is None  # whoever only asks is answered
import burnish.errors
try:
    import recbole.config
except ModuleNotFoundError as error:
    assert isinstance(error, burnish.errors.BurnishError), error
    assert error.name == "recbole", error.name
    assert "`burnish setup`" in str(error) and sys.executable in str(error), error
else:
    raise AssertionError("RecBole was imported")
try:
    import no_such_module_at_all
except burnish.errors.BurnishError:
    raise AssertionError("other modules are none of our business")
except ModuleNotFoundError:
    pass
"""


def test_importing_a_missing_recbole_says_what_to_do(tmp_path: Path) -> None:
    """In a Python without any package: the hook needs nothing but itself."""
    package = Path(str(importlib.import_module("burnish").__file__)).parent
    (tmp_path / "burnish").mkdir()
    (tmp_path / "burnish" / "__init__.py").touch()
    for name in ("errors.py", "installation.py"):
        (tmp_path / "burnish" / name).write_text(
            (package / name).read_text(encoding="utf-8"), encoding="utf-8"
        )
    (tmp_path / "burnish" / "compat").mkdir()
    (tmp_path / "burnish" / "compat" / "__init__.py").touch()
    hook = (package / "compat" / "hook.py").read_text(encoding="utf-8")
    (tmp_path / "burnish" / "compat" / "hook.py").write_text(hook, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-c", MISSING, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_recbole_is_both_kinds_of_error() -> None:
    error = installation.missing_recbole()
    assert isinstance(error, BurnishError)
    assert isinstance(error, ImportError)
    assert isinstance(error, NotInstalledError)


# ------------------------------------------------------------------ what does not import


def caught(code: str, module: str) -> BaseException:
    """The error of `code` as the code of this module."""
    try:
        exec(code, {"__name__": module})
    except Exception as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize("fault", ["raise OSError('x.so')", "None.attribute", "import no_such_package"])
def test_whatever_a_library_raises_while_it_is_imported(fault: str) -> None:
    error = caught(fault, "torch.cuda")
    assert installation.broken_library(error) == "torch"
    wrapped = RuntimeError("while starting")
    wrapped.__cause__ = error
    assert installation.broken_library(wrapped) == "torch"
    wrapped.__cause__ = wrapped  # no endless search
    assert installation.broken_library(wrapped) is None


def test_what_only_uses_a_library_is_another_error() -> None:
    assert installation.broken_library(caught("import json; json.loads('x')", "my_model")) is None
    assert installation.broken_library(caught("from json import no_such_name", "my_model")) is None
    used = caught("import numpy; numpy.zeros(2).reshape(3)", "my_model")
    assert installation.broken_library(used) is None
    absent = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert installation.broken_library(absent) == "torch"
    assert installation.broken_library(ModuleNotFoundError("x", name="my_package")) is None
