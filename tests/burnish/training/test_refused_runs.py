"""A refused run leaves nothing behind, and no run is written among data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from recbole.model.general_recommender import BPR

import burnish
from burnish.errors import BurnishError, ConfigurationError, DataError, UnknownNameError
from burnish.files.refusals import make_folder
from burnish.files.whole import write_text
from burnish.training.record import read_run
from burnish.training.train import train


class Tower(BPR):
    """A class of one's own."""


@pytest.mark.parametrize(
    ("model", "dataset", "enhancers", "options"),
    [
        ("BPR", "tiny", {"guided": {"scores": "none.tsv"}}, {}),
        ("BPR", "tinny", None, {}),
        ("BPR", "tiny", None, {"user_inter_num_interval": "[900,inf)"}),  # seen once the data are read
        ("BPR", "tiny", None, {"topk": [500], "valid_metric": "NDCG@500"}),
        ("KGAT", "tiny", None, {}),
        ("BPR", "tiny", None, {"learning_rate": -1}),
    ],
)
@pytest.mark.parametrize("folder", ["new/inner", "there", None])
def test_a_refused_run_leaves_nothing(
    model: str,
    dataset: str,
    enhancers: Any,
    options: dict[str, Any],
    folder: str | None,
    small: dict[str, Any],
) -> None:
    Path("there").mkdir()
    with pytest.raises(BurnishError):
        train(model, dataset, enhancers=enhancers, options={**small, **options}, folder=folder)
    assert sorted(str(path) for path in Path().rglob("*")) == ["there"]


def test_the_log_of_an_earlier_run_stays_as_it_was(small: dict[str, Any]) -> None:
    train("BPR", "tiny", options={**small, "epochs": 1}, folder="out")
    before = Path("out/log.txt").read_bytes()
    with pytest.raises(BurnishError):
        train("BPR", "tiny", options={**small, "user_inter_num_interval": "[900,inf)"}, folder="out")
    assert Path("out/log.txt").read_bytes() == before
    assert read_run("out").finished


def test_a_run_is_not_written_among_data(small: dict[str, Any], data_path: Path) -> None:
    shutil.copytree(data_path / "tiny", "tiny")
    with pytest.raises(ConfigurationError, match=r"tiny holds a data set \(tiny\.inter\).*as in tiny-run"):
        train("BPR", "tiny", options=small, folder="tiny")
    assert [path.name for path in Path("tiny").iterdir()] == ["tiny.inter"]


def test_what_is_no_run_is_called_what_it_is(data_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"holds a data set \(tiny\.inter\): `burnish run --dataset tiny --output tiny-run`"
    ):
        read_run(data_path / "tiny")
    Path("runs/tiny/BPR").mkdir(parents=True)
    Path("runs/tiny/BPR/comparison-12345678.json").touch()
    Path("runs/tiny/BPR/plain/2020-0").mkdir(parents=True)
    for name in ("metrics.json", "config.json"):
        Path("runs/tiny/BPR/plain/2020-0", name).touch()
    for folder in ("runs", "runs/tiny", "runs/tiny/BPR/plain", "runs/tiny/BPR/plain/2020-0"):
        with pytest.raises(DataError, match="`burnish bench` keeps figures there"):
            read_run(folder)
    Path("full").mkdir()
    Path("full/a").touch()
    with pytest.raises(DataError, match="`burnish run --output NAME` makes one"):
        read_run("full")
    with pytest.raises(DataError, match="`burnish run --output new` makes one"):
        read_run("new")


def test_places_of_the_system_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of /proc: nothing can be made there, and the system says that there is no such file."""

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigurationError, match=r"x cannot be made \(No such file"):
        make_folder(Path("x"))
    with pytest.raises(ConfigurationError, match=r"y.txt cannot be written \(No such file"):
        write_text(Path("x/y.txt"), "")


def test_an_option_that_is_almost_one_is_refused(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"config: option 'epoch' .*Did you mean 'epochs'\?"):
        burnish.run("BPR", "tiny", config={**small, "epoch": 1})
    # What is like none is a warning, and so is what stands in a file.
    (tmp_path / "own.yaml").write_text("epoch: 1\n")
    config = {**small, "epochs": 1, "zzz": 1}
    with (
        pytest.warns(UserWarning, match="'epoch' is read by neither"),
        pytest.warns(UserWarning, match="'zzz'"),
    ):
        burnish.run("BPR", "tiny", config=config, config_files=tmp_path / "own.yaml", show_progress=False)


def test_own_classes_may_read_what_nobody_sees(small: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="'epoch' is read by neither"):
        burnish.run(Tower, "tiny", config={**small, "epochs": 1, "epoch": 1}, show_progress=False)
