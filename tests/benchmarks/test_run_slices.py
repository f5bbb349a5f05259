"""Slices of finished runs: against RecBole's own metrics, and by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import burnish
from burnish.benchmarks.slices import PerId, equal_parts, label_of, main, slices_of
from burnish.errors import DataError

OPTIONS: dict[str, Any] = {
    **{"epochs": 3, "embedding_size": 8, "show_progress": False, "metrics": ["NDCG", "Recall"], "topk": [10]},
    **{"valid_metric": "NDCG@10", "stopping_step": 9, "learning_rate": 0.01},
    "val_interval": {"user_id": [str(user) for user in range(1, 121)]},
}
GAUSS = {"rvrec": {"objective": True, "spread": "free", "spread_role": "distance", "score": "w2"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run")
    return folder, burnish.run("BPR", "ml-100k", enhancers=GAUSS, config=OPTIONS, seed=1, folder=folder)


def test_users_have_recboles_ndcg(run: tuple[Path, Any]) -> None:
    folder, result = run
    trained = burnish.load_run(folder)
    found = slices_of(trained)
    per_user = result.per_user.set_index("user")["ndcg@10"]
    users = trained.tokens("user_id", found.users.ids)
    np.testing.assert_allclose(found.users.quality, per_user.loc[users], rtol=1e-9)
    counts = np.bincount(found.user_parts, minlength=10)
    assert counts.sum() == len(users)
    assert counts.max() - counts.min() <= 1
    by_part = found.ndcg_by_activity()
    assert by_part @ counts / counts.sum() == pytest.approx(result.test_result["ndcg@10"], abs=1e-4)
    training = trained.splits.training.inter_feat["user_id"]
    np.testing.assert_array_equal(
        found.users.interactions, [int((training == user).sum()) for user in found.users.ids]
    )
    first = found.users.interactions[found.user_parts == 0]
    assert first.max() <= found.users.interactions[found.user_parts == 9].min()


def test_items_are_found_or_not(run: tuple[Path, Any]) -> None:
    folder, _ = run
    trained = burnish.load_run(folder)
    found = slices_of(trained)
    test, before = trained.splits.test.inter_feat, {}
    for part in (trained.splits.training, trained.splits.validation):
        for user, item in zip(
            part.inter_feat["user_id"].tolist(), part.inter_feat["item_id"].tolist(), strict=True
        ):
            before.setdefault(user, set()).add(item)
    tried, hit = {}, {}
    pairs = list(zip(test["user_id"].tolist(), test["item_id"].tolist(), strict=True))
    for user in {user for user, _ in pairs}:
        ask = type(trained.dataset.inter_feat)({"user_id": torch.tensor([user])})
        scores = trained.model.full_sort_predict(ask).detach().flatten()
        scores[[0, *before.get(user, ())]] = -np.inf
        top = set(scores.topk(10).indices.tolist())
        for item in (item for who, item in pairs if who == user):
            tried[item] = tried.get(item, 0) + 1
            hit[item] = hit.get(item, 0) + (item in top)
    assert found.items.ids.tolist() == sorted(tried)
    np.testing.assert_allclose(found.items.quality, [hit[i] / tried[i] for i in sorted(tried)])
    popular = found.item_parts == 9
    wanted = sum(hit[i] for i in found.items.ids[popular]) / sum(tried[i] for i in found.items.ids[popular])
    assert found.recall_by_popularity()[9] == pytest.approx(wanted)
    spread = trained.model.enhancers["rvrec"].spread_of("item").numpy()[found.items.ids]
    of_spread, of_count = found.items.calibration()
    assert of_spread == pytest.approx(spearmanr(spread, 1 - found.items.quality).statistic)
    assert of_count == pytest.approx(spearmanr(found.items.interactions, 1 - found.items.quality).statistic)


def test_parts_are_of_equal_size_in_order() -> None:
    assert equal_parts(np.array([5, 1, 1, 9, 7]), 5).tolist() == [2, 0, 1, 4, 3]
    assert equal_parts(np.array([3, 3]), 4).tolist() == [0, 2]
    assert equal_parts(np.array([], dtype=int), 4).tolist() == []


def test_a_spread_that_is_large_where_the_error_is() -> None:
    quality = np.array([0.9, 0.5, 0.1])
    ids, ones = np.arange(3), np.ones(3)
    assert PerId(ids, np.array([9, 5, 1]), quality, ones, 1 - quality).calibration() == (1.0, -1.0)
    assert PerId(ids, np.array([1, 1, 1]), quality, ones, None).calibration() == (None, None)


def test_tables_of_runs(run: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = run
    assert label_of(folder).startswith("BPR rvrec(objective=True")
    other = tmp_path / "other seed"
    shutil.copytree(folder, other)
    assert main([str(folder), str(other), "--parts", "4", "--output", str(tmp_path / "slices.md")]) == 0
    text = capsys.readouterr().out
    assert text.strip() == (tmp_path / "slices.md").read_text(encoding="utf-8").strip()
    assert "## NDCG by users' activity" in text
    row = next(line for line in text.splitlines() if line.startswith("| BPR rvrec("))
    assert [cell.strip() for cell in row.split("|")][2] == "2"
    assert main([str(tmp_path)]) == 1
    assert "is not the folder of a run" in capsys.readouterr().err


def test_a_run_counts_once(run: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = run
    (tmp_path / "link").symlink_to(folder)
    for again, said in ((folder, ""), (tmp_path / "link", f" (the other time as {str(folder)!r})")):
        assert main([str(folder), str(again)]) == 1
        told = capsys.readouterr()
        assert f"the run {str(again)!r} is given twice{said} and would count as two; give each" in told.err
        assert not told.out


def test_runs_without_test_data_are_refused(run: tuple[Path, Any]) -> None:
    trained = burnish.load_run(run[0])
    trained.test = None
    with pytest.raises(DataError, match="no test data"):
        slices_of(trained)
