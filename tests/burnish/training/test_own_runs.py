"""Runs of classes that a person names by where they are: what is kept of them, and who may import what."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_world import imports_as_before, write_own
from recbole.model.general_recommender import BPR

import burnish
from burnish.errors import BurnishError, ConfigurationError, DataError, UnknownNameError

PLACES = {"model": "mine.py:Tower", "enhancers": {"sharp.py:Sharper": {"power": 2.0}}}


@pytest.fixture(scope="module")
def finished(data_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources and, in `out`, a run of them."""
    folder = write_own(tmp_path_factory.mktemp("work"))
    with pytest.MonkeyPatch.context() as patch, imports_as_before():
        patch.chdir(folder)
        options = {"data_path": str(data_path), "epochs": 2, "embedding_size": 8, "threads": 1}
        burnish.run(dataset="tiny", config=options, folder="out", show_progress=False, **PLACES)
    return folder


@pytest.fixture
def work(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same as working directory, where nothing of it is imported."""
    shutil.copytree(finished, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    with imports_as_before():
        yield tmp_path / "work"


def edit(folder: Path, **changed: Any) -> None:
    file = folder / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def loaded() -> set[str]:
    return {"mine", "sharp", "evil"} & set(sys.modules)


def test_what_is_kept(finished: Path) -> None:
    content = json.loads((finished / "out" / "run.json").read_text())
    assert content["model"] == "mine:Tower"
    assert content["model_file"] == str(finished / "mine.py")
    assert content["enhancers"] == {"sharper": {"power": 2.0}}
    assert content["own_enhancers"] == {
        "sharper": {"class": "sharp:Sharper", "file": str(finished / "sharp.py")}
    }


def test_a_folder_alone_is_no_reason_to_import(work: Path, finished: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"mine:Tower, which is not loaded.*--model .*mine.*trust=True"
    ) as error:
        burnish.load_run("out")
    assert f"It was in {finished / 'mine.py'}" in str(error.value)
    assert not loaded()
    # The model is given, the enhancer is not.
    with pytest.raises(
        ConfigurationError, match=r"'sharper' is the class sharp:Sharper, which is not loaded.*--trust"
    ):
        burnish.load_run("out", model="mine.py:Tower")
    with pytest.raises(ConfigurationError, match="the run was made with mine:Tower, not with BPR"):
        burnish.load_run("out", model=BPR)
    assert loaded() == {"mine"}


def test_with_trust_or_named_by_a_person(work: Path) -> None:
    with imports_as_before():
        trusted = burnish.recommend("out", k=3, trust=True)
    with imports_as_before():
        burnish.enhance("BPR", "sharp.py:Sharper")
        named = burnish.recommend("out", k=3, model="mine.py:Tower")
    np.testing.assert_array_equal(trusted["score"], named["score"])


def test_from_another_working_directory(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "empty").mkdir()
    monkeypatch.chdir(work / "empty")
    with pytest.raises(UnknownNameError, match=r"No module named 'mine'.*It was in .*mine\.py"):
        burnish.load_run("../out", trust=True)
    with imports_as_before():
        burnish.enhance("BPR", "../sharp.py:Sharper")
        assert type(burnish.load_run("../out", model="../mine.py:Tower").model).__module__ == "mine"
    (work / "sub").mkdir()
    (work / "mine.py").rename(work / "sub" / "mine.py")
    monkeypatch.chdir(work)  # it is sub.mine now
    with imports_as_before():
        burnish.enhance("BPR", "sharp.py:Sharper")
        assert type(burnish.load_run("out", model="sub/mine.py:Tower").model).__module__ == "sub.mine"


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "evil:Tower"},
        {"model": "evil.py:Tower"},
        {"model": "subprocess:Popen"},  # loaded, and no model
        {"enhancers": {"evil.py:Sharper": {}}},
        {"own_enhancers": {"sharper": {"class": "evil:Sharper"}}},
        {"own_enhancers": {"sharper": {"class": "evil.py:Sharper", "file": "evil.py"}}},
        {"enhancers": {"compress": {"teachers": "evil.py:Tower"}}},
        {"enhancers": {"guided": {"base": "evil.py:Tower"}}},
    ],
    ids=repr,
)
def test_no_name_in_a_folder_is_imported(changed: dict[str, Any], work: Path) -> None:
    (work / "evil.py").write_text("import os\nos.mkdir('EXECUTED')\n")
    edit(work / "out", **changed)
    burnish.enhance("mine.py:Tower")  # the model's is no question where it is the enhancer that is changed
    for read in (
        lambda: burnish.load_run("out"),
        lambda: burnish.run(resume="out", config={"epochs": 3}, show_progress=False),
    ):
        with pytest.raises(BurnishError):
            read()
    assert "evil" not in loaded()
    assert not Path("EXECUTED").exists()


def test_no_option_of_a_run_leads_to_an_import_either(work: Path) -> None:
    """Whoever looks up a place while a run is read: here an enhancer that has one from its options."""
    (work / "evil.py").write_text("import os\nos.mkdir('EXECUTED')\n")
    with (work / "sharp.py").open("a") as file:
        file.write("    def bind(self, anatomy, dataset):\n")
        file.write("        from burnish.enhancers.zoo import find_backbone\n\n")
        file.write("        find_backbone('evil.py:Tower')\n")
    edit(work / "out", code=None)  # else the run does not go on with a changed file
    burnish.enhance("mine.py:Tower", "sharp.py:Sharper")
    for read in (
        lambda: burnish.load_run("out"),
        lambda: burnish.run(resume="out", config={"epochs": 3}, show_progress=False),
    ):
        with pytest.raises(
            ConfigurationError, match=r"evil\.py:Tower is not loaded, and the files of a run name it"
        ):
            read()
    assert not Path("EXECUTED").exists()


def test_names_that_are_no_names_are_damage(work: Path) -> None:
    edit(work / "out", enhancers={"sharp.py:Sharper": {}})
    with pytest.raises(DataError, match=r"is damaged: 'sharp\.py:Sharper' is no name of an enhancer"):
        burnish.load_run("out", trust=True)


def test_going_on(work: Path) -> None:
    more = {"config": {"epochs": 3}, "show_progress": False}
    with pytest.raises(ConfigurationError, match="not loaded"):
        burnish.run(resume="out", **more)
    with imports_as_before():
        named = burnish.run(resume=shutil.copytree("out", "named"), **PLACES, **more)
    with imports_as_before():
        trusted = burnish.run(resume="out", trust=True, **more)
    assert named.n_epochs == trusted.n_epochs == 3
    assert named.test_result == trusted.test_result
    assert list(named.enhancers) == ["sharper"]


def test_an_enhancer_that_is_called_otherwise_now(work: Path) -> None:
    source = (work / "sharp.py").read_text().replace('"sharper"', '"blunter"')
    (work / "sharp.py").write_text(source)
    with pytest.raises(
        ConfigurationError, match=r"'sharper' is the class sharp:Sharper, whose name is 'blunter' now"
    ):
        burnish.load_run("out", trust=True)


def test_saved_enhancers_name_no_place(work: Path, tmp_path: Path) -> None:
    run = burnish.load_run("out", trust=True)
    burnish.save_pretrained(run.model, "kept", run.train._dataset)
    (file,) = [one for one in Path("kept").glob("*.json") if '"sharper"' in one.read_text()]
    file.write_text(file.read_text().replace('"sharper"', '"evil.py:Sharper"'))
    (work / "evil.py").write_text("import os\nos.mkdir('EXECUTED')\n")
    with pytest.raises(ConfigurationError, match=r"evil\.py:Sharper is not loaded"):
        burnish.from_pretrained("kept", "mine.py:Tower", run.train._dataset)
    assert not Path("EXECUTED").exists()


def test_an_option_that_nothing_sets(work: Path, small: dict[str, Any]) -> None:
    options = {name: value for name, value in small.items() if name != "embedding_size"}
    said = r"Tower stops in mine\.py, line \d+: self\.user_embedding = .*options that nothing sets: embedding_size\."
    with imports_as_before(), pytest.raises(ConfigurationError, match=said):
        burnish.run("mine.py:Tower", "tiny", config=options, show_progress=False)
    with (work / "mine.py").open("a") as file:
        file.write("    options_files = ('tower.yaml',)\n")
    (work / "tower.yaml").write_text("embedding_size: 8\n")
    with imports_as_before():
        result = burnish.run("mine.py:Tower", "tiny", config=options, show_progress=False)
    assert result.config["embedding_size"] == 8


def test_an_enhanced_class_of_a_file(work: Path, small: dict[str, Any]) -> None:
    """It is its backbone with its enhancers."""
    (work / "ready.py").write_text(
        "import burnish\nfrom mine import Tower\nfrom sharp import Sharper\nReady = burnish.enhance(Tower, Sharper)\n"
    )
    result = burnish.run("ready.py:Ready", "tiny", config=small, folder="ready", show_progress=False)
    assert list(result.enhancers) == ["sharper"]
    content = json.loads(Path("ready/run.json").read_text())
    assert (content["model"], list(content["own_enhancers"])) == ("mine:Tower", ["sharper"])
    with imports_as_before():
        assert burnish.recommend("ready", ["u1"], k=1, model="ready.py:Ready") is not None


@pytest.fixture(scope="module")
def taught(data_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources and, in `out`, a run that two teachers of a class of one's own taught."""
    folder = write_own(tmp_path_factory.mktemp("work"))
    with pytest.MonkeyPatch.context() as patch, imports_as_before():
        patch.chdir(folder)
        options = {"data_path": str(data_path), "epochs": 1, "embedding_size": 8, "threads": 1}
        distil = {"teachers": ["mine.py:Tower", "./mine.py:Tower+average"]}
        burnish.run(
            "BPR", "tiny", config=options, enhancers={"distil": distil}, folder="out", show_progress=False
        )
    return folder


@pytest.fixture
def school(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same as working directory, where nothing of it is imported."""
    shutil.copytree(taught, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    with imports_as_before():
        yield tmp_path / "work"


def teacher(folder: Path) -> tuple[str, Any, bytes]:
    run = json.loads((folder / "run.json").read_text())
    return run["model"], list(run["enhancers"]), (folder / "model.safetensors").read_bytes()


def test_teachers_of_an_own_class(school: Path) -> None:
    plain, averaged = (
        teacher(school / "out/teachers" / name) for name in ("mine.Tower", "mine.Tower+average")
    )
    assert plain[:2] == ("mine:Tower", [])
    assert averaged[:2] == ("mine:Tower", ["average"])
    # Recommending needs no teacher, so nothing is imported for it.
    assert len(burnish.recommend("out", users=None, k=3))
    assert not loaded()


def test_a_taught_run_goes_on_with_trust(school: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"teacher: .*mine\.py:Tower is not loaded, and the files of a run"
    ):
        burnish.run(resume="out", config={"epochs": 2})
    assert not loaded()
    before = teacher(school / "out/teachers/mine.Tower")
    result = burnish.run(resume="out", config={"epochs": 2}, trust=True)
    assert result.n_epochs == 2
    assert teacher(school / "out/teachers/mine.Tower") == before


def test_a_changed_class_teaches_anew(school: Path, data_path: Path) -> None:
    def run() -> tuple[str, Any, bytes]:
        with imports_as_before():
            options = {"data_path": str(data_path), "epochs": 1, "embedding_size": 8, "threads": 1}
            distil = {"distil": {"teachers": "mine.py:Tower"}}
            burnish.run("BPR", "tiny", config=options, enhancers=distil, folder="out", show_progress=False)
        return teacher(school / "out/teachers/mine.Tower")

    before = teacher(school / "out/teachers/mine.Tower")
    stamp = (school / "out/teachers/mine.Tower/base.json").stat().st_mtime_ns
    assert run() == before
    assert (school / "out/teachers/mine.Tower/base.json").stat().st_mtime_ns == stamp
    source = (school / "mine.py").read_text()
    (school / "mine.py").write_text(source.replace("softplus(-better)", "softplus(-9 * better)"))
    assert run() != before
