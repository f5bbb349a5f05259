"""What enhancers need first, trained where RecBole's own `run_recbole` and trainers are called."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import burnish
from burnish.errors import ConfigurationError, DataError
from burnish.training.session import alone, under_way

COMMON: dict[str, Any] = {
    **{"epochs": 3, "embedding_size": 8, "learning_rate": 0.01, "train_batch_size": 512, "seed": 4},
    **{"show_progress": False, "metrics": ["NDCG"], "topk": [10], "valid_metric": "NDCG@10"},
    "val_interval": {"user_id": [str(user) for user in range(1, 101)]},
}
ARMS: dict[str, dict[str, Any]] = {
    "line": {"compress": {"teachers": {"ease": 1, "softmax+average+aggregate": 1}, "ridge": [100.0]}},
    "base": {"aggregate": {}},
    "base, then trained": {"softmax": {"base": "auto"}, "average": {}},
    "teachers": {"distil": {"teachers": {"BPR+softmax": 1, "ease": 1}}},
}


@pytest.fixture(autouse=True)
def _left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def recbole(enhancers: dict[str, Any], **options: Any) -> dict[str, Any]:
    from recbole.quick_start import run_recbole

    found: dict[str, Any] = run_recbole(
        model="BPR", dataset="ml-100k", config_dict={**COMMON, "enhancers": enhancers, **options}
    )
    return found


@pytest.mark.parametrize("arm", ARMS)
def test_run_recbole_has_the_figures_of_a_run(arm: str) -> None:
    found = recbole(ARMS[arm])
    run = burnish.run("BPR", "ml-100k", enhancers=ARMS[arm], config=COMMON)
    assert found["best_valid_score"] == pytest.approx(run.best_valid_score, abs=1e-4)
    assert found["test_result"]["ndcg@10"] == pytest.approx(run.test_result["ndcg@10"], abs=1e-4)
    plain = burnish.run("BPR", "ml-100k", config=COMMON)
    assert abs(found["test_result"]["ndcg@10"] - plain.test_result["ndcg@10"]) > 1e-3
    assert not list(Path().glob("**/base.json")), "what is trained first is not kept"


def test_the_same_bits_as_within_a_run() -> None:
    trainer, train, valid, _ = parts(ARMS["base, then trained"])
    trainer.fit(train, valid, saved=False, show_progress=False)
    run = burnish.run("BPR", "ml-100k", enhancers=ARMS["base, then trained"], config={**COMMON, "epochs": 3})
    last = run.trained.model.state_dict()
    assert run.best_epoch in (2, 3), "the run's weights are those of the last epoch"
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, last[name]), name
    assert trainer.best_valid_score == pytest.approx(run.best_valid_score, abs=1e-4)


def parts(enhancers: dict[str, Any], **options: Any) -> tuple[Any, Any, Any, Any]:
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_trainer, init_seed

    config = Config(model="BPR", dataset="ml-100k", config_dict={**COMMON, "enhancers": enhancers, **options})
    init_seed(config["seed"], config["reproducibility"])
    train, valid, _ = data_preparation(config, create_dataset(config))
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    built = config.model_class(config, train._dataset).to(config["device"])
    return get_trainer(config["MODEL_TYPE"], config["model"])(config, built), train, valid, config


def test_random_streams_stay_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, train, valid, _ = parts(ARMS["base"])
    seen: list[Any] = []

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append((torch.rand(1).item(), np.random.rand()))
        return None, None

    torch.manual_seed(5)
    np.random.seed(5)
    expected = (torch.rand(1).item(), np.random.rand())
    torch.manual_seed(5)
    np.random.seed(5)
    from burnish.plugin import fit_candidates

    fit_candidates(fit, trainer, train, valid)
    assert seen == [expected]
    assert trainer.model.enhancers.has_base


def test_a_folder_of_another_split_is_refused() -> None:
    burnish.run("BPR", "ml-100k", config=COMMON, folder="same")
    burnish.run("BPR", "ml-100k", config={**COMMON, "seed": 5}, folder="other")
    recbole({"distil": {"teachers": {"./same": 1}}})
    with pytest.raises(DataError, match="another split"):
        recbole({"distil": {"teachers": {"./other": 1}}})
    with pytest.raises(DataError, match="another split"):
        recbole({"aggregate": {"base": "./other"}})


def test_validation_rows_that_may_be_tested_on_are_refused() -> None:
    """Equal training rows, and a trainer that has no validation rows: the teacher's may be among the test."""
    burnish.run("BPR", "ml-100k", config=COMMON, folder="chosen")
    for enhancers in ({"distil": {"teachers": {"./chosen": 1}}}, {"softmax": {"base": "./chosen"}}):
        trainer, train, _, _ = parts(enhancers)
        with pytest.raises(DataError, match="another split"):
            trainer.fit(train, None, saved=False, show_progress=False)
    trainer, train, _, _ = parts(ARMS["teachers"])  # trained here, on the very split
    trainer.fit(train, None, saved=False, show_progress=False)


@pytest.mark.parametrize(("enhancers", "named"), [("base", "the base"), ("teachers", "the teacher 'BPR")])
def test_a_config_that_was_changed_after_it_was_made_is_told(enhancers: str, named: str) -> None:
    """What is trained first has the options that it was made with, and so another split."""
    trainer, *_ = parts({"softmax": {"base": "auto"}} if enhancers == "base" else ARMS[enhancers])
    _, train, valid, _ = parts({}, seed=9)
    with pytest.raises(
        DataError, match=f"^{named}.* was trained just now .* make a Config that has it$"
    ) as told:
        trainer.fit(train, valid, saved=False, show_progress=False)
    assert "folder" not in str(told.value)


def test_what_has_begun_is_not_begun_again() -> None:
    trainer, train, valid, _ = parts(ARMS["base, then trained"])
    trainer.start_epoch = 2  # as after `resume_checkpoint`
    trainer.fit(train, valid, saved=False, show_progress=False)
    assert not trainer.model.enhancers.has_base


def test_a_loop_of_ones_own_is_told() -> None:
    trainer, *_ = parts(ARMS["base, then trained"])
    with pytest.raises(ConfigurationError, match="not in a training loop of one's own"):
        trainer.model.begin_epoch(0)


def test_under_way_within_a_run_only() -> None:
    assert not under_way()
    with alone():
        with alone():
            assert under_way()
        assert under_way()
    assert not under_way()
