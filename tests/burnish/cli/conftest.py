"""A data set so small that a run of the command line takes a moment."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

USERS, ITEMS, EACH = 40, 60, 20


def write_tiny(folder: Path) -> None:
    """dataset/tiny/tiny.inter in `folder`, where RecBole looks by default: 40 users, 60 items."""
    target = folder / "dataset" / "tiny"
    target.mkdir(parents=True)
    numbers = random.Random(1)
    lines = ["user_id:token\titem_id:token\trating:float"]
    for user in range(USERS):
        for item in numbers.sample(range(ITEMS), EACH):
            lines.append(f"u{user}\ti{item}\t{numbers.randint(1, 5)}")
    (target / "tiny.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def _as_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """No width that a test does not set: readline puts COLUMNS=80 into what processes of `pytest -n` inherit."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the data set "tiny", as the working folder."""
    write_tiny(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with the data set "tiny" for all tests of a module."""
    folder = tmp_path_factory.mktemp("shared")
    write_tiny(folder)
    return folder
