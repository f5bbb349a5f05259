"""Kills at any instant: the same commands again end in the same bits as undisturbed ones, and nothing is left over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import Bench, KillServer, RunAndResume, content_of, differences, kill_server, write_world

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks")


@pytest.fixture(scope="module")
def server() -> Iterator[KillServer]:
    with kill_server(dict(os.environ)) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_world(tmp_path / "world")
    return tmp_path / "world"


@pytest.fixture(scope="module")
def comparison(server: KillServer, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One undisturbed comparison serves several tests; each writes folders of its own beside it."""
    place = tmp_path_factory.mktemp("comparison") / "world"
    write_world(place)
    return Bench(server, place, "bench")


@pytest.fixture(scope="module")
def one_run(server: KillServer, tmp_path_factory: pytest.TempPathFactory) -> RunAndResume:
    """Likewise, of a run."""
    place = tmp_path_factory.mktemp("run") / "world"
    write_world(place)
    return RunAndResume(server, place, "run")


def test_a_few_kills_of_a_comparison(comparison: Bench) -> None:
    battery = comparison
    for count in (battery.at_random(5, seed=3), battery.at_changes(2, seed=3)):
        assert not count.wrong, "\n".join(count.wrong)


def test_a_few_kills_of_a_run(one_run: RunAndResume) -> None:
    battery = one_run
    for count in (battery.at_random(5, seed=4), battery.last_changes(5)):
        assert not count.wrong, "\n".join(count.wrong)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Bench, RunAndResume])
def test_a_hundred_kills(kind: type[Bench] | type[RunAndResume], server: KillServer, place: Path) -> None:
    battery = kind(server, place, kind.__name__)
    for count in (battery.at_random(100, seed=1), battery.at_changes()):
        assert count.kills > 40
        assert not count.wrong, "\n".join(count.wrong)


def test_two_comparisons_at_once_are_one(server: KillServer, comparison: Bench) -> None:
    battery, place = comparison, comparison.place
    whole, _ = battery.reference()
    for number, gap in enumerate((0.0, 0.2, 0.5)):
        both = battery.first(f"both{number}")
        ended = server.run(both, both, cwd=place, gap=gap)
        assert ended.codes == [0, 0], ended.outputs
        assert differences(whole, place / f"both{number}") == []


def test_two_plans_at_once_keep_all_arms(server: KillServer, place: Path) -> None:
    plan = (place / "plan.yaml").read_text(encoding="utf-8")
    names = [f"arm{number}" for number in range(4)]
    for name in names:
        text = plan.replace('"guided": {"guided"', f'"{name}": {{"guided"').replace(
            '"base": "auto"', '"base": null'
        )
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    commands = [["bench", f"{name}.yaml", "--runs", "runs", "-q"] for name in names]
    assert server.run(*commands, cwd=place).codes == [0] * 4
    (note,) = (place / "runs").rglob("comparison-*.json")
    assert set(content_of(note.parent)[note.name]["arms"]) == {"plain", *names}


def test_of_two_runs_into_one_folder_the_second_is_refused(server: KillServer, one_run: RunAndResume) -> None:
    battery, place = one_run, one_run.place
    whole, _ = battery.reference()
    ended = server.run(battery.first("both"), battery.first("both"), cwd=place)
    assert sorted(ended.codes) == [0, 2], ended.outputs
    refused = ended.outputs[ended.codes.index(2)]
    assert "both is in use: process" in refused
    assert "Traceback" not in refused
    assert differences(whole, place / "both") == []
