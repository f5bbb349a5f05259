"""The import hook on modules written by the test; no RecBole needed."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from burnish.compat import after_import, hook


@pytest.fixture
def module_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an importable module `x = 1` that nobody has imported."""
    name = f"hooked_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)
    hook._callbacks.pop(name, None)
    hook._guards.pop(name, None)


def test_callback_runs_after_the_module_and_imports_nothing(module_name: str) -> None:
    seen: list[int] = []
    after_import(module_name, lambda module: seen.append(module.x))
    assert module_name not in sys.modules
    importlib.import_module(module_name)
    assert seen == [1]


def test_callback_runs_at_once_for_a_loaded_module_and_again_when_it_is_reloaded(module_name: str) -> None:
    module = importlib.import_module(module_name)
    seen: list[ModuleType] = []
    after_import(module_name, seen.append)
    assert seen == [module]
    importlib.reload(module)
    assert seen == [module, module]


def test_callback_is_registered_once(module_name: str) -> None:
    seen: list[str] = []

    def callback(module: ModuleType) -> None:
        seen.append(module.__name__)

    after_import(module_name, callback)
    after_import(module_name, callback)
    importlib.import_module(module_name)
    assert seen == [module_name]


def test_error_in_a_callback_is_an_error_of_the_import(module_name: str) -> None:
    def callback(module: ModuleType) -> None:
        raise RuntimeError("cannot mend")

    after_import(module_name, callback)
    with pytest.raises(RuntimeError, match="cannot mend"):
        importlib.import_module(module_name)
    assert module_name not in sys.modules


def test_loader_stays_the_one_that_python_chose(module_name: str) -> None:
    after_import(module_name, lambda module: None)
    module = importlib.import_module(module_name)
    assert isinstance(module.__loader__, importlib.machinery.SourceFileLoader)
    assert module.__loader__.get_source(module_name) == "x = 1\n"


def test_missing_module_stays_missing() -> None:
    after_import("no_such_module_anywhere", lambda module: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_module_anywhere")


def test_guard_surrounds_the_execution(module_name: str, tmp_path: Path) -> None:
    (tmp_path / f"{module_name}.py").write_text("import stand_in_for_test\nx = stand_in_for_test.y\n")
    stand_in = ModuleType("stand_in_for_test")
    vars(stand_in)["y"] = 5

    @contextmanager
    def guard() -> Iterator[None]:
        with hook.stand_ins({"stand_in_for_test": stand_in}):
            yield

    hook.during_import(module_name, guard)
    assert importlib.import_module(module_name).x == 5
    assert "stand_in_for_test" not in sys.modules


def test_stand_ins_put_back_what_was_there_also_after_an_error() -> None:
    def fail() -> None:
        with hook.stand_ins({"json": ModuleType("json"), "not_there_before": ModuleType("not_there_before")}):
            assert not hasattr(sys.modules["json"], "loads")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert hasattr(sys.modules["json"], "loads")
    assert "not_there_before" not in sys.modules


def test_import_works_says_why_not_and_leaves_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "half_broken"
    package.mkdir()
    (package / "__init__.py").write_text("from . import fine\nimport no_such_module_anywhere\n")
    (package / "fine.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "no_such_module_anywhere" in (hook.import_works("half_broken") or "")
    assert not [name for name in sys.modules if name.startswith("half_broken")]
    assert hook.import_works("no_such_module_anywhere") == "not installed"
    assert hook.import_works("json.decoder") is None


def test_replace_everywhere_follows_from_imports_inside_recbole(monkeypatch: pytest.MonkeyPatch) -> None:
    def old() -> None: ...
    def new() -> None: ...

    home, friend, stranger = (ModuleType(name) for name in ("recbole.a_test", "recbole.b_test", "c_test"))
    for module in (home, friend, stranger):
        vars(module)["function"] = old
        monkeypatch.setitem(sys.modules, module.__name__, module)
    hook.replace_everywhere(home, "function", new)
    assert vars(home)["function"] is vars(friend)["function"] is new
    assert vars(stranger)["function"] is old
