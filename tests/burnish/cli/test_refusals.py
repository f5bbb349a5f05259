"""What the verbs refuse before any work, and in which words; and what they say of runs that need none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

from burnish.cli.main import app
from burnish.cli.run import EpochLines
from burnish.cli.screen import Screen
from burnish.cli.value_tables import show
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError
from burnish.files.data_names import DataNames
from burnish.trained.reason_givers import reason_givers
from burnish.training.result import Epoch

MODEL = ["--model", "BPR", "--dataset", "tiny", "--embedding_size", "4"]


def call(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("name", ["t.xls", "t.xlsx", "t.parquet", "t.jpg"])
def test_a_suffix_that_a_report_cannot_be_written_in(name: str, here: Path) -> None:
    """Before the runs are looked at: there are none."""
    done = call("report", "runs", "--output", name)
    assert done.exit_code == 2
    assert f"{name}: the suffix '{Path(name).suffix}' names no format that can be written here" in done.stderr
    assert "runs" not in done.stderr
    assert [path.name for path in here.iterdir()] == ["dataset"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["recommend", "nowhere"], "t.csv"),
        (["explain", "nowhere", "--user", "u1"], "t.csv"),
        (["explain", "nowhere", "--batch"], "t.parquet"),
        (["explain-eval", "nowhere"], "found"),
        (["export", "nowhere"], "t.npz"),
        (["profiles", "nowhere"], "t.tsv"),
        (["bake", "nowhere"], "t.pth"),
    ],
)
def test_an_output_that_cannot_be_written(words: list[str], name: str, here: Path) -> None:
    """Before any work: the run is not there, and not looked for."""
    Path("file.txt").write_text("", encoding="utf-8")
    done = call(*words, "--output" if words[0] != "explain" else "--out", str(Path("file.txt", name)))
    assert done.exit_code == 2
    said = "".join(done.stderr.split())
    assert "cannotbewritten:" in said
    assert "file.txtisnotafolderthatyoumaywriteto" in said
    assert "nowhere" not in said


@pytest.mark.parametrize("name", ["t.md", "t.csv", "t.txt", "table"])
def test_suffixes_of_reports(name: str, here: Path) -> None:
    assert "does not exist" in call("report", "runs", "--output", name).stderr
    assert "does not exist" in call("report", "runs", "--output", "t.xls", "--format", "csv").stderr


def test_a_picture_that_is_no_svg(here: Path) -> None:
    done = call("report", "runs", "--plot", "d.png")
    assert done.exit_code == 2
    assert "'d.png': the picture is an SVG" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a system without /proc")
@pytest.mark.parametrize(
    "words",
    [
        ("bake", "run", "--output", "/proc/b.pth"),
        ("card", "run", "--output", "/proc/b.md"),
        ("explain", "run", "--users", "u1", "--html", "/proc/b.html"),
    ],
)
def test_a_place_that_nothing_can_be_written_to_is_told_first(words: tuple[str, ...], here: Path) -> None:
    """Before the run is looked at: there is none."""
    (here / "run").mkdir()
    done = call(*words)
    assert done.exit_code == 2
    assert f"{words[-1]} cannot be written: /proc is not a folder that you may write to" in done.stderr


def test_a_valuation_is_parquet(tmp_path: Path) -> None:
    one = valuation(3)
    for name in ("v.txt", "v.csv", "v"):
        with pytest.raises(ConfigurationError, match=r"writes a parquet file.*to_csv"):
            one.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert one.save(tmp_path / "v.pq").is_file()
    assert one.save(tmp_path / "odd", "parquet").is_file()
    with pytest.raises(UnknownNameError, match="'csv'"):
        one.save(tmp_path / "v.csv", "csv")


def valuation(items: int) -> Valuation:
    players = pd.DataFrame({"user": "u", "item": [f"i{place}" for place in range(items)]})
    values = torch.arange(items, dtype=torch.float64).reshape(-1, 1)
    return Valuation(values, torch.zeros_like(values), 0, 0.0, True, ("accuracy",), players)


@pytest.mark.parametrize(
    ("top", "shown"),
    [
        (None, ["i6", "i5", "i4", "i3", "i2", "i1", "i0"]),
        (2, ["i6", "i5", "...", "i1", "i0"]),
        (4, ["i6", "i5", "i4", "i3", "i2", "i1", "i0"]),
    ],
)
def test_the_top_of_a_history(top: int | None, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    show(Screen(), valuation(7), True, top, DataNames())
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == shown


@pytest.mark.parametrize("more", [[], ["-m", "BPR"]])
def test_a_valuation_of_what_is_no_run(more: list[str], here: Path) -> None:
    done = call("value", "--run", "nodir", *more)
    assert done.exit_code == 2
    assert "nodir is not the folder of a run" in done.stderr
    assert "no dataset is given" not in done.stderr
    assert ("say --dataset" in done.stderr) == bool(more)


@pytest.mark.parametrize(
    ("option", "meant"),
    [("--epoch", "--epochs"), ("--learning_rat", "--learning_rate"), ("--outptu", "--output")],
)
def test_an_option_that_is_almost_one(option: str, meant: str, here: Path) -> None:
    done = call("run", *MODEL, option, "1")
    assert done.exit_code == 2
    assert f"Did you mean {meant}?" in done.stderr
    assert "reading the data" not in done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("improve", "--budgt", "10s"), "--budget"),
        (("improve", "--epoch", "3"), "--epochs"),
        (("paths", "graph", "--formt", "json"), "--format"),
        (("paths", "mine", "--longst", "2"), "--longest"),
        (("guide", "score", "--column", "title"), "--columns"),
    ],
)
def test_an_option_that_is_almost_one_of_another_verb(words: tuple[str, ...], meant: str, here: Path) -> None:
    given = [
        "--dataset",
        "tiny",
        *(["--model", "BPR", "--output", "better"] if words[0] == "improve" else []),
    ]
    given += ["--out", "scores.tsv", "--schema", "films"] if words[0] == "guide" else []
    done = call(*words, *given)
    assert done.exit_code == 2, done.stderr
    assert f"Did you mean {meant}?" in done.stderr
    assert not Path("better").exists()


def test_a_run_among_data(here: Path) -> None:
    done = call("run", *MODEL, "--epochs", "1", "--output", "dataset/tiny")
    assert done.exit_code == 2
    assert "dataset/tiny holds a data set (tiny.inter)" in done.stderr
    assert [path.name for path in Path("dataset/tiny").iterdir()] == ["tiny.inter"]
    assert "holds a data set" in call("recommend", "dataset/tiny", "--user", "u1").stderr


def test_a_finished_run_does_not_go_on(here: Path) -> None:
    assert call("run", *MODEL, "--epochs", "1", "--output", "out").exit_code == 0
    done = call("run", "--resume", "out")
    assert done.exit_code == 0
    assert "is finished" in done.stderr
    assert "going on" not in done.stderr
    more = call("run", "--resume", "out", "--epochs", "2")
    assert "going on after epoch 1" in more.stderr


def test_candidates_are_not_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EpochLines(Screen())
    for number in range(1, 36):
        lines.tell(Epoch(number, 35, what="candidate"))
        lines.tell(Epoch(number, 35, valid_score=0.5, what="candidate"))
    lines.close()
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" of")[0] for line in told] == [f"candidate {number}" for number in (10, 20, 30, 35)]


@pytest.mark.parametrize(("dataset", "advice"), [("shop", "shapley"), ("ml-100k", "guided")])
def test_the_advice_for_reasons_is_for_these_data(dataset: str, advice: str) -> None:
    trained = SimpleNamespace(model=torch.nn.Linear(1, 1), config={"dataset": dataset})
    recommender = SimpleNamespace(trained=trained)
    with pytest.raises(UnsupportedError, match=f"--dataset {dataset} --enhancers {advice} --output out"):
        reason_givers(recommender, "backbone")  # type: ignore[arg-type]
