"""Entry points of installed packages: found once, and again as soon as a package comes or goes."""

from __future__ import annotations

import importlib
from importlib import metadata
from pathlib import Path

import pytest

from burnish.enhancers.registry import list_enhancers
from burnish.enhancers.zoo import list_backbones
from burnish.own.announced import entry_points

GROUP = "burnish.backbones"


def test_they_are_those_of_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(entry_points(group=GROUP)) == set(metadata.entry_points(group=GROUP))
    monkeypatch.setattr(metadata, "entry_points", lambda group: pytest.fail("looked through again"))
    assert len(entry_points(group=GROUP)) >= 8


def test_a_package_that_comes_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "Late" not in list_backbones()
    folder = tmp_path / "late-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[{GROUP}]\nLate = late:Late\n[burnish.enhancers]\nlate = late:Later\n"
    )
    importlib.invalidate_caches()
    assert list_backbones()["Late"] == "plug-in"
    assert list_enhancers()["late"].source == "late"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    importlib.invalidate_caches()
    assert "Late" not in list_backbones()
    assert "late" not in list_enhancers()
