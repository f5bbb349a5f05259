"""MAE and RMSE of two arms: against Student's t over users, by hand, in a report and from a trained model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from review_world import NAME, write_reviews
from rich.console import Console
from scipy import stats

from burnish.benchmarks.harness import summarise, to_markdown, to_table
from burnish.benchmarks.harness.rating_errors import clustered, compare_errors
from burnish.errors import DataError
from burnish.training.train import train

USERS, EACH = 40, 5


def table(error: np.ndarray, rating: np.ndarray) -> pd.DataFrame:
    users = [f"u{at % USERS}" for at in range(len(error))]
    return pd.DataFrame({"user": users, "row": range(len(error)), "rating": rating, "error": error})


@pytest.fixture
def sides() -> tuple[dict[int, pd.DataFrame], dict[int, pd.DataFrame]]:
    """Errors of two arms by seed, the second one's smaller; every user has equally many rows."""
    draw = np.random.default_rng(3)
    plain, arm = {}, {}
    for seed in (1, 2):
        rating = draw.integers(1, 6, USERS * EACH).astype(float)
        error = draw.normal(0, 1, USERS * EACH)
        plain[seed], arm[seed] = (
            table(error, rating),
            table(0.9 * error + draw.normal(0, 0.05, len(error)), rating),
        )
    return plain, arm


def test_mae_is_students_t_over_users_where_all_have_equally_many_rows(sides: Any) -> None:
    found = compare_errors(*sides, "mae")
    before, after = (
        pd.concat(side.values())
        .assign(size=lambda frame: frame["error"].abs())
        .groupby("user")["size"]
        .mean()
        for side in sides
    )
    reference = stats.ttest_rel(after, before)
    interval = reference.confidence_interval(0.95)
    assert (found.n, found.difference) == (USERS, pytest.approx(after.mean() - before.mean()))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.p_t == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(after - before).pvalue, rel=1e-9)
    assert found.effect_size == pytest.approx(reference.statistic / np.sqrt(USERS), rel=1e-9)


def test_rmse_of_all_rows(sides: Any) -> None:
    found = compare_errors(*sides, "rmse")
    before, after = (np.sqrt((pd.concat(side.values())["error"] ** 2).mean()) for side in sides)
    assert (found.baseline_mean, found.mean) == (pytest.approx(before), pytest.approx(after))
    assert found.low < found.difference < found.high < 0
    # What users have in the difference adds up to it: Cohen's d_z is their mean over their spread.
    assert np.sign(found.effect_size) == -1
    draw, pooled = np.random.default_rng(0), [pd.concat(side.values()) for side in sides]
    squares = [frame.assign(s=frame["error"] ** 2).groupby("user")["s"].mean().to_numpy() for frame in pooled]
    drawn = draw.integers(0, USERS, (2000, USERS))
    changes = np.sqrt(squares[1][drawn].mean(1)) - np.sqrt(squares[0][drawn].mean(1))
    assert found.high - found.low == pytest.approx(
        np.subtract(*np.quantile(changes, [0.975, 0.025])), rel=0.15
    )


def test_rows_that_do_not_fit(sides: Any) -> None:
    plain, arm = sides
    with pytest.raises(
        DataError, match=r"seed 2: the two arms were tested on different ratings \(200 and 199"
    ):
        compare_errors(plain, {**arm, 2: arm[2].iloc[1:]}, "mae")
    with pytest.raises(DataError, match="seed 1: the two arms were tested on different ratings"):
        compare_errors(plain, {**arm, 1: arm[1].assign(rating=3.0)}, "mae")


def test_clusters_of_one_row_are_the_paired_t_test():
    draw = np.random.default_rng(3)
    values = draw.normal(0.1, 1, 50)
    half, p = clustered(values, np.arange(50), values.mean())
    reference = stats.ttest_1samp(values, 0)
    interval = reference.confidence_interval(0.95)
    assert half == pytest.approx((interval.high - interval.low) / 2, rel=1e-12)
    assert p == pytest.approx(reference.pvalue, rel=1e-12)


def test_copied_rows_tell_nothing_new():
    """Ten copies of each row of a user: the interval stays, where a test that ignores users would shrink it."""
    draw = np.random.default_rng(4)
    values, users = draw.normal(0.1, 1, 60), np.repeat(np.arange(20), 3)
    once = clustered(values, users, values.mean())
    often = clustered(np.tile(values, 10), np.tile(users, 10), values.mean())
    assert often == pytest.approx(once, rel=1e-12)


def test_coverage():
    """About 95 of 100 intervals hold the true difference, with rows that depend on their user."""
    draw = np.random.default_rng(6)
    users = np.repeat(np.arange(40), 5)
    covered = 0
    for _ in range(600):
        values = draw.normal(0.2, 1, 40)[users] + draw.normal(0, 0.5, 200)
        half, _ = clustered(values, users, values.mean())
        covered += abs(values.mean() - 0.2) <= half
    assert 0.92 <= covered / 600 <= 0.98


@pytest.fixture
def runs(sides: Any, tmp_path: Path) -> Path:
    place = tmp_path / "tiny" / "EMF"
    note: dict[str, Any] = {"dataset": "tiny", "label": "EMF", "comparison": "0a", "arms": {}}
    for arm, tables in {"plain": sides[0], "good": sides[1]}.items():
        note["arms"][arm] = {}
        for seed, frame in tables.items():
            home = place / arm / str(seed)
            home.mkdir(parents=True)
            error = frame["error"]
            tests = {"rmse": float((error**2).mean() ** 0.5), "mae": float(error.abs().mean())}
            (home / "metrics.json").write_text(json.dumps({"test_result": tests}))
            frame.to_parquet(home / "per_user.parquet")
            (home / "DONE").touch()
            note["arms"][arm][str(seed)] = f"{arm}/{seed}"
    (place / "comparison-0a.json").write_text(json.dumps(note))
    return tmp_path


def test_a_report_says_what_is_paired_and_what_is_better(runs: Path) -> None:
    rows = summarise(runs)
    assert [row.metric for row in rows] == ["rmse", "mae"]
    for row in rows:
        assert (row.unit, row.n_users, row.n_seeds, row.seeds_better) == ("rows", USERS, 2, 2)
        assert row.high < 0
        assert row.interval == "users and seeds"
        assert row.low < row.low_users < row.high_users < row.high
        # Of users, more have the smaller error with the arm.
        assert row.users_better is not None
        assert row.users_better > USERS / 2
        assert (row.direction, row.verdict) == (1, "better, 2 of 2 seeds")
    worse = summarise(runs, baseline="good")
    assert {(row.direction, row.verdict) for row in worse} == {(-1, "worse, 2 of 2 seeds")}
    text = to_markdown(rows)
    assert "paired t over test rows, users and seeds;" in text
    fixed = to_markdown(summarise(runs, metrics=["rmse", "mae"], seeds_random=False))
    assert "paired t over test rows of all seeds, a user's together;" in fixed
    assert "Smaller is better: rmse, mae." in text
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(to_table(rows))
    assert "Smaller is better: rmse, mae." in " ".join(console.export_text().split())


def test_runs_without_tables_are_compared_by_seed(runs: Path) -> None:
    next(runs.rglob("per_user.parquet")).unlink()
    rows = summarise(runs)
    assert {(row.unit, row.n_users, row.direction) for row in rows} <= {
        ("seeds", None, 1),
        ("seeds", None, 0),
    }
    assert "paired t over seeds;" in to_markdown(rows)


def test_errors_of_a_trained_model(tmp_path: Path) -> None:
    options = {"data_path": str(write_reviews(tmp_path)), "epochs": 1, "threads": 1, "eval_batch_size": 5}
    result = train("EMF", NAME, options=options, keep_checkpoint=False)
    frame, test = result.per_user, result.splits[2]
    assert list(frame.columns) == ["user", "row", "rating", "error"]
    assert result.test_result["mae"] == pytest.approx(frame["error"].abs().mean(), rel=1e-6)
    assert result.test_result["rmse"] == pytest.approx((frame["error"] ** 2).mean() ** 0.5, rel=1e-6)
    users, items = (test.inter_feat[name] for name in ("user_id", "item_id"))
    expected = result.model.eval().rate(users, items).detach() - test.inter_feat["rating"]
    np.testing.assert_allclose(frame["error"], expected.double().numpy(), atol=1e-6)
    assert frame["user"].tolist() == list(test.id2token("user_id", users))
