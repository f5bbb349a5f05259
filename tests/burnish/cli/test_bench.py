"""`burnish bench` and `burnish report`, on a plan of one-epoch runs."""

from __future__ import annotations

import csv
import inspect
import io
import shlex
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from typer.testing import CliRunner

from burnish.benchmarks import harness
from burnish.benchmarks.harness import load_plan
from burnish.benchmarks.harness.first_look import look_at_runs
from burnish.benchmarks.harness.spaces import candidates
from burnish.cli.bench import bench, find_plan, how_many, ready_plans, run
from burnish.cli.main import app
from burnish.cli.screen import Screen
from burnish.errors import ConfigurationError
from burnish.training.result import Epoch
from burnish.training.train import train

PLAN = """
dataset: tiny
backbones: [BPR]
arms:
  faster: {options: {learning_rate: 0.05}}
floors: []
seeds: 2
options:
  epochs: 1
  embedding_size: 4
  train_batch_size: 512
  eval_batch_size: 4000
  data_path: {folder}/dataset
  metrics: [NDCG, Recall]
  topk: [10]
  valid_metric: NDCG@10
runs: from-the-plan
"""

runner = CliRunner()


def plan_in(folder: Path) -> str:
    return PLAN.replace("{folder}", str(folder))


@pytest.fixture(scope="module")
def finished(shared: Path) -> Path:
    """A folder with the plan and its finished runs."""
    folder = shared
    (folder / "plan.yaml").write_text(plan_in(folder), encoding="utf-8")
    done = runner.invoke(app, ["bench", str(folder / "plan.yaml"), "--runs", str(folder / "runs")])
    assert done.exit_code == 0, done.output
    assert f"4 runs, kept in {folder / 'runs'}" in done.stderr
    assert sum(line.startswith("done ") for line in done.stderr.splitlines()) == 4
    assert "faster" in done.stdout
    assert "ndcg@10" in done.stdout
    return folder


def test_finished_runs_are_kept_and_quiet_prints_the_table_only(finished: Path) -> None:
    words = ["--quiet", "bench", str(finished / "plan.yaml"), "--runs", str(finished / "runs")]
    stamps = {path: path.stat().st_mtime_ns for path in (finished / "runs").rglob("metrics.json")}
    assert len(stamps) == 4
    again = runner.invoke(app, words)
    assert again.exit_code == 0
    assert again.stderr == ""
    assert "faster" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_report_as_a_table(finished: Path) -> None:
    shown = runner.invoke(app, ["report", str(finished / "runs"), "--metric", "NDCG@10"])
    assert shown.exit_code == 0
    assert "ndcg@10" in shown.stdout
    assert "recall@10" not in shown.stdout


def test_report_as_csv(finished: Path) -> None:
    shown = runner.invoke(
        app, ["report", str(finished / "runs"), "--format", "csv", "-m", "ndcg@10,recall@10"]
    )
    assert shown.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [row["metric"] for row in rows] == ["ndcg@10", "recall@10"]
    assert {row["arm"] for row in rows} == {"faster"}


def test_report_into_files(finished: Path) -> None:
    out = finished / "new" / "table.md"
    plot = finished / "new" / "table.svg"
    words = ["report", str(finished / "runs"), "--output", str(out), "--plot", str(plot), "--quiet"]
    shown = runner.invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert shown.output == ""
    text = out.read_text(encoding="utf-8")
    assert text.startswith("|")
    assert "faster" in text
    assert "<svg" in plot.read_text(encoding="utf-8")
    runner.invoke(app, ["report", str(finished / "runs"), "-o", str(finished / "t.txt")])
    plain = (finished / "t.txt").read_text(encoding="utf-8")
    assert "faster" in plain
    assert not plain.startswith("|")
    assert "\x1b" not in plain


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["-o", "a.csv"], "dataset,"),
        (["-o", "a.MD"], "|"),
        (["-f", "csv", "-o", "a.md"], "dataset,"),
        (["-f", "markdown", "-o", "a.csv"], "|"),
    ],
)
def test_the_suffix_says_the_format(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], start: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = runner.invoke(app, ["report", str(finished / "runs"), *words])
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / words[-1]).read_text(encoding="utf-8").startswith(start)


def test_report_against_another_baseline(finished: Path) -> None:
    words = ["report", str(finished / "runs"), "-f", "csv", "-m", "ndcg@10"]
    one = next(csv.DictReader(io.StringIO(runner.invoke(app, words).stdout)))
    shown = runner.invoke(app, [*words, "--baseline", "faster"])
    other = next(csv.DictReader(io.StringIO(shown.stdout)))
    assert other["arm"] == "plain"
    assert float(other["difference"]) == pytest.approx(-float(one["difference"]))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["report", "{folder}/nowhere"], "nowhere"),
        (["report", "{folder}/runs", "--metric", "ndgc@10"], "Did you mean 'ndcg@10'"),
        (["report", "{folder}/runs", "--baseline", "plane"], "plane"),
        (["report", "{folder}/runs", "--format", "xml"], "format 'xml' is not known"),
        (["bench", "{folder}/plam.yaml"], "plan.yaml"),
        (["bench", "dema"], "Did you mean 'demo'"),
    ],
)
def test_bad_input(finished: Path, words: list[str], says: str) -> None:
    shown = runner.invoke(app, [word.format(folder=finished) for word in words])
    assert shown.exit_code == 2
    assert says in " ".join(shown.stderr.replace("│", " ").split())
    assert shown.stdout == ""


def test_a_failed_run_is_1_and_the_others_are_reported(finished: Path) -> None:
    bad = plan_in(finished) + "tune:\n"  # a plan that cannot be read must not start
    (finished / "bad.yaml").write_text(bad.replace("epochs: 1", "epoch: [1]").replace("arms:", "amrs:"))
    assert runner.invoke(app, ["bench", str(finished / "bad.yaml")]).exit_code == 2
    failing = plan_in(finished).replace(
        "faster: {options: {learning_rate: 0.05}}",
        'broken: {options: {user_inter_num_interval: "[1000,inf)"}}',
    )
    (finished / "failing.yaml").write_text(failing.replace("seeds: 2", "seeds: 1"))
    shown = runner.invoke(app, ["bench", str(finished / "failing.yaml"), "-r", str(finished / "runs")])
    assert shown.exit_code == 1
    assert "failed: BPR, broken, seed 2020:" in shown.stderr
    assert "kept " in shown.stderr


def test_an_interrupted_plan_says_what_goes_on(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "my plan.yaml"
    plan.write_text(plan_in(shared))
    done = []

    def once(*arguments: Any, **options: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(True)
        return train(*arguments, **options)

    monkeypatch.setattr("burnish.benchmarks.harness.runs.train", once)
    words = ["bench", str(plan), "--runs", str(tmp_path / "runs"), "--threads", "1"]
    stopped = runner.invoke(app, words)
    assert stopped.exit_code == 130
    command = f"burnish bench '{plan}' --runs {tmp_path / 'runs'} --threads 1"
    assert command in stopped.stderr
    monkeypatch.undo()
    again = runner.invoke(app, shlex.split(command)[1:])
    assert again.exit_code == 0, again.output
    assert again.stderr.count("kept    BPR") == 1


def test_floors_are_announced_run_and_shown(shared: Path) -> None:
    plan = shared / "floors.yaml"
    plan.write_text(plan_in(shared).replace("floors: []", "floors: [Pop]"), encoding="utf-8")
    runs = shared / "with-floors"
    shown = runner.invoke(app, ["bench", str(plan), "--runs", str(runs)])
    assert shown.exit_code == 0, shown.output
    assert f"4 runs and 2 of floors, kept in {runs}" in shown.stderr
    assert "start   floors / Pop / seed 2020" in shown.stderr
    assert "BPR: the best arm, faster (" in " ".join(shown.stdout.split())
    table = runner.invoke(app, ["report", str(runs), "-f", "csv", "-m", "ndcg@10"])
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [(row["kind"], row["arm"], row["baseline"]) for row in rows] == [
        ("floor", "Pop", "plain"),
        ("arm", "faster", "plain"),
        ("over", "faster", "Pop"),
    ]


def test_every_tenth_candidate_is_told_and_long_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [Epoch(number, 12, None, 0.1, what="candidate") for number in range(1, 13)]
    events = [harness.Event("epoch", "a", f"a: candidate {one.number} of 12", one) for one in told]
    events += [harness.Event("stage", "a", "a: testing: batch 3"), harness.Event("done", "a", "a: test")]

    def run_plan(*_: Any, on_event: Any, **how: Any) -> list[Any]:
        for event in events:
            on_event(event)
        return []

    monkeypatch.setattr(harness, "run_plan", run_plan)
    page = io.StringIO()
    run(Screen(notes=Console(file=page, width=80)), cast(Any, None))
    lines = ["a: candidate 10 of 12", "a: candidate 12 of 12", "a: testing: batch 3", "done    a: test"]
    assert [line.strip() for line in page.getvalue().splitlines()] == lines


@pytest.mark.parametrize("name", ["quick", "ablation", "enhancers", "sequential", "cold", "noise", "demo"])
def test_a_plan_that_comes_with_burnish_is_sound(name: str) -> None:
    """Every name, option and value of it is one; arms with a space of their own have as many points as others."""
    plan = load_plan(find_plan(name))
    look_at_runs(plan)
    assert plan.name == name
    if plan.tune is not None:
        assert set(plan.tune.arms) <= {"plain", *plan.arms}
        sizes = {arm: len(candidates(space, plan.tune.trials, 0)) for arm, space in plan.tune.arms.items()}
        assert set(sizes.values()) == {plan.tune.trials}, sizes


def test_every_ready_plan_is_named_in_help_and_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "benchmark.md").read_text(encoding="utf-8")
    for name in ready_plans():
        assert f"| `{name}` |" in page
        assert name in str(inspect.signature(bench).parameters["plan"])


def test_the_demo_is_a_plan() -> None:
    path = find_plan("demo")
    plan = load_plan(path)
    assert [entry.name for entry in plan.backbones] == ["BPR", "LightGCN"]
    assert list(plan.arms) == ["plain", "softmax+average", "line"]
    assert [list(plan.arms_of(entry)) for entry in plan.backbones][1] == ["plain", "softmax+average"]
    assert plan.dataset == "ml-100k"
    assert all(plan.seeds_of(entry) for entry in plan.backbones)


def test_a_file_comes_before_a_packaged_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text(PLAN, encoding="utf-8")
    assert find_plan("demo") == Path("demo")
    with pytest.raises(ConfigurationError, match=r"docs/benchmark\.md"):
        find_plan("harness")


@pytest.mark.parametrize(
    ("given", "how"),
    [
        ((1, None, None), {"workers": 1}),
        ((3, None, None), {"workers": 3}),
        ((1, "2/4", None), {"share": (1, 4)}),
        ((1, None, "tcp://head:8786"), {"scheduler": "tcp://head:8786"}),
    ],
)
def test_which_processes_do_the_runs(
    given: tuple[int, str | None, str | None], how: dict[str, object]
) -> None:
    assert how_many(*given) == how


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((1, "0/4", None), "say I/N, with I from 1 to N"),
        ((1, "5/4", None), "say I/N, with I from 1 to N"),
        ((1, "half", None), "'half': say I/N"),
        ((2, "1/2", None), "--workers and --shard say different things"),
    ],
)
def test_processes_that_cannot_be(given: tuple[int, str | None, str | None], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        how_many(*given)
