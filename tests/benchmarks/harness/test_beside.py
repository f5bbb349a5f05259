"""Runs that read a graph's files are known by them, too; those of before, and all others, by their settings alone."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import burnish
from burnish.benchmarks.harness import make_plan, run_plan
from burnish.benchmarks.harness.runs import carry_out
from burnish.benchmarks.harness.specs import RunSpec
from burnish.errors import DataError
from burnish.training.first import FirstRequest, Places, progress_in, trained_first

GENRE = "user -rated-> item -genre-> genre <-genre- item"
ALIKE = "user -rated-> item <-rated- user -rated-> item"
#: Runs that read the graph, by the place where they do.
READING: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "enhancer": ("BPR", {"paths": {"metapaths": GENRE}}, {}),
    "walks": ("PathWalks", {}, {"walks": {"metapaths": GENRE}}),
    "means": ("NeighbourMeans", {}, {}),
    "teacher": (
        "BPR",
        {"distil": {"teachers": ["PathWalks"], "teacher_options": {"PathWalks": {"epochs": 1}}}},
        {},
    ),
    "base": ("BPR", {"prior": {"base": "softmax+paths"}}, {}),
}


@pytest.fixture
def files(small: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Options of a data set with a file of items, whose folder is the test's own."""
    folder = tmp_path / "data"
    shutil.copytree(Path(small["data_path"]) / "tiny", folder / "tiny")
    write_genres(folder, 3)
    return {**small, "data_path": str(folder), "epochs": 1}


def write_genres(folder: Path | str, genres: int) -> None:
    rows = [f"i{item}\tg{item % genres}" for item in range(30)]
    (Path(folder) / "tiny" / "tiny.item").write_text("\n".join(["item_id:token\tgenre:token", *rows]) + "\n")


def spec_of(
    files: dict[str, Any], backbone: str, enhancers: dict[str, Any], options: dict[str, Any]
) -> RunSpec:
    return RunSpec("tiny", backbone, backbone, "arm", 2020, enhancers, {**files, **options})


@pytest.mark.parametrize("what", READING)
def test_a_run_that_reads_a_graph_is_known_by_its_files(
    files: dict[str, Any], what: str, tmp_path: Path
) -> None:
    spec = spec_of(files, *READING[what])
    digest, folder = spec.digest, spec.folder(tmp_path)
    assert folder.name == f"2020-{digest}-{spec.beside}"
    assert replace(spec, trial=0).folder(tmp_path).name.endswith(f"-{spec.beside}")
    write_genres(files["data_path"], 4)
    assert spec.digest == digest
    assert spec.folder(tmp_path) != folder
    write_genres(files["data_path"], 3)
    assert spec.folder(tmp_path) == folder
    (Path(files["data_path"]) / "tiny" / "tiny.item").unlink()
    assert spec.folder(tmp_path).name == f"2020-{digest}"  # nothing beside: as ever


def test_a_run_that_reads_none_is_known_by_its_settings_alone(files: dict[str, Any], tmp_path: Path) -> None:
    for block in ({}, {"softmax": {}}, {"prior": {"base": "softmax"}}, {"distil": {"teachers": ["ease"]}}):
        spec = spec_of(files, "BPR", block, {})
        assert spec.folder(tmp_path).name == f"2020-{spec.digest}"
        assert spec.beside == ""
        assert "beside" not in spec.as_dict()
    assert RunSpec("tiny", "Nobody", "n", "arm", 1).beside == ""


def test_another_graph_is_another_run(files: dict[str, Any], tmp_path: Path) -> None:
    spec = spec_of(files, "BPR", {"paths": {"metapaths": GENRE}}, {})
    first = carry_out(spec, tmp_path)
    assert json.loads((first.folder / "config.json").read_text())["beside"] == spec.beside
    assert carry_out(spec, tmp_path).status == "kept"
    write_genres(files["data_path"], 4)
    again = carry_out(spec, tmp_path)
    assert (again.status, again.folder.name == first.folder.name) == ("done", False)


def test_a_run_of_before_is_kept_until_the_files_change(files: dict[str, Any], tmp_path: Path) -> None:
    spec = spec_of(files, "BPR", {"paths": {"metapaths": GENRE}}, {})
    own = carry_out(spec, tmp_path).folder
    before = own.with_name(f"2020-{spec.digest}")  # as an earlier burnish called it
    own.rename(before)
    assert spec.folder(tmp_path) == before
    record = carry_out(spec, tmp_path)
    assert (record.status, record.folder) == ("kept", before)
    write_genres(files["data_path"], 4)
    assert spec.folder(tmp_path) != before
    assert carry_out(spec, tmp_path).status == "done"
    write_genres(files["data_path"], 3)
    assert carry_out(spec, tmp_path).folder == before


def test_walks_of_before_were_trained_otherwise(files: dict[str, Any], tmp_path: Path) -> None:
    spec = spec_of(files, *READING["walks"])
    own = carry_out(spec, tmp_path).folder
    own.rename(own.with_name(f"2020-{spec.digest}"))
    assert carry_out(spec, tmp_path).status == "done"


def test_a_comparison_has_runs_of_one_graph(files: dict[str, Any], tmp_path: Path) -> None:
    options = {name: value for name, value in files.items() if name != "threads"}
    content = {
        "dataset": "tiny",
        "backbones": ["NeighbourMeans"],
        "seeds": 1,
        "floors": [],
        "options": options,
    }
    content |= {"runs": str(tmp_path / "runs"), "threads": 1}

    def noted(arms: dict[str, Any]) -> dict[str, Any]:
        run_plan(make_plan({**content, "arms": arms}), quiet=True)
        (path,) = (tmp_path / "runs" / "tiny" / "NeighbourMeans").glob("comparison-*.json")
        found: dict[str, Any] = json.loads(path.read_text())["arms"]
        return found

    first = noted({"softmax": "softmax"})
    assert noted({}) == first
    write_genres(files["data_path"], 4)
    second = noted({})
    assert list(second) == ["plain"]
    assert second["plain"] != first["plain"]


@pytest.mark.parametrize("model", ["PathWalks", "NeighbourMeans"])
def test_a_finished_run_is_not_read_with_another_graph(
    files: dict[str, Any], model: str, tmp_path: Path
) -> None:
    walks = {"walks": {"metapaths": [ALIKE, GENRE]}} if model == "PathWalks" else {}
    burnish.run(model, "tiny", config={**files, **walks}, folder=tmp_path / "run", show_progress=False)
    trained = burnish.load_run(tmp_path / "run").model
    # Weights of before do not say of which graph they are.
    state = {name: value for name, value in trained.state_dict().items() if name != "fingerprint"}
    trained.load_state_dict(state)
    rows = [f"i{item}\tg{item * 7 // 10 % 3}" for item in range(30)]  # as many edges
    item = Path(files["data_path"]) / "tiny" / "tiny.item"
    item.write_text("\n".join(["item_id:token\tgenre:token", *rows]) + "\n")
    with pytest.raises(
        DataError, match=f"{model}: the weights that are read belong to the edges of another graph"
    ):
        burnish.load_run(tmp_path / "run")


def test_a_teacher_on_another_graph_is_trained_anew(files: dict[str, Any], tmp_path: Path) -> None:
    from burnish.enhancers.zoo import find_backbone

    options = {**files, "walks": {"metapaths": GENRE}, "show_progress": False}
    request = FirstRequest(find_backbone("PathWalks"), "tiny", (), options, "the teacher")
    places = Places(needed=lambda *_: {}, shared=tmp_path / "bases")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = trained_first(request, places, "t", lambda folder, _: folder)
        assert progress_in(folder, request) == "finished"
        write_genres(files["data_path"], 4)
        assert progress_in(folder, request) == "nothing"
        assert trained_first(request, places, "t", lambda folder, _: folder) == folder
        assert progress_in(folder, request) == "finished"
        note = json.loads((folder / "base.json").read_text())
        del note["beside"]  # as an earlier burnish wrote it
        (folder / "base.json").write_text(json.dumps(note))
        write_genres(files["data_path"], 5)
        assert progress_in(folder, request) == "finished"
