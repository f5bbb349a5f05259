"""Folders of runs: whole or absent, whatever happens; and what decides that a run is the same run."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from burnish.benchmarks.harness import Event, exit_status, make_plan, run_plan
from burnish.benchmarks.harness.runs import carry_out, remove_stale
from burnish.benchmarks.harness.specs import RunSpec, spec_of, with_settings

FILES = ["DONE", "config.json", "environment.json", "log.txt", "metrics.json", "per_user.parquet"]


@pytest.fixture
def spec(small: dict[str, Any]) -> RunSpec:
    return RunSpec("tiny", "BPR", "BPR", "plain", 2020, {}, {**small, "epochs": 1})


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders, which are there only while something is being written."""
    return [path.name for path in folder.rglob(".*")]


def test_a_finished_run(spec: RunSpec, tmp_path: Path) -> None:
    record = carry_out(spec, tmp_path)
    folder = tmp_path / "tiny" / "BPR" / "plain" / f"2020-{spec.digest}"
    assert (record.status, record.folder) == ("done", folder)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    users = pd.read_parquet(folder / "per_user.parquet")
    assert users["ndcg@10"].mean() == pytest.approx(metrics["test_result"]["ndcg@10"], abs=1e-12)
    assert record.test == metrics["test_result"]
    config = json.loads((folder / "config.json").read_text())
    assert (config["backbone"], config["recbole"]["embedding_size"]) == ("BPR", 8)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["torch_threads"] == 1
    assert environment["packages"]["recbole"] == "1.2.1"
    assert list(Path.cwd().iterdir()) == leftovers(tmp_path) == []


def test_a_finished_run_is_not_trained_again(spec: RunSpec, tmp_path: Path) -> None:
    first = carry_out(spec, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    seen: list[Any] = []
    second = carry_out(
        replace(spec, options={**spec.options, "show_progress": True}), tmp_path, on_epoch=seen.append
    )
    assert second == replace(first, status="kept")
    assert seen == []
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == written


def test_a_folder_without_done_is_run_again(spec: RunSpec, tmp_path: Path) -> None:
    folder = carry_out(spec, tmp_path).folder
    (folder / "DONE").unlink()
    (folder / "metrics.json").write_text("half")
    assert carry_out(spec, tmp_path).status == "done"
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_what_makes_another_run(spec: RunSpec) -> None:
    same = [
        replace(spec, label="other", arm="other"),
        replace(spec, options=dict(reversed(spec.options.items()))),
        with_settings(spec, {"show_progress": True, "threads": 7, "state": "ERROR", "worker": 1}),
    ]
    assert {other.digest for other in same} == {spec.digest}
    uneven = replace(spec, enhancers={"uneven": {}})
    others = [
        spec,
        replace(spec, dataset="other"),
        replace(spec, backbone="LightGCN"),
        replace(spec, seed=1),
        replace(spec, trial=0),
        with_settings(spec, {"epochs": 2}),
        uneven,
        with_settings(uneven, {"uneven.spread": 0.1}),
    ]
    assert len({other.digest for other in others}) == len(others)
    assert with_settings(uneven, {"uneven.spread": 0.5}).digest == uneven.digest  # the default, written out


def test_training_leaves_the_options_as_they_were(spec: RunSpec, tmp_path: Path) -> None:
    """RecBole completes nested options in place; the digest of a plan must not change by running it."""
    spec = with_settings(spec, {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 2}})
    before = spec.digest
    carry_out(spec, tmp_path)
    assert spec.digest == before
    assert spec.options["train_neg_sample_args"] == {"distribution": "uniform", "sample_num": 2}


def test_a_failure_is_noted_and_forgotten_on_success(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(OSError, match="No space left"):
            carry_out(spec, tmp_path)
    arm = spec.arm_folder(tmp_path)
    assert [path.name for path in arm.iterdir()] == [f"failed-2020-{spec.digest}.json"]
    note = json.loads(next(arm.iterdir()).read_text())
    assert "No space left" in note["error"]
    assert "Traceback" in note["traceback"]
    carry_out(spec, tmp_path)
    assert [path.name for path in arm.iterdir()] == [f"2020-{spec.digest}"]


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_full_disk_leaves_finished_runs_whole(plan_content: dict[str, Any]) -> None:
    """A limit on file sizes makes the system refuse to write in the middle of a run, as a full disk does."""
    import resource

    run_plan(make_plan({**plan_content, "arms": {}, "seeds": 1}), quiet=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        records = run_plan(make_plan({**plan_content, "arms": {}}), quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [record.status for record in records] == ["kept", "failed"]
    assert exit_status(records) == 1
    runs = Path(plan_content["runs"])
    assert not [name for name in leftovers(runs) if name.startswith(".partial")]
    assert sorted(path.name for path in records[0].folder.iterdir()) == FILES
    again = run_plan(make_plan({**plan_content, "arms": {}}), quiet=True)
    assert [record.status for record in again] == ["kept", "done"]


def test_ctrl_c_removes_the_unfinished_run(plan_content: dict[str, Any]) -> None:
    plan = make_plan({**plan_content, "seeds": 1})

    def interrupt(event: Event) -> None:
        if event.kind == "epoch" and "big" in event.key:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, quiet=True, on_event=interrupt)
    arms = plan.runs / "tiny" / "BPR"
    assert len(list((arms / "plain").iterdir())) == 1
    assert list((arms / "big").iterdir()) == leftovers(plan.runs) == []
    assert [record.status for record in run_plan(plan, quiet=True)] == ["kept", "done"]


def test_kill_9_in_the_middle_of_a_run(plan_content: dict[str, Any], tmp_path: Path) -> None:
    content = {**plan_content, "seeds": 1}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    script = textwrap.dedent(
        """
        import sys, time
        from burnish.benchmarks.harness import load_plan, run_plan

        def hold(event):
            if event.kind == "epoch" and "big" in event.key:
                print("in the middle", flush=True)
                time.sleep(120)

        run_plan(load_plan(sys.argv[1]), quiet=True, on_event=hold)
        """
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "plan.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    plan = make_plan(content)
    assert remove_stale(plan.runs) == []  # its process still runs
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (stale,) = plan.runs.rglob(".partial-*")
    assert (stale / "log.txt").is_file()
    records = run_plan(plan, quiet=True)
    assert [record.status for record in records] == ["kept", "done"]
    assert all(sorted(path.name for path in record.folder.iterdir()) == FILES for record in records)
    assert leftovers(plan.runs) == []


def test_only_dead_processes_of_this_machine_are_cleaned_after(tmp_path: Path) -> None:
    from burnish.files.processes import host, start_of

    me = os.getpid()
    kept = [f".partial-a@{host()}-{me}-{start_of(me)}", ".partial-a@elsewhere-1-1", "2020-12345678"]
    stale = [f".partial-b@{host()}-{me}-1", f".partial-c@{host()}-99999999-5"]
    for name in kept + stale:
        (tmp_path / "arm" / name).mkdir(parents=True)
    assert sorted(path.name for path in remove_stale(tmp_path)) == sorted(stale)
    assert sorted(path.name for path in (tmp_path / "arm").iterdir()) == sorted(kept)


def test_spec_of_a_plan_merges_options_from_general_to_special(plan_content: dict[str, Any]) -> None:
    plan = make_plan(
        {
            **plan_content,
            "options": {"a": 1, "b": 1, "c": 1},
            "backbones": [{"name": "BPR", "options": {"b": 2, "c": 2}}],
            "arms": {"big": {"options": {"c": 3}}},
        }
    )
    assert dict(spec_of(plan, plan.backbones[0], "big", 1).options) == {"a": 1, "b": 2, "c": 3}
