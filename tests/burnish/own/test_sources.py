"""Digests of sources: other where a source was changed, and only there."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from own_world import TOWER, imports_as_before, write_own

from burnish.enhancers.zoo import find_backbone
from burnish.own.sources import _class_code, source_digest

FILES = {
    "models/mine.py": f"from .layers import X\nimport wide\n{TOWER}",
    "models/layers.py": "X = 1\n",
    "models/wide.py": "from low import Y\nfrom models import above\n",
    "models/above.py": "",
    "low.py": "Y = 1\n",
    "beside.py": "",
}


@pytest.fixture
def digest_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """The digest of models/mine.py:Tower in a new process, with some files changed."""
    monkeypatch.chdir(tmp_path)

    def digest(folder: str = "", place: str = "models/mine.py:Tower", **changed: str) -> str:
        for name, text in FILES.items():
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + changed.get(file.stem, ""))
        with imports_as_before(), monkeypatch.context() as context:
            context.chdir(tmp_path / folder)
            return source_digest(find_backbone(place))

    return digest


def test_what_is_imported_from_beside_counts(digest_in: Callable[..., str]) -> None:
    before = digest_in()
    assert digest_in(folder="moved") == before  # wherever it lies
    assert digest_in(place="models.mine:Tower") == before
    assert digest_in(beside="Z = 2\n") == before
    for file in ("mine", "layers", "wide", "above", "low"):
        assert digest_in(**{file: "Z = 2\n"}) != before, file


def test_defaults_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_own(tmp_path))
    with Path("mine.py").open("a") as file:
        file.write("    options_files = ('tower.yaml',)\n")
    digests = []
    for text in ("width: 8", "width: 9", "width: 8"):
        Path("tower.yaml").write_text(text)
        with imports_as_before():
            digests.append(source_digest(find_backbone("mine.py:Tower")))
    assert digests[0] == digests[2] != digests[1]


def test_a_change_within_a_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_own(tmp_path))
    with imports_as_before():
        cls = find_backbone("mine.py:Tower")
        before = source_digest(cls)
        Path("mine.py").write_text(TOWER + "# more\n")
        with pytest.warns(UserWarning, match="mine.py was changed after this program imported it"):
            assert find_backbone("mine.py:Tower") is cls
        with pytest.warns(UserWarning, match="restart the kernel"):
            assert source_digest(cls) == before  # of what goes on being used


SCRIPT = """
RATE = 1
def used(x): return x * RATE
def unused(x): return x
class Base: pass
class Mine(Base):
    width = 8
    def score(self, x, y=2): return used(x) + [one for one in (1, 2)][0] * y
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("unused(x): return x", "unused(x): return 2 * x", True),
        ("\nRATE", "\n# a remark\n\nRATE", True),
        ("RATE = 1", "RATE = 2", False),
        ("x * RATE", "x + RATE", False),
        ("width = 8", "width = 9", False),
        ("y=2", "y=3", False),
        ("(1, 2)", "(3, 2)", False),
        ("Mine(Base)", "Mine", False),
    ],
)
def test_a_class_of_a_script(old: str, new: str, same: bool) -> None:
    """Its compiled code and what it uses; not where in the script it stands."""

    def digest(source: str) -> list[bytes]:
        script = {"__name__": "__main__"}
        exec(compile(source, "script", "exec"), script)
        return list(_class_code(script["Mine"], set()))

    assert old in SCRIPT
    assert (digest(SCRIPT.replace(old, new)) == digest(SCRIPT)) is same
    assert digest(SCRIPT) == digest(SCRIPT)


def test_installed_modules_are_not_followed() -> None:
    found = importlib.import_module("pydantic")
    assert isinstance(found, types.ModuleType)
    from burnish.own.sources import _files

    assert _files(found) == (found.__file__,)
