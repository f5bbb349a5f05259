"""A run's folder: one process at a time, results before the mark, and what is missing or damaged is made again."""

from __future__ import annotations

import errno
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from burnish.errors import BurnishError, ConfigurationError, DataError
from burnish.files.lock import locked
from burnish.files.refusals import sentence, told_why
from burnish.training import one_run
from burnish.training.record import RESULTS, forget_run, read_run
from burnish.training.run_folder import LOCK, lacking_result, write_results
from burnish.training.state import FinishedError
from burnish.training.train import resume, train
from burnish.training.weights import weights_of


def started(small: dict[str, Any], folder: Path, **more: Any) -> Any:
    keep = partial(write_results, folder=folder)
    return train("BPR", "tiny", options=small, folder=folder, save_every=1, keep_result=keep, **more)


def gone_on(folder: Path) -> Any:
    return resume(folder, keep_result=partial(write_results, folder=folder))


@pytest.fixture
def whole(small: dict[str, Any], tmp_path: Path) -> Path:
    started(small, tmp_path / "whole")
    return tmp_path / "whole"


def figures(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "result.json").read_text())
    return {
        name: content[name] for name in ("valid_result", "test_result", "losses", "n_epochs", "best_epoch")
    }


def test_results_are_there_before_the_run_is_marked(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[list[str]] = []
    inner = one_run.mark_finished

    def mark(folder: Path, results: list[str] | None = None) -> None:
        there.append([name for name in RESULTS if (folder / name).is_file()])
        assert not read_run(folder).finished
        inner(folder, results)

    monkeypatch.setattr(one_run, "mark_finished", mark)
    started(small, tmp_path / "out")
    assert there == [list(RESULTS)]
    assert read_run(tmp_path / "out").results == list(RESULTS)


@pytest.mark.parametrize("lost", [["result.json", "config.json", "per_user.parquet"], ["per_user.parquet"]])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_lost_results_of_a_finished_run_are_made_again(
    whole: Path, tmp_path: Path, lost: list[str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (
        figures(whole),
        (whole / "per_user.parquet").read_bytes(),
        (whole / "model.safetensors").read_bytes(),
    )
    for name in lost:
        content = (whole / name).read_bytes()
        (whole / name).unlink()
        if how == "damaged":
            (whole / name).write_bytes(content[:20] + b"\xff\xfe" + content[22:60])
    with pytest.raises(FinishedError):  # nothing is asked for, so nothing is made
        resume(whole)
    named = lacking_result(read_run(whole))
    assert named is not None
    assert lost[0] in named
    gone_on(whole)
    assert before == (
        figures(whole),
        (whole / "per_user.parquet").read_bytes(),
        (whole / "model.safetensors").read_bytes(),
    )
    assert lacking_result(read_run(whole)) is None
    with pytest.raises(FinishedError):
        gone_on(whole)


def test_an_earlier_burnish_marked_first(whole: Path) -> None:
    """Its run.json does not list the results, and a kill just after the mark left none of them."""
    note = json.loads((whole / "run.json").read_text())
    del note["results"]
    (whole / "run.json").write_text(json.dumps(note))
    before = figures(whole)
    for name in RESULTS:
        (whole / name).unlink()
    gone_on(whole)
    assert figures(whole) == before
    assert (whole / "per_user.parquet").is_file()


def test_without_states_it_is_trained_again(small: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    keep = partial(write_results, folder=folder)
    train("BPR", "tiny", options=small, folder=folder, keep_result=keep)
    before = figures(folder)
    (folder / "result.json").unlink()
    gone_on(folder)
    assert figures(folder) == before


def test_only_results_are_read_that_burnish_names(whole: Path) -> None:
    note = json.loads((whole / "run.json").read_text())
    (whole / "run.json").write_text(json.dumps({**note, "results": ["/etc/passwd", "../x", "result.json"]}))
    assert read_run(whole).results == ["result.json"]


def test_a_second_process_is_refused_and_changes_nothing(whole: Path, small: dict[str, Any]) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with locked(whole / LOCK):
        for second in (lambda: started(small, whole), lambda: gone_on(whole)):
            with pytest.raises(ConfigurationError, match=rf"is in use: process {os.getpid()} trains"):
                second()
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_new_run_leaves_no_result_of_the_old_one(whole: Path) -> None:
    (whole / "mine.txt").write_text("kept")
    forget_run(whole)
    assert {path.name for path in whole.iterdir()} == {"mine.txt", "log.txt", "checkpoint.pth"}


def test_what_killed_processes_left_is_removed(whole: Path, tmp_path: Path) -> None:
    left = [".run.json.99999999", "resume/.epoch-00001.safetensors.99999999", LOCK]
    for name in left:
        (whole / name).write_text("4194304\n")
    with pytest.raises(FinishedError):
        resume(whole)
    assert not list(whole.rglob(".*"))


def test_a_finished_run_that_cannot_be_written_says_so(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be written then, not even a lock."""
    monkeypatch.setattr("burnish.training.run_folder._may_write", lambda folder: False)
    monkeypatch.setattr("burnish.training.run_folder.locked", lambda *_, **__: pytest.fail("a lock was made"))
    with pytest.raises(FinishedError):
        gone_on(whole)
    (whole / "result.json").unlink()  # to be made again, which needs a folder that can be written
    with monkeypatch.context() as patch:
        patch.setattr(
            one_run, "refuse_links", lambda folder: (_ for _ in ()).throw(OSError(errno.EROFS, "x", "y"))
        )
        with pytest.raises(ConfigurationError, match="y cannot be written"):
            gone_on(whole)


REFUSED: dict[str, dict[str, Any]] = {
    "text for a number": {"learning_rate": "abc"},
    "above the catalogue": {"topk": [500]},
    "a column that is not there": {"load_col": {"inter": ["user_id", "itm_id"]}},
    "an unknown metric": {"valid_metric": "NDGC@10"},
    "no threads": {"threads": 0},
    "no data": {"data_path": "nowhere"},
    "filters leave nothing": {"user_inter_num_interval": "[1000,inf)"},
}


@pytest.mark.parametrize("case", [*REFUSED, "enhancer", "data set", "model", "base"])
def test_a_finished_run_stays_where_another_is_refused(case: str, small: dict[str, Any], whole: Path) -> None:
    before = {
        path: path.read_bytes() for path in whole.rglob("*") if path.is_file() and path.name != "log.txt"
    }
    arguments: dict[str, Any] = {
        "model": "BPR",
        "dataset": "tiny",
        "options": {**small, **REFUSED.get(case, {})},
    }
    arguments |= {
        "enhancer": {"enhancers": {"rvrec": {"wieght": 1}}},
        "data set": {"dataset": "nope"},
        "model": {"model": "BPRR"},
        "base": {"enhancers": {"guided": {"scores": "nowhere.tsv", "base": str(whole / "nowhere")}}},
    }.get(case, {})
    with pytest.raises(BurnishError):
        train(**arguments, folder=whole, save_every=1)
    assert before == {path: path.read_bytes() for path in before}
    assert read_run(whole).finished


def test_a_finished_run_is_replaced_with_a_word(small: dict[str, Any], whole: Path) -> None:
    with pytest.warns(UserWarning, match=r"whole held a finished run \(BPR on tiny\)"):
        started({**small, "seed": 3}, whole)
    assert read_run(whole).options["seed"] == 3


def test_an_interrupted_run_is_not_removed_by_the_same_command(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.training.state import saved_states

    folder = tmp_path / "out"

    def stop(epoch: Any) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(small, folder, on_epoch=stop)
    states = [path for _, path in saved_states(folder)]
    assert states
    with pytest.raises(
        ConfigurationError, match=r"interrupted run \(BPR on tiny.*burnish run --resume .*out"
    ):
        started({**small, "learning_rate": 0.1}, folder)
    assert [path for _, path in saved_states(folder)] == states
    gone_on(folder)
    assert read_run(folder).finished
    started(small, folder)  # nothing can be lost now
    # One whose description is lost cannot go on.
    (folder / "run.json").write_text("{")
    started(small, folder)
    assert read_run(folder).finished


def plain_bpr(options: dict[str, Any]) -> Any:
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.first import FirstRequest

    return FirstRequest(find_backbone("BPR"), "tiny", (), options)


def test_a_base_note_never_stands_beside_another_base(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the note of the new base and its training must not make the old one count as the new one."""
    from burnish.training import first, one_run

    places = first.Places(lambda *_: {})

    def request(seed: int) -> first.FirstRequest:
        return plain_bpr({**small, "epochs": 1, "seed": seed})

    place = tmp_path / "base"
    first._trained(request(1), place, places)
    assert first.progress_in(place, request(1)) == "finished"

    def killed_at(function: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(one_run, function, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                first._trained(request(2), place, places)

    killed_at("forget_run")  # the former base is still there
    assert [first.progress_in(place, request(seed)) for seed in (1, 2)] == ["finished", "nothing"]
    killed_at("write_run")
    assert [first.progress_in(place, request(seed)) for seed in (1, 2)] == ["nothing", "nothing"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"digest": 3}', "\ufffd"])
def test_a_damaged_base_is_trained_anew(content: str, small: dict[str, Any], tmp_path: Path) -> None:
    from burnish.training import first

    asked, place = plain_bpr({**small, "epochs": 1, "seed": 1}), tmp_path / "bases" / "x"

    def weights() -> dict[str, Any]:
        return first._shared(
            asked, place, first.Places(lambda *_: {}), lambda folder, _: weights_of(folder, "")
        )

    before = weights()
    (place / "base.json").write_text(content)
    assert {name: value.tolist() for name, value in before.items()} == {
        name: value.tolist() for name, value in weights().items()
    }
    file = place / "model.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    assert weights().keys() == before.keys()
    assert [path.name for path in place.parent.iterdir()] == ["x"]


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            "a/b cannot be written (No space left on device)",
        ),
        (OSError(errno.EROFS, "Read-only file system"), "out cannot be written (Read-only file system)"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x cannot be opened (Permission denied)"),
        (
            RuntimeError(
                "[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file"
            ),
            "out c",
        ),
        (
            Exception("Error while serializing: IoError(Os { code: 28, kind: StorageFull })"),
            "out cannot be written",
        ),
        (
            ValueError("I/O error: No space left on device (os error 28)"),
            "out cannot be written (No space left",
        ),
    ],
)
def test_refusals_are_sentences(error: Exception, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught, told_why(Path("out")):
        raise error
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no"), ValueError("no"), DataError("x [Errno 28]")])
def test_other_errors_go_through(error: Exception) -> None:
    with pytest.raises(type(error), match=r"no|x"), told_why(Path("out")):
        raise error
    assert sentence(KeyError("x"), None) is None


def test_a_folder_that_is_a_file(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigurationError, match="out is a file; give the name of a folder"):
        started(small, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
@pytest.mark.parametrize("limit", [0, 300, 3000, 6000])
def test_a_full_disk_is_a_sentence(
    limit: int, small: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A limit on file sizes refuses to write, as a full disk does: in the log, the run's note, weights and states."""
    import resource

    started({**small, "epochs": 1}, tmp_path / "first")  # what is loaded late is loaded
    shutil.rmtree(tmp_path / "first")
    capfd.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(ConfigurationError, match=r"cannot be written \((File too large|No space left)"):
            started(small, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "Traceback" not in capfd.readouterr().err
    assert not list((tmp_path / "out").rglob(".*"))
    assert started(small, tmp_path / "out").n_epochs == 2
