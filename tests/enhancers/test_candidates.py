"""Enhancers whose epochs try candidates: each is put in, none is trained, and validation chooses."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

import burnish
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import OptionsWithoutLoss
from burnish.errors import ConfigurationError

OPTIONS = {"epochs": 50, "stopping_step": 0, "embedding_size": 8, "eval_step": 3, "train_batch_size": 4096}


class Popularity(Enhancer[OptionsWithoutLoss]):
    """Item rows that point along one axis, as far as a power of their counts says; every user looks that way."""

    name = "test_popularity"
    Config = OptionsWithoutLoss
    powers: ClassVar[tuple[float, ...]] = (-1.0, -0.5, 1.0, 0.0, -2.0)
    tried: ClassVar[list[int]] = []

    def bind(self, anatomy: object, dataset: object) -> None:
        items = dataset.inter_feat[dataset.iid_field]
        counts = torch.bincount(items, minlength=dataset.item_num).double()
        self.register_buffer("counts", counts, persistent=False)
        self.tables = [anatomy.of("user")[0], anatomy.of("item")[0]]

    def candidates(self) -> list[str]:
        return [f"counts to the power {power}" for power in self.powers]

    def try_candidate(self, number: int) -> None:
        self.tried.append(number)
        for table, values in zip(
            self.tables, (torch.ones(1), (self.counts + 1) ** self.powers[number]), strict=True
        ):
            rows: Tensor = table.raw()
            rows.zero_()
            rows[1:, 0] = values[1:].to(rows.dtype) if len(values) > 1 else 1.0


class AlsoTrained(Popularity):
    name = "test_trained_too"

    def candidates(self) -> None:
        return None

    def bind(self, anatomy: object, dataset: object) -> None:
        self.scale = torch.nn.Parameter(torch.ones(()))


def test_each_has_an_epoch_and_validation_chooses() -> None:
    Popularity.tried.clear()
    result = burnish.run("BPR", "ml-100k", enhancers=[Popularity()], config=OPTIONS, seed=3)
    assert Popularity.tried == [0, 1, 2, 3, 4]
    # the third candidate is the only one that ranks popular items first
    assert result.best_epoch == 3
    assert result.n_epochs == 5
    popular = burnish.run("Pop", "ml-100k", config={}, seed=3)
    assert result.test_result["ndcg@10"] == pytest.approx(popular.test_result["ndcg@10"], abs=0.001)
    assert result.losses == [0.0] * 5


def test_nothing_to_choose_by() -> None:
    options = OPTIONS | {"eval_args": {"split": {"RS": [0.8, 0.0, 0.2]}, "order": "RO", "group_by": "user"}}
    with pytest.raises(ConfigurationError, match="chooses among 5 candidates by validation"):
        burnish.run("BPR", "ml-100k", enhancers=[Popularity()], config=options)


def test_beside_one_that_is_trained() -> None:
    with pytest.raises(ConfigurationError, match="'test_trained_too' beside it would have no effect"):
        burnish.run("BPR", "ml-100k", enhancers=[Popularity(), AlsoTrained()], config=OPTIONS)
