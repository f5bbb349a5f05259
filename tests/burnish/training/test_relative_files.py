"""Runs whose enhancers name files from the directory that the run was made in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from guided_world import write_world

import burnish
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.errors import DataError
from burnish.training import stages


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of a short training; scores lie in `made`, the working directory, and others of that name in `elsewhere`."""
    write_world(tmp_path / "data")
    made, elsewhere = tmp_path / "made", tmp_path / "elsewhere"
    made.mkdir()
    elsewhere.mkdir()
    (made / "scores.tsv").write_bytes((tmp_path / "data/scores.tsv").read_bytes())
    (elsewhere / "scores.tsv").write_text("item_id\tother\nx\t1\n")
    monkeypatch.chdir(made)
    return {**preset("BPR"), "epochs": 3, "data_path": str(tmp_path / "data"), "threads": 1}


def enhanced() -> type:
    return burnish.enhance("BPR", burnish.Guided(scores="scores.tsv"))


def run(options: dict[str, Any], folder: str) -> Any:
    return burnish.run(enhanced(), NAME, config=options, folder=folder, show_progress=False)


def same(one: Any, other: Any) -> None:
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def test_a_run_is_read_from_elsewhere(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = run(options, "out")
    monkeypatch.chdir(tmp_path / "elsewhere")
    same(trained, burnish.load_run(tmp_path / "made/out"))
    (tmp_path / "made/scores.tsv").unlink()
    with pytest.raises(DataError):
        burnish.load_run(tmp_path / "made/out")


@pytest.mark.parametrize("given", ["nothing", "the class"])
def test_a_run_goes_on(
    given: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its folder alone from elsewhere, and with the class and its relative name from where it was made."""
    whole = run(options, "whole")
    tell = stages.Run._tell

    def interrupt(self: Any, epoch: Any) -> None:
        tell(self, epoch)
        if epoch.number == 2 and epoch.valid_score is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stages.Run, "_tell", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(options, "cut")
    if given == "nothing":
        monkeypatch.chdir(tmp_path / "elsewhere")
    model = None if given == "nothing" else enhanced()
    resumed = burnish.run(model, resume=tmp_path / "made/cut", show_progress=False)
    same(whole, resumed)
    assert resumed.losses == whole.losses
