"""Small real worlds for attachment tests: RecBole on ml-100k's files, tiny models, no training unless asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_trainer, init_seed

import burnish  # noqa: F401  (mends RecBole)

SEQUENTIAL = {"SASRec", "GRU4Rec", "BERT4Rec"}
SMALL: dict[str, Any] = {
    "epochs": 1,
    "train_batch_size": 512,
    "eval_batch_size": 400_000,
    "embedding_size": 8,
    "show_progress": False,
    "benchmark_filename": None,
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "val_interval": {"user_id": [str(user) for user in range(1, 61)]},
}
SMALL_SEQUENTIAL: dict[str, Any] = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "n_heads": 2,
    "num_layers": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "train_neg_sample_args": None,
}


def small_options(backbone: str, **options: Any) -> dict[str, Any]:
    """Options that make a backbone train in about a second."""
    extra = SMALL_SEQUENTIAL if backbone in SEQUENTIAL else {}
    return {**SMALL, **extra, **options}


@pytest.fixture(name="small_options")
def small_options_fixture() -> Callable[..., dict[str, Any]]:
    return small_options


@pytest.fixture
def recbole_world(tmp_path, monkeypatch) -> Callable[..., SimpleNamespace]:
    """`recbole_world(model, **options)`: RecBole's objects for one model, built as RecBole builds them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    torch.set_num_threads(1)

    def build(model: str | type, **options: Any) -> SimpleNamespace:
        name = model if isinstance(model, str) else model.__name__
        config = Config(model=model, dataset="ml-100k", config_dict=small_options(name, **options))
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        train, valid, test = data_preparation(config, dataset)
        init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
        made = config.model_class(config, train._dataset)
        state = torch.get_rng_state()
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, made)
        return SimpleNamespace(
            config=config,
            model=made,
            train=train,
            valid=valid,
            test=test,
            trainer=trainer,
            rng_after_init=state,
        )

    return build


@pytest.fixture
def world(recbole_world) -> Callable[..., SimpleNamespace]:
    """The same, where no folder has a `world` of its own."""
    return recbole_world
