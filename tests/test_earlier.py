"""What an earlier burnish wrote is read, resumed and continued: runs, a checkpoint, enhancers, a comparison."""

from __future__ import annotations

import importlib.util
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness.floors import NAMES

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What this burnish makes of the files."""
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(HERE / "data/earlier.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    spec = importlib.util.spec_from_file_location("earlier", HERE / "tools/earlier.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return tool.read(folder)


RECORDED: dict[str, dict[str, Any]] = json.loads((HERE / "data/earlier.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", sorted(RECORDED))
@pytest.mark.filterwarnings("ignore")
def test_it_is_what_it_was(entry: str, report: dict[str, Any]) -> None:
    """Bit for bit where nothing is computed; training within what processors differ by."""
    now, then = report[entry], RECORDED[entry]
    assert now.keys() == then.keys()
    if not entry.startswith(("resumed", "bench")):
        assert now == then
        return
    assert now["losses"] == pytest.approx(then["losses"], rel=1e-4)
    for part in ("valid", "test"):
        # A difference in the last digit may exchange two items of a ranking.
        assert now[part] == pytest.approx(then[part], abs=0.02)


def test_nothing_is_left_out(report: dict[str, Any]) -> None:
    """What a comparison from before gains are the runs of its floors."""
    floors = {entry for entry in report if entry.startswith("bench ") and entry.split("/")[2] in NAMES}
    assert {entry.split("/")[2] for entry in floors} >= {"Pop", "ItemKNN", "EASE"}
    assert sorted(set(report) - floors) == sorted(RECORDED)
