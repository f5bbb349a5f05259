"""The command line over configuration files, of which later ones win."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from burnish.cli.run_request import RunRequest, make_request, split_files
from burnish.errors import ConfigurationError, UnknownNameError


def request(words: list[str] | None = None, **given: Any) -> RunRequest:
    names = ("model", "dataset", "enhancers", "config_files", "seed")
    return make_request(**{name: given.get(name) for name in names}, words=words or [])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "first.yaml"
    path.write_text(
        "model: BPR\ndataset: ml-100k\nepochs: 3\nenhancers:\n  rvrec: {weight: 1e-1}\n  euclid2d:\n",
        encoding="utf-8",
    )
    return path


def test_a_file_carries_everything(config: Path) -> None:
    made = request(config_files=str(config))
    assert (made.model, made.dataset, made.config_files) == ("BPR", "ml-100k", (config,))
    assert made.enhancers == {"rvrec": {"weight": 0.1}, "euclid2d": None}
    assert made.options == {}, "options of the file stay in the file: they must not win over themselves"


def test_the_command_line_wins(config: Path) -> None:
    made = request(
        ["--epochs", "7", "--enhancers.rvrec.weight=0.5"],
        model="LightGCN",
        enhancers="rvrec",
        config_files=str(config),
        seed=3,
    )
    assert made.model == "LightGCN"
    assert made.enhancers == {"rvrec": {"weight": 0.5}}
    assert made.options == {"epochs": 7}
    assert made.seed == 3


def test_later_files_win(config: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.yaml"
    second.write_text("model: NeuMF\n", encoding="utf-8")
    made = request(config_files=f"{config},{second}")
    assert made.model == "NeuMF"
    assert "rvrec" in made.enhancers, "a file without a block leaves the block of an earlier file"
    second.write_text("enhancers: euclid2d\n", encoding="utf-8")
    assert request(config_files=f"{config},{second}").enhancers == {"euclid2d": None}
    second.write_text("enhancers: [euclid2d]\n", encoding="utf-8")
    assert request(config_files=f"{config},{second}").enhancers == {"euclid2d": None}


def test_recboles_separator_between_files(config: Path) -> None:
    other = config.with_name("other.yaml")
    other.write_text("", encoding="utf-8")
    assert split_files(f"{config} {other}") == (config, other)
    assert split_files(f"{config}, {other}") == (config, other)
    assert split_files(None) == ()


def test_a_file_with_a_blank_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "my plan.yaml"
    path.write_text("", encoding="utf-8")
    assert split_files(str(path)) == (path,)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: [", "is not valid YAML"),
        ("- a\n- b\n", "holds a list"),
        ("enhancers: 5\n", "enhancers: 5 is not a block"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says) as raised:
        request(config_files=str(path), model="BPR", dataset="ml-100k")
    assert "bad.yaml" in str(raised.value)


def test_a_missing_file_names_its_neighbour(config: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"does not exist.*first\.yaml"):
        request(config_files=str(config.with_name("frist.yaml")))


@pytest.mark.parametrize(("given", "missing"), [({"model": "BPR"}, "dataset"), ({"dataset": "x"}, "model")])
def test_model_and_dataset_are_needed(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no {missing} is given"):
        request(**given)


def test_several_processes_are_refused() -> None:
    assert request(["--nproc", "1"], model="BPR", dataset="ml-100k").options == {}
    with pytest.raises(ConfigurationError, match="--nproc"):
        request(["--nproc", "2"], model="BPR", dataset="ml-100k")


@pytest.mark.parametrize("name", ["config", "config-file", "config_file", "configs"])
def test_a_file_under_another_name_is_not_passed_over(config: Path, name: str) -> None:
    """Its model and data set would be missed before anybody says that nobody reads the option."""
    words = [f"--{name}", str(config)]
    with pytest.raises(
        UnknownNameError, match=rf"not known\. Did you mean --config-files {re.escape(str(config))}\?"
    ):
        make_request(model=None, dataset=None, enhancers=None, config_files=None, seed=None, words=words)
