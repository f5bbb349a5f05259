"""`burnish.improve` from data to a winner, on small data; and what it refuses."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml

import burnish
from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.improve import final, search
from burnish.benchmarks.improve import improve as module
from burnish.benchmarks.improve.families import Family
from burnish.benchmarks.improve.improve import improve, seconds_of
from burnish.benchmarks.improve.outcome import as_yaml
from burnish.benchmarks.improve.tried import News
from burnish.errors import BurnishError, ConfigurationError, DataError, UnsupportedError

FEW = [
    Family("plain", "", {}, {"learning_rate": [0.01, 0.02]}),
    Family("softmax", "", {"softmax": {}}, {"learning_rate": [0.05, 0.02]}),
    Family("line", "", {"compress": {"teachers": {"ease": None, "softmax": None}}}, {}),
]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "families_for", lambda options, own: FEW)
    monkeypatch.setattr(final, "MOST_SEEDS", 2)
    monkeypatch.setattr(search, "SHARED", {"Pop": {}, "EASE": {"reg_weight": [50.0, 250.0]}})


@pytest.fixture
def options(small: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in small.items() if name != "threads"}, "epochs": 12}


def parts(folder: Path, name: str, last: int) -> None:
    """Training, validation and test files; the test rows depend on `last`."""
    (folder / name).mkdir(parents=True)
    draw = random.Random(3)
    rows: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for user in range(40):
        items = draw.sample(range(15) if user % 2 else range(15, 30), 10)
        other = random.Random(f"{last} {user}").sample([one for one in range(30) if one not in items], 2)
        for part, own in (("train", items[:8]), ("valid", items[8:]), ("test", other)):
            rows[part] += [f"u{user}\ti{item}" for item in own]
    for part, lines in rows.items():
        file = folder / name / f"{name}.{part}.inter"
        file.write_text("\n".join(["user_id:token\titem_id:token", *lines]) + "\n", encoding="utf-8")


def test_from_data_to_a_winner(few: None, options: dict[str, Any], tmp_path: Path) -> None:
    news: list[News] = []
    given = {"budget": 600, "config": options, "seed": 5, "threads": 1, "workers": 1}
    found = improve("BPR", "tiny", **given, folder=tmp_path / "better", on_news=news.append)
    assert found.winner in ("softmax", "line")
    assert found.metric == "ndcg@10"
    assert found.verdict in str(found)
    folder = tmp_path / "better"
    kept = json.loads((folder / "improve.json").read_text(encoding="utf-8"))
    assert kept["winner"] == found.winner
    assert {one["way"] for one in kept["tried"]} == {"plain", "softmax", "line"}
    assert set(kept["floors"]) == {"Pop", "EASE"}

    # The figures are those of runs that never were part of the search.
    tests = {row.arm: row for row in found.rows if row.kind != "over"}
    assert found.rows[0].n_seeds == 2
    assert {"winner"} < set(tests)
    searched = {path.parent.name for path in (folder / "search").rglob("metrics.json")}
    assert not any(name.startswith(("6-", "7-")) for name in searched)
    for path in (folder / "search").rglob("metrics.json"):
        assert not json.loads(path.read_text(encoding="utf-8"))["test_result"], path  # never looked at there

    # What it wrote is of use: the run, the plain checkpoint and the block say the same.
    loaded = burnish.load_run(folder / "winner")
    again = burnish.run(config_files=folder / "winner.yaml", seed=6, show_progress=False)
    first = json.loads((folder / "winner" / "metrics.json").read_text(encoding="utf-8"))
    assert again.test_result == first["test_result"]
    block = yaml.safe_load((folder / "winner.yaml").read_text(encoding="utf-8"))
    assert block["enhancers"].keys() == next(one for one in FEW if one.name == found.winner).enhancers.keys()
    checkpoint = torch.load(folder / "winner.pth", weights_only=False)
    users = loaded.model.user_embedding.weight
    assert checkpoint["state_dict"]["user_embedding.weight"].shape == users.shape

    # What a shorter search left of another winner is replaced, with all that belongs to it.
    (folder / "winner" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "winner" / "of the former one").touch()

    # Once more, nothing is trained, and the verdict is the same.
    more: list[News] = []
    assert improve("BPR", "tiny", **given, folder=folder, on_news=more.append).verdict == found.verdict
    assert not [one for one in more if one.kind == "done"]
    assert [one for one in news if one.kind == "done"]
    assert json.loads((folder / "winner" / "config.json").read_text(encoding="utf-8"))["seed"] == 6
    assert not (folder / "winner" / "of the former one").exists()
    assert burnish.load_run(folder / "winner").model is not None


def test_the_search_sees_nothing_of_the_test(few: None, options: dict[str, Any], tmp_path: Path) -> None:
    """Other test rows: the same values on validation, to the last bit, and the same winner."""
    seen = []
    for last in (1, 2):
        parts(tmp_path / f"data{last}", "parted", last)
        own = {**options, "data_path": str(tmp_path / f"data{last}")}
        own |= {"benchmark_filename": ["train", "valid", "test"], "load_col": None}
        found = improve(
            "BPR", "parted", budget=600, config=own, folder=tmp_path / f"out{last}", threads=1, workers=1
        )
        kept = json.loads((found.folder / "improve.json").read_text(encoding="utf-8"))
        values = [(one["way"], one["settings"], one["validation"]) for one in kept["tried"]]
        seen.append((kept["winner"], values, [row.mean for row in found.rows]))
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][2] != seen[1][2]  # the test itself is another one


def found_in(folder: Path) -> dict[str, Any]:
    """What a search found, without seconds."""
    said = json.loads((folder / "improve.json").read_text(encoding="utf-8"))
    for one in (*said["tried"], *(each for tries in said["floors"].values() for each in tries)):
        del one["seconds"]
    return {name: said[name] for name in ("winner", "settings", "rungs", "tried", "floors", "test")}


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_several_at_a_time_find_the_same_whatever_is_killed(
    few: None, options: dict[str, Any], tmp_path: Path
) -> None:
    """Killed in the search; again, a worker killed, and stopped in the test; ended by one process."""
    given: dict[str, Any] = {"budget": 10**6, "config": options, "seed": 5, "threads": 1}
    improve("BPR", "tiny", **given, workers=1, folder=tmp_path / "alone")
    out = tmp_path / "several"
    kinds: list[str] = []
    others = {process.pid for process in psutil.Process().children()}  # of earlier tests in this process

    def own() -> list[psutil.Process]:
        return [process for process in psutil.Process().children() if process.pid not in others]

    def killed(news: News) -> None:
        kinds.append(news.kind)
        if kinds.count("done") == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            improve("BPR", "tiny", **given, workers=2, folder=out, on_news=killed)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert not (out / "test").exists()

    def stopped(news: News) -> None:
        kinds.append(news.kind)
        if news.kind == "start" and kinds.count("start") == 3:
            for process in own():
                process.kill()
        if "test" in kinds and "done" in kinds[kinds.index("test") :]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        improve("BPR", "tiny", **given, workers=2, folder=out, on_news=stopped)
    assert "lost" in kinds
    assert "kept" in kinds
    assert not own()
    assert not [path for path in out.rglob(".*") if path.name.startswith(".partial")]

    improve("BPR", "tiny", **given, workers=1, folder=out)
    assert found_in(out) == found_in(tmp_path / "alone")


def test_how_many_runs_at_a_time(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = RunSpec("tiny", "BPR", "BPR", "plain", 7, {}, options)
    for cores, threads, expected in ((1, None, 1), (2, None, 2), (16, None, 4), (4, 2, 2), (2, 4, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert module._how(plain, None, threads, "cpu").workers == expected, (cores, threads)
        assert module._how(plain, None, threads, "cuda").workers == 1
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert module._how(plain, None, None, "cpu").threads == 2
    assert module._how(plain, 3, 5, "cuda") == module._How(3, 5, "3 runs at a time, each with 5 threads")
    assert module._how(plain, 1, None, "cpu") == module._How(1, None)
    asked = replace(plain, options={**options, "threads": 4})
    assert module._how(asked, None, None, "cpu") == module._How(2, 4, "2 runs at a time, each with 4 threads")


def test_a_class_of_a_notebook_is_trained_by_this_process_alone(
    few: None, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole.model.general_recommender import BPR

    own = type("Own", (BPR,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    out = tmp_path / "out"
    with pytest.raises(
        ConfigurationError, match=r"workers = 2: backbone 'Own' .* another process cannot import"
    ):
        improve(own, "tiny", budget=1, config=options, folder=out, workers=2)
    with pytest.raises(ConfigurationError, match="workers = 0"):
        improve(own, "tiny", budget=1, config=options, folder=out, workers=0)
    assert not out.exists()
    told: list[News] = []
    improve(own, "tiny", budget=1, config=options, folder=out, on_news=told.append)
    said = [news.message for news in told if news.kind == "workers"]
    assert said == [
        "one run at a time: backbone 'Own' is defined in a script or notebook, which another process cannot import"
    ]


def test_as_many_seeds_as_there_is_time_for(tmp_path: Path) -> None:
    def more(left: float, n: int, took: list[float]) -> int:
        search: Any = type("Fake", (), {})()
        search.clock = type("Fake", (), {"left": left})()
        search.together = lambda each: max(sum(each) / n, *each)
        records = [
            RunRecord("tiny", "BPR", "plain", 1, None, tmp_path, "done", seconds=each) for each in took
        ]
        return final._more_seeds(search, records)

    two = [10.0, 20.0, 10.0, 20.0]  # plain and a winner, on two seeds
    assert more(29.0, 1, two) == 0
    assert more(31.0, 1, two) == 1
    assert more(95.0, 1, two) == 3  # five in all
    assert more(1e9, 1, two) == 3
    assert more(31.0, 2, two) == 2
    assert more(19.0, 4, two) == 0  # the longest run alone takes as long
    assert more(21.0, 4, two) == 2
    assert more(-5.0, 1, two) == 0


def test_nothing_helped_is_said_and_the_test_is_left_alone(
    few: None, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmful = Family("softmax", "", {"softmax": {"temperature": 50.0}}, {"learning_rate": [1e-6]})
    plain = Family("plain", "", {}, {"learning_rate": [0.02]})
    monkeypatch.setattr(module, "families_for", lambda options, own: [plain, harmful])
    out = tmp_path / "out"
    found = improve("BPR", "tiny", budget=600, config=options, folder=out, threads=1, workers=1)
    assert found.verdict.startswith(
        "Nothing helped: none of 1 ways is above the plain backbone on validation"
    )
    assert not found.helped
    assert found.winner is None
    assert not (out / "test").exists()
    assert not (out / "winner").exists()
    # What a shorter search had found to help goes with it.
    (out / "winner").mkdir()
    for name in ("winner/run.json", "winner.yaml", "winner.pth"):
        (out / name).touch()
    improve("BPR", "tiny", budget=600, config=options, folder=out, threads=1, workers=1)
    assert not [path.name for path in out.iterdir() if path.name.startswith("winner")]


def test_what_cannot_be_improved_is_refused_before_anything(options: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BurnishError, match="Did you mean 'BPR'"):
        improve("BPRR", "tiny", config=options, folder=out)
    rated = {**options, "metrics": ["AUC"], "valid_metric": "AUC", "load_col": None}
    rated |= {"eval_args": {"mode": "labeled"}, "LABEL_FIELD": "label", "threshold": {"rating": 4}}
    with pytest.raises(UnsupportedError, match="improve is for models that rank"):
        improve(
            "FM",
            "ml-100k",
            config={name: value for name, value in rated.items() if name != "data_path"},
            folder=out,
        )
    for model in ("Pop", "EASE"):
        with pytest.raises(UnsupportedError, match=f"^{model} has no epochs: .*there is nothing to train"):
            improve(model, "tiny", config=options, folder=out)
    for wrong in (-1, 2**32 - 5, "a"):
        with pytest.raises(ConfigurationError, match=f"seed = {wrong!r}: "):
            improve("BPR", "tiny", config=options, folder=out, seed=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="epochs = 0"):
        improve("BPR", "tiny", config={**options, "epochs": 0}, folder=out)
    assert not out.exists()
    with pytest.raises(ConfigurationError, match="option enhancers has no place here"):
        improve("BPR", "tiny", config={**options, "enhancers": "softmax"}, folder=out)
    (out / "mine").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"holds other files \(mine\)"):
        improve("BPR", "tiny", config=options, folder=out)
    assert sorted(one.name for one in out.iterdir() if not one.name.startswith(".")) == ["mine"]
    shutil.rmtree(out)


def test_the_folder_of_another_search_is_refused(few: None, options: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    improve("BPR", "tiny", budget=1, config=options, folder=out, threads=1, workers=1)
    with pytest.raises(ConfigurationError, match="was made with seed = 2020"):
        improve("BPR", "tiny", config=options, folder=out, seed=1)
    with pytest.raises(
        ConfigurationError,
        match="was made with options embedding_size = 8, without weight_decay; give another",
    ):
        improve("BPR", "tiny", config={**options, "embedding_size": 16, "weight_decay": 0.1}, folder=out)


def test_options_of_any_type_are_found_again_and_can_be_copied(tmp_path: Path) -> None:
    options = {"topk": (5, 10), "data_path": Path("data"), "weight_decay": np.float64(0.5)}
    plain = RunSpec("tiny", "BPR", "BPR", "plain", 7, {}, options)
    for _ in range(2):  # the second time goes on with the first
        module._check_same(plain, tmp_path, FEW)
    assert yaml.safe_load(as_yaml(options)) == {"topk": [5, 10], "data_path": "data", "weight_decay": 0.5}
    (tmp_path / "asked.json").write_text("[]")
    with pytest.raises(DataError, match=r"asked\.json is damaged .*remove the folder to begin anew"):
        module._check_same(plain, tmp_path, FEW)


def test_the_folder_of_other_data_is_refused(write_interactions: Any, tmp_path: Path) -> None:
    rows = [(f"u{user}", f"i{user % 7}", user) for user in range(20)]
    write_interactions(tmp_path, "mine", rows)
    file = tmp_path / "mine" / "mine.inter"
    plain = RunSpec("mine", "BPR", "BPR", "plain", 7, {}, {"data_path": str(tmp_path)})
    loaded = replace(
        plain, options={**plain.options, "load_col": {"inter": ["user_id"], "item": ["item_id"]}}
    )
    for number, own in enumerate((plain, loaded)):
        out = tmp_path / f"out{number}"
        out.mkdir()
        module._check_same(own, out, FEW)
        module._check_same(own, out, FEW)
        # A column that is not loaded is no matter.
        (tmp_path / "mine" / "mine.item").write_text("item_id:token\ni1\n", encoding="utf-8")
        if own is plain:
            module._check_same(own, out, FEW)
            kept = file.read_text(encoding="utf-8")
            file.write_text(kept.replace("u3\t", "u4\t"), encoding="utf-8")
        with pytest.raises(
            ConfigurationError, match="made with other data: the files of 'mine' have changed"
        ):
            module._check_same(own, out, FEW)
        # An earlier burnish did not note it: from now on it is.
        noted = json.loads((out / "asked.json").read_text(encoding="utf-8"))
        del noted["data"]
        (out / "asked.json").write_text(json.dumps(noted), encoding="utf-8")
        module._check_same(own, out, FEW)
        file.write_text(file.read_text(encoding="utf-8") + "u1\ti2\t99\n", encoding="utf-8")
        with pytest.raises(ConfigurationError, match="made with other data"):
            module._check_same(own, out, FEW)
        (tmp_path / "mine" / "mine.item").unlink()
    split = replace(plain, options={**plain.options, "benchmark_filename": ["train", "test"]})
    before = module._data_digest(split)
    (tmp_path / "mine" / "mine.test.inter").write_text("user_id:token\n", encoding="utf-8")
    assert module._data_digest(split) != before


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("2 h", 7200),
        ("1.5 hours", 5400),
        (45, 45),
        ("10 minutes 5 s", 605),
    ],
)
def test_a_budget_in_words(text: str | int, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["15", "", "m", "15x", "-3m", "0s", 0, -1, float("nan"), float("inf"), "1h x"]
)
def test_what_is_no_budget(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        seconds_of(text)
