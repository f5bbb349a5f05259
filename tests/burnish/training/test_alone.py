"""One run at a time in a process: a second thread is refused, and the first run is what it is by itself."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import burnish
from burnish.errors import BurnishError, ConfigurationError
from burnish.training.session import alone
from burnish.training.train import train

REFUSED = "another thread of this process is training or reading a run.*a process for each run"


def in_a_thread(work: Callable[[], Any]) -> Any:
    """What a call in another thread gives or raises."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(work())
        except BurnishError as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    return found[0]


def test_a_second_run_is_refused_and_disturbs_nothing(small: dict[str, Any], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    train("BPR", "tiny", options=small, folder=kept)
    by_itself = train("BPR", "tiny", options=small)
    answers: list[Any] = []

    def meanwhile(epoch: Any) -> None:
        if len(answers) < 4:
            answers.extend(
                in_a_thread(work)
                for work in (
                    lambda: burnish.run("BPR", "tiny", config=small, folder=kept, show_progress=False),
                    lambda: burnish.run(resume=kept, config={"epochs": 9}, show_progress=False),
                    lambda: burnish.load_run(kept),
                    lambda: burnish.recommend(kept, k=2),
                )
            )

    disturbed = train("BPR", "tiny", options=small, on_epoch=meanwhile)
    assert [type(answer) for answer in answers] == [ConfigurationError] * 4
    for answer in answers:
        with pytest.raises(ConfigurationError, match=REFUSED):
            raise answer
    assert disturbed.losses == by_itself.losses
    assert disturbed.test_result == by_itself.test_result
    assert burnish.load_run(kept).model is not None  # nothing in the folder was touched


def test_afterwards_any_thread_may_begin(small: dict[str, Any]) -> None:
    with pytest.raises(BurnishError):
        train("BPR", "nowhere", options=small)
    result = in_a_thread(lambda: train("BPR", "tiny", options=small))
    assert result.losses == train("BPR", "tiny", options=small).losses


def test_a_thread_may_run_within_its_own_run(small: dict[str, Any]) -> None:
    within: list[Any] = []

    def inner(epoch: Any) -> None:
        if not within:
            within.append(train("BPR", "tiny", options=small))

    train("BPR", "tiny", options=small, on_epoch=inner)
    assert within[0].losses


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_is_free() -> None:
    def child() -> None:
        with alone():
            pass

    def fork() -> int | None:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(60)
        return process.exitcode

    with alone():
        assert in_a_thread(fork) == 0
