"""The WSDM 2020 paper's protocol: the split by hand, the measures against loops over all items."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import burnish
from burnish.benchmarks.wsdm20 import MEASURES, main, measures_of, split
from burnish.errors import ConfigurationError, DataError

N_USERS, N_ITEMS = 30, 60


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    folder.mkdir()
    random = np.random.default_rng(1)
    lines = ["user_id:token\titem_id:token\trating:float"]
    for user in range(N_USERS):
        count = 4 if user == 0 else 35 if user == 1 else int(random.integers(5, 25))
        items = random.choice(N_ITEMS, count, replace=False)
        lines += [f"u{user}\ti{item}\t3" for item in items] + [f"u{user}\town{user}\t3"] * (count > 4)
    (folder / "small.inter").write_text("\n".join(lines) + "\n")
    (folder / "small.net").write_text("source_id:token\ttarget_id:token\nu1\tu2\n")
    return folder


def rows_of(folder: Path, part: str) -> dict[str, set[str]]:
    found = defaultdict(set)
    for line in (folder / f"{folder.name}.{part}.inter").read_text().splitlines()[1:]:
        user, item = line.split("\t")
        assert item not in found[user]
        found[user].add(item)
    return found


def test_three_parts_of_each_user(graph: Path, tmp_path: Path) -> None:
    counts = split(graph, tmp_path / "parts")
    whole = defaultdict(set)
    for line in (graph / "small.inter").read_text().splitlines()[1:]:
        whole[line.split("\t")[0]].add(line.split("\t")[1])
    parts = [rows_of(tmp_path / "parts", part) for part in ("train", "valid", "test")]
    assert "u0" not in parts[0]
    assert counts["users"] == N_USERS - 1
    for user in list(whole)[1:]:
        n = len(whole[user])
        assert [len(part[user]) for part in parts] == [
            int(0.6 * n),
            int(0.8 * n) - int(0.6 * n),
            n - int(0.8 * n),
        ]
        assert set.union(*(part[user] for part in parts)) == whole[user]
    assert (tmp_path / "parts" / "parts.net").read_text() == (graph / "small.net").read_text()


def test_ids_are_whole_and_nothing_beside_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    items = ["a\u2028b", "c\x85d", "e\x0bf", "g", "h"]
    lines = ["user_id:token\titem_id:token", *(f"u\u2029\t{item}" for item in items)]
    (folder / "odd.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for ending in ("kg", "link"):
        (folder / f"odd.{ending}").write_text(ending)
    assert split(folder, tmp_path / "parts") == {"train": 3, "valid": 1, "test": 1, "users": 1}
    found = []
    for part in ("train", "valid", "test"):
        content = (tmp_path / "parts" / f"parts.{part}.inter").read_text(encoding="utf-8")
        found += [line.split("\t") for line in content.rstrip("\n").split("\n")[1:]]
    assert sorted(found) == sorted(["u\u2029", item] for item in items)
    assert (tmp_path / "parts" / "parts.kg").read_text() == "kg"
    assert (tmp_path / "parts" / "parts.link").read_text() == "link"


def test_seed_chooses_the_split(graph: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        split(graph, tmp_path / name, seed=seed)
    a, b, c = (rows_of(tmp_path / name, "test") for name in "abc")
    assert a == b != c


def test_measures_against_a_loop(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split(graph, tmp_path / "data" / "parts")
    config = {
        **{"data_path": str(tmp_path / "data"), "benchmark_filename": ["train", "valid", "test"]},
        **{"eval_args": {"mode": "full"}, "metrics": ["NDCG"], "topk": [10], "valid_metric": "NDCG@10"},
        **{"epochs": 2, "embedding_size": 8, "show_progress": False},
    }
    burnish.run("BPR", "parts", config=config, seed=1, folder=tmp_path / "run")
    trained = burnish.load_run(tmp_path / "run")
    found = measures_of(trained)
    parts = [rows_of(tmp_path / "data" / "parts", part) for part in ("train", "valid", "test")]
    in_training = set.union(*parts[0].values())
    data = trained.dataset
    unseen = 0
    for place, user in enumerate(sorted(parts[2], key=lambda name: data.token2id("user_id", name))):
        number = torch.tensor([data.token2id("user_id", user)])
        scores = trained.model.full_sort_predict({"user_id": number}).detach().flatten()
        candidates = [item for item in in_training if item not in parts[0][user] | parts[1][user]]
        candidates.sort(key=lambda item: -float(scores[data.token2id("item_id", item)]))
        wanted = parts[2][user]
        unseen += len(wanted - in_training)
        hits = len(wanted.intersection(candidates[:20]))
        gain = sum(1 / math.log2(n + 2) for n, item in enumerate(candidates[:100]) if item in wanted)
        best = sum(1 / math.log2(n + 2) for n in range(len(wanted)))
        assert found[place].tolist() == pytest.approx(
            [float(hits > 0), hits / min(len(wanted), 20), gain / best]
        )
    assert unseen, "no item is outside of the training part: the test would not see that they are left out"
    assert main(["measure", str(tmp_path / "run")]) == 0
    table = capsys.readouterr().out
    assert all(f"{value:.4f}" in table for value in found.mean(0))
    assert len(found[0]) == len(MEASURES)


def test_refusals(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"nothing\.inter is not there; give the folder"):
        split(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="is there; give the name of a new folder"):
        split(graph, graph)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "other.inter").write_text("item:token\tuser:token\n")
    with pytest.raises(DataError, match="first columns are item, user"):
        split(tmp_path / "other", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert main(["measure", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
