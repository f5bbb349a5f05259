"""Arguments of Python functions as people type them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import burnish
from burnish.errors import ConfigurationError, UnknownNameError
from burnish.files.near import did_you_mean
from burnish.training.inputs.arguments import either, ids_of, if_several, listed_files, options_of


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("epochs: 1\n")
    (tmp_path / "more.yaml").write_text("epochs: 2\n")
    (tmp_path / "a,b.yaml").write_text("epochs: 3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        (None, []),
        ((), []),
        ("my.yaml", ["my.yaml"]),
        (Path("my.yaml"), ["my.yaml"]),
        (["my.yaml", Path("more.yaml")], ["my.yaml", "more.yaml"]),
        ("my.yaml, more.yaml", ["my.yaml", "more.yaml"]),
        ("a,b.yaml", ["a,b.yaml"]),  # a file of this very name
    ],
)
def test_files(files: Path, given: Any, listed: list[str]) -> None:
    assert listed_files(given) == listed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("mi.yaml", "Did you mean 'my.yaml'?"),
        ("my", "Did you mean 'my.yaml'?"),
        ({"epochs": 5}, r"these are options, not files; give them as config=\{...\}"),
        (["my.yaml", 5], "5 is no file"),
        (5, "5 is no file"),
    ],
)
def test_what_are_no_files(files: Path, given: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        listed_files(given)


def test_options(files: Path) -> None:
    assert options_of({"epochs": 5}) == {"epochs": 5}
    assert options_of("my.yaml") == options_of(Path("my.yaml")) == {"epochs": 1}
    assert options_of(None) == {}
    with pytest.raises(ConfigurationError, match=r"YAML files go into config_files=\[...\]"):
        options_of(["my.yaml"])
    with pytest.raises(ConfigurationError, match=r"give a mapping, as in config=\{'epochs': 20\}"):
        options_of("epochs=5")


def test_two_names_of_one_argument() -> None:
    names = ("config_files", "config_file_list")
    assert either((), ["a"], names, nothing=()) == ["a"]
    assert either(["a"], None, names) == ["a"]
    assert either(["a"], ["a"], names) == ["a"]
    with pytest.raises(ConfigurationError, match="are the same argument"):
        either(["a"], ["b"], names, nothing=())


def test_ids() -> None:
    assert ids_of("196") == ids_of(196) == ids_of(np.int64(196)) == ids_of(["196", 196]) == ["196"]
    assert if_several(["196"]) == ""
    assert "['196', '186'] (on the command line --users 196,186)" in if_several(["196, 186"])


def test_a_run_by_files_and_by_recboles_words(
    small: dict[str, Any], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    import yaml

    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump({**small, "model": "BPR", "dataset": "tiny", "epochs": 1}))
    calls: list[dict[str, Any]] = [
        {"config_files": str(file)},
        {"config_files": file},
        {"config_file_list": [str(file)]},
        {"config": str(file)},
        {"model": "BPR", "dataset": "tiny", "config_dict": {**small, "epochs": 1}},
    ]
    losses = [burnish.run(**call, show_progress=False).losses for call in calls]
    assert all(one == losses[0] for one in losses)
    assert len(losses[0]) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"epochs": 5}, r"say config=\{'epochs': 5\}"),
        ({"config_fils": "my.yaml"}, "Did you mean 'config_files'?"),
        ({"embeding_size": 5}, r"go into config=\{...\}"),
    ],
)
def test_a_keyword_that_is_no_argument(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UnknownNameError, match=says):
        burnish.run("BPR", "ml-100k", **given)


def test_hints_for_paths(files: Path) -> None:
    (files / "data" / "books").mkdir(parents=True)
    assert did_you_mean("data/boks") == " Did you mean 'data/books'?"
    assert did_you_mean("dta/books") == " Did you mean 'data/books'?"
    assert did_you_mean("data/books") == ""
    assert did_you_mean("zzz/yyy") == ""
    assert did_you_mean("more.yml", lambda path: path.name.startswith("z")) == ""
    assert did_you_mean("x" * 5000) == ""
