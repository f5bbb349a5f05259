"""The study as a whole, on small models, and what it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import burnish
from burnish.benchmarks.faithfulness import explain_eval as study
from burnish.benchmarks.faithfulness.measures import in_order
from burnish.benchmarks.faithfulness.report import CHECKS, FILES, Faithfulness, measured, places_of
from burnish.benchmarks.harness.crossed import over_both
from burnish.benchmarks.harness.faithful import OURS, WARNING
from burnish.errors import BurnishError, ConfigurationError, DataError, UnknownNameError
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.recommend import Recommender, recommend

SOME = ["random", "gradient", "leave-one-out"]


@pytest.fixture(scope="module")
def found(trained: Callable[..., Any]) -> Faithfulness:
    """BPR with two seeds, and MultiVAE."""
    runs = [trained("BPR"), trained("BPR", 2), trained("MultiVAE")]
    return burnish.explain_eval(runs, users=6, seed=5, budget=64, reference_reasons=SOME)


def test_the_first_recommendation_of_each_is_explained(
    found: Faithfulness, trained: Callable[..., Any]
) -> None:
    frame = found.per_user()
    own = frame[(frame["model"] == "BPR") & (frame["run_seed"] == 2)].drop_duplicates("user")
    assert len(own) == 6
    best = recommend(trained("BPR", 2), list(own["user"]), k=1)
    assert own["item"].tolist() == best["item"].tolist()
    assert set(frame.groupby(["model", "run_seed"])["user"].unique().map(tuple)) == {tuple(own["user"])}


def test_a_figure_from_scores_asked_one_by_one(found: Faithfulness, trained: Callable[..., Any]) -> None:
    recommender = Recommender(trained("MultiVAE"), k=1)
    reasons = HistoryReasons(recommender, budget=64, seed=5)
    frame = found.per_user()
    chosen = frame[(frame["model"] == "MultiVAE") & (frame["measure"] == "DEL") & (frame["k"] == 2)]
    data = recommender.trained.dataset
    for row in chosen[chosen["reasons"] == OURS].itertuples():
        user, item = data.token2id("user_id", row.user), data.token2id("item_id", row.item)
        (contributions,) = reasons.contributions(int(user), [int(item)])
        assert contributions is not None
        strongest = contributions.history[in_order(contributions.values, (5, int(user), 2))[:2]]
        known = set(recommender.known[int(user)].indices.tolist())
        catalogue = [
            one for one in range(1, data.item_num) if recommender.seen_items[one] and one not in known
        ]

        def scores(history: list[int], user: int = int(user)) -> np.ndarray:
            model = recommender.trained.model
            row = np.zeros((1, data.item_num), np.float32)
            row[0, history] = 1
            import torch

            model.get_rating_matrix = lambda users: torch.from_numpy(row)
            try:
                with torch.no_grad():
                    return (
                        model.full_sort_predict({"user_id": torch.tensor([user])}).view(-1).double().numpy()
                    )
            finally:
                del model.get_rating_matrix

        whole = scores(contributions.history.tolist())
        cut = scores([one for one in contributions.history.tolist() if one not in strongest])
        spread = whole[catalogue].std()
        drop = (whole[item] - whole[catalogue].mean() - cut[item] + cut[catalogue].mean()) / spread
        assert row.value == pytest.approx(drop, rel=1e-4, abs=1e-6)


def test_means_and_intervals(found: Faithfulness) -> None:
    frame, summary = found.per_user(), found.summary()
    own = frame[(frame["model"] == "BPR") & (frame["measure"] == "INS") & (frame["k"] == 3)]
    table = own[own["reasons"] == "random"].pivot(index="user", columns="run_seed", values="value").to_numpy()
    row = summary.set_index(["model", "measure", "k", "reasons"]).loc[("BPR", "INS", 3, "random")]
    low, high = over_both(table).interval(table.mean())
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((table.mean(), low, high))
    assert (row["users"], row["seeds"]) == (6, 2)
    other = own[own["reasons"] == OURS].pivot(index="user", columns="run_seed", values="value").to_numpy()
    paired = (
        found.differences().set_index(["model", "measure", "k", "reference"]).loc[("BPR", "INS", 3, "random")]
    )
    low, high = over_both(other - table).interval((other - table).mean())
    assert (paired["difference"], paired["low"], paired["high"]) == pytest.approx(
        ((other - table).mean(), low, high)
    )


def test_what_is_in_it(found: Faithfulness) -> None:
    differences = found.differences()
    assert WARNING not in set(differences["reference"])
    sums = differences[
        (differences["model"] == "BPR") & differences["reference"].isin(["gradient", "leave-one-out"])
    ]
    assert set(sums["verdict"]) == {"same"}
    assert any("by arithmetic" in note for note in found.notes)
    summary = found.summary().set_index(["model", "measure", "reasons"])
    assert set(CHECKS) <= set(summary.index.get_level_values("measure"))
    assert summary.loc[("BPR", "stability: Spearman", OURS), "mean"].item() == pytest.approx(1.0)
    assert abs(summary.loc[("BPR", "sanity: Spearman", OURS), "mean"].item()) < 0.7
    assert found.methods == {
        "BPR": "folded-in user, of the score",
        "MultiVAE": "masked history, of the score",
    }


def test_the_warning_is_above_one_random_order(found: Faithfulness) -> None:
    means = found.summary().set_index(["model", "measure", "k", "reasons"])["mean"]
    for model in ("BPR", "MultiVAE"):
        for k in (1, 5):
            assert means[model, "DEL", k, WARNING] > means[model, "DEL", k, "random"]
    lines = found.warnings()
    assert len(lines) == 2
    assert f"DEL@1 {means['BPR', 'DEL', 1, WARNING]:.3f}" in lines[0]


def test_verdicts() -> None:
    made = Faithfulness(users=8, asked=8, seed=0, methods={"M": "masked history"})
    for user in range(8):
        for reasons, measure, value in (
            (OURS, "DEL", 1.0 + 0.01 * user),
            ("random", "DEL", 0.0),
            (OURS, "CDCG", 1.0 + 0.01 * user),
            ("random", "CDCG", 0.0),
            (OURS, "INS", float(user % 2)),
            ("random", "INS", 0.5),
            (OURS, "POS", math.nan),
            ("random", "POS", math.nan),
            (OURS, "NEG", 1.0),
            ("random", "NEG", 1.0),
        ):
            head = {"run": "r", "model": "M", "run_seed": 1, "user": str(user)}
            made.rows.append({**head, "reasons": reasons, "measure": measure, "k": 1, "value": value})
    verdicts = made.differences().set_index("measure")["verdict"].to_dict()
    assert verdicts == {"DEL": "better", "CDCG": "worse", "INS": "unclear", "POS": "unclear", "NEG": "same"}
    assert "nan" not in made.markdown()


def test_files(found: Faithfulness, tmp_path: Path) -> None:
    found.write(tmp_path / "new")
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == sorted(FILES)
    content = json.loads((tmp_path / "new" / "faithfulness.json").read_text(encoding="utf-8"))
    assert len(content["summary"]) == len(found.summary())
    assert content["warnings"] == found.warnings()
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "new" / "per_user.parquet"), found.per_user(), check_dtype=False
    )
    text = (tmp_path / "new" / "faithfulness.md").read_text(encoding="utf-8")
    assert "## BPR (folded-in user, of the score)" in text
    assert "| DEL@5 |" in text
    assert "over users and seeds" in text
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is a file"):
        found.write(tmp_path / "file")


def test_seeds(trained: Callable[..., Any], found: Faithfulness) -> None:
    runs = [trained("BPR"), trained("BPR", 2), trained("MultiVAE")]
    again = burnish.explain_eval(runs, users=6, seed=5, budget=64, reference_reasons=SOME)
    pd.testing.assert_frame_equal(again.per_user(), found.per_user())
    other = burnish.explain_eval(trained("BPR"), users=6, seed=6, reference_reasons=["random"])
    assert set(other.per_user()["user"]) != set(found.per_user()["user"])
    assert set(other.per_user()["reasons"]) == {OURS, "random", WARNING}


def test_retraining_is_in_the_tables(trained: Callable[..., Any]) -> None:
    told: list[str] = []
    found = burnish.explain_eval(
        trained("BPR"),
        users=4,
        reference_reasons=["random", "leave-one-out"],
        retrain=True,
        retrain_k=2,
        retrain_epochs=1,
        tell=lambda what, done, of: told.append(what),
    )
    gone = found.summary().query("measure == 'retrained: gone'")
    # Leave-one-out is ours in a sum, and not trained for again.
    assert set(gone["reasons"]) == {OURS, "random", "nothing removed"}
    assert set(gone["k"]) == {2}
    assert "retrained: gone@2" in found.markdown()
    assert "BPR, retraining: random" in told
    sequential = burnish.explain_eval(trained("SASRec"), users=2, budget=64, retrain=True)
    assert any("sequential model" in note for note in sequential.notes)


def test_what_is_refused(trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("BPR")
    with pytest.raises(UnknownNameError, match="popularity"):
        burnish.explain_eval(run, reference_reasons=["populrity"])
    with pytest.raises(ConfigurationError, match="users = 0"):
        burnish.explain_eval(run, users=0)
    with pytest.raises(ConfigurationError, match="seed = -1"):
        burnish.explain_eval(run, seed=-1)
    with pytest.raises(ConfigurationError, match="budget = 0"):
        burnish.explain_eval(run, budget=0)
    with pytest.raises(UnknownNameError, match="'randm'"):
        burnish.explain_eval(run, reference_reasons="randm")
    with pytest.raises(ConfigurationError, match="no run is given"):
        burnish.explain_eval([])
    with pytest.raises(ConfigurationError, match="both BPR of seed 1"):
        burnish.explain_eval([run, run])
    with pytest.raises(BurnishError, match="does not exist"):
        burnish.explain_eval("nowhere")
    other = replace(run, config={"dataset": "other", "seed": 1, "device": "cpu"})
    with pytest.raises(ConfigurationError, match="runs of one data set"):
        study._check_same_data([_Named(run), _Named(other)])  # type: ignore[list-item]
    monkeypatch.setattr(HistoryReasons, "history", lambda self, user, item: [])
    with pytest.raises(DataError, match="no user has a history"):
        burnish.explain_eval(run)


def test_options_without_effect_are_told(trained: Callable[..., Any]) -> None:
    with pytest.warns(UserWarning, match="has no effect") as told:
        burnish.explain_eval(trained("BPR"), users=1, budget=64, retrain_k=2, retrain_epochs=1)
    said = "\n".join(str(one.message) for one in told)
    for name in ("budget = 64", "retrain_k = 2", "retrain_epochs = 1"):
        assert f"{name} has no effect" in said


def test_without_references_there_is_nothing_to_compare_with(
    trained: Callable[..., Any], tmp_path: Path
) -> None:
    found = burnish.explain_eval(trained("BPR"), users=2, reference_reasons=[])
    assert set(found.summary()["reasons"]) == {OURS, WARNING}
    assert not len(found.differences())
    found.write(tmp_path / "out")
    assert "Ours less each" not in (tmp_path / "out" / FILES[1]).read_text()


def test_runs_that_are_not_seeds_of_one_model_are_named() -> None:
    def opened(path: str, **options: Any) -> Any:
        config = SimpleNamespace(final_config_dict={"embedding_size": 8, "threads": 1, **options})
        return SimpleNamespace(name="BPR", path=path, trained=SimpleNamespace(config=config))

    runs = [opened("a", seed=1), opened("b", seed=2, threads=2), opened("c", seed=3, embedding_size=17)]
    (line,) = study._unlike_seeds(runs)
    assert line.startswith("a and c count as seeds of one BPR, though they differ in embedding_size (8, 17):")


class _Named:
    def __init__(self, trained: Any) -> None:
        self.trained, self.path, self.name = trained, "path", "BPR"


def test_small_figures_have_more_places() -> None:
    assert places_of([0.2, 0.0001]) == places_of([None, math.nan]) == places_of([1e-12, 0.0]) == 3
    assert places_of([0.0004, -0.002, None]) == 5
    assert [measured(0.0004, 5), measured(0.2), measured(None)] == ["0.00040", "0.200", "-"]
