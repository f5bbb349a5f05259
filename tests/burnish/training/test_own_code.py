"""Runs of a person's own classes, read after the code was changed, moved or renamed."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_world import imports_as_before, write_own

import burnish
from burnish.errors import BurnishError, ConfigurationError, DataError
from burnish.own.sources import changed_files

HELPER = "def scaled(scores):\n    return scores * 1.0\n"


@pytest.fixture(scope="module")
def finished(data_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources, a helper that the model imports, and, in `out`, a run of them."""
    folder = write_own(tmp_path_factory.mktemp("work"))
    (folder / "helps_tower.py").write_text(HELPER)
    edit(folder / "mine.py", "import torch\n", "import torch\nfrom helps_tower import scaled\n")
    edit(folder / "mine.py", "return (users @ self", "return scaled(users @ self")
    with pytest.MonkeyPatch.context() as patch, imports_as_before():
        patch.chdir(folder)
        options = {"data_path": str(data_path), "epochs": 2, "embedding_size": 8, "threads": 1}
        burnish.run(
            "mine.py:Tower",
            "tiny",
            enhancers="sharp.py:Sharper",
            config=options,
            folder="out",
            show_progress=False,
        )
    return folder


@pytest.fixture
def work(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same as working directory, where nothing of it is imported."""
    shutil.copytree(finished, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    with imports_as_before():
        yield tmp_path / "work"


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def forget_code(folder: Path) -> None:
    """As an older burnish has written it."""
    content = json.loads((folder / "run.json").read_text())
    del content["code"]
    (folder / "run.json").write_text(json.dumps(content))


def warned(read: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught, imports_as_before():
        warnings.simplefilter("always")
        read()
    return [str(one.message) for one in caught if "changed since" in str(one.message)]


def trusted() -> Any:
    return burnish.load_run("out", trust=True)


def test_what_is_noted(finished: Path) -> None:
    code = json.loads((finished / "out" / "run.json").read_text())["code"]
    assert set(code) == {"", "sharper"}
    assert {Path(file).name for file in code[""]} == {"mine.py", "helps_tower.py"}
    assert {Path(file).name for file in code["sharper"]} == {"sharp.py"}


def test_unchanged_code_is_no_news_wherever_it_lies(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warned(trusted) == []
    (work / "mine.py").touch()
    assert warned(trusted) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "told"),
    [
        ("mine.py", "weight.t()", "weight.t() * -1.0", r"mine\.py \(model Tower\) changed"),
        ("helps_tower.py", "1.0", "-1.0", r"helps_tower\.py \(model Tower\) changed"),
        ("sharp.py", "[::2]", "[1::2]", r"sharp\.py \(enhancer 'sharper'\) changed"),
    ],
)
def test_changed_code_is_told_and_not_gone_on_with(
    file: str, before: str, after: str, told: str, work: Path
) -> None:
    edit(work / file, before, after)
    verbs: list[Callable[[], Any]] = [
        trusted,
        lambda: burnish.recommend("out", k=2, trust=True),
        lambda: burnish.recommend("out/checkpoint.pth", k=2, trust=True),
        lambda: burnish.export_embeddings("out", "item", trust=True),
    ]
    for verb in verbs:
        (message,) = warned(verb)
        assert message.startswith(file), message
    with pytest.warns(UserWarning, match=told):
        trusted()
    with imports_as_before(), pytest.raises(ConfigurationError, match=rf"{told} since the run in out began"):
        burnish.run(resume="out", trust=True, config={"epochs": 3}, show_progress=False)
    forget_code(work / "out")  # as ever
    assert warned(trusted) == []
    with imports_as_before():
        burnish.run(resume="out", trust=True, config={"epochs": 3}, show_progress=False)


def test_as_a_base(work: Path, data_path: Path) -> None:
    (work / "plain.py").write_text(
        "from recbole.model.general_recommender import BPR\n\n\nclass Plain(BPR):\n    pass\n"
    )
    options = {"data_path": str(data_path), "epochs": 1, "embedding_size": 8, "threads": 1}
    with imports_as_before():
        burnish.run("plain.py:Plain", "tiny", config=options, folder="first", show_progress=False)
    edit(work / "plain.py", "pass", "more = 1")
    with pytest.warns(UserWarning, match=r"plain\.py \(model Plain\) changed since the run in .*first"):
        burnish.run(
            "plain.py:Plain",
            "tiny",
            enhancers={"aggregate": {"base": "first"}},
            config=options,
            show_progress=False,
        )


def test_a_renamed_file_is_taken_where_its_code_is_the_same(work: Path) -> None:
    with imports_as_before():
        before = burnish.recommend("out", k=3, trust=True)
    (work / "mine.py").rename(work / "moved.py")
    with imports_as_before(), pytest.raises(BurnishError, match=r"If it was moved.*--model FILE\.py:Tower"):
        trusted()
    with imports_as_before():
        burnish.enhance("BPR", "sharp.py:Sharper")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            after = burnish.recommend("out", k=3, model="moved.py:Tower")
    np.testing.assert_array_equal(before["score"], after["score"])


def test_a_renamed_file_of_other_code(work: Path) -> None:
    burnish.enhance("BPR", "sharp.py:Sharper")
    shutil.copy(work / "mine.py", work / "moved.py")
    edit(work / "moved.py", "weight.t()", "weight.t() * -1.0")
    with open(work / "moved.py", "a") as file:
        file.write("\n\nclass Tower2(Tower):\n    pass\n")
    place = json.loads((work / "out" / "run.json").read_text())["model_file"]
    with pytest.raises(
        ConfigurationError, match=r"mine:Tower, not with moved:Tower2; give that one \(--model .*mine"
    ):
        burnish.load_run("out", model="moved.py:Tower2")
    with pytest.raises(
        ConfigurationError, match=r"moved:Tower, whose code is another.*\"model\": \"moved:Tower\""
    ):
        burnish.load_run("out", model="moved.py:Tower")
    content = json.loads((work / "out" / "run.json").read_text())  # its former file is gone
    content["model_file"] = f"{place}.gone"
    (work / "out" / "run.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"moved\.py \(model Tower\) changed since"):
        burnish.load_run("out", model="moved.py:Tower")
    forget_code(work / "out")
    with pytest.warns(
        UserWarning, match=r"moved:Tower is taken for it, and whether its code is the same is not known"
    ):
        burnish.load_run("out", model="moved.py:Tower")


def test_other_widths_are_told_in_words(work: Path) -> None:
    edit(work / "mine.py", "nn.Linear(width, width)", "nn.Linear(width, width, bias=False)")
    edit(work / "mine.py", "nn.Embedding(self.n_items, width)", "nn.Embedding(self.n_items + 1, width)")
    with pytest.warns(UserWarning, match="changed since"), pytest.raises(DataError) as error:
        trusted()
    said = str(error.value)
    assert "item_embedding.weight is [" in said
    assert "the model has no turn.bias" in said
    assert "The code of Tower (mine.py), or what it reads, is not what the run was trained by" in said
    assert "size mismatch" not in said


def test_changed_files() -> None:
    before = {"/a/mine.py": "1", "/a/help.py": "2"}
    assert changed_files(before, before) == []
    assert changed_files({}, before) == []
    assert changed_files(before, {"/b/other.py": "1", "/b/help.py": "2"}) == []
    assert changed_files(before, {"/a/mine.py": "2", "/a/help.py": "1"}) == ["/a/mine.py", "/a/help.py"]
    assert changed_files(before, {"/a/mine.py": "1"}) == ["/a/help.py"]
    assert changed_files({"__main__ (Python 3.1)": "1"}, {"__main__ (Python 3.2)": "2"}) == []
    assert changed_files({"__main__ (Python 3.1)": "1"}, {"__main__ (Python 3.1)": "2"}) != []
    assert changed_files({"__main__ (Python 3.1)": "1"}, {"/a/mine.py": "2"}) == []
